/*
 * Segments joined in a burst, by the stack or by a device, against the same segments one by one: the same bytes, the
 * same acknowledgements, the same duplicates counted; and what must not be joined is not.
 */
#include <string.h>
#include "net/tcp/conn.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define LEN 1000u
#define BURST 16u

/* A burst on its way. */
struct burst {
    struct script *s;
    struct rte_mbuf *frames[BURST];
    uint16_t count;
};

static uint8_t pattern(uint32_t seq)
{
    return (uint8_t)(seq * 7 + (seq >> 8));
}

/* Payload byte i of the peer is pattern(1 + i). */
static struct rte_mbuf *segment(struct script *s, uint8_t flags, uint32_t seq, uint32_t len)
{
    uint8_t frame[SCRIPT_FRAME_BYTES], payload[1460];
    for (uint32_t i = 0; i < len; i++) payload[i] = pattern(seq + i);
    uint32_t val = rte_cpu_to_be_32(s->ts_val), ecr = rte_cpu_to_be_32(s->ts_ecr);
    uint8_t options[12] = {1, 1, 8, 10};
    memcpy(options + 4, &val, sizeof val);
    memcpy(options + 8, &ecr, sizeof ecr);
    uint32_t bytes = script_build(s, frame, flags, seq, 1, 65535, options, s->ts ? sizeof options : 0, payload, len);
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->pools.frame);
    assert_non_null(m);
    memcpy(rte_pktmbuf_append(m, (uint16_t)bytes), frame, bytes);
    return m;
}

static void add(struct burst *b, uint8_t flags, uint32_t seq, uint32_t len)
{
    assert_true(b->count < BURST);
    b->frames[b->count++] = segment(b->s, flags, seq, len);
}

static void flush(struct burst *b)
{
    net_stack_input(b->s->stack, b->frames, b->count, b->s->now);
    script_output(b->s);
    b->count = 0;
}

static uint8_t *header_of(const struct burst *b, unsigned i)
{
    return rte_pktmbuf_mtod(b->frames[i], uint8_t *);
}

static void mend(struct burst *b, unsigned i)
{
    script_checksum(header_of(b, i), b->frames[i]->data_len);
}

/* All bytes from `first` on that the application has, and takes, are the peer's. Returns how many. */
static uint32_t bytes_right(struct script *s, uint32_t first)
{
    uint32_t n = 0;
    for (const struct rte_mbuf *m = s->stream->rx.head; m; m = m->next)
        for (uint32_t i = 0; i < m->data_len; i++, n++)
            assert_int_equal(rte_pktmbuf_mtod(m, const uint8_t *)[i], pattern(first + n));
    assert_int_equal(n, s->stream->rx.len);
    buf_chain_consume(&s->stream->rx, n);
    s->stream->ops->consumed(s->stream, n);
    return n;
}

static uint64_t joined(const struct script *s)
{
    return net_stack_metrics(s->stack)->gro_joined;
}

static void a_burst_is_one_segment(void **state)
{
    (void)state;
    struct script s;
    struct burst b = {.s = &s};
    script_create(&s, NULL);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 8; i++) add(&b, A, 1 + i * LEN, LEN);
    add(&b, A | P, 1 + 8 * LEN, 700);
    flush(&b);
    assert_int_equal(joined(&s), 8);
    script_expect(&s, A, 1, 1 + 8 * LEN + 700, 0);
    script_expect_nothing(&s);
    assert_int_equal(bytes_right(&s, 1), 8 * LEN + 700);
    assert_int_equal(tcp_conn_of(s.stream)->rcv_mss, LEN); /* not nine times that, and not the link's */
    assert_int_equal(script_destroy(&s), 0);
}

/* RFC 5681 4.2: two full ones are owed an ACK at once, however they came; one is not. */
static void joined_ones_are_acknowledged_as_many(void **state)
{
    (void)state;
    struct script s;
    struct burst b = {.s = &s};
    script_create(&s, NULL);
    script_open(&s, 65535);
    add(&b, A, 1, LEN);
    flush(&b);
    script_wait(&s, 5 * SCRIPT_MS);
    script_expect(&s, A, 1, 1 + LEN, 0); /* held back */
    add(&b, A, 1 + LEN, LEN);
    add(&b, A, 1 + 2 * LEN, LEN);
    flush(&b);
    assert_int_equal(joined(&s), 1);
    script_expect(&s, A, 1, 1 + 3 * LEN, 0);
    add(&b, A, 1 + 3 * LEN, LEN);
    flush(&b);
    script_expect_nothing(&s);
    assert_int_equal(script_destroy(&s), 0);
}

/* What is done to the second of two segments that would otherwise be joined. */
static void seq_gap(struct burst *b)
{
    header_of(b, 1)[41] += 1;
}
static void ack_other(struct burst *b)
{
    header_of(b, 1)[45] -= 1;
}
static void window_other(struct burst *b)
{
    header_of(b, 1)[48] ^= 0x10;
}
static void urgent(struct burst *b)
{
    header_of(b, 1)[47] |= 0x20;
}
static void ece(struct burst *b)
{
    header_of(b, 1)[47] |= 0x40;
}
static void fin(struct burst *b)
{
    header_of(b, 1)[47] |= F;
}
static void no_ack(struct burst *b)
{
    header_of(b, 1)[47] = P;
}
static void marked(struct burst *b)
{
    header_of(b, 1)[15] |= 3;
}
static void both_marked(struct burst *b)
{
    header_of(b, 0)[15] |= 3, header_of(b, 1)[15] |= 3;
}
static void class_other(struct burst *b)
{
    header_of(b, 1)[15] |= 0x20;
}
static void ttl_other(struct burst *b)
{
    header_of(b, 1)[22] -= 1;
}
static void mac_other(struct burst *b)
{
    header_of(b, 1)[11] ^= 1;
}
static void pushed_before(struct burst *b)
{
    header_of(b, 0)[47] |= P;
}
static void sum_wrong(struct burst *b)
{
    header_of(b, 1)[60] ^= 1;
}

static void what_differs_stays_apart(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct burst *b);
        bool broken; /* its sum is not mended */
    } rows[] = {{seq_gap, 0},   {ack_other, 0}, {window_other, 0},  {urgent, 0},      {ece, 0},
                {fin, 0},       {no_ack, 0},    {marked, 0},        {both_marked, 0}, {class_other, 0},
                {ttl_other, 0}, {mac_other, 0}, {pushed_before, 0}, {sum_wrong, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t bytes[2];
        for (unsigned apart = 0; apart < 2; apart++) {
            struct script s;
            struct burst b = {.s = &s};
            script_create(&s, NULL);
            script_open(&s, 65535);
            add(&b, A, 1, LEN);
            add(&b, A, 1 + LEN, LEN);
            rows[i].change(&b);
            for (unsigned k = 0; k < 2 && !rows[i].broken; k++) mend(&b, k);
            if (apart) {
                net_stack_input(s.stack, b.frames, 1, s.now);
                net_stack_input(s.stack, b.frames + 1, 1, s.now);
                b.count = 0;
            }
            flush(&b);
            assert_int_equal(joined(&s), 0);
            bytes[apart] = bytes_right(&s, 1);
            assert_int_equal(script_destroy(&s), 0);
        }
        assert_int_equal(bytes[0], bytes[1]);
    }
}

/* The same but for options: timestamps alike are joined, others not. */
static void timestamps(void **state)
{
    (void)state;
    for (uint32_t later = 0; later < 2; later++) {
        struct script s;
        struct burst b = {.s = &s};
        script_create(&s, NULL);
        s.ts = true;
        script_open(&s, 65535);
        add(&b, A, 1, LEN);
        s.ts_val += later;
        add(&b, A, 1 + LEN, LEN);
        flush(&b);
        assert_int_equal(joined(&s), 1 - later);
        assert_int_equal(bytes_right(&s, 1), 2 * LEN);
        assert_int_equal(script_destroy(&s), 0);
    }
}

/* Small slices share a buffer; a longer one behind a shorter has begun something else. */
static void sizes(void **state)
{
    (void)state;
    struct script s;
    struct burst b = {.s = &s};
    script_create(&s, NULL);
    script_open(&s, 65535);
    for (uint32_t i = 0; i < 8; i++) add(&b, A, 1 + i * 100, 100);
    flush(&b);
    assert_int_equal(joined(&s), 0);
    assert_int_equal(bytes_right(&s, 1), 800);
    add(&b, A, 801, 600);
    add(&b, A, 1401, 900);
    flush(&b);
    assert_int_equal(joined(&s), 0);
    add(&b, A, 2301, 900);
    add(&b, A, 3201, 600);
    add(&b, A, 3801, 600); /* behind a short one */
    flush(&b);
    assert_int_equal(joined(&s), 1);
    assert_int_equal(bytes_right(&s, 801), 3600);
    assert_int_equal(script_destroy(&s), 0);
}

static unsigned acks_of(struct script *s, uint32_t ack)
{
    unsigned n = 0;
    while (s->head != s->tail) n += script_next(s).ack == ack;
    return n;
}

/* Behind a hole: a peer without SACK counts duplicates, and gets one for each segment. RFC 5681 4.2. */
static void duplicates_are_counted_as_many(void **state)
{
    (void)state;
    unsigned acks[2];
    for (unsigned apart = 0; apart < 2; apart++) {
        struct script s;
        struct burst b = {.s = &s};
        script_create(&s, NULL);
        script_open(&s, 65535);
        for (uint32_t i = 1; i < 5; i++) {
            add(&b, A, 1 + i * LEN, LEN);
            if (apart) flush(&b);
        }
        flush(&b);
        acks[apart] = acks_of(&s, 1);
        assert_int_equal(net_stack_metrics(s.stack)->out_of_order, 4);
        add(&b, A, 1, LEN);
        flush(&b);
        assert_int_equal(acks_of(&s, 1 + 5 * LEN), 1);
        assert_int_equal(bytes_right(&s, 1), 5 * LEN);
        assert_int_equal(script_destroy(&s), 0);
    }
    assert_int_equal(acks[0], 4);
    assert_int_equal(acks[1], 4);
}

static void vouched(struct net_stack_config *config)
{
    config->rx_checksum = true;
}

/* One frame of n segments as a device with LRO hands it over: a chain, its sum vouched for. */
static struct rte_mbuf *lro_frame(struct script *s, uint32_t seq, uint32_t n)
{
    struct rte_mbuf *m = segment(s, A, seq, LEN);
    for (uint32_t i = 1; i < n; i++) {
        struct rte_mbuf *more = rte_pktmbuf_alloc(s->pools.frame);
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(more, LEN);
        for (uint32_t k = 0; k < LEN; k++) p[k] = pattern(seq + i * LEN + k);
        assert_int_equal(rte_pktmbuf_chain(m, more), 0);
    }
    uint16_t total = rte_cpu_to_be_16((uint16_t)(m->pkt_len - 14));
    memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, 16), &total, sizeof total);
    m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO;
    m->tso_segsz = LEN;
    return m;
}

/* The device has joined them: as if the stack had, and as if nobody had. */
static void by_the_device(void **state)
{
    (void)state;
    struct script s;
    struct burst b = {.s = &s};
    script_create(&s, vouched);
    script_open(&s, 65535);
    b.frames[b.count++] = lro_frame(&s, 1, 8); /* longer than any packet of the link */
    flush(&b);
    assert_int_equal(joined(&s), 0);
    script_expect(&s, A, 1, 1 + 8 * LEN, 0);
    assert_int_equal(tcp_conn_of(s.stream)->rcv_mss, LEN);
    assert_int_equal(bytes_right(&s, 1), 8 * LEN);
    b.frames[b.count++] = lro_frame(&s, 1 + 9 * LEN, 4);
    flush(&b);
    assert_int_equal(acks_of(&s, 1 + 8 * LEN), 4);
    assert_int_equal(net_stack_metrics(s.stack)->out_of_order, 4);
    b.frames[b.count++] = lro_frame(&s, 1 + 6 * LEN, 3); /* overlaps what has come on both sides but for one */
    flush(&b);
    assert_int_equal(acks_of(&s, 1 + 13 * LEN), 1);
    assert_int_equal(bytes_right(&s, 1 + 8 * LEN), 5 * LEN);
    assert_int_equal(script_destroy(&s), 0);
}

/* 64 KB of which all but the end has come before: offsets beyond 16 bits. */
static void a_long_one_mostly_known(void **state)
{
    (void)state;
    struct script s;
    struct burst b = {.s = &s};
    script_create(&s, vouched);
    script_open(&s, 65535);
    b.frames[b.count++] = lro_frame(&s, 1, 64);
    flush(&b);
    assert_int_equal(bytes_right(&s, 1), 64 * LEN);
    b.frames[b.count++] = lro_frame(&s, 1, 65);
    flush(&b);
    assert_int_equal(bytes_right(&s, 1 + 64 * LEN), LEN);
    assert_int_equal(script_destroy(&s), 0);
}

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 8;
}

/* Any order, any bursts, some twice: the bytes come as they were sent. */
static void bursts_of_all_kinds(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 40; seed++) {
        uint32_t x = seed, have = 0, most = 24;
        struct script s;
        struct burst b = {.s = &s};
        script_create(&s, NULL);
        script_open(&s, 65535);
        for (unsigned round = 0; round < 400 && have < most; round++) {
            uint32_t at = next_random(&x) % most, n = 1 + next_random(&x) % 8;
            for (uint32_t i = at; i < at + n && i < most; i++)
                add(&b, (uint8_t)(next_random(&x) % 8 ? A : A | P), 1 + i * LEN, LEN);
            flush(&b);
            have += bytes_right(&s, 1 + have * LEN) / LEN;
            s.head = s.tail;
        }
        assert_int_equal(have, most);
        assert_true(joined(&s) > 0);
        assert_int_equal(script_destroy(&s), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_one_segment),
        cmocka_unit_test(joined_ones_are_acknowledged_as_many),
        cmocka_unit_test(what_differs_stays_apart),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(sizes),
        cmocka_unit_test(duplicates_are_counted_as_many),
        cmocka_unit_test(by_the_device),
        cmocka_unit_test(a_long_one_mostly_known),
        cmocka_unit_test(bursts_of_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
