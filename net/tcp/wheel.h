/*
 * A hierarchical timing wheel: five levels of 64 slots, ticks of 2^14 ns. A node fires never before its time, and at
 * most one tick after it when the wheel is polled often enough. All operations are O(1) but for the cascade of a slot.
 * Times further away than the wheel reaches (4.9 hours) fire at its end; the owner re-arms.
 *
 * Nodes lie at equal distances in one array (in its elements, at the same place of each) and are known by their index,
 * so that a node takes 12 bytes.
 */
#ifndef POLAR_NET_TCP_WHEEL_H
#define POLAR_NET_TCP_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_TICK_SHIFT 14u
#define WHEEL_LEVELS 5u
#define WHEEL_SLOTS 64u
#define WHEEL_NONE UINT32_MAX

struct wheel_node {
    uint32_t next, prev; /* index + 1 */
    uint32_t tick;       /* for which it is armed, modulo 2^32; 0: not armed */
};

struct wheel {
    uint64_t now; /* tick */
    uint64_t occupied[WHEEL_LEVELS];
    struct {
        uint32_t first, last; /* index + 1; 0: empty */
    } slots[WHEEL_LEVELS * WHEEL_SLOTS];
    uint8_t *nodes; /* the first one */
    size_t stride;  /* bytes */
};

/* The first tick that begins at ns or later, never 0: armed for it, a node does not fire before its time. */
static inline uint32_t wheel_tick(uint64_t ns)
{
    uint32_t tick = (uint32_t)(ns >> WHEEL_TICK_SHIFT) + 1;
    return tick ? tick : 1;
}

/* nodes: the array's first; all of them zero. */
void wheel_init(struct wheel *w, uint64_t now_ns, void *nodes, size_t stride);
/* Arms a node for a tick within 9 hours of now, in place of what it was armed for. A wheel with armed nodes that nobody
 * has turned for hours fires such a node early. */
void wheel_arm(struct wheel *w, uint32_t index, uint32_t tick, uint64_t now_ns);
void wheel_disarm(struct wheel *w, uint32_t index);
/* Takes one node that is due, or WHEEL_NONE. To be called until it returns that. */
uint32_t wheel_pop(struct wheel *w, uint64_t now_ns);
/* When wheel_pop has something to do next, ns (a cascade counts); UINT64_MAX: never. */
uint64_t wheel_deadline(const struct wheel *w);

#endif
