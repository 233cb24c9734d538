#include "net/tcp/tcp_time_wait.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "net/region.h"
#include "net/tcp/tcp.h"

int tcp_time_wait_init(struct tcp_time_wait *tw, uint32_t max)
{
    memset(tw, 0, sizeof *tw);
    tw->max = max;
    tw->records = net_region_map((size_t)max * sizeof *tw->records);
    return tw->records ? 0 : -ENOMEM;
}

void tcp_time_wait_fini(struct tcp_time_wait *tw) { net_region_unmap(tw->records, (size_t)tw->max * sizeof *tw->records); }

static void list_remove(struct tcp_time_wait *tw, struct tcp_time_wait_record *r)
{
    if (r->prev) tw->records[r->prev - 1].next = r->next;
    else tw->oldest = r->next;
    if (r->next) tw->records[r->next - 1].prev = r->prev;
    else tw->newest = r->prev;
}

static void list_append(struct tcp_time_wait *tw, struct tcp_time_wait_record *r)
{
    uint32_t ref = (uint32_t)(r - tw->records) + 1;
    r->prev = tw->newest;
    r->next = 0;
    if (tw->newest) tw->records[tw->newest - 1].next = ref;
    else tw->oldest = ref;
    tw->newest = ref;
}

static void record_free(struct net_stack *st, struct tcp_time_wait_record *r)
{
    struct tcp_time_wait *tw = &st->time_wait;
    tcp_table_remove(&st->table, r->key);
    list_remove(tw, r);
    r->key = 0;
    r->next = tw->free;
    tw->free = (uint32_t)(r - tw->records) + 1;
    metric_sub(&st->metrics.time_wait, 1);
}

static struct tcp_time_wait_record *record_alloc(struct net_stack *st)
{
    struct tcp_time_wait *tw = &st->time_wait;
    if (!tw->free && tw->used == tw->max) record_free(st, &tw->records[tw->oldest - 1]);
    uint32_t ref = tw->free;
    if (ref) tw->free = tw->records[ref - 1].next;
    else ref = ++tw->used;
    metric_add(&st->metrics.time_wait, 1);
    return &tw->records[ref - 1];
}

static void record_ack(struct net_stack *st, const struct tcp_time_wait_record *r, const uint8_t *mac)
{
    uint32_t ts[2] = {st->ts_now, r->ts_recent};
    struct tcp_header h;
    tcp_header_write(st, &h, &r->tuple, mac);
    tcp_frame_send_bare(st, &h, r->snd_nxt, r->rcv_nxt, TCP_ACK, r->ts ? ts : NULL);
}

/* Back to where s came from. */
static void record_answer(struct net_stack *st, const struct tcp_time_wait_record *r, const struct tcp_segment *s)
{
    record_ack(st, r, s->frame + 6);
}

void tcp_time_wait_enter(struct net_stack *st, const struct tcp_conn *c)
{
    struct tcp_time_wait_record *r = record_alloc(st);
    tcp_conn_tuple(c, &r->tuple);
    r->key = tcp_conn_key(st, c);
    r->until = st->now + st->config.time_wait_ns;
    r->snd_nxt = c->snd_max;
    r->rcv_nxt = c->rcv_nxt;
    r->ts_recent = c->ts_recent;
    r->ts = c->flags & TCPF_TS;
    tcp_table_replace(&st->table, r->key, (uint32_t)(r - st->time_wait.records) | TCP_REF_TIME_WAIT);
    list_append(&st->time_wait, r);
    if (c->last_ack != c->rcv_nxt) record_ack(st, r, c->mac);
}

/* A SYN later than everything of the old connection, by timestamp or by sequence number. RFC 6191 2, RFC 9293 3.6.1. */
static bool reopens(const struct tcp_time_wait_record *r, const struct tcp_segment *s)
{
    struct tcp_options o;
    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) return false;
    if (!tcp_options_parse(s->options, s->options_len, &o)) return false;
    if (r->ts && o.has_ts && (int32_t)(o.ts_val - r->ts_recent) > 0) return true;
    return seq_gt(s->seq, r->rcv_nxt) && !(r->ts && o.has_ts && o.ts_val != r->ts_recent);
}

/* Our new numbers begin above the old ones: a late segment of the old connection is out of the new one's window. */
static void reopen(struct net_stack *st, struct tcp_time_wait_record *r, struct tcp_segment *s)
{
    tcp_seq above = r->snd_nxt + UINT16_MAX;
    record_free(st, r);
    metric_add(&st->metrics.time_wait_reused, 1);
    tcp_syncache_open(st, s, &above);
}

void tcp_time_wait_rx(struct net_stack *st, uint32_t ref, struct tcp_segment *s)
{
    struct tcp_time_wait_record *r = &st->time_wait.records[ref & ~TCP_REF_TIME_WAIT];
    struct tcp_tuple t;
    tcp_segment_tuple(s, &t);
    if (unlikely(!tcp_tuple_equal(&t, &r->tuple))) {
        metric_add(&st->metrics.drop_tcp_collision, 1);
        return;
    }
    if (s->flags & TCP_RST) { /* RFC 1337: it does not end TIME-WAIT */
        metric_add(&st->metrics.drop_tcp_time_wait, 1);
        return;
    }
    if (reopens(r, s) && tcp_listener_of(st, s)) {
        reopen(st, r, s);
        return;
    }
    if (s->flags & TCP_FIN && s->seq + s->len + 1 == r->rcv_nxt) { /* our ACK was lost: start again */
        r->until = st->now + st->config.time_wait_ns;
        list_remove(&st->time_wait, r);
        list_append(&st->time_wait, r);
        record_answer(st, r, s);
    } else if (s->len || s->flags & (TCP_SYN | TCP_FIN) || s->seq != r->rcv_nxt) {
        metric_add(&st->metrics.drop_tcp_time_wait, 1);
        if (rate_take(&st->challenge_rate, st->now)) record_answer(st, r, s);
    }
}

unsigned tcp_time_wait_expire(struct net_stack *st)
{
    struct tcp_time_wait *tw = &st->time_wait;
    unsigned n = 0;
    for (; tw->oldest && tw->records[tw->oldest - 1].until <= st->now; n++)
        record_free(st, &tw->records[tw->oldest - 1]);
    return n;
}

uint64_t tcp_time_wait_deadline(const struct tcp_time_wait *tw)
{
    return tw->oldest ? tw->records[tw->oldest - 1].until : UINT64_MAX;
}
