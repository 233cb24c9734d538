#include "net/exception_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/if_tun.h>
#include "net/interface.h"

#define SEGMENTS_MAX 16

struct exception_tap {
    int fd;
    bool made; /* by us: removed at a clean end */
};

/* An ioctl that failed, by name; NULL: none. */
struct step {
    const char *failed;
    int rc;
};

static void step(struct step *s, const char *name, int fd, unsigned long request, void *arg)
{
    if (s->failed || ioctl(fd, request, arg) == 0) return;
    s->failed = name;
    s->rc = -errno;
}

static void addresses_set(struct step *s, const struct exception_tap_config *config)
{
    for (unsigned i = 0; i < config->addr_count && !s->failed; i++) {
        s->rc = net_interface_add(config->name, &config->addrs[i].addr, config->addrs[i].len);
        if (s->rc != 0) s->failed = "RTM_NEWADDR";
    }
}

static void interface_set(struct step *s, const struct exception_tap_config *config)
{
    struct ifreq request = {0};
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0) {
        *s = (struct step){"socket", -errno};
        return;
    }
    snprintf(request.ifr_name, IFNAMSIZ, "%s", config->name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, config->mac, sizeof config->mac);
    step(s, "SIOCSIFHWADDR", sock, SIOCSIFHWADDR, &request);
    request.ifr_mtu = config->mtu;
    step(s, "SIOCSIFMTU", sock, SIOCSIFMTU, &request);
    step(s, "SIOCGIFFLAGS", sock, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    step(s, "SIOCSIFFLAGS", sock, SIOCSIFFLAGS, &request);
    close(sock);
    addresses_set(s, config);
}

int exception_tap_open(struct exception_tap **out, const struct exception_tap_config *config, char *err_text,
                       size_t err_cap)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    struct step s = {0};
    struct exception_tap *tap = calloc(1, sizeof *tap);
    if (!tap) return -ENOMEM;
    snprintf(request.ifr_name, IFNAMSIZ, "%s", config->name);
    tap->made = if_nametoindex(config->name) == 0;
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0) s = (struct step){"open of /dev/net/tun", -errno};
    step(&s, "TUNSETIFF", tap->fd, TUNSETIFF, &request);
    if (!s.failed) interface_set(&s, config);
    if (!s.failed) step(&s, "TUNSETPERSIST", tap->fd, TUNSETPERSIST, (void *)(uintptr_t)1);
    if (!s.failed) {
        *out = tap;
        return 0;
    }
    snprintf(err_text, err_cap, "TAP device %s: %s: %s", config->name, s.failed, strerror(-s.rc));
    if (tap->fd >= 0) close(tap->fd);
    free(tap);
    return s.rc;
}

void exception_tap_close(struct exception_tap **tap)
{
    if (!*tap) return;
    if ((*tap)->made) ioctl((*tap)->fd, TUNSETPERSIST, (void *)(uintptr_t)0);
    close((*tap)->fd);
    free(*tap);
    *tap = NULL;
}

int exception_tap_fd(const struct exception_tap *tap)
{
    return tap->fd;
}

bool exception_tap_write(struct exception_tap *tap, const struct rte_mbuf *m)
{
    struct iovec pieces[SEGMENTS_MAX];
    int n = 0;
    for (const struct rte_mbuf *it = m; it; it = it->next) {
        if (n == SEGMENTS_MAX) return false;
        pieces[n++] = (struct iovec){rte_pktmbuf_mtod(it, void *), it->data_len};
    }
    return writev(tap->fd, pieces, n) == (ssize_t)m->pkt_len;
}

int exception_tap_read(struct exception_tap *tap, struct rte_mbuf *m)
{
    uint32_t room = rte_pktmbuf_tailroom(m);
    ssize_t n = read(tap->fd, rte_pktmbuf_mtod(m, void *), room);
    if (n <= 0) return 0;
    if ((uint32_t)n >= room) return -1;
    m->data_len = (uint16_t)n;
    m->pkt_len = (uint32_t)n;
    return 1;
}
