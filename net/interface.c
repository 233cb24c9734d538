#include "net/interface.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static bool same(const struct sockaddr *sa, const struct net_addr *addr)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (sa->sa_family == AF_INET && net_addr_is_v4(addr)) {
        memcpy(&in, sa, sizeof in);
        return memcmp(&in.sin_addr, &addr->be32[3], 4) == 0;
    }
    if (sa->sa_family != AF_INET6) return false;
    memcpy(&in6, sa, sizeof in6);
    return memcmp(&in6.sin6_addr, addr->bytes, 16) == 0;
}

bool net_interface_has(const char *iface, const struct net_addr *addr)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) != 0) return false;
    for (const struct ifaddrs *it = all; it && !found; it = it->ifa_next)
        found = it->ifa_addr && strcmp(it->ifa_name, iface) == 0 && same(it->ifa_addr, addr);
    freeifaddrs(all);
    return found;
}

struct address_request {
    struct nlmsghdr header;
    struct ifaddrmsg message;
    char attributes[2 * RTA_SPACE(16)];
};

struct address_answer {
    struct nlmsghdr header;
    struct nlmsgerr error;
};

static void attribute_put(struct address_request *request, uint16_t type, const void *data, uint16_t bytes)
{
    struct rtattr *at = (struct rtattr *)(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    at->rta_type = type;
    at->rta_len = (uint16_t)RTA_LENGTH(bytes);
    memcpy(RTA_DATA(at), data, bytes);
    request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (uint32_t)RTA_SPACE(bytes);
}

int net_interface_add(const char *iface, const struct net_addr *addr, uint8_t len)
{
    bool v4 = net_addr_is_v4(addr);
    struct address_answer answer = {.error.error = -EIO};
    struct address_request request = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof request.message),
                   .nlmsg_type = RTM_NEWADDR,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .message = {.ifa_family = v4 ? AF_INET : AF_INET6,
                    .ifa_prefixlen = len,
                    .ifa_flags = v4 ? 0 : IFA_F_NODAD, /* the port's stack and we are one host */
                    .ifa_index = if_nametoindex(iface)}};
    attribute_put(&request, IFA_LOCAL, v4 ? addr->bytes + 12 : addr->bytes, v4 ? 4 : 16);
    attribute_put(&request, IFA_ADDRESS, v4 ? addr->bytes + 12 : addr->bytes, v4 ? 4 : 16);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -errno;
    int rc = 0;
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0)
        rc = -errno;
    else if (answer.error.error != -EEXIST)
        rc = answer.error.error;
    close(fd);
    return rc;
}
