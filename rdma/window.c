#include "rdma/window.h"

#include <errno.h>
#include <stdlib.h>
#include "base/slot.h"
#include "rdma/core_impl.h"

#define SHARDS_MAX 256u

/* ---- the server's side ---- */

bool rdma_window_offer(struct rdma_conn *conn, unsigned shard, const void *base, uint64_t bytes)
{
    uint32_t hint = 0;
    const struct rdma_keys *keys = conn->core->lanes[conn->lane].config.keys;
    const struct rdma_key_range *range = rdma_keys_find(keys, base, bytes, &hint);
    if (!range || !range->rkey) return false;
    struct rdma_message m = {.opcode = RDMA_WINDOW,
                             .select = (uint16_t)shard,
                             .address = (uintptr_t)base,
                             .bytes = bytes,
                             .key = range->rkey};
    if (!rdma_conn_send_message(conn, &m)) return false;
    metric_add(&conn->core->metrics.windows_given, 1);
    return true;
}

/* ---- the client's side ---- */

struct shard {
    struct window_map *map;
    uint64_t address;
    uint32_t rkey;
};

struct look_up;
struct piece {
    struct rdma_read read; /* first: it and the piece are converted into one another */
    struct look_up *of;
};

struct look_up {
    struct rdma_window *window;
    const struct shard *shard;
    void *arg;
    bool active;
    bool failed;
    unsigned pending; /* pieces that are not there yet */
    struct piece pieces[WINDOW_PIECES_MAX];
    struct window_get get;
    struct look_up *next_free;
};

struct rdma_window {
    struct rdma_window_config config;
    enum rdma_window_state state;
    unsigned shards; /* 0: not known yet */
    unsigned given;  /* windows that have come */
    uint32_t until_asked;
    uint32_t in_flight;                      /* reads */
    struct rdma_read *waiting, *waiting_end; /* reads that are to go when others are done */
    struct look_up *free;
    struct slot_map owners;
    struct shard shard[SHARDS_MAX];
    void (*freed)(void *arg); /* not NULL: the window is to be no more */
    void *freed_arg;
    struct look_up first; /* of the first shard's line, before there is a window; its memory is the first look-up's */
    struct look_up look_ups[];
};

size_t rdma_window_memory_bytes(uint32_t depth)
{
    return (size_t)depth * WINDOW_GET_BYTES;
}

static uint8_t *buffer_of(const struct rdma_window *w, const struct look_up *l)
{
    return l == &w->first ? w->config.memory : w->config.memory + (size_t)(l - w->look_ups) * WINDOW_GET_BYTES;
}

static void state_set(struct rdma_window *w, enum rdma_window_state state)
{
    bool settled = w->state == RDMA_WINDOW_ASKING && state != RDMA_WINDOW_ASKING;
    w->state = state;
    if (settled && w->config.settled) w->config.settled(w->config.settled_arg);
}

static bool ask(struct rdma_window *w, uint16_t opcode, unsigned shard)
{
    struct rdma_message m = {.opcode = opcode, .select = (uint16_t)shard};
    if (opcode == RDMA_SET_FEATURES) m.features = RDMA_FEATURE_ONESIDED;
    return rdma_conn_send_message(w->config.conn, &m);
}

int rdma_window_create(struct rdma_window **out, const struct rdma_window_config *config)
{
    if (config->depth == 0 || config->depth > RDMA_WINDOW_DEPTH_MAX || config->reads == 0) return -EINVAL;
    struct rdma_window *w = calloc(1, sizeof *w + config->depth * sizeof w->look_ups[0]);
    if (!w) return -ENOMEM;
    w->config = *config;
    w->config.settled = NULL; /* not before there is anything to look at */
    w->until_asked = config->ask_every;
    w->first.window = w;
    for (uint32_t i = config->depth; i-- > 0;) {
        w->look_ups[i].window = w;
        w->look_ups[i].next_free = w->free;
        w->free = &w->look_ups[i];
    }
    if (!ask(w, RDMA_GET_FEATURES, 0)) {
        free(w);
        return -ENOTCONN;
    }
    w->config.settled = config->settled;
    *out = w;
    return 0;
}

/* The next one, or all have come. */
static void ask_shard(struct rdma_window *w)
{
    if (w->shards != 0 && w->given == w->shards)
        state_set(w, RDMA_WINDOW_OPEN);
    else if (!ask(w, RDMA_SET_FEATURES, w->given))
        state_set(w, RDMA_WINDOW_NONE);
}

static void window_free(struct rdma_window *w)
{
    if (w->in_flight > 0) return;
    void (*freed)(void *arg) = w->freed;
    void *arg = w->freed_arg;
    for (unsigned i = 0; i < SHARDS_MAX; i++) window_map_destroy(&w->shard[i].map);
    free(w);
    freed(arg);
}

/* ---- look-ups ---- */

static void look_up_go_on(struct look_up *l, enum window_step step);

static void look_up_end(struct look_up *l, enum window_step step)
{
    struct rdma_window *w = l->window;
    const struct window_get *g = &l->get;
    bool value = step == WINDOW_VALUE;
    l->active = false;
    /* Its memory is nobody's before the call is over. */
    w->config.done(l->arg, step, value ? g->value : NULL, value ? g->value_len : 0, value ? g->flags : 0);
    l->next_free = w->free;
    w->free = l;
}

static void open_up(struct rdma_window *w)
{
    struct window_map *map = w->shard[0].map;
    unsigned shards = map->known && map->seen.shard == 0 ? map->seen.shards : 0;
    if (shards == 0 || shards > SHARDS_MAX) {
        state_set(w, RDMA_WINDOW_NONE);
        return;
    }
    w->shards = shards;
    window_map_expect(map, 0, shards);
    slot_map_init(&w->owners, shards);
    ask_shard(w);
}

static void piece_done(struct look_up *l, bool ok)
{
    l->failed |= !ok;
    if (--l->pending > 0 || !l->active) return;
    if (l == &l->window->first) {
        l->active = false;
        if (!l->failed && window_map_learn(l->window->shard[0].map, buffer_of(l->window, l)))
            open_up(l->window);
        else
            state_set(l->window, RDMA_WINDOW_NONE);
        return;
    }
    look_up_go_on(l, l->failed ? WINDOW_MESSAGE : window_get_on(&l->get));
}

static void read_done(struct rdma_read *read, bool ok);

/* As many reads as the pair may have. */
static void pump(struct rdma_window *w)
{
    struct rdma_read *read;
    while (w->in_flight < w->config.reads && (read = w->waiting) != NULL) {
        w->waiting = read->next;
        w->in_flight++;
        if (rdma_conn_read(w->config.conn, read)) continue;
        w->in_flight--;
        state_set(w, RDMA_WINDOW_NONE); /* the connection has ended */
        piece_done(((struct piece *)read)->of, false);
    }
}

static void read_done(struct rdma_read *read, bool ok)
{
    struct look_up *l = ((struct piece *)read)->of;
    struct rdma_window *w = l->window;
    w->in_flight--;
    piece_done(l, ok);
    if (w->freed)
        window_free(w);
    else
        pump(w);
}

static void post(struct look_up *l, const struct window_piece *p)
{
    struct rdma_window *w = l->window;
    struct piece *piece = &l->pieces[l->pending++];
    piece->of = l;
    piece->read = (struct rdma_read){.into = p->into,
                                     .bytes = p->bytes,
                                     .lkey = w->config.lkey,
                                     .address = l->shard->address + p->at,
                                     .rkey = l->shard->rkey,
                                     .done = read_done};
    if (w->waiting)
        w->waiting_end->next = &piece->read;
    else
        w->waiting = &piece->read;
    w->waiting_end = &piece->read;
}

static void look_up_go_on(struct look_up *l, enum window_step step)
{
    if (step != WINDOW_READ) {
        look_up_end(l, step);
        return;
    }
    for (unsigned i = 0; i < l->get.piece_count; i++) post(l, &l->get.pieces[i]);
    pump(l->window);
}

bool rdma_window_get(struct rdma_window *w, const void *key, uint32_t len, void *arg)
{
    struct look_up *l = w->free;
    if (w->state != RDMA_WINDOW_OPEN || !l) return false;
    if (w->config.ask_every && --w->until_asked == 0) {
        w->until_asked = w->config.ask_every;
        return false;
    }
    w->free = l->next_free;
    l->shard = &w->shard[w->owners.owner[slot_of_key(key, len)]];
    l->arg = arg;
    l->active = true;
    l->failed = false;
    l->pending = 0;
    look_up_go_on(l, window_get_begin(&l->get, l->shard->map, key, len, window_hash(key, len), buffer_of(w, l)));
    return true;
}

void rdma_window_destroy(struct rdma_window **window, void (*freed)(void *arg), void *arg)
{
    struct rdma_window *w = *window;
    *window = NULL;
    if (!w) return;
    w->waiting = NULL;
    w->config.settled = NULL;
    w->state = RDMA_WINDOW_NONE;
    for (uint32_t i = 0; i < w->config.depth; i++)
        if (w->look_ups[i].active) look_up_end(&w->look_ups[i], WINDOW_MESSAGE);
    w->first.active = false;
    w->freed = freed;
    w->freed_arg = arg;
    window_free(w);
}

/* ---- messages ---- */

static bool take_window(struct rdma_window *w, const struct rdma_message *m)
{
    if (w->state != RDMA_WINDOW_ASKING || w->given == SHARDS_MAX || m->select != w->given) return false;
    struct shard *shard = &w->shard[w->given];
    shard->map = window_map_create(m->bytes);
    if (!shard->map) {
        state_set(w, RDMA_WINDOW_NONE);
        return true;
    }
    shard->address = m->address;
    shard->rkey = m->key;
    w->given++;
    if (w->shards) {
        window_map_expect(shard->map, m->select, w->shards);
        ask_shard(w);
        return true;
    }
    w->first.shard = shard;
    w->first.active = true;
    post(&w->first, &(struct window_piece){.at = 0, .bytes = sizeof(struct window_line), .into = w->config.memory});
    pump(w);
    return true;
}

bool rdma_window_message(struct rdma_window *w, const struct rdma_message *m)
{
    if (m->opcode == RDMA_WINDOW) return take_window(w, m);
    if (!(m->features & RDMA_FEATURE_ONESIDED))
        state_set(w, RDMA_WINDOW_NONE);
    else if (w->given == 0)
        ask_shard(w);
    return true;
}

enum rdma_window_state rdma_window_state(const struct rdma_window *w)
{
    return w->state;
}

void rdma_window_counts(const struct rdma_window *w, struct window_counts *out)
{
    uint64_t *to = (uint64_t *)out;
    *out = (struct window_counts){0};
    for (unsigned i = 0; i < w->shards; i++)
        for (size_t k = 0; w->shard[i].map && k < sizeof *out / sizeof *to; k++)
            to[k] += ((const uint64_t *)&w->shard[i].map->counts)[k];
}
