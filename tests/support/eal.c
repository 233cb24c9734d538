#include "tests/support/eal.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/eal.h"

void test_eal_start(void)
{
    static bool started;
    if (started) return;
    struct eal_config config = {.program = "test", .memory_mib = 256};
    if (eal_start(&config) != 0) {
        fprintf(stderr, "EAL does not start\n");
        abort();
    }
    started = true;
}

void test_pools_create(struct buf_pools *pools, uint32_t count, uint32_t frame_room)
{
    struct buf_pools_config config = {
        .frame_count = count, .small_count = count, .ref_count = count, .frame_room = frame_room};
    if (buf_pools_create(pools, &config) != 0) {
        fprintf(stderr, "no memory for test pools\n");
        abort();
    }
}
