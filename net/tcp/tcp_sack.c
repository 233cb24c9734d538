#include "net/tcp/tcp_sack.h"

#include <string.h>
#include <rte_byteorder.h>

enum { OPT_END = 0, OPT_NOP = 1, OPT_SACK = 5 };

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

/* The SACK option's blocks; NULL: there is none. The options as a whole are known to be well formed. */
static const uint8_t *option_find(const struct tcp_segment *s, unsigned *blocks)
{
    const uint8_t *p = s->options, *end = p + s->options_len;
    while (p < end && *p != OPT_END) {
        if (*p == OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p) return NULL;
        if (*p == OPT_SACK) {
            *blocks = (p[1] - 2u) / 8u;
            return p + 2;
        }
        p += p[1];
    }
    return NULL;
}

static bool within(const struct tcp_range *x, const struct tcp_range *y)
{
    return seq_ge(x->start, y->start) && seq_le(x->end, y->end);
}

/* RFC 2883 4: the first block reports a duplicate if it is acknowledged already, or lies within the second. */
static bool is_duplicate(const struct tcp_range *block, unsigned n, tcp_seq ack, tcp_seq nxt)
{
    if (seq_le(block[0].end, ack)) return true;
    return n > 1 && seq_gt(block[1].start, ack) && seq_le(block[1].end, nxt) && within(&block[0], &block[1]);
}

static void insert_sorted(struct tcp_sack *out, const struct tcp_range *block)
{
    unsigned i = out->count++;
    for (; i > 0 && seq_lt(block->start, out->block[i - 1].start); i--) out->block[i] = out->block[i - 1];
    out->block[i] = *block;
}

static void invalid(struct net_stack *st) { metric_add(&st->metrics.sack_invalid, 1); }

static void duplicate_take(struct net_stack *st, const struct tcp_conn *c, const struct tcp_range *block, tcp_seq ack,
                           struct tcp_sack *out)
{
    uint32_t reach = RTE_MAX(c->snd_wnd_max, UINT32_C(1) << 16); /* further back nothing can have been in flight of late */
    if (seq_gt(block->end, c->snd_max) || (seq_lt(block->start, ack) && ack - block->start > reach)) {
        invalid(st);
        return;
    }
    out->has_dup = true;
    out->dup = *block;
    metric_add(&st->metrics.dsacks_received, 1);
}

static unsigned blocks_read(const struct tcp_segment *s, struct tcp_range *block)
{
    unsigned n = 0;
    const uint8_t *p = option_find(s, &n);
    n = RTE_MIN(n, TCP_SACK_BLOCKS);
    for (unsigned i = 0; i < n; i++) block[i] = (struct tcp_range){load32(p + 8 * i), load32(p + 8 * i + 4)};
    return n;
}

bool tcp_sack_tells(const struct tcp_conn *c, const struct tcp_segment *s)
{
    struct tcp_range block[TCP_SACK_BLOCKS];
    unsigned n = blocks_read(s, block);
    for (unsigned i = 0; i < n; i++)
        if (seq_gt(block[i].start, s->ack) && seq_lt(block[i].start, block[i].end) && seq_le(block[i].end, c->snd_max))
            return true;
    return false;
}

void tcp_sack_parse(struct net_stack *st, const struct tcp_conn *c, const struct tcp_segment *s, struct tcp_sack *out)
{
    struct tcp_range block[TCP_SACK_BLOCKS];
    unsigned n = blocks_read(s, block);
    out->count = 0;
    out->has_dup = false;
    for (unsigned i = 0; i < n; i++) {
        if (seq_ge(block[i].start, block[i].end)) invalid(st);
        else if (i == 0 && is_duplicate(block, n, s->ack, c->snd_max)) duplicate_take(st, c, &block[0], s->ack, out);
        else if (seq_le(block[i].end, s->ack)) continue; /* old */
        else if (seq_le(block[i].start, s->ack) || seq_gt(block[i].end, c->snd_max)) invalid(st);
        else insert_sorted(out, &block[i]);
    }
}

void tcp_sack_duplicate(struct net_stack *st, struct tcp_conn *c, tcp_seq start, tcp_seq end)
{
    if (!(c->flags & TCPF_SACK) || seq_ge(start, end)) return;
    struct tcp_ooo *q = tcp_ooo_get(st, c);
    if (q) q->dup = (struct tcp_range){start, end};
}

unsigned tcp_sack_blocks(struct tcp_conn *c, struct tcp_range *out, unsigned max)
{
    struct tcp_ooo *q = c->ooo;
    unsigned n = 0;
    if (q->dup.start != q->dup.end) {
        out[n++] = q->dup;
        q->dup.end = q->dup.start; /* once: RFC 2883 4 */
        metric_add(&tcp_stack_of(c)->metrics.dsacks_sent, 1);
    }
    n += tcp_ooo_ranges(c, out + n, max - n);
    if (!q->head) tcp_ooo_put(tcp_stack_of(c), c);
    return n;
}
