/* What soft-RoCE says of itself: what the fakes' devices say, but for what a test changes. */
#ifndef POLAR_TESTS_RDMA_ATTRIBUTES_H
#define POLAR_TESTS_RDMA_ATTRIBUTES_H

#include <infiniband/verbs.h>

static const struct ibv_device_attr attributes_soft = {.device_cap_flags =
                                                           IBV_DEVICE_MEM_WINDOW | IBV_DEVICE_MEM_WINDOW_TYPE_2B,
                                                       .max_sge = 32,
                                                       .max_qp_wr = 16384,
                                                       .max_srq = 1024,
                                                       .max_srq_wr = 1048576,
                                                       .max_cqe = 32767,
                                                       .max_mr = 4096,
                                                       .max_qp_rd_atom = 128,
                                                       .max_qp_init_rd_atom = 100,
                                                       .phys_port_cnt = 1};

#endif
