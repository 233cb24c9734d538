/*
 * Readers of the window against the naive model: what a look-up returns was the key's value at some moment of it,
 * however operations fall between the pieces that it reads. Arguments: [first seed] [seeds].
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/store/window/world.h"

static uint64_t arg_seed = 1, arg_seeds = 20;

static void run(void)
{
    for (w.step = 0; w.step < w.profile->operations;) {
        uint32_t reads = random_below(&w.r, 80), writes = random_below(&w.r, 4);
        for (uint32_t i = 0; i < reads; i++) world_read(&w.reading[random_below(&w.r, READERS)]);
        for (uint32_t i = 0; i < writes; i++, w.step++) world_operate();
        if (w.step % 256 == 0) store_check(w.s);
    }
}

static void test_window(void **state)
{
    (void)state;
    for (uint64_t seed = arg_seed; seed < arg_seed + arg_seeds; seed++) {
        world_begin(seed);
        run();
        world_end();
    }
    const struct window_counts *c = &w.counts;
    print_message(
        "%lu look-ups, %lu reads, %lu values (%lu of them came while it read), %lu old hints; absent %lu, apart "
        "%lu, expiring %lu, torn %lu, moved %lu, miss_index %lu, miss_item %lu\n",
        c->gets, c->reads, c->values, w.totals.in_between, w.totals.old, c->absent, c->apart, c->expiring, c->torn,
        c->moved, c->miss_index, c->miss_item);
    assert_true(c->values > c->gets / 4 && w.totals.in_between > arg_seeds && c->torn + c->moved > arg_seeds);
    assert_true(c->absent > 0 && c->apart > 0 && c->expiring > 0 && c->miss_index > 0 && c->miss_item > 0);
    assert_int_equal(c->strange, 0);
}

static int teardown(void **state)
{
    (void)state;
    if (w.s) print_message("seed %lu, step %u, %s\n", w.seed, w.step, w.profile->name);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) arg_seed = strtoull(argv[1], NULL, 0);
    if (argc > 2) arg_seeds = strtoull(argv[2], NULL, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_window, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
