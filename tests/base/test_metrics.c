#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/metrics.h"

struct fruit_metrics {
    uint64_t apples;
    uint64_t baskets;
    uint64_t heaviest;
};
static const struct metric_row fruit_rows[] = {
    METRIC_ROW(struct fruit_metrics, apples, COUNTER, "Apples picked")
        METRIC_ROW(struct fruit_metrics, baskets, GAUGE, "Baskets in use")
            METRIC_ROW(struct fruit_metrics, heaviest, MOST, "Grams of one")};

struct fish_metrics {
    uint64_t apples; /* a name may come again in another group */
};
static const struct metric_row fish_rows[] = {METRIC_ROW(struct fish_metrics, apples, COUNTER, "Apples eaten by fish")};

static void list_row(void *arg, const char *group, const struct metric_row *row, uint64_t value)
{
    char *text = arg;
    static const char *const kinds[] = {[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_MOST] = "most"};
    sprintf(text + strlen(text), "%s.%s %s %llu; ", group, row->name, kinds[row->kind], (unsigned long long)value);
}

static void sums_go_over_all_cores(void **state)
{
    (void)state;
    struct fruit_metrics fruit[3] = {0};
    struct fish_metrics fish = {0};
    struct metrics *m = metrics_create();
    for (unsigned core = 0; core < 2; core++)
        assert_int_equal(metrics_register(m, "fruit", core, fruit_rows, 3, &fruit[core]), 0);
    assert_int_equal(metrics_register(m, "fish", 0, fish_rows, 1, &fish), 0);
    assert_int_equal(metrics_register(m, "fruit", 7, fruit_rows, 3, &fruit[2]), 0);
    metric_add(&fruit[0].apples, 5);
    metric_add(&fruit[1].apples, 30);
    metric_add(&fruit[2].apples, 200);
    metric_set(&fruit[1].baskets, 9);
    metric_sub(&fruit[1].baskets, 2);
    metric_set(&fruit[0].heaviest, 150);
    metric_set(&fruit[1].heaviest, 170);
    metric_set(&fruit[2].heaviest, 90);
    metric_add(&fish.apples, 1000);
    assert_int_equal(metrics_sum(m, "fruit", "heaviest"), 170);
    assert_int_equal(metrics_sum(m, "fruit", "apples"), 235);
    assert_int_equal(metrics_sum(m, "fruit", "baskets"), 7);
    assert_int_equal(metrics_sum(m, "fish", "apples"), 1000);
    assert_int_equal(metrics_sum(m, "fish", "baskets"), 0);
    assert_int_equal(metrics_sum(m, "fowl", "apples"), 0);
    char text[256] = "";
    metrics_each(m, list_row, text);
    assert_string_equal(
        text, "fruit.apples counter 235; fruit.baskets gauge 7; fruit.heaviest most 170; fish.apples counter 1000; ");
    metrics_destroy(&m);
    assert_null(m);
    metrics_destroy(&m);
}

static void a_block_is_counted_once(void **state)
{
    (void)state;
    struct fruit_metrics fruit = {.apples = 1};
    struct fish_metrics fish = {.apples = 1};
    struct metrics *m = metrics_create();
    assert_int_equal(metrics_register(m, "fruit", 0, fruit_rows, 3, &fruit), 0);
    assert_int_equal(metrics_register(m, "fruit", 0, fruit_rows, 3, &fruit), -EEXIST);
    assert_int_equal(metrics_register(m, "fruit", 1, fish_rows, 1, &fish), -EEXIST);
    assert_int_equal(metrics_sum(m, "fruit", "apples"), 1);
    metrics_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_go_over_all_cores),
        cmocka_unit_test(a_block_is_counted_once),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
