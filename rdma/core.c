#include "rdma/core_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_TAG 3u /* low bits of a connection's address in a ring */

static uint32_t power_of_two(uint32_t n)
{
    uint32_t p = 1;
    while (p < n) p *= 2;
    return p;
}

int rdma_core_create(struct rdma_core **out, const struct rdma_core_config *config)
{
    uint32_t max = config->max_connections;
    if (max == 0 || max > RDMA_ID_INDEX_MASK) return -EINVAL;
    struct rdma_core *core = aligned_alloc(64, (sizeof *core + 63) & ~(size_t)63);
    if (!core) return -ENOMEM;
    memset(core, 0, sizeof *core);
    core->config = *config;
    TAILQ_INIT(&core->output);
    TAILQ_INIT(&core->starved);
    TAILQ_INIT(&core->timed);
    TAILQ_INIT(&core->kept);
    TAILQ_INIT(&core->gone);
    core->conns = calloc(max, sizeof *core->conns);
    core->generations = calloc(max, sizeof *core->generations);
    core->free_indexes = calloc(max, sizeof *core->free_indexes);
    core->tells = spsc_ring_create(power_of_two(4 * max));
    core->notices = spsc_ring_create(power_of_two(3 * max));
    *out = core;
    if (!core->conns || !core->generations || !core->free_indexes || !core->tells || !core->notices ||
        lookup_create(core) != 0) {
        rdma_core_destroy(out);
        return -ENOMEM;
    }
    while (core->free_count < max) {
        core->free_indexes[core->free_count] = max - 1 - core->free_count;
        core->free_count++;
    }
    return 0;
}

void rdma_core_destroy(struct rdma_core **pcore)
{
    struct rdma_core *core = *pcore;
    if (!core) return;
    assert(metric_get(&core->metrics.connections) == 0);
    free(core->lookup);
    free(core->conns);
    free(core->generations);
    free(core->free_indexes);
    free(core->tells);
    free(core->notices);
    free(core);
    *pcore = NULL;
}

/* Receives */

static void repost_flush(struct rdma_core *core, struct lane *lane)
{
    struct ibv_recv_wr *bad;
    if (lane->repost_count == 0) return;
    lane->repost[lane->repost_count - 1].next = NULL;
    /* The queue has room for all slots. A device that is gone refuses: its pairs end by themselves. */
    if (ibv_post_srq_recv(lane->config.srq, lane->repost, &bad) != 0) metric_add(&core->metrics.posts_refused, 1);
    lane->repost_count = 0;
}

static void repost(struct rdma_core *core, struct lane *lane, uint32_t slot)
{
    struct ibv_recv_wr *wr = &lane->repost[lane->repost_count];
    wr->wr_id = slot;
    wr->next = wr + 1;
    lane->repost_sge[lane->repost_count].addr = (uintptr_t)(lane->config.messages + (size_t)slot * RDMA_MESSAGE_BYTES);
    if (++lane->repost_count == lane->repost_batch) repost_flush(core, lane);
}

int rdma_core_add_lane(struct rdma_core *core, const struct rdma_lane_config *config)
{
    unsigned at = 0;
    while (at < core->lane_count && core->lanes[at].config.cq) at++;
    if (at == RDMA_LANES_MAX) return -ENOSPC;
    if (config->srq_depth == 0) return -EINVAL;
    struct lane *lane = &core->lanes[at];
    memset(lane, 0, sizeof *lane);
    lane->config = *config;
    /* Of a short queue few may be missing from it. */
    lane->repost_batch = RTE_MAX(1u, RTE_MIN(RDMA_REPOST_BATCH, config->srq_depth / 8));
    for (unsigned i = 0; i < RDMA_REPOST_BATCH; i++) {
        lane->repost_sge[i] = (struct ibv_sge){.length = RDMA_MESSAGE_BYTES, .lkey = config->messages_lkey};
        lane->repost[i] = (struct ibv_recv_wr){.sg_list = &lane->repost_sge[i], .num_sge = 1};
    }
    uint64_t refused = metric_get(&core->metrics.posts_refused);
    for (uint32_t slot = 0; slot < config->srq_depth; slot++) repost(core, lane, slot);
    repost_flush(core, lane);
    if (metric_get(&core->metrics.posts_refused) != refused) {
        lane->config.cq = NULL;
        return -EIO;
    }
    if (at == core->lane_count) core->lane_count++;
    return (int)at;
}

void rdma_core_remove_lane(struct rdma_core *core, unsigned lane)
{
    core->lanes[lane].config.cq = NULL;
}

/* Rings */

bool rdma_core_tell(struct rdma_core *core, enum rdma_tell what, struct rdma_conn *conn)
{
    if (what == RDMA_TELL_NEW) {
        if (core->told == core->config.max_connections) return false;
        core->told++;
    }
    bool pushed = spsc_ring_push(core->tells, (void *)((uintptr_t)conn | (uintptr_t)what));
    assert(pushed); /* four of each connection fit */
    return pushed;
}

void core_notify(struct rdma_core *core, struct rdma_conn *c, enum rdma_notice_kind kind)
{
    bool pushed = spsc_ring_push(core->notices, (void *)((uintptr_t)c | (uintptr_t)kind));
    assert(pushed); /* three of each connection fit */
    (void)pushed;
    core->notified = true;
}

bool rdma_core_next_notice(struct rdma_core *core, struct rdma_notice *out)
{
    uintptr_t p = (uintptr_t)spsc_ring_pop(core->notices);
    if (!p) return false;
    out->kind = (enum rdma_notice_kind)(p & POINTER_TAG);
    out->conn = (struct rdma_conn *)(p & ~(uintptr_t)POINTER_TAG);
    if (out->kind == RDMA_NOTICE_DONE) core->told--;
    return true;
}

void rdma_core_on_notice(struct rdma_core *core, void (*wake)(void *arg), void *arg)
{
    core->wake = wake;
    core->wake_arg = arg;
}

static void wake_set_up(struct rdma_core *core)
{
    if (!core->notified) return;
    core->notified = false;
    if (core->wake) core->wake(core->wake_arg);
}

static unsigned tells_take(struct rdma_core *core)
{
    unsigned taken = 0;
    uintptr_t p;
    while ((p = (uintptr_t)spsc_ring_pop(core->tells)) != 0) {
        struct rdma_conn *c = (struct rdma_conn *)(p & ~(uintptr_t)POINTER_TAG);
        switch ((enum rdma_tell)(p & POINTER_TAG)) {
        case RDMA_TELL_NEW: conn_new(core, c); break;
        case RDMA_TELL_ESTABLISHED: conn_established(c); break;
        case RDMA_TELL_READABLE: control_readable(c); break;
        case RDMA_TELL_GONE: conn_gone(c); break;
        }
        taken++;
    }
    return taken;
}

/* Completions */

static void send_completed(struct rdma_core *core, const struct ibv_wc *wc)
{
    struct rdma_conn *c = core->conns[wc->wr_id >> RDMA_ID_INDEX_SHIFT & RDMA_ID_INDEX_MASK];
    if (!c || (wc->wr_id ^ c->id) >> RDMA_ID_INDEX_SHIFT != 0) {
        metric_add(&core->metrics.rx_orphans, 1);
        return;
    }
    bool ok = wc->status == IBV_WC_SUCCESS;
    transmit_done(c, (uint32_t)wc->wr_id, ok);
    if (ok || c->state == CONN_CUT) return;
    metric_add(&core->metrics.completion_errors, 1);
    conn_cut(c, wc->status == IBV_WC_RETRY_EXC_ERR || wc->status == IBV_WC_RNR_RETRY_EXC_ERR ? ETIMEDOUT : ECONNRESET);
}

static void receive_failed(struct rdma_conn *c, enum ibv_wc_status status)
{
    if (c->state == CONN_CUT) return;
    if (status == IBV_WC_LOC_LEN_ERR) {
        conn_violation(c, &c->core->metrics.bad_length); /* longer than a message can be */
        return;
    }
    metric_add(&c->core->metrics.completion_errors, 1);
    conn_cut(c, ECONNRESET);
}

static void receive_completed(struct rdma_core *core, uint32_t lane_index, const struct ibv_wc *wc)
{
    struct lane *lane = &core->lanes[lane_index];
    uint32_t slot = (uint32_t)wc->wr_id;
    struct rdma_conn *c = lookup_find(core, lane_index, wc->qp_num);
    /* Its NEW may have come between our last look and the completion. */
    if (!c && tells_take(core) > 0) c = lookup_find(core, lane_index, wc->qp_num);
    if (!c)
        metric_add(&core->metrics.rx_orphans, 1);
    else if (wc->status != IBV_WC_SUCCESS)
        receive_failed(c, wc->status);
    else if (wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM)
        receive_write(c, ntohl(wc->imm_data));
    else
        control_receive(c, lane->config.messages + (size_t)slot * RDMA_MESSAGE_BYTES, wc->byte_len);
    repost(core, lane, slot);
}

/* Returns the completions; *empty: none is left. */
static unsigned lane_poll(struct rdma_core *core, uint32_t lane, bool *empty)
{
    struct ibv_wc wc[RDMA_POLL_BATCH];
    unsigned total = 0;
    if (!core->lanes[lane].config.cq) return 0;
    for (unsigned round = 0; round < RDMA_POLL_ROUNDS; round++) {
        int n = ibv_poll_cq(core->lanes[lane].config.cq, RDMA_POLL_BATCH, wc);
        for (int i = 0; i < n; i++) {
            if (wc[i].wr_id & RDMA_ID_SEND)
                send_completed(core, &wc[i]);
            else
                receive_completed(core, lane, &wc[i]);
        }
        total += n > 0 ? (unsigned)n : 0;
        if (n < (int)RDMA_POLL_BATCH) return total;
    }
    *empty = false;
    return total;
}

/*
 * The peer's end comes by another way than its last bytes: these are in the completion queue by then and go first, so
 * that a queue which was seen empty since has told them.
 */
static void gone_take(struct rdma_core *core, bool empty)
{
    struct rdma_conn *c;
    if (TAILQ_EMPTY(&core->gone)) return;
    if (!empty && ++core->gone_turns < RDMA_GONE_TURNS) return;
    core->gone_turns = 0;
    while ((c = TAILQ_FIRST(&core->gone)) != NULL) {
        TAILQ_REMOVE(&core->gone, c, going);
        conn_gone_take(c);
    }
}

unsigned rdma_core_input(void *arg, const struct tick *now)
{
    struct rdma_core *core = arg;
    bool empty = true;
    core->now_ns = now->ns;
    unsigned work = tells_take(core);
    for (uint32_t lane = 0; lane < core->lane_count; lane++) {
        unsigned n = lane_poll(core, lane, &empty);
        if (n == 0) continue;
        metric_add(&core->metrics.completions, n);
        work += n;
    }
    gone_take(core, empty);
    receive_starved(core);
    conn_timers(core);
    wake_set_up(core);
    return work;
}

unsigned rdma_core_output(void *arg, const struct tick *now)
{
    struct rdma_core *core = arg;
    struct rdma_conn_list visit = TAILQ_HEAD_INITIALIZER(visit);
    struct rdma_conn *c;
    unsigned work = 0;
    core->now_ns = now->ns;
    TAILQ_CONCAT(&visit, &core->output, output);
    while ((c = TAILQ_FIRST(&visit)) != NULL) {
        TAILQ_REMOVE(&visit, c, output);
        c->listed = false;
        work++;
        if (transmit(c)) conn_list(c); /* behind the others */
        if (c->state == CONN_CUT) conn_finish(c);
    }
    wake_set_up(core);
    return work;
}

uint64_t rdma_core_deadline(void *arg)
{
    const struct rdma_core *core = arg;
    if (!TAILQ_EMPTY(&core->output) || !TAILQ_EMPTY(&core->gone)) return 0;
    return conn_deadline(core);
}

void rdma_core_arm(struct rdma_core *core)
{
    for (unsigned i = 0; i < core->lane_count; i++)
        if (core->lanes[i].config.cq) ibv_req_notify_cq(core->lanes[i].config.cq, 0);
}

uint32_t rdma_core_connections(const struct rdma_core *core)
{
    return (uint32_t)metric_get(&core->metrics.connections);
}

const struct rdma_metrics *rdma_core_metrics(const struct rdma_core *core)
{
    return &core->metrics;
}
