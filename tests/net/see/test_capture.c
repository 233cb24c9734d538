/* The capture ring: what it keeps, and the pcapng file that is made of it, read back block by block. */
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include "net/capture.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/support/eal.h"

#define HZ UINT64_C(1000000000) /* so that a cycle is a nanosecond */
#define UNIX_NS UINT64_C(1700000000000000000)

struct packet {
    uint32_t interface, kept, len, flags;
    uint64_t ns;
    const uint8_t *data;
};

struct file {
    char *bytes;
    size_t len;
    unsigned interfaces;
    char names[4][16];
    struct packet packets[64];
    unsigned count;
};

static uint32_t load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static uint16_t load16(const char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The value of an option in a block's options from p on; fails the test when it is not there. */
static const char *option(const char *p, const char *end, uint16_t code, uint16_t *len)
{
    while (p + 4 <= end && load16(p) != 0) {
        *len = load16(p + 2);
        if (load16(p) == code) return p + 4;
        p += 4 + (*len + 3u) / 4 * 4;
    }
    fail_msg("option %u is not there", code);
    return NULL;
}

static void read_interface(struct file *f, const char *p, const char *end)
{
    uint16_t len = 0;
    assert_int_equal(load16(p + 8), 1); /* Ethernet */
    const char *name = option(p + 16, end, 2, &len);
    memcpy(f->names[f->interfaces++], name, len);
    assert_int_equal(*option(p + 16, end, 9, &len), 9);
}

static void read_packet(struct file *f, const char *p, const char *end)
{
    uint16_t len;
    struct packet *k = &f->packets[f->count++];
    *k = (struct packet){.interface = load32(p + 8),
                         .ns = (uint64_t)load32(p + 12) << 32 | load32(p + 16),
                         .kept = load32(p + 20),
                         .len = load32(p + 24),
                         .data = (const uint8_t *)p + 28};
    assert_true(k->interface < f->interfaces);
    k->flags = load32(option(p + 28 + (k->kept + 3) / 4 * 4, end, 2, &len));
}

static void file_read(struct file *f, struct capture *const *rings, unsigned count)
{
    const struct capture_time time = {.tsc = rte_rdtsc(), .unix_ns = UNIX_NS, .tsc_hz = HZ};
    memset(f, 0, sizeof *f);
    FILE *out = open_memstream(&f->bytes, &f->len);
    assert_int_equal(capture_write(out, rings, count, &time), 0);
    fclose(out);
    assert_int_equal(load32(f->bytes), 0x0a0d0d0a);
    for (const char *p = f->bytes; p < f->bytes + f->len;) {
        uint32_t type = load32(p), len = load32(p + 4);
        assert_true(len >= 12 && len % 4 == 0 && p + len <= f->bytes + f->len);
        assert_int_equal(load32(p + len - 4), len);
        if (type == 1) read_interface(f, p, p + len - 4);
        if (type == 6) read_packet(f, p, p + len - 4);
        p += len;
    }
}

static struct buf_pools pools;

/* A frame of two pieces: bytes first, first + 1, ... */
static struct rte_mbuf *frame(uint8_t first, uint16_t a, uint16_t b)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, a);
    for (unsigned i = 0; i < a; i++) p[i] = (uint8_t)(first + i);
    if (b == 0) return m;
    struct rte_mbuf *n = rte_pktmbuf_alloc(pools.small);
    p = (uint8_t *)rte_pktmbuf_append(n, b);
    for (unsigned i = 0; i < b; i++) p[i] = (uint8_t)(first + a + i);
    assert_int_equal(rte_pktmbuf_chain(m, n), 0);
    return m;
}

static void feed(struct capture *c, uint8_t first, uint16_t a, uint16_t b, bool sent)
{
    struct rte_mbuf *m = frame(first, a, b);
    capture_frames(c, &m, 1, sent);
    rte_pktmbuf_free(m);
}

static void check_bytes(const struct packet *k, uint8_t first)
{
    for (unsigned i = 0; i < k->kept; i++) assert_int_equal(k->data[i], (uint8_t)(first + i));
}

static void test_frames_come_back(void **state)
{
    (void)state;
    struct capture *c;
    struct file f;
    assert_int_equal(capture_create(&c, 16, 128), 0);
    feed(c, 1, 61, 0, false);
    feed(c, 2, 60, 30, true);   /* of two pieces */
    feed(c, 3, 100, 200, true); /* longer than is kept */
    feed(c, 4, 128, 0, false);
    assert_int_equal(capture_count(c), 4);
    assert_int_equal(capture_lost(c), 0);
    file_read(&f, &c, 1);
    assert_int_equal(f.count, 4);
    assert_string_equal(f.names[0], "core-0");
    static const uint32_t len[] = {61, 90, 300, 128}, kept[] = {61, 90, 128, 128}, flags[] = {1, 2, 2, 1};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(f.packets[i].len, len[i]);
        assert_int_equal(f.packets[i].kept, kept[i]);
        assert_int_equal(f.packets[i].flags, flags[i]);
        check_bytes(&f.packets[i], (uint8_t)(1 + i));
    }
    free(f.bytes);
    capture_destroy(&c);
}

static void test_the_last_frames_are_kept(void **state)
{
    (void)state;
    struct capture *c;
    struct file f;
    assert_int_equal(capture_create(&c, 5, 64), 0);
    for (unsigned i = 0; i < 23; i++) feed(c, (uint8_t)i, 60, 0, false);
    assert_int_equal(capture_count(c), 5);
    assert_int_equal(capture_lost(c), 18);
    file_read(&f, &c, 1);
    assert_int_equal(f.count, 5);
    for (unsigned i = 0; i < 5; i++) check_bytes(&f.packets[i], (uint8_t)(18 + i));
    free(f.bytes);
    capture_destroy(&c);
}

static void test_rings_are_merged_by_time(void **state)
{
    (void)state;
    struct capture *rings[3] = {NULL};
    struct file f;
    assert_int_equal(capture_create(&rings[0], 8, 64), 0);
    assert_int_equal(capture_create(&rings[2], 8, 64), 0);
    for (unsigned i = 0; i < 12; i++) feed(rings[i % 3 ? 2 : 0], (uint8_t)i, 60, 0, i & 1);
    file_read(&f, rings, 3);
    assert_int_equal(f.interfaces, 3);
    assert_string_equal(f.names[2], "core-2");
    assert_int_equal(f.count, 12);
    for (unsigned i = 0; i < 12; i++) {
        assert_true(f.packets[i].ns < UNIX_NS && f.packets[i].ns > UNIX_NS - 60 * HZ);
        assert_int_equal(f.packets[i].interface, i % 3 ? 2 : 0);
        check_bytes(&f.packets[i], (uint8_t)i);
        assert_true(i == 0 || f.packets[i].ns > f.packets[i - 1].ns);
    }
    free(f.bytes);
    capture_destroy(&rings[0]);
    capture_destroy(&rings[2]);
}

static void test_a_disk_that_is_full(void **state)
{
    (void)state;
    struct capture *c;
    const struct capture_time time = {.tsc = 0, .unix_ns = 1, .tsc_hz = HZ};
    assert_int_equal(capture_create(&c, 64, 64), 0);
    for (unsigned i = 0; i < 64; i++) feed(c, (uint8_t)i, 60, 0, false);
    FILE *full = fopen("/dev/full", "w");
    if (!full) skip();
    assert_true(capture_write(full, &c, 1, &time) < 0);
    fclose(full);
    capture_destroy(&c);
}

static int set_up(void **state)
{
    (void)state;
    test_eal_start();
    test_pools_create(&pools, 255, 2048);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    uint32_t leaked = buf_pools_in_use(&pools);
    buf_pools_destroy(&pools);
    return leaked == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back),
        cmocka_unit_test(test_the_last_frames_are_kept),
        cmocka_unit_test(test_rings_are_merged_by_time),
        cmocka_unit_test(test_a_disk_that_is_full),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
