/* Addresses as applications give them and get them. */
#include <string.h>
#include <arpa/inet.h>
#include "net/polar/polar_impl.h"

int name_parse(uint8_t family, const struct sockaddr *address, socklen_t len, struct net_endpoint *out)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (!address || len < sizeof address->sa_family) return -EINVAL;
    if (address->sa_family != family) return -EAFNOSUPPORT;
    if (len < (family == AF_INET ? sizeof in : sizeof in6)) return -EINVAL;
    if (family == AF_INET) {
        memcpy(&in, address, sizeof in);
        *out = (struct net_endpoint){net_addr_v4_be(in.sin_addr.s_addr), ntohs(in.sin_port)};
    } else {
        memcpy(&in6, address, sizeof in6);
        *out = (struct net_endpoint){net_addr_v6(&in6.sin6_addr), ntohs(in6.sin6_port)};
    }
    return 0;
}

int name_write(uint8_t family, const struct net_endpoint *name, struct sockaddr *address, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(name->port), .sin_addr.s_addr = name->addr.be32[3]};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(name->port)};
    socklen_t whole = family == AF_INET ? sizeof in : sizeof in6;
    if (!address) return 0;
    if (!len) return fail_with(EFAULT);
    memcpy(&in6.sin6_addr, name->addr.bytes, sizeof in6.sin6_addr);
    memcpy(address, family == AF_INET ? (const void *)&in : &in6, *len < whole ? *len : whole);
    *len = whole;
    return 0;
}

int polar_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return getsockname(kernel, address, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (!address) return fail_with(EFAULT);
    return name_write(s->family, &s->local, address, len);
}

int polar_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    struct polar_sock *s;
    int kernel = sock_resolve(fd, &s);
    if (kernel >= 0) return getpeername(kernel, address, len);
    if (!s) return -1;
    if (s->state == SOCK_SET) return fail_with(ENOTSOCK);
    if (s->state != SOCK_CONNECTED) return fail_with(ENOTCONN);
    if (!address) return fail_with(EFAULT);
    return name_write(s->family, &s->peer, address, len);
}
