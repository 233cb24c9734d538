/* Addresses as applications give them and get them. */
#include <string.h>
#include <arpa/inet.h>
#include "net/polar/polar_impl.h"

int name_parse(const struct sockaddr *address, socklen_t len, struct polar_name *out)
{
    struct sockaddr_in in;
    if (!address || len < sizeof address->sa_family) return -EINVAL;
    if (address->sa_family != AF_INET) return -EAFNOSUPPORT;
    if (len < sizeof in) return -EINVAL;
    memcpy(&in, address, sizeof in);
    *out = (struct polar_name){.ip = ntohl(in.sin_addr.s_addr), .port = ntohs(in.sin_port)};
    return 0;
}

int name_write(const struct polar_name *name, struct sockaddr *address, socklen_t *len)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(name->port), .sin_addr.s_addr = htonl(name->ip)};
    if (!address) return 0;
    if (!len) return fail_with(EFAULT);
    memcpy(address, &in, *len < sizeof in ? *len : sizeof in);
    *len = sizeof in;
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
    return name_write(&s->local, address, len);
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
    return name_write(&s->peer, address, len);
}
