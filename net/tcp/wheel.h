/*
 * A hierarchical timing wheel: five levels of 64 slots, ticks of 2^14 ns. A node fires never before its time, and at
 * most one tick after it when the wheel is polled often enough. All operations are O(1) but for the cascade of a slot.
 * Times further away than the wheel reaches (4.9 hours) fire at its end; the owner re-arms.
 */
#ifndef POLAR_NET_TCP_WHEEL_H
#define POLAR_NET_TCP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_TICK_SHIFT 14u
#define WHEEL_LEVELS 5u
#define WHEEL_SLOTS 64u

struct wheel_node {
    struct wheel_node *next, *prev;
    uint64_t tick : 48;
    uint64_t slot : 16; /* level * WHEEL_SLOTS + slot, + 1; 0: not armed */
};

struct wheel {
    uint64_t now; /* tick */
    uint64_t occupied[WHEEL_LEVELS];
    struct wheel_node slots[WHEEL_LEVELS * WHEEL_SLOTS]; /* list heads */
};

void wheel_init(struct wheel *w, uint64_t now_ns);
/* Arms node for at_ns, in place of what it was armed for. */
void wheel_arm(struct wheel *w, struct wheel_node *node, uint64_t at_ns);
void wheel_disarm(struct wheel *w, struct wheel_node *node);
/* Takes one node that is due, or NULL. To be called until it returns NULL. */
struct wheel_node *wheel_pop(struct wheel *w, uint64_t now_ns);
/* When wheel_pop has something to do next, ns (a cascade counts); UINT64_MAX: never. */
uint64_t wheel_deadline(const struct wheel *w);

#endif
