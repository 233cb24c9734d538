#include <stdlib.h>
#include <string.h>
#include "tests/rdma/sim/sim.h"

#define PERIOD 65521u /* of the pattern: a prime */
#define SLOTS 32u
#define SLOT_BYTES 65535u

static uint8_t table[2 * PERIOD]; /* so that PERIOD bytes follow every place */

struct slot {
    struct rte_mbuf_ext_shared_info shared;
    bool used;
    uint8_t bytes[SLOT_BYTES];
};

static struct slot arena[SLOTS];

static void table_fill(void)
{
    if (table[1] != 0) return;
    uint32_t x = 1;
    for (uint32_t i = 0; i < PERIOD; i++) {
        x = x * 1664525 + 1013904223;
        table[i] = table[i + PERIOD] = (uint8_t)(x >> 24 | 1);
    }
}

static const uint8_t *pattern(const struct sim_app *sender, uint64_t at)
{
    return &table[(at + sender->stream_id) % PERIOD];
}

/* Memory sent in place */

static void slot_freed(void *addr, void *opaque)
{
    (void)addr;
    struct slot *slot = opaque;
    memset(slot->bytes, 0, 512);
    memset(slot->bytes + SLOT_BYTES - 512, 0, 512);
    slot->used = false;
}

void sim_arena_register(struct end *e)
{
    end_register(e, arena, sizeof arena);
}

unsigned sim_arena_used(void)
{
    unsigned used = 0;
    for (unsigned i = 0; i < SLOTS; i++) used += arena[i].used;
    return used;
}

static struct slot *slot_take(struct fake *f)
{
    struct slot *slot = &arena[fake_random(f, SLOTS)];
    if (slot->used) return NULL;
    slot->used = true;
    slot->shared.free_cb = slot_freed;
    slot->shared.fcb_opaque = slot;
    rte_mbuf_ext_refcnt_set(&slot->shared, 1);
    return slot;
}

/* Sending */

static struct rte_mbuf *piece_in_place(struct sim_app *app, uint64_t at, uint32_t n)
{
    struct slot *slot = slot_take(app->sim->fake);
    if (!slot) return NULL;
    struct rte_mbuf *m = rte_pktmbuf_alloc(app->sim->pools->ref);
    if (!m) {
        slot->used = false;
        return NULL;
    }
    rte_pktmbuf_attach_extbuf(m, slot->bytes, 0, SLOT_BYTES, &slot->shared);
    m->data_off = 0;
    m->data_len = (uint16_t)RTE_MIN(n, SLOT_BYTES);
    memcpy(slot->bytes, pattern(app, at), RTE_MIN(m->data_len, PERIOD));
    if (m->data_len > PERIOD) memcpy(slot->bytes + PERIOD, pattern(app, at), m->data_len - PERIOD);
    return m;
}

static struct rte_mbuf *piece_copied(struct sim_app *app, uint64_t at, uint32_t n)
{
    bool small = n <= BUF_SMALL_ROOM;
    struct rte_mbuf *m = rte_pktmbuf_alloc(small ? app->sim->pools->small : app->sim->pools->frame);
    if (!m) return NULL;
    m->data_len = (uint16_t)RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(m));
    if (fake_random(app->sim->fake, 3) == 0) m->data_len = (uint16_t)(1 + fake_random(app->sim->fake, m->data_len));
    memcpy(rte_pktmbuf_mtod(m, void *), pattern(app, at), m->data_len);
    return m;
}

static uint32_t message_size(struct fake *f, uint64_t most)
{
    static const uint32_t upto[] = {40, 40, 300, 300, 300, 5000, 5000, 70000, 70000, 1 << 20};
    uint32_t n = 1 + (uint32_t)fake_random(f, upto[fake_random(f, sizeof upto / sizeof *upto)]);
    return (uint32_t)RTE_MIN(n, most);
}

/* As much of a message as there are buffers for. */
static void app_send(struct sim_app *app)
{
    struct fake *f = app->sim->fake;
    struct stream *s = app->side->stream;
    struct buf_chain chain;
    uint32_t left = message_size(f, app->plan - app->sent);
    buf_chain_init(&chain);
    while (left > 0) {
        struct rte_mbuf *m = NULL;
        if (left > 1000 || fake_random(f, 8) == 0) m = piece_in_place(app, app->sent, left);
        if (!m) m = piece_copied(app, app->sent, left);
        if (!m) break;
        left -= m->data_len;
        app->sent += m->data_len;
        buf_chain_append(&chain, m);
        if (fake_random(f, 50) > 0) continue;
        struct rte_mbuf *empty = rte_pktmbuf_alloc(app->sim->pools->small);
        if (empty) buf_chain_append(&chain, empty);
    }
    s->ops->send(s, &chain);
    if (fake_random(f, 10) > 0 || app->sent == app->plan) s->ops->flush(s);
}

static void app_write(struct sim_app *app)
{
    struct stream *s = app->side->stream;
    if (app->waiting || app->sent == app->plan || app->failed) return;
    if (s->tx_queued <= app->limit) {
        app_send(app);
        return;
    }
    s->ops->flush(s);
    s->tx_low_water = (uint32_t)fake_random(app->sim->fake, app->limit + 1);
    s->want_writable = true;
    app->waiting = true;
}

/* Receiving */

static void app_verify(struct sim_app *app, uint32_t n)
{
    const struct sim_app *sender = app->side->peer->user;
    struct buf_cursor cur = buf_chain_begin(&app->side->stream->rx);
    const uint8_t *p;
    while (n > 0) {
        uint32_t take = RTE_MIN(buf_cursor_window(&cur, &p), n);
        take = RTE_MIN(take, PERIOD);
        sim_check(app->sim, take > 0, "a chain is shorter than it says");
        sim_check(app->sim, memcmp(p, pattern(sender, app->taken), take) == 0, "bytes are wrong");
        buf_cursor_advance(&cur, take);
        app->taken += take;
        n -= take;
    }
    sim_check(app->sim, app->taken <= sender->sent, "more came than was sent");
}

static void app_consume(struct sim_app *app, uint32_t n)
{
    struct stream *s = app->side->stream;
    app_verify(app, n);
    buf_chain_consume(&s->rx, n);
    s->ops->consumed(s, n);
}

/* Takes the whole chain and keeps it for a while. */
static void app_hold(struct sim_app *app)
{
    struct stream *s = app->side->stream;
    struct rte_mbuf **place = &app->held[fake_random(app->sim->fake, SIM_HELD)];
    if (*place) rte_pktmbuf_free(*place);
    *place = NULL;
    uint32_t n = s->rx.len;
    if (n == 0) return;
    app_verify(app, n);
    *place = s->rx.head;
    uint16_t segments = 0;
    for (struct rte_mbuf *m = *place; m; m = m->next) segments++;
    (*place)->nb_segs = segments;
    buf_chain_init(&s->rx);
    s->ops->consumed(s, n);
}

static void app_read(struct sim_app *app)
{
    struct fake *f = app->sim->fake;
    uint32_t n = app->side->stream->rx.len;
    if (!app->failed && fake_random(f, app->slowness) > 0) return;
    if (n > 0 && fake_random(f, 3) == 0)
        app_consume(app, 1 + (uint32_t)fake_random(f, n));
    else if (fake_random(f, 12) == 0)
        app_hold(app);
    else
        app_consume(app, n);
    if (fake_random(f, 20) == 0) sim_app_release(app);
}

void sim_app_release(struct sim_app *app)
{
    for (unsigned i = 0; i < SIM_HELD; i++) {
        if (app->held[i]) rte_pktmbuf_free(app->held[i]);
        app->held[i] = NULL;
    }
}

/* Life */

void sim_app_init(struct sim_app *app, struct sim *sim, unsigned index)
{
    struct fake *f = sim->fake;
    table_fill();
    memset(app, 0, sizeof *app);
    app->sim = sim;
    app->side = &sim->sides[index];
    app->side->user = app;
    app->stream_id = (uint32_t)fake_random(f, PERIOD);
    app->slowness = 1 + (uint32_t)fake_random(f, 5);
    app->limit = (uint32_t)fake_random(f, 100000);
    app->plan = fake_random(f, 3) == 0 ? fake_random(f, 300) : fake_random(f, 150 * (uint64_t)app->side->buffer_bytes);
    app->plan = RTE_MIN(app->plan, 400000u);
    if (fake_random(f, 8) == 0) app->plan = 1 + fake_random(f, RTE_MIN(1u << 20, 100 * app->side->buffer_bytes));
}

void sim_app_let_go(struct sim_app *app, bool abort)
{
    struct stream *s = app->side->stream;
    app->side->stream = NULL;
    if (abort)
        s->ops->abort(s);
    else
        s->ops->close(s);
}

static void app_events(struct sim_app *app)
{
    struct stream *s = app->side->stream;
    if (s->events & STREAM_WRITABLE) {
        sim_check(app->sim, app->waiting && s->tx_queued <= s->tx_low_water, "writable without reason");
        app->waiting = false;
    }
    if (s->events & (STREAM_ERROR | STREAM_EOF)) app->failed = true;
    s->events = 0;
}

void sim_app_turn(struct sim_app *app)
{
    if (!app->side->stream) {
        if (app->had_stream && fake_random(app->sim->fake, 10) == 0) sim_app_release(app);
        return;
    }
    app->had_stream = true;
    app_events(app);
    app_read(app);
    app_write(app);
    if (app->failed) {
        app_consume(app, app->side->stream->rx.len);
        /* Bytes that wait for a buffer header come still, as long as somebody is there to take them. */
        if (fake_random(app->sim->fake, 4) == 0) sim_app_release(app);
        if (fake_random(app->sim->fake, 20) == 0) sim_app_let_go(app, fake_random(app->sim->fake, 2));
    } else if (app->closes && app->sent == app->plan && fake_random(app->sim->fake, 10) == 0) {
        sim_app_let_go(app, false);
    }
}
