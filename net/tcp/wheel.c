#include "net/tcp/wheel.h"

#include <string.h>

#define LEVEL_BITS 6u
#define SLOT_MASK (WHEEL_SLOTS - 1)
/* One slot of the top level short of a full turn: a slot there never holds two turns. */
#define REACH ((int64_t)(WHEEL_SLOTS - 1) << (LEVEL_BITS * (WHEEL_LEVELS - 1)))

void wheel_init(struct wheel *w, uint64_t now_ns, void *nodes, size_t stride)
{
    memset(w, 0, sizeof *w);
    w->now = now_ns >> WHEEL_TICK_SHIFT;
    w->nodes = nodes;
    w->stride = stride;
}

static struct wheel_node *node_of(const struct wheel *w, uint32_t ref)
{
    return (struct wheel_node *)(void *)(w->nodes + (size_t)(ref - 1) * w->stride);
}

/*
 * The level is that of the highest group of bits in which the tick differs from now: lower levels are due sooner. It
 * stays right while now moves on: a slot that now enters is spread over the levels below (cascade).
 */
static unsigned slot_of(const struct wheel *w, uint32_t tick)
{
    unsigned level = (unsigned)(31 - __builtin_clz((tick ^ (uint32_t)w->now) | SLOT_MASK)) / LEVEL_BITS;
    if (level >= WHEEL_LEVELS) level = WHEEL_LEVELS - 1;
    return level * WHEEL_SLOTS + ((tick >> (level * LEVEL_BITS)) & SLOT_MASK);
}

static void occupied_set(struct wheel *w, unsigned at)
{
    w->occupied[at / WHEEL_SLOTS] |= UINT64_C(1) << at % WHEEL_SLOTS;
}

static void occupied_clear(struct wheel *w, unsigned at)
{
    w->occupied[at / WHEEL_SLOTS] &= ~(UINT64_C(1) << at % WHEEL_SLOTS);
}

static void insert(struct wheel *w, uint32_t ref)
{
    struct wheel_node *node = node_of(w, ref);
    unsigned at = slot_of(w, node->tick);
    node->next = 0;
    node->prev = w->slots[at].last;
    if (node->prev) node_of(w, node->prev)->next = ref;
    else w->slots[at].first = ref;
    w->slots[at].last = ref;
    occupied_set(w, at);
}

static void take_out(struct wheel *w, struct wheel_node *node, unsigned at)
{
    if (node->prev) node_of(w, node->prev)->next = node->next;
    else w->slots[at].first = node->next;
    if (node->next) node_of(w, node->next)->prev = node->prev;
    else w->slots[at].last = node->prev;
    if (!w->slots[at].first) occupied_clear(w, at);
    node->tick = 0;
}

static bool is_empty(const struct wheel *w)
{
    uint64_t bits = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) bits |= w->occupied[level];
    return bits == 0;
}

void wheel_arm(struct wheel *w, uint32_t index, uint32_t tick, uint64_t now_ns)
{
    uint64_t now = now_ns >> WHEEL_TICK_SHIFT;
    int64_t ahead = (int64_t)(now - w->now) + (int32_t)(tick - (uint32_t)now);
    wheel_disarm(w, index);
    if (now > w->now && is_empty(w)) {
        ahead -= (int64_t)(now - w->now);
        w->now = now;
    }
    if (ahead < 1) tick = (uint32_t)w->now + 1;
    else if (ahead > REACH) tick = (uint32_t)(w->now + (uint64_t)REACH);
    node_of(w, index + 1)->tick = tick ? tick : 1;
    insert(w, index + 1);
}

void wheel_disarm(struct wheel *w, uint32_t index)
{
    struct wheel_node *node = node_of(w, index + 1);
    if (node->tick) take_out(w, node, slot_of(w, node->tick));
}

/* The first occupied slot from now on, of the lowest level that has any; its first tick in *tick. */
static bool next_slot(const struct wheel *w, unsigned *at, uint64_t *tick)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t bits = w->occupied[level];
        if (!bits) continue;
        unsigned shift = level * LEVEL_BITS;
        unsigned here = (unsigned)(w->now >> shift) & SLOT_MASK;
        unsigned ahead = (unsigned)__builtin_ctzll(bits >> here | (here ? bits << (WHEEL_SLOTS - here) : 0));
        *at = level * WHEEL_SLOTS + ((here + ahead) & SLOT_MASK);
        *tick = ahead ? ((w->now >> shift) + ahead) << shift : w->now;
        return true;
    }
    return false;
}

/* Spreads a slot of an upper level over the lower ones: all of it at once, or its later nodes would hide earlier ones. */
static void cascade(struct wheel *w, unsigned at)
{
    uint32_t ref = w->slots[at].first;
    w->slots[at].first = w->slots[at].last = 0;
    occupied_clear(w, at);
    while (ref) {
        uint32_t next = node_of(w, ref)->next;
        insert(w, ref);
        ref = next;
    }
}

uint32_t wheel_pop(struct wheel *w, uint64_t now_ns)
{
    uint64_t now = now_ns >> WHEEL_TICK_SHIFT, tick;
    unsigned at;
    while (next_slot(w, &at, &tick)) {
        if (tick > now) break;
        if (tick > w->now) w->now = tick;
        if (at < WHEEL_SLOTS) {
            uint32_t ref = w->slots[at].first;
            take_out(w, node_of(w, ref), at);
            return ref - 1;
        }
        cascade(w, at);
    }
    if (now > w->now) w->now = now;
    return WHEEL_NONE;
}

uint64_t wheel_deadline(const struct wheel *w)
{
    unsigned at;
    uint64_t tick;
    return next_slot(w, &at, &tick) ? tick << WHEEL_TICK_SHIFT : UINT64_MAX;
}
