#include "net/tcp/tcp_shed.h"

#include <errno.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include "net/region.h"
#include "net/tcp/tcp.h"

#define PREFETCH_AHEAD 4u
#define WINDOWS_A_SECOND 1000u /* net_stack_load is told so often */
#define FLAGS_AT 13u           /* in the TCP header */
#define SYN_MASK (TCP_SYN | TCP_ACK | TCP_RST)

int tcp_shed_init(struct tcp_shed *sh, const uint64_t secret[2])
{
    *sh = (struct tcp_shed){.random = siphash(secret, "shed", 4)};
    sh->lines = net_region_map(TCP_SHED_LINES * sizeof *sh->lines);
    return sh->lines ? 0 : -ENOMEM;
}

void tcp_shed_fini(struct tcp_shed *sh)
{
    net_region_unmap(sh->lines, TCP_SHED_LINES * sizeof *sh->lines);
}

/* The table of connections goes by a key's lowest and highest bits. */
static struct tcp_shed_line *line_of(const struct tcp_shed *sh, uint64_t key)
{
    return &sh->lines[(key >> 32) % TCP_SHED_LINES];
}

static uint16_t tag_of(uint64_t key)
{
    return (uint16_t)(key >> 16) | 1;
}

static bool line_has(const struct tcp_shed_line *line, uint16_t tag)
{
    uint16_t found = 0;
    for (unsigned i = 0; i <= TCP_SHED_TAGS; i++) found |= line->tags[i] == tag;
    return found;
}

static void line_add(struct tcp_shed_line *line, uint16_t tag)
{
    unsigned at = line->tags[TCP_SHED_TAGS] / 2;
    line->tags[at] = tag;
    line->tags[TCP_SHED_TAGS] = at + 1 < TCP_SHED_TAGS ? (uint16_t)(2 * (at + 1)) : 0;
}

/* Knuth's linear congruential generator; the high half is good enough for a choice. */
static uint32_t shed_random(struct tcp_shed *sh)
{
    sh->random = sh->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(sh->random >> 32);
}

/* Whether this SYN is to be answered; one that is not is remembered. */
static bool syn_let_in(struct tcp_shed *sh, uint64_t key)
{
    struct tcp_shed_line *line = line_of(sh, key);
    uint16_t tag = tag_of(key);
    sh->came++;
    if (line_has(line, tag)) {
        if (sh->again < sh->allowance) {
            sh->again++;
            return true;
        }
    } else if (shed_random(sh) < sh->chance) {
        return true;
    }
    line_add(line, tag);
    return false;
}

static uint64_t syn_key_v4(const struct net_stack *st, const struct rte_mbuf *m, const uint8_t *ip)
{
    uint32_t header = (ip[0] & RTE_IPV4_HDR_IHL_MASK) * 4u, ports;
    uint64_t addrs;
    if (m->data_len < st->ip_at + header + TCP_HEADER_BYTES || ip[9] != IPPROTO_TCP) return 0;
    if ((ip[header + FLAGS_AT] & SYN_MASK) != TCP_SYN) return 0;
    memcpy(&addrs, ip + offsetof(struct rte_ipv4_hdr, src_addr), sizeof addrs);
    memcpy(&ports, ip + header, sizeof ports);
    return tcp_key_v4(st->key_secret, addrs, ports) | 1;
}

static uint64_t syn_key_v6(const struct net_stack *st, const struct rte_mbuf *m, const uint8_t *ip)
{
    uint64_t addrs[4];
    uint32_t ports;
    if (m->data_len < st->ip_at + TCP_IPV6_BYTES + TCP_HEADER_BYTES || ip[6] != IPPROTO_TCP) return 0;
    if ((ip[TCP_IPV6_BYTES + FLAGS_AT] & SYN_MASK) != TCP_SYN) return 0;
    memcpy(addrs, ip + offsetof(struct rte_ipv6_hdr, src_addr), sizeof addrs);
    memcpy(&ports, ip + TCP_IPV6_BYTES, sizeof ports);
    return tcp_key_v6(st->key_secret, addrs, addrs + 2, ports) | 1;
}

/* Of a SYN to us as far as can be told at sight; 0: something else. The lowest bit is not the key's. */
static uint64_t syn_key(const struct net_stack *st, const struct rte_mbuf *m)
{
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *), *ip = frame + st->ip_at;
    uint16_t type;
    if (m->data_len < st->ip_at + sizeof(struct rte_ipv4_hdr)) return 0;
    memcpy(&type, ip - sizeof type, sizeof type);
    if (memcmp(frame, st->config.mac, sizeof st->config.mac) != 0) return 0;
    if (type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) return syn_key_v4(st, m, ip);
    return type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) ? syn_key_v6(st, m, ip) : 0;
}

static uint16_t shed_burst(struct net_stack *st, struct rte_mbuf **frames, uint16_t n)
{
    struct rte_mbuf *dropped[STACK_BURST];
    uint64_t keys[STACK_BURST], syns = 0;
    uint16_t kept = 0, drops = 0;
    for (uint16_t i = 0; i < n; i++) {
        if (i + PREFETCH_AHEAD < n) rte_prefetch0(rte_pktmbuf_mtod(frames[i + PREFETCH_AHEAD], void *));
        keys[i] = syn_key(st, frames[i]);
        syns |= keys[i];
        if (keys[i]) rte_prefetch0(line_of(&st->shed, keys[i]));
    }
    if (!syns) return n;
    for (uint16_t i = 0; i < n; i++) {
        if (keys[i] && !syn_let_in(&st->shed, keys[i]))
            dropped[drops++] = frames[i];
        else
            frames[kept++] = frames[i];
    }
    rte_pktmbuf_free_bulk(dropped, drops);
    metric_add(&st->metrics.drop_tcp_syn_full, drops);
    return kept;
}

uint16_t net_stack_shed(struct net_stack *st, struct rte_mbuf **frames, uint16_t n)
{
    uint16_t kept = 0;
    if (!st->shed.on) return n;
    for (uint16_t done = 0; done < n; done = (uint16_t)(done + STACK_BURST)) {
        uint16_t count = (uint16_t)RTE_MIN(n - done, (int)STACK_BURST);
        uint16_t left = shed_burst(st, frames + done, count);
        if (kept < done) memmove(frames + kept, frames + done, left * sizeof *frames);
        kept = (uint16_t)(kept + left);
    }
    return kept;
}

/* What SYNs that come again leave of the allowance, for as many of the others as came last. */
static uint32_t chance_of_the_first(const struct tcp_shed *sh, uint32_t came)
{
    uint32_t first = came - RTE_MIN(came, sh->again), left = sh->allowance - RTE_MIN(sh->again, sh->allowance / 4 * 3);
    return left >= first ? UINT32_MAX : (uint32_t)(((uint64_t)left << 32) / first);
}

/* Connections accepted in a millisecond: in the last one or in the mean of some, whichever is more. */
static uint32_t accepts_lately(struct tcp_shed *sh, uint64_t accepted)
{
    uint32_t last = (uint32_t)(accepted - sh->accepted);
    sh->accepted = accepted;
    sh->accepts += last - sh->accepts / TCP_SHED_MEAN;
    return RTE_MAX(last, sh->accepts / TCP_SHED_MEAN);
}

bool net_stack_load(struct net_stack *st, bool full)
{
    struct tcp_shed *sh = &st->shed;
    uint32_t came = RTE_MAX(sh->came, sh->opened);
    uint32_t least = st->config.syn_rate_full / WINDOWS_A_SECOND + 2 * accepts_lately(sh, st->metrics.accepted);
    if (!sh->on) sh->allowance = came;
    sh->allowance = full ? RTE_MAX(sh->allowance / 2, least) : sh->allowance + sh->allowance / 4 + 1;
    sh->on = st->config.syn_rate_full > 0 && came > sh->allowance;
    sh->chance = chance_of_the_first(sh, came);
    metric_add(&st->metrics.syn_again, sh->again);
    sh->came = sh->again = sh->opened = 0;
    return sh->on;
}
