/* A region that is parked is taken up as it was; one that is not, or is not what was left, is begun anew. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/store/fixture.h"

#define NOW 1000000u
#define KEYS 20000u
#define VALUE_MAX 300000u
#define REGION (24 * MIB)

static char path[64];
static uint32_t versions[KEYS]; /* 0: absent */
static uint32_t next_version;
static uint8_t bytes[VALUE_MAX];
static struct random dice;

static struct store_config config_of(void)
{
    return (struct store_config){
        .core = 1, .cores = 2, .region_path = path, .memory_limit = REGION, .max_value = VALUE_MAX, .max_key = 250};
}

static struct store *open_region(const char **why)
{
    struct store *s = NULL;
    struct store_config config = config_of();
    assert_int_equal(store_create(&s, &config), 0);
    bool warm = store_is_warm(s, why);
    assert_int_equal(warm, *why == NULL);
    return s;
}

static uint32_t version_len(uint32_t version)
{
    uint32_t x = version * 2654435761u >> 8;
    return x % 900 == 0 ? x % VALUE_MAX : x % 12 == 0 ? x % 9000 : x % 300;
}

static void change(struct store *s, uint32_t key)
{
    char text[32];
    struct store_key k = fixture_key_n(text, key);
    if (random_below(&dice, 4) == 0) {
        store_delete(s, &k, NOW);
        versions[key] = 0;
        return;
    }
    uint32_t version = ++next_version;
    struct store_meta meta = {.flags = version % 3, .expires_ms = version % 5 ? 0 : NOW + 100000};
    fixture_fill(bytes, version_len(version), version);
    if (store_set(s, &k, bytes, version_len(version), &meta, STORE_SET, 0, NOW) == STORE_OK) versions[key] = version;
}

static void assert_contents(struct store *s)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        struct store_value v;
        struct store_key k = fixture_key_n(text, i);
        assert_int_equal(store_get(s, &k, NOW, &v), versions[i] ? STORE_OK : STORE_NOT_FOUND);
        if (!versions[i]) continue;
        count++;
        fixture_fill(bytes, version_len(versions[i]), versions[i]);
        fixture_assert_value(s, v, bytes, version_len(versions[i]));
        assert_int_equal(v.meta.flags, versions[i] % 3);
        assert_int_equal(v.meta.expires_ms, versions[i] % 5 ? 0 : NOW + 100000);
    }
    assert_int_equal(count, store_count(s));
    store_check(s);
}

/* What a server may leave: pins of items that stand, that were overwritten, deleted; writes that are not at their end.
 */
static void leave_loose_ends(struct store *s, struct store_write *writes, unsigned count)
{
    for (unsigned i = 0; i < 40; i++) {
        char text[32];
        uint32_t key = random_below(&dice, KEYS);
        struct store_key k = fixture_key_n(text, key);
        struct store_value v;
        if (store_get(s, &k, NOW, &v) == STORE_OK) store_pin(s, v.item);
        if (i % 2) change(s, key);
    }
    for (unsigned i = 0; i < count; i++) {
        struct store_key k = fixture_key("half-way", 8);
        store_reserve(s, &k, i * 40000, NULL, false, &writes[i]);
    }
}

static void test_again_and_again(void **state)
{
    (void)state;
    const char *why;
    struct store_write writes[4];
    dice.state = 11;
    next_version = 0;
    memset(versions, 0, sizeof(versions));
    unlink(path);
    struct store *s = open_region(&why);
    assert_string_equal(why, "there was none");
    for (unsigned turn = 0; turn < 12; turn++) {
        for (unsigned i = 0; i < (turn ? 3000 : 30000); i++) change(s, random_below(&dice, KEYS));
        if (turn == 7) {
            struct store_value v;
            struct store_key k = fixture_key("pinned", 6);
            fixture_set(s, "pinned", "over a flush");
            assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
            assert_non_null(store_pin(s, v.item));
            store_flush(s); /* and parked before it is reclaimed */
            memset(versions, 0, sizeof(versions));
            for (unsigned i = 0; i < 50; i++) change(s, random_below(&dice, KEYS));
        }
        leave_loose_ends(s, writes, turn % 5);
        uint64_t payload = store_metrics(s)->bytes_payload;
        assert_true(turn > 0 || store_metrics(s)->splits > 0);
        assert_true(store_metrics(s)->items_total > 0);
        store_park(&s);
        assert_null(s);
        s = open_region(&why);
        assert_null(why);
        assert_int_equal(store_metrics(s)->bytes_payload, payload);
        assert_int_equal(store_metrics(s)->items_total, 0); /* counted by this process */
        assert_int_equal(store_metrics(s)->pins, 0);
        assert_int_equal(store_metrics(s)->writes_open, 0);
        assert_contents(s);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        char text[32];
        struct store_key k = fixture_key_n(text, i);
        store_delete(s, &k, NOW);
    }
    fixture_settle(s, NOW, 200000);
    assert_int_equal(store_metrics(s)->bytes_used, 0); /* nothing was lost on the way */
    store_check(s);
    store_destroy(&s);
}

static void fill_and_park(void)
{
    const char *why;
    unlink(path);
    struct store *s = open_region(&why);
    memset(versions, 0, sizeof(versions));
    for (unsigned i = 0; i < 5000; i++) change(s, random_below(&dice, KEYS));
    store_park(&s);
}

static void test_not_parked(void **state)
{
    (void)state;
    const char *why;
    dice.state = 5;
    fill_and_park();
    struct store *s = open_region(&why);
    assert_null(why);
    store_destroy(&s); /* as by a crash: nothing has been said at the end */
    s = open_region(&why);
    assert_string_equal(why, "the server that had it did not end cleanly");
    assert_int_equal(store_count(s), 0);
    store_check(s);
    store_destroy(&s);
}

static void test_others(void **state)
{
    (void)state;
    static const struct {
        unsigned core, cores;
        uint64_t memory;
        uint32_t pins;
    } other[] = {{0, 2, REGION, 0}, {1, 3, REGION, 0}, {1, 2, REGION / 2, 0}, {1, 2, REGION, 64}};
    for (unsigned i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        struct store *s = NULL;
        const char *why;
        fill_and_park();
        struct store_config config = config_of();
        config.core = other[i].core;
        config.cores = other[i].cores;
        config.memory_limit = other[i].memory;
        config.pins_max = other[i].pins;
        assert_int_equal(store_create(&s, &config), 0);
        assert_false(store_is_warm(s, &why));
        assert_non_null(why);
        assert_int_equal(store_count(s), 0);
        store_check(s);
        store_park(&s);
        assert_int_equal(store_create(&s, &config), 0);
        assert_true(store_is_warm(s, &why));
        store_destroy(&s);
    }
}

/* Taken up under another policy: everything is there, and from now on that one says what goes. */
static void test_another_policy(void **state)
{
    (void)state;
    static const enum store_eviction policies[] = {STORE_EVICT_FIFO, STORE_EVICT_HYBRID, STORE_EVICT_NONE,
                                                   STORE_EVICT_HYBRID, STORE_EVICT_FIFO};
    const char *why;
    dice.state = 23;
    fill_and_park();
    for (unsigned i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        struct store *s = NULL;
        struct store_config config = config_of();
        config.eviction = policies[i];
        assert_int_equal(store_create(&s, &config), 0);
        assert_true(store_is_warm(s, &why));
        store_check(s);
        if (i == 0) assert_contents(s);
        uint64_t refused = 0;
        for (uint64_t n = 0; n < 40000; n++) {
            char text[32];
            struct store_key k = fixture_key_n(text, KEYS + i * 40000 + n);
            refused += store_set(s, &k, bytes, 1000, NULL, STORE_SET, 0, NOW) != STORE_OK;
            if (n >= 100 || refused || policies[i] == STORE_EVICT_NONE) continue;
            struct store_value v;
            assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
        }
        assert_true((refused > 0) == (policies[i] == STORE_EVICT_NONE));
        store_check(s);
        store_park(&s);
    }
}

/* Taken up with another limit for values: what is longer stays, what comes is measured by the new one. */
static void test_another_value_limit(void **state)
{
    (void)state;
    static const uint32_t limits[] = {200, 2 * VALUE_MAX, 0};
    const char *why;
    char text[32];
    dice.state = 29;
    fill_and_park();
    for (unsigned i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct store *s = NULL;
        struct store_config config = config_of();
        struct store_value v;
        struct store_key k = fixture_key_n(text, KEYS + 1);
        config.max_value = limits[i];
        assert_int_equal(store_create(&s, &config), 0);
        assert_true(store_is_warm(s, &why));
        assert_contents(s);
        fixture_fill(bytes, sizeof(bytes), i);
        assert_int_equal(store_set(s, &k, bytes, limits[i] + 1, NULL, STORE_SET, 0, NOW), STORE_TOO_LARGE);
        uint32_t len = limits[i] < sizeof(bytes) ? limits[i] : sizeof(bytes);
        assert_int_equal(store_set(s, &k, bytes, len, NULL, STORE_SET, 0, NOW), STORE_OK);
        assert_int_equal(store_get(s, &k, NOW, &v), STORE_OK);
        fixture_assert_value(s, v, bytes, len);
        assert_int_equal(store_delete(s, &k, NOW), STORE_OK);
        store_park(&s);
    }
}

static void flip(long at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << random_below(&dice, 8));
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Bytes of the header, the image of the store, descriptors, directory and the first page of the index. */
static void test_damage(void **state)
{
    (void)state;
    const char *why;
    static uint8_t *good;
    good = malloc(REGION);
    dice.state = 17;
    fill_and_park();
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, good, REGION, 0), REGION);
    for (unsigned i = 0; i < 60; i++) {
        static const struct {
            uint32_t from, len;
        } parts[] = {{0, 88}, {256, 9000}, {65536, REGION / 65536 * 36}};
        unsigned part = i % 3;
        flip(parts[part].from + random_below(&dice, parts[part].len));
        struct store *s = open_region(&why);
        assert_non_null(why);
        assert_int_equal(store_count(s), 0);
        store_destroy(&s);
        assert_int_equal(pwrite(fd, good, REGION, 0), REGION);
    }
    struct store *s = open_region(&why); /* what was left is still good */
    assert_null(why);
    assert_contents(s);
    store_destroy(&s);
    close(fd);
    free(good);
}

static void test_the_file(void **state)
{
    (void)state;
    const char *why;
    struct stat st;
    struct store *other = NULL;
    struct store_config config = config_of();
    unlink(path);
    struct store *s = open_region(&why);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(store_create(&other, &config), -EBUSY);
    store_destroy(&s);
    assert_int_equal(chmod(path, 0666), 0); /* anybody may have written to it */
    assert_int_equal(store_create(&other, &config), -EPERM);
    unlink(path);
    assert_int_equal(symlink("/dev/shm/polar-warm-elsewhere", path), 0);
    assert_int_equal(store_create(&other, &config), -ELOOP);
    unlink(path);
    config.region_path = "/proc/self/comm";
    assert_int_not_equal(store_create(&other, &config), 0);
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/dev/shm/polar-warm-test-%d", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_again_and_again), cmocka_unit_test(test_not_parked),
                                       cmocka_unit_test(test_others),          cmocka_unit_test(test_another_policy),
                                       cmocka_unit_test(test_another_value_limit),
                                       cmocka_unit_test(test_damage),          cmocka_unit_test(test_the_file)};
    if (access("/dev/shm", W_OK) != 0) {
        printf("skipped: there is no /dev/shm\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
