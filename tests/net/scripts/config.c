/* `set`: the stack's configuration, before the first line that needs it. */
#include <string.h>
#include "tests/net/scripts/parse.h"
#include "tests/net/scripts/run.h"

struct setting {
    const char *name;
    size_t offset, size;
};

#define SETTING(name, field)                                                                                           \
    {                                                                                                                  \
        name, offsetof(struct net_stack_config, field), sizeof((struct net_stack_config){0}.field)                     \
    }

static const struct setting settings[] = {
    SETTING("mtu", mtu),
    SETTING("prefix", addrs[0].len),
    SETTING("window", rx_window),
    SETTING("inline", tx_inline),
    SETTING("rto-min", rto_min_ns),
    SETTING("rto-max", rto_max_ns),
    SETTING("rto-initial", rto_initial_ns),
    SETTING("time-wait", time_wait_ns),
    SETTING("delayed-ack", delayed_ack_ns),
    SETTING("quick-acks", quick_acks),
    SETTING("fast-open", fast_open),
    SETTING("fast-open-client", tuning.fast_open),
    SETTING("quick-ack", tuning.quick_ack),
    SETTING("connections", max_connections),
    SETTING("half-open", max_half_open),
    SETTING("cookies", syn_cookies), /* 0 when the cache is full, 1 never, 2 always */
    SETTING("keepalive", tuning.keepalive),
    SETTING("keep-idle", tuning.keep_idle_ns),
    SETTING("keep-interval", tuning.keep_interval_ns),
    SETTING("keep-count", tuning.keep_count),
    SETTING("user-timeout", tuning.user_timeout_ns),
    SETTING("nagle", tuning.nagle),
    SETTING("tlp-min", tlp_min_ns),
    SETTING("tlp-ack-delay", tlp_ack_delay_ns),
    SETTING("port-first", port_first),
    SETTING("port-last", port_last),
    SETTING("tx-ip-checksum", tx_ip_checksum),
    SETTING("tx-tcp-checksum", tx_tcp_checksum),
    SETTING("rx-checksum", rx_checksum),
    SETTING("announce", announce),
    SETTING("router-discovery", router_discovery),
    SETTING("autoconf", autoconf), /* 0 no, 1 eui64, 2 stable */
    SETTING("follows", follows),
    SETTING("shared", shared),
    SETTING("vlan", vlan),
};

static void store(void *at, size_t size, int64_t value)
{
    switch (size) {
    case 1: *(uint8_t *)at = (uint8_t)value; break;
    case 2: *(uint16_t *)at = (uint16_t)value; break;
    case 4: *(uint32_t *)at = (uint32_t)value; break;
    default: *(uint64_t *)at = (uint64_t)value; break;
    }
}

static bool set_special(struct run *r, const char *name, const char *value)
{
    char text[PACKET_WORD];
    unsigned b[4];
    if (strcmp(name, "pool") == 0) {
        r->pool_count = (uint32_t)run_value(r, value);
    } else if (strcmp(name, "tolerance") == 0) {
        r->tolerance = (uint64_t)run_value(r, value);
    } else if (strcmp(name, "cc") == 0) {
        int cc = net_tcp_cc_find(value);
        if (cc < 0) return false;
        r->config.tcp_cc = (enum net_tcp_cc)cc;
    } else if (strcmp(name, "ecn") == 0) {
        int ecn = net_tcp_ecn_find(value);
        if (ecn < 0) return false;
        r->config.tcp_ecn = (enum net_tcp_ecn)ecn;
    } else if (strcmp(name, "mtu-probing") == 0) {
        int probing = net_mtu_probing_find(value);
        if (probing < 0) return false;
        r->config.mtu_probing = (enum net_mtu_probing)probing;
    } else if (strcmp(name, "address") == 0) {
        struct net_prefix prefix;
        if (net_prefix_parse(value, &prefix) != 0) return false;
        return net_stack_config_address(&r->config, prefix.addr, prefix.len) == 0;
    } else if (strcmp(name, "gateway") == 0) {
        if (!parse_word('a', value, text) || sscanf(text, "%u.%u.%u.%u", &b[0], &b[1], &b[2], &b[3]) != 4) return false;
        net_stack_config_gateway(&r->config, net_addr_v4((uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]));
    } else {
        return false;
    }
    return true;
}

void run_set(struct run *r, char **words, unsigned n)
{
    if (r->stack) run_fail(r, "set: the stack stands already");
    if (n != 3) run_fail(r, "set NAME VALUE");
    if (set_special(r, words[1], words[2])) return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strcmp(settings[i].name, words[1]) != 0) continue;
        store((char *)&r->config + settings[i].offset, settings[i].size, run_value(r, words[2]));
        return;
    }
    run_fail(r, "set: unknown: %s", words[1]);
}
