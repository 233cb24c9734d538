/*
 * A client of Valkey over RDMA written from the protocol document alone, with nothing of ours in it: what it is served,
 * others are. One thread, blocking.
 *
 *   rdma_peer ADDRESS PORT smoke          SETs and GETs of 1 byte to 1 MB, each compared
 *   rdma_peer ADDRESS PORT memcache       the same in memcached's text
 *   rdma_peer ADDRESS PORT churn N        N times: connect, SET, GET, disconnect
 *   rdma_peer ADDRESS PORT many N         N connections at a time, each asked, then ended
 *   rdma_peer ADDRESS PORT overflow N     N connections, the next of which must be refused
 *   rdma_peer ADDRESS PORT write          SETs without end: to be killed in the middle of one
 *   rdma_peer ADDRESS PORT stay           one connection, asked again and again until the server ends it
 *   rdma_peer ADDRESS PORT key N          ten SETs and GETs of key number N
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rdma/rdma_cma.h>

#define MESSAGE 32u
#define RECEIVES 1024u
#define SENDS 64u
#define BUFFER (256u << 10) /* that the server writes into */
#define STAGE (256u << 10)  /* that we send from */
#define WAIT_MS 30000
#define STAY_KEY 999999u /* nobody else's */

struct peer {
    struct rdma_event_channel *events;
    struct rdma_cm_id *id;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_mr *mr;
    uint8_t *memory;          /* buffer, stage, messages to receive, messages to send */
    uint32_t rx_off, rx_read; /* bytes the server wrote, bytes read of them */
    uint64_t tx_address;
    uint32_t tx_key, tx_length, tx_off;
    uint32_t stage_off, sends; /* in flight */
    unsigned keepalives;
};

static const char *doing = "start";

static _Noreturn void fail(const char *what, int error)
{
    fprintf(stderr, "rdma_peer: %s: %s: %s\n", doing, what, error ? strerror(error) : "protocol");
    exit(1);
}

static uint8_t *stage_of(struct peer *p)
{
    return p->memory + BUFFER;
}
static uint8_t *received_of(struct peer *p, uint64_t slot)
{
    return p->memory + BUFFER + STAGE + slot * MESSAGE;
}
static uint8_t *message_of(struct peer *p)
{
    return received_of(p, RECEIVES);
}

static void post_receive(struct peer *p, uint64_t slot)
{
    struct ibv_sge sge = {.addr = (uintptr_t)received_of(p, slot), .length = MESSAGE, .lkey = p->mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1}, *bad;
    int rc = ibv_post_recv(p->id->qp, &wr, &bad);
    if (rc != 0) fail("post receive", rc);
}

/* opcode 3: the buffer is empty, from its first byte on. */
static void send_register(struct peer *p)
{
    uint8_t *m = message_of(p);
    uint16_t opcode = htobe16(3);
    uint64_t address = htobe64((uintptr_t)p->memory);
    uint32_t length = htobe32(BUFFER), key = htobe32(p->mr->rkey);
    memset(m, 0, MESSAGE);
    memcpy(m, &opcode, 2);
    memcpy(m + 16, &address, 8);
    memcpy(m + 24, &length, 4);
    memcpy(m + 28, &key, 4);
    struct ibv_sge sge = {.addr = (uintptr_t)m, .length = MESSAGE, .lkey = p->mr->lkey};
    struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED},
                       *bad;
    p->rx_off = p->rx_read = 0;
    p->sends++;
    int rc = ibv_post_send(p->id->qp, &wr, &bad);
    if (rc != 0) fail("post register", rc);
}

static void take_message(struct peer *p, const uint8_t *m, uint32_t len)
{
    uint16_t opcode;
    if (len != MESSAGE) fail("a message that is not 32 bytes long", 0);
    memcpy(&opcode, m, 2);
    opcode = be16toh(opcode);
    if (opcode == 2) p->keepalives++;
    if (opcode == 2) return;
    if (opcode != 3) fail("a message nobody asked for", 0);
    if (p->tx_off != p->tx_length) fail("a registration in mid-buffer", 0);
    memcpy(&p->tx_address, m + 16, 8);
    memcpy(&p->tx_length, m + 24, 4);
    memcpy(&p->tx_key, m + 28, 4);
    p->tx_address = be64toh(p->tx_address);
    p->tx_length = be32toh(p->tx_length);
    p->tx_key = be32toh(p->tx_key);
    p->tx_off = 0;
}

static void take_completion(struct peer *p, const struct ibv_wc *wc)
{
    if (wc->status != IBV_WC_SUCCESS) {
        fprintf(stderr, "rdma_peer: %s: completion: %s\n", doing, ibv_wc_status_str(wc->status));
        exit(3);
    }
    if (wc->opcode == IBV_WC_RECV_RDMA_WITH_IMM) {
        uint32_t n = ntohl(wc->imm_data);
        if (n == 0 || n > BUFFER - p->rx_off) fail("a write past the buffer's end", 0);
        p->rx_off += n;
    } else if (wc->opcode == IBV_WC_RECV) {
        take_message(p, received_of(p, wc->wr_id), wc->byte_len);
    } else {
        p->sends--;
        return;
    }
    post_receive(p, wc->wr_id);
}

static bool poll_once(struct peer *p)
{
    struct ibv_wc wc[16];
    int n = ibv_poll_cq(p->cq, 16, wc);
    if (n < 0) fail("poll", EIO);
    for (int i = 0; i < n; i++) take_completion(p, &wc[i]);
    return n > 0;
}

static void disconnected_look(struct peer *p)
{
    struct rdma_cm_event *event;
    struct pollfd fd = {.fd = p->events->fd, .events = POLLIN};
    if (poll(&fd, 1, 0) <= 0 || rdma_get_cm_event(p->events, &event) != 0) return;
    fprintf(stderr, "rdma_peer: %s: %s\n", doing, rdma_event_str(event->event));
    exit(3);
}

/* Until something completes. */
static void wait_for_completion(struct peer *p)
{
    struct ibv_cq *cq;
    void *context;
    if (poll_once(p)) return;
    ibv_req_notify_cq(p->cq, 0);
    if (poll_once(p)) return;
    struct pollfd fds[] = {{.fd = p->channel->fd, .events = POLLIN}, {.fd = p->events->fd, .events = POLLIN}};
    int n = poll(fds, 2, WAIT_MS);
    if (n == 0) fail("nothing comes", ETIMEDOUT);
    if (fds[0].revents && ibv_get_cq_event(p->channel, &cq, &context) == 0) ibv_ack_cq_events(cq, 1);
    if (fds[1].revents && !poll_once(p)) disconnected_look(p);
}

static enum rdma_cm_event_type event_next(struct peer *p)
{
    struct rdma_cm_event *event;
    struct pollfd fd = {.fd = p->events->fd, .events = POLLIN};
    if (poll(&fd, 1, WAIT_MS) <= 0) fail("no event comes", ETIMEDOUT);
    if (rdma_get_cm_event(p->events, &event) != 0) fail("event", errno);
    enum rdma_cm_event_type type = event->event;
    rdma_ack_cm_event(event);
    return type;
}

static void event_wait(struct peer *p, enum rdma_cm_event_type wanted)
{
    enum rdma_cm_event_type got = event_next(p);
    if (got == wanted) return;
    fprintf(stderr, "rdma_peer: %s: %s, not %s\n", doing, rdma_event_str(got), rdma_event_str(wanted));
    exit(1);
}

static void resources(struct peer *p)
{
    size_t bytes = BUFFER + STAGE + (RECEIVES + 1) * MESSAGE;
    p->channel = ibv_create_comp_channel(p->id->verbs);
    p->cq = ibv_create_cq(p->id->verbs, 2048, NULL, p->channel, 0);
    if (!p->cq) fail("completion queue", errno);
    struct ibv_qp_init_attr attr = {
        .send_cq = p->cq,
        .recv_cq = p->cq,
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = SENDS + 2, .max_recv_wr = RECEIVES, .max_send_sge = 1, .max_recv_sge = 1}};
    if (rdma_create_qp(p->id, NULL, &attr) != 0) fail("queue pair", errno);
    p->memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    p->mr = ibv_reg_mr(p->id->pd, p->memory, bytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    if (!p->mr) fail("memory", errno);
    for (uint64_t slot = 0; slot < RECEIVES; slot++) post_receive(p, slot);
}

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
    struct sockaddr_storage to = {.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to;
    v4->sin_port = htons(port); /* at the same place in both */
    if (inet_pton(to.ss_family, text, to.ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) != 1)
        fail(text, EINVAL);
    return to;
}

static enum rdma_cm_event_type peer_open(struct peer *p, const char *address, uint16_t port)
{
    struct sockaddr_storage to = address_of(address, port);
    struct rdma_conn_param param = {
        .responder_resources = 1, .initiator_depth = 1, .retry_count = 7, .rnr_retry_count = 7};
    memset(p, 0, sizeof *p);
    doing = "connect";
    p->events = rdma_create_event_channel();
    if (!p->events || rdma_create_id(p->events, &p->id, NULL, RDMA_PS_TCP) != 0) fail("id", errno);
    if (rdma_resolve_addr(p->id, NULL, (struct sockaddr *)&to, 2000) != 0) fail("address", errno);
    event_wait(p, RDMA_CM_EVENT_ADDR_RESOLVED);
    if (rdma_resolve_route(p->id, 2000) != 0) fail("route", errno);
    event_wait(p, RDMA_CM_EVENT_ROUTE_RESOLVED);
    resources(p);
    if (rdma_connect(p->id, &param) != 0) fail("rdma_connect", errno);
    return event_next(p);
}

static void peer_connect(struct peer *p, const char *address, uint16_t port)
{
    enum rdma_cm_event_type got = peer_open(p, address, port);
    if (got != RDMA_CM_EVENT_ESTABLISHED) fail(rdma_event_str(got), ECONNREFUSED);
    send_register(p);
    while (p->tx_length == 0) wait_for_completion(p);
}

static void peer_disconnect(struct peer *p)
{
    doing = "disconnect";
    rdma_disconnect(p->id);
    event_wait(p, RDMA_CM_EVENT_DISCONNECTED);
    rdma_destroy_qp(p->id);
    ibv_dereg_mr(p->mr);
    ibv_destroy_cq(p->cq);
    ibv_destroy_comp_channel(p->channel);
    rdma_destroy_id(p->id);
    rdma_destroy_event_channel(p->events);
    free(p->memory);
}

/* One write, to the end of the server's buffer at most. Returns its bytes. */
static uint32_t write_some(struct peer *p, const uint8_t *data, size_t n)
{
    while (p->tx_off == p->tx_length || p->sends >= SENDS) wait_for_completion(p);
    if (p->stage_off == STAGE)
        while (p->sends > 0) wait_for_completion(p);
    if (p->stage_off == STAGE) p->stage_off = 0;
    uint32_t len = p->tx_length - p->tx_off;
    if (len > STAGE - p->stage_off) len = STAGE - p->stage_off;
    if (len > n) len = (uint32_t)n;
    memcpy(stage_of(p) + p->stage_off, data, len);
    struct ibv_sge sge = {.addr = (uintptr_t)stage_of(p) + p->stage_off, .length = len, .lkey = p->mr->lkey};
    struct ibv_send_wr wr = {.sg_list = &sge,
                             .num_sge = 1,
                             .opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                             .send_flags = IBV_SEND_SIGNALED,
                             .imm_data = htonl(len),
                             .wr.rdma = {.remote_addr = p->tx_address + p->tx_off, .rkey = p->tx_key}},
                       *bad;
    int rc = ibv_post_send(p->id->qp, &wr, &bad);
    if (rc != 0) fail("post write", rc);
    p->sends++;
    p->stage_off += len;
    p->tx_off += len;
    return len;
}

static void send_bytes(struct peer *p, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) done += write_some(p, (const uint8_t *)data + done, n - done);
}

/* The next n bytes of the answer are these. */
static void expect_bytes(struct peer *p, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        while (p->rx_read == p->rx_off) {
            if (p->rx_off == BUFFER) send_register(p);
            wait_for_completion(p);
        }
        size_t len = p->rx_off - p->rx_read;
        if (len > n - done) len = n - done;
        if (memcmp(p->memory + p->rx_read, (const uint8_t *)data + done, len) != 0) {
            fprintf(stderr, "got: %.*s\n", (int)(len < 200 ? len : 200), (const char *)p->memory + p->rx_read);
            fail("another answer", 0);
        }
        p->rx_read += (uint32_t)len;
        done += len;
    }
}

static uint8_t value[1000000];

static void value_fill(size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) value[i] = (uint8_t)((i * 2654435761u + seed) >> 7);
}

static void resp_set(struct peer *p, unsigned key, size_t n)
{
    char head[80];
    doing = "SET";
    value_fill(n, key);
    send_bytes(p, head, (size_t)snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$9\r\nkey%06u\r\n$%zu\r\n", key, n));
    send_bytes(p, value, n);
    send_bytes(p, "\r\n", 2);
    expect_bytes(p, "+OK\r\n", 5);
}

static void resp_get(struct peer *p, unsigned key, size_t n)
{
    char head[80];
    doing = "GET";
    value_fill(n, key);
    send_bytes(p, head, (size_t)snprintf(head, sizeof head, "*2\r\n$3\r\nGET\r\n$9\r\nkey%06u\r\n", key));
    expect_bytes(p, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", n));
    expect_bytes(p, value, n);
    expect_bytes(p, "\r\n", 2);
}

static void memcache_set(struct peer *p, unsigned key, size_t n)
{
    char head[80];
    doing = "set";
    value_fill(n, key);
    send_bytes(p, head, (size_t)snprintf(head, sizeof head, "set key%06u 7 0 %zu\r\n", key, n));
    send_bytes(p, value, n);
    send_bytes(p, "\r\n", 2);
    expect_bytes(p, "STORED\r\n", 8);
}

static void memcache_get(struct peer *p, unsigned key, size_t n)
{
    char head[80];
    doing = "get";
    value_fill(n, key);
    send_bytes(p, head, (size_t)snprintf(head, sizeof head, "get key%06u\r\n", key));
    expect_bytes(p, head, (size_t)snprintf(head, sizeof head, "VALUE key%06u 7 %zu\r\n", key, n));
    expect_bytes(p, value, n);
    expect_bytes(p, "\r\nEND\r\n", 7);
}

static void smoke(struct peer *p, void (*set)(struct peer *, unsigned, size_t),
                  void (*get)(struct peer *, unsigned, size_t))
{
    static const size_t sizes[] = {1, 2, 100, 255, 256, 257, 1000, 4096, 20000, 65536, 262144, 300000, 1000000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        set(p, i, sizes[i]);
        get(p, i, sizes[i]);
    }
    for (unsigned i = 0; i < 300; i++) set(p, 100 + i, 1 + i * 17);
    for (unsigned i = 0; i < 300; i++) get(p, 100 + i, 1 + i * 17);
}

static void many(const char *address, uint16_t port, unsigned n)
{
    struct peer *peers = calloc(n, sizeof *peers);
    for (unsigned i = 0; i < n; i++) peer_connect(&peers[i], address, port);
    for (unsigned i = 0; i < n; i++) resp_set(&peers[i], i, 1000 + i);
    for (unsigned i = 0; i < n; i++) resp_get(&peers[i], n - 1 - i, 1000 + n - 1 - i);
    for (unsigned i = 0; i < n; i++) peer_disconnect(&peers[i]);
    free(peers);
}

static void overflow(const char *address, uint16_t port, unsigned n)
{
    struct peer *peers = calloc(n + 1, sizeof *peers);
    for (unsigned i = 0; i < n; i++) peer_connect(&peers[i], address, port);
    if (peer_open(&peers[n], address, port) != RDMA_CM_EVENT_REJECTED) fail("the last was not refused", 0);
    for (unsigned i = 0; i < n; i++) resp_set(&peers[i], i, 100);
    for (unsigned i = 0; i < n; i++) peer_disconnect(&peers[i]);
    free(peers);
}

static void churn(const char *address, uint16_t port, unsigned n)
{
    struct peer p;
    for (unsigned i = 0; i < n; i++) {
        peer_connect(&p, address, port);
        resp_set(&p, i, 1 + i * 100);
        resp_get(&p, i, 1 + i * 100);
        peer_disconnect(&p);
    }
}

int main(int argc, char **argv)
{
    struct peer p;
    if (argc < 4) return 64;
    const char *address = argv[1], *mode = argv[3];
    uint16_t port = (uint16_t)atoi(argv[2]);
    unsigned n = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
    if (strcmp(mode, "churn") == 0)
        churn(address, port, n);
    else if (strcmp(mode, "many") == 0)
        many(address, port, n);
    else if (strcmp(mode, "overflow") == 0)
        overflow(address, port, n);
    else {
        peer_connect(&p, address, port);
        if (strcmp(mode, "smoke") == 0)
            smoke(&p, resp_set, resp_get);
        else if (strcmp(mode, "memcache") == 0)
            smoke(&p, memcache_set, memcache_get);
        else if (strcmp(mode, "write") == 0) {
            printf("writing\n");
            fflush(stdout);
            for (unsigned i = 0;; i++) resp_set(&p, i % 7, 1000000 - i % 5);
        } else if (strcmp(mode, "stay") == 0) {
            resp_set(&p, STAY_KEY, 100);
            printf("staying\n");
            fflush(stdout);
            for (;; usleep(20000)) resp_get(&p, STAY_KEY, 100);
        } else if (strcmp(mode, "key") == 0) {
            for (unsigned i = 0; i < 10; i++) {
                resp_set(&p, n, 100);
                resp_get(&p, n, 100);
            }
        }
        peer_disconnect(&p);
    }
    return 0;
}
