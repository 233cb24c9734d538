#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "bench/key.h"
#include "bench/workload.h"
#include "bench/zipf.h"

#define DRAWS 2000000u

/* Each rank's count is within five standard deviations of what zipf's law says. */
static void assert_zipf(uint32_t n, double theta)
{
    struct zipf *z = zipf_create(n, theta);
    uint32_t *counts = calloc(n, sizeof *counts);
    struct rng rng = {.state = n};
    double sum = 0;
    assert_true(z && counts);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t rank = zipf_draw(z, rng_next(&rng));
        assert_true(rank < n);
        counts[rank]++;
    }
    for (uint32_t i = 0; i < n; i++) sum += pow(1.0 + i, -theta);
    for (uint32_t i = 0; i < n; i++) {
        double expected = DRAWS * pow(1.0 + i, -theta) / sum;
        assert_true(fabs(counts[i] - expected) <= 5 * sqrt(expected) + 1);
    }
    free(counts);
    zipf_destroy(&z);
    assert_null(z);
}

static void test_zipf_law(void **state)
{
    (void)state;
    assert_zipf(1, 0.99);
    assert_zipf(2, 0.99);
    assert_zipf(1000, 0.99);
    assert_zipf(1000, 0.5);
    assert_zipf(1000, 2);
    assert_zipf(100, 0);
}

static void test_key_text(void **state)
{
    (void)state;
    static const uint32_t indexes[] = {0, 1, 9, 10, 15, 16, 0x12345678, 0x9abcdef0, 0xffffffff, 99999999};
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        char key[KEY_MAX + 1] = "", want[64];
        key_prefix((uint8_t *)key, 16);
        key_digits((uint8_t *)key + 8, indexes[i]);
        snprintf(want, sizeof want, "kvbench:%08x", indexes[i]);
        assert_string_equal(key, want);
    }
}

static struct workload workload_of(struct workload_config config)
{
    struct workload w;
    config.value_min = config.value_min ? config.value_min : 64;
    config.value_max = config.value_max ? config.value_max : config.value_min;
    workload_init(&w, &config);
    return w;
}

static void test_ratio_keys_and_sizes(void **state)
{
    (void)state;
    struct workload w = workload_of(
        (struct workload_config){.keys = 100, .sets = 1, .gets = 9, .value_min = 10, .value_max = 19, .seed = 3});
    uint32_t sets = 0, keys[100] = {0}, sizes[20] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct planned_op *op = workload_next(&w);
        sets += !op->is_get;
        assert_true(op->index < 100 && op->value_len >= 10 && op->value_len <= 19);
        keys[op->index]++;
        sizes[op->value_len]++;
    }
    assert_true(fabs(sets - DRAWS * 0.1) < 5 * sqrt(DRAWS * 0.09));
    for (uint32_t i = 0; i < 100; i++) assert_true(fabs(keys[i] - DRAWS * 0.01) < 5 * sqrt(DRAWS * 0.01));
    for (uint32_t i = 10; i < 20; i++) assert_true(fabs(sizes[i] - DRAWS * 0.1) < 5 * sqrt(DRAWS * 0.09));
}

static void test_pure_ratios(void **state)
{
    (void)state;
    struct workload only_gets = workload_of((struct workload_config){.keys = 10, .sets = 0, .gets = 1});
    struct workload only_sets = workload_of((struct workload_config){.keys = 10, .sets = 1, .gets = 0});
    for (uint32_t i = 0; i < 100000; i++) {
        assert_true(workload_next(&only_gets)->is_get);
        assert_false(workload_next(&only_sets)->is_get);
    }
}

static void test_seed_repeats(void **state)
{
    (void)state;
    struct workload a = workload_of((struct workload_config){.keys = 1000, .sets = 1, .gets = 1, .seed = 5});
    struct workload b = workload_of((struct workload_config){.keys = 1000, .sets = 1, .gets = 1, .seed = 5});
    struct workload c = workload_of((struct workload_config){.keys = 1000, .sets = 1, .gets = 1, .seed = 6});
    uint32_t same = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        const struct planned_op *x = workload_next(&a), *y = workload_next(&b);
        assert_true(x->index == y->index && x->is_get == y->is_get && x->version == y->version);
        same += x->index == workload_next(&c)->index;
    }
    assert_true(same < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zipf_law),
        cmocka_unit_test(test_key_text),
        cmocka_unit_test(test_ratio_keys_and_sizes),
        cmocka_unit_test(test_pure_ratios),
        cmocka_unit_test(test_seed_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
