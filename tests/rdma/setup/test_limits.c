/* What we use of a device: never more than it can, and which of its limits is too low for us. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "rdma/limits.h"
#include "tests/rdma/attributes.h"

static struct rdma_limits taken(const struct ibv_device_attr *attr)
{
    struct rdma_limits limits;
    char text[200];
    assert_int_equal(rdma_limits_set(&limits, attr, "rxe0", text, sizeof text), 0);
    return limits;
}

static void test_within_the_device(void **state)
{
    struct ibv_device_attr small = attributes_soft;
    (void)state;
    small.max_sge = 3;
    small.max_qp_wr = 100;
    small.max_srq_wr = 90;
    small.max_cqe = 2000;
    small.max_qp_rd_atom = 0;
    small.max_qp_init_rd_atom = 3;
    struct rdma_limits l = taken(&small);
    assert_int_equal(l.max_sge, 3);
    assert_int_equal(l.send_depth, 100);
    assert_int_equal(l.srq_depth, 90);
    assert_int_equal(l.max_reads, 0);
    assert_int_equal(l.max_asks, 3);
    l = taken(&attributes_soft);
    assert_in_range(l.send_depth, 64, 16384);
    assert_in_range(l.srq_depth, 64, 32767 / 2);
    assert_in_range(l.max_reads, 1, 128);
    assert_in_range(l.max_asks, 1, 100);
}

static void test_too_small(void **state)
{
    static const struct {
        size_t offset;
        const char *name;
    } fields[] = {{offsetof(struct ibv_device_attr, max_sge), "max_sge is 1"},
                  {offsetof(struct ibv_device_attr, max_qp_wr), "max_qp_wr is 1"},
                  {offsetof(struct ibv_device_attr, max_srq_wr), "max_srq_wr is 1"},
                  {offsetof(struct ibv_device_attr, max_cqe), "max_cqe is 1"},
                  {offsetof(struct ibv_device_attr, max_mr), "max_mr is 1"}};
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct ibv_device_attr attr = attributes_soft;
        struct rdma_limits limits;
        char text[200];
        *(int *)((char *)&attr + fields[i].offset) = 1;
        assert_int_equal(rdma_limits_set(&limits, &attr, "rxe7", text, sizeof text), -ENOTSUP);
        assert_non_null(strstr(text, "rxe7"));
        assert_non_null(strstr(text, fields[i].name));
        assert_null(strchr(text, '\n'));
    }
}

/* Whatever the order of pairs, the queue holds all that can complete, and never more than the device allows. */
static void test_completion_queue(void **state)
{
    struct rdma_limits l = taken(&attributes_soft);
    uint32_t now = rdma_limits_cqe(&l, 0, 0), pairs = 0, resized = 0;
    (void)state;
    for (;; pairs++) {
        uint32_t next = rdma_limits_cqe(&l, pairs + 1, now);
        if (next == 0) break;
        assert_true(next >= now && next <= (uint32_t)attributes_soft.max_cqe);
        assert_true(next >= l.srq_depth + (pairs + 1) * l.send_depth);
        resized += next != now;
        now = next;
    }
    assert_true(l.srq_depth + (pairs + 1) * l.send_depth >
                (uint32_t)attributes_soft.max_cqe); /* one more does not fit */
    assert_true(pairs > 100);
    assert_in_range(resized, 1, 8);
    assert_int_equal(rdma_limits_cqe(&l, 1, now), now); /* never shorter */
}

/* Of either kind; type 1 is any pair's. */
static void test_windows(void **state)
{
    static const struct {
        unsigned flags;
        bool windows;
    } cases[] = {{IBV_DEVICE_MEM_WINDOW | IBV_DEVICE_MEM_WINDOW_TYPE_2B, true},
                 {IBV_DEVICE_MEM_WINDOW_TYPE_2A, true},
                 {IBV_DEVICE_MEM_WINDOW, false},
                 {0, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ibv_device_attr attr = attributes_soft;
        attr.device_cap_flags = cases[i].flags;
        assert_int_equal(taken(&attr).windows, cases[i].windows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_within_the_device), cmocka_unit_test(test_too_small),
                                       cmocka_unit_test(test_completion_queue), cmocka_unit_test(test_windows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
