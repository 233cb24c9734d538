#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int net_addr_parse(const char *text, uint32_t *ip)
{
    struct in_addr a;
    if (inet_pton(AF_INET, text, &a) != 1) return -EINVAL;
    *ip = ntohl(a.s_addr);
    return 0;
}

/* One or two digits, 0..32. */
static int prefix_parse(const char *text, uint8_t *prefix_len)
{
    unsigned value = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 2 || text[digits] != '\0') return -EINVAL;
    for (; *text; text++) value = value * 10 + (unsigned)(*text - '0');
    if (value > 32) return -EINVAL;
    *prefix_len = (uint8_t)value;
    return 0;
}

int net_addr_parse_prefix(const char *text, uint32_t *ip, uint8_t *prefix_len)
{
    char address[NET_ADDR_TEXT];
    const char *slash = strchr(text, '/');
    if (!slash || (size_t)(slash - text) >= sizeof address) return -EINVAL;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = '\0';
    if (net_addr_parse(address, ip) != 0) return -EINVAL;
    return prefix_parse(slash + 1, prefix_len);
}

char *net_addr_format(uint32_t ip, char text[static NET_ADDR_TEXT])
{
    struct in_addr a = {.s_addr = htonl(ip)};
    inet_ntop(AF_INET, &a, text, NET_ADDR_TEXT);
    return text;
}
