/* What stats and INFO tell of several cores: sums, and of a maximum the largest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/metrics.h"
#include "tests/server/fixture.h"

static struct fixture x;

/* The number behind the name in the whole answer. */
static unsigned long long told(enum fixture_protocol protocol, const char *request, const char *name)
{
    unsigned s = fixture_connect(&x, 0, protocol);
    struct fake_stream *f = &x.streams[s];
    fake_stream_feed(f, request, strlen(request), 2048);
    fixture_settle(&x);
    char *text = calloc(1, f->sent_len + 1);
    assert_non_null(text);
    memcpy(text, f->sent, f->sent_len);
    const char *p = strstr(text, name);
    if (!p) fail_msg("no %s", name);
    unsigned long long value = strtoull(p + strlen(name), NULL, 10);
    free(text);
    return value;
}

static struct store_metrics *store_metrics_of(unsigned core)
{
    return (struct store_metrics *)(uintptr_t)store_metrics(x.cores[core].store);
}

static void both_tell(const char *memcache_name, const char *resp_name, unsigned long long value)
{
    assert_int_equal(told(FIXTURE_MEMCACHE, "stats\r\n", memcache_name), value);
    assert_int_equal(told(FIXTURE_RESP, "INFO\r\n", resp_name), value);
}

/* As when the cores are started. */
static void metrics_are_known(void)
{
    struct metrics *m = x.server.metrics;
    for (unsigned i = 0; i < x.config.core_count; i++) {
        const struct core *core = &x.cores[i];
        assert_int_equal(metrics_register(m, "server", i, server_metric_rows, server_metric_row_count, &core->metrics),
                         0);
        assert_int_equal(
            metrics_register(m, "store", i, store_metric_rows, store_metric_row_count, store_metrics(core->store)), 0);
    }
}

static void test_maxima_of_two_cores(void **state)
{
    (void)state;
    fixture_init(&x, 2, NULL, NULL);
    metrics_are_known();
    metric_set(&store_metrics_of(0)->moved_most, 3000);
    metric_set(&store_metrics_of(1)->moved_most, 4000);
    metric_set(&store_metrics_of(0)->cycles_work_most, 70000);
    metric_set(&store_metrics_of(1)->cycles_work_most, 60000);
    metric_set(&x.cores[0].metrics.cycles_step_most, 500);
    metric_set(&x.cores[1].metrics.cycles_step_most, 900);
    metric_set(&store_metrics_of(0)->moved_bytes, 5000); /* a counter goes on being summed */
    metric_set(&store_metrics_of(1)->moved_bytes, 6000);
    both_tell("STAT store_moved_most ", "store_moved_most:", 4000);
    both_tell("STAT store_cycles_work_most ", "store_cycles_work_most:", 70000);
    both_tell("STAT cycles_step_most ", "cycles_step_most:", 900);
    both_tell("STAT store_moved_bytes ", "store_moved_bytes:", 11000);
    fixture_end_streams(&x);
    fixture_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maxima_of_two_cores)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
