/* A server with a password: a connection gives it before all else, and says nothing more until it is let in. */
#include <string.h>
#include "bench/worker.h"

/* Appends to a chain of its own. false: no buffer. */
static bool auth_append(struct worker *w, struct buf_chain *chain)
{
    const struct bench_options *o = &w->config.plan->options;
    struct rte_mbuf *m = rte_pktmbuf_alloc(w->config.pools->small);
    if (!m) return false;
    struct slice user = {(const uint8_t *)o->user, strlen(o->user)};
    struct slice password = {(const uint8_t *)o->password, strlen(o->password)};
    m->data_len = (uint16_t)codec_auth(rte_pktmbuf_mtod(m, uint8_t *), user, password);
    buf_chain_append(chain, m);
    return true;
}

static const char *auth_ask(struct conn *c)
{
    struct buf_chain chain;
    buf_chain_init(&chain);
    if (!auth_append(c->worker, &chain)) return "no buffer to give the password with";
    c->auth = CONN_AUTH_ASKED;
    conn_send(c, &chain);
    return NULL;
}

/* NULL: it is let in, or the answer is not all there. */
static const char *auth_answer(struct conn *c)
{
    struct buf_chain *rx = &c->stream->rx;
    uint32_t before = rx->len;
    struct reply reply;
    enum reply_status status = reply_read(&c->reader, false, 0, rx, &reply);
    if (before > rx->len) c->stream->ops->consumed(c->stream, before - rx->len);
    if (status == REPLY_BAD) return "an answer to AUTH that is not the protocol";
    if (status == REPLY_NEED_MORE) return NULL;
    if (reply.kind == CODEC_REFUSED) worker_note_error(c->worker, reply.text);
    if (reply.kind != CODEC_STORED) return "the server does not take the password";
    c->auth = CONN_AUTH_DONE;
    return NULL;
}

bool conn_let_in(struct conn *c, uint32_t events, const char **fault)
{
    if (!*c->worker->config.plan->options.password) return events & STREAM_CONNECTED;
    if ((events & STREAM_CONNECTED) && c->auth == CONN_AUTH_NONE) *fault = auth_ask(c);
    if (!(events & STREAM_READABLE) || c->auth != CONN_AUTH_ASKED) return false;
    *fault = auth_answer(c);
    return c->auth == CONN_AUTH_DONE;
}
