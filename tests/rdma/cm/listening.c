#include "tests/rdma/cm/listening.h"

#include <string.h>
#include "rdma/address.h"

#define ADDRESSES_MOST 4u

struct listening listening;

static void accept_stream(void *arg, struct stream *s)
{
    (void)arg;
    listening.streams[listening.accepted++] = s;
}

static void on_core(void *arg, unsigned core, void (*fn)(void *fn_arg), void *fn_arg)
{
    (void)arg, (void)core;
    fn(fn_arg);
}

int listening_create(uint32_t max_connections, const char *const *addresses, unsigned count)
{
    struct rdma_listen listens[ADDRESSES_MOST];
    struct rdma_listener_core cores[WORLD_CORES];
    memset(&listening, 0, sizeof listening);
    for (unsigned i = 0; i < count; i++) {
        listens[i] = (struct rdma_listen){.core = i > 0 && i + 1 == count ? 1 : RDMA_ANY_CORE, .accept = accept_stream};
        assert_int_equal(rdma_address_parse(addresses[i], &listens[i].address), 0);
    }
    for (unsigned i = 0; i < WORLD_CORES; i++)
        cores[i] = (struct rdma_listener_core){
            .core = world.cores[i], .reactor = world.reactor, .pools = &world.pools[i], .accept_arg = NULL};
    const struct rdma_listener_config config = {.reactor = world.reactor,
                                                .listens = listens,
                                                .listen_count = count,
                                                .cores = cores,
                                                .core_count = WORLD_CORES,
                                                .on_core = on_core,
                                                .buffer_bytes = 4096,
                                                .memory_bytes = 1 << 20,
                                                .max_connections = max_connections};
    return rdma_listener_create(&listening.listener, &config, listening.text, sizeof listening.text);
}

void listening_start(uint32_t max_connections)
{
    static const char *const addresses[] = {"10.0.0.1:6379", "10.0.0.1:6381"};
    world_start(WORLD_CORES, max_connections);
    assert_int_equal(listening_create(max_connections, addresses, 2), 0);
    assert_int_equal(rdma_listener_start(listening.listener, listening.text, sizeof listening.text), 0);
    world_turns(2);
    assert_int_equal(listening_metric("listeners"), 2);
}

void listening_end(void)
{
    if (listening.listener) {
        rdma_listener_stop(listening.listener);
        world_turns(50);
        assert_int_equal(rdma_listener_connections(listening.listener), 0);
        rdma_listener_destroy(&listening.listener);
    }
    world_end();
}

uint64_t listening_metric(const char *name)
{
    for (size_t i = 0; i < rdma_listener_metric_row_count; i++)
        if (strcmp(rdma_listener_metric_rows[i].name, name) == 0)
            return metric_get((const uint64_t *)((const char *)rdma_listener_metrics(listening.listener) +
                                                 rdma_listener_metric_rows[i].offset));
    fail_msg("no metric %s", name);
    return 0;
}

struct rdma_cm_id *listening_connect(uint16_t port, unsigned device)
{
    unsigned accepted = listening.accepted;
    struct rdma_cm_id *id = world_request(port, device);
    world_turns(3);
    world_event(id, RDMA_CM_EVENT_ESTABLISHED, 0);
    world_turns(5);
    assert_int_equal(listening.accepted, accepted + 1);
    return id;
}

bool listening_at_rest(void)
{
    return rdma_listener_connections(listening.listener) == 0 && world.counts.qps == 0 &&
           listening_metric("memory_bytes") == 0 && rdma_core_connections(world.cores[0]) == 0 &&
           rdma_core_connections(world.cores[1]) == 0;
}
