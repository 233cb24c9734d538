/*
 * What the peer writes. It fills a receive buffer from its first byte to its last; the bytes become buffers that refer
 * to it. When it is full the other one is registered, if no buffer refers to that any more, else this one or the other
 * as soon as it is free.
 */
#include <assert.h>
#include "rdma/core_impl.h"

static void buffer_idle(void *addr, void *opaque);

void receive_init(struct rdma_conn *c)
{
    for (unsigned i = 0; i < 2; i++) {
        c->rx[i].base = c->config.memory + (size_t)i * c->buffer_bytes;
        c->rx[i].idle = true;
        c->rx[i].conn = c;
        c->rx[i].shared.free_cb = buffer_idle;
        c->rx[i].shared.fcb_opaque = &c->rx[i];
    }
}

static void buffer_register(struct rdma_conn *c, uint8_t which)
{
    c->active = which;
    c->rx[which].received = c->rx[which].delivered = 0;
    c->rx_wait = false;
    c->register_due = true;
    conn_list(c);
}

void receive_start(struct rdma_conn *c)
{
    buffer_register(c, 0);
}

static bool is_free(const struct rx_buffer *b)
{
    return b->idle && b->delivered == b->received;
}

/* The active buffer is full. */
static void turn(struct rdma_conn *c)
{
    uint8_t other = !c->active;
    if (is_free(&c->rx[other]))
        buffer_register(c, other);
    else if (is_free(&c->rx[c->active]))
        buffer_register(c, c->active);
    else if (!c->rx_wait) {
        c->rx_wait = true;
        metric_add(&c->core->metrics.rx_buffer_held, 1);
    }
}

/* The last buffer that refers to it was freed. Called from wherever the handler freed it, on the core. */
static void buffer_idle(void *addr, void *opaque)
{
    (void)addr;
    struct rx_buffer *b = opaque;
    struct rdma_conn *c = b->conn;
    b->idle = true;
    if (c->state == CONN_CUT)
        conn_list(c);
    else if (c->rx_wait && c->state == CONN_OPEN)
        turn(c);
}

/* The bytes behind the last ones of the stream go into its last buffer, when nobody else looks at that. */
static uint32_t piece_grow(struct rdma_conn *c, struct rx_buffer *b, uint32_t n)
{
    struct rte_mbuf *m = c->s.rx.tail;
    if (!m || !RTE_MBUF_HAS_EXTBUF(m) || m->shinfo != &b->shared || rte_mbuf_refcnt_read(m) != 1) return 0;
    if (buf_data(m) + m->data_len != b->base + b->delivered) return 0;
    uint32_t take = RTE_MIN(n, (uint32_t)m->buf_len - m->data_off - m->data_len);
    m->data_len += (uint16_t)take;
    m->pkt_len = m->data_len;
    c->s.rx.len += take;
    return take;
}

/* 0: no buffer header is to be had. */
static uint32_t piece_append(struct rdma_conn *c, struct rx_buffer *b, uint32_t n)
{
    uint8_t *data = b->base + b->delivered;
    if (!b->idle && rte_mbuf_ext_refcnt_read(&b->shared) >= RDMA_PIECES_MAX) return 0;
    struct rte_mbuf *m = rte_pktmbuf_alloc(c->core->config.pools->ref);
    if (!m) return 0;
    /* Room to grow up to the receive buffer's end. */
    uint32_t room = RTE_MIN(c->buffer_bytes - b->delivered, (uint32_t)RDMA_PIECE_MAX);
    if (b->idle)
        rte_mbuf_ext_refcnt_set(&b->shared, 1);
    else
        rte_mbuf_ext_refcnt_update(&b->shared, 1);
    b->idle = false;
    rte_pktmbuf_attach_extbuf(m, data, (rte_iova_t)(uintptr_t)data, (uint16_t)room, &b->shared);
    uint32_t take = RTE_MIN(n, room);
    m->data_off = 0;
    m->data_len = (uint16_t)take;
    m->pkt_len = take;
    buf_chain_append(&c->s.rx, m);
    return take;
}

/* false: it waits for buffer headers. */
static bool buffer_deliver(struct rdma_conn *c, struct rx_buffer *b)
{
    while (b->delivered < b->received) {
        uint32_t n = b->received - b->delivered;
        uint32_t taken = piece_grow(c, b, n);
        if (taken == 0) taken = piece_append(c, b, n);
        if (taken == 0) return false;
        b->delivered += taken;
    }
    return true;
}

/* In order: the other buffer, when it still has bytes, was filled before. */
static void deliver(struct rdma_conn *c)
{
    uint32_t before = c->s.rx.len;
    bool all = buffer_deliver(c, &c->rx[!c->active]) && buffer_deliver(c, &c->rx[c->active]);
    if (c->s.rx.len != before) stream_raise(&c->s, STREAM_READABLE);
    if (all || c->starved) return;
    c->starved = true;
    metric_add(&c->core->metrics.rx_no_buffer, 1);
    TAILQ_INSERT_TAIL(&c->core->starved, c, starving);
}

void receive_starved(struct rdma_core *core)
{
    struct rdma_conn_list visit = TAILQ_HEAD_INITIALIZER(visit);
    struct rdma_conn *c;
    TAILQ_CONCAT(&visit, &core->starved, starving);
    while ((c = TAILQ_FIRST(&visit)) != NULL) {
        TAILQ_REMOVE(&visit, c, starving);
        c->starved = false;
        deliver(c);
        if (c->rx_wait && c->state == CONN_OPEN) turn(c);
    }
}

void receive_write(struct rdma_conn *c, uint32_t n)
{
    struct rdma_metrics *m = &c->core->metrics;
    struct rx_buffer *b = &c->rx[c->active];
    if (c->state == CONN_CUT) return;
    if (n == 0) {
        conn_violation(c, &m->bad_immediate);
        return;
    }
    if (!c->rx_open || n > c->buffer_bytes - b->received) {
        conn_violation(c, &m->past_end);
        return;
    }
    metric_add(&m->rx_writes, 1);
    metric_add(&m->rx_bytes, n);
    b->received += n;
    if (b->received == c->buffer_bytes) c->rx_open = false;
    if (!c->held) {
        b->delivered = b->received; /* closed: nobody reads it, and no other is registered */
        return;
    }
    deliver(c);
    if (!c->rx_open) turn(c);
}

void receive_drop(struct rdma_conn *c)
{
    if (c->starved) TAILQ_REMOVE(&c->core->starved, c, starving);
    c->starved = false;
    for (unsigned i = 0; i < 2; i++) c->rx[i].delivered = c->rx[i].received;
    buf_chain_free(&c->s.rx);
}
