#include "server/rdma_window.h"

#include "rdma/window.h"
#include "server/core.h"
#include "server/session.h"

/* Where there is a password, those who have given it: a window is all the data. */
static bool may_read(const struct core *core, struct rdma_conn *conn)
{
    const struct session *s = rdma_conn_stream(conn)->user;
    if (*core->config->password == 0) return true;
    return s && s->protocol == &session_resp && s->resp.authenticated;
}

/* A client has asked for a shard's window. Any core answers: where it lies does not change while clients are there. */
static bool on_message(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    const struct core *core = arg;
    void *base;
    size_t bytes;
    if (m->opcode != RDMA_SET_FEATURES || m->select >= core->config->core_count || !may_read(core, conn)) return false;
    return store_window(core->server->cores[m->select].store, &base, &bytes) &&
           rdma_window_offer(conn, m->select, base, bytes);
}

void server_window_offer(struct core *core, struct rdma_core_config *config)
{
    if (!core->config->rdma_onesided) return;
    config->features = RDMA_FEATURE_ONESIDED;
    config->message = on_message;
    config->message_arg = core;
}

int server_window_access(const struct config *config)
{
    return config->rdma_onesided ? IBV_ACCESS_REMOTE_READ : 0;
}

static unsigned clock_tick(void *arg, const struct tick *now)
{
    struct core *core = arg;
    store_window_tick(core->store, now->unix_ms);
    return 0;
}

void server_window_add_clock(struct core *core)
{
    if (!core->config->rdma_onesided || !core->rdma) return;
    const struct poller poller = {.name = "window-clock", .run = clock_tick, .arg = core};
    core_add_poller(core, &poller);
}
