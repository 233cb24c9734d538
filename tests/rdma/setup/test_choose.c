/* Which core has the next connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "rdma/listener.h"

static void test_fewest_first(void **state)
{
    uint32_t connections[4] = {0};
    (void)state;
    for (unsigned i = 0; i < 4 * 25; i++) connections[rdma_listener_choose(connections, 4, 25)]++;
    for (unsigned i = 0; i < 4; i++) assert_int_equal(connections[i], 25);
    assert_int_equal(rdma_listener_choose(connections, 4, 25), 4); /* all are full */
    connections[2]--;
    assert_int_equal(rdma_listener_choose(connections, 4, 25), 2);
}

static void test_by_hand(void **state)
{
    const uint32_t connections[] = {7, 3, 9, 3, 4};
    (void)state;
    assert_int_equal(rdma_listener_choose(connections, 5, 100), 1);
    assert_int_equal(rdma_listener_choose(connections, 5, 4), 1);
    assert_int_equal(rdma_listener_choose(connections, 5, 3), 5);
    assert_int_equal(rdma_listener_choose(connections, 1, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fewest_first), cmocka_unit_test(test_by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
