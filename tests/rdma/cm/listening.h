/* A listener in the world (world.h), on two cores, for tests of what it does with what comes. */
#ifndef POLAR_TESTS_RDMA_CM_LISTENING_H
#define POLAR_TESTS_RDMA_CM_LISTENING_H

#include "rdma/listener.h"
#include "tests/rdma/cm/world.h"

#define SHARED_PORT 6379u /* of 10.0.0.1 */
#define CORE1_PORT 6381u  /* of 10.0.0.1: core 1's own */

struct listening {
    struct rdma_listener *listener;
    struct stream *streams[16]; /* accepted; NULL: ended by the test */
    unsigned accepted;
    char text[900];
};

extern struct listening listening;

/* In a world that is started: a listener at these addresses, the last of several core 1's own. 0 or what the listener
 * said, with listening.text. */
int listening_create(uint32_t max_connections, const char *const *addresses, unsigned count);
/* The world, and a listener at both ports, started. */
void listening_start(uint32_t max_connections);
/* Stops it, and the world. */
void listening_end(void);

uint64_t listening_metric(const char *name);
/* A client comes, and is established. */
struct rdma_cm_id *listening_connect(uint16_t port, unsigned device);
/* All that connections had is back. */
bool listening_at_rest(void);

#endif
