#include "server/config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/random.h>
#include <net/if.h>
#include "net/addr.h"
#include "net/autoconf_key.h"
#include "net/port.h"
#include "net/route.h"
#include "server/core_ports.h"
#include "server/rdma.h"

#define SHARD_LEAST MIB(2)
#define SHARD_MOST GIB(32) /* what an item's place can tell */

const struct option_row config_rows[] = {
#define OPTION(name, kind, value, least, most, choices, help)                                                          \
    {#name, OPTION_##kind, offsetof(struct config, name), value, least, most, choices, help},
#include "server/options.def"
#undef OPTION
};
const size_t config_row_count = sizeof config_rows / sizeof *config_rows;

static const char usage[] = "Usage: polarkv [--option value]...\n"
                            "An in-memory key-value server for memcached and redis clients, over kernel sockets and\n"
                            "user-space TCP on DPDK. Options come from defaults, then --config FILE, then the line:\n";

/* The one line of a bad option. */
static bool refuse(const char *option, const char *got, const char *takes)
{
    char shown[OPTION_GOT_MAX];
    option_got(got, strlen(got), shown);
    fprintf(stderr, "polarkv: option '%s' got \"%s\": %s\n", option, shown, takes);
    return false;
}

bool config_refuse(const char *option, const char *got, const char *takes) { return refuse(option, got, takes); }

static bool parse_cpu_range(const char *text, char **end, long *first, long *last)
{
    *first = *last = strtol(text, end, 10);
    if (*end == text) return false;
    if (**end == '-') {
        text = *end + 1;
        *last = strtol(text, end, 10);
        if (*end == text) return false;
    }
    return *first >= 0 && *last >= *first && *last < CPU_SETSIZE;
}

/* Processors in order: those named, or those we may use. */
static unsigned list_cpus(const char *text, int *cpus, unsigned most)
{
    unsigned count = 0;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; *text == 0 && cpu < CPU_SETSIZE && count < most; cpu++)
        if (CPU_ISSET(cpu, &allowed)) cpus[count++] = cpu;
    while (*text) {
        long first, last;
        char *end;
        if (!parse_cpu_range(text, &end, &first, &last)) return 0;
        for (long cpu = first; cpu <= last && count < most; cpu++) {
            if (!CPU_ISSET((int)cpu, &allowed)) return 0;
            cpus[count++] = (int)cpu;
        }
        if (*end && (*end != ',' || !end[1])) return 0;
        text = *end ? end + 1 : end;
    }
    return count;
}

static bool check_cores(struct config *c)
{
    int cpus[CONFIG_CORES_MAX];
    unsigned count = list_cpus(c->cpus, cpus, CONFIG_CORES_MAX);
    if (count == 0) return refuse("cpus", c->cpus, "takes processors this process may use, as 0,2,4-7");
    c->core_count = c->cores ? (unsigned)c->cores : count;
    for (unsigned i = 0; i < c->core_count; i++) c->core_cpus[i] = i < count ? cpus[i] : -1;
    if (*c->cpus && c->core_count > count)
        return refuse("cpus", c->cpus, "takes at least as many processors as there are cores");
    if (c->core_count > count) /* more cores than processors: for tests; they share and must not be pinned */
        for (unsigned i = 0; i < c->core_count; i++) c->core_cpus[i] = -1;
    uint64_t each = c->memory_limit / c->core_count;
    if (each >= SHARD_LEAST && each <= SHARD_MOST) return true;
    char got[32], takes[64];
    options_get_text(config_rows, config_row_count, c, "memory_limit", got, sizeof got);
    snprintf(takes, sizeof takes, "takes 2m to 32g for each of %u cores", c->core_count);
    return refuse("memory-limit", got, takes);
}

static bool is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* memif and ring join processes of one host; anything else reaches beyond it. */
static bool port_is_local(const char *port)
{
    return strncmp(port, "net_memif", 9) == 0 || strncmp(port, "net_ring", 8) == 0 || strncmp(port, "net_null", 8) == 0;
}

static bool check_listen(const struct config *c)
{
    struct in6_addr any;
    if (*c->listen && inet_pton(AF_INET, c->listen, &any) != 1 && inet_pton(AF_INET6, c->listen, &any) != 1)
        return refuse("listen", c->listen, "takes a numeric IPv4 or IPv6 address");
    if (!c->memcache_port && !c->resp_port)
        return refuse("memcache-port", "0", "with resp-port 0 there is nothing to serve: takes a port for one of them");
    if (c->memcache_port == c->resp_port) {
        char got[24];
        snprintf(got, sizeof got, "%llu", (unsigned long long)c->resp_port);
        return refuse("resp-port", got, "takes another port than memcache-port");
    }
    if (!*c->listen && !*c->port) return refuse("listen", "", "takes an address, or give a port");
    bool beyond = (*c->listen && !is_loopback(c->listen)) || (*c->port && !port_is_local(c->port));
    if (!beyond || !c->protected) return true;
    const char *name = *c->listen && !is_loopback(c->listen) ? "listen" : "port";
    const char *got = strcmp(name, "listen") == 0 ? c->listen : c->port;
    if (!*c->password)
        return refuse(name, got, "reaches beyond this host: give a password with password, or say protected no");
    if (c->memcache_port)
        return refuse(name, got, "reaches beyond this host and memcached's protocol has no password here: "
                                 "give memcache-port 0, or say protected no");
    return true;
}

/* At most one of each family. */
static bool gateways_valid(const char *text)
{
    struct net_addr via[2];
    int count = net_addr_list_parse(text, via, 2);
    return count == 2 ? net_addr_is_v4(&via[0]) != net_addr_is_v4(&via[1]) : count >= 0;
}

/* Where the port's packets go, and what its addresses are made of. */
static bool check_ways(const struct config *c)
{
    struct net_route route;
    uint64_t key[2];
    if (!gateways_valid(c->gateway))
        return refuse("gateway", c->gateway, "takes an address as 10.9.0.254, or one of each family separated by a comma");
    for (unsigned i = 0; i < c->route.count; i++)
        if (net_route_parse(c->route.items[i], &route) != 0)
            return refuse("route", c->route.items[i], "takes a prefix and a router, as 10.1.0.0/16 via 10.9.0.253");
    if (*c->autoconf_secret && net_autoconf_key(c->autoconf_secret, "", key) != 0)
        return refuse("autoconf-secret", c->autoconf_secret, "takes 32 hex digits");
    if (*c->tap == '\0' || strlen(c->tap) >= IFNAMSIZ || strpbrk(c->tap, "/: \t"))
        return refuse("tap", c->tap, "takes the name of a network interface, 1 to 15 letters");
    return true;
}

static bool check_port(struct config *c)
{
    char text[256];
    if (!check_ways(c)) return false;
    for (unsigned i = 0; i < c->vdev.count; i++) {
        if (port_check_vdev(c->vdev.items[i], (uint16_t)c->mtu, text, sizeof text) == 0) continue;
        fprintf(stderr, "polarkv: option 'vdev': %s\n", text);
        return false;
    }
    if (!*c->port) return true;
    struct net_prefix addrs[NET_ADDRS_MAX];
    int n = net_prefix_list_parse(c->ip, addrs, NET_ADDRS_MAX);
    return n >= 0 || refuse("ip", c->ip, "takes the port's addresses with prefixes, as 10.9.0.1/24");
}

static bool draw_secret(struct config *c)
{
    size_t bytes = sizeof c->fast_open_secret;
    if (!c->fast_open || getrandom(c->fast_open_secret, bytes, 0) == (ssize_t)bytes) return true;
    return refuse("fast-open", "no random numbers", "needs a key that nobody knows");
}

enum config_result config_load(struct config *config, int argc, char **argv)
{
    memset(config, 0, sizeof *config);
    if (options_parse(config_rows, config_row_count, config, argc, argv, "config", stderr) != 0)
        return CONFIG_EXIT_USAGE;
    if (config->help) options_help(config_rows, config_row_count, usage, stdout);
    else if (config->version) printf("polarkv %s\n", POLAR_VERSION);
    else if (config->print_config) options_print_config(config_rows, config_row_count, config, stdout);
    if (config->help || config->version || config->print_config) return CONFIG_EXIT_OK;
    if (!draw_secret(config) || !check_listen(config) || !check_port(config) || !check_cores(config) ||
        !core_ports_check(config) || !server_rdma_check(config))
        return CONFIG_EXIT_USAGE;
    return CONFIG_RUN;
}

void config_free(struct config *config) { options_free(config_rows, config_row_count, config); }
