#include "rdma/limits.h"

#include <errno.h>
#include <stdio.h>

#define SRQ_DEPTH 4096u
#define SEND_DEPTH 128u
#define SGE 16u
#define READS 16u
#define FIRST_PAIRS 16u /* that a new completion queue has room for */

#define LEAST_DEPTH 64u /* of each queue */
#define LEAST_SGE 2u    /* a head and a value */

static uint32_t lower(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int too_low(const char *device, const char *what, int has, unsigned needs, char *text, size_t cap)
{
    snprintf(text, cap, "RDMA device %s is too small: %s is %d, at least %u is needed", device, what, has, needs);
    return -ENOTSUP;
}

static uint8_t reads_of(int has)
{
    return (uint8_t)lower(READS, has < 0 ? 0 : (uint32_t)has);
}

int rdma_limits_set(struct rdma_limits *limits, const struct ibv_device_attr *attr, const char *device, char *text,
                    size_t cap)
{
    const struct {
        const char *what;
        int has;
        unsigned needs;
    } checks[] = {{"max_sge", attr->max_sge, LEAST_SGE},
                  {"max_qp_wr", attr->max_qp_wr, LEAST_DEPTH},
                  {"max_srq", attr->max_srq, 1},
                  {"max_srq_wr", attr->max_srq_wr, LEAST_DEPTH},
                  {"max_cqe", attr->max_cqe, 4 * LEAST_DEPTH},
                  {"max_mr", attr->max_mr, 16}};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i].has < 0 || (unsigned)checks[i].has < checks[i].needs)
            return too_low(device, checks[i].what, checks[i].has, checks[i].needs, text, cap);
    limits->cqe_most = (uint32_t)attr->max_cqe;
    limits->srq_depth = lower(lower(SRQ_DEPTH, (uint32_t)attr->max_srq_wr), limits->cqe_most / 2);
    limits->send_depth = (uint16_t)lower(lower(SEND_DEPTH, (uint32_t)attr->max_qp_wr), limits->cqe_most / 4);
    limits->max_sge = (uint8_t)lower(SGE, (uint32_t)attr->max_sge);
    limits->max_inline = 0;
    limits->max_reads = reads_of(attr->max_qp_rd_atom);
    limits->max_asks = reads_of(attr->max_qp_init_rd_atom);
    limits->windows = (attr->device_cap_flags & (IBV_DEVICE_MEM_WINDOW_TYPE_2A | IBV_DEVICE_MEM_WINDOW_TYPE_2B)) != 0;
    return 0;
}

uint32_t rdma_limits_cqe(const struct rdma_limits *limits, uint32_t pairs, uint32_t now)
{
    uint64_t needed = limits->srq_depth + (uint64_t)pairs * limits->send_depth;
    uint64_t wanted = now ? 2 * (uint64_t)now : limits->srq_depth + FIRST_PAIRS * (uint64_t)limits->send_depth;
    if (needed <= now) return now;
    if (needed > limits->cqe_most) return 0;
    if (wanted < needed) wanted = needed;
    return (uint32_t)(wanted < limits->cqe_most ? wanted : limits->cqe_most);
}
