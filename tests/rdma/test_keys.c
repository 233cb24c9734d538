/* Keys of registered memory, against a table of which byte belongs to which range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>
#include "rdma/keys.h"

static const void *at(uintptr_t address)
{
    return (const void *)address;
}

static void finds_what_lies_inside(void **state)
{
    (void)state;
    static struct rdma_keys k;
    uint32_t hint = 77; /* of nothing */
    k.count = 0;
    assert_null(rdma_keys_find(&k, at(1000), 1, &hint));
    assert_int_equal(rdma_keys_add(&k, at(2000), 100, 2), 0);
    assert_int_equal(rdma_keys_add(&k, at(1000), 100, 1), 0);
    assert_int_equal(rdma_keys_add(&k, at(1100), 900, 3), 0); /* fills the gap exactly */
    assert_int_equal(rdma_keys_find(&k, at(1000), 100, &hint)->lkey, 1);
    assert_null(rdma_keys_find(&k, at(1000), 101, &hint)); /* into the neighbour, which has another key */
    assert_int_equal(rdma_keys_find(&k, at(1999), 1, &hint)->lkey, 3);
    assert_int_equal(rdma_keys_find(&k, at(2099), 1, &hint)->lkey, 2);
    assert_null(rdma_keys_find(&k, at(2100), 1, &hint));
    assert_null(rdma_keys_find(&k, at(2000), SIZE_MAX, &hint));
    assert_null(rdma_keys_find(&k, at(999), 1, &hint));
}

static void refuses_overlaps(void **state)
{
    (void)state;
    static struct rdma_keys k;
    k.count = 0;
    assert_int_equal(rdma_keys_add(&k, at(1000), 100, 1), 0);
    assert_int_equal(rdma_keys_add(&k, at(1099), 1, 1), -EEXIST);
    assert_int_equal(rdma_keys_add(&k, at(900), 101, 1), -EEXIST);
    assert_int_equal(rdma_keys_add(&k, at(1), 5000, 1), -EEXIST);
    assert_int_equal(rdma_keys_add(&k, at(1010), 5, 1), -EEXIST);
    assert_int_equal(rdma_keys_add(&k, at(900), 100, 1), 0);
    for (uintptr_t i = 2; i < RDMA_KEYS_MAX; i++) assert_int_equal(rdma_keys_add(&k, at(i * 10000), 1, 0), 0);
    assert_int_equal(rdma_keys_add(&k, at(1), 1, 0), -ENOSPC);
    rdma_keys_remove(&k, at(1001)); /* no range's start */
    assert_int_equal(k.count, RDMA_KEYS_MAX);
    rdma_keys_remove(&k, at(1000));
    assert_int_equal(rdma_keys_add(&k, at(1000), 100, 9), 0);
}

enum { SPACE = 300, STEPS = 20000 };

static void model_range(const uint32_t owner[SPACE], uintptr_t first, size_t n, uint32_t *lkey)
{
    *lkey = owner[first];
    for (size_t i = 0; i < n; i++)
        if (first + i >= SPACE || owner[first + i] != *lkey) *lkey = 0;
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    static struct rdma_keys k;
    static uint32_t owner[SPACE]; /* of each address; 0: none */
    uint32_t hint = 0, serial = 0;
    k.count = 0;
    srand(1);
    for (unsigned step = 0; step < STEPS; step++) {
        uintptr_t first = 1 + (uintptr_t)rand() % (SPACE - 20);
        size_t n = 1 + (size_t)rand() % 12;
        uint32_t free_key = 0, expected, taken = 0;
        for (size_t i = 0; i < n; i++) taken |= owner[first + i];
        switch (rand() % 4) {
        case 0:
            assert_int_equal(rdma_keys_add(&k, at(first), n, ++serial), taken ? -EEXIST : 0);
            for (size_t i = 0; i < n && !taken; i++) owner[first + i] = serial;
            break;
        case 1:
            free_key = owner[first] != owner[first - 1] ? owner[first] : 0;
            rdma_keys_remove(&k, at(first));
            for (size_t i = 0; i < SPACE; i++)
                if (free_key && owner[i] == free_key) owner[i] = 0;
            break;
        default: {
            model_range(owner, first, n, &expected);
            const struct rdma_key_range *found = rdma_keys_find(&k, at(first), n, &hint);
            assert_int_equal(found ? found->lkey : 0, expected);
        }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_what_lies_inside), cmocka_unit_test(refuses_overlaps),
                                       cmocka_unit_test(agrees_with_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
