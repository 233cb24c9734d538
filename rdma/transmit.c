/*
 * The send queue. Requests of a turn are gathered into one list and posted with one doorbell: messages, reads, then the
 * stream's bytes as gather lists. Of a list's writes only the last carries an immediate: the bytes of all.
 *
 * Completions come in order, so one that is signalled tells of all before it. The last request of a list is signalled
 * when buffers wait for it, or when too many before it were not. Bytes that the device takes with the request (inline)
 * are ours again at once, and nothing has to tell.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include "rdma/core_impl.h"

/* Request numbers up to which completions were asked for; the rest is silent. */
static uint32_t unsignalled(const struct rdma_conn *c)
{
    return c->sq_posted - c->sq_signalled;
}

static uint32_t unsignalled_limit(const struct rdma_conn *c)
{
    return RTE_MIN(RDMA_UNSIGNALLED_MAX, c->depth / 4u);
}

/* Entries of the queue that may be used now; spare are left. */
static uint32_t queue_room(const struct rdma_conn *c, uint32_t spare)
{
    uint32_t used = transmit_outstanding(c) + spare;
    return used < c->depth ? RTE_MIN(c->depth - used, RTE_MIN(RDMA_LIST_MAX, c->depth / 4u)) : 0;
}

/* Posting */

/* 0 or the device's error: what it did not take is not counted. */
static int list_post(struct rdma_conn *c, struct request_list *list)
{
    struct rdma_metrics *m = &c->core->metrics;
    struct ibv_send_wr *bad = NULL;
    unsigned taken = list->count;
    for (unsigned i = 0; i + 1 < list->count; i++) list->wr[i].next = &list->wr[i + 1];
    list->wr[list->count - 1].next = NULL;
    if (list->signal) list->wr[list->count - 1].send_flags |= IBV_SEND_SIGNALED;
    int rc = ibv_post_send(c->qp, list->wr, &bad);
    metric_add(&m->tx_posts, 1);
    if (rc != 0) {
        metric_add(&m->posts_refused, 1);
        taken = bad ? (unsigned)(bad - list->wr) : 0;
    }
    c->sq_posted += taken;
    if (list->signal && rc == 0) c->sq_signalled = c->sq_posted;
    return rc;
}

/* Reads */

static void read_append(struct rdma_read **head, struct rdma_read **tail, struct rdma_read *read)
{
    read->next = NULL;
    if (*head)
        (*tail)->next = read;
    else
        *head = read;
    *tail = read;
}

static struct rdma_read *read_pop(struct rdma_read **head)
{
    struct rdma_read *read = *head;
    *head = read->next;
    return read;
}

bool rdma_conn_read(struct rdma_conn *conn, struct rdma_read *read)
{
    if (conn->state != CONN_OPEN) return false;
    read_append(&conn->reads, &conn->reads_tail, read);
    conn_list(conn);
    return true;
}

static void reads_gather(struct rdma_conn *c, struct request_list *list, uint32_t room)
{
    while (c->reads && list->count < room) {
        struct rdma_read *read = read_pop(&c->reads);
        struct ibv_sge *sge = list->sge[list->count];
        struct ibv_send_wr *wr = request_add(c, list, REQUEST_READ);
        *sge = (struct ibv_sge){.addr = (uintptr_t)read->into, .length = read->bytes, .lkey = read->lkey};
        wr->opcode = IBV_WR_RDMA_READ;
        wr->sg_list = sge;
        wr->num_sge = 1;
        wr->wr.rdma.remote_addr = read->address;
        wr->wr.rdma.rkey = read->rkey;
        read_append(&c->reading, &c->reading_tail, read);
        list->signal = true;
        metric_add(&c->core->metrics.tx_reads, 1);
    }
}

void transmit_drop_reads(struct rdma_conn *c)
{
    while (c->reads) {
        struct rdma_read *read = read_pop(&c->reads);
        read->done(read, false);
    }
}

/* A device that refused a read will not complete it. */
static void reads_refused(struct rdma_conn *c)
{
    struct rdma_read **end = &c->reading;
    for (uint32_t i = c->sq_done; i != c->sq_posted; i++)
        if (c->requests[i & c->sq_mask].kind == REQUEST_READ) end = &(*end)->next;
    struct rdma_read *refused = *end;
    *end = NULL;
    while (refused) {
        struct rdma_read *next = refused->next;
        refused->done(refused, false);
        refused = next;
    }
}

/* The stream's bytes */

static uint32_t segment_key(struct rdma_conn *c, const struct rte_mbuf *m, const uint8_t *data, uint32_t n)
{
    struct lane *lane = &c->core->lanes[c->lane];
    const struct rdma_key_range *range =
        rdma_keys_find(lane->config.keys, data, n, &lane->hint[RTE_MBUF_HAS_EXTBUF(m) != 0]);
    assert(range); /* whatever may be sent lies in registered memory */
    return range->lkey;
}

/* The next segment, at most n bytes. */
static uint32_t segment_take(struct rdma_conn *c, struct ibv_sge *sge, uint32_t n, bool inlined)
{
    const struct rte_mbuf *m = c->tx_next;
    const uint8_t *data = buf_data(m) + c->tx_next_off;
    uint32_t len = m->data_len - c->tx_next_off;
    if (len > n) {
        len = n;
        c->tx_next_off += len;
    } else {
        c->tx_next = m->next;
        c->tx_next_off = 0;
    }
    sge->addr = (uintptr_t)data;
    sge->length = len;
    sge->lkey = inlined || len == 0 ? 0 : segment_key(c, m, data, len);
    return len;
}

/* One write of at most n bytes; returns its bytes. */
static uint32_t write_add(struct rdma_conn *c, struct request_list *list, uint32_t n, bool inlined)
{
    struct ibv_sge *sge = list->sge[list->count];
    struct ibv_send_wr *wr = request_add(c, list, REQUEST_DATA);
    uint32_t bytes = 0;
    int count = 0;
    while (bytes < n && count < c->max_sge) {
        uint32_t len = segment_take(c, &sge[count], n - bytes, inlined);
        count += len > 0;
        bytes += len;
    }
    wr->sg_list = sge;
    wr->num_sge = count;
    wr->opcode = IBV_WR_RDMA_WRITE;
    wr->wr.rdma.remote_addr = c->peer_address + c->peer_used;
    wr->wr.rdma.rkey = c->peer_key;
    c->peer_used += bytes;
    return bytes;
}

static bool fits_inline(const struct rdma_conn *c, uint32_t n)
{
    if (n > c->max_inline) return false;
    const struct rte_mbuf *m = c->tx_next;
    uint32_t have = m->data_len - c->tx_next_off;
    for (unsigned segments = 1; have < n; segments++) {
        if (segments == c->max_sge) return false;
        m = m->next;
        have += m->data_len;
    }
    return true;
}

/* The peer's buffer is filled to its last byte: what does not fit waits for it to be registered again. */
static void data_gather(struct rdma_conn *c, struct request_list *list, uint32_t room)
{
    uint32_t waiting = transmit_waiting(c);
    if (waiting == 0) return;
    uint32_t n = RTE_MIN(waiting, c->peer_length - c->peer_used);
    if (n == 0 || list->count >= room) return;
    struct ibv_send_wr *last = NULL;
    unsigned before = list->count;
    list->data_inline = fits_inline(c, n);
    while (list->bytes < n && list->count < room) {
        last = &list->wr[list->count];
        uint32_t number = c->sq_posted + list->count;
        uint32_t bytes = write_add(c, list, n - list->bytes, list->data_inline);
        c->requests[number & c->sq_mask].bytes = bytes;
        list->bytes += bytes;
    }
    last->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
    last->imm_data = htonl(list->bytes);
    if (list->data_inline) last->send_flags = IBV_SEND_INLINE;
    metric_add(&c->core->metrics.tx_writes, list->count - before);
}

/* The first n held bytes need not be held any more. */
static void bytes_complete(struct rdma_conn *c, uint32_t n)
{
    c->tx_held -= n;
    buf_chain_consume(&c->tx, n);
    if (c->tx_held == 0) {
        c->tx_next = c->tx.head;
        c->tx_next_off = 0;
    } else if (c->tx_next == c->tx.head) {
        c->tx_next_off = c->tx_held;
    }
    stream_sent(&c->s, n);
}

/* Inline bytes are ours again, unless others are in front of them. */
static void data_posted(struct rdma_conn *c, const struct request_list *list)
{
    struct rdma_metrics *m = &c->core->metrics;
    metric_add(&m->tx_bytes, list->bytes);
    if (!list->data_inline) return;
    metric_add(&m->tx_inline_bytes, list->bytes);
    if (c->tx_held > list->bytes) return;
    c->requests[(c->sq_posted - 1) & c->sq_mask].bytes = 0;
    bytes_complete(c, list->bytes);
}

static bool must_signal(const struct rdma_conn *c, const struct request_list *list)
{
    bool holds = c->tx_held > 0 || (list->bytes > 0 && !list->data_inline);
    return list->signal || holds || unsignalled(c) + list->count >= unsignalled_limit(c);
}

static void post(struct rdma_conn *c, struct request_list *list)
{
    list->signal = must_signal(c, list);
    c->tx_held += list->bytes;
    int rc = list_post(c, list);
    if (rc != 0) {
        reads_refused(c);
        conn_cut(c, ECONNRESET);
        return;
    }
    if (list->bytes > 0) data_posted(c, list);
}

void transmit_mark(struct rdma_conn *c)
{
    struct request_list *list = &c->core->list;
    if (transmit_outstanding(c) == 0 || unsignalled(c) == 0) return;
    list->count = 0;
    struct ibv_send_wr *wr = request_add(c, list, REQUEST_MARK);
    wr->opcode = IBV_WR_RDMA_WRITE; /* of no bytes: touches nothing */
    wr->sg_list = NULL;
    wr->num_sge = 0;
    wr->wr.rdma.remote_addr = c->peer_address;
    wr->wr.rdma.rkey = c->peer_key;
    list->signal = true;
    if (list_post(c, list) != 0) conn_cut(c, ECONNRESET);
}

/* All that the handler gave has left: a closed stream's pair is cut when the peer has it. */
static void ending(struct rdma_conn *c)
{
    if (transmit_waiting(c) > 0) return;
    if (transmit_outstanding(c) == 0)
        conn_cut(c, 0);
    else
        transmit_mark(c);
}

/* Something waits for nothing but its turn, or room in the queue. */
static bool has_more(struct rdma_conn *c)
{
    if (c->reads || message_ready(c) || c->register_due || c->keepalive_due) return true;
    if (transmit_waiting(c) == 0) return false;
    if (c->peer_used != c->peer_length) return true;
    if (!c->peer_full) metric_add(&c->core->metrics.tx_peer_full, c->peer_length != 0);
    c->peer_full = true;
    return false;
}

bool transmit(struct rdma_conn *c)
{
    struct request_list *list = &c->core->list;
    if (c->state == CONN_NEW) return false; /* its pair may not send yet */
    if (c->state == CONN_CUT) {
        if (c->gone == GONE_TAKEN) transmit_mark(c);
        return false;
    }
    list->count = 0;
    list->bytes = 0;
    list->signal = list->data_inline = false;
    control_gather(c, list, queue_room(c, 1));
    uint32_t room = queue_room(c, RDMA_DATA_SPARE);
    reads_gather(c, list, room);
    data_gather(c, list, room);
    if (list->count > 0) post(c, list);
    if ((c->shut || c->state == CONN_LINGER) && c->state != CONN_CUT) ending(c);
    if (c->state == CONN_CUT || !has_more(c)) return false;
    if (queue_room(c, RDMA_DATA_SPARE) > 0) return true;
    c->queue_full = true; /* the next completion tells */
    metric_add(&c->core->metrics.tx_queue_full, 1);
    return false;
}

/* Completions */

static void request_done(struct rdma_conn *c, const struct request *r, bool ok)
{
    if (r->kind == REQUEST_KEEPALIVE) c->keepalive_posted = false;
    if (r->kind != REQUEST_READ) return;
    struct rdma_read *read = read_pop(&c->reading);
    read->done(read, ok);
}

void transmit_done(struct rdma_conn *c, uint32_t number, bool ok)
{
    uint32_t bytes = 0;
    assert(number - c->sq_done < transmit_outstanding(c));
    while (c->sq_done != number + 1) {
        struct request *r = &c->requests[c->sq_done & c->sq_mask];
        bool last = c->sq_done++ == number;
        bytes += r->bytes;
        if (r->kind != REQUEST_DATA) request_done(c, r, (ok || !last) && c->state != CONN_CUT);
    }
    if (bytes > 0) bytes_complete(c, bytes);
    if (c->queue_full || c->state >= CONN_LINGER || c->shut) conn_list(c);
    c->queue_full = false;
}
