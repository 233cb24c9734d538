/* What connections cost: nothing before they are opened, less than 400 bytes each while they idle. */
#include <stdio.h>
#include <unistd.h>
#include "net/tcp/conn.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define FIRST 10000u
#define OPENED 60000u
#define SLACK (4u << 20) /* huge pages are granted whole */

static uint64_t resident(void)
{
    unsigned long pages = 0, unused;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &unused, &pages), 2);
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void million(struct net_stack_config *config)
{
    config->max_connections = 1000000;
    config->max_half_open = 100000;
    config->secret[0] = UINT64_C(0x243f6a8885a308d3);
    config->secret[1] = UINT64_C(0x13198a2e03707344);
}

static void open_until(struct script *s, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        s->peer_port = (uint16_t)(1 + i);
        script_open(s, 65535);
    }
}

static void test_idle_connections(void **state)
{
    (void)state;
    static struct script s;
    script_create(&s, NULL); /* what starts but once is paid for */
    assert_int_equal(script_destroy(&s), 0);
    uint64_t before = resident();
    script_create(&s, million);
    uint64_t created = resident();
    assert_in_range(created - before, 0, SLACK);
    open_until(&s, 0, FIRST); /* each table has its first page */
    uint64_t some = resident();
    open_until(&s, FIRST, OPENED);
    assert_int_equal(net_stack_connections(s.stack), OPENED);
    uint64_t each = (resident() - some) / (OPENED - FIRST);
    print_message("%llu bytes a connection\n", (unsigned long long)each);
#ifndef __SANITIZE_ADDRESS__
    assert_in_range(each, 1, 400 + SLACK / (OPENED - FIRST));
#endif
    assert_in_range(net_stack_metrics(s.stack)->tcp_memory / OPENED, TCP_CONN_BYTES, 400);
    assert_int_equal(net_stack_deadline(s.stack), UINT64_MAX); /* none of them has a timer */
    assert_int_equal(buf_pools_in_use(&s.pools), 0);           /* or a buffer */
    assert_int_equal(script_destroy(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
