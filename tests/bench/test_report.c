/* Writes a report as JSON with hostile texts in it; python3 must read it and find what was put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/report.h"

static const char reader[] =
    "import json, sys\n"
    "r = json.load(open(sys.argv[1]))\n"
    "assert r['ops_per_s'] == 123456.5, r\n"
    "assert r['operations'] == 3 and r['gets'] == 2 and r['sets'] == 1, r\n"
    "assert r['first_error'] == 'a \"quoted\" \\\\ text\\n\\x01', r\n"
    "assert 9.8 <= r['get_p50_us'] <= 10.2 and r['max_us'] == 30.0, r\n"
    "assert r['client_limited'] is True and r['good'] is False and r['wrong_values'] == 1, r\n"
    "assert r['server_stats'] == {'cmd_get': 150, 'cmd_set': 50, 'reactor_busy_tsc': 2e5, 'reactor_idle_tsc': 2e5,\n"
    "  'tsc_hz': 0, 'cycles_input': 5000}, r\n"
    "assert r['server_cycles_per_op'] == 1000 and r['server_busy_share'] == 0.5 and r['server_busy_us_per_op'] == 0.5, "
    "r\n"
    "assert r['onesided'] is True and r['onesided_gets'] == 4 and r['onesided_values'] == 2, r\n"
    "assert r['onesided_torn'] == 1 and r['onesided_left'] == 5, r\n"
    "assert r['server_cpu_share'] == 0.75 and r['server_cpu_us_per_op'] == 500000, r\n";

static const char stats_before[] =
    "STAT pid 7\r\nSTAT version 1.6.18\r\nSTAT cmd_get 50\r\nSTAT cmd_set 0\r\n"
    "STAT reactor_busy_tsc 100000\r\nSTAT reactor_idle_tsc 0\r\nSTAT tsc_hz 2000000000\r\nEND\r\n";
static const char stats_after[] =
    "STAT cmd_get 200\r\nSTAT cmd_set 50\r\nSTAT reactor_busy_tsc 300000\r\nSTAT bad\"name 1\r\n"
    "STAT reactor_idle_tsc 200000\r\nSTAT tsc_hz 2000000000\r\nSTAT cycles_input 5000\r\n"
    "STAT not_finite nan\r\nSTAT text 12 monkeys\r\nEND\r\n";

static struct server_stats *stats_make(void)
{
    struct server_stats *stats;
    assert_int_equal(server_stats_create(&stats, NULL), 0);
    server_stats_parse(&stats->tables[0], stats_before, strlen(stats_before));
    server_stats_parse(&stats->tables[1], stats_after, strlen(stats_after));
    stats->have[0] = stats->have[1] = true;
    return stats;
}

static int python_exit(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/bin/python3", "python3", "-c", reader, path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_json_is_read_by_python(void **state)
{
    (void)state;
    char path[] = "/tmp/kvbench-report-XXXXXX",
         *argv[] = {(char *)(uintptr_t) "kvbench", (char *)(uintptr_t) "--onesided",
                    (char *)(uintptr_t) "--transport=rdma"};
    struct bench_plan plan;
    assert_int_equal(bench_plan_parse(&plan, 3, argv, stderr), 0);
    struct report *r = calloc(1, sizeof *r);
    *r = (struct report){.plan = &plan,
                         .seconds = 2,
                         .operations = 3,
                         .gets = 2,
                         .sets = 1,
                         .ops_per_s = 123456.5,
                         .wrong = 1,
                         .windows = {.gets = 4, .values = 2, .torn = 1},
                         .left = 5,
                         .busy_share = 0.99,
                         .client_limited = true,
                         .have_server_time = true,
                         .server_user_s = 1,
                         .server_system_s = 0.5,
                         .stats = stats_make(),
                         .error_text = "a \"quoted\" \\ text\n\x01"};
    histogram_record(&r->get_ns, 10000);
    histogram_record(&r->get_ns, 20000);
    histogram_record(&r->set_ns, 30000);
    histogram_merge(&r->all_ns, &r->get_ns);
    histogram_merge(&r->all_ns, &r->set_ns);
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w");
    assert_non_null(out);
    report_print_json(r, out);
    fclose(out);
    assert_int_equal(python_exit(path), 0);
    unlink(path);
    free((void *)(uintptr_t)r->stats);
    free(r);
    bench_plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_json_is_read_by_python)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
