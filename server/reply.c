#include "server/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <rte_mbuf.h>
#include "server/lease.h"
#include "server/session.h"

/*
 * A buffer of ours at the tail with room for n bytes: the one that is there, else a small one where the reply begins or
 * goes on behind a value that lies elsewhere, else (more follows) a large one.
 */
static struct rte_mbuf *reply_buffer(struct session *s, uint32_t n)
{
    struct rte_mbuf *tail = s->out.tail;
    if (tail && !RTE_MBUF_HAS_EXTBUF(tail) && rte_pktmbuf_tailroom(tail) >= n) return tail;
    bool lone = s->out.len == 0 || (tail && RTE_MBUF_HAS_EXTBUF(tail));
    struct rte_mempool *first = lone ? s->core->pools.small : s->core->pools.frame;
    struct rte_mempool *second = first == s->core->pools.small ? s->core->pools.frame : s->core->pools.small;
    struct rte_mbuf *m = rte_pktmbuf_alloc(first);
    if (!m) m = rte_pktmbuf_alloc(second);
    if (!m) {
        if (!s->broken) metric_add(&s->core->metrics.dropped_no_buffer, 1);
        session_break(s);
        return NULL;
    }
    buf_chain_append(&s->out, m);
    return m;
}

uint8_t *reply_room(struct session *s, uint32_t n)
{
    struct rte_mbuf *m = reply_buffer(s, n);
    return m ? rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len) : NULL;
}

void reply_wrote(struct session *s, uint32_t n)
{
    struct rte_mbuf *m = s->out.tail;
    m->data_len += (uint16_t)n;
    m->pkt_len = m->data_len;
    s->out.len += n;
}

void reply_bytes(struct session *s, const void *data, uint32_t n)
{
    const uint8_t *p = data;
    while (n) {
        struct rte_mbuf *m = reply_buffer(s, 1);
        if (!m) return;
        uint32_t take = RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(m));
        memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len), p, take);
        reply_wrote(s, take);
        p += take;
        n -= take;
    }
}

void reply_format(struct session *s, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0) reply_bytes(s, text, RTE_MIN((uint32_t)n, (uint32_t)sizeof text - 1));
}

static void copy_value(struct session *s, const struct op *op)
{
    const struct store *store = s->core->server->cores[op->owner].store;
    struct store_value v = op->value;
    do reply_bytes(s, v.data, v.data_len);
    while (v.data_len < op->value.len && store_next_fragment(store, &v));
}

void reply_value(struct session *s, struct op *op)
{
    struct core *core = s->core;
    uint32_t len = op->value.len;
    if (len <= core->config->inline_value) {
        copy_value(s, op);
        metric_add(&core->metrics.get_value_bytes_inline, len);
        return;
    }
    /* A held value is pinned already or was copied; a local one is pinned now. */
    bool copied = (op->flags & OP_HOLD) && !op->pin;
    if (!op->pin && !copied) op->pin = store_pin(core->store, op->value.item);
    if (op->pin && lease_append(core, op->owner, &op->value, op->pin, &s->out)) {
        op->pin = NULL;
        metric_add(&core->metrics.get_value_bytes_referenced, len);
        return;
    }
    copy_value(s, op);
    metric_add(&core->metrics.get_value_bytes_copied, len);
}
