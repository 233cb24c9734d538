/* Control messages: the peer's registrations, features, keepalives; ours. */
#include <assert.h>
#include <string.h>
#include "rdma/core_impl.h"

static void register_received(struct rdma_conn *c, const struct rdma_message *m)
{
    if (c->peer_used != c->peer_length) { /* none yet: 0 of 0 */
        conn_violation(c, &c->core->metrics.register_early);
        return;
    }
    c->peer_address = m->address;
    c->peer_key = m->key;
    c->peer_length = m->length;
    c->peer_used = 0;
    c->peer_full = false;
    if (transmit_waiting(c) > 0) conn_list(c);
}

static void message_given(struct rdma_conn *c, const struct rdma_message *m)
{
    const struct rdma_core_config *config = &c->core->config;
    if (!c->held) return; /* nobody is there any more */
    bool fine = config->message && config->message(config->message_arg, c, m);
    if (!fine) conn_violation(c, &c->core->metrics.unsolicited);
}

static void server_features(struct rdma_conn *c, const struct rdma_message *m)
{
    struct rdma_core *core = c->core;
    if (m->opcode == RDMA_GET_FEATURES) {
        struct rdma_message answer = {
            .opcode = RDMA_GET_FEATURES, .select = m->select, .features = core->config.features};
        if (!rdma_conn_send_message(c, &answer)) conn_violation(c, &core->metrics.message_flood);
    } else if (m->features & ~core->config.features) {
        conn_violation(c, &core->metrics.feature_refused);
    } else if (m->features != 0) {
        message_given(c, m);
    }
}

static void client_features(struct rdma_conn *c, const struct rdma_message *m)
{
    if (m->opcode != RDMA_GET_FEATURES || c->questions == 0) {
        conn_violation(c, &c->core->metrics.unsolicited);
        return;
    }
    c->questions--;
    message_given(c, m);
}

/* Which part of the message does not decode. */
static uint64_t *fault_reason(struct rdma_metrics *metrics, uint32_t len, uint16_t opcode)
{
    if (len != RDMA_MESSAGE_BYTES) return &metrics->bad_length;
    return opcode == RDMA_REGISTER || opcode == RDMA_WINDOW ? &metrics->bad_register : &metrics->bad_opcode;
}

void control_receive(struct rdma_conn *c, const uint8_t *data, uint32_t len)
{
    struct rdma_metrics *metrics = &c->core->metrics;
    struct rdma_message m = {0};
    if (c->state == CONN_CUT) return;
    metric_add(&metrics->rx_messages, 1);
    if (rdma_message_decode(&m, data, len) != 0) {
        conn_violation(c, fault_reason(metrics, len, m.opcode));
        return;
    }
    switch (m.opcode) {
    case RDMA_REGISTER: register_received(c, &m); break;
    case RDMA_KEEPALIVE: break;
    case RDMA_WINDOW:
        if (!c->server && c->features_set)
            message_given(c, &m);
        else
            conn_violation(c, &metrics->unsolicited);
        break;
    default:
        if (c->server)
            server_features(c, &m);
        else
            client_features(c, &m);
        break;
    }
}

static void reads_ask(struct rdma_conn *c)
{
    if (c->reads_asked) return;
    c->reads_asked = true;
    core_notify(c->core, c, RDMA_NOTICE_READS);
}

bool rdma_conn_is_read(const struct rdma_conn *c)
{
    return c->reads_asked;
}

void control_readable(struct rdma_conn *c)
{
    c->readable = true;
    conn_list(c);
}

bool rdma_conn_send_message(struct rdma_conn *c, const struct rdma_message *m)
{
    if (c->state == CONN_CUT || c->messages_count == RDMA_CONN_MESSAGES) return false;
    if (!c->server && m->opcode == RDMA_GET_FEATURES) c->questions++;
    if (!c->server && m->opcode == RDMA_SET_FEATURES) c->features_set = true;
    if (c->server && m->opcode == RDMA_WINDOW) reads_ask(c);
    c->messages[(c->messages_head + c->messages_count++) % RDMA_CONN_MESSAGES] = *m;
    conn_list(c);
    return true;
}

/* Each request of the queue has a slot for a message: free when the request before in that place is done. */
static void message_add(struct rdma_conn *c, struct request_list *list, const struct rdma_message *m)
{
    enum request_kind kind = m->opcode == RDMA_KEEPALIVE ? REQUEST_KEEPALIVE : REQUEST_MESSAGE;
    uint32_t slot = (c->sq_posted + list->count) & c->sq_mask;
    struct ibv_sge *sge = list->sge[list->count];
    struct ibv_send_wr *wr = request_add(c, list, kind);
    uint8_t *bytes = c->message_slots + (size_t)slot * RDMA_MESSAGE_BYTES;
    rdma_message_encode(bytes, m);
    *sge = (struct ibv_sge){.addr = (uintptr_t)bytes, .length = RDMA_MESSAGE_BYTES, .lkey = c->lkey};
    wr->opcode = IBV_WR_SEND;
    wr->sg_list = sge;
    wr->num_sge = 1;
    if (c->max_inline >= RDMA_MESSAGE_BYTES) wr->send_flags = IBV_SEND_INLINE;
    metric_add(&c->core->metrics.tx_messages, 1);
}

/*
 * Opens the receive buffers to the peer, and nothing of what lies behind them. No fence: what is posted behind a bind
 * on its queue is carried out behind it, ibv_bind_mw(3). It lasts until the window is deallocated, with its pair.
 */
static void bind_add(struct rdma_conn *c, struct request_list *list)
{
    struct ibv_send_wr *wr = request_add(c, list, REQUEST_BIND);
    wr->opcode = IBV_WR_BIND_MW;
    wr->sg_list = NULL;
    wr->num_sge = 0;
    wr->imm_data = 0; /* librxe refuses a bind with one */
    wr->bind_mw.mw = c->config.window;
    wr->bind_mw.rkey = c->rkey;
    wr->bind_mw.bind_info = (struct ibv_mw_bind_info){.mr = c->config.mr,
                                                      .addr = (uintptr_t)c->rx[0].base,
                                                      .length = 2 * (uint64_t)c->buffer_bytes,
                                                      .mw_access_flags = IBV_ACCESS_REMOTE_WRITE};
    c->bind_due = false;
}

void control_gather(struct rdma_conn *c, struct request_list *list, uint32_t room)
{
    if (c->register_due && list->count + c->bind_due < room) {
        if (c->bind_due) bind_add(c, list);
        struct rdma_message m = {.opcode = RDMA_REGISTER,
                                 .address = (uintptr_t)c->rx[c->active].base,
                                 .length = c->buffer_bytes,
                                 .key = c->rkey};
        message_add(c, list, &m);
        c->register_due = false;
        c->rx_open = true;
    }
    while (message_ready(c) && list->count < room) {
        message_add(c, list, &c->messages[c->messages_head]);
        c->messages_head = (c->messages_head + 1) % RDMA_CONN_MESSAGES;
        c->messages_count--;
    }
    if (c->keepalive_due && list->count < room) {
        message_add(c, list, &(struct rdma_message){.opcode = RDMA_KEEPALIVE});
        c->keepalive_due = false;
        c->keepalive_posted = true;
        list->signal = true;
        metric_add(&c->core->metrics.keepalives_sent, 1);
    }
}
