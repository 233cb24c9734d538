/*
 * Hostile peers: the input says what they post (messages of any length and content, writes anywhere with any immediate,
 * registrations of anything), what the server's handler does meanwhile, and in which order. Whatever it is: every
 * connection ends with DONE, no buffer is missing, and an honest connection beside them works to the end.
 */
#include "tests/rdma/fixture.h"

#include <stdlib.h>
#include <string.h>

#define PEERS 3u
#define BUFFER 256u
#define STEPS_MAX 400u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *at, *end;
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static uint32_t word(struct input *in)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) v = v << 8 | byte(in);
    return v;
}

static void must(bool fine)
{
    if (!fine) abort();
}

static const struct side_config shapes[] = {{.buffer_bytes = BUFFER, .send_depth = 16, .max_sge = 2},
                                            {.buffer_bytes = BUFFER, .send_depth = 64, .max_sge = 8, .max_inline = 64}};

struct peer {
    struct side *victim, *raw; /* NULL: not connected */
    uint64_t address;          /* of the victim's memory, as it was registered last */
    uint32_t key;
    uint32_t most; /* bytes it ever registered at once */
    struct rte_mbuf *held;
};

/* What the server sends must be right, whatever it got. */
static void peer_listen(struct peer *p)
{
    struct rdma_message m;
    uint32_t imm;
    while (raw_receive(p->raw, &m, &imm)) {
        must(imm <= p->most);
        if (m.opcode != RDMA_REGISTER) continue;
        p->address = m.address;
        p->key = m.key;
    }
}

static void peer_connect(struct fixture *x, struct peer *p, uint8_t shape)
{
    if (p->raw || x->count + 2 > 16) return;
    p->victim = fixture_connect_raw(x, &shapes[shape % 2]);
    p->raw = p->victim->peer;
    p->most = 0;
    peer_listen(p);
}

static void peer_registers(struct peer *p, const struct rdma_message *m)
{
    if (m->opcode == RDMA_REGISTER && m->length > p->most) p->most = m->length;
}

static void peer_message(struct peer *p, struct input *in)
{
    struct rdma_message m;
    uint8_t bytes[64] = {0};
    uint32_t len = byte(in) % 40;
    size_t given = RTE_MIN((size_t)len, (size_t)(in->end - in->at));
    memcpy(bytes, in->at, given);
    in->at += given;
    if (rdma_message_decode(&m, bytes, len) == 0) peer_registers(p, &m);
    raw_message(p->raw, bytes, len);
}

/* Memory that the server lets be read by whom it gave the window. */
static uint8_t window[BUFFER];
static uint32_t window_key;

static bool window_asked(void *arg, struct rdma_conn *conn, const struct rdma_message *m)
{
    struct rdma_message given = {
        .opcode = RDMA_WINDOW, .address = (uintptr_t)window, .bytes = sizeof window, .key = window_key};
    (void)arg;
    return m->select != 13 && rdma_conn_send_message(conn, &given);
}

/* With the right key: what it reads it must have been let. */
static void peer_read(struct peer *p, struct input *in)
{
    uint32_t offset = byte(in), len = byte(in);
    raw_read(p->raw, len, (uintptr_t)window + offset, window_key ^ (byte(in) & 1));
}

/* Messages that decode, mostly. */
static void peer_opcode(struct peer *p, struct input *in)
{
    static const uint16_t opcodes[] = {RDMA_GET_FEATURES, RDMA_SET_FEATURES, RDMA_KEEPALIVE, RDMA_WINDOW};
    struct rdma_message m = {.opcode = opcodes[byte(in) % 4]};
    m.features = byte(in) & 1 ? RDMA_FEATURE_ONESIDED : byte(in);
    m.bytes = byte(in);
    m.select = byte(in) % 16;
    raw_send(p->raw, &m);
}

static void peer_register(struct peer *p, struct input *in)
{
    uint8_t how = byte(in);
    struct rdma_message m = {.opcode = RDMA_REGISTER,
                             .address = (uintptr_t)p->raw->memory,
                             .length = how & 1 ? BUFFER : 1 + byte(in) % BUFFER,
                             .key = p->raw->key};
    if ((how & 0xe) == 2) m.address = (uint64_t)word(in) << 32 | word(in);
    if ((how & 0xe) == 4) m.length = word(in);
    if ((how & 0xe) == 6) m.key = p->key; /* ours */
    peer_registers(p, &m);
    raw_send(p->raw, &m);
}

static void peer_write(struct peer *p, struct input *in)
{
    static const uint8_t bytes[BUFFER];
    uint8_t how = byte(in);
    uint32_t len = byte(in), offset = byte(in), imm = how & 1 ? len : how & 2 ? byte(in) : word(in);
    uint32_t key = how & 4 ? p->key ^ (how & 8) : p->key;
    raw_write(p->raw, bytes, len, p->address + offset, key, imm);
}

static void victim_handle(struct fixture *x, struct peer *p, struct input *in)
{
    struct stream *s = p->victim->stream;
    if (!s) return;
    switch (byte(in) % 6) {
    case 0: buf_chain_consume(&s->rx, s->rx.len); break;
    case 1: buf_chain_consume(&s->rx, s->rx.len * byte(in) / 256); break;
    case 2: /* kept by somebody else */
        if (p->held || s->rx.len == 0) break;
        p->held = s->rx.head;
        for (struct rte_mbuf *m = p->held->next; m; m = m->next) p->held->nb_segs++;
        buf_chain_init(&s->rx);
        break;
    case 3:
        if (s->tx_queued < 2000 && fixture_in_use(x) < 1000) side_send(p->victim, 0, 1 + byte(in) * 4, 1 + byte(in));
        break;
    case 4: side_close(p->victim); break;
    default: side_abort(p->victim); break;
    }
}

static void peer_release(struct peer *p)
{
    if (p->held) rte_pktmbuf_free(p->held);
    p->held = NULL;
}

static void step(struct fixture *x, struct peer *peers, struct input *in)
{
    uint8_t op = byte(in);
    struct peer *p = &peers[op >> 4 & 3 ? (op >> 4 & 3) - 1 : 0];
    if (!p->raw) {
        peer_connect(x, p, op);
        return;
    }
    switch (op & 15) {
    case 0: peer_message(p, in); break;
    case 1: peer_opcode(p, in); break;
    case 2: peer_register(p, in); break;
    case 3:
    case 4: peer_write(p, in); break;
    case 5:
    case 6: victim_handle(x, p, in); break;
    case 7: peer_release(p); break;
    case 8: /* the peer is gone; another one comes */
        fake_qp_error(p->raw->qp);
        if (byte(in) & 1) side_disconnect(p->victim);
        if (p->victim->stream && (byte(in) & 1)) break;
        p->raw = NULL;
        break;
    case 9:
        if (p->victim->qp) fake_qp_fail(p->victim->qp, (enum ibv_wc_status)(1 + byte(in) % 20));
        break;
    case 10: peer_read(p, in); break;
    default: fixture_turns(x, 1 + (op & 3)); break;
    }
    for (unsigned i = 0; i < PEERS; i++)
        if (peers[i].raw) peer_listen(&peers[i]);
}

static void honest_works(struct fixture *x, struct side *s)
{
    uint64_t taken = 0;
    side_send(s->peer, 0, 1000, 300);
    for (unsigned i = 0; i < 40 && taken < 1000; i++) {
        fixture_turns(x, 1);
        taken += side_take(s, taken);
    }
    must(taken == 1000 && !(s->stream->events & STREAM_ERROR));
}

static void shallow(struct end_config *config)
{
    config->srq_depth = 32;
    config->cq_depth = 512;
    config->keepalive_ns = 50000;
    config->linger_ns = 1000000;
    config->features = RDMA_FEATURE_ONESIDED;
    config->message = window_asked;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fixture x;
    struct peer peers[PEERS] = {0};
    struct input in = {.at = data, .end = data + size};
    fixture_start(&x, shallow);
    window_key = end_register(&x.server, window, sizeof window);
    struct side *honest = fixture_connect(&x, &shapes[0]);
    for (unsigned i = 0; i < STEPS_MAX && in.at < in.end; i++) step(&x, peers, &in);
    for (unsigned i = 0; i < PEERS; i++) peer_release(&peers[i]);
    honest_works(&x, honest);
    fixture_end(&x);
    return 0;
}
