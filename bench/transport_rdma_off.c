#include <errno.h>
#include "base/log.h"
#include "bench/transport.h"

int transport_rdma_create(struct transport *t, struct transport_set *set, uint32_t thread, struct reactor *reactor)
{
    (void)t, (void)set, (void)thread, (void)reactor;
    log_error("transport rdma: this kvbench was built without it (POLAR_RDMA=OFF)");
    return -ENOTSUP;
}
