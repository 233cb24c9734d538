#include "net/xdp_share.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_link.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "base/log.h"
#include "net/xdp_share_maps.h"
#include "net/xdp_share_object.h"

#define MAPS_MAX 8u

struct xdp_share {
    char iface[IF_NAMESIZE];
    unsigned ifindex;
    int lock_fd;
    int object_fd; /* the program's file, in memory */
    int addresses_fd, listeners_fd;
    char path[32];
};

bool xdp_share_interface(const char *vdev, char *iface, size_t cap)
{
    static const char driver[] = "net_af_xdp", key[] = ",iface=";
    if (strncmp(vdev, driver, sizeof driver - 1) != 0) return false;
    const char *at = strstr(vdev, key);
    if (!at) return false;
    at += sizeof key - 1;
    size_t len = strcspn(at, ",");
    if (len == 0 || len >= cap || len >= IF_NAMESIZE) return false;
    memcpy(iface, at, len);
    iface[len] = '\0';
    return true;
}

/* -EBUSY: somebody holds it. */
static int lock_take(const char *iface, int *fd)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "polarkv-xdp-%s", iface);
    *fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) return -errno;
    if (bind(*fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0)
        return 0;
    int rc = errno == EADDRINUSE ? -EBUSY : -errno;
    close(*fd);
    *fd = -1;
    return rc;
}

/* A descriptor of the interface's program, its name and its maps; -ENOENT: there is none. */
static int program_find(unsigned ifindex, struct bpf_prog_info *info, uint32_t maps[MAPS_MAX])
{
    uint32_t id = 0, size = sizeof *info;
    int rc = bpf_xdp_query_id((int)ifindex, 0, &id);
    if (rc != 0) return rc;
    if (id == 0) return -ENOENT;
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0) return fd;
    memset(info, 0, sizeof *info);
    info->map_ids = (uintptr_t)maps;
    info->nr_map_ids = MAPS_MAX;
    rc = bpf_obj_get_info_by_fd(fd, info, &size);
    if (rc == 0) return fd;
    close(fd);
    return rc;
}

/* True: *id and *name are of a program that is not ours. */
static bool program_foreign(unsigned ifindex, uint32_t *id, char name[BPF_OBJ_NAME_LEN])
{
    struct bpf_prog_info info;
    uint32_t maps[MAPS_MAX];
    int fd = program_find(ifindex, &info, maps);
    if (fd < 0) return false;
    close(fd);
    *id = info.id;
    memcpy(name, info.name, BPF_OBJ_NAME_LEN);
    return strcmp(info.name, XDP_SHARE_PROGRAM) != 0;
}

/* Takes our program off the interface. 0 also when it is not there. */
static int program_detach(unsigned ifindex)
{
    struct bpf_prog_info info;
    uint32_t maps[MAPS_MAX];
    int fd = program_find(ifindex, &info, maps);
    if (fd == -ENOENT) return 0;
    if (fd < 0) return fd;
    int rc = 0;
    if (strcmp(info.name, XDP_SHARE_PROGRAM) == 0) {
        LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd); /* not one that came in its place meanwhile */
        rc = bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE, &opts);
    }
    close(fd);
    return rc;
}

int xdp_share_clear(const char *iface)
{
    int lock, rc = lock_take(iface, &lock);
    if (rc != 0) return rc;
    unsigned ifindex = if_nametoindex(iface);
    rc = ifindex ? program_detach(ifindex) : 0;
    close(lock);
    return rc;
}

/* The program as a file that only this process sees. */
static int object_file(struct xdp_share *share)
{
    share->object_fd = memfd_create("polar_share.o", MFD_CLOEXEC);
    if (share->object_fd < 0) return -errno;
    for (size_t done = 0; done < xdp_share_object_bytes;) {
        ssize_t n = write(share->object_fd, xdp_share_object + done, xdp_share_object_bytes - done);
        if (n < 0) return -errno;
        done += (size_t)n;
    }
    snprintf(share->path, sizeof share->path, "/proc/self/fd/%d", share->object_fd);
    return 0;
}

/* One line that says why; returns rc. */
static int refuse(const struct xdp_share *share, int rc, char *err_text, size_t err_cap)
{
    uint32_t id;
    char name[BPF_OBJ_NAME_LEN];
    if (rc == -ENOTSUP)
        snprintf(err_text, err_cap, "built without clang, which compiles the XDP program");
    else if (rc == -ENODEV)
        snprintf(err_text, err_cap, "there is no interface %s", share->iface);
    else if (rc == -EBUSY && program_foreign(share->ifindex, &id, name))
        snprintf(err_text, err_cap,
                 "interface %s has the XDP program %s (id %u): take it off with ip link set %s xdp off", share->iface,
                 name, id, share->iface);
    else if (rc == -EBUSY)
        snprintf(err_text, err_cap, "another process serves on interface %s", share->iface);
    else
        snprintf(err_text, err_cap, "interface %s: %s", share->iface, strerror(-rc));
    return rc;
}

static int interface_take(struct xdp_share *share)
{
    uint32_t id;
    char name[BPF_OBJ_NAME_LEN];
    if (xdp_share_object_bytes == 0) return -ENOTSUP;
    share->ifindex = if_nametoindex(share->iface);
    if (share->ifindex == 0) return -ENODEV;
    int rc = lock_take(share->iface, &share->lock_fd);
    if (rc != 0) return rc;
    if ((rc = program_detach(share->ifindex)) != 0) return rc;
    if (program_foreign(share->ifindex, &id, name)) return -EBUSY;
    return object_file(share);
}

static void share_free(struct xdp_share *share)
{
    int fds[] = {share->listeners_fd, share->addresses_fd, share->object_fd, share->lock_fd};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0) close(fds[i]);
    free(share);
}

int xdp_share_open(struct xdp_share **out, const char *iface, char *err_text, size_t err_cap)
{
    struct xdp_share *share = calloc(1, sizeof *share);
    if (!share) return -ENOMEM;
    share->lock_fd = share->object_fd = share->addresses_fd = share->listeners_fd = -1;
    snprintf(share->iface, sizeof share->iface, "%s", iface);
    int rc = interface_take(share);
    if (rc != 0) {
        refuse(share, rc, err_text, err_cap);
        share_free(share);
        return rc;
    }
    *out = share;
    return 0;
}

const char *xdp_share_path(const struct xdp_share *share)
{
    return share->path;
}

static void map_take(struct xdp_share *share, uint32_t id)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof info;
    int fd = bpf_map_get_fd_by_id(id);
    if (fd < 0) return;
    int *place = NULL;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0) {
        if (strcmp(info.name, XDP_SHARE_ADDRESSES) == 0) place = &share->addresses_fd;
        if (strcmp(info.name, XDP_SHARE_LISTENERS) == 0) place = &share->listeners_fd;
    }
    if (place)
        *place = fd;
    else
        close(fd);
}

int xdp_share_attach(struct xdp_share *share, char *err_text, size_t err_cap)
{
    struct bpf_prog_info info;
    uint32_t maps[MAPS_MAX];
    int fd = program_find(share->ifindex, &info, maps);
    if (fd >= 0) {
        for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) map_take(share, maps[i]);
        close(fd);
    }
    if (share->addresses_fd >= 0 && share->listeners_fd >= 0) return 0;
    snprintf(err_text, err_cap, "interface %s does not have our XDP program after the start of its port", share->iface);
    return fd < 0 ? fd : -ENOENT;
}

int xdp_share_set_address(struct xdp_share *share, const struct net_addr *addr, uint16_t first, uint16_t last)
{
    struct xdp_share_address key;
    struct xdp_share_clients clients = {.first = first, .last = last};
    memcpy(key.addr, addr->bytes, sizeof key.addr);
    return bpf_map_update_elem(share->addresses_fd, &key, &clients, BPF_ANY);
}

int xdp_share_claim(struct xdp_share *share, const struct net_addr *addr, uint16_t port, bool claim)
{
    struct xdp_share_listener key = {.port = htons(port)};
    uint8_t value = 1;
    memcpy(key.addr, addr->bytes, sizeof key.addr);
    if (claim) return bpf_map_update_elem(share->listeners_fd, &key, &value, BPF_ANY);
    return bpf_map_delete_elem(share->listeners_fd, &key);
}

void xdp_share_close(struct xdp_share **share)
{
    if (!*share) return;
    int rc = program_detach((*share)->ifindex);
    if (rc != 0) log_warn("interface %s keeps our XDP program: %s", (*share)->iface, strerror(-rc));
    share_free(*share);
    *share = NULL;
}
