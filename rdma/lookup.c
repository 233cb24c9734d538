#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "rdma/core_impl.h"

static uint32_t home(const struct rdma_core *core, uint32_t lane, uint32_t qp_num)
{
    return ((qp_num ^ lane << 24) * 0x9e3779b1u >> 8) & core->lookup_mask;
}

int lookup_create(struct rdma_core *core)
{
    uint32_t size = 64;
    while (size < 2 * core->config.max_connections) size *= 2;
    core->lookup = calloc(size, sizeof *core->lookup);
    core->lookup_mask = size - 1;
    return core->lookup ? 0 : -ENOMEM;
}

static bool is(const struct lookup_entry *e, uint32_t lane, uint32_t qp_num)
{
    return e->qp_num == qp_num && e->lane == lane;
}

void lookup_add(struct rdma_core *core, struct rdma_conn *conn)
{
    uint32_t at = home(core, conn->lane, conn->qp->qp_num);
    while (core->lookup[at].conn) {
        assert(!is(&core->lookup[at], conn->lane, conn->qp->qp_num));
        at = (at + 1) & core->lookup_mask;
    }
    core->lookup[at] = (struct lookup_entry){.qp_num = conn->qp->qp_num, .lane = conn->lane, .conn = conn};
}

struct rdma_conn *lookup_find(const struct rdma_core *core, uint32_t lane, uint32_t qp_num)
{
    uint32_t at = home(core, lane, qp_num);
    while (core->lookup[at].conn && !is(&core->lookup[at], lane, qp_num)) at = (at + 1) & core->lookup_mask;
    return core->lookup[at].conn;
}

/* What stands behind the hole and may not be reached over it any more moves into it. */
void lookup_remove(struct rdma_core *core, const struct rdma_conn *conn)
{
    struct lookup_entry *t = core->lookup;
    uint32_t mask = core->lookup_mask, hole = home(core, conn->lane, conn->qp->qp_num);
    while (t[hole].conn != conn) hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; t[at].conn; at = (at + 1) & mask) {
        uint32_t from = home(core, t[at].lane, t[at].qp_num);
        if (((at - from) & mask) < ((at - hole) & mask)) continue;
        t[hole] = t[at];
        hole = at;
    }
    t[hole].conn = NULL;
}
