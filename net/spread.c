#include "net/spread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include "base/metrics.h"
#include "base/ring.h"

/* From one core to another. */
struct lane {
    struct spsc_ring *rx; /* received frames */
    struct spsc_ring *tx; /* frames to be sent; NULL unless it leads to the owner of the first one's queue */
};

struct spread {
    struct spread_config config;
    struct steer steer;
    struct lane lanes[]; /* [from * cores + to] */
};

static struct lane *lane(struct spread *s, unsigned from, unsigned to) { return &s->lanes[from * s->config.cores + to]; }

unsigned spread_queue(const struct spread *s, unsigned core) { return core % s->config.queues; }
bool spread_owns_queue(const struct spread *s, unsigned core) { return core < s->config.queues; }
struct steer *spread_steer(struct spread *s) { return &s->steer; }

static void ring_destroy(struct spsc_ring *ring)
{
    if (!ring) return;
    for (struct rte_mbuf *m; (m = spsc_ring_pop(ring)) != NULL;) rte_pktmbuf_free(m);
    free(ring);
}

static int lanes_create(struct spread *s)
{
    for (unsigned from = 0; from < s->config.cores; from++) {
        for (unsigned to = 0; to < s->config.cores; to++) {
            struct lane *l = lane(s, from, to);
            if (from == to) continue;
            if (spread_owns_queue(s, from) && !(l->rx = spsc_ring_create(SPREAD_RING))) return -ENOMEM;
            if (spread_owns_queue(s, from) || to != spread_queue(s, from)) continue;
            if (!(l->tx = spsc_ring_create(SPREAD_RING))) return -ENOMEM;
        }
    }
    return 0;
}

int spread_create(struct spread **out, const struct spread_config *config)
{
    size_t lanes = (size_t)config->cores * config->cores;
    uint64_t secret = config->secret;
    if (config->cores == 0 || config->cores > SPREAD_CORES_MAX || config->queues == 0 || config->queues > config->cores)
        return -EINVAL;
    if (secret == 0 && getrandom(&secret, sizeof secret, 0) != (ssize_t)sizeof secret) return -EIO;
    struct spread *s = calloc(1, sizeof *s + lanes * sizeof(struct lane));
    if (!s) return -ENOMEM;
    s->config = *config;
    steer_init(&s->steer, config->cores, secret, config->client_first, config->client_last);
    s->steer.by_hash = config->by_hash;
    int rc = lanes_create(s);
    if (rc != 0) {
        spread_destroy(&s);
        return rc;
    }
    *out = s;
    return 0;
}

void spread_destroy(struct spread **spread)
{
    struct spread *s = *spread;
    if (!s) return;
    for (size_t i = 0; i < (size_t)s->config.cores * s->config.cores; i++) {
        ring_destroy(s->lanes[i].rx);
        ring_destroy(s->lanes[i].tx);
    }
    free(s);
    *spread = NULL;
}

static void push(struct spsc_ring *ring, struct rte_mbuf *m, const struct spread_counts *counts)
{
    if (likely(spsc_ring_push(ring, m))) {
        metric_add(counts->out, 1);
    } else {
        metric_add(counts->dropped, 1);
        rte_pktmbuf_free(m);
    }
}

/* The other cores are to learn from an ARP request what it says of its sender, but only one is to answer it. */
static void arp_silence(struct rte_mbuf *m)
{
    struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
    struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
    if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) || m->data_len < sizeof *eth + sizeof *arp) return;
    arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
}

static void clone_to_others(struct spread *s, unsigned core, const struct rte_mbuf *m, struct rte_mempool *pool,
                            const struct spread_counts *counts)
{
    for (unsigned to = 0; to < s->config.cores; to++) {
        if (to == core) continue;
        struct rte_mbuf *copy = rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
        if (!copy) {
            metric_add(counts->dropped, 1);
            continue;
        }
        arp_silence(copy);
        metric_add(counts->copies, 1);
        push(lane(s, core, to)->rx, copy, counts);
    }
}

static void wake(struct spread *s, uint64_t cores)
{
    for (; cores && s->config.wake; cores &= cores - 1) s->config.wake(s->config.wake_arg, (unsigned)__builtin_ctzll(cores));
}

uint16_t spread_split(struct spread *s, unsigned core, struct rte_mbuf **frames, uint16_t n, struct rte_mempool *pool,
                      const struct spread_counts *counts)
{
    uint16_t kept = 0;
    uint64_t pushed = 0, all = (s->config.cores == 64 ? UINT64_MAX : (UINT64_C(1) << s->config.cores) - 1);
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        uint16_t home = steer_home(&s->steer, m, (uint16_t)core);
        if (home == core) {
            frames[kept++] = m;
        } else if (home == STEER_ALL) {
            clone_to_others(s, core, m, pool, counts);
            pushed |= all;
            frames[kept++] = m;
        } else {
            push(lane(s, core, home)->rx, m, counts);
            pushed |= UINT64_C(1) << home;
        }
    }
    if (pushed) wake(s, pushed & ~(UINT64_C(1) << core));
    return kept;
}

uint16_t spread_receive(struct spread *s, unsigned core, struct rte_mbuf **frames, uint16_t max,
                        const struct spread_counts *counts)
{
    uint16_t n = 0;
    for (unsigned from = 0; from < s->config.queues; from++) {
        struct spsc_ring *ring = lane(s, from, core)->rx;
        for (void *m; ring && n < max && (m = spsc_ring_pop(ring)) != NULL;) frames[n++] = m;
    }
    if (n > 0) metric_add(counts->in, n);
    return n;
}

void spread_transmit(struct spread *s, unsigned core, struct rte_mbuf **frames, uint16_t n, const struct spread_counts *counts)
{
    unsigned owner = spread_queue(s, core);
    for (uint16_t i = 0; i < n; i++) push(lane(s, core, owner)->tx, frames[i], counts);
    wake(s, UINT64_C(1) << owner);
}

uint16_t spread_to_transmit(struct spread *s, unsigned core, struct rte_mbuf **frames, uint16_t max)
{
    uint16_t n = 0;
    for (unsigned from = s->config.queues; from < s->config.cores; from++) {
        struct spsc_ring *ring = lane(s, from, core)->tx;
        for (void *m; ring && n < max && (m = spsc_ring_pop(ring)) != NULL;) frames[n++] = m;
    }
    return n;
}
