/* A file that is not exactly what was written is refused: a byte changed, the end cut off, something more, pieces
 * moved. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/store/snapshot/support.h"

static uint8_t *good;
static size_t good_len;
static const char *path;

/* Two shards, items with all fields, one that takes blocks of its own. */
static int setup(void **state)
{
    (void)state;
    struct store *s[2] = {fixture_store(16 * MIB, MIB), fixture_store(16 * MIB, MIB)};
    struct slot_map slots;
    slot_map_init(&slots, 2);
    static uint8_t value[40000];
    char text[32];
    fixture_fill(value, sizeof(value), 1);
    for (uint32_t n = 0; n < 12; n++) {
        struct store_key k = fixture_key_n(text, n);
        struct store *shard = s[slots.owner[slot_of_key(k.data, k.len)]];
        struct store_meta meta = {.flags = n % 2, .expires_ms = n % 3 ? SUPPORT_NOW + n : 0};
        struct store_value v;
        uint32_t len = n == 5 ? 34000 : n * 9;
        assert_int_equal(store_set(shard, &k, value, len, &meta, STORE_SET, 0, SUPPORT_NOW), STORE_OK);
        if (n % 4 == 0) assert_int_equal(store_gets(shard, &k, SUPPORT_NOW, &v), STORE_OK);
    }
    support_take(s, 2, support_path("good"));
    for (unsigned i = 0; i < 2; i++) store_destroy(&s[i]);
    good = support_read_file(support_path("good"), &good_len);
    path = strdup(support_path("bad"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(good);
    free((void *)(uintptr_t)path);
    return 0;
}

static int check(const uint8_t *data, size_t len, struct snapshot_fault *fault)
{
    support_write_file(path, data, len);
    return support_check(path, fault);
}

static void test_good(void **state)
{
    (void)state;
    struct snapshot_fault fault;
    assert_int_equal(check(good, good_len, &fault), 0);
    assert_null(fault.what);
}

/* Every byte up to the long item, and behind it; within its 34,000 bytes some. */
static void test_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < good_len; i++) {
        struct snapshot_fault fault;
        if (i > 6000 && i + 6000 < good_len && i % 97) continue;
        for (unsigned flip = 1; flip < 256; flip = flip == 1 ? 128 : 256) {
            good[i] ^= (uint8_t)flip;
            assert_int_equal(check(good, good_len, &fault), -EBADMSG);
            assert_non_null(fault.what);
            assert_true(fault.offset <= i); /* the block that it is in begins before it */
            assert_true(fault.offset + SNAPSHOT_BLOCK_BYTES > i);
            good[i] ^= (uint8_t)flip;
        }
    }
}

static void test_every_length(void **state)
{
    (void)state;
    for (size_t len = 0; len < good_len; len++) {
        struct snapshot_fault fault;
        if (len > 6000 && len + 6000 < good_len && len % 97) continue;
        assert_int_equal(check(good, len, &fault), -EBADMSG);
        assert_non_null(fault.what);
    }
}

static void test_something_more(void **state)
{
    (void)state;
    struct snapshot_fault fault;
    uint8_t *more = calloc(1, good_len * 2);
    memcpy(more, good, good_len);
    memcpy(more + good_len, good, good_len);
    assert_int_equal(check(more, good_len + 1, &fault), -EBADMSG);
    assert_int_equal(fault.offset, good_len);
    assert_int_equal(check(more, good_len * 2, &fault), -EBADMSG);
    free(more);
}

struct span {
    size_t at, len;
    uint8_t kind;
};

static unsigned spans_find(struct span *spans)
{
    unsigned n = 0;
    for (size_t at = SNAPSHOT_HEADER_BYTES; at < good_len; at += spans[n++].len) {
        uint32_t length;
        memcpy(&length, good + at + 8, 4);
        spans[n] = (struct span){at, SNAPSHOT_HEAD_BYTES + length, good[at + 4]};
    }
    return n;
}

/* Whole blocks left out, doubled, and exchanged, each with its checksums right. */
static void test_blocks_out_of_place(void **state)
{
    (void)state;
    struct span spans[64];
    struct snapshot_fault fault;
    unsigned count = spans_find(spans);
    uint8_t *bad = malloc(good_len * 2);
    assert_true(count >= 6);
    for (unsigned i = 0; i < count; i++) {
        size_t at = spans[i].at, len = spans[i].len, behind = good_len - at - len;
        memcpy(bad, good, at);
        memcpy(bad + at, good + at + len, behind);
        assert_int_equal(check(bad, good_len - len, &fault), -EBADMSG);
        memcpy(bad, good, at + len);
        memcpy(bad + at + len, good + at, len + behind);
        assert_int_equal(check(bad, good_len + len, &fault), -EBADMSG);
        if (i + 1 == count) break;
        size_t next = spans[i + 1].len;
        memcpy(bad, good, good_len);
        memcpy(bad + at, good + at + len, next);
        memcpy(bad + at + next, good + at, len);
        assert_int_equal(check(bad, good_len, &fault), -EBADMSG);
    }
    free(bad);
}

/* A block of another snapshot of the same store. */
static void test_block_of_another_file(void **state)
{
    (void)state;
    struct store *s = fixture_store(16 * MIB, MIB);
    struct snapshot_fault fault;
    size_t len, other_len;
    fixture_set(s, "a", "1");
    support_take(&s, 1, support_path("one"));
    support_take(&s, 1, support_path("other"));
    store_destroy(&s);
    uint8_t *one = support_read_file(support_path("one"), &len);
    uint8_t *other = support_read_file(support_path("other"), &other_len);
    assert_int_equal(len, other_len);
    assert_int_equal(check(one, len, &fault), 0);
    memcpy(one + SNAPSHOT_HEADER_BYTES, other + SNAPSHOT_HEADER_BYTES, len - SNAPSHOT_HEADER_BYTES);
    assert_int_equal(check(one, len, &fault), -EBADMSG);
    assert_int_equal(fault.offset, SNAPSHOT_HEADER_BYTES);
    free(one);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_something_more),
        cmocka_unit_test(test_blocks_out_of_place),
        cmocka_unit_test(test_block_of_another_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
