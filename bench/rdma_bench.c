/*
 * Two datapaths in one thread over a fabric that only copies: requests and answers on many connections, as GETs are.
 * Prints TSC cycles a request of one side's input and output, the application's part apart.
 *
 *     rdma_bench [connections] [request bytes] [answer bytes] [requests] [inline bytes]
 *
 * Instructions: valgrind --tool=callgrind --toggle-collect=side_turn; what the fabric takes is in the functions
 * fabric_*.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include "base/eal.h"
#include "rdma/core.h"

#define CONNECTIONS_MAX 1000u
#define CQ_DEPTH 32768u
#define SRQ_DEPTH 4096u
#define SEND_DEPTH 128u
#define BUFFER_BYTES (1u << 20)
#define KEY 1u /* of everything: the fabric asks nobody */

struct side;

/* A fabric without time: a request is carried out when it is posted. */
struct fabric_qp {
    struct ibv_qp qp;
    struct fabric_qp *peer;
    struct side *side;
};

struct fabric_cq {
    struct ibv_cq cq;
    uint32_t head, tail;
    struct ibv_wc ring[CQ_DEPTH];
};

struct fabric_srq {
    struct ibv_srq srq;
    uint32_t head, tail;
    struct ibv_recv_wr ring[SRQ_DEPTH];
    struct ibv_sge sge[SRQ_DEPTH];
};

struct side {
    struct ibv_context context;
    struct fabric_cq cq;
    struct fabric_srq srq;
    struct fabric_qp qps[CONNECTIONS_MAX];
    uint8_t messages[SRQ_DEPTH * RDMA_MESSAGE_BYTES];
    struct rdma_keys keys;
    struct rdma_core *core;
    struct stream_loop loop;
    struct buf_pools pools;
    bool client;
    uint32_t receives, sends; /* bytes of a message */
    uint64_t messages_done;
    uint64_t input, application, output; /* cycles */
};

static void fabric_complete(struct side *s, const struct ibv_wc *wc)
{
    struct fabric_cq *cq = &s->cq;
    if (cq->tail - cq->head == CQ_DEPTH) abort();
    cq->ring[cq->tail++ % CQ_DEPTH] = *wc;
}

static int fabric_poll_cq(struct ibv_cq *ibv, int n, struct ibv_wc *wc)
{
    struct fabric_cq *cq = (struct fabric_cq *)ibv;
    int i = 0;
    for (; i < n && cq->head != cq->tail; i++) wc[i] = cq->ring[cq->head++ % CQ_DEPTH];
    return i;
}

static int fabric_post_srq_recv(struct ibv_srq *ibv, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct fabric_srq *srq = (struct fabric_srq *)ibv;
    (void)bad;
    for (; wr; wr = wr->next) {
        uint32_t at = srq->tail++ % SRQ_DEPTH;
        srq->ring[at] = *wr;
        srq->sge[at] = *wr->sg_list;
    }
    return 0;
}

static uint32_t fabric_copy(uint8_t *to, const struct ibv_send_wr *wr)
{
    uint32_t bytes = 0;
    for (int i = 0; i < wr->num_sge; i++) {
        memcpy(to + bytes, (const void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length);
        bytes += wr->sg_list[i].length;
    }
    return bytes;
}

static void fabric_carry(struct fabric_qp *from, const struct ibv_send_wr *wr)
{
    struct side *to = from->peer->side;
    struct ibv_wc wc = {.qp_num = from->peer->qp.qp_num, .imm_data = wr->imm_data, .opcode = IBV_WC_RECV_RDMA_WITH_IMM};
    if (wr->opcode == IBV_WR_BIND_MW) return;
    if (wr->opcode == IBV_WR_RDMA_WRITE || wr->opcode == IBV_WR_RDMA_WRITE_WITH_IMM)
        wc.byte_len = fabric_copy((uint8_t *)(uintptr_t)wr->wr.rdma.remote_addr, wr);
    if (wr->opcode == IBV_WR_RDMA_WRITE) return;
    if (to->srq.head == to->srq.tail) abort();
    uint32_t at = to->srq.head++ % SRQ_DEPTH;
    wc.wr_id = to->srq.ring[at].wr_id;
    if (wr->opcode == IBV_WR_SEND) {
        wc.opcode = IBV_WC_RECV;
        wc.byte_len = fabric_copy((uint8_t *)(uintptr_t)to->srq.sge[at].addr, wr);
    }
    fabric_complete(to, &wc);
}

static int fabric_post_send(struct ibv_qp *ibv, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    struct fabric_qp *qp = (struct fabric_qp *)ibv;
    (void)bad;
    for (; wr; wr = wr->next) {
        fabric_carry(qp, wr);
        if (!(wr->send_flags & IBV_SEND_SIGNALED)) continue;
        struct ibv_wc wc = {.wr_id = wr->wr_id, .qp_num = ibv->qp_num, .opcode = IBV_WC_RDMA_WRITE};
        fabric_complete(qp->side, &wc);
    }
    return 0;
}

static void message_send(struct side *s, struct stream *t)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(s->sends <= BUF_SMALL_ROOM ? s->pools.small : s->pools.frame);
    if (!m) abort();
    memset(rte_pktmbuf_mtod(m, void *), 'x', s->sends);
    m->data_len = (uint16_t)s->sends;
    struct buf_chain chain;
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    t->ops->send(t, &chain);
    t->ops->flush(t);
}

static void side_application(struct side *s)
{
    struct stream *t;
    while ((t = stream_loop_pop(&s->loop)) != NULL) {
        uint32_t events = t->events, n = t->rx.len;
        t->events = 0;
        if (events & STREAM_CONNECTED) message_send(s, t);
        if (!(events & STREAM_READABLE) || n < s->receives) continue;
        buf_chain_consume(&t->rx, n);
        t->ops->consumed(t, n);
        s->messages_done++;
        message_send(s, t);
    }
}

static void side_turn(struct side *s, uint64_t now_ns)
{
    struct tick now = {.ns = now_ns};
    uint64_t t0 = rte_rdtsc();
    rdma_core_input(s->core, &now);
    uint64_t t1 = rte_rdtsc();
    side_application(s);
    uint64_t t2 = rte_rdtsc();
    rdma_core_output(s->core, &now);
    s->output += rte_rdtsc() - t2;
    s->application += t2 - t1;
    s->input += t1 - t0;
}

static void pool_register(struct rte_mempool *pool, void *keys, struct rte_mempool_memhdr *chunk, unsigned index)
{
    (void)pool;
    (void)index;
    if (rdma_keys_add(keys, chunk->addr, chunk->len, KEY) != 0) exit(1);
}

static void side_create(struct side *s, unsigned index, uint32_t receives, uint32_t sends)
{
    struct buf_pools_config pools = {
        .core = index, .frame_count = 8192, .small_count = 16384, .ref_count = 8192, .frame_room = 2048};
    if (buf_pools_create(&s->pools, &pools) != 0) exit(1);
    rte_mempool_mem_iter(s->pools.frame, pool_register, &s->keys);
    rte_mempool_mem_iter(s->pools.small, pool_register, &s->keys);
    s->context.ops.poll_cq = fabric_poll_cq;
    s->context.ops.post_srq_recv = fabric_post_srq_recv;
    s->context.ops.post_send = fabric_post_send;
    s->cq.cq.context = s->srq.srq.context = &s->context;
    s->client = index == 0;
    s->receives = receives;
    s->sends = sends;
    struct rdma_core_config config = {
        .loop = &s->loop, .pools = &s->pools, .max_connections = CONNECTIONS_MAX, .linger_ns = 1};
    struct rdma_lane_config lane = {.cq = &s->cq.cq,
                                    .srq = &s->srq.srq,
                                    .srq_depth = SRQ_DEPTH,
                                    .messages = s->messages,
                                    .messages_lkey = KEY,
                                    .keys = &s->keys};
    if (rdma_core_create(&s->core, &config) != 0 || rdma_core_add_lane(s->core, &lane) < 0) exit(1);
}

static void side_accept(void *arg, struct stream *t)
{
    (void)arg;
    (void)t;
}

static void side_connect(struct side *s, struct side *peer, uint32_t i, uint16_t inline_bytes)
{
    struct fabric_qp *qp = &s->qps[i];
    *qp = (struct fabric_qp){
        .qp = {.context = &s->context, .qp_num = 100 + i, .state = IBV_QPS_RTS}, .side = s, .peer = &peer->qps[i]};
    static struct ibv_mr memory = {.lkey = KEY};
    static struct ibv_mw window = {.rkey = KEY, .type = IBV_MW_TYPE_2};
    struct rdma_conn_config config = {.qp = &qp->qp,
                                      .memory =
                                          aligned_alloc(4096, 4096 + rdma_conn_memory_bytes(BUFFER_BYTES, SEND_DEPTH)),
                                      .buffer_bytes = BUFFER_BYTES,
                                      .mr = &memory,
                                      .window = &window,
                                      .send_depth = SEND_DEPTH,
                                      .max_sge = 16,
                                      .max_inline = inline_bytes,
                                      .server = !s->client,
                                      .accept = side_accept};
    struct rdma_conn *conn = config.memory ? rdma_conn_create(&config) : NULL;
    if (!conn || !rdma_core_tell(s->core, RDMA_TELL_NEW, conn)) exit(1);
    rdma_core_tell(s->core, RDMA_TELL_ESTABLISHED, conn);
}

static void side_report(const char *name, const struct side *s)
{
    double n = (double)s->messages_done;
    printf("%s: input %.0f, application %.0f, output %.0f; datapath %.0f cycles a message\n", name,
           (double)s->input / n, (double)s->application / n, (double)s->output / n, (double)(s->input + s->output) / n);
}

static uint32_t argument(int argc, char **argv, int at, uint32_t otherwise)
{
    return argc > at ? (uint32_t)strtoul(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static struct side client, server;
    uint32_t connections = argument(argc, argv, 1, 50), request = argument(argc, argv, 2, 30);
    uint32_t answer = argument(argc, argv, 3, 100), requests = argument(argc, argv, 4, 3000000);
    uint32_t inline_bytes = argument(argc, argv, 5, 220);
    if (connections < 1 || connections > CONNECTIONS_MAX || request < 1 || request > 2000 || answer < 1 ||
        answer > 2000 || inline_bytes > 1024) {
        fprintf(stderr,
                "usage: rdma_bench [connections 1-1000] [request 1-2000] [answer 1-2000] [requests] [inline]\n");
        return 1;
    }
    struct eal_config eal = {.program = argv[0], .memory_mib = 512};
    if (eal_start(&eal) != 0) return 1;
    side_create(&client, 0, answer, request);
    side_create(&server, 1, request, answer);
    for (uint32_t i = 0; i < connections; i++) {
        side_connect(&server, &client, i, (uint16_t)inline_bytes);
        side_connect(&client, &server, i, (uint16_t)inline_bytes);
    }
    uint64_t now = 1000000000;
    for (; client.messages_done < 10 * connections; now += 20000) { /* until warm */
        side_turn(&client, now);
        side_turn(&server, now);
    }
    client.messages_done = client.input = client.application = client.output = 0;
    server.messages_done = server.input = server.application = server.output = 0;
    uint64_t start = rte_rdtsc();
    for (; client.messages_done < requests; now += 20000) {
        side_turn(&client, now);
        side_turn(&server, now);
    }
    printf("%u connections, %u and %u bytes, %u inline, %u requests, %.0f cycles a request for both sides\n",
           connections, request, answer, inline_bytes, requests, (double)(rte_rdtsc() - start) / requests);
    side_report("client", &client);
    side_report("server", &server);
    return 0; /* connections and memory go with the process */
}
