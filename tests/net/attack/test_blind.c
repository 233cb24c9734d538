/*
 * Floods by somebody who knows addresses and ports of a connection and sees nothing of it: thirty forged segments to
 * each end for each that carries its data. It stays, every byte is right, it takes hardly longer, and what is answered
 * stays within the limits of rate. RFC 5961.
 */
#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/loss/transfer.h"
#include "net/stack_impl.h"
#include "net/tcp/tcp.h"
#include "tests/net/sim/script.h"

#define BYTES 1000000u
#define FORGED 30u /* frames to each end, for each frame with payload */
#define LIMIT_NS UINT64_C(20000000000)
#define TCP_AT 34u
#define CHALLENGES 10u /* a span of time, of which any two may meet */
#define CHALLENGE_SPAN_NS (UINT64_C(1) << 32)

struct flood {
    uint8_t flags;
    uint32_t len;
    bool near; /* numbers within the window, but not what is expected next */
    uint64_t forged;
};

/* The end of the connection at that host. */
static const struct tcp_conn *end_of(const struct transfer *t, unsigned host)
{
    return tcp_conn_of(host == 0 ? t->from : t->to);
}

static void forge(struct transfer *t, const struct flood *f, unsigned to)
{
    uint8_t frame[SCRIPT_FRAME_BYTES] = {2, 0, 0, 0, 0, (uint8_t)(1 + to), 2, 0, 0, 0, 0, (uint8_t)(2 - to), 8, 0};
    uint8_t ip[12] = {0x45, 0, (uint8_t)((40 + f->len) >> 8), (uint8_t)(40 + f->len), 0, 0, 0x40, 0, 64, 6};
    const struct tcp_conn *c = end_of(t, to);
    struct tcp_tuple tuple;
    tcp_conn_tuple(c, &tuple);
    uint32_t seq = (uint32_t)sim_random(&t->wire), ack = (uint32_t)sim_random(&t->wire);
    if (f->near) { /* what it acknowledges gives it away */
        seq = c->rcv_nxt + 1 + seq % 1000;
        ack = c->snd_nxt + (1u << 30) + ack % (1u << 30);
    }
    uint16_t ports[2] = {rte_cpu_to_be_16(tcp_tuple_remote_port(tuple.ports)),
                         rte_cpu_to_be_16(tcp_tuple_local_port(tuple.ports))};
    uint32_t addrs[2] = {rte_cpu_to_be_32(sim_ip(!to)), rte_cpu_to_be_32(sim_ip(to))};
    uint32_t numbers[2] = {rte_cpu_to_be_32(seq), rte_cpu_to_be_32(ack)};
    memcpy(frame + 14, ip, sizeof ip);
    memcpy(frame + 26, addrs, sizeof addrs);
    memcpy(frame + TCP_AT, ports, sizeof ports);
    memcpy(frame + TCP_AT + 4, numbers, sizeof numbers);
    memcpy(frame + TCP_AT + 12, (uint8_t[]){0x50, f->flags, 0xff, 0xff}, 4);
    memset(frame + TCP_AT + 20, 0xee, f->len);
    script_checksum(frame, TCP_AT + 20 + f->len);
    sim_wire_inject(&t->wire, to, frame, TCP_AT + 20 + f->len);
}

static bool flooded(struct transfer *t, uint32_t seq, uint32_t len)
{
    struct flood *f = t->arg;
    (void)seq, (void)len;
    for (unsigned i = 0; i < 2 * FORGED; i++) forge(t, f, i & 1);
    f->forged += 2 * FORGED;
    return true;
}

/* What is in flight, and what is forged beside it, fits the buffers of a host. */
static void window_of_64k(unsigned host, struct net_stack_config *config)
{
    (void)host;
    config->rx_window = 65536;
}

static uint64_t undisturbed_ns(void)
{
    struct transfer t = {0};
    struct sim_faults faults = {.latency_ns = 50000};
    transfer_create(&t, 1, &faults, window_of_64k);
    assert_true(transfer_run(&t, BYTES, LIMIT_NS));
    uint64_t ns = t.done - t.started;
    assert_int_equal(transfer_destroy(&t), 0);
    return ns;
}

static void flood_with(uint8_t flags, uint32_t len, bool near)
{
    struct flood f = {.flags = flags, .len = len, .near = near};
    struct transfer t = {.data_filter = flooded, .arg = &f};
    struct sim_faults faults = {.latency_ns = 50000};
    transfer_create(&t, 1, &faults, window_of_64k);
    assert_true(transfer_run(&t, BYTES, LIMIT_NS));
    assert_true(f.forged > 2 * FORGED * (BYTES / 1460));
    uint64_t ns = t.done - t.started, at_most = 2 * undisturbed_ns();
    assert_in_range(ns, 1, at_most);
    for (unsigned host = 0; host < SIM_HOSTS; host++) {
        const struct net_metrics *m = transfer_metrics(&t, host);
        assert_int_equal(m->resets_received, 0);
        assert_in_range(m->challenge_acks, 0, CHALLENGES * (2 + ns / CHALLENGE_SPAN_NS));
        assert_int_equal(m->connections, 1);
    }
    assert_true(transfer_run(&t, BYTES / 10, LIMIT_NS)); /* and goes on */
    assert_int_equal(transfer_destroy(&t), 0);
}

static void test_reset(void **state)
{
    (void)state;
    flood_with(R, 0, false);
    flood_with(R | A, 0, false);
}

static void test_reset_in_the_window(void **state)
{
    (void)state;
    flood_with(R, 0, true);
    flood_with(R | A, 0, true);
}

static void test_syn(void **state)
{
    (void)state;
    flood_with(S, 0, false);
    flood_with(S | A, 0, false);
    flood_with(S, 0, true);
}

static void test_data(void **state)
{
    (void)state;
    flood_with(P | A, 100, false);
    flood_with(P | A, 100, true); /* RFC 5961 5.2 */
}

static void test_ack(void **state)
{
    (void)state;
    flood_with(A, 0, false);
    flood_with(A, 0, true);
}

static void test_fin(void **state)
{
    (void)state;
    flood_with(F | A, 0, false);
    flood_with(F | A, 0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset), cmocka_unit_test(test_reset_in_the_window),
        cmocka_unit_test(test_syn),   cmocka_unit_test(test_data),
        cmocka_unit_test(test_ack),   cmocka_unit_test(test_fin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
