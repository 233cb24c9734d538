/* Large values that wait for room, on a clock that goes on by hand: how long, who is kept from what, what is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "server/room.h"
#include "server/session.h"
#include "tests/server/fixture.h"
#include "tests/server/text.h"

#define SMALL_BYTES 1000u
#define LARGE_BYTES 4000000u
#define PINS_APART 20u /* items: nearer than a page is long */
#define PINS_MOST 4096u
#define WAIT_MS 5000u
#define REFUSED "SERVER_ERROR out of memory storing object\r\n"

static struct fixture x;
static struct core *core;
static struct store_pin *pins[PINS_MOST];
static unsigned pin_count;

static struct store_key small_key(char *buf, unsigned n)
{
    uint32_t len = (uint32_t)snprintf(buf, 24, "small%u", n);
    return (struct store_key){(const uint8_t *)buf, len, store_hash(buf, len)};
}

/* Small values until some are evicted. */
static unsigned fill(void)
{
    static const uint8_t value[SMALL_BYTES];
    const struct store_metrics *m = store_metrics(core->store);
    char buf[24];
    unsigned n = 0;
    uint64_t evicted = m->evicted_new + m->evicted_cold;
    while (m->evicted_new + m->evicted_cold == evicted) {
        struct store_key k = small_key(buf, n++);
        assert_int_equal(store_set(core->store, &k, value, sizeof(value), NULL, STORE_SET, 0, x.now.unix_ms), STORE_OK);
    }
    return n;
}

/* Something in every page, so that none can be emptied. */
static void pin_everywhere(unsigned count)
{
    char buf[24];
    struct store_value v;
    for (unsigned n = 0; n < count && pin_count < PINS_MOST; n += PINS_APART) {
        struct store_key k = small_key(buf, n);
        if (store_get(core->store, &k, x.now.unix_ms, &v) != STORE_OK) continue;
        pins[pin_count] = store_pin(core->store, v.item);
        assert_non_null(pins[pin_count]);
        pin_count++;
    }
}

static void unpin_all(void)
{
    while (pin_count > 0) store_unpin(core->store, pins[--pin_count]);
}

static void pass_ms(uint64_t ms)
{
    x.now.ns += ms * 1000000;
    x.now.unix_ms += ms;
}

/* What housekeeping does while somebody waits. */
static void step(void)
{
    core->now = &x.now;
    store_step(core->store, x.now.unix_ms);
    room_turn(core, &x.now);
}

static void feed(unsigned s, const struct text *t)
{
    fake_stream_feed(&x.streams[s], t->data, t->len, 2048);
    fixture_settle(&x);
}

static void feed_text(unsigned s, const char *text)
{
    fake_stream_feed(&x.streams[s], text, strlen(text), 2048);
    fixture_settle(&x);
}

static void assert_sent(unsigned s, const char *expected)
{
    struct fake_stream *f = &x.streams[s];
    assert_int_equal(f->sent_len, strlen(expected));
    if (f->sent_len) assert_memory_equal(f->sent, expected, f->sent_len);
}

static unsigned waiter(const char *key)
{
    char head[64];
    unsigned s = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    snprintf(head, sizeof head, "set %s 0 0 %u\r\n", key, LARGE_BYTES);
    feed_text(s, head);
    return s;
}

/* The rest of what a refused or accepted request has to say, and another one. */
static void feed_value_and_get(unsigned s)
{
    struct text t = {0};
    text_pattern(&t, LARGE_BYTES, 1);
    text_print(&t, "\r\nget none\r\n");
    feed(s, &t);
    text_free(&t);
}

/* After five seconds it is refused, and not asked for again; who came later waits as long, and others do not wait. */
static void test_refused_after_five_seconds(void **state)
{
    (void)state;
    const struct store_metrics *m = store_metrics(core->store);
    pin_everywhere(fill());
    unsigned first = waiter("first");
    assert_non_null(core->waiting);
    pass_ms(1000);
    unsigned second = waiter("second"), other = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    assert_int_equal(core->metrics.room_waits, 2);
    for (unsigned ms = 1000; ms < WAIT_MS; ms += 100) {
        step();
        pass_ms(100);
        assert_sent(first, "");
    }
    feed_text(other, "get none\r\n");
    assert_sent(other, "END\r\n");
    step();
    fixture_settle(&x);
    assert_sent(first, REFUSED);
    assert_sent(second, "");
    pass_ms(999);
    step();
    fixture_settle(&x);
    assert_sent(second, "");
    pass_ms(1);
    step();
    fixture_settle(&x);
    assert_sent(second, REFUSED);
    assert_null(core->waiting);
    uint64_t refused = m->refused;
    for (unsigned i = 0; i < 100; i++, pass_ms(100)) step();
    fixture_settle(&x);
    assert_int_equal(m->refused, refused);
    assert_int_equal(core->metrics.room_waits, 2);
    feed_value_and_get(first); /* its bytes are passed over */
    assert_sent(first, REFUSED "END\r\n");
    unpin_all();
    fixture_end_streams(&x);
}

/* Room comes in steps, for whoever was first; small writes go on meanwhile and none is refused. */
static void test_room_comes(void **state)
{
    (void)state;
    const struct store_metrics *m = store_metrics(core->store);
    unsigned count = fill(), steps = 0;
    unsigned first = waiter("first"), second = waiter("second"), other = fixture_connect(&x, 0, FIXTURE_MEMCACHE);
    for (; core->waiting; steps++, x.now.ns += 1000) {
        struct text t = {0};
        char key[24];
        snprintf(key, sizeof key, "small%u", count + steps);
        text_mc_set(&t, key, 100, steps);
        feed(other, &t);
        text_free(&t);
        assert_int_equal(x.streams[other].sent_len, (steps + 1) * strlen("STORED\r\n"));
        uint64_t evicted = m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class;
        step();
        assert_true(m->evicted_new + m->evicted_cold + m->evicted_page + m->evicted_class - evicted <= 2 * 32);
        assert_true(steps < 10000);
    }
    print_message("room for two of %u bytes after %u steps\n", LARGE_BYTES, steps);
    feed_value_and_get(first);
    feed_value_and_get(second);
    assert_sent(first, "STORED\r\nEND\r\n");
    assert_sent(second, "STORED\r\nEND\r\n");
    fixture_end_streams(&x);
}

/* A large value waits also when all of it is there with its first byte. */
static void test_whole_value_waits(void **state)
{
    (void)state;
    static const enum fixture_protocol protocols[] = {FIXTURE_MEMCACHE, FIXTURE_RESP};
    for (unsigned i = 0; i < 2; i++) {
        struct text t = {0};
        fixture_clear(&x);
        fill();
        unsigned s = fixture_connect(&x, 0, protocols[i]);
        if (i == 0)
            text_mc_set(&t, "large", LARGE_BYTES, 1);
        else
            text_resp(&t, "SET large @4000000 EX 100");
        feed(s, &t);
        assert_non_null(core->waiting);
        for (unsigned steps = 0; core->waiting; steps++) {
            assert_true(steps < 10000);
            step();
        }
        fixture_settle(&x);
        assert_sent(s, i == 0 ? "STORED\r\n" : "+OK\r\n");
        text_free(&t);
        fixture_end_streams(&x);
    }
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&x, 1, "--max-value-size", "8m");
    core = &x.cores[0];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&x);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused_after_five_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_value_waits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
