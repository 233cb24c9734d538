/* Whose a connection is: addresses, ports, and where its frames go. IPv6's addresses lie in a pool of their own. */
#include <string.h>
#include "net/checksum.h"
#include "net/tcp/tcp.h"

bool tcp_addrs_set(struct net_stack *st, union tcp_addrs *a, const struct tcp_tuple *t)
{
    if (net_addr_is_v4(&t->remote)) {
        memcpy(a->v4, &t->local.be32[3], 4);
        memcpy(a->v4 + 4, &t->remote.be32[3], 4);
        return false;
    }
    a->v6 = tcp_v6_get(st);
    memcpy(a->v6->addrs, t->local.bytes, 16);
    memcpy(a->v6->addrs + 16, t->remote.bytes, 16);
    a->v6->sum = checksum_sum(a->v6->addrs, sizeof a->v6->addrs);
    return true;
}

void tcp_addrs_drop(struct net_stack *st, union tcp_addrs *a, bool v6)
{
    if (v6) tcp_v6_put(st, a->v6);
}

void tcp_addrs_tuple(const union tcp_addrs *a, bool v6, struct tcp_tuple *t)
{
    if (v6) {
        t->local = net_addr_v6(a->v6->addrs);
        t->remote = net_addr_v6(a->v6->addrs + 16);
        return;
    }
    uint32_t be[2];
    memcpy(be, a->v4, sizeof be);
    t->local = net_addr_v4_be(be[0]);
    t->remote = net_addr_v4_be(be[1]);
}

void tcp_conn_set_tuple(struct net_stack *st, struct tcp_conn *c, const struct tcp_tuple *t)
{
    c->ports = t->ports << 16 | t->ports >> 16;
    if (tcp_addrs_set(st, &c->addrs, t)) c->flags |= TCPF_V6;
}

void tcp_conn_drop_tuple(struct net_stack *st, struct tcp_conn *c)
{
    tcp_addrs_drop(st, &c->addrs, tcp_conn_v6(c));
    c->flags &= ~TCPF_V6;
}

void tcp_conn_tuple(const struct tcp_conn *c, struct tcp_tuple *t)
{
    tcp_addrs_tuple(&c->addrs, tcp_conn_v6(c), t);
    t->ports = c->ports << 16 | c->ports >> 16;
}

struct net_addr tcp_conn_remote(const struct tcp_conn *c)
{
    struct tcp_tuple t;
    tcp_conn_tuple(c, &t);
    return t.remote;
}

uint64_t tcp_conn_key(const struct net_stack *st, const struct tcp_conn *c)
{
    struct tcp_tuple t;
    tcp_conn_tuple(c, &t);
    return tcp_tuple_key(st->key_secret, &t);
}

bool tcp_conn_matches_v6(const struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!tcp_conn_v6(c)) return false;
    const uint8_t *ours = c->addrs.v6->addrs, *theirs = s->frame + s->ip_at + 8;
    return memcmp(ours, theirs + 16, 16) == 0 && memcmp(ours + 16, theirs, 16) == 0;
}
