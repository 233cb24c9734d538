#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "bench/options.h"

static int parse(struct bench_plan *plan, const char *arguments, char **err_text)
{
    char text[512], *argv[32] = {(char *)(uintptr_t) "kvbench"};
    int argc = 1;
    size_t len;
    FILE *err = open_memstream(err_text, &len);
    snprintf(text, sizeof text, "%s", arguments);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    int rc = bench_plan_parse(plan, argc, argv, err);
    fclose(err);
    return rc;
}

static struct bench_plan parsed(const char *arguments)
{
    struct bench_plan plan;
    char *err_text;
    assert_int_equal(parse(&plan, arguments, &err_text), 0);
    assert_string_equal(err_text, "");
    free(err_text);
    return plan;
}

static void test_defaults(void **state)
{
    (void)state;
    struct bench_plan p = parsed("");
    assert_string_equal(p.server_address, "127.0.0.1");
    assert_int_equal(p.server_port, 11211);
    assert_true(p.load && p.verify == VALUE_VERIFY_FULL && p.transport == BENCH_KERNEL && p.poll == REACTOR_ADAPTIVE);
    assert_true(p.value_min == 64 && p.value_max == 64 && p.sets == 1 && p.gets == 9 && p.cpus[0] == -1);
    bench_plan_free(&p);
}

static void test_meanings(void **state)
{
    (void)state;
    struct bench_plan p =
        parsed("--server [::1]:6379 --protocol resp --value-size 10:99 --ratio 1:0 --cpu 3,1 --rate 5 "
               "--verify no --threads 2");
    assert_string_equal(p.server_address, "::1");
    assert_int_equal(p.server_port, 6379);
    assert_true(p.protocol == CODEC_RESP && p.value_min == 10 && p.value_max == 99 && !p.load);
    assert_true(p.cpus[0] == 3 && p.cpus[1] == 1 && p.cpus[2] == -1 && p.poll == REACTOR_BUSY);
    assert_true(p.verify == VALUE_VERIFY_NONE);
    bench_plan_free(&p);

    p = parsed("--server rdma://10.9.0.1:6379 --protocol resp --rdma-buffer 64k");
    assert_true(p.transport == BENCH_RDMA && p.poll == REACTOR_BUSY && p.options.rdma_buffer == 65536);
    assert_string_equal(p.server_address, "10.9.0.1");
    assert_int_equal(p.server_port, 6379);
    bench_plan_free(&p);
    p = parsed("--server [fd00::1]:7 --transport rdma");
    assert_true(p.transport == BENCH_RDMA && p.server_port == 7);
    assert_string_equal(p.server_address, "fd00::1");
    assert_string_equal(bench_transport_names[p.transport], "rdma");
    assert_false(p.options.onesided);
    bench_plan_free(&p);
    p = parsed("--server rdma://10.9.0.1:6379 --onesided --pipeline 1024");
    assert_true(p.options.onesided && p.transport == BENCH_RDMA);
    bench_plan_free(&p);

    p = parsed("--transport tcp --server 10.9.0.1:11211 --vdev net_memif0,role=client,socket=x");
    assert_string_equal(p.device, "net_memif0");
    assert_string_equal(p.server_address, "10.9.0.1");
    bench_plan_free(&p);
}

/* Each refusal is one line that names the option. */
static void test_refusals_name_the_option(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *names;
    } bad[] = {
        {"--server localhost:1", "server"},
        {"--server 127.0.0.1", "server"},
        {"--server 127.0.0.1:0", "server"},
        {"--server 127.0.0.1:70000", "server"},
        {"--server :1", "server"},
        {"--server=", "server"},
        {"--value-size 0", "value-size"},
        {"--value-size 9:3", "value-size"},
        {"--value-size 1:2:3", "value-size"},
        {"--ratio 0:0", "ratio"},
        {"--ratio 3", "ratio"},
        {"--cpu x", "cpu"},
        {"--threads 5 --connections 4", "connections"},
        {"--transport tcp --server 10.0.0.1:1", "vdev"},
        {"--transport tcp --server [::g]:1 --device d", "server"},
        {"--duration 0 --load no", "duration"},
        {"--server-stats --protocol resp", "server-stats"},
        {"--key-size 7", "key-size"},
        {"--fast-open", "fast-open"},
        {"--fast-open --reconnect 1 --transport rdma", "fast-open"},
        {"--server rdma://", "server"},
        {"--server rdma://10.9.0.1", "server"},
        {"--server rdma://name:1", "server"},
        {"--server rdma://10.9.0.1:0 --transport rdma", "server"},
        {"--server rdma:/10.9.0.1:1", "server"},
        {"--server rdma://10.9.0.1:1 --transport tcp --device d", "server"},
        {"--transport infiniband", "transport"},
        {"--rdma-buffer 100", "rdma-buffer"},
        {"--reconnect x", "reconnect"},
        {"--onesided", "onesided"},
        {"--password secret", "password: takes --protocol resp"},
        {"--password secret --protocol memcache --transport rdma", "password: takes --protocol resp"},
        {"--user me --protocol resp", "user"},
        {"--onesided --transport tcp --device d", "onesided"},
        {"--onesided --transport rdma --pipeline 1025", "onesided"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bench_plan plan;
        char *err_text;
        if (parse(&plan, bad[i].arguments, &err_text) != -EINVAL) fail_msg("accepted: %s", bad[i].arguments);
        assert_non_null(strstr(err_text, bad[i].names));
        assert_ptr_equal(strchr(err_text, '\n'), err_text + strlen(err_text) - 1);
        free(err_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_meanings),
                                       cmocka_unit_test(test_refusals_name_the_option)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
