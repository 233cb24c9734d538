#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "bench/reply.h"
#include "bench/request.h"
#include "tests/support/eal.h"

#define VALUE_MOST 200000u
#define KEY_LEN 20u
#define INDEX 0xabcdefu

struct fixture {
    struct buf_pools pools;
    struct request_source source;
    uint8_t *bytes; /* as they are on the wire */
    uint32_t len;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_eal_start();
    test_pools_create(&f->pools, 4096, 2048);
    f->bytes = malloc(2 * VALUE_MOST);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(buf_pools_in_use(&f->pools), 0);
    buf_pools_destroy(&f->pools);
    free(f->bytes);
    free(f);
    return 0;
}

static void use(struct fixture *f, enum codec_protocol protocol)
{
    assert_int_equal(request_source_init(&f->source, protocol, &f->pools, KEY_LEN, VALUE_MOST), 0);
    f->len = 0;
}

static void put(struct fixture *f, const void *p, uint32_t n)
{
    memcpy(f->bytes + f->len, p, n);
    f->len += n;
}

static void put_value(struct fixture *f, uint32_t index, uint32_t size, uint32_t version)
{
    uint32_t header_len = value_header_len(size);
    struct value_header header = value_header_of(index, size, version);
    put(f, &header, header_len);
    put(f, f->source.pattern + value_offset(index, header_len ? version : 0), size - header_len);
}

static void put_text(struct fixture *f, const char *text)
{
    put(f, text, (uint32_t)strlen(text));
}

/* What the server would send to a get that finds the value. */
static void put_hit(struct fixture *f, uint32_t index, uint32_t size, uint32_t version)
{
    char head[64];
    if (f->source.protocol == CODEC_MEMCACHE)
        snprintf(head, sizeof head, "VALUE kvbench:kvbe%08x 0 %u\r\n", index, size);
    else
        snprintf(head, sizeof head, "$%u\r\n", size);
    if (f->source.protocol == CODEC_MEMCACHE) memcpy(head + 6, request_key(&f->source, index).data, KEY_LEN - 8);
    put_text(f, head);
    put_value(f, index, size, version);
    put_text(f, f->source.protocol == CODEC_MEMCACHE ? "\r\nEND\r\n" : "\r\n");
}

static void chain_add(struct fixture *f, struct buf_chain *chain, const uint8_t *p, uint32_t n)
{
    while (n > 0) {
        uint32_t take = n < 2048 ? n : 2048;
        struct rte_mbuf *m = rte_pktmbuf_alloc(f->pools.frame);
        assert_non_null(m);
        memcpy(rte_pktmbuf_mtod(m, void *), p, take);
        m->data_len = (uint16_t)take;
        buf_chain_append(chain, m);
        p += take;
        n -= take;
    }
}

static void test_requests_are_what_the_protocol_says(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[] = {1, 15, 16, 17, 64, 200, 255, 1000, 4096, 65535, 65551, 65552, 150000};
    for (int protocol = CODEC_MEMCACHE; protocol <= CODEC_RESP; protocol++) {
        struct buf_chain chain;
        buf_chain_init(&chain);
        use(f, protocol);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct planned_op set = {.index = INDEX, .value_len = sizes[i], .version = 5};
            struct planned_op get = {.index = INDEX, .is_get = true};
            assert_true(request_append(&f->source, &chain, &set));
            assert_true(request_append(&f->source, &chain, &get));
            f->len = codec_set_head(protocol, f->bytes, request_key(&f->source, INDEX), sizes[i]);
            put_value(f, INDEX, sizes[i], 5);
            f->len += codec_set_tail(protocol, f->bytes + f->len);
            f->len += codec_get(protocol, f->bytes + f->len, request_key(&f->source, INDEX));
            assert_int_equal(chain.len, f->len);
            uint8_t *got = malloc(f->len);
            assert_int_equal(buf_chain_copy(&chain, 0, got, f->len), f->len);
            assert_memory_equal(got, f->bytes, f->len);
            free(got);
            buf_chain_free(&chain);
        }
        request_source_fini(&f->source);
    }
}

static void test_small_requests_share_a_buffer(void **state)
{
    struct fixture *f = *state;
    struct buf_chain chain;
    struct planned_op get = {.index = 1, .is_get = true};
    buf_chain_init(&chain);
    use(f, CODEC_MEMCACHE);
    for (uint32_t i = 0; i < 5; i++) assert_true(request_append(&f->source, &chain, &get));
    assert_ptr_equal(chain.head, chain.tail);
    buf_chain_free(&chain);
    request_source_fini(&f->source);
}

/* With a pool empty nothing is appended, and nothing is lost. */
static void test_no_buffer_appends_nothing(void **state)
{
    struct fixture *f = *state;
    struct rte_mbuf *taken[4096];
    struct buf_chain chain;
    struct planned_op set = {.index = 1, .value_len = 4096};
    buf_chain_init(&chain);
    use(f, CODEC_MEMCACHE);
    uint32_t n = 0;
    while (n < 4096 && (taken[n] = rte_pktmbuf_alloc(f->pools.ref)) != NULL) n++;
    assert_false(request_append(&f->source, &chain, &set));
    assert_int_equal(chain.len, 0);
    buf_chain_free(&chain);
    rte_pktmbuf_free_bulk(taken, n);
    n = 0;
    while (n < 4095 && (taken[n] = rte_pktmbuf_alloc(f->pools.small)) != NULL) n++; /* one is left: two are needed */
    assert_false(request_append(&f->source, &chain, &set));
    assert_int_equal(chain.len, 0);
    buf_chain_free(&chain);
    rte_pktmbuf_free_bulk(taken, n);
    request_source_fini(&f->source);
}

static enum reply_status read_get(struct reply_reader *r, struct buf_chain *rx, struct reply *reply)
{
    return reply_read(r, true, INDEX, rx, reply);
}

/* The reply in two pieces, cut at every place: not done before the last byte, right after it. */
static void test_hit_cut_anywhere(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[] = {3, 64, 3000};
    for (int run = 0; run < 6; run++) {
        use(f, run / 3 ? CODEC_RESP : CODEC_MEMCACHE);
        put_hit(f, INDEX, sizes[run % 3], 77);
        for (uint32_t cut = 1; cut < f->len; cut++) {
            struct reply_reader r;
            struct reply reply = {0};
            struct buf_chain rx;
            buf_chain_init(&rx);
            reply_reader_init(&r, &f->source, VALUE_VERIFY_FULL, 1, VALUE_MOST);
            chain_add(f, &rx, f->bytes, cut);
            assert_int_equal(read_get(&r, &rx, &reply), REPLY_NEED_MORE);
            chain_add(f, &rx, f->bytes + cut, f->len - cut);
            assert_int_equal(read_get(&r, &rx, &reply), REPLY_DONE);
            assert_int_equal(reply.kind, CODEC_HIT);
            assert_false(reply.wrong);
            assert_int_equal(rx.len, 0);
        }
        request_source_fini(&f->source);
    }
}

static void test_many_replies_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    struct reply_reader r;
    struct reply reply;
    struct buf_chain rx;
    uint32_t done = 0, kinds[4] = {0};
    buf_chain_init(&rx);
    use(f, CODEC_MEMCACHE);
    reply_reader_init(&r, &f->source, VALUE_VERIFY_FULL, 1, VALUE_MOST);
    put_hit(f, INDEX, 100, 1);
    put_text(f, "END\r\n");
    put_hit(f, INDEX, 5, 1);
    put_text(f, "SERVER_ERROR out of memory\r\n");
    put_hit(f, INDEX, 2000, 2);
    for (uint32_t at = 0; at < f->len; at++) {
        chain_add(f, &rx, f->bytes + at, 1);
        if (read_get(&r, &rx, &reply) != REPLY_DONE) continue;
        done++;
        kinds[reply.kind]++;
        assert_false(reply.kind == CODEC_HIT && reply.wrong);
        if (reply.kind == CODEC_REFUSED) assert_string_equal(reply.text, "SERVER_ERROR out of memory");
    }
    assert_int_equal(done, 5);
    assert_int_equal(kinds[CODEC_HIT], 3);
    assert_int_equal(kinds[CODEC_MISS], 1);
    assert_int_equal(rx.len, 0);
    request_source_fini(&f->source);
}

/* Any changed byte of a reply is a wrong value, or not the protocol; never a right one. */
static void test_any_flipped_byte_of_a_reply_shows(void **state)
{
    struct fixture *f = *state;
    for (uint32_t whole = 0; whole < 2; whole++) {
        use(f, CODEC_MEMCACHE);
        put_hit(f, INDEX, 200, 3);
        uint32_t flags_at = 6 + KEY_LEN + 1; /* the flags are not ours to check */
        for (uint32_t at = 0; at < f->len; at++) {
            struct reply_reader r;
            struct reply reply = {.wrong = false, .kind = CODEC_MISS};
            struct buf_chain rx;
            if (at == flags_at) continue;
            buf_chain_init(&rx);
            reply_reader_init(&r, &f->source, VALUE_VERIFY_FULL, 1, VALUE_MOST);
            f->bytes[at] ^= 1;
            chain_add(f, &rx, f->bytes, whole ? f->len : 90);
            if (!whole) chain_add(f, &rx, f->bytes + 90, f->len - 90);
            enum reply_status status = read_get(&r, &rx, &reply);
            assert_false(status == REPLY_DONE && reply.kind == CODEC_HIT && !reply.wrong);
            f->bytes[at] ^= 1;
            buf_chain_free(&rx);
        }
        request_source_fini(&f->source);
    }
}

static void test_value_of_a_size_never_set_is_wrong(void **state)
{
    struct fixture *f = *state;
    use(f, CODEC_RESP);
    for (uint32_t size = 63; size <= 65; size++) {
        struct reply_reader r;
        struct reply reply;
        struct buf_chain rx;
        buf_chain_init(&rx);
        f->len = 0;
        put_hit(f, INDEX, size, 3);
        reply_reader_init(&r, &f->source, VALUE_VERIFY_FULL, 64, 64);
        chain_add(f, &rx, f->bytes, f->len);
        assert_int_equal(read_get(&r, &rx, &reply), REPLY_DONE);
        assert_int_equal(reply.wrong, size != 64);
    }
    request_source_fini(&f->source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_what_the_protocol_says),
        cmocka_unit_test(test_small_requests_share_a_buffer),
        cmocka_unit_test(test_no_buffer_appends_nothing),
        cmocka_unit_test(test_hit_cut_anywhere),
        cmocka_unit_test(test_many_replies_byte_by_byte),
        cmocka_unit_test(test_any_flipped_byte_of_a_reply_shows),
        cmocka_unit_test(test_value_of_a_size_never_set_is_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
