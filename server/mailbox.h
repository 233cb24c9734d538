/*
 * Mailboxes between cores: a single-producer single-consumer ring for each ordered pair. An operation travels to the
 * core that owns its key and comes back to the core that asked; a pin that another core's reply held comes home the
 * same way. What does not fit a ring waits in its sender's outbox, so nothing is lost and nobody blocks.
 */
#ifndef POLAR_SERVER_MAILBOX_H
#define POLAR_SERVER_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/ring.h"

struct core;
struct op;
struct store_pin;

/* What waits because a ring is full. */
struct outbox {
    void **items;
    uint32_t capacity;
    uint32_t head;
    uint32_t count;
};

struct mailbox {
    struct spsc_ring **in; /* [cores]: from each core to this one; NULL at the own index */
    struct outbox *out;    /* [cores] */
    uint64_t wake;         /* bit a core that got mail this turn */
    unsigned cores;
};

int mailbox_create(struct mailbox *mailbox, unsigned cores, unsigned self); /* 0 or -ENOMEM */
void mailbox_destroy(struct mailbox *mailbox);
/* To op->owner when this core asks, to op->asker when it has served. */
void mailbox_send_op(struct core *core, unsigned to, struct op *op);
void mailbox_send_unpin(struct core *core, unsigned owner, struct store_pin *pin);
/* Poller: serves and finishes what has come, bounded. */
unsigned mailbox_poll(void *core, const struct tick *now);
/* Poller, later in the turn: sends what waited and wakes the cores that got mail. */
unsigned mailbox_flush(void *core, const struct tick *now);

#endif
