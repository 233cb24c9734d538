#include "rdma/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Splits "HOST:PORT" or "[HOST]:PORT"; *host is cut out of the copy. NULL: neither. */
static char *split(char *copy, char **port)
{
    char *colon = strrchr(copy, ':');
    if (!colon) return NULL;
    *colon = '\0';
    *port = colon + 1;
    size_t len = strlen(copy);
    if (*copy != '[') return strchr(copy, ':') ? NULL : copy; /* an IPv6 address stands in brackets */
    if (len < 2 || copy[len - 1] != ']') return NULL;
    copy[len - 1] = '\0';
    return copy + 1;
}

static int port_parse(const char *text, in_port_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') return -EINVAL;
    unsigned long port = strtoul(text, &end, 10);
    if (*end || port == 0 || port > 65535) return -EINVAL;
    *out = htons((uint16_t)port);
    return 0;
}

static int v6_parse(char *host, struct sockaddr_in6 *out)
{
    char *scope = strchr(host, '%');
    if (scope) {
        *scope++ = '\0';
        out->sin6_scope_id = if_nametoindex(scope);
        if (out->sin6_scope_id == 0) return -EINVAL;
    }
    out->sin6_family = AF_INET6;
    return inet_pton(AF_INET6, host, &out->sin6_addr) == 1 ? 0 : -EINVAL;
}

int rdma_address_parse(const char *text, struct sockaddr_storage *out)
{
    char copy[RDMA_ADDRESS_TEXT], *port;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy) return -EINVAL;
    char *host = split(copy, &port);
    if (!host) return -EINVAL;
    if (*text == '[') {
        int rc = v6_parse(host, v6);
        return rc ? rc : port_parse(port, &v6->sin6_port);
    }
    v4->sin_family = AF_INET;
    if (inet_pton(AF_INET, host, &v4->sin_addr) != 1) return -EINVAL;
    return port_parse(port, &v4->sin_port);
}

static void v6_format(const struct sockaddr_in6 *v6, char *text)
{
    char host[INET6_ADDRSTRLEN] = "?", name[IF_NAMESIZE];
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    const char *scope = v6->sin6_scope_id ? if_indextoname(v6->sin6_scope_id, name) : NULL;
    snprintf(text, RDMA_ADDRESS_TEXT, "[%s%s%s]:%u", host, scope ? "%" : "", scope ? scope : "", ntohs(v6->sin6_port));
}

void rdma_address_format(const struct sockaddr *address, char text[static RDMA_ADDRESS_TEXT])
{
    char host[INET_ADDRSTRLEN] = "?";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    if (address->sa_family == AF_INET6) {
        v6_format((const struct sockaddr_in6 *)address, text);
        return;
    }
    if (address->sa_family != AF_INET) {
        snprintf(text, RDMA_ADDRESS_TEXT, "?");
        return;
    }
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(text, RDMA_ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
}

static const struct in6_addr *v6_of(const struct sockaddr_storage *address)
{
    return &((const struct sockaddr_in6 *)address)->sin6_addr;
}

static uint32_t v4_of(const struct sockaddr_storage *address)
{
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
}

bool rdma_address_is_any(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? v4_of(address) == 0 : IN6_IS_ADDR_UNSPECIFIED(v6_of(address));
}

bool rdma_address_is_loopback(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? v4_of(address) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(v6_of(address));
}

uint16_t rdma_address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                               : ((const struct sockaddr_in6 *)address)->sin6_port);
}

void rdma_address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    in_port_t *at = address->ss_family == AF_INET ? &((struct sockaddr_in *)address)->sin_port
                                                  : &((struct sockaddr_in6 *)address)->sin6_port;
    *at = htons(port);
}
