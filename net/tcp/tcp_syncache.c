#include "net/tcp/tcp_syncache.h"

#include <errno.h>
#include <string.h>
#include "net/region.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_ecn.h"

#define TIMERS_MAX 256u /* entries a call of the timer */
#define WAIT_MAX_NS UINT64_C(60000000000) /* between two SYN-ACKs: RFC 6298 2.5; within the reach of sent_at */

int tcp_syncache_init(struct tcp_syncache *sc, uint32_t max)
{
    memset(sc, 0, sizeof *sc);
    sc->max = max;
    sc->entries = net_region_map((size_t)max * sizeof *sc->entries);
    return sc->entries ? 0 : -ENOMEM;
}

void tcp_syncache_fini(struct tcp_syncache *sc)
{
    net_region_unmap(sc->entries, (size_t)sc->max * sizeof *sc->entries);
}

void tcp_syn_entry_tuple(const struct tcp_syn_entry *e, struct tcp_tuple *t)
{
    tcp_addrs_tuple(&e->addrs, e->v6, t);
    t->ports = e->ports;
}

uint64_t tcp_syn_entry_key(const struct net_stack *st, const struct tcp_syn_entry *e)
{
    struct tcp_tuple t;
    tcp_syn_entry_tuple(e, &t);
    return tcp_tuple_key(st->key_secret, &t);
}

static struct tcp_handshake entry_handshake(const struct tcp_syn_entry *e)
{
    return (struct tcp_handshake){.iss = e->iss, .irs = e->irs, .ts_val = e->ts_val, .wnd = e->wnd, .mss = e->mss,
                                  .flags = e->flags, .scale = e->scale};
}

static uint64_t entry_waited(const struct net_stack *st, const struct tcp_syn_entry *e)
{
    return tcp_fine_since(e->sent_at, st->now);
}

/* Twice as long as the time before. RFC 6298 5.5. */
static uint64_t list_wait(const struct net_stack *st, unsigned list)
{
    return RTE_MIN(st->config.rto_initial_ns << list, WAIT_MAX_NS);
}

static void list_remove(struct tcp_syncache *sc, struct tcp_syn_entry *e)
{
    unsigned list = e->sent - 1u;
    if (e->prev) sc->entries[e->prev - 1].next = e->next;
    else sc->lists[list].oldest = e->next;
    if (e->next) sc->entries[e->next - 1].prev = e->prev;
    else sc->lists[list].newest = e->prev;
}

/* Behind those whose SYN-ACK was sent as often. */
static void list_append(struct net_stack *st, struct tcp_syn_entry *e)
{
    struct tcp_syncache *sc = &st->syncache;
    uint32_t ref = (uint32_t)(e - sc->entries) + 1;
    unsigned list = e->sent - 1u;
    e->sent_at = tcp_fine_at(st->now);
    e->prev = sc->lists[list].newest;
    e->next = 0;
    if (e->prev) sc->entries[e->prev - 1].next = ref;
    else sc->lists[list].oldest = ref;
    sc->lists[list].newest = ref;
}

static void entry_free(struct net_stack *st, struct tcp_syn_entry *e)
{
    struct tcp_syncache *sc = &st->syncache;
    tcp_table_remove(&st->table, tcp_syn_entry_key(st, e));
    tcp_addrs_drop(st, &e->addrs, e->v6);
    list_remove(sc, e);
    e->sent = 0;
    e->next = sc->free;
    sc->free = (uint32_t)(e - sc->entries) + 1;
    sc->count--;
    metric_sub(&st->metrics.half_open, 1);
}

/* The one that has waited longest: of those asked most often, the first. */
static void entry_evict(struct net_stack *st)
{
    struct tcp_syncache *sc = &st->syncache;
    unsigned list = TCP_SYN_ACK_SENDS - 1;
    while (!sc->lists[list].oldest) list--;
    entry_free(st, &sc->entries[sc->lists[list].oldest - 1]);
    metric_add(&st->metrics.syn_evicted, 1);
}

static struct tcp_syn_entry *entry_alloc(struct net_stack *st)
{
    struct tcp_syncache *sc = &st->syncache;
    uint32_t ref = sc->free;
    if (ref) sc->free = sc->entries[ref - 1].next;
    else ref = ++sc->used;
    sc->count++;
    metric_add(&st->metrics.half_open, 1);
    return &sc->entries[ref - 1];
}

/* mac: where to. */
static void entry_answer(struct net_stack *st, const struct tcp_syn_entry *e, const uint8_t *mac)
{
    struct tcp_header h;
    struct tcp_tuple t;
    struct tcp_handshake hs = entry_handshake(e);
    tcp_syn_entry_tuple(e, &t);
    tcp_header_write(st, &h, &t, mac);
    if (!tcp_frame_send_syn_ack(st, &h, &hs, st->ts_now)) metric_add(&st->metrics.tx_no_buffer, 1);
}

bool tcp_handshake_take(struct tcp_handshake *hs, const struct tcp_segment *s)
{
    struct tcp_options o;
    if (!tcp_options_parse(s->options, s->options_len, &o)) return false;
    *hs = (struct tcp_handshake){.irs = s->seq, .wnd = s->wnd, .scale = o.scale, .ts_val = o.ts_val};
    hs->mss = s->v6 ? TCP_MSS_DEFAULT_V6 : TCP_MSS_DEFAULT;
    if (o.mss) hs->mss = RTE_MAX(o.mss, (uint16_t)TCP_MSS_LEAST);
    if (o.has_ts) hs->flags |= TCP_HS_TS;
    if (o.has_scale) hs->flags |= TCP_HS_SCALE;
    if (o.sack_permitted) hs->flags |= TCP_HS_SACK;
    return true;
}

static void syn_answer(struct net_stack *st, struct tcp_segment *s, const struct tcp_handshake *hs, uint32_t ts)
{
    if (!tcp_frame_answer_syn(st, s, hs, ts)) metric_add(&st->metrics.tx_no_buffer, 1);
}

static void cookie_answer(struct net_stack *st, struct tcp_segment *s, struct tcp_handshake *hs)
{
    hs->flags &= (uint8_t)~TCP_HS_FAST_OPEN;
    uint32_t ts = tcp_cookie_make(st, s, hs);
    metric_add(&st->metrics.syn_cookies_sent, 1);
    syn_answer(st, s, hs, ts);
}

void tcp_syncache_open(struct net_stack *st, struct tcp_segment *s, const tcp_seq *above)
{
    struct tcp_syncache *sc = &st->syncache;
    struct tcp_handshake hs;
    if (!tcp_handshake_take(&hs, s)) {
        metric_add(&st->metrics.drop_tcp_header, 1);
        return;
    }
    if (tcp_ecn_syn_accepts(st, s->flags)) hs.flags |= TCP_HS_ECN;
    if (s->flags & TCP_FAST_OPEN_ASKED) hs.flags |= TCP_HS_FAST_OPEN;
    if (tcp_conns_full(st)) {
        metric_add(&st->metrics.drop_tcp_limit, 1);
        return;
    }
    bool full = sc->count == sc->max;
    enum net_syn_cookies cookies = st->config.syn_cookies;
    if (!above && (cookies == NET_SYN_COOKIES_ALWAYS || (full && cookies == NET_SYN_COOKIES_FULL))) {
        cookie_answer(st, s, &hs);
        return;
    }
    if (full) entry_evict(st);
    struct tcp_syn_entry *e = entry_alloc(st);
    struct tcp_tuple t;
    *e = (struct tcp_syn_entry){.irs = hs.irs, .ts_val = hs.ts_val, .wnd = hs.wnd, .mss = hs.mss, .sent = 1};
    e->scale = hs.scale & 15u;
    e->flags = hs.flags & 127u;
    e->iss = hs.iss = tcp_isn(st, s->key);
    if (above && !seq_gt(e->iss, *above)) e->iss = hs.iss = *above + 1;
    tcp_segment_tuple(s, &t);
    e->ports = t.ports;
    e->v6 = tcp_addrs_set(st, &e->addrs, &t);
    memcpy(e->mac, s->frame + 6, sizeof e->mac);
    tcp_table_insert(&st->table, s->key, (uint32_t)(e - sc->entries) | TCP_REF_SYN);
    list_append(st, e);
    syn_answer(st, s, &hs, st->ts_now);
}

/* Our SYN-ACK again serves as the challenge ACK of RFC 5961: who lost its memory resets us by the exact number. */
static void challenge(struct net_stack *st, const struct tcp_syn_entry *e, const struct tcp_segment *s)
{
    if (!rate_take(&st->challenge_rate, st->now)) return;
    metric_add(&st->metrics.challenge_acks, 1);
    entry_answer(st, e, s->frame + 6);
}

/* RFC 9293 3.10.7.4 in its order, for SYN-RECEIVED. True: s completes the handshake. */
static bool entry_completed(struct net_stack *st, struct tcp_syn_entry *e, const struct tcp_segment *s)
{
    tcp_seq rcv_nxt = e->irs + 1;
    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && s->seq == e->irs) { /* our answer was lost */
        e->asked_again = true;
        memcpy(e->mac, s->frame + 6, sizeof e->mac);
        entry_answer(st, e, e->mac);
        return false;
    }
    if (s->seq - rcv_nxt >= tcp_syn_window(st)) {
        metric_add(&st->metrics.drop_tcp_window, 1);
        if (!(s->flags & TCP_RST)) challenge(st, e, s);
        return false;
    }
    if (s->flags & TCP_RST && s->seq == rcv_nxt) {
        metric_add(&st->metrics.resets_received, 1);
        entry_free(st, e);
        return false;
    }
    if (s->flags & (TCP_RST | TCP_SYN)) {
        challenge(st, e, s);
        return false;
    }
    if (!(s->flags & TCP_ACK)) return false;
    if (s->ack != e->iss + 1) {
        tcp_frame_refuse(st, s);
        return false;
    }
    if (e->flags & TCP_HS_TS && s->has_ts && (int32_t)(s->ts_val - e->ts_val) < 0) {
        metric_add(&st->metrics.drop_tcp_paws, 1);
        return false;
    }
    return true;
}

struct tcp_conn *tcp_syncache_rx(struct net_stack *st, uint32_t ref, const struct tcp_segment *s)
{
    struct tcp_syn_entry *e = &st->syncache.entries[ref & ~TCP_REF_SYN];
    struct tcp_tuple t, own;
    tcp_segment_tuple(s, &t);
    tcp_syn_entry_tuple(e, &own);
    if (unlikely(!tcp_tuple_equal(&t, &own))) {
        metric_add(&st->metrics.drop_tcp_collision, 1);
        return NULL;
    }
    if (!entry_completed(st, e, s)) return NULL;
    if (tcp_conns_full(st)) { /* the entry stays: there may be room when the peer says more */
        metric_add(&st->metrics.drop_tcp_limit, 1);
        return NULL;
    }
    struct tcp_handshake hs = entry_handshake(e);
    uint64_t rtt = entry_waited(st, e);
    bool timed = e->sent == 1 && !e->asked_again;
    entry_free(st, e);
    struct tcp_conn *c = tcp_open_passive(st, s, &hs);
    if (timed) tcp_rtt_sample(st, c, rtt);
    return c;
}

static void entry_due(struct net_stack *st, struct tcp_syn_entry *e)
{
    if (e->sent == TCP_SYN_ACK_SENDS) {
        entry_free(st, e);
        metric_add(&st->metrics.syn_expired, 1);
        return;
    }
    list_remove(&st->syncache, e);
    e->sent++;
    list_append(st, e);
    metric_add(&st->metrics.syn_acks_again, 1);
    entry_answer(st, e, e->mac);
}

unsigned tcp_syncache_timers(struct net_stack *st)
{
    struct tcp_syncache *sc = &st->syncache;
    unsigned n = 0;
    if (sc->count == 0) return 0;
    for (unsigned list = TCP_SYN_ACK_SENDS; list-- > 0;) {
        for (uint32_t ref; n < TIMERS_MAX && (ref = sc->lists[list].oldest) != 0; n++) {
            if (entry_waited(st, &sc->entries[ref - 1]) < list_wait(st, list)) break;
            entry_due(st, &sc->entries[ref - 1]);
        }
    }
    return n;
}

uint64_t tcp_syncache_deadline(const struct net_stack *st)
{
    const struct tcp_syncache *sc = &st->syncache;
    uint64_t at = UINT64_MAX;
    for (unsigned list = 0; list < TCP_SYN_ACK_SENDS; list++) {
        uint32_t ref = sc->lists[list].oldest;
        if (!ref) continue;
        uint64_t waited = entry_waited(st, &sc->entries[ref - 1]), wait = list_wait(st, list);
        at = RTE_MIN(at, waited < wait ? st->now + (wait - waited) : st->now);
    }
    return at;
}
