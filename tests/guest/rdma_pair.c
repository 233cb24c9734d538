#include "tests/guest/rdma_pair.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECEIVES 1024u
#define RECEIVE_BYTES 64u /* more than a message, so that a longer one is seen */
#define SENDS 128u
#define STAGE_BYTES (128u << 10)
#define MESSAGES_OUT 64u
#define UNTOUCHED 0xee
#define RESOLVE_MS 5000
#define WINDOW_KEY 4 /* where a window's message has it */
#define WINDOW_ADDRESS 8
#define ACK_TIMEOUT                                                                                                    \
    18 /* 4 us * 2^n = 1 s: a power cut is found out in a few of these, not in as many of the usual 2 or 4 s */

const char *pair_doing = "start";

void pair_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "rdma_client: %s: ", pair_doing);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void check(bool good, const char *what)
{
    if (!good) pair_fail("%s: %s", what, strerror(errno));
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- memory: the server's to write, ours to write from, messages in, messages out ---- */

static uint8_t *stage(struct pair *p)
{
    return p->memory + p->buffer_bytes;
}
static uint8_t *messages_in(struct pair *p)
{
    return stage(p) + STAGE_BYTES;
}
static uint8_t *messages_out(struct pair *p)
{
    return messages_in(p) + RECEIVES * RECEIVE_BYTES;
}

static void memory_create(struct pair *p)
{
    size_t bytes = p->buffer_bytes + STAGE_BYTES + RECEIVES * RECEIVE_BYTES + MESSAGES_OUT * RECEIVE_BYTES;
    p->memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    check(p->memory != NULL, "memory");
    memset(p->memory, 0, bytes);
    p->mr = ibv_reg_mr(p->pd, p->memory, bytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    check(p->mr != NULL, "ibv_reg_mr");
}

static void receive_post(struct pair *p, uint64_t slot)
{
    struct ibv_sge sge = {
        .addr = (uintptr_t)messages_in(p) + slot * RECEIVE_BYTES, .length = RECEIVE_BYTES, .lkey = p->mr->lkey};
    struct ibv_recv_wr wr = {.wr_id = slot, .sg_list = &sge, .num_sge = 1}, *bad;
    if (ibv_post_recv(p->id->qp, &wr, &bad) != 0 && !p->cut_expected) pair_fail("ibv_post_recv");
}

/* ---- what we post ---- */

static void in_flight_below(struct pair *p, uint32_t most)
{
    int64_t end = now_ms() + PAIR_WAIT_MS;
    while (p->in_flight >= most && !p->cut) {
        if (now_ms() > end) pair_fail("the server's device acknowledges nothing");
        pair_pump(p, 100);
    }
}

static void post(struct pair *p, struct ibv_send_wr *wr)
{
    struct ibv_send_wr *bad;
    in_flight_below(p, SENDS);
    wr->send_flags = IBV_SEND_SIGNALED;
    if (ibv_post_send(p->id->qp, wr, &bad) == 0)
        p->in_flight++;
    else if (!p->cut_expected)
        pair_fail("ibv_post_send");
}

void pair_message(uint8_t out[PAIR_MESSAGE], enum pair_opcode opcode, uint64_t address, uint32_t length, uint32_t key)
{
    uint16_t opcode_be = htobe16((uint16_t)opcode);
    uint64_t address_be = htobe64(address);
    uint32_t length_be = htobe32(length), key_be = htobe32(key);
    memset(out, 0, PAIR_MESSAGE);
    memcpy(out, &opcode_be, sizeof opcode_be);
    memcpy(out + 16, &address_be, sizeof address_be);
    memcpy(out + 24, &length_be, sizeof length_be);
    memcpy(out + 28, &key_be, sizeof key_be);
}

void pair_post_message(struct pair *p, const void *message, uint32_t len)
{
    uint8_t *at = messages_out(p) + p->message_at++ % MESSAGES_OUT * RECEIVE_BYTES;
    if (p->message_at % MESSAGES_OUT == 0) in_flight_below(p, 1);
    memcpy(at, message, len);
    struct ibv_sge sge = {.addr = (uintptr_t)at, .length = len, .lkey = p->mr->lkey};
    struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = len > 0, .opcode = IBV_WR_SEND};
    post(p, &wr);
}

/* A copy of the data that stays until it is written. */
static uint8_t *staged(struct pair *p, const void *data, uint32_t len)
{
    if (p->stage_at + len > STAGE_BYTES) {
        in_flight_below(p, 1);
        p->stage_at = 0;
    }
    uint8_t *at = stage(p) + p->stage_at;
    memcpy(at, data, len);
    p->stage_at += len;
    return at;
}

static void post_write(struct pair *p, uint64_t address, const void *data, uint32_t len, bool announce,
                       uint32_t immediate)
{
    struct ibv_sge sge = {.addr = (uintptr_t)staged(p, data, len), .length = len, .lkey = p->mr->lkey};
    struct ibv_send_wr wr = {.sg_list = &sge,
                             .num_sge = len > 0,
                             .opcode = announce ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE,
                             .imm_data = htobe32(immediate),
                             .wr.rdma = {.remote_addr = address, .rkey = p->peer_key}};
    post(p, &wr);
}

void pair_post_write(struct pair *p, uint64_t address, const void *data, uint32_t len, uint32_t immediate)
{
    post_write(p, address, data, len, true, immediate);
}

void pair_post_plain_write(struct pair *p, uint64_t address, const void *data, uint32_t len)
{
    post_write(p, address, data, len, false, 0);
}

void pair_flush(struct pair *p)
{
    in_flight_below(p, 1);
}

void pair_register(struct pair *p)
{
    uint8_t message[PAIR_MESSAGE];
    memset(p->memory, UNTOUCHED, p->buffer_bytes);
    p->filled = 0;
    pair_message(message, PAIR_REGISTER, (uintptr_t)p->memory, p->buffer_bytes, p->mr->rkey);
    pair_post_message(p, message, sizeof message);
}

void pair_ask_features(struct pair *p)
{
    uint8_t message[PAIR_MESSAGE];
    pair_message(message, PAIR_GET_FEATURES, 0, 0, 0);
    p->features_asked++;
    pair_post_message(p, message, sizeof message);
}

void pair_ask_window(struct pair *p)
{
    uint8_t message[PAIR_MESSAGE];
    uint64_t features = htobe64(UINT64_C(1) << 63);
    int64_t end = now_ms() + PAIR_WAIT_MS;
    pair_message(message, PAIR_SET_FEATURES, 0, 0, 0);
    memcpy(message + 24, &features, sizeof features);
    p->window_asked = true;
    pair_post_message(p, message, sizeof message);
    while (p->window_key == 0 && !p->cut) {
        if (now_ms() > end) pair_fail("no window comes");
        pair_pump(p, 100);
    }
}

bool pair_read_window(struct pair *p, uint64_t address, uint32_t key, void *into, uint32_t len)
{
    uint8_t *at = staged(p, into, len);
    struct ibv_sge sge = {.addr = (uintptr_t)at, .length = len, .lkey = p->mr->lkey};
    struct ibv_send_wr wr = {
        .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_RDMA_READ, .wr.rdma = {.remote_addr = address, .rkey = key}};
    in_flight_below(p, 1);
    post(p, &wr);
    in_flight_below(p, 1);
    memcpy(into, at, len);
    return !p->cut;
}

/* ---- what comes ---- */

static bool all_zero(const uint8_t *bytes, size_t from, size_t to)
{
    while (from < to && bytes[from] == 0) from++;
    return from == to;
}

static void on_register(struct pair *p, const uint8_t *m)
{
    uint64_t address;
    uint32_t length, key;
    memcpy(&address, m + 16, sizeof address);
    memcpy(&length, m + 24, sizeof length);
    memcpy(&key, m + 28, sizeof key);
    if (p->peer_registered && p->peer_filled < p->peer_bytes)
        pair_fail("the server registers again with %u of %u bytes written", p->peer_filled, p->peer_bytes);
    if (!all_zero(m, 2, 16)) pair_fail("a registration whose reserved bytes are not zero");
    p->peer_address = be64toh(address);
    p->peer_bytes = be32toh(length);
    p->peer_key = be32toh(key);
    p->peer_filled = 0;
    p->peer_registered = true;
    if (p->peer_bytes == 0 || p->peer_address == 0)
        pair_fail("the server registers %u bytes at nowhere", p->peer_bytes);
}

static void on_window(struct pair *p, const uint8_t *m)
{
    uint64_t address;
    uint32_t key;
    if (!p->window_asked) pair_fail("a window that nobody asked for");
    memcpy(&address, m + WINDOW_ADDRESS, sizeof address);
    memcpy(&key, m + WINDOW_KEY, sizeof key);
    p->window_address = be64toh(address);
    p->window_key = be32toh(key);
}

static void on_message(struct pair *p, const uint8_t *m, uint32_t len)
{
    if (len != PAIR_MESSAGE) pair_fail("a message of %u bytes", len);
    uint16_t opcode = (uint16_t)(m[0] << 8 | m[1]);
    switch (opcode) {
    case PAIR_GET_FEATURES:
        if (p->features_asked == 0) pair_fail("the server tells features that nobody asked for");
        if (!all_zero(m, 2, PAIR_MESSAGE)) pair_fail("features that the protocol does not have");
        p->features_asked--;
        break;
    case PAIR_KEEPALIVE:
        if (!all_zero(m, 2, PAIR_MESSAGE)) pair_fail("a keepalive whose reserved bytes are not zero");
        p->keepalives++;
        break;
    case PAIR_REGISTER: on_register(p, m); break;
    case PAIR_WINDOW: on_window(p, m); break;
    default: pair_fail("a message with opcode %u", opcode);
    }
}

static void on_data(struct pair *p, uint32_t n)
{
    if (n == 0) pair_fail("a write of no bytes");
    if (n > p->buffer_bytes - p->filled)
        pair_fail("a write of %u bytes where %u are left", n, p->buffer_bytes - p->filled);
    if (p->inbox_len + n > p->inbox_cap) {
        p->inbox_cap = 2 * (p->inbox_len + n);
        p->inbox = realloc(p->inbox, p->inbox_cap);
        check(p->inbox != NULL, "memory");
    }
    memcpy(p->inbox + p->inbox_len, p->memory + p->filled, n);
    p->inbox_len += n;
    p->filled += n;
}

static void on_completion(struct pair *p, const struct ibv_wc *wc)
{
    if (wc->status != IBV_WC_SUCCESS) {
        if (!p->cut_expected) pair_fail("a request failed: %s", ibv_wc_status_str(wc->status));
        p->cut = true;
        if (p->why == IBV_WC_SUCCESS) p->why = wc->status;
        return;
    }
    switch (wc->opcode) {
    case IBV_WC_RECV: on_message(p, messages_in(p) + wc->wr_id * RECEIVE_BYTES, wc->byte_len); break;
    case IBV_WC_RECV_RDMA_WITH_IMM: on_data(p, be32toh(wc->imm_data)); break;
    default: p->in_flight--; return;
    }
    receive_post(p, wc->wr_id);
}

static bool completions_take(struct pair *p)
{
    struct ibv_wc wc[16];
    int n = ibv_poll_cq(p->cq, 16, wc);
    check(n >= 0, "ibv_poll_cq");
    for (int i = 0; i < n; i++) on_completion(p, &wc[i]);
    if (p->filled == p->buffer_bytes && !p->hold && !p->cut) pair_register(p);
    return n > 0;
}

static void events_take(struct pair *p)
{
    struct rdma_cm_event *event;
    if (rdma_get_cm_event(p->events, &event) != 0) return;
    enum rdma_cm_event_type kind = event->event;
    rdma_ack_cm_event(event);
    if (kind != RDMA_CM_EVENT_DISCONNECTED && kind != RDMA_CM_EVENT_TIMEWAIT_EXIT) return;
    if (!p->cut_expected) pair_fail("the server ends the connection");
    p->cut = true;
}

void pair_pump(struct pair *p, int ms)
{
    struct pollfd fds[] = {{.fd = p->channel->fd, .events = POLLIN}, {.fd = p->events->fd, .events = POLLIN}};
    if (completions_take(p)) return;
    check(ibv_req_notify_cq(p->cq, 0) == 0, "ibv_req_notify_cq");
    if (completions_take(p)) return;
    if (poll(fds, 2, ms) <= 0) return;
    if (fds[0].revents) {
        struct ibv_cq *cq;
        void *context;
        if (ibv_get_cq_event(p->channel, &cq, &context) == 0) ibv_ack_cq_events(cq, 1);
    }
    completions_take(p); /* before the event behind them */
    if (fds[1].revents) events_take(p);
}

/* ---- connections ---- */

static void event_await(struct pair *p, enum rdma_cm_event_type want)
{
    struct pollfd fd = {.fd = p->events->fd, .events = POLLIN};
    struct rdma_cm_event *event;
    if (poll(&fd, 1, PAIR_WAIT_MS) != 1) pair_fail("no %s", rdma_event_str(want));
    check(rdma_get_cm_event(p->events, &event) == 0, "rdma_get_cm_event");
    if (event->event != want)
        pair_fail("%s (%d) instead of %s", rdma_event_str(event->event), event->status, rdma_event_str(want));
    rdma_ack_cm_event(event);
}

static void resolve(struct pair *p, const char *address, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *info;
    if (getaddrinfo(address, port, &hints, &info) != 0) pair_fail("%s:%s is no address", address, port);
    check(rdma_resolve_addr(p->id, NULL, info->ai_addr, RESOLVE_MS) == 0, "rdma_resolve_addr");
    event_await(p, RDMA_CM_EVENT_ADDR_RESOLVED);
    check(rdma_resolve_route(p->id, RESOLVE_MS) == 0, "rdma_resolve_route");
    event_await(p, RDMA_CM_EVENT_ROUTE_RESOLVED);
    freeaddrinfo(info);
}

static void queues_create(struct pair *p)
{
    check((p->pd = ibv_alloc_pd(p->id->verbs)) != NULL, "ibv_alloc_pd");
    check((p->channel = ibv_create_comp_channel(p->id->verbs)) != NULL, "ibv_create_comp_channel");
    check((p->cq = ibv_create_cq(p->id->verbs, RECEIVES + 2 * SENDS, NULL, p->channel, 0)) != NULL, "ibv_create_cq");
    struct ibv_qp_init_attr attr = {
        .send_cq = p->cq,
        .recv_cq = p->cq,
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = SENDS, .max_recv_wr = RECEIVES, .max_send_sge = 1, .max_recv_sge = 1}};
    check(rdma_create_qp(p->id, p->pd, &attr) == 0, "rdma_create_qp");
    memory_create(p);
    for (uint64_t slot = 0; slot < RECEIVES; slot++) receive_post(p, slot);
}

struct pair *pair_open(const char *address, const char *port, uint32_t buffer_bytes)
{
    struct pair *p = calloc(1, sizeof *p);
    check(p != NULL, "memory");
    p->buffer_bytes = buffer_bytes;
    check((p->events = rdma_create_event_channel()) != NULL, "rdma_create_event_channel");
    check(rdma_create_id(p->events, &p->id, p, RDMA_PS_TCP) == 0, "rdma_create_id");
    resolve(p, address, port);
    queues_create(p);
    /* Retries hold for both ends. Soft-RoCE takes the usual 7 for endless: neither end would see the other's power cut.
     */
    struct rdma_conn_param param = {
        .responder_resources = 1, .initiator_depth = 1, .retry_count = 5, .rnr_retry_count = 7};
    uint8_t timeout = ACK_TIMEOUT;
    check(rdma_set_option(p->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof timeout) == 0,
          "rdma_set_option");
    check(rdma_connect(p->id, &param) == 0, "rdma_connect");
    event_await(p, RDMA_CM_EVENT_ESTABLISHED);
    fcntl(p->events->fd, F_SETFL, fcntl(p->events->fd, F_GETFL) | O_NONBLOCK);
    pair_register(p);
    int64_t end = now_ms() + PAIR_WAIT_MS;
    while (!p->peer_registered) {
        if (now_ms() > end) pair_fail("the server registers no buffer");
        pair_pump(p, 100);
    }
    return p;
}

void pair_drop(struct pair **pp)
{
    struct pair *p = *pp;
    rdma_destroy_qp(p->id);
    ibv_dereg_mr(p->mr);
    ibv_destroy_cq(p->cq);
    ibv_destroy_comp_channel(p->channel);
    ibv_dealloc_pd(p->pd);
    rdma_destroy_id(p->id);
    rdma_destroy_event_channel(p->events);
    free(p->memory);
    free(p->inbox);
    free(p);
    *pp = NULL;
}

void pair_await_cut(struct pair *p)
{
    int64_t end = now_ms() + PAIR_WAIT_MS;
    p->cut_expected = true;
    while (!p->cut) {
        if (now_ms() > end) pair_fail("the server does not end the connection");
        pair_pump(p, 100);
    }
}

void pair_close(struct pair **pp)
{
    struct pair *p = *pp;
    if (p->inbox_len > 0) pair_fail("%zu bytes more than were asked for", p->inbox_len);
    for (uint32_t at = p->filled; at < p->buffer_bytes; at++)
        if (p->memory[at] != UNTOUCHED) pair_fail("byte %u was written and never announced", at);
    in_flight_below(p, 1);
    p->cut_expected = true;
    check(rdma_disconnect(p->id) == 0, "rdma_disconnect");
    pair_await_cut(p);
    pair_drop(pp);
}

/* ---- bytes ---- */

static uint32_t least(size_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

static void send_piece(struct pair *p, const uint8_t *data, uint32_t n)
{
    uint64_t to = p->peer_address + p->peer_filled;
    uint32_t first = p->plain ? n / 2 : 0;
    if (first > 0) post_write(p, to, data, first, false, 0);
    post_write(p, to + first, data + first, n - first, true, n);
    p->peer_filled += n;
}

void pair_send(struct pair *p, const void *data, size_t len)
{
    const uint8_t *from = data;
    int64_t end = now_ms() + PAIR_WAIT_MS;
    while (len > 0) {
        uint32_t n = least(len, p->peer_bytes - p->peer_filled);
        n = least(n, STAGE_BYTES / 2);
        if (n == 0) {
            if (now_ms() > end) pair_fail("the server registers no buffer after a full one");
            pair_pump(p, 100);
            continue;
        }
        send_piece(p, from, n);
        from += n;
        len -= n;
    }
}

void pair_read(struct pair *p, void *data, size_t len)
{
    int64_t end = now_ms() + PAIR_WAIT_MS;
    while (p->inbox_len < len) {
        if (now_ms() > end) pair_fail("%zu bytes of %zu have come", p->inbox_len, len);
        pair_pump(p, 100);
    }
    memcpy(data, p->inbox, len);
    p->inbox_len -= len;
    memmove(p->inbox, p->inbox + len, p->inbox_len);
}
