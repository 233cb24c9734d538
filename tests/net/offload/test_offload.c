/*
 * What a device does for us against what we do ourselves: two stacks over a wire of two faked devices, which fill in
 * checksums, cut long frames, verify, scatter and join as real ones do. Every combination, over both families, with and
 * without a VLAN tag, at 1,500 and 9,000 bytes, carries the same bytes, and each frame on the wire is right.
 */
#include <netinet/in.h>
#include <string.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/stack.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/support/eal.h"

#define BYTES 300000u
#define PIECE 1300u
#define QUEUE 1024u
#define FRAME_MAX 70000u
#define TSO_MOST 60000u
#define TURN_NS 20000u
#define TURNS 20000u

enum tx { TX_SOFTWARE, TX_CHECKSUMS, TX_TSO, TX_KINDS };
enum rx { RX_SOFTWARE, RX_VERIFIED, RX_SCATTERED, RX_LRO, RX_KINDS };

struct test_case {
    bool v6;
    uint16_t vlan, mtu;
    enum tx tx;
    enum rx rx;
};

struct end {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools pools;
    struct stream *stream;
    struct end *peer;
    const struct test_case *now;
    struct rte_mbuf *queue[QUEUE]; /* frames that have arrived */
    uint32_t head, tail;
    uint32_t offered, received;
    uint64_t chained, cut, joined; /* frames sent in several buffers, cut by the device, joined by it */
};

static uint8_t pattern(uint32_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) * 3);
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}

/* Offsets of a frame. */
struct layout {
    uint32_t ip, tcp, payload;
};

static struct layout layout_of(const struct test_case *k, const uint8_t *f)
{
    uint32_t ip = 14 + (k->vlan ? 4u : 0), tcp = ip + (k->v6 ? 40u : 20u);
    return (struct layout){ip, tcp, tcp + (f[tcp + 12] >> 4) * 4u};
}

static uint64_t pseudo(const struct test_case *k, const uint8_t *ip, uint32_t len)
{
    uint64_t addrs = k->v6 ? checksum_sum(ip + 8, 32) : checksum_sum(ip + 12, 8);
    return addrs + rte_cpu_to_be_16(IPPROTO_TCP) + rte_cpu_to_be_16((uint16_t)len);
}

static bool is_tcp(const struct test_case *k, const uint8_t *f)
{
    uint32_t ip = 14 + (k->vlan ? 4u : 0);
    return get16(f + ip - 2) == (k->v6 ? 0x86ddu : 0x0800u) && f[ip + (k->v6 ? 6 : 9)] == IPPROTO_TCP;
}

/* What the offload flags ask for is done; what is then on the wire is right, whoever did it. */
static void checksums(const struct test_case *k, uint8_t *f, uint32_t len, uint64_t flags)
{
    struct layout at = layout_of(k, f);
    uint16_t sum;
    if (flags & RTE_MBUF_F_TX_TCP_CKSUM) { /* the field holds the pseudo-header's sum */
        sum = (uint16_t)~checksum_fold(checksum_sum(f + at.tcp, len - at.tcp));
        memcpy(f + at.tcp + 16, &sum, 2);
    }
    if (flags & RTE_MBUF_F_TX_IP_CKSUM) {
        sum = (uint16_t)~checksum_fold(checksum_sum(f + at.ip, 20));
        memcpy(f + at.ip + 10, &sum, 2);
    }
    assert_int_equal(checksum_fold(pseudo(k, f + at.ip, len - at.tcp) + checksum_sum(f + at.tcp, len - at.tcp)),
                     0xffff);
    if (!k->v6) assert_int_equal(checksum_fold(checksum_sum(f + at.ip, 20)), 0xffff);
}

static struct rte_mbuf *buffer(struct end *to, const uint8_t *bytes, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(to->pools.frame);
    assert_non_null(m);
    memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
    return m;
}

/* The headers in the first buffer, the rest in pieces of odd lengths. */
static struct rte_mbuf *scattered(struct end *to, const uint8_t *f, uint32_t len)
{
    uint32_t first = RTE_MIN(len, 140u);
    struct rte_mbuf *m = buffer(to, f, first);
    for (uint32_t at = first; at < len; at += 333)
        assert_int_equal(rte_pktmbuf_chain(m, buffer(to, f + at, RTE_MIN(len - at, 333u))), 0);
    return m;
}

/* Appends the segment to the one that arrived before it, as LRO does. False: it does not follow. */
static bool join(struct end *to, const uint8_t *f, uint32_t len)
{
    struct layout at = layout_of(to->now, f);
    struct rte_mbuf *m = to->head != to->tail ? to->queue[(to->tail - 1) % QUEUE] : NULL;
    uint32_t n = len - at.payload;
    if (!m || n == 0 || m->data_len < at.payload || f[at.tcp + 13] != 0x10) return false;
    uint8_t *g = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t before = m->pkt_len - at.payload, seq = get16(g + at.tcp + 4) << 16 | get16(g + at.tcp + 6);
    bool follows = (get16(f + at.tcp + 4) << 16 | get16(f + at.tcp + 6)) == seq + before;
    if (!follows || before == 0 || m->pkt_len + n > 60000 || memcmp(g, f, 12) != 0) return false;
    if (m->tso_segsz == 0) m->tso_segsz = (uint16_t)before;
    if (n > m->tso_segsz || memcmp(g + at.tcp + 20, f + at.tcp + 20, at.payload - at.tcp - 20) != 0) return false;
    m->ol_flags |= RTE_MBUF_F_RX_LRO;
    assert_int_equal(rte_pktmbuf_chain(m, buffer(to, f + at.payload, n)), 0);
    put16(g + at.ip + (to->now->v6 ? 4 : 2), m->pkt_len - (to->now->v6 ? at.tcp : at.ip));
    to->joined++;
    return true;
}

static void arrive(struct end *to, const uint8_t *f, uint32_t len)
{
    const struct test_case *k = to->now;
    bool tcp = is_tcp(k, f);
    if (k->rx == RX_LRO && tcp && join(to, f, len)) return;
    assert_true(to->tail - to->head < QUEUE);
    struct rte_mbuf *m = k->rx == RX_SCATTERED ? scattered(to, f, len) : buffer(to, f, len);
    if (k->rx == RX_VERIFIED || k->rx == RX_LRO)
        m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD | (k->v6 ? 0 : RTE_MBUF_F_RX_IP_CKSUM_GOOD);
    to->queue[to->tail++ % QUEUE] = m;
}

/* One frame becomes segments of tso_segsz: each with its number, PSH and FIN in the last one. */
static void cut(struct end *from, uint8_t *f, uint32_t len, uint16_t size, uint64_t flags)
{
    static uint8_t g[FRAME_MAX];
    const struct test_case *k = from->now;
    struct layout at = layout_of(k, f);
    uint32_t seq = get16(f + at.tcp + 4) << 16 | get16(f + at.tcp + 6);
    for (uint32_t done = at.payload; done < len; done += size) {
        uint32_t n = RTE_MIN(len - done, (uint32_t)size);
        memcpy(g, f, at.payload);
        memcpy(g + at.payload, f + done, n);
        put32(g + at.tcp + 4, seq + done - at.payload);
        if (done + n < len) g[at.tcp + 13] &= 0xf6;
        put16(g + at.ip + 2, at.payload - at.ip + n);
        put16(g + at.tcp + 16, 0);
        uint16_t part = checksum_fold(pseudo(k, g + at.ip, at.payload - at.tcp + n));
        memcpy(g + at.tcp + 16, &part, 2);
        checksums(k, g, at.payload + n, flags);
        assert_true(at.payload + n <= k->mtu + at.ip);
        arrive(from->peer, g, at.payload + n);
        from->cut++;
    }
}

static void device_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    static uint8_t f[FRAME_MAX];
    struct end *e = arg;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        uint32_t len = m->pkt_len;
        const void *bytes = rte_pktmbuf_read(m, 0, len, f);
        assert_non_null(bytes);
        if (bytes != f) memcpy(f, bytes, len);
        e->chained += m->nb_segs > 1;
        if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
            cut(e, f, len, m->tso_segsz, m->ol_flags);
        } else {
            if (is_tcp(e->now, f)) {
                if (e->now->tx != TX_SOFTWARE)
                    assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM);
                else
                    assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK, 0);
                checksums(e->now, f, len, m->ol_flags);
            }
            assert_true(len <= e->now->mtu + 14u + (e->now->vlan ? 4 : 0));
            arrive(e->peer, f, len);
        }
        rte_pktmbuf_free(m);
    }
}

static void offer(struct end *e)
{
    while (e->offered < BYTES && e->stream->tx_queued < (128u << 10)) {
        struct buf_chain chain;
        uint32_t n = RTE_MIN(PIECE - e->offered % 7, BYTES - e->offered);
        struct rte_mbuf *m = rte_pktmbuf_alloc(e->pools.frame);
        assert_non_null(m);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
        for (uint32_t i = 0; i < n; i++) p[i] = pattern(e->offered++);
        buf_chain_init(&chain);
        buf_chain_append(&chain, m);
        e->stream->ops->send(e->stream, &chain);
    }
    e->stream->ops->flush(e->stream);
}

static void take(struct end *e)
{
    struct stream *s;
    while ((s = stream_loop_pop(&e->loop)) != NULL) {
        s->events = 0;
        e->stream = s;
        for (const struct rte_mbuf *m = s->rx.head; m; m = m->next)
            for (uint32_t i = 0; i < m->data_len; i++)
                assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[i], pattern(e->received++));
        uint32_t n = s->rx.len;
        buf_chain_consume(&s->rx, n);
        s->ops->consumed(s, n);
    }
}

static void accepted(void *arg, struct stream *s)
{
    ((struct end *)arg)->stream = s;
}

static struct net_addr address(const struct test_case *k, unsigned i)
{
    return k->v6 ? (struct net_addr){.bytes = {0xfd, [15] = (uint8_t)(i + 1)}} : net_addr_v4(RTE_IPV4(10, 0, 0, i + 1));
}

static void end_create(struct end *e, struct end *peer, const struct test_case *k, unsigned i)
{
    struct net_stack_config config;
    memset(e, 0, sizeof *e);
    e->peer = peer;
    e->now = k;
    test_pools_create(&e->pools, 2047, k->mtu + 128u);
    net_stack_config_default(&config);
    assert_int_equal(net_stack_config_address(&config, address(k, i), k->v6 ? 64 : 24), 0);
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(i + 1)}, 6);
    config.secret[0] = 1;
    config.secret[1] = 2;
    config.max_connections = 16;
    config.mtu = k->mtu;
    config.vlan = k->vlan;
    config.tx_ip_checksum = config.tx_tcp_checksum = k->tx != TX_SOFTWARE;
    config.tso_most = k->tx == TX_TSO ? TSO_MOST : 0;
    config.rx_checksum = k->rx == RX_VERIFIED || k->rx == RX_LRO;
    config.pools = &e->pools;
    config.loop = &e->loop;
    config.tx = device_tx;
    config.tx_arg = e;
    assert_int_equal(net_stack_create(&e->stack, &config), 0);
    assert_int_equal(net_listen(e->stack, 7, accepted, e), 0);
}

static void turn(struct end *e, uint64_t now)
{
    struct rte_mbuf *frames[16];
    uint16_t n = 0;
    while (n < 16 && e->head != e->tail) frames[n++] = e->queue[e->head++ % QUEUE];
    net_stack_input(e->stack, frames, n, now);
    net_stack_timers(e->stack, now);
    take(e);
    if (e->stream && e->received + e->offered > 0) offer(e);
    net_stack_output(e->stack, now);
}

static uint64_t drops(const struct end *e)
{
    const struct net_metrics *m = net_stack_metrics(e->stack);
    return m->drop_ip_header + m->drop_ip_checksum + m->drop_tcp_header + m->drop_tcp_checksum + m->drop_vlan +
           m->drop_ip_fragment + m->drop_ethernet;
}

/* Both ends send BYTES to one another. */
static void carry(const struct test_case *k)
{
    static struct end a, b;
    uint64_t now = 1000000000;
    end_create(&a, &b, k, 0);
    end_create(&b, &a, k, 1);
    assert_int_equal(net_connect(a.stack, (struct net_endpoint){address(k, 1), 7}, now, &a.stream), 0);
    for (unsigned i = 0; i < TURNS && (a.received < BYTES || b.received < BYTES); i++, now += TURN_NS) {
        if (b.stream && a.offered == 0) offer(&a);
        turn(&a, now);
        turn(&b, now);
    }
    assert_int_equal(a.received, BYTES);
    assert_int_equal(b.received, BYTES);
    assert_int_equal(drops(&a) + drops(&b), 0);
    assert_true(a.chained > 0);
    if (k->tx == TX_TSO && !k->v6) assert_true(a.cut > 0);
    if (k->rx == RX_LRO)
        assert_true(a.joined + b.joined > 0);
    else if (k->rx == RX_SOFTWARE)
        assert_true(net_stack_metrics(b.stack)->gro_joined > 0);
    for (struct end *e = &a; e; e = e == &a ? &b : NULL) {
        while (e->head != e->tail) rte_pktmbuf_free(e->queue[e->head++ % QUEUE]);
        net_stack_destroy(&e->stack);
        assert_int_equal(buf_pools_in_use(&e->pools), 0);
        buf_pools_destroy(&e->pools);
    }
}

static void every_way_carries_the_same(void **state)
{
    (void)state;
    test_eal_start();
    for (unsigned i = 0; i < 8u * TX_KINDS * RX_KINDS; i++) {
        struct test_case k = {.v6 = i & 1, .vlan = i & 2 ? 5 : 0, .mtu = i & 4 ? 9000 : 1500};
        k.tx = (enum tx)(i / 8 % TX_KINDS);
        k.rx = (enum rx)(i / 8 / TX_KINDS);
        carry(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_carries_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
