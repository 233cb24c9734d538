#include "tests/rdma/fixture.h"

#include <stdlib.h>
#include <string.h>
#include "tests/support/eal.h"

const struct side_config side_default = {.buffer_bytes = 4096, .send_depth = 64, .max_sge = 8};

static struct buf_pools pools;

void fixture_start(struct fixture *x, void (*alter)(struct end_config *config))
{
    struct end_config config;
    test_eal_start();
    if (!pools.frame) test_pools_create(&pools, 2048, 2048);
    memset(x, 0, sizeof *x);
    x->pools = &pools;
    x->fake = fake_create(&(struct fake_config){.seed = 7, .delay_ns = 500, .late_ns = 500});
    end_config_default(&config, &pools);
    if (alter) alter(&config);
    end_create(&x->server, x->fake, &config);
    end_create(&x->client, x->fake, &config);
    x->raw_device = fake_device_create(x->fake);
}

void fixture_turn_input(struct fixture *x)
{
    struct tick now = end_tick(&x->server);
    rdma_core_input(x->server.core, &now);
    rdma_core_input(x->client.core, &now);
}

void fixture_turn_output(struct fixture *x)
{
    struct tick now = end_tick(&x->server);
    rdma_core_output(x->server.core, &now);
    rdma_core_output(x->client.core, &now);
    sides_step(&x->server, x->sides, x->count);
    sides_step(&x->client, x->sides, x->count);
    fake_run(x->fake, FIXTURE_TURN_NS);
}

void fixture_turns(struct fixture *x, unsigned n)
{
    while (n-- > 0) {
        fixture_turn_input(x);
        fixture_turn_output(x);
    }
}

struct side *fixture_connect(struct fixture *x, const struct side_config *config)
{
    struct side *s = &x->sides[x->count];
    x->count += 2;
    assert_true(x->count <= FIXTURE_SIDES);
    sides_connect(s, &x->server, s + 1, &x->client, config);
    fixture_turns(x, 3);
    return s;
}

struct side *fixture_connect_raw(struct fixture *x, const struct side_config *config)
{
    struct side *s = &x->sides[x->count];
    x->count += 2;
    assert_true(x->count <= FIXTURE_SIDES);
    sides_connect_raw(s, &x->server, s + 1, x->raw_device, config);
    fixture_turns(x, 3);
    return s;
}

void fixture_end(struct fixture *x)
{
    for (unsigned i = 0; i < x->count; i++)
        if (x->sides[i].stream) side_abort(&x->sides[i]);
    for (unsigned i = 0; i < x->count; i++)
        if (x->sides[i].conn && x->sides[i].gone_ns == 0) side_disconnect(&x->sides[i]);
    fixture_turns(x, 1000);
    for (unsigned i = 0; i < x->count; i++)
        if (x->sides[i].end) assert_true(x->sides[i].done);
    assert_int_equal(rdma_core_connections(x->server.core) + rdma_core_connections(x->client.core), 0);
    for (unsigned i = 0; i < x->count; i++) side_raw_destroy(&x->sides[i]);
    end_destroy(&x->server);
    end_destroy(&x->client);
    fake_destroy(x->fake);
    assert_int_equal(buf_pools_in_use(&pools), 0);
}

uint8_t pattern(uint64_t at)
{
    return (uint8_t)((at ^ at >> 8 ^ at >> 16) * 167 + 13);
}

void side_send(struct side *s, uint64_t at, uint32_t n, uint32_t piece)
{
    struct buf_chain chain;
    buf_chain_init(&chain);
    while (n > 0) {
        uint32_t len = n < piece ? n : piece;
        struct rte_mbuf *m = rte_pktmbuf_alloc(pools.frame);
        assert_non_null(m);
        uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
        for (uint32_t i = 0; i < len; i++) p[i] = pattern(at + i);
        m->data_len = (uint16_t)len;
        buf_chain_append(&chain, m);
        at += len;
        n -= len;
    }
    s->stream->ops->send(s->stream, &chain);
    s->stream->ops->flush(s->stream);
}

uint32_t side_take(struct side *s, uint64_t at)
{
    struct stream *t = s->stream;
    uint32_t n = t->rx.len, i = 0;
    struct buf_cursor cur = buf_chain_begin(&t->rx);
    const uint8_t *p;
    for (uint32_t window; (window = buf_cursor_window(&cur, &p)) > 0; buf_cursor_advance(&cur, window))
        for (uint32_t j = 0; j < window; j++) assert_int_equal(p[j], pattern(at + i++));
    assert_int_equal(i, n);
    buf_chain_consume(&t->rx, n);
    t->ops->consumed(t, n);
    return n;
}

void side_abort(struct side *s)
{
    s->stream->ops->abort(s->stream);
    s->stream = NULL;
}

void side_close(struct side *s)
{
    s->stream->ops->close(s->stream);
    s->stream = NULL;
}

uint32_t fixture_in_use(const struct fixture *x)
{
    return buf_pools_in_use(x->pools);
}
