/*
 * One connection as set-up has it, on either side: its id, queue pair and receive memory, and the datapath's connection
 * made of them. What becomes of it is decided by who made it (rdma/listener.h). Set-up thread.
 *
 * All pairs of a device share its protection domain, in which a memory region's remote key is good through any of them.
 * So a pair's memory has no right for peers: what its peer may write into is opened by a memory window that the pair
 * binds, and that the device opens to no other pair. Where a device has no such windows the memory itself is open.
 */
#ifndef POLAR_RDMA_PAIR_H
#define POLAR_RDMA_PAIR_H

#include "rdma/cm.h"
#include "rdma/core.h"
#include "rdma/device.h"

struct rdma_pair {
    const struct rdma_cm *cm;
    struct rdma_cm_id *id;
    struct rdma_lane *lane;
    struct rdma_conn *conn; /* whose user is the pair's owner's */
    uint8_t *memory;
    size_t memory_bytes;
    struct ibv_mr *mr;
    struct ibv_mw *window; /* NULL: the device has none */
};

struct rdma_pair_config {
    const struct rdma_cm *cm;
    struct rdma_cm_id *id; /* a connect request's, or one whose route is resolved */
    struct rdma_lane *lane;
    uint32_t buffer_bytes; /* of each of two receive buffers */
    size_t read_bytes;     /* for one-sided reads to read into; 0: none */
    bool server;
    stream_accept_fn *accept;
    void *accept_arg;
    void *user; /* rdma_conn_user */
};

/* Bytes of memory that each pair takes, in whole pages. */
size_t rdma_pair_memory_bytes(const struct rdma_device *device, uint32_t buffer_bytes, size_t read_bytes);
/* The core is not told. 0 or -errno: nothing is left, the id is still the caller's. */
int rdma_pair_open(struct rdma_pair *pair, const struct rdma_pair_config *config);
/*
 * A server's: brings its queue pair up and accepts. The client may write into it, and no more: whatever key it has or
 * guesses, it reads nothing before rdma_pair_allow_reads. 0 or -errno; then the pair is to be disconnected.
 */
int rdma_pair_accept(struct rdma_pair *pair, const struct rdma_conn_param *param);
/* From here on the peer may read what is registered with IBV_ACCESS_REMOTE_READ and whose key it has. 0 or -errno. */
int rdma_pair_allow_reads(struct rdma_pair *pair);
/* The core never knew of it, or has said RDMA_NOTICE_DONE. The id is still the caller's. */
void rdma_pair_close(struct rdma_pair *pair);

#endif
