/*
 * test_rdma_sim [seeds] [first]: prints what the seeds came by. Many of them must have come by everything that makes a
 * connection wait or end, or they show little.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/rdma/sim/sim.h"
#include "tests/support/eal.h"

#define MANY 500u

static int verdict(const struct rdma_metrics *sum, uint64_t seeds)
{
    int rc = 0;
#define METRIC(name, kind, help) printf("%-20s %" PRIu64 "\n", #name, sum->name);
#include "rdma/metrics.def"
#undef METRIC
#define MUST(name)                                                                                                     \
    if (seeds >= MANY && sum->name == 0) {                                                                             \
        fprintf(stderr, "%" PRIu64 " seeds without one " #name "\n", seeds);                                           \
        rc = 1;                                                                                                        \
    }
    MUST(rx_no_buffer)
    MUST(rx_buffer_held)
    MUST(tx_inline_bytes)
    MUST(tx_peer_full)
    MUST(tx_queue_full)
    MUST(keepalives_sent)
    MUST(completion_errors)
    MUST(posts_refused)
    MUST(drain_abandoned)
#undef MUST
    return rc;
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct buf_pools pools;
    struct buf_pools_config config = {.frame_count = 512, .small_count = 512, .ref_count = 64, .frame_room = 2048};
    struct rdma_metrics sum = {0};
    test_eal_start();
    if (buf_pools_create(&pools, &config) != 0) return 1;
    for (uint64_t seed = first; seed < first + seeds; seed++) sim_run(seed, &pools, &sum);
    buf_pools_destroy(&pools);
    return verdict(&sum, seeds);
}
