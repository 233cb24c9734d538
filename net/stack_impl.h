/* The inside of a stack: for net/ only. */
#ifndef POLAR_NET_STACK_IMPL_H
#define POLAR_NET_STACK_IMPL_H

#include "net/autoconf.h"
#include "net/claim.h"
#include "net/mld.h"
#include "net/neighbour.h"
#include "net/rate.h"
#include "net/stack.h"
#include "net/tcp/conn.h"
#include "net/tcp/tcp_cookie.h"
#include "net/tcp/tcp_fast_open.h"
#include "net/tcp/tcp_path.h"
#include "net/tcp/tcp_pools.h"
#include "net/tcp/tcp_shed.h"
#include "net/tcp/tcp_syncache.h"
#include "net/tcp/tcp_table.h"
#include "net/tcp/tcp_time_wait.h"
#include "net/tcp/wheel.h"

#define STACK_BURST 64u
#define STACK_LISTENERS 64u

struct tcp_listener {
    struct net_addr addr; /* ours; 0.0.0.0: all of IPv4; ::: all */
    uint16_t port;        /* host byte order; 0: free */
    stream_accept_fn *accept;
    void *arg;
    uint32_t fast_open; /* connections opened by a SYN with data that it bears at a time; 0: none */
};

#define TCP_HEADER_TEMPLATE 64u /* at most: Ethernet, VLAN tag, IPv6; and room to copy by whole words */

/* What all frames of a family begin with: addresses, lengths and checksums are zero. */
struct tcp_template {
    uint8_t bytes[TCP_HEADER_TEMPLATE];
    uint32_t ip_sum; /* of the IPv4 header */
    uint8_t tcp_at;  /* where the TCP header begins */
};

#define TCP_TUNINGS 256u

struct tcp_tuning_entry {
    struct net_tcp_tuning values;
    uint32_t users; /* 0: free */
};

struct net_stack {
    struct net_stack_config config;
    struct net_metrics metrics;
    uint64_t now;           /* ns, as last handed in */
    uint32_t ts_now;        /* our timestamp clock, 2^20 ns a tick, from a random start */
    uint32_t ts_offset;
    uint64_t ip_first;      /* our first IPv4 address as it lies in a packet; UINT64_MAX: we have none */
    struct net_prefix addrs[NET_ADDRS_MAX];
    unsigned addr_count, v4_count;
    struct net_route routes[NET_ROUTES_MAX];
    uint64_t route_ends[NET_ROUTES_MAX]; /* ns: of those learnt from routers; UINT64_MAX: never */
    unsigned route_count;
    uint32_t routes_silent; /* bits: those whose router does not answer */
    uint8_t ip_at;          /* where packets begin in our frames: behind the VLAN tag if there is one */
    uint64_t tx_flags, tx_flags_v6; /* mbuf offload flags of a TCP frame */
    uint8_t rcv_scale;

    struct rte_mbuf *tx[STACK_BURST];
    uint16_t tx_count;
    unsigned tx_sent;       /* frames since the last net_stack_output returned */

    uint8_t *conns;         /* slots of TCP_CONN_BYTES */
    uint32_t conn_used;     /* slots ever used */
    uint32_t conn_count;    /* slots in use */
    uint32_t conn_free;     /* index + 1 of a free slot, linked by next_dirty */
    uint32_t dirty_head, dirty_tail; /* index + 1 */
    struct tcp_table table;
    struct tcp_time_wait time_wait;
    struct tcp_syncache syncache;
    struct tcp_cookies cookies;
    struct tcp_shed shed;
    struct tcp_fast_open fast_open;
    struct wheel wheel;
    struct stream_ops stream_ops; /* tcp_stack_of */
    struct tcp_template templates[2]; /* by TCPF_V6: tcp_frame.c */
    uint64_t rx_memory;     /* bytes of buffers that hold unread payload */
    uint64_t rx_memory_scarce;
    struct tcp_pools pools;
    struct tcp_paths paths;
    struct tcp_listener listeners[STACK_LISTENERS];
    unsigned listener_places; /* of these: one past the last that is used */
    struct tcp_tuning_entry tunings[TCP_TUNINGS]; /* tcp_tuning.h */
    struct neighbours neighbours;
    struct claim claim;
    struct autoconf autoconf;
    struct mld mld;
    uint64_t random;
    uint64_t key_secret[2]; /* tcp_tuple.h */
    struct rate_limit challenge_rate, duplicate_rate, icmp_rate, reset_rate;
};

static inline struct tcp_conn *stack_conn(const struct net_stack *st, uint32_t index)
{
    return (struct tcp_conn *)(void *)(st->conns + (size_t)index * TCP_CONN_BYTES);
}

static inline uint32_t stack_conn_index(const struct net_stack *st, const struct tcp_conn *c)
{
    return (uint32_t)(((const uint8_t *)c - st->conns) / TCP_CONN_BYTES);
}

/* Puts c on the list of those that net_stack_output looks at. */
static inline void stack_touch(struct net_stack *st, struct tcp_conn *c)
{
    if (c->flags & TCPF_DIRTY) return;
    c->flags |= TCPF_DIRTY;
    c->next_dirty = 0;
    uint32_t ref = stack_conn_index(st, c) + 1;
    if (st->dirty_tail) stack_conn(st, st->dirty_tail - 1)->next_dirty = ref;
    else st->dirty_head = ref;
    st->dirty_tail = ref;
}

/* Whether addr is one of ours. */
bool stack_owns(const struct net_stack *st, const struct net_addr *addr);

/* Writes the Ethernet header, with our VLAN tag if there is one; type: host byte order. Returns its bytes. */
uint8_t stack_ethernet_write(const struct net_stack *st, uint8_t *frame, const uint8_t *mac, uint16_t type);

void stack_flush(struct net_stack *st);

/* Hands over a finished frame; pkt_len and nb_segs are right. Takes m. */
static inline void stack_send(struct net_stack *st, struct rte_mbuf *m)
{
    st->tx[st->tx_count++] = m;
    if (st->tx_count == STACK_BURST) stack_flush(st);
}

static inline void stack_set_now(struct net_stack *st, uint64_t now_ns)
{
    st->now = now_ns;
    st->ts_now = (uint32_t)(now_ns >> TCP_TS_SHIFT) + st->ts_offset;
}

uint64_t stack_random(struct net_stack *st);

#endif
