/* EAL for tests: no huge pages, in memory, no root. */
#ifndef POLAR_TESTS_SUPPORT_EAL_H
#define POLAR_TESTS_SUPPORT_EAL_H

#include "base/buf.h"

/* Starts EAL once (aborts on failure). */
void test_eal_start(void);
/* A core's pools of a size for tests. */
void test_pools_create(struct buf_pools *pools, uint32_t count, uint32_t frame_room);

#endif
