/* Memory and devices find each other, whichever comes first; what fails leaves nothing behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/regions.h"

/* A device that knows up to eight pieces. */
struct device {
    const void *known[8];
    unsigned count;
    const void *refuses;
};

static int device_add(void *arg, const struct region_piece *piece)
{
    struct device *d = arg;
    if (piece->base == d->refuses) return -EIO;
    d->known[d->count++] = piece->base;
    assert_int_equal(piece->page_bytes, 4096);
    return 0;
}

static void device_remove(void *arg, const struct region_piece *piece)
{
    struct device *d = arg;
    for (unsigned i = 0; i < d->count; i++) {
        if (d->known[i] != piece->base) continue;
        d->known[i] = d->known[--d->count];
        return;
    }
    fail_msg("it does not know the piece");
}

static struct region_user user_of(struct device *d, const char *name)
{
    return (struct region_user){.name = name, .add = device_add, .remove = device_remove, .arg = d};
}

static uint8_t memory[3][64];

static struct region_piece piece_of(unsigned i)
{
    return (struct region_piece){.base = memory[i], .bytes = sizeof(memory[i]), .page_bytes = 4096};
}

static void test_either_first(void **state)
{
    (void)state;
    struct regions *r = regions_create();
    struct device a = {.count = 0}, b = {.count = 0};
    const char *failed = "";
    struct region_user ua = user_of(&a, "a"), ub = user_of(&b, "b");
    struct region_piece p0 = piece_of(0), p1 = piece_of(1);
    assert_int_equal(regions_add(r, &p0, NULL), 0);
    assert_int_equal(regions_add_user(r, &ua), 0);
    assert_int_equal(regions_add_user(r, &ub), 0);
    assert_int_equal(regions_add(r, &p1, &failed), 0);
    assert_null(failed);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    regions_remove(r, memory[0]);
    assert_int_equal(a.count, 1);
    assert_ptr_equal(a.known[0], memory[1]);
    regions_remove_user(r, &a);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 1);
    regions_remove(r, memory[1]);
    assert_int_equal(b.count, 0);
    regions_remove(r, memory[1]); /* nobody has it */
    regions_remove_user(r, &b);
    regions_destroy(&r);
    assert_null(r);
}

static void test_a_device_that_refuses(void **state)
{
    (void)state;
    struct regions *r = regions_create();
    struct device a = {.count = 0}, b = {.refuses = memory[1]}, c = {.refuses = memory[0]};
    const char *failed = NULL;
    struct region_user ua = user_of(&a, "a"), ub = user_of(&b, "b"), uc = user_of(&c, "c");
    struct region_piece p0 = piece_of(0), p1 = piece_of(1), p2 = piece_of(2);
    assert_int_equal(regions_add_user(r, &ua), 0);
    assert_int_equal(regions_add_user(r, &ub), 0);
    assert_int_equal(regions_add(r, &p2, NULL), 0);
    assert_int_equal(regions_add(r, &p1, &failed), -EIO);
    assert_string_equal(failed, "b");
    assert_int_equal(a.count, 1); /* undone */
    assert_int_equal(regions_add(r, &p0, NULL), 0);
    assert_int_equal(regions_add_user(r, &uc), -EIO);
    assert_int_equal(c.count, 0);
    regions_remove(r, memory[0]);
    regions_remove(r, memory[2]);
    regions_remove_user(r, &a);
    regions_remove_user(r, &b);
    regions_destroy(&r);
}

static void test_full(void **state)
{
    (void)state;
    static uint8_t many[REGIONS_MAX + 1];
    struct regions *r = regions_create();
    for (unsigned i = 0; i <= REGIONS_MAX; i++) {
        struct region_piece p = {.base = &many[i], .bytes = 1, .page_bytes = 4096};
        assert_int_equal(regions_add(r, &p, NULL), i < REGIONS_MAX ? 0 : -ENOSPC);
    }
    for (unsigned i = 0; i <= REGIONS_MAX; i++) regions_remove(r, &many[i]);
    regions_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_either_first),
                                       cmocka_unit_test(test_a_device_that_refuses), cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
