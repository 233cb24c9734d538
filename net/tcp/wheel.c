#include "net/tcp/wheel.h"

#include <stddef.h>

#define LEVEL_BITS 6u
#define SLOT_MASK (WHEEL_SLOTS - 1)
/* One slot of the top level short of a full turn: a slot there never holds two turns. */
#define REACH ((uint64_t)(WHEEL_SLOTS - 1) << (LEVEL_BITS * (WHEEL_LEVELS - 1)))

void wheel_init(struct wheel *w, uint64_t now_ns)
{
    w->now = now_ns >> WHEEL_TICK_SHIFT;
    for (unsigned i = 0; i < WHEEL_LEVELS; i++) w->occupied[i] = 0;
    for (unsigned i = 0; i < WHEEL_LEVELS * WHEEL_SLOTS; i++) w->slots[i].next = w->slots[i].prev = &w->slots[i];
}

/* The level is that of the highest group of bits in which the tick differs from now: lower levels are due sooner. */
static void insert(struct wheel *w, struct wheel_node *node)
{
    unsigned level = (unsigned)(63 - __builtin_clzll((node->tick ^ w->now) | SLOT_MASK)) / LEVEL_BITS;
    if (level >= WHEEL_LEVELS) level = WHEEL_LEVELS - 1;
    unsigned slot = (unsigned)(node->tick >> (level * LEVEL_BITS)) & SLOT_MASK;
    struct wheel_node *head = &w->slots[level * WHEEL_SLOTS + slot];
    node->slot = (uint16_t)(level * WHEEL_SLOTS + slot + 1);
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
    w->occupied[level] |= UINT64_C(1) << slot;
}

void wheel_arm(struct wheel *w, struct wheel_node *node, uint64_t at_ns)
{
    wheel_disarm(w, node);
    uint64_t tick = (at_ns >> WHEEL_TICK_SHIFT) + 1;
    if (tick <= w->now) tick = w->now + 1;
    if (tick - w->now > REACH) tick = w->now + REACH;
    node->tick = tick;
    insert(w, node);
}

void wheel_disarm(struct wheel *w, struct wheel_node *node)
{
    if (!node->slot) return;
    unsigned at = node->slot - 1u;
    node->next->prev = node->prev;
    node->prev->next = node->next;
    node->slot = 0;
    if (w->slots[at].next == &w->slots[at]) w->occupied[at / WHEEL_SLOTS] &= ~(UINT64_C(1) << at % WHEEL_SLOTS);
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
    struct wheel_node *head = &w->slots[at];
    struct wheel_node *node = head->next;
    head->prev->next = NULL;
    head->next = head->prev = head;
    w->occupied[at / WHEEL_SLOTS] &= ~(UINT64_C(1) << at % WHEEL_SLOTS);
    while (node) {
        struct wheel_node *next = node->next;
        insert(w, node);
        node = next;
    }
}

struct wheel_node *wheel_pop(struct wheel *w, uint64_t now_ns)
{
    uint64_t now = now_ns >> WHEEL_TICK_SHIFT, tick;
    unsigned at;
    while (next_slot(w, &at, &tick)) {
        if (tick > now) break;
        if (tick > w->now) w->now = tick;
        if (at < WHEEL_SLOTS) {
            struct wheel_node *node = w->slots[at].next;
            wheel_disarm(w, node);
            return node;
        }
        cascade(w, at);
    }
    if (now > w->now) w->now = now;
    return NULL;
}

uint64_t wheel_deadline(const struct wheel *w)
{
    unsigned at;
    uint64_t tick;
    return next_slot(w, &at, &tick) ? tick << WHEEL_TICK_SHIFT : UINT64_MAX;
}
