#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/ring.h"

static void *item(uintptr_t n)
{
    return (void *)n;
}

static struct spsc_ring *ring_of(uint32_t capacity)
{
    struct spsc_ring *r = spsc_ring_create(capacity);
    if (!r) abort(); /* and so gcc sees that it is none */
    return r;
}

static void capacity_is_a_power_of_two(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {0, 3, 6, 12, 100, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_null(spsc_ring_create(wrong[i]));
    for (uint32_t capacity = 1; capacity <= 4096; capacity *= 2) {
        struct spsc_ring *r = spsc_ring_create(capacity);
        assert_non_null(r);
        assert_int_equal((uintptr_t)r % 64, 0);
        free(r);
    }
}

static void it_holds_its_capacity_in_order(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity <= 64; capacity *= 2) {
        struct spsc_ring *r = ring_of(capacity);
        uintptr_t pushed = 0, popped = 0;
        assert_null(spsc_ring_pop(r));
        for (int round = 0; round < 200; round++) {
            while (spsc_ring_push(r, item(pushed + 1))) pushed++;
            assert_int_equal(pushed - popped, capacity);
            for (uint32_t i = 0; i <= (uint32_t)round % capacity; i++)
                assert_ptr_equal(spsc_ring_pop(r), item(++popped));
        }
        while (popped < pushed) assert_ptr_equal(spsc_ring_pop(r), item(++popped));
        assert_null(spsc_ring_pop(r));
        assert_null(spsc_ring_pop(r));
        free(r);
    }
}

/* The indices are free-running: they pass 2^32 after a few minutes of a busy mailbox. */
static void indices_wrap(void **state)
{
    (void)state;
    struct spsc_ring *r = ring_of(8);
    uint32_t near_end = UINT32_MAX - 20;
    atomic_store(&r->tail, near_end);
    atomic_store(&r->head, near_end);
    r->head_seen = r->tail_seen = near_end;
    uintptr_t pushed = 0, popped = 0;
    while (pushed < 60) {
        while (spsc_ring_push(r, item(pushed + 1))) pushed++;
        assert_int_equal(pushed - popped, 8);
        for (int i = 0; i < 3; i++) assert_ptr_equal(spsc_ring_pop(r), item(++popped));
    }
    assert_true(atomic_load(&r->head) < near_end);
    free(r);
}

#define ITEMS 10000000u

static void *produce(void *arg)
{
    for (uintptr_t i = 1; i <= ITEMS; i++)
        while (!spsc_ring_push(arg, item(i))) sched_yield();
    return NULL;
}

static void two_threads_lose_and_reorder_nothing(void **state)
{
    (void)state;
    struct spsc_ring *r = ring_of(1024);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, r), 0);
    uintptr_t wrong = 0;
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        void *p;
        while (!(p = spsc_ring_pop(r))) sched_yield();
        wrong += p != item(i);
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    assert_null(spsc_ring_pop(r));
    free(r);
}

/* What the producer wrote before the push is seen after the pop: for the thread sanitizer, and on weaker machines. */
struct parcel {
    uint64_t a, b;
};

static void *produce_parcels(void *arg)
{
    static struct parcel parcels[4096];
    for (uint64_t i = 0; i < 200000; i++) {
        struct parcel *p = &parcels[i % 4096]; /* the ring holds 1024: this one has long been read */
        p->a = i;
        p->b = ~i;
        while (!spsc_ring_push(arg, p)) sched_yield();
    }
    return NULL;
}

static void contents_are_published(void **state)
{
    (void)state;
    struct spsc_ring *r = ring_of(1024);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce_parcels, r), 0);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        struct parcel *p;
        while (!(p = spsc_ring_pop(r))) sched_yield();
        wrong += p->a != i || p->b != ~i;
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_is_a_power_of_two),
        cmocka_unit_test(it_holds_its_capacity_in_order),
        cmocka_unit_test(indices_wrap),
        cmocka_unit_test(two_threads_lose_and_reorder_nothing),
        cmocka_unit_test(contents_are_published),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
