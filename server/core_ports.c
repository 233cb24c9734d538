#include "server/core_ports.h"

#include <string.h>
#include "base/log.h"
#include "net/ksock.h"
#include "server/config.h"
#include "server/core.h"

#define PORT_MOST 65535u

unsigned core_ports_count(const struct config *config)
{
    return config->core_ports ? 1 + config->core_count : 1;
}

bool core_ports_meet(const struct config *config, uint64_t one, uint64_t other)
{
    uint64_t apart = one < other ? other - one : one - other;
    return apart < core_ports_count(config);
}

static bool check_room(const struct config *config, const char *option, uint64_t port)
{
    char got[24];
    if (port == 0 || port + core_ports_count(config) - 1 <= PORT_MOST) return true;
    snprintf(got, sizeof got, "%llu", (unsigned long long)port);
    return config_refuse(option, got, "leaves no room behind it for the ports of core-ports, one for each core");
}

bool core_ports_check(const struct config *config)
{
    if (!config->core_ports) return true;
    if (!check_room(config, "memcache-port", config->memcache_port) ||
        !check_room(config, "resp-port", config->resp_port))
        return false;
    if (!config->memcache_port || !config->resp_port ||
        !core_ports_meet(config, config->memcache_port, config->resp_port))
        return true;
    char got[24];
    snprintf(got, sizeof got, "%llu", (unsigned long long)config->resp_port);
    return config_refuse("resp-port", got,
                         "too near to memcache-port: with core-ports each needs as many ports behind it as there are cores");
}

int core_ports_probe(const struct config *config)
{
    const uint64_t ports[] = {config->memcache_port, config->resp_port};
    for (unsigned i = 0; i < 2 && *config->listen; i++) {
        for (unsigned beside = 0; beside < core_ports_count(config) && ports[i] != 0; beside++) {
            int rc = ksock_probe_address(config->listen, (uint16_t)(ports[i] + beside));
            if (rc == 0) continue;
            log_error("option '%s': cannot listen on %s port %llu: %s", i ? "resp-port" : "memcache-port",
                      config->listen, (unsigned long long)ports[i] + beside, strerror(-rc));
            return rc;
        }
    }
    return 0;
}

/* ---- what clients are told ---- */

/* A core's slots are one range (base/slot.h). */
static void slots_of(const struct server *server, unsigned core, unsigned *first, unsigned *last)
{
    *first = *last = 0;
    for (unsigned slot = SLOT_COUNT; slot-- > 0;)
        if (server->slots.owner[slot] == core) *first = slot;
    for (unsigned slot = *first; slot < SLOT_COUNT && server->slots.owner[slot] == core; slot++) *last = slot;
}

void core_ports_info(FILE *out, const struct server *server)
{
    unsigned first, last;
    for (unsigned i = 0; i + 1 < core_ports_count(server->config); i++) {
        slots_of(server, i, &first, &last);
        fprintf(out, "core%u:slots=%u-%u,port_offset=%u\r\n", i, first, last, core_port(0, i));
    }
}

void core_ports_stats(FILE *out, const struct server *server)
{
    unsigned first, last;
    for (unsigned i = 0; i + 1 < core_ports_count(server->config); i++) {
        slots_of(server, i, &first, &last);
        fprintf(out, "STAT core_%u_slots %u-%u\r\nSTAT core_%u_port_offset %u\r\n", i, first, last, i, core_port(0, i));
    }
}
