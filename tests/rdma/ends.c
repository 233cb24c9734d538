#include "tests/rdma/ends.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAW_RECEIVES 64u

static void *zalloc(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!p) abort();
    memset(p, 0, bytes);
    return p;
}

static void check(bool fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "ends: %s\n", what);
    abort();
}

/* Ends */

uint32_t end_register(struct end *e, void *base, size_t bytes)
{
    uint32_t key = fake_mr_add(e->device, base, bytes, IBV_ACCESS_REMOTE_READ | IBV_ACCESS_LOCAL_WRITE);
    check(rdma_keys_add(&e->keys, base, bytes, key) == 0, "no room for a key");
    return key;
}

static void pool_register(struct rte_mempool *pool, void *arg, struct rte_mempool_memhdr *chunk, unsigned index)
{
    (void)pool;
    (void)index;
    end_register(arg, chunk->addr, chunk->len);
}

static void woken(void *arg)
{
    ((struct end *)arg)->wakes++;
}

void end_config_default(struct end_config *config, struct buf_pools *pools)
{
    *config = (struct end_config){
        .pools = pools, .max_connections = 64, .srq_depth = 256, .cq_depth = 4096, .linger_ns = 5000000000};
}

void end_create(struct end *e, struct fake *f, const struct end_config *config)
{
    memset(e, 0, sizeof *e);
    e->fake = f;
    e->device = fake_device_create(f);
    e->windows = !config->no_windows;
    e->cq = fake_cq_create(e->device, config->cq_depth);
    e->srq = fake_srq_create(e->device, config->srq_depth);
    size_t bytes = (size_t)config->srq_depth * RDMA_MESSAGE_BYTES;
    e->messages = zalloc(bytes);
    rte_mempool_mem_iter(config->pools->frame, pool_register, e);
    rte_mempool_mem_iter(config->pools->small, pool_register, e);
    struct rdma_core_config core = {.loop = &e->loop,
                                    .pools = config->pools,
                                    .max_connections = config->max_connections,
                                    .keepalive_ns = config->keepalive_ns,
                                    .linger_ns = config->linger_ns,
                                    .features = config->features,
                                    .message = config->message,
                                    .message_arg = config->message_arg};
    check(rdma_core_create(&e->core, &core) == 0, "no core");
    struct rdma_lane_config lane = {.cq = e->cq,
                                    .srq = e->srq,
                                    .srq_depth = config->srq_depth,
                                    .messages = e->messages,
                                    .messages_lkey = fake_mr_add(e->device, e->messages, bytes, IBV_ACCESS_LOCAL_WRITE),
                                    .keys = &e->keys};
    check(rdma_core_add_lane(e->core, &lane) == 0, "no lane");
    rdma_core_on_notice(e->core, woken, e);
}

void end_destroy(struct end *e)
{
    rdma_core_destroy(&e->core);
    free(e->messages);
}

struct tick end_tick(const struct end *e)
{
    return (struct tick){.ns = fake_now(e->fake), .tsc = fake_now(e->fake)};
}

uint64_t end_metric(const struct end *e, const char *name)
{
    for (size_t i = 0; i < rdma_metric_row_count; i++)
        if (strcmp(rdma_metric_rows[i].name, name) == 0)
            return metric_get(
                (const uint64_t *)((const char *)rdma_core_metrics(e->core) + rdma_metric_rows[i].offset));
    check(false, name);
    return 0;
}

/* Sides */

static void side_accept(void *arg, struct stream *s)
{
    struct side *side = arg;
    side->stream = s;
    s->user = side;
}

/* As rdma/pair.c does it. */
static void side_open_memory(struct side *s, size_t bytes)
{
    struct end *e = s->end;
    s->memory = zalloc(bytes);
    s->mr.lkey = s->mr.rkey =
        fake_mr_add(e->device, s->memory, bytes,
                    IBV_ACCESS_LOCAL_WRITE | (e->windows ? IBV_ACCESS_MW_BIND : IBV_ACCESS_REMOTE_WRITE));
    s->window = e->windows ? ibv_alloc_mw(fake_pd(e->device), IBV_MW_TYPE_2) : NULL;
    s->key = s->window ? ibv_inc_rkey(s->window->rkey) : s->mr.rkey;
}

static void side_create(struct side *s, struct end *e, bool server, const struct side_config *config)
{
    size_t read_at = (rdma_conn_memory_bytes(config->buffer_bytes, config->send_depth) + 63) & ~(size_t)63;
    size_t bytes = read_at + (server ? 0 : config->read_bytes);
    memset(s, 0, sizeof *s);
    s->end = e;
    s->fake = e->fake;
    s->buffer_bytes = config->buffer_bytes;
    side_open_memory(s, bytes);
    s->qp = fake_qp_create(e->device, &(struct fake_qp_config){.cq = e->cq,
                                                               .srq = e->srq,
                                                               .send_depth = config->send_depth,
                                                               .max_sge = config->max_sge,
                                                               .max_inline = config->max_inline});
    struct rdma_conn_config conn = {.qp = s->qp,
                                    .memory = s->memory,
                                    .buffer_bytes = config->buffer_bytes,
                                    .mr = &s->mr,
                                    .window = s->window,
                                    .send_depth = config->send_depth,
                                    .max_sge = config->max_sge,
                                    .max_inline = config->max_inline,
                                    .read_memory = bytes > read_at ? s->memory + read_at : NULL,
                                    .reads = config->reads,
                                    .server = server,
                                    .accept = side_accept,
                                    .accept_arg = s,
                                    .user = s,
                                    .peer = "10.0.0.2:40312"};
    s->conn = rdma_conn_create(&conn);
    check(s->conn && rdma_core_tell(e->core, RDMA_TELL_NEW, s->conn), "no room for a connection");
}

void sides_create(struct side *server, struct end *server_end, struct side *client, struct end *client_end,
                  const struct side_config *config)
{
    side_create(server, server_end, true, config);
    side_create(client, client_end, false, config);
    server->peer = client;
    client->peer = server;
    fake_qp_connect(server->qp, client->qp);
}

void sides_connect(struct side *server, struct end *server_end, struct side *client, struct end *client_end,
                   const struct side_config *config)
{
    sides_create(server, server_end, client, client_end, config);
    rdma_core_tell(server_end->core, RDMA_TELL_ESTABLISHED, server->conn);
    rdma_core_tell(client_end->core, RDMA_TELL_ESTABLISHED, client->conn);
}

static void raw_post_receive(struct side *raw, uint32_t slot)
{
    struct ibv_sge sge = {.addr = (uintptr_t)(raw->messages + (size_t)slot * RDMA_MESSAGE_BYTES),
                          .length = RDMA_MESSAGE_BYTES,
                          .lkey = raw->messages_key};
    struct ibv_recv_wr wr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1}, *bad;
    ibv_post_srq_recv(raw->srq, &wr, &bad);
}

void sides_connect_raw(struct side *server, struct end *server_end, struct side *raw, struct fake_device *device,
                       const struct side_config *config)
{
    side_create(server, server_end, true, config);
    memset(raw, 0, sizeof *raw);
    raw->fake = server->fake;
    raw->buffer_bytes = config->buffer_bytes;
    raw->cq = fake_cq_create(device, 4096);
    raw->srq = fake_srq_create(device, RAW_RECEIVES);
    raw->memory = zalloc(2 * (size_t)config->buffer_bytes);
    raw->key = fake_mr_add(device, raw->memory, 2 * (size_t)config->buffer_bytes,
                           IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE);
    raw->messages = zalloc(RAW_RECEIVES * RDMA_MESSAGE_BYTES);
    raw->messages_key = fake_mr_add(device, raw->messages, RAW_RECEIVES * RDMA_MESSAGE_BYTES, IBV_ACCESS_LOCAL_WRITE);
    raw->qp = fake_qp_create(
        device,
        &(struct fake_qp_config){.cq = raw->cq, .srq = raw->srq, .send_depth = 1024, .max_sge = 4, .max_inline = 256});
    for (uint32_t slot = 0; slot < RAW_RECEIVES; slot++) raw_post_receive(raw, slot);
    server->peer = raw;
    raw->peer = server;
    fake_qp_connect(server->qp, raw->qp);
    rdma_core_tell(server_end->core, RDMA_TELL_ESTABLISHED, server->conn);
}

/* The peer's set-up hears of it some time later. */
void side_disconnect(struct side *s)
{
    uint64_t now = fake_now(s->fake);
    if (s->qp) fake_qp_error(s->qp);
    if (s->gone_ns == 0) s->gone_ns = now;
    struct side *peer = s->peer;
    if (peer->gone_ns == 0) peer->gone_ns = now + 1 + fake_random(s->fake, 100000);
}

static void side_done(struct side *s)
{
    check(s->told_gone && !s->done && !s->stream, "DONE before its time");
    check(fake_qp_outstanding(s->qp) == 0, "DONE while the device may still read or write");
    if (s->window) ibv_dealloc_mw(s->window);
    fake_qp_destroy(s->qp);
    fake_mr_remove(s->end->device, s->mr.lkey);
    rdma_conn_destroy(s->conn);
    free(s->memory);
    s->qp = NULL;
    s->conn = NULL;
    s->memory = NULL;
    s->window = NULL;
    s->done = true;
}

static void side_allow_reads(struct side *s)
{
    if (s->told_gone) return;
    fake_qp_allow(s->qp, IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
    check(rdma_core_tell(s->end->core, RDMA_TELL_READABLE, s->conn), "READABLE does not fit");
}

void sides_step(struct end *e, struct side *sides, unsigned count)
{
    struct rdma_notice notice;
    for (unsigned i = 0; i < count; i++) {
        struct side *s = &sides[i];
        if (s->end != e || s->told_gone || s->gone_ns == 0 || s->gone_ns > fake_now(e->fake)) continue;
        fake_qp_error(s->qp);
        s->told_gone = true;
        check(rdma_core_tell(e->core, RDMA_TELL_GONE, s->conn), "GONE does not fit");
    }
    while (rdma_core_next_notice(e->core, &notice)) {
        struct side *s = rdma_conn_user(notice.conn);
        switch (notice.kind) {
        case RDMA_NOTICE_CUT: side_disconnect(s); break;
        case RDMA_NOTICE_READS: side_allow_reads(s); break;
        case RDMA_NOTICE_DONE: side_done(s); break;
        }
    }
}

/* Raw */

void side_raw_destroy(struct side *raw)
{
    free(raw->memory);
    free(raw->messages);
    raw->memory = raw->messages = NULL;
}

static void raw_post(struct side *raw, struct ibv_send_wr *wr)
{
    struct ibv_send_wr *bad;
    wr->send_flags |= IBV_SEND_SIGNALED;
    if (raw->qp->state == IBV_QPS_RTS && fake_qp_outstanding(raw->qp) < 1024) ibv_post_send(raw->qp, wr, &bad);
}

void raw_message(struct side *raw, const void *bytes, uint32_t len)
{
    struct ibv_sge sge = {.addr = (uintptr_t)bytes, .length = len};
    struct ibv_send_wr wr = {.opcode = IBV_WR_SEND, .sg_list = &sge, .num_sge = 1, .send_flags = IBV_SEND_INLINE};
    raw_post(raw, &wr);
}

void raw_send(struct side *raw, const struct rdma_message *m)
{
    uint8_t bytes[RDMA_MESSAGE_BYTES];
    rdma_message_encode(bytes, m);
    raw_message(raw, bytes, sizeof bytes);
}

/* From the second half of the memory: not copied when posted. */
void raw_write(struct side *raw, const void *bytes, uint32_t len, uint64_t address, uint32_t rkey, uint32_t imm)
{
    uint8_t *from = raw->memory + raw->buffer_bytes;
    check(len <= raw->buffer_bytes, "a raw write is too long");
    memcpy(from, bytes, len);
    struct ibv_sge sge = {.addr = (uintptr_t)from, .length = len, .lkey = raw->key};
    struct ibv_send_wr wr = {.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                             .sg_list = &sge,
                             .num_sge = len > 0,
                             .imm_data = htonl(imm),
                             .wr.rdma = {.remote_addr = address, .rkey = rkey}};
    raw_post(raw, &wr);
}

void raw_read(struct side *raw, uint32_t len, uint64_t address, uint32_t rkey)
{
    check(len <= raw->buffer_bytes, "a raw read is too long");
    struct ibv_sge sge = {.addr = (uintptr_t)raw->memory, .length = len, .lkey = raw->key};
    struct ibv_send_wr wr = {
        .opcode = IBV_WR_RDMA_READ, .sg_list = &sge, .num_sge = 1, .wr.rdma = {.remote_addr = address, .rkey = rkey}};
    raw_post(raw, &wr);
}

bool raw_completed(struct side *raw, enum ibv_wc_status *status)
{
    struct ibv_wc wc;
    while (ibv_poll_cq(raw->cq, 1, &wc) == 1) {
        *status = wc.status;
        if (wc.status != IBV_WC_SUCCESS || (wc.opcode != IBV_WC_RECV && wc.opcode != IBV_WC_RECV_RDMA_WITH_IMM))
            return true;
    }
    return false;
}

bool raw_receive(struct side *raw, struct rdma_message *m, uint32_t *imm)
{
    struct ibv_wc wc;
    while (ibv_poll_cq(raw->cq, 1, &wc) == 1) {
        if (wc.status != IBV_WC_SUCCESS || (wc.opcode != IBV_WC_RECV && wc.opcode != IBV_WC_RECV_RDMA_WITH_IMM))
            continue;
        uint32_t slot = (uint32_t)wc.wr_id;
        *imm = 0;
        memset(m, 0, sizeof *m);
        if (wc.opcode == IBV_WC_RECV)
            check(rdma_message_decode(m, raw->messages + (size_t)slot * RDMA_MESSAGE_BYTES, wc.byte_len) == 0,
                  "a message that does not decode");
        else
            *imm = ntohl(wc.imm_data);
        raw_post_receive(raw, slot);
        return true;
    }
    return false;
}
