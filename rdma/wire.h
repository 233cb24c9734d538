/*
 * Valkey over RDMA, the control messages (topics/RDMA.md of valkey-doc): a SEND of exactly 32 bytes, big-endian, 16
 * bits of opcode first. Pure: bytes in, bytes out.
 */
#ifndef POLAR_RDMA_WIRE_H
#define POLAR_RDMA_WIRE_H

#include <stdint.h>

#define RDMA_MESSAGE_BYTES 32u

enum rdma_opcode {
    RDMA_GET_FEATURES = 0, /* asked by the client, answered by the server with the same opcode and select */
    RDMA_SET_FEATURES = 1, /* from the client; no answer */
    RDMA_KEEPALIVE = 2,    /* from the server; no answer */
    RDMA_REGISTER = 3, /* the sender's receive buffer, empty: the other side writes into it from its first byte on */
    RDMA_WINDOW =
        0x7001, /* ours, only after SET_FEATURES with RDMA_FEATURE_ONESIDED: memory that the client may read */
};

/* Features; the standard protocol defines none. */
#define RDMA_FEATURE_ONESIDED (1ull << 63) /* GETs by RDMA READ: see rdma/window.h */

struct rdma_message {
    uint16_t opcode;
    uint16_t select;   /* features; which of the window's parts */
    uint64_t features; /* features */
    uint64_t address;  /* register, window: bytes [address, address + length) under key */
    uint32_t length;   /* register: bytes */
    uint32_t key;
    uint64_t bytes; /* window: bytes of the part, which may be over 4 GiB */
};

void rdma_message_encode(uint8_t out[static RDMA_MESSAGE_BYTES], const struct rdma_message *m);
/*
 * 0, or -EBADMSG: not 32 bytes; an opcode that does not exist; a register or window of no bytes or past the address
 * space's end. *out is whole in any case but the first, so that the caller can say which.
 */
int rdma_message_decode(struct rdma_message *out, const void *data, uint32_t len);

#endif
