/*
 * A client's end of Valkey over RDMA (topics/RDMA.md of valkey-doc), written from that document with nothing of ours in
 * it, and strict: what the server does that the document does not provide for ends the program with a line that says
 * what. One thread, blocking; nothing waits longer than PAIR_WAIT_MS. Beyond the document it knows how to ask for a
 * window to read by itself (rdma/window.h).
 */
#ifndef POLAR_TESTS_GUEST_RDMA_PAIR_H
#define POLAR_TESTS_GUEST_RDMA_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <rdma/rdma_cma.h>

#define PAIR_WAIT_MS 60000
#define PAIR_MESSAGE 32u /* bytes of a control message */

enum pair_opcode {
    PAIR_GET_FEATURES = 0,
    PAIR_SET_FEATURES = 1,
    PAIR_KEEPALIVE = 2,
    PAIR_REGISTER = 3,
    PAIR_WINDOW = 0x7001
};

struct pair {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_comp_channel *channel;
    struct ibv_pd *pd;
    struct ibv_cq *cq;
    struct ibv_mr *mr;
    uint8_t *memory; /* one region: the buffer that the server writes into, the stage we write from, messages */
    uint32_t buffer_bytes;
    uint32_t filled;       /* bytes of the buffer that the server has announced */
    bool hold;             /* do not register the buffer again when it is full */
    bool plain;            /* data by a plain write and one with an immediate that counts both */
    uint64_t peer_address; /* the server's buffer */
    uint32_t peer_key, peer_bytes, peer_filled;
    bool peer_registered;
    uint32_t stage_at, message_at, in_flight;
    uint8_t *inbox; /* received, not yet read */
    size_t inbox_len, inbox_cap;
    unsigned keepalives, features_asked;
    bool window_asked;
    uint64_t window_address;
    uint32_t window_key;    /* 0: none has come */
    bool cut_expected, cut; /* the server is to end this connection; it has */
    enum ibv_wc_status why; /* of the first request that failed */
};

/* For the line that says what went wrong: what the program is at. */
extern const char *pair_doing;
__attribute__((noreturn, format(printf, 1, 2))) void pair_fail(const char *format, ...);

/* Connected, and each side has registered its buffer; buffer_bytes is ours. */
struct pair *pair_open(const char *address, const char *port, uint32_t buffer_bytes);
/* Nothing unread may be left, nor anything in the buffer that was not announced. */
void pair_close(struct pair **p);
/* Gives up what a connection that has been cut still has. */
void pair_drop(struct pair **p);
/* Fills the server's buffer to its very end, then waits for the next. */
void pair_send(struct pair *p, const void *data, size_t len);
void pair_read(struct pair *p, void *data, size_t len);
/* Registers our buffer, empty. */
void pair_register(struct pair *p);
void pair_ask_features(struct pair *p);
/* Asks for the first shard's window and waits for it, or for the connection's end where that is expected. */
void pair_ask_window(struct pair *p);
/* Reads the server's memory. false: the connection ended by it, which must be expected. */
bool pair_read_window(struct pair *p, uint64_t address, uint32_t key, void *into, uint32_t len);
/* Waits a moment for anything to happen. */
void pair_pump(struct pair *p, int ms);
/* Waits until the server has ended the connection. */
void pair_await_cut(struct pair *p);
/* What a pair does not do of itself: a message of any length; a write of any announcement at any place. */
void pair_post_message(struct pair *p, const void *message, uint32_t len);
void pair_post_plain_write(struct pair *p, uint64_t address, const void *data, uint32_t len); /* announces nothing */
/* Until all that was posted is done. */
void pair_flush(struct pair *p);
void pair_post_write(struct pair *p, uint64_t address, const void *data, uint32_t len, uint32_t immediate);
void pair_message(uint8_t out[PAIR_MESSAGE], enum pair_opcode opcode, uint64_t address, uint32_t length, uint32_t key);

#endif
