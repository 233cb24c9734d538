/*
 * One-sided GETs of a connection. They are answered in any order, beside the FIFO of its requests, and take a place of
 * its pipeline as any other. Their answers come with the transport's input, in the midst of what the connection or the
 * worker may be at: so here is only counted, and what there is to do is done with the stream's events, later in the
 * turn.
 */
#include <errno.h>
#include <string.h>
#include "bench/worker.h"

static void look_free(struct look *l)
{
    struct conn *c = l->conn;
    l->next = c->free_looks;
    c->free_looks = l;
    c->looking--;
}

void conn_looks_init(struct conn *c, struct look *looks)
{
    c->looking = c->worker->config.plan->pipeline;
    for (uint32_t i = c->looking; i-- > 0;) {
        looks[i].conn = c;
        look_free(&looks[i]);
    }
}

void conn_windows_ask(struct conn *c)
{
    struct onesided_set *set = c->worker->config.transport->onesided;
    if (set && !c->onesided) c->onesided_error = -onesided_open(set, c->stream, &c->onesided);
}

bool conn_windows_open(const struct conn *c)
{
    return c->onesided && onesided_state(c->onesided) == ONESIDED_OPEN;
}

const char *conn_windows_fault(const struct conn *c, uint32_t events)
{
    if (c->onesided_error == ENOTSUP) return "one-sided reads: a device, here or there, does none";
    if (c->onesided_error) return strerror(c->onesided_error);
    if (!c->onesided || c->connected) return NULL;
    if (events & (STREAM_ERROR | STREAM_EOF)) return "the connection ended when it asked for one-sided reads";
    return onesided_state(c->onesided) == ONESIDED_REFUSED ? ONESIDED_REFUSED_TEXT : NULL;
}

bool conn_look(struct conn *c, const struct planned_op *op, uint64_t start_tsc)
{
    struct worker *w = c->worker;
    struct look *l = c->free_looks;
    if (!c->onesided || !op->is_get || !l) return false;
    struct slice key = request_key(&w->source, op->index);
    memcpy(l->key, key.data, key.len);
    l->op = (struct conn_op){.start_tsc = start_tsc, .index = op->index, .is_get = true};
    c->free_looks = l->next;
    c->looking++;
    if (onesided_get(c->onesided, l->key, (uint32_t)key.len, l)) return true;
    look_free(l);
    w->counts[w->phase].left++;
    return false;
}

void conn_on_look(struct look *l, const uint8_t *value, uint32_t len)
{
    struct conn *c = l->conn;
    struct worker *w = c->worker;
    stream_raise(c->stream, 0);
    if (!value) {
        l->next = c->vain_looks;
        c->vain_looks = l;
        return;
    }
    struct reply reply = {.kind = CODEC_HIT, .wrong = !reply_value_is_right(&c->reader, l->op.index, value, len)};
    look_free(l);
    w->in_flight--;
    conn_count(w, &l->op, &reply, w->config.read_tsc());
}

void conn_looks_ask(struct conn *c)
{
    struct buf_chain chain;
    struct look *l;
    buf_chain_init(&chain);
    while ((l = c->vain_looks) != NULL) {
        const struct planned_op op = {.index = l->op.index, .is_get = true};
        if (!conn_append(c, &chain, &op, l->op.start_tsc)) break;
        c->vain_looks = l->next;
        look_free(l);
    }
    conn_send(c, &chain);
    if (c->vain_looks) c->worker->looks_starved = true;
}

void conn_looks_again(struct worker *w)
{
    w->looks_starved = false;
    for (uint32_t i = 0; i < w->config.connections; i++)
        if (w->conns[i].vain_looks) stream_raise(w->conns[i].stream, 0);
}

void conn_looks_end(struct conn *c)
{
    onesided_close(&c->onesided);
    c->onesided_error = 0;
    while (c->vain_looks) {
        struct look *l = c->vain_looks;
        c->vain_looks = l->next;
        look_free(l);
    }
}
