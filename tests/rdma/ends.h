/*
 * Two ends over the fake fabric, each a datapath of its own with a small set-up: connects pairs, lets them be read by
 * when the core wants it, disconnects what the core cuts, tells GONE to both sides, destroys what is done. And raw
 * pairs, whose test posts by verbs what it likes.
 */
#ifndef POLAR_TESTS_RDMA_ENDS_H
#define POLAR_TESTS_RDMA_ENDS_H

#include "base/buf.h"
#include "rdma/core.h"
#include "tests/rdma/fake.h"

struct end_config {
    struct buf_pools *pools; /* borrowed; its memory is registered */
    uint32_t max_connections, srq_depth, cq_depth;
    uint64_t keepalive_ns, linger_ns, features;
    bool no_windows; /* its device has none: the memory of its connections is open to any peer that has the key */
    bool (*message)(void *arg, struct rdma_conn *conn, const struct rdma_message *m);
    void *message_arg;
};

struct end {
    struct fake *fake;
    struct fake_device *device;
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    uint8_t *messages;
    struct rdma_keys keys;
    struct stream_loop loop;
    struct rdma_core *core;
    bool windows;
    unsigned wakes; /* of the set-up */
};

/* Generous: for tests of something else. */
void end_config_default(struct end_config *config, struct buf_pools *pools);
void end_create(struct end *e, struct fake *f, const struct end_config *config);
void end_destroy(struct end *e);
/* Memory that may be sent from, and that a peer with the key may read. */
uint32_t end_register(struct end *e, void *base, size_t bytes);
struct tick end_tick(const struct end *e);
uint64_t end_metric(const struct end *e, const char *name);

/* One side of a connection. */
struct side {
    struct end *end; /* NULL: raw */
    struct fake *fake;
    struct side *peer;
    struct ibv_qp *qp;      /* NULL: destroyed */
    struct rdma_conn *conn; /* NULL: destroyed, or raw */
    uint8_t *memory;
    struct ibv_mr mr;
    struct ibv_mw *window; /* NULL: none */
    uint32_t key;          /* of what its peer may write into */
    struct stream *stream; /* accepted; the test sets it to NULL when it lets go */
    bool told_gone, done;
    uint64_t gone_ns; /* when it is told; 0: not to be */
    void *user;
    /* raw */
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    uint8_t *messages;
    uint32_t messages_key;
    uint32_t buffer_bytes;
};

struct side_config {
    uint32_t buffer_bytes;
    uint16_t send_depth, max_inline;
    uint8_t max_sge;
    /* of the client, where its core is ours */
    size_t read_bytes; /* memory for its reads; 0: none */
    uint8_t reads;     /* at a time */
};

/* server and client; told NEW and ESTABLISHED. */
void sides_connect(struct side *server, struct end *server_end, struct side *client, struct end *client_end,
                   const struct side_config *config);
/* NEW is told, ESTABLISHED is not. */
void sides_create(struct side *server, struct end *server_end, struct side *client, struct end *client_end,
                  const struct side_config *config);
/* The client is raw: its memory is buffer_bytes that its peer may write into, and as many to send from behind them. */
void sides_connect_raw(struct side *server, struct end *server_end, struct side *raw, struct fake_device *device,
                       const struct side_config *config);
/* The connection ends as by a disconnect from this side: both pairs go into the error state and both cores are told. */
void side_disconnect(struct side *s);
/* What the set-up thread does: notices of e's core, and telling what is due. sides: all there ever were. */
void sides_step(struct end *e, struct side *sides, unsigned count);
/* After a test: destroys a raw side. */
void side_raw_destroy(struct side *raw);

/* Raw posts of the raw side; all are signalled. */
void raw_message(struct side *raw, const void *bytes, uint32_t len);
void raw_send(struct side *raw, const struct rdma_message *m);
void raw_write(struct side *raw, const void *bytes, uint32_t len, uint64_t address, uint32_t rkey, uint32_t imm);
/* A READ into the first half of the memory. What becomes of it: raw_completed. */
void raw_read(struct side *raw, uint32_t len, uint64_t address, uint32_t rkey);
/* The raw side's next completed post of its own; messages before it are lost. false: none. */
bool raw_completed(struct side *raw, enum ibv_wc_status *status);
/* Takes the next message the raw side received (false: none), or a write's immediate into *imm. */
bool raw_receive(struct side *raw, struct rdma_message *m, uint32_t *imm);

#endif
