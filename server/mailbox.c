#include "server/mailbox.h"

#include <errno.h>
#include <stdlib.h>
#include "server/core.h"
#include "server/room.h"
#include "server/session.h"

#define MAILBOX_RING 4096u
#define MAILBOX_BURST 64u
#define MAIL_UNPIN 1u /* low bit of a mail: it is a pin to release, not an operation */

int mailbox_create(struct mailbox *mailbox, unsigned cores, unsigned self)
{
    mailbox->cores = cores;
    mailbox->wake = 0;
    mailbox->in = calloc(cores, sizeof *mailbox->in);
    mailbox->out = calloc(cores, sizeof *mailbox->out);
    if (!mailbox->in || !mailbox->out) goto destroy;
    for (unsigned from = 0; from < cores; from++) {
        if (from == self) continue;
        mailbox->in[from] = spsc_ring_create(MAILBOX_RING);
        if (!mailbox->in[from]) goto destroy;
    }
    return 0;
destroy:
    mailbox_destroy(mailbox);
    return -ENOMEM;
}

void mailbox_destroy(struct mailbox *mailbox)
{
    for (unsigned i = 0; i < mailbox->cores; i++) {
        if (mailbox->in) free(mailbox->in[i]);
        if (mailbox->out) free(mailbox->out[i].items);
    }
    free(mailbox->in);
    free(mailbox->out);
    mailbox->in = NULL;
    mailbox->out = NULL;
    mailbox->cores = 0;
}

/* Nothing may be lost here: a server that cannot queue a pointer to its own memory cannot go on. */
static void outbox_push(struct outbox *box, void *mail)
{
    if (box->count == box->capacity) {
        uint32_t capacity = box->capacity ? box->capacity * 2 : 256;
        void **items = malloc(capacity * sizeof *items);
        if (!items) abort();
        for (uint32_t i = 0; i < box->count; i++) items[i] = box->items[(box->head + i) % box->capacity];
        free(box->items);
        box->items = items;
        box->capacity = capacity;
        box->head = 0;
    }
    box->items[(box->head + box->count++) % box->capacity] = mail;
}

static void mailbox_send(struct core *core, unsigned to, void *mail)
{
    struct outbox *box = &core->mailbox.out[to];
    struct spsc_ring *ring = core->server->cores[to].mailbox.in[core->index];
    core->mailbox.wake |= UINT64_C(1) << to;
    if (box->count || !spsc_ring_push(ring, mail)) outbox_push(box, mail);
}

void mailbox_send_op(struct core *core, unsigned to, struct op *op) { mailbox_send(core, to, op); }

void mailbox_send_unpin(struct core *core, unsigned owner, struct store_pin *pin)
{
    mailbox_send(core, owner, (void *)((uintptr_t)pin | MAIL_UNPIN));
}

/* Serves a burst from one core as a batch: all prefetched before the first is executed. */
static unsigned mailbox_serve(struct core *core, unsigned from)
{
    struct op *requests[MAILBOX_BURST];
    unsigned count = 0, taken = 0;
    for (; taken < MAILBOX_BURST; taken++) {
        void *mail = spsc_ring_pop(core->mailbox.in[from]);
        if (!mail) break;
        if ((uintptr_t)mail & MAIL_UNPIN) {
            store_unpin(core->store, (struct store_pin *)((uintptr_t)mail & ~(uintptr_t)MAIL_UNPIN));
            continue;
        }
        struct op *op = mail;
        if (op->asker == core->index) {
            session_op_done(core, op);
            continue;
        }
        if (op->key.len) store_prefetch_bucket(core->store, op->key.hash);
        requests[count++] = op;
    }
    for (unsigned i = 0; i < count; i++)
        if (requests[i]->key.len) store_prefetch_item(core->store, requests[i]->key.hash);
    for (unsigned i = 0; i < count; i++) {
        op_execute(core, requests[i]);
        if (!room_keep(core, requests[i])) mailbox_send_op(core, from, requests[i]);
    }
    metric_add(&core->metrics.mailbox_served, count);
    return taken;
}

unsigned mailbox_poll(void *arg, const struct tick *now)
{
    struct core *core = arg;
    unsigned work = 0;
    core->now = now;
    for (unsigned from = 0; from < core->mailbox.cores; from++)
        if (from != core->index) work += mailbox_serve(core, from);
    return work;
}

static void outbox_flush(struct core *core, unsigned to)
{
    struct outbox *box = &core->mailbox.out[to];
    struct spsc_ring *ring = core->server->cores[to].mailbox.in[core->index];
    while (box->count && spsc_ring_push(ring, box->items[box->head])) {
        box->head = (box->head + 1) % box->capacity;
        box->count--;
    }
}

unsigned mailbox_flush(void *arg, const struct tick *now)
{
    struct core *core = arg;
    (void)now;
    uint64_t wake = core->mailbox.wake;
    if (!wake) return 0;
    core->mailbox.wake = 0;
    for (unsigned to = 0; to < core->mailbox.cores; to++) {
        if (!(wake >> to & 1)) continue;
        outbox_flush(core, to);
        if (core->mailbox.out[to].count) core->mailbox.wake |= UINT64_C(1) << to;
        reactor_wake(core->server->cores[to].reactor);
    }
    return 1;
}
