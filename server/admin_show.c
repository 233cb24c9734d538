/* What the admin service prints of connections, neighbours, drops and cycles. */
#include <stdlib.h>
#include <string.h>
#include "net/inspect.h"
#include "server/admin_impl.h"
#include "server/inquiry.h"

#define STEP 256u /* connections or neighbours that a core looks at in a turn */

#define PRIu(v) ((unsigned long long)(v))

/* One step of reading a core's connections or neighbours. */
struct reading {
    uint32_t at;
    unsigned count;
    union {
        struct net_tcp_info connections[STEP];
        struct net_neighbour_info neighbours[STEP];
    };
};

static void read_connections(struct core *core, void *arg)
{
    struct reading *r = arg;
    r->count = net_stack_read_connections(core->net->stack, &r->at, r->connections, STEP);
}

static void read_neighbours(struct core *core, void *arg)
{
    struct reading *r = arg;
    r->count = net_stack_read_neighbours(core->net->stack, &r->at, r->neighbours, STEP);
}

/* Asks every core with a port step by step, and prints what each step brought. */
static void show_all(struct admin *admin, inquiry_fn *fn,
                     void (*print)(FILE *out, unsigned core, const struct reading *r), FILE *out)
{
    struct reading *r = malloc(sizeof *r);
    if (!r) {
        fprintf(out, "error: out of memory\n");
        return;
    }
    for (unsigned i = 0; i < admin->server->config->core_count; i++) {
        struct core *core = &admin->server->cores[i];
        for (r->at = 0; core->net && r->at != NET_READ_END && !ferror(out);) {
            inquiry_ask(core, fn, r);
            print(out, i, r);
        }
    }
    free(r);
}

static void print_details(FILE *out, const struct net_tcp_info *t)
{
    unsigned mss = t->snd_mss ? t->snd_mss : 1;
    fprintf(out, "\t %s%s%s%s", t->congestion, t->options & NET_INFO_TIMESTAMPS ? " ts" : "",
            t->options & NET_INFO_SACK ? " sack" : "", t->options & NET_INFO_ECN ? " ecn" : "");
    if (t->options & NET_INFO_WSCALE) fprintf(out, " wscale:%u,%u", t->snd_scale, t->rcv_scale);
    fprintf(out, " rto:%.3f", (double)t->rto_ns / 1e6);
    if (t->backoff) fprintf(out, " backoff:%u", t->backoff);
    if (t->srtt_ns) fprintf(out, " rtt:%.4f/%.4f", (double)t->srtt_ns / 1e6, (double)t->rttvar_ns / 1e6);
    fprintf(out, " mss:%u rcvmss:%u cwnd:%u", t->snd_mss, t->rcv_mss, t->cwnd / mss);
    if (t->ssthresh < UINT32_MAX / 2) fprintf(out, " ssthresh:%u", t->ssthresh / mss);
    fprintf(out, " snd_wnd:%u rcv_wnd:%u unacked:%u retrans:%u", t->snd_wnd, t->rcv_wnd, t->in_flight, t->retransmits);
    if (t->probes) fprintf(out, " probes:%u", t->probes);
    if (t->out_of_order) fprintf(out, " rcv_ooo:%u", t->out_of_order);
    if (t->idle_ns != UINT64_MAX) fprintf(out, " lastsnd:%llu", PRIu(t->idle_ns / 1000000));
    fprintf(out, "\n");
}

static void print_connections(FILE *out, unsigned core, const struct reading *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct net_tcp_info *t = &r->connections[i];
        char local[NET_ENDPOINT_TEXT], remote[NET_ENDPOINT_TEXT];
        net_endpoint_format(&t->local, local);
        net_endpoint_format(&t->remote, remote);
        fprintf(out, "%-10s %-8u %-8u %-24s %-24s core:%u\n", net_tcp_state_name(t->state), t->rx_queue, t->tx_queue,
                local, remote, core);
        if (*t->congestion) print_details(out, t);
    }
}

void admin_connections(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    fprintf(out, "%-10s %-8s %-8s %-24s %-24s\n", "State", "Recv-Q", "Send-Q", "Local Address:Port",
            "Peer Address:Port");
    show_all(admin, read_connections, print_connections, out);
}

static void print_neighbours(FILE *out, unsigned core, const struct reading *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct net_neighbour_info *n = &r->neighbours[i];
        char text[NET_ENDPOINT_TEXT];
        net_addr_format(&n->addr, text);
        fprintf(out, "%-40s %02x:%02x:%02x:%02x:%02x:%02x %-10s used:%llus", text, n->mac[0], n->mac[1], n->mac[2],
                n->mac[3], n->mac[4], n->mac[5], n->state, PRIu(n->used_ns / 1000000000));
        if (n->tries) fprintf(out, " tries:%u", n->tries);
        fprintf(out, " core:%u\n", core);
    }
}

void admin_neighbours(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    show_all(admin, read_neighbours, print_neighbours, out);
}

static void print_drop(void *arg, const char *group, const struct metric_row *row, uint64_t value)
{
    static const char *const parts[] = {"drop", "no_buffer", "no_memory", "refused", "overflow"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!strstr(row->name, parts[i])) continue;
        fprintf(arg, "%-10s %-24s %12llu  %s\n", group, row->name, PRIu(value), row->help);
        return;
    }
}

void admin_drops(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    const struct server *server = admin->server;
    struct net_port_drops device = {0};
    uint64_t unsent = 0;
    metrics_each(server->metrics, print_drop, out);
    if (!server->port) return;
    for (uint16_t q = 0; q < port_queue_count(server->port); q++) unsent += port_tx_dropped(server->port, q);
    net_port_read_drops(server->port, &device);
    fprintf(out, "%-10s %-24s %12llu  Frames that the device did not take\n", "port", "tx_dropped", PRIu(unsent));
    fprintf(out, "%-10s %-24s %12llu  Frames the device received and could not place\n", "port", "rx_missed",
            PRIu(device.rx_missed));
    fprintf(out, "%-10s %-24s %12llu  Frames the device received damaged\n", "port", "rx_errors",
            PRIu(device.rx_errors));
    fprintf(out, "%-10s %-24s %12llu  Times the device found no receive buffer\n", "port", "rx_no_buffer",
            PRIu(device.rx_no_buffer));
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static void show_network(const struct core *core, FILE *out)
{
    static const char prefix[] = "cycles_";
    uint64_t frames = metric_get(&net_stack_metrics(core->net->stack)->rx_frames);
    for (size_t i = 0; i < netcore_metric_row_count; i++) {
        const struct metric_row *row = &netcore_metric_rows[i];
        if (strncmp(row->name, prefix, sizeof prefix - 1) != 0) continue;
        uint64_t cycles = metric_get((const uint64_t *)(const void *)((const char *)&core->net->metrics + row->offset));
        fprintf(out, "  stage  %-14s %16llu cycles %10.1f a received frame\n", row->name + sizeof prefix - 1,
                PRIu(cycles), ratio(cycles, frames));
    }
}

static void show_core(const struct core *core, FILE *out)
{
    struct reactor_stats stats;
    uint64_t requests = metric_get(&core->metrics.requests), cycles = metric_get(&core->metrics.cycles_session);
    reactor_read_stats(core->reactor, &stats);
    fprintf(out, "core %u  busy %.1f%%  turns %llu  sleeps %llu\n", core->index,
            100 * ratio(stats.busy_tsc, stats.busy_tsc + stats.idle_tsc), PRIu(stats.turns), PRIu(stats.sleeps));
    if (core->net) show_network(core, out);
    fprintf(out, "  stage  %-14s %16llu cycles %10.1f a request\n", "session", PRIu(cycles), ratio(cycles, requests));
    for (unsigned i = 0; i < core->poller_count; i++) {
        const struct poller *p = &core->pollers[i];
        uint64_t busy = metric_get(&p->busy_tsc), work = metric_get(&p->work);
        fprintf(out, "  poller %-14s %16llu cycles %10.1f a unit of work, %llu runs\n", p->name, PRIu(busy),
                ratio(busy, work), PRIu(metric_get(&p->runs)));
    }
}

void admin_stages(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)words, (void)count;
    fprintf(out, "%llu cycles a second\n", PRIu(admin->server->tsc_hz));
    for (unsigned i = 0; i < admin->server->config->core_count; i++) show_core(&admin->server->cores[i], out);
}
