/* What a driver says of its hash is believed when the frames prove it. The device is played by the test. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "net/rss.h"

#define QUEUES 4u

static struct rss rss;
static uint8_t bytes[64];
static struct rte_mbuf frame;

static uint32_t hash_of(uint32_t number)
{
    return toeplitz_ipv4(rss.key, htonl(0x0a000000 + number), htonl(0x0a090001), htons((uint16_t)(1024 + number)),
                         htons(11211));
}

static struct rte_mbuf *received(uint32_t number, uint32_t hash)
{
    uint32_t addresses[2] = {htonl(0x0a000000 + number), htonl(0x0a090001)};
    uint16_t ports[2] = {htons((uint16_t)(1024 + number)), htons(11211)};
    memset(&frame, 0, sizeof frame);
    memset(bytes, 0, sizeof bytes);
    bytes[12] = 8;
    bytes[14] = 0x45;
    bytes[23] = 6;
    memcpy(bytes + 26, addresses, sizeof addresses);
    memcpy(bytes + 34, ports, sizeof ports);
    frame.buf_addr = bytes;
    frame.data_len = sizeof bytes;
    frame.ol_flags = RTE_MBUF_F_RX_RSS_HASH;
    frame.hash.rss = hash;
    return &frame;
}

static int fresh(void **state)
{
    (void)state;
    memset(&rss, 0, sizeof rss);
    for (unsigned i = 0; i < sizeof rss.key; i++) rss.key[i] = (uint8_t)(i * 73 + 41);
    rss.table_size = 128;
    for (unsigned i = 0; i < rss.table_size; i++) rss.table[i] = (uint16_t)(i * 5 % QUEUES);
    return 0;
}

static void observe(uint32_t number, uint32_t hash, uint16_t queue)
{
    struct rte_mbuf *m = received(number, hash);
    rss_observe(&rss, queue, &m, 1);
}

static void agreeing_frames_prove(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RSS_PROOFS; i++) {
        assert_false(rss_proved(&rss));
        observe(i, hash_of(i), rss.table[hash_of(i) % rss.table_size]);
    }
    assert_true(rss_proved(&rss));
    observe(99, 1, 0); /* no longer looked at */
    assert_true(rss_proved(&rss));
    unsigned count[QUEUES] = {0};
    for (uint16_t port = 32768; port < 33768; port++)
        count[rss_queue(&rss, htonl(0x0a000005), htonl(0x0a090001), htons(80), htons(port))]++;
    for (unsigned q = 0; q < QUEUES; q++) assert_in_range(count[q], 150, 350);
}

static void another_hash_refutes(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RSS_PROOFS - 1; i++) observe(i, hash_of(i), rss.table[hash_of(i) % rss.table_size]);
    observe(77, hash_of(77) ^ 0x80000000u, rss.table[hash_of(77) % rss.table_size]);
    observe(78, hash_of(78), rss.table[hash_of(78) % rss.table_size]);
    assert_false(rss_proved(&rss));
    assert_true(rss_settled(&rss));
}

static void another_queue_refutes(void **state)
{
    (void)state;
    observe(3, hash_of(3), (uint16_t)((rss.table[hash_of(3) % rss.table_size] + 1) % QUEUES));
    for (uint32_t i = 0; i < 2 * RSS_PROOFS; i++) observe(i, hash_of(i), rss.table[hash_of(i) % rss.table_size]);
    assert_false(rss_proved(&rss));
}

static void frames_without_a_hash_prove_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2 * RSS_PROOFS; i++) {
        struct rte_mbuf *m = received(i, hash_of(i));
        if (i % 3 == 0) m->ol_flags = 0;
        if (i % 3 == 1) bytes[23] = 17;
        if (i % 3 == 2) bytes[14] = 0x46;
        rss_observe(&rss, 0, &m, 1);
    }
    assert_false(rss_proved(&rss));
    assert_false(rss_settled(&rss));
    rss.table_size = 0;
    assert_true(rss_settled(&rss));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(agreeing_frames_prove, fresh),
        cmocka_unit_test_setup(another_hash_refutes, fresh),
        cmocka_unit_test_setup(another_queue_refutes, fresh),
        cmocka_unit_test_setup(frames_without_a_hash_prove_nothing, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
