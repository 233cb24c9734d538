#include "tests/rdma/fake_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fake_broken(const char *what)
{
    fprintf(stderr, "fake verbs: %s\n", what);
    abort();
}

void *fake_zalloc(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (!p) abort();
    return p;
}

static struct fake_qp *qp_of(const struct ibv_qp *qp)
{
    return (struct fake_qp *)(uintptr_t)qp;
}

struct fake *fake_create(const struct fake_config *config)
{
    struct fake *f = fake_zalloc(sizeof *f);
    f->config = *config;
    f->now = 1000000000;
    f->random = (config->seed + 1) * 0x9e3779b97f4a7c15u;
    f->next_key = 0x1000;
    f->next_qp_num = 17;
    return f;
}

uint64_t fake_now(const struct fake *f)
{
    return f->now;
}

uint64_t fake_random(struct fake *f, uint64_t n)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (f->random >> 11) % n;
}

/* Completion queues */

static void complete(struct ibv_cq *ibv, const struct ibv_wc *wc)
{
    struct fake_cq *cq = (struct fake_cq *)ibv;
    if (cq->count == cq->depth) fake_broken("completion queue overrun");
    cq->ring[(cq->head + cq->count++) % cq->depth] = *wc;
    cq->armed = false;
}

static int poll_cq(struct ibv_cq *ibv, int n, struct ibv_wc *wc)
{
    struct fake_cq *cq = (struct fake_cq *)ibv;
    int i = 0;
    if (fake_device_of(ibv->context)->removed) return 0;
    for (; i < n && cq->count > 0; i++, cq->count--) {
        wc[i] = cq->ring[cq->head];
        if (++cq->head == cq->depth) cq->head = 0;
    }
    return i;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited_only)
{
    if (solicited_only) fake_broken("unexpected solicited_only");
    ((struct fake_cq *)ibv)->armed = true;
    return 0;
}

struct ibv_cq *fake_cq_create(struct fake_device *d, uint32_t depth)
{
    struct fake_cq *cq = fake_zalloc(sizeof *cq + depth * sizeof *cq->ring);
    cq->cq.context = &d->context;
    cq->depth = depth;
    cq->next = d->fake->cqs;
    d->fake->cqs = cq;
    return &cq->cq;
}

bool fake_cq_armed(const struct ibv_cq *cq)
{
    return ((const struct fake_cq *)cq)->armed;
}

/* Shared receive queues */

static int post_srq_recv(struct ibv_srq *ibv, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
    struct fake_srq *srq = (struct fake_srq *)ibv;
    for (; wr; wr = wr->next) {
        if (fake_device_of(ibv->context)->removed) {
            *bad = wr;
            return EIO;
        }
        if (srq->count == srq->depth) fake_broken("shared receive queue overrun");
        if (wr->num_sge != 1) fake_broken("a receive that is not one segment");
        struct fake_receive *r = &srq->ring[(srq->head + srq->count++) % srq->depth];
        *r = (struct fake_receive){.wr_id = wr->wr_id, .sge = *wr->sg_list};
    }
    return 0;
}

struct ibv_srq *fake_srq_create(struct fake_device *d, uint32_t depth)
{
    struct fake_srq *srq = fake_zalloc(sizeof *srq + depth * sizeof *srq->ring);
    srq->srq.context = &d->context;
    srq->depth = depth;
    srq->next = d->fake->srqs;
    d->fake->srqs = srq;
    return &srq->srq;
}

uint32_t fake_srq_posted(const struct ibv_srq *srq)
{
    return ((const struct fake_srq *)srq)->count;
}

/* Posting */

static uint8_t *inline_copy(const struct ibv_send_wr *wr, uint32_t bytes)
{
    uint8_t *copy = malloc(bytes ? bytes : 1), *p = copy;
    if (!copy) abort();
    for (int i = 0; i < wr->num_sge; i++) {
        memcpy(p, (const void *)(uintptr_t)wr->sg_list[i].addr, wr->sg_list[i].length);
        p += wr->sg_list[i].length;
    }
    return copy;
}

static uint64_t later(struct fake *f, uint64_t at_most)
{
    return at_most > 0 ? 1 + fake_random(f, at_most) : 0;
}

static void request_post(struct fake_qp *q, const struct ibv_send_wr *wr)
{
    struct fake *f = q->device->fake;
    if (q->posted - q->done == q->config.send_depth) fake_broken("send queue overrun");
    if (wr->num_sge > q->config.max_sge) fake_broken("more segments than the pair has");
    struct fake_request *r = &q->ring[q->posted % q->config.send_depth];
    *r = (struct fake_request){.wr_id = wr->wr_id,
                               .opcode = wr->opcode,
                               .flags = wr->send_flags,
                               .num_sge = wr->num_sge,
                               .imm_data = wr->imm_data};
    if (wr->num_sge > 0) memcpy(r->sge, wr->sg_list, (size_t)wr->num_sge * sizeof *r->sge);
    if (wr->opcode == IBV_WR_BIND_MW) {
        if (wr->num_sge > 0 || wr->imm_data || wr->send_flags & IBV_SEND_INLINE) fake_broken("a bind of bytes");
        r->window = wr->bind_mw.mw->rkey;
        r->rkey = wr->bind_mw.rkey;
        r->bind = wr->bind_mw.bind_info;
        r->region = r->bind.mr->lkey;
    } else if (wr->opcode != IBV_WR_SEND && wr->opcode != IBV_WR_SEND_WITH_IMM) {
        r->remote_addr = wr->wr.rdma.remote_addr;
        r->rkey = wr->wr.rdma.rkey;
    }
    for (int i = 0; i < wr->num_sge; i++) r->bytes += wr->sg_list[i].length;
    if (wr->send_flags & IBV_SEND_INLINE) {
        if (r->bytes > q->config.max_inline) fake_broken("more inline bytes than the pair has");
        r->inlined = inline_copy(wr, r->bytes);
    }
    if (q->executed == q->posted++ && q->ready_ns <= f->now) q->ready_ns = f->now + later(f, f->config.delay_ns);
}

static int post_send(struct ibv_qp *ibv, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
    struct fake_qp *q = qp_of(ibv);
    if (ibv->state != IBV_QPS_RTS && ibv->state != IBV_QPS_ERR) fake_broken("post on a pair that is not connected");
    *bad = wr;
    if (q->device->removed) return EIO;
    for (; wr; *bad = wr = wr->next) {
        if (q->refuse && q->refuse_after-- == 0) {
            q->refuse_after = 0;
            return q->refuse;
        }
        request_post(q, wr);
    }
    return 0;
}

/* Carrying out */

static bool local_fine(const struct fake_qp *q, const struct fake_request *r)
{
    int access = r->opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_LOCAL_WRITE : 0;
    if (r->inlined) return true;
    for (int i = 0; i < r->num_sge; i++)
        if (!fake_reachable(q->device, r->sge[i].addr, r->sge[i].length, r->sge[i].lkey, access)) return false;
    return true;
}

/* Between the peer's memory and the request's segments. */
static void copy(const struct fake_request *r, uint8_t *remote, bool towards_peer)
{
    if (r->inlined) {
        memcpy(remote, r->inlined, r->bytes);
        return;
    }
    for (int i = 0; i < r->num_sge; i++) {
        uint8_t *local = (uint8_t *)(uintptr_t)r->sge[i].addr;
        if (towards_peer)
            memcpy(remote, local, r->sge[i].length);
        else
            memcpy(local, remote, r->sge[i].length);
        remote += r->sge[i].length;
    }
}

static struct fake_receive *receive_take(struct fake_qp *q)
{
    struct fake_srq *srq = (struct fake_srq *)q->config.srq;
    struct fake_receive *r = &srq->ring[srq->head];
    srq->count--;
    if (++srq->head == srq->depth) srq->head = 0;
    return r;
}

static enum ibv_wc_status carry_send(struct fake_qp *to, const struct fake_request *r)
{
    struct fake_receive *receive = receive_take(to);
    struct ibv_wc wc = {.wr_id = receive->wr_id,
                        .opcode = IBV_WC_RECV,
                        .qp_num = to->qp.qp_num,
                        .byte_len = r->bytes,
                        .imm_data = r->imm_data,
                        .wc_flags = r->opcode == IBV_WR_SEND_WITH_IMM ? IBV_WC_WITH_IMM : 0};
    if (!fake_reachable(to->device, receive->sge.addr, receive->sge.length, receive->sge.lkey, IBV_ACCESS_LOCAL_WRITE))
        fake_broken("a receive into memory that is not registered");
    if (r->bytes > receive->sge.length)
        wc.status = IBV_WC_LOC_LEN_ERR;
    else
        copy(r, (uint8_t *)(uintptr_t)receive->sge.addr, true);
    complete(to->config.cq, &wc);
    if (wc.status == IBV_WC_SUCCESS) return IBV_WC_SUCCESS;
    fake_qp_error(&to->qp);
    return IBV_WC_REM_INV_REQ_ERR;
}

static enum ibv_wc_status carry_rdma(struct fake_qp *to, const struct fake_request *r)
{
    bool reads = r->opcode == IBV_WR_RDMA_READ;
    int access = reads ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
    if (!(to->access & access)) {
        fake_qp_error(&to->qp);
        return IBV_WC_REM_INV_REQ_ERR;
    }
    if (r->bytes > 0 && !fake_remote_fine(to, r, (unsigned)access)) {
        fake_qp_error(&to->qp);
        return IBV_WC_REM_ACCESS_ERR;
    }
    if (r->bytes > 0) copy(r, (uint8_t *)(uintptr_t)r->remote_addr, !reads);
    if (r->opcode != IBV_WR_RDMA_WRITE_WITH_IMM) return IBV_WC_SUCCESS;
    struct ibv_wc wc = {.wr_id = receive_take(to)->wr_id,
                        .opcode = IBV_WC_RECV_RDMA_WITH_IMM,
                        .qp_num = to->qp.qp_num,
                        .byte_len = r->bytes,
                        .imm_data = r->imm_data,
                        .wc_flags = IBV_WC_WITH_IMM};
    complete(to->config.cq, &wc);
    return IBV_WC_SUCCESS;
}

static bool takes_receive(const struct fake_request *r)
{
    return r->opcode == IBV_WR_SEND || r->opcode == IBV_WR_SEND_WITH_IMM || r->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
}

static bool peer_answers(const struct fake_qp *q)
{
    return q->peer && q->peer->qp.state == IBV_QPS_RTS && !q->peer->device->removed;
}

static enum ibv_wc_status carry(struct fake_qp *q, const struct fake_request *r)
{
    enum ibv_wc_status status = q->fail;
    q->fail = IBV_WC_SUCCESS;
    if (status != IBV_WC_SUCCESS) return status;
    if (r->opcode == IBV_WR_BIND_MW) return fake_carry_bind(q, r);
    if (!local_fine(q, r)) return IBV_WC_LOC_PROT_ERR;
    if (!peer_answers(q)) return IBV_WC_RETRY_EXC_ERR;
    if (r->opcode == IBV_WR_SEND || r->opcode == IBV_WR_SEND_WITH_IMM) return carry_send(q->peer, r);
    return carry_rdma(q->peer, r);
}

static enum ibv_wc_opcode completion_opcode(enum ibv_wr_opcode opcode)
{
    if (opcode == IBV_WR_RDMA_READ) return IBV_WC_RDMA_READ;
    if (opcode == IBV_WR_BIND_MW) return IBV_WC_BIND_MW;
    return opcode == IBV_WR_SEND || opcode == IBV_WR_SEND_WITH_IMM ? IBV_WC_SEND : IBV_WC_RDMA_WRITE;
}

/* The next request is carried out: true. */
static bool execute(struct fake *f, struct fake_qp *q)
{
    struct fake_request *r = &q->ring[q->executed % q->config.send_depth];
    if (q->executed == q->posted || q->ready_ns > f->now || q->device->removed) return false;
    bool flushed = q->qp.state == IBV_QPS_ERR;
    if (!flushed && takes_receive(r) && peer_answers(q) && ((struct fake_srq *)q->peer->config.srq)->count == 0) {
        q->ready_ns = f->now + later(f, f->config.delay_ns) + 1; /* not ready: retried for ever */
        return false;
    }
    r->status = flushed ? IBV_WC_WR_FLUSH_ERR : carry(q, r);
    q->executed++;
    q->ready_ns = f->now + later(f, f->config.delay_ns);
    uint64_t at = f->now + (f->config.late_ns > 0 ? fake_random(f, f->config.late_ns) : 0);
    if (at > q->complete_ns) q->complete_ns = at;
    r->completes_ns = q->complete_ns;
    if (r->status != IBV_WC_SUCCESS) fake_qp_error(&q->qp);
    return true;
}

/* The next completion is due: true. */
static bool finish(struct fake *f, struct fake_qp *q)
{
    struct fake_request *r = &q->ring[q->done % q->config.send_depth];
    if (q->done == q->executed || r->completes_ns > f->now || q->device->removed) return false;
    if ((r->flags & IBV_SEND_SIGNALED) || r->status != IBV_WC_SUCCESS) {
        struct ibv_wc wc = {.wr_id = r->wr_id, .status = r->status, .qp_num = q->qp.qp_num};
        if (r->status == IBV_WC_SUCCESS)
            wc.opcode = completion_opcode(r->opcode);
        else
            wc.opcode = (enum ibv_wc_opcode)fake_random(f, 200); /* says nothing */
        complete(q->config.cq, &wc);
    }
    free(r->inlined);
    r->inlined = NULL;
    q->done++;
    return true;
}

static unsigned run_due(struct fake *f)
{
    unsigned total = 0, done;
    do {
        done = 0;
        /* Those in front do not always go first. */
        uint64_t skip = f->qp_count > 0 ? fake_random(f, f->qp_count) : 0, i = 0;
        for (struct fake_qp *q = f->qps; q; q = q->next)
            if (i++ >= skip) done += execute(f, q) + finish(f, q);
        i = 0;
        for (struct fake_qp *q = f->qps; q && i++ < skip; q = q->next) done += execute(f, q) + finish(f, q);
        total += done;
    } while (done > 0);
    return total;
}

/* When something falls due next; UINT64_MAX: never. */
static uint64_t next_due(const struct fake *f)
{
    uint64_t at = UINT64_MAX;
    for (const struct fake_qp *q = f->qps; q; q = q->next) {
        if (q->device->removed) continue;
        if (q->executed != q->posted && q->ready_ns < at) at = q->ready_ns;
        if (q->done != q->executed && q->ring[q->done % q->config.send_depth].completes_ns < at)
            at = q->ring[q->done % q->config.send_depth].completes_ns;
    }
    return at;
}

unsigned fake_run(struct fake *f, uint64_t ns)
{
    uint64_t end = f->now + ns;
    unsigned total = run_due(f);
    for (uint64_t at; (at = next_due(f)) <= end;) {
        if (at > f->now) f->now = at;
        total += run_due(f);
    }
    f->now = end;
    return total;
}

/* Devices and pairs */

struct fake_device *fake_device_create(struct fake *f)
{
    struct fake_device *d = fake_zalloc(sizeof *d);
    d->context.ops.poll_cq = poll_cq;
    d->context.ops.req_notify_cq = req_notify_cq;
    d->context.ops.post_srq_recv = post_srq_recv;
    d->context.ops.post_send = post_send;
    fake_memory_ops(d);
    d->fake = f;
    d->next = f->devices;
    f->devices = d;
    return d;
}

void fake_device_remove(struct fake_device *d)
{
    d->removed = true;
}

struct ibv_qp *fake_qp_create(struct fake_device *d, const struct fake_qp_config *config)
{
    struct fake_qp *q = fake_zalloc(sizeof *q + config->send_depth * sizeof *q->ring);
    assert(config->max_sge <= SGE_MAX);
    q->qp.context = &d->context;
    q->qp.send_cq = q->qp.recv_cq = config->cq;
    q->qp.srq = config->srq;
    q->qp.qp_type = IBV_QPT_RC;
    q->qp.state = IBV_QPS_INIT;
    q->qp.qp_num = d->fake->next_qp_num++;
    q->device = d;
    q->config = *config;
    q->access = IBV_ACCESS_REMOTE_WRITE;
    q->next = d->fake->qps;
    d->fake->qps = q;
    d->fake->qp_count++;
    return &q->qp;
}

void fake_qp_allow(struct ibv_qp *qp, int access)
{
    qp_of(qp)->access = access;
}

int fake_qp_access(const struct ibv_qp *qp)
{
    return qp_of(qp)->access;
}

struct ibv_qp *fake_qp_find(struct fake *f, uint32_t qp_num)
{
    struct fake_qp *q = f->qps;
    while (q && q->qp.qp_num != qp_num) q = q->next;
    return q ? &q->qp : NULL;
}

void fake_qp_connect(struct ibv_qp *a, struct ibv_qp *b)
{
    qp_of(a)->peer = qp_of(b);
    qp_of(b)->peer = qp_of(a);
    a->state = b->state = IBV_QPS_RTS;
}

/* What is under way may have got through or not. */
void fake_qp_error(struct ibv_qp *qp)
{
    struct fake_qp *q = qp_of(qp);
    if (qp->state == IBV_QPS_ERR) return;
    qp->state = IBV_QPS_ERR;
    bool flushing = false;
    for (uint32_t i = q->done; i != q->executed; i++) {
        struct fake_request *r = &q->ring[i % q->config.send_depth];
        flushing |= r->status != IBV_WC_SUCCESS || fake_random(q->device->fake, 4) == 0;
        if (flushing && r->status == IBV_WC_SUCCESS) r->status = IBV_WC_WR_FLUSH_ERR;
    }
    if (q->ready_ns < q->device->fake->now) q->ready_ns = q->device->fake->now;
}

void fake_qp_fail(struct ibv_qp *qp, enum ibv_wc_status status)
{
    qp_of(qp)->fail = status;
}

void fake_qp_stall(struct ibv_qp *qp, uint64_t ns)
{
    qp_of(qp)->ready_ns = qp_of(qp)->device->fake->now + ns;
}

void fake_qp_refuse(struct ibv_qp *qp, uint32_t taken, int error)
{
    qp_of(qp)->refuse = error;
    qp_of(qp)->refuse_after = taken;
}

uint32_t fake_qp_outstanding(const struct ibv_qp *qp)
{
    const struct fake_qp *q = qp_of(qp);
    return q->device->removed ? 0 : q->posted - q->done;
}

void fake_qp_destroy(struct ibv_qp *qp)
{
    struct fake_qp *q = qp_of(qp);
    struct fake *f = q->device->fake;
    fake_windows_check_qp(q);
    if (q->peer) q->peer->peer = NULL;
    while (q->done != q->posted) free(q->ring[q->done++ % q->config.send_depth].inlined);
    struct fake_qp **at = &f->qps;
    while (*at != q) at = &(*at)->next;
    *at = q->next;
    f->qp_count--;
    free(q);
}

void fake_destroy(struct fake *f)
{
    if (fake_windows(f) > 0) fake_broken("a window is left");
    while (f->qps) fake_qp_destroy(&f->qps->qp);
    for (struct fake_cq *cq = f->cqs, *next; cq; cq = next) {
        next = cq->next;
        free(cq);
    }
    for (struct fake_srq *srq = f->srqs, *next; srq; srq = next) {
        next = srq->next;
        free(srq);
    }
    for (struct fake_device *d = f->devices, *next; d; d = next) {
        next = d->next;
        while (d->regions) fake_mr_remove(d, d->regions->key);
        free(d);
    }
    free(f);
}
