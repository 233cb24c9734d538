#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define PREFIX_TEXT (NET_ADDR_TEXT + 4u)

bool net_prefix_contains(const struct net_prefix *p, const struct net_addr *a)
{
    bool v4 = net_addr_is_v4(&p->addr);
    if (v4 != net_addr_is_v4(a)) return false;
    unsigned bits = p->len + (v4 ? 96u : 0u), whole = bits / 8;
    if (memcmp(p->addr.bytes, a->bytes, whole) != 0) return false;
    return bits % 8 == 0 || (p->addr.bytes[whole] ^ a->bytes[whole]) >> (8 - bits % 8) == 0;
}

int net_addr_parse(const char *text, struct net_addr *addr)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, text, &v4) == 1)
        *addr = net_addr_v4_be(v4.s_addr);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        *addr = net_addr_v6(&v6);
    else
        return -EINVAL;
    return 0;
}

/* One to three digits, up to most. */
static int length_parse(const char *text, unsigned most, uint8_t *len)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 3 || text[digits] != '\0') return -EINVAL;
    for (; *text; text++) value = value * 10 + (unsigned)(*text - '0');
    if (value > most) return -EINVAL;
    *len = (uint8_t)value;
    return 0;
}

int net_prefix_parse(const char *text, struct net_prefix *prefix)
{
    char address[NET_ADDR_TEXT];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof address) return -EINVAL;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (net_addr_parse(address, &prefix->addr) != 0) return -EINVAL;
    return length_parse(slash + 1, net_addr_is_v4(&prefix->addr) ? 32 : 128, &prefix->len);
}

/* What stands before the next comma, or the end. Its length, or -EINVAL: it does not fit. */
static int item_take(const char *text, char *item, size_t cap)
{
    size_t len = strcspn(text, ",");
    if (len >= cap) return -EINVAL;
    memcpy(item, text, len);
    item[len] = '\0';
    return (int)len;
}

int net_addr_list_parse(const char *text, struct net_addr *addrs, unsigned max)
{
    unsigned n = 0;
    for (; *text; n++) {
        char item[NET_ADDR_TEXT];
        int len = item_take(text, item, sizeof item);
        if (len < 0 || n == max || net_addr_parse(item, &addrs[n]) != 0) return -EINVAL;
        text += len + (text[len] == ',');
    }
    return (int)n;
}

int net_prefix_list_parse(const char *text, struct net_prefix *prefixes, unsigned max)
{
    for (unsigned n = 0; n < max;) {
        char item[PREFIX_TEXT];
        int len = item_take(text, item, sizeof item);
        if (len < 0 || net_prefix_parse(item, &prefixes[n]) != 0) return -EINVAL;
        n++;
        if (text[len] == '\0') return (int)n;
        text += len + 1;
    }
    return -EINVAL;
}

char *net_addr_format(const struct net_addr *addr, char text[static NET_ADDR_TEXT])
{
    if (net_addr_is_v4(addr))
        inet_ntop(AF_INET, &addr->be32[3], text, NET_ADDR_TEXT);
    else
        inet_ntop(AF_INET6, addr->bytes, text, NET_ADDR_TEXT);
    return text;
}

char *net_endpoint_format(const struct net_endpoint *endpoint, char text[static NET_ENDPOINT_TEXT])
{
    char address[NET_ADDR_TEXT];
    bool v4 = net_addr_is_v4(&endpoint->addr);
    net_addr_format(&endpoint->addr, address);
    snprintf(text, NET_ENDPOINT_TEXT, v4 ? "%s:%u" : "[%s]:%u", address, (unsigned)endpoint->port);
    return text;
}
