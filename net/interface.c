#include "net/interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <string.h>
#include <netinet/in.h>

bool net_interface_has(const char *iface, uint32_t ip)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all) != 0) return false;
    for (const struct ifaddrs *it = all; it && !found; it = it->ifa_next) {
        struct sockaddr_in in;
        if (!it->ifa_addr || it->ifa_addr->sa_family != AF_INET || strcmp(it->ifa_name, iface) != 0) continue;
        memcpy(&in, it->ifa_addr, sizeof in);
        found = ntohl(in.sin_addr.s_addr) == ip;
    }
    freeifaddrs(all);
    return found;
}
