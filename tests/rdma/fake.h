/*
 * A fabric of RDMA devices in one process and one thread, in virtual time, from a seed: what ibv_poll_cq,
 * ibv_post_send, ibv_post_srq_recv, ibv_req_notify_cq, ibv_alloc_mw and ibv_dealloc_mw call through ibv_context.ops,
 * and the set-up that a test does itself.
 *
 * As verbs have it: a pair's requests are carried out one after another, each after a delay, and its completions come
 * in that order; those of different pairs come in any. Memory is read when the request is carried out, not when it is
 * posted (inline bytes: when posted). Keys, bounds and rights of local and remote memory are checked, and what a pair
 * lets its peer do (IBV_ACCESS_REMOTE_ bits, before any key); a fault completes with the error that verbs give, and
 * both pairs go into the error state. A window's key is good for what it was bound to, on the pair that has bound it. A
 * peer without posted receives makes the sender wait (rnr_retry 7). In the error state everything posted completes as
 * flushed, signalled or not; nothing is received any more.
 *
 * What a correct program never does aborts the test: an overrun of a completion, send or receive queue, more segments
 * or inline bytes than the pair has, a post on a pair that is not connected, a pair destroyed or a region removed while
 * a window is bound to it, a window left at the end.
 */
#ifndef POLAR_TESTS_RDMA_FAKE_H
#define POLAR_TESTS_RDMA_FAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <infiniband/verbs.h>

struct fake;
struct fake_device;

struct fake_config {
    uint64_t seed;
    uint64_t delay_ns; /* a request takes 1 to this long */
    uint64_t late_ns;  /* and its completion up to this long more; 0: none */
};

struct fake *fake_create(const struct fake_config *config);
/* Whatever was created in it. */
void fake_destroy(struct fake *f);
uint64_t fake_now(const struct fake *f);
/* A number below n, of the seed. */
uint64_t fake_random(struct fake *f, uint64_t n);
/* Carries out what falls due in the next ns nanoseconds. Returns how much. */
unsigned fake_run(struct fake *f, uint64_t ns);

struct fake_device *fake_device_create(struct fake *f);
/* The device is gone: nothing completes any more, posts fail. */
void fake_device_remove(struct fake_device *d);
/* A region's key, local and remote. access: IBV_ACCESS_ bits; reading locally is always allowed. */
uint32_t fake_mr_add(struct fake_device *d, void *base, size_t bytes, int access);
void fake_mr_remove(struct fake_device *d, uint32_t key);
/* For ibv_alloc_mw. */
struct ibv_pd *fake_pd(struct fake_device *d);
/* Windows of all devices. */
uint32_t fake_windows(const struct fake *f);
/* What the window was bound to; false: it is not bound. */
bool fake_window_bound(const struct ibv_mw *window, uint64_t *address, uint64_t *bytes, uint32_t *key);

struct ibv_cq *fake_cq_create(struct fake_device *d, uint32_t depth);
bool fake_cq_armed(const struct ibv_cq *cq); /* asked to notify, and nothing came since */
struct ibv_srq *fake_srq_create(struct fake_device *d, uint32_t depth);
uint32_t fake_srq_posted(const struct ibv_srq *srq);

struct fake_qp_config {
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    uint16_t send_depth;
    uint8_t max_sge;
    uint16_t max_inline;
};
struct ibv_qp *fake_qp_create(struct fake_device *d, const struct fake_qp_config *config);
/* What its peer may do with it: IBV_ACCESS_REMOTE_ bits; to begin with it may write, as connection managers have it. */
void fake_qp_allow(struct ibv_qp *qp, int access);
int fake_qp_access(const struct ibv_qp *qp);
/* Of all devices. NULL: none. */
struct ibv_qp *fake_qp_find(struct fake *f, uint32_t qp_num);
/* Both can send and receive from now on. */
void fake_qp_connect(struct ibv_qp *a, struct ibv_qp *b);
/* Into the error state, as rdma_disconnect does it. The peer learns by its own sends: retries exceeded. */
void fake_qp_error(struct ibv_qp *qp);
/* The request at the head of the pair's queue, or the next one, completes with this error. */
void fake_qp_fail(struct ibv_qp *qp, enum ibv_wc_status status);
/* Nothing of this pair passes for so long. */
void fake_qp_stall(struct ibv_qp *qp, uint64_t ns);
/* ibv_post_send takes so many requests more, then fails with this error; 0: no more. */
void fake_qp_refuse(struct ibv_qp *qp, uint32_t taken, int error);
/* Requests posted that have not completed, and may yet. */
uint32_t fake_qp_outstanding(const struct ibv_qp *qp);
/* Its completions stay, as with a provider that does not clean its queue. */
void fake_qp_destroy(struct ibv_qp *qp);

#endif
