#include "net/tcp/tcp_known.h"

#include "net/tcp/tcp.h"

static char *set_of(void *table, size_t bytes, uint32_t count, const uint64_t secret[2], const struct net_addr *addr)
{
    uint64_t hash = siphash(secret, addr->bytes, sizeof addr->bytes);
    return (char *)table + bytes * TCP_KNOWN_WAYS * (hash % (count / TCP_KNOWN_WAYS));
}

void *tcp_known_find(void *table, size_t bytes, uint32_t count, const uint64_t secret[2], const struct net_addr *addr)
{
    char *set = set_of(table, bytes, count, secret, addr);
    for (unsigned i = 0; i < TCP_KNOWN_WAYS; i++) {
        struct tcp_known *e = (struct tcp_known *)(set + i * bytes);
        if (e->used_at && net_addr_equal(&e->addr, addr)) return e;
    }
    return NULL;
}

void *tcp_known_room(void *table, size_t bytes, uint32_t count, const uint64_t secret[2], const struct net_addr *addr)
{
    char *set = set_of(table, bytes, count, secret, addr);
    struct tcp_known *room = (struct tcp_known *)set;
    for (unsigned i = 1; i < TCP_KNOWN_WAYS; i++) {
        struct tcp_known *e = (struct tcp_known *)(set + i * bytes);
        if (e->used_at < room->used_at) room = e;
    }
    return room;
}
