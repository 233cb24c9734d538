#include "rdma/discover.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "rdma/address.h"

#define GIDS_SHOWN 16

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t cap, const char *format, ...)
{
    va_list args;
    size_t len = strlen(text);
    va_start(args, format);
    if (len < cap) vsnprintf(text + len, cap - len, format, args);
    va_end(args);
}

/* Devices of which libibverbs knows: it is there where the connection manager is not. */
static int devices_exist(char *text, size_t cap)
{
    int count = 0;
    setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 0); /* what a removed device had can be freed all the same */
    struct ibv_device **list = ibv_get_device_list(&count);
    int rc = list ? 0 : -errno;
    if (list) ibv_free_device_list(list);
    if (count > 0) return 0;
    if (rc == 0 || rc == -ENOSYS || rc == -ENOENT)
        say(text, cap,
            "this machine has no RDMA device: load its driver, or make a software one on a network interface "
            "(rdma link add rxe0 type rxe netdev INTERFACE)");
    else
        say(text, cap, "cannot list RDMA devices: %s", strerror(-rc));
    return -ENODEV;
}

int rdma_discover(const struct rdma_cm **cm, struct rdma_event_channel **channel, char *text, size_t cap)
{
    *text = '\0';
    int rc = devices_exist(text, cap);
    if (rc == 0) rc = rdma_cm_get(cm, text, cap);
    if (rc != 0) return rc;
    *channel = (*cm)->create_event_channel();
    if (!*channel) {
        rc = -errno;
        say(text, cap, "no RDMA event channel: %s", strerror(-rc));
        rdma_cm_put(cm);
        return rc;
    }
    int flags = fcntl((*channel)->fd, F_GETFL);
    fcntl((*channel)->fd, F_SETFL, flags | O_NONBLOCK);
    return 0;
}

void rdma_discover_end(const struct rdma_cm **cm, struct rdma_event_channel **channel)
{
    if (*channel) (*cm)->destroy_event_channel(*channel);
    *channel = NULL;
    rdma_cm_put(cm);
}

/* The port's addresses, each once: a GID stands in the table once for each version of RoCE. */
static void say_gids(struct ibv_context *verbs, uint8_t port, int table, char *text, size_t cap)
{
    union ibv_gid gid, last = {.raw = {0}};
    char one[INET6_ADDRSTRLEN];
    static const union ibv_gid none;
    unsigned shown = 0;
    for (int i = 0; i < table && shown < GIDS_SHOWN; i++) {
        if (ibv_query_gid(verbs, port, i, &gid) != 0 || memcmp(&gid, &none, sizeof gid) == 0) continue;
        if (memcmp(&gid, &last, sizeof gid) == 0) continue;
        bool v4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)gid.raw);
        inet_ntop(v4 ? AF_INET : AF_INET6, gid.raw + (v4 ? 12 : 0), one, sizeof one);
        say(text, cap, " %s", one);
        last = gid;
        shown++;
    }
    if (shown == 0) say(text, cap, " no GID: give its network interface an address");
}

/* "rxe0 port 1: 10.0.0.1 fe80::1; rxe1 port 1 is down: ..." */
static void say_devices(const struct rdma_cm *cm, char *text, size_t cap)
{
    int count = 0;
    struct ibv_context **list = cm->get_devices(&count);
    struct ibv_device_attr device;
    struct ibv_port_attr port;
    for (int i = 0; i < count; i++) {
        if (ibv_query_device(list[i], &device) != 0) continue;
        for (uint8_t p = 1; p <= device.phys_port_cnt; p++) {
            if (ibv_query_port(list[i], p, &port) != 0) continue;
            say(text, cap, "; %s port %u%s has", ibv_get_device_name(list[i]->device), p,
                port.state == IBV_PORT_ACTIVE ? "" : " (down)");
            say_gids(list[i], p, port.gid_tbl_len, text, cap);
        }
    }
    if (list) cm->free_devices(list);
}

static int bind_failed(const struct rdma_cm *cm, const struct sockaddr_storage *address, int rc, char *text, size_t cap)
{
    char where[RDMA_ADDRESS_TEXT];
    *text = '\0';
    rdma_address_format((const struct sockaddr *)address, where);
    if (rc == -ENODEV || rc == -EADDRNOTAVAIL) {
        say(text, cap, "%s belongs to no RDMA device", where);
        say_devices(cm, text, cap);
    } else {
        say(text, cap, "cannot bind %s: %s", where, strerror(-rc));
    }
    return rc;
}

int rdma_discover_bind(const struct rdma_cm *cm, struct rdma_event_channel *channel,
                       const struct sockaddr_storage *address, struct rdma_cm_id **id, char *text, size_t cap)
{
    struct sockaddr_storage copy = *address;
    int rc = cm->create_id(channel, id, NULL, RDMA_PS_TCP) == 0 ? 0 : -errno;
    if (rc != 0) return bind_failed(cm, address, rc, text, cap);
    if (address->ss_family == AF_INET6) { /* [::] and 0.0.0.0 stand side by side, as options of their own */
        int only = 1;
        cm->set_option(*id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &only, sizeof only);
    }
    if (cm->bind_addr(*id, (struct sockaddr *)&copy) != 0)
        rc = -errno;
    else if (!(*id)->verbs && !rdma_address_is_any(address))
        rc = -ENODEV;
    if (rc == 0) return 0;
    cm->destroy_id(*id);
    *id = NULL;
    return bind_failed(cm, address, rc, text, cap);
}

int rdma_discover_probe(const struct sockaddr_storage *address, char *text, size_t cap)
{
    const struct rdma_cm *cm;
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
    int rc = rdma_discover(&cm, &channel, text, cap);
    if (rc != 0) return rc;
    rc = rdma_discover_bind(cm, channel, address, &id, text, cap);
    if (rc == 0) cm->destroy_id(id);
    rdma_discover_end(&cm, &channel);
    return rc;
}
