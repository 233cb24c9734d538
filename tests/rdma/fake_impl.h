/*
 * Inside the fake: fake.c has queues and what is carried out on them, fake_memory.c regions and windows.
 */
#ifndef POLAR_TESTS_RDMA_FAKE_IMPL_H
#define POLAR_TESTS_RDMA_FAKE_IMPL_H

#include "tests/rdma/fake.h"

#define SGE_MAX 64u
#define KEY_STEP 0x101u

struct fake_mr {
    uint32_t key;
    uintptr_t base;
    size_t bytes;
    int access;
    struct fake_mr *next;
};

struct fake_window {
    struct ibv_mw mw;      /* first */
    struct fake_qp *owner; /* NULL: not bound */
    uint32_t key, region;
    uint64_t address, bytes;
    unsigned access;
    struct fake_window *next;
};

struct fake_device {
    struct ibv_context context; /* first */
    struct ibv_pd pd;
    struct fake *fake;
    struct fake_mr *regions;
    struct fake_window *windows;
    bool removed;
    struct fake_device *next;
};

struct fake_cq {
    struct ibv_cq cq; /* first */
    uint32_t depth, head, count;
    bool armed;
    struct fake_cq *next;
    struct ibv_wc ring[];
};

struct fake_receive {
    uint64_t wr_id;
    struct ibv_sge sge;
};

struct fake_srq {
    struct ibv_srq srq; /* first */
    uint32_t depth, head, count;
    struct fake_srq *next;
    struct fake_receive ring[];
};

/* A posted request: waits at the queue's head to be carried out, then for its completion. */
struct fake_request {
    uint64_t wr_id;
    enum ibv_wr_opcode opcode;
    unsigned flags;
    uint32_t imm_data;
    uint64_t remote_addr;
    uint32_t rkey;
    int num_sge;
    struct ibv_sge sge[SGE_MAX];
    uint32_t window; /* to be bound: its key before, the region's */
    uint32_t region;
    struct ibv_mw_bind_info bind;
    uint8_t *inlined; /* copy of the bytes; NULL: by sge */
    uint32_t bytes;
    enum ibv_wc_status status;
    uint64_t completes_ns;
};

struct fake_qp {
    struct ibv_qp qp; /* first */
    struct fake_device *device;
    struct fake_qp_config config;
    struct fake_qp *peer;
    int access;           /* of the peer */
    uint64_t ready_ns;    /* of the request to be carried out next */
    uint64_t complete_ns; /* of the last completion planned */
    enum ibv_wc_status fail;
    int refuse;
    uint32_t refuse_after;
    /* The ring: done <= executed <= posted. */
    uint32_t posted, executed, done;
    struct fake_qp *next;
    struct fake_request ring[];
};

struct fake {
    struct fake_config config;
    uint64_t now, random;
    uint32_t next_key, next_qp_num;
    struct fake_device *devices;
    struct fake_cq *cqs;
    struct fake_srq *srqs;
    struct fake_qp *qps;
    uint32_t qp_count;
};

/* What a correct program never does: aborts. */
void fake_broken(const char *what);
void *fake_zalloc(size_t bytes);

static inline struct fake_device *fake_device_of(struct ibv_context *c)
{
    return (struct fake_device *)c;
}

/* fake_memory.c. The peer's or our own n bytes are in a region of this key, which allows access. */
bool fake_reachable(const struct fake_device *d, uint64_t address, uint64_t bytes, uint32_t key, int access);
/* What came in on this pair. */
bool fake_remote_fine(const struct fake_qp *to, const struct fake_request *r, unsigned access);
enum ibv_wc_status fake_carry_bind(struct fake_qp *q, const struct fake_request *r);
/* The device's calls for windows. */
void fake_memory_ops(struct fake_device *d);
void fake_windows_check_qp(const struct fake_qp *q); /* about to be destroyed */

#endif
