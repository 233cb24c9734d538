/*
 * The set-up's thread and a core's, each at its own pace, with nothing between them but the rings: connections are
 * made, handed over, let read by, cut and taken back by the thousand, from either side, in every order that the life of
 * a connection (rdma/core.h) has. For the thread sanitizer; and each comes back once. What is posted completes at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "rdma/core.h"

#define SLOTS 16u
#define ROUNDS 4000u /* connections */
#define SEND_DEPTH 32u
#define RING 65536u
#define BUFFER 256u

/* ---- the core's thread ---- */

static struct {
    struct ibv_context verbs;
    struct ibv_cq cq;
    struct ibv_srq srq;
    struct ibv_wc done[RING];
    uint32_t first, last;
    struct rdma_core *core;
    struct stream_loop loop;
    uint8_t messages[64 * RDMA_MESSAGE_BYTES];
    struct rdma_keys keys;
    unsigned random;
    unsigned accepted;
} c;

static int fabric_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    (void)bad;
    for (; wr; wr = wr->next)
        if (wr->send_flags & IBV_SEND_SIGNALED)
            c.done[c.last++ % RING] = (struct ibv_wc){.wr_id = wr->wr_id, .qp_num = qp->qp_num};
    return 0;
}

static int fabric_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
    int i = 0;
    (void)cq;
    for (; i < n && c.first != c.last; i++) wc[i] = c.done[c.first++ % RING];
    return i;
}

static int fabric_post_srq_recv(struct ibv_srq *srq, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    (void)srq, (void)wr, (void)bad;
    return 0;
}

static void accept_stream(void *arg, struct stream *s)
{
    struct rdma_message window = {.opcode = RDMA_WINDOW, .bytes = 1};
    (void)arg;
    c.accepted++;
    if (rand_r(&c.random) % 2) rdma_conn_send_message(rdma_conn_of(s), &window);
    if (rand_r(&c.random) % 4 == 0)
        s->ops->abort(s);
    else if (rand_r(&c.random) % 4 == 0)
        s->ops->close(s);
}

static void *core_run(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) {
        struct timespec t;
        struct stream *s;
        clock_gettime(CLOCK_MONOTONIC, &t);
        struct tick now = {.ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec};
        rdma_core_input(c.core, &now);
        while ((s = stream_loop_pop(&c.loop)) != NULL) s->ops->abort(s);
        rdma_core_output(c.core, &now);
    }
    return NULL;
}

/* ---- the set-up's ---- */

struct slot {
    struct ibv_qp qp;
    struct rdma_conn *conn; /* NULL: free */
    uint8_t *memory;
    bool up, allowed, gone;
};

static struct slot slots[SLOTS];
static unsigned made, done, allowed;
static _Atomic unsigned wakes;

static void slot_open(struct slot *s)
{
    static struct ibv_mr mr;
    static struct ibv_mw window;
    struct rdma_conn_config config = {.qp = &s->qp,
                                      .mr = &mr,
                                      .window = &window,
                                      .buffer_bytes = BUFFER,
                                      .send_depth = SEND_DEPTH,
                                      .max_sge = 2,
                                      .server = true,
                                      .accept = accept_stream,
                                      .user = s};
    s->memory = calloc(1, rdma_conn_memory_bytes(BUFFER, SEND_DEPTH));
    config.memory = s->memory;
    s->qp = (struct ibv_qp){.context = &c.verbs, .qp_num = ++made};
    s->up = s->allowed = s->gone = false;
    s->conn = rdma_conn_create(&config);
    assert_non_null(s->conn);
    assert_true(rdma_core_tell(c.core, RDMA_TELL_NEW, s->conn));
}

static void slot_end(struct slot *s)
{
    if (s->gone) return;
    s->gone = true;
    rdma_conn_set_end(s->conn, (int)made % 100 + 1);
    assert_true(rdma_core_tell(c.core, RDMA_TELL_GONE, s->conn));
}

static void slot_close(struct slot *s)
{
    assert_true(s->gone);
    rdma_conn_destroy(s->conn);
    free(s->memory);
    memset(s, 0, sizeof *s);
    done++;
}

static void notices(void)
{
    struct rdma_notice notice;
    while (rdma_core_next_notice(c.core, &notice)) {
        struct slot *s = rdma_conn_user(notice.conn);
        switch (notice.kind) {
        case RDMA_NOTICE_CUT: slot_end(s); break;
        case RDMA_NOTICE_DONE: slot_close(s); break;
        case RDMA_NOTICE_READS:
            if (s->gone) break;
            rdma_core_tell(c.core, RDMA_TELL_READABLE, s->conn);
            s->allowed = true;
            allowed++;
            break;
        }
    }
}

static void step(struct slot *s, unsigned *random)
{
    unsigned dice = (unsigned)rand_r(random) % 8;
    bool patient = (s - slots) % 2; /* these mostly wait for what the core wants */
    if (!s->conn) {
        if (made < ROUNDS) slot_open(s);
    } else if (!s->gone && dice == 0) {
        if (!patient || !s->up || s->allowed || rand_r(random) % 1024 == 0) slot_end(s);
    } else if (!s->gone && !s->up && dice < 5) {
        s->up = true;
        rdma_core_tell(c.core, RDMA_TELL_ESTABLISHED, s->conn);
    }
}

static void woken(void *arg)
{
    (void)arg;
    atomic_fetch_add(&wakes, 1);
}

static void both_at_once(void **state)
{
    (void)state;
    static atomic_bool stop;
    struct rdma_core_config config = {.loop = &c.loop, .max_connections = SLOTS, .linger_ns = 1000000};
    struct rdma_lane_config lane = {
        .cq = &c.cq, .srq = &c.srq, .srq_depth = 64, .messages = c.messages, .keys = &c.keys};
    pthread_t thread;
    unsigned random = 5;
    c.random = 7;
    c.verbs.ops.post_send = fabric_post_send;
    c.verbs.ops.poll_cq = fabric_poll_cq;
    c.verbs.ops.post_srq_recv = fabric_post_srq_recv;
    c.cq.context = c.srq.context = &c.verbs;
    assert_int_equal(rdma_core_create(&c.core, &config), 0);
    assert_int_equal(rdma_core_add_lane(c.core, &lane), 0);
    rdma_core_on_notice(c.core, woken, NULL);
    assert_int_equal(pthread_create(&thread, NULL, core_run, &stop), 0);
    while (done < ROUNDS) {
        for (unsigned i = 0; i < SLOTS; i++) step(&slots[i], &random);
        notices();
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(made, ROUNDS);
    assert_int_equal(rdma_core_connections(c.core), 0);
    assert_true(c.accepted > ROUNDS / 4 && allowed > ROUNDS / 40);
    assert_true(atomic_load(&wakes) > 0);
    rdma_core_destroy(&c.core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
