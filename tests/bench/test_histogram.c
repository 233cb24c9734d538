#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "bench/histogram.h"
#include "bench/rng.h"

#define SAMPLES 20000u

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t *samples_make(struct histogram *h, struct rng *rng, unsigned bits)
{
    uint64_t *all = malloc(SAMPLES * sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t random = rng_next(rng);
        all[i] = random >> (64 - 1 - rng_scale((uint32_t)random, bits)); /* every magnitude alike */
        histogram_record(h, all[i]);
    }
    qsort(all, SAMPLES, sizeof *all, by_value);
    return all;
}

/* The bound that the header promises, against the exact quantile of the sorted samples. */
static void assert_quantiles(const struct histogram *h, const uint64_t *sorted)
{
    static const double shares[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t exact = sorted[(size_t)(shares[i] * SAMPLES) - 1], got = histogram_quantile(h, shares[i]);
        double error = got > exact ? (double)(got - exact) : (double)(exact - got);
        assert_true(error <= (double)exact / 128.0);
    }
    assert_int_equal(histogram_quantile(h, 1), sorted[SAMPLES - 1]);
}

static void test_quantiles_against_sorted(void **state)
{
    (void)state;
    for (unsigned bits = 5; bits <= 41; bits += 6) {
        struct histogram h;
        struct rng rng = {.state = bits};
        histogram_init(&h);
        uint64_t *sorted = samples_make(&h, &rng, bits);
        assert_quantiles(&h, sorted);
        free(sorted);
    }
}

static void test_small_values_are_exact(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h);
    for (uint64_t v = 0; v < 100; v++) histogram_record(&h, v);
    for (unsigned p = 1; p <= 99; p++) assert_int_equal(histogram_quantile(&h, p / 100.0), p - 1);
    assert_true(histogram_mean(&h) == 49.5);
    assert_int_equal(h.max, 99);
}

static void test_buckets_grow_and_end(void **state)
{
    (void)state;
    uint32_t last = 0;
    for (uint64_t v = 1; v < (uint64_t)1 << 50; v += 1 + v / 100) {
        uint32_t bucket = histogram_bucket(v);
        assert_true(bucket >= last && bucket <= last + 1 + HISTOGRAM_SUB / 50);
        assert_true(bucket < HISTOGRAM_BUCKETS);
        last = bucket;
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    struct histogram h;
    histogram_init(&h);
    histogram_record(&h, UINT64_MAX / 2);
    assert_true(histogram_quantile(&h, 0.5) == UINT64_MAX / 2);
}

static void test_merge_is_recording_both(void **state)
{
    (void)state;
    struct histogram a, b, both;
    struct rng rng = {.state = 7};
    histogram_init(&a);
    histogram_init(&b);
    histogram_init(&both);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t v = rng_next(&rng) >> 40;
        histogram_record(i % 3 ? &a : &b, v);
        histogram_record(&both, v);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof a);
}

static void test_empty(void **state)
{
    (void)state;
    struct histogram h;
    histogram_init(&h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_mean(&h) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_against_sorted),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_buckets_grow_and_end),
        cmocka_unit_test(test_merge_is_recording_both),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
