#include "net/kernel_resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"

#define ASKED_MAX 64u
#define ASKED_NS UINT64_C(5000000000) /* an answer is waited for so long; the stack asks again before */
#define LOOK_NS UINT64_C(50000)       /* between two looks at the socket meanwhile */
#define AGAIN_NS UINT64_C(1000000)    /* from the first question to the second; then twice as long each time */
#define READS_MAX 64u                 /* messages a look */
#define RECEIVE_BYTES 8192u
#define ND_SOLICITATION 135u
#define ND_ADVERTISEMENT 136u
#define ND_FIRST 133u
#define ND_LAST 137u
#define ND_TARGET_LINK_LAYER 2u
#define ND_ANSWER 0xe0000000u /* solicited, override; and whether it is a router we do not say: no route is to go for it */
#define HOP_LIMIT 255u
#define KNOWN (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

struct asked {
    uint64_t until;  /* ns; 0: free */
    uint64_t again;  /* ns: the next question */
    uint32_t serial; /* of its questions */
    bool urged;      /* the kernel has been asked to resolve it */
    uint8_t family;  /* AF_INET, AF_INET6 */
    uint8_t target[16];
    uint8_t source[16]; /* ours: who the answer is for */
};

struct kernel_resolve {
    int fd;
    unsigned ifindex;
    uint8_t mac[6];
    struct rte_mempool *pool;
    unsigned count;   /* asked and not yet answered */
    uint64_t look_at; /* ns */
    uint32_t serial;  /* of the last one asked */
    struct asked asked[ASKED_MAX];
};

/* Neighbour advertisement behind its IPv6 header: RFC 4861 4.4. */
struct advertisement {
    uint8_t type, code;
    uint16_t checksum;
    uint32_t flags;
    uint8_t target[16];
    uint8_t option, option_units;
    uint8_t mac[6];
};
_Static_assert(sizeof(struct advertisement) == 32, "as on the wire");

struct question {
    struct nlmsghdr header;
    struct ndmsg neighbour;
    struct rtattr attribute;
    uint8_t address[16];
};

int kernel_resolve_open(struct kernel_resolve **out, unsigned ifindex, const uint8_t mac[6], struct rte_mempool *pool)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    struct kernel_resolve *r = calloc(1, sizeof *r);
    if (!r) return -ENOMEM;
    r->ifindex = ifindex;
    memcpy(r->mac, mac, sizeof r->mac);
    r->pool = pool;
    r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (r->fd >= 0 && bind(r->fd, (struct sockaddr *)&address, sizeof address) == 0) {
        *out = r;
        return 0;
    }
    int rc = -errno;
    if (r->fd >= 0) close(r->fd);
    free(r);
    return rc;
}

void kernel_resolve_close(struct kernel_resolve **resolve)
{
    if (!*resolve) return;
    close((*resolve)->fd);
    free(*resolve);
    *resolve = NULL;
}

static uint32_t address_bytes(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

/* What fails here fails like a lost request: the stack asks again. */
static void question_send(struct kernel_resolve *r, const struct asked *a, uint16_t type, uint16_t flags, uint8_t use)
{
    uint32_t bytes = address_bytes(a->family);
    struct question q = {
        .header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(sizeof q.neighbour) + (uint32_t)RTA_LENGTH(bytes),
                   .nlmsg_type = type,
                   .nlmsg_seq = a->serial,
                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
        .neighbour = {.ndm_family = a->family, .ndm_ifindex = (int)r->ifindex, .ndm_flags = use},
        .attribute = {.rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = NDA_DST},
    };
    memcpy(q.address, a->target, bytes);
    ssize_t n = send(r->fd, &q, q.header.nlmsg_len, MSG_DONTWAIT);
    (void)n;
}

static struct asked *asked_find(struct kernel_resolve *r, uint8_t family, const uint8_t *target)
{
    for (unsigned i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &r->asked[i];
        if (a->until && a->family == family && memcmp(a->target, target, address_bytes(family)) == 0) return a;
    }
    return NULL;
}

/* The one that is asked already, a free one, or the oldest. */
static struct asked *asked_place(struct kernel_resolve *r, uint8_t family, const uint8_t *target)
{
    struct asked *best = asked_find(r, family, target);
    if (best) return best;
    best = &r->asked[0];
    for (unsigned i = 1; i < ASKED_MAX; i++)
        if (r->asked[i].until < best->until) best = &r->asked[i];
    return best;
}

/* What the kernel knows; until it does, again and again. */
static void ask(struct kernel_resolve *r, uint8_t family, const uint8_t *target, const uint8_t *source, uint64_t now_ns)
{
    struct asked *a = asked_place(r, family, target);
    if (a->until == 0) r->count++;
    *a =
        (struct asked){.until = now_ns + ASKED_NS, .again = now_ns + AGAIN_NS, .serial = ++r->serial, .family = family};
    memcpy(a->target, target, address_bytes(family));
    memcpy(a->source, source, address_bytes(family));
    question_send(r, a, RTM_GETNEIGH, 0, 0);
    r->look_at = now_ns;
}

static bool all_zero(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

/* A request that expects an answer; probes and announcements of the address are the kernel's business. */
static void arp_take(struct kernel_resolve *r, const struct rte_arp_hdr *arp, uint64_t now_ns)
{
    if (arp->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST)) return;
    if (arp->arp_data.arp_sip == 0 || arp->arp_data.arp_sip == arp->arp_data.arp_tip) return;
    ask(r, AF_INET, (const uint8_t *)&arp->arp_data.arp_tip, (const uint8_t *)&arp->arp_data.arp_sip, now_ns);
}

static void discovery_take(struct kernel_resolve *r, const struct rte_ipv6_hdr *ip, const uint8_t *icmp,
                           uint64_t now_ns)
{
    if (icmp[0] == ND_SOLICITATION && !all_zero(ip->src_addr, 16)) ask(r, AF_INET6, icmp + 8, ip->src_addr, now_ns);
}

/* True: m is ARP or neighbour discovery. */
static bool frame_take(struct kernel_resolve *r, const struct rte_mbuf *m, uint64_t now_ns)
{
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
        if (m->data_len >= sizeof *eth + sizeof(struct rte_arp_hdr)) arp_take(r, (const void *)(eth + 1), now_ns);
        return true;
    }
    const struct rte_ipv6_hdr *ip = (const void *)(eth + 1);
    const uint8_t *icmp = (const uint8_t *)(ip + 1);
    if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) || m->data_len < sizeof *eth + sizeof *ip + 24)
        return false;
    if (ip->proto != IPPROTO_ICMPV6 || icmp[0] < ND_FIRST || icmp[0] > ND_LAST) return false;
    discovery_take(r, ip, icmp, now_ns);
    return true;
}

uint16_t kernel_resolve_take(struct kernel_resolve *r, struct rte_mbuf **frames, uint16_t n, uint64_t now_ns)
{
    uint16_t left = 0;
    for (uint16_t i = 0; i < n; i++) {
        if (frame_take(r, frames[i], now_ns))
            rte_pktmbuf_free(frames[i]);
        else
            frames[left++] = frames[i];
    }
    return left;
}

static void arp_answer(const struct kernel_resolve *r, const struct asked *a, const uint8_t *mac,
                       struct rte_arp_hdr *arp)
{
    arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
    arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    arp->arp_hlen = 6;
    arp->arp_plen = 4;
    arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
    memcpy(&arp->arp_data.arp_sha, mac, 6);
    memcpy(&arp->arp_data.arp_sip, a->target, 4);
    memcpy(&arp->arp_data.arp_tha, r->mac, 6);
    memcpy(&arp->arp_data.arp_tip, a->source, 4);
}

static void discovery_answer(const struct asked *a, const uint8_t *mac, struct rte_ipv6_hdr *ip)
{
    struct advertisement na = {.type = ND_ADVERTISEMENT,
                               .flags = rte_cpu_to_be_32(ND_ANSWER),
                               .option = ND_TARGET_LINK_LAYER,
                               .option_units = 1};
    *ip = (struct rte_ipv6_hdr){.vtc_flow = rte_cpu_to_be_32(6u << 28),
                                .payload_len = rte_cpu_to_be_16(sizeof na),
                                .proto = IPPROTO_ICMPV6,
                                .hop_limits = HOP_LIMIT};
    memcpy(ip->src_addr, a->target, 16);
    memcpy(ip->dst_addr, a->source, 16);
    memcpy(na.target, a->target, 16);
    memcpy(na.mac, mac, 6);
    uint64_t sum = checksum_sum(ip->src_addr, 32) + rte_cpu_to_be_16(sizeof na) + rte_cpu_to_be_16(IPPROTO_ICMPV6);
    na.checksum = (uint16_t)~checksum_fold(sum + checksum_sum(&na, sizeof na));
    memcpy(ip + 1, &na, sizeof na); /* at an odd place for its numbers */
}

/* What the neighbour would have sent. NULL: no buffer. */
static struct rte_mbuf *answer_build(const struct kernel_resolve *r, const struct asked *a, const uint8_t *mac)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);
    if (!m) return NULL;
    bool v4 = a->family == AF_INET;
    uint16_t len = v4 ? sizeof(struct rte_arp_hdr) : sizeof(struct rte_ipv6_hdr) + sizeof(struct advertisement);
    struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
    m->data_len = (uint16_t)(sizeof *eth + len); /* far less than a buffer holds */
    m->pkt_len = m->data_len;
    memcpy(&eth->dst_addr, r->mac, 6);
    memcpy(&eth->src_addr, mac, 6);
    eth->ether_type = rte_cpu_to_be_16(v4 ? RTE_ETHER_TYPE_ARP : RTE_ETHER_TYPE_IPV6);
    if (v4)
        arp_answer(r, a, mac, (struct rte_arp_hdr *)(eth + 1));
    else
        discovery_answer(a, mac, (struct rte_ipv6_hdr *)(eth + 1));
    return m;
}

/* The kernel does not know: it is to resolve it. Only then, and once: NTF_USE takes an administrator's entry for a
 * learnt one. */
static void urge(struct kernel_resolve *r, uint32_t serial)
{
    for (unsigned i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &r->asked[i];
        if (a->until == 0 || a->serial != serial || a->urged) continue;
        a->urged = true;
        question_send(r, a, RTM_NEWNEIGH, NLM_F_CREATE, NTF_USE);
    }
}

/* The answer that a message of the kernel holds; NULL: none to what was asked. */
static struct rte_mbuf *message_take(struct kernel_resolve *r, const struct nlmsghdr *header)
{
    const struct ndmsg *nd = NLMSG_DATA(header);
    const uint8_t *address = NULL, *mac = NULL;
    if (header->nlmsg_type == NLMSG_ERROR) urge(r, header->nlmsg_seq);
    if (header->nlmsg_type != RTM_NEWNEIGH || header->nlmsg_len < NLMSG_LENGTH(sizeof *nd)) return NULL;
    if (nd->ndm_ifindex != (int)r->ifindex) return NULL;
    if (nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) return NULL;
    if (!(nd->ndm_state & KNOWN)) {
        if (!(nd->ndm_state & NUD_INCOMPLETE)) urge(r, header->nlmsg_seq);
        return NULL;
    }
    int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof *nd));
    const struct rtattr *at = (const struct rtattr *)((const char *)nd + NLMSG_ALIGN(sizeof *nd));
    for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        uint32_t bytes = (uint32_t)RTA_PAYLOAD(at);
        if (at->rta_type == NDA_DST && bytes == address_bytes(nd->ndm_family)) address = RTA_DATA(at);
        if (at->rta_type == NDA_LLADDR && bytes == sizeof r->mac) mac = RTA_DATA(at);
    }
    struct asked *a = address && mac ? asked_find(r, nd->ndm_family, address) : NULL;
    struct rte_mbuf *m = a ? answer_build(r, a, mac) : NULL;
    if (!m) return NULL;
    a->until = 0;
    r->count--;
    return m;
}

static void questions_again(struct kernel_resolve *r, uint64_t now_ns)
{
    for (unsigned i = 0; i < ASKED_MAX; i++) {
        struct asked *a = &r->asked[i];
        if (a->until == 0 || now_ns < a->again) continue;
        a->again = now_ns + (now_ns - (a->until - ASKED_NS));
        if (now_ns < a->until) {
            question_send(r, a, RTM_GETNEIGH, 0, 0);
            continue;
        }
        a->until = 0;
        r->count--;
    }
}

uint16_t kernel_resolve_answers(struct kernel_resolve *r, struct rte_mbuf **frames, uint16_t max, uint64_t now_ns)
{
    _Alignas(struct nlmsghdr) char buffer[RECEIVE_BYTES];
    uint16_t n = 0;
    if (r->count == 0 || now_ns < r->look_at) return 0;
    r->look_at = now_ns + LOOK_NS;
    for (unsigned reads = 0; reads < READS_MAX && n < max; reads++) {
        ssize_t got = recv(r->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0) break; /* an overrun too: it is asked again */
        for (uint32_t at = 0; at + NLMSG_HDRLEN <= (uint32_t)got && n < max;) {
            const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)(buffer + at);
            if (h->nlmsg_len < NLMSG_HDRLEN || h->nlmsg_len > (uint32_t)got - at) break;
            struct rte_mbuf *m = message_take(r, h);
            if (m) frames[n++] = m;
            at += NLMSG_ALIGN(h->nlmsg_len);
        }
    }
    questions_again(r, now_ns);
    return n;
}
