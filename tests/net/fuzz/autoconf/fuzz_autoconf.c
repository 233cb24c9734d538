/*
 * Routers and neighbours on the link say what they like, and time passes: which addresses we make, keep and give up.
 * Records: a kind, and its bytes. Whatever they say: there are never more addresses than places, none that is ours
 * twice or past its time, an advertisement shortens no life to less than two hours (RFC 4862 5.5.3 e), and of an
 * address that is being probed for no question leaves and no answer that overrides (RFC 4429 3.2).
 */
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include "base/log.h"
#include "net/stack_impl.h"
#include "tests/net/fuzz/fuzz_stack.h"
#include "tests/support/eal.h"

#define RECORDS_MAX 64u
#define PREFIXES_MAX 4u
#define PREFIX_RECORD 11u /* number, length, flags, two lifetimes */
#define NS_PER_MS UINT64_C(1000000)
#define WAIT_MOST_MS 20000000u
#define ICMP_AT 54u

enum { SAYS_ROUTER, SAYS_RAW, TIME_PASSES, CLAIMED, PROBED, CONNECT, KINDS };

struct fuzz {
    struct net_stack *stack;
    struct stream_loop loop;
    struct buf_pools *pools;
    uint64_t now;
};

struct input {
    const uint8_t *p;
    size_t left;
};

static const struct net_addr router = {.bytes = {0xfe, 0x80, [15] = 9}}, all_nodes = {.bytes = {0xff, 2, [15] = 1}},
                             none;

static uint8_t take(struct input *in)
{
    if (in->left == 0) return 0;
    in->left--;
    return *in->p++;
}

static uint32_t take32(struct input *in)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) v = v << 8 | take(in);
    return v;
}

static void must(bool good)
{
    if (!good) abort();
}

/* What leaves while an address is being probed for. */
static void sent_check(const struct fuzz *f, const uint8_t *p, uint32_t len)
{
    if (len < ICMP_AT + 24 || p[12] != 0x86 || p[13] != 0xdd || p[20] != IPPROTO_ICMPV6) return;
    struct net_addr from = net_addr_v6(p + 22), target = net_addr_v6(p + ICMP_AT + 8);
    if (p[ICMP_AT] == ND_NEIGHBOR_SOLICIT) must(net_addr_is_any(&from) || !claim_optimistic(f->stack, &from));
    if (p[ICMP_AT] == ND_NEIGHBOR_ADVERT && claim_optimistic(f->stack, &target)) must(!(p[ICMP_AT + 4] & 0x20));
}

static void transmit(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct fuzz *f = arg;
    for (uint16_t i = 0; i < n; i++) sent_check(f, rte_pktmbuf_mtod(frames[i], const uint8_t *), frames[i]->data_len);
    rte_pktmbuf_free_bulk(frames, n);
}

static void turn(struct fuzz *f, uint8_t *frame, uint32_t len)
{
    struct rte_mbuf *m = len ? rte_pktmbuf_alloc(f->pools->frame) : NULL;
    struct stream *s;
    if (m) {
        fuzz_checksums(frame, len);
        memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
        net_stack_input(f->stack, &m, 1, f->now);
    }
    while ((s = stream_loop_pop(&f->loop))) {
        s->events = 0;
        s->ops->abort(s);
    }
    net_stack_timers(f->stack, f->now);
    net_stack_output(f->stack, f->now);
}

/* An ICMPv6 message of len bytes that stand in frame already. */
static void say(struct fuzz *f, uint8_t *frame, const struct net_addr *from, const struct net_addr *to, uint32_t len)
{
    memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0}, 18);
    memcpy(frame + 18, (uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len, IPPROTO_ICMPV6, 255}, 4);
    memcpy(frame + 22, from->bytes, 16);
    memcpy(frame + 38, to->bytes, 16);
    turn(f, frame, ICMP_AT + len);
}

static void router_says(struct fuzz *f, struct input *in)
{
    uint8_t frame[FUZZ_FRAME] = {0}, *p = frame + ICMP_AT;
    uint8_t head = take(in);
    p[0] = ND_ROUTER_ADVERT;
    p[6] = take(in);
    uint32_t len = 16;
    if (head & 0x80) memcpy(p + len, (uint8_t[]){1, 1, 2, 0, 0, 0, 0, 9}, 8);
    len += head & 0x80 ? 8 : 0;
    for (unsigned i = 0; i < head % (PREFIXES_MAX + 1); i++, len += 32) {
        uint8_t number = take(in);
        memcpy(p + len, (uint8_t[]){3, 4}, 2);
        for (unsigned k = 2; k < PREFIX_RECORD + 1; k++) p[len + k] = take(in);
        memcpy(p + len + 16, (uint8_t[]){0x20, 1, 0x0d, 0xb8, 0, number % 16, 0, 0}, 8);
    }
    struct net_addr us = f->stack->addrs[0].addr;
    say(f, frame, &router, head & 0x40 ? &all_nodes : &us, len);
}

static void raw_says(struct fuzz *f, struct input *in)
{
    uint8_t frame[FUZZ_FRAME] = {0};
    uint32_t len = take(in);
    for (uint32_t i = 0; i < len; i++) frame[ICMP_AT + i] = take(in);
    if (len >= 4) say(f, frame, &router, &all_nodes, len);
}

/* Somebody has, or probes for, an address of ours. */
static void neighbour_says(struct fuzz *f, struct input *in, uint8_t type)
{
    uint8_t frame[FUZZ_FRAME] = {0}, *p = frame + ICMP_AT;
    const struct net_addr addr = f->stack->addrs[take(in) % f->stack->addr_count].addr;
    p[0] = type;
    memcpy(p + 8, addr.bytes, 16);
    if (type == ND_NEIGHBOR_ADVERT) memcpy(p + 24, (uint8_t[]){2, 1, 2, 0, 0, 0, 0, 9}, 8);
    say(f, frame, type == ND_NEIGHBOR_ADVERT ? &addr : &none, &all_nodes, type == ND_NEIGHBOR_ADVERT ? 32 : 24);
}

static void connect_out(struct fuzz *f, struct input *in)
{
    struct net_endpoint to = {{.bytes = {0x20, 1, 0x0d, 0xb8, 0, take(in) % 16, [15] = 77}}, 80};
    struct stream *s;
    if (net_connect(f->stack, to, f->now, &s) != 0) return;
    net_stack_output(f->stack, f->now);
    s->ops->abort(s);
    turn(f, NULL, 0);
}

static void check(const struct fuzz *f)
{
    const struct net_stack *st = f->stack;
    const struct autoconf *ac = &st->autoconf;
    must(st->addr_count <= NET_ADDRS_MAX && ac->count <= AUTOCONF_MAX);
    for (unsigned i = 0; i < ac->count; i++) {
        const struct autoconf_made *a = &ac->made[i];
        must(a->index < st->addr_count && ac->indices >> a->index & 1 && a->tries <= AUTOCONF_RETRIES);
        must(a->valid_until ? a->valid_until > f->now : claim_absent(st, a->index));
    }
    for (unsigned i = 0; i < st->addr_count; i++)
        for (unsigned k = 0; k < i; k++)
            must(claim_absent(st, i) || claim_absent(st, k) || !net_addr_equal(&st->addrs[i].addr, &st->addrs[k].addr));
}

static void check_two_hours(const struct fuzz *f, const struct autoconf *before)
{
    for (unsigned i = 0; i < before->count; i++) {
        uint64_t was = before->made[i].valid_until, is = f->stack->autoconf.made[i].valid_until;
        if (was) must(is >= RTE_MIN(was, f->now + AUTOCONF_TWO_HOURS_NS));
    }
}

static void record(struct fuzz *f, struct input *in)
{
    struct autoconf before = f->stack->autoconf;
    uint8_t kind = take(in) % KINDS;
    switch (kind) {
    case SAYS_ROUTER: router_says(f, in); break;
    case SAYS_RAW: raw_says(f, in); break;
    case CLAIMED: neighbour_says(f, in, ND_NEIGHBOR_ADVERT); break;
    case PROBED: neighbour_says(f, in, ND_NEIGHBOR_SOLICIT); break;
    case CONNECT: connect_out(f, in); break;
    default:
        f->now += take32(in) % WAIT_MOST_MS * NS_PER_MS;
        turn(f, NULL, 0);
        break;
    }
    if (kind != TIME_PASSES) check_two_hours(f, &before);
    turn(f, NULL, 0); /* what one timer leaves to another */
    check(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf_pools pools;
    struct fuzz f = {.pools = &pools, .now = 1000000000};
    struct input in = {data, size};
    struct net_stack_config config;
    if (!pools.frame) {
        test_eal_start();
        log_set_level((enum log_level)-1); /* nothing: each address is worth a line */
        test_pools_create(&pools, 511, 2048);
    }
    net_stack_config_default(&config);
    net_stack_config_address(&config, (struct net_addr){.bytes = {0xfd, [15] = 1}}, 64);
    uint8_t how = take(&in);
    config.autoconf = how & 1 ? NET_AUTOCONF_STABLE : NET_AUTOCONF_EUI64;
    config.announce = how & 2;
    config.follows = !(how & 2) && how & 4;
    config.router_discovery = true;
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
    config.max_connections = 8;
    config.max_half_open = 8;
    config.rx_window = 8192;
    config.loop = &f.loop;
    config.pools = &pools;
    config.tx = transmit;
    config.tx_arg = &f;
    if (net_stack_create(&f.stack, &config) != 0) abort();
    for (unsigned i = 0; i < RECORDS_MAX && in.left > 0; i++) record(&f, &in);
    net_stack_destroy(&f.stack);
    if (buf_pools_in_use(&pools) != 0) abort();
    return 0;
}
