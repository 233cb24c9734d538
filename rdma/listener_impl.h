/*
 * Inside the listener: listener.c has its life, listener_address.c its addresses, listener_rail.c the devices with a
 * lane for each core, listener_link.c the connections.
 *
 * A device goes (DEVICE_REMOVAL of an address or a connection on it, its own DEVICE_FATAL, or nobody says so and it is
 * not there any more):
 *
 *   rail_doom      its connections end, its addresses are closed
 *   rail_settle    the last of its connections is gone: what the cores have of it is taken from them, on the cores, and
 *                  all of it is freed
 *   listener_tidy  the connection manager lets go of it too: now the kernel can remove it
 *   endpoints_retry  every second: it is back
 */
#ifndef POLAR_RDMA_LISTENER_IMPL_H
#define POLAR_RDMA_LISTENER_IMPL_H

#include "rdma/cm.h"
#include "rdma/device.h"
#include "rdma/listener.h"
#include "rdma/pair.h"

#define RAILS_MAX RDMA_LANES_MAX
#define TEXT_BYTES 900u

/* An address. */
struct endpoint {
    struct rdma_listen listen;
    struct rdma_cm_id *id; /* NULL: its device went; tried again */
    bool listening;
};

/* A device, and what each core has of it. */
struct rail {
    struct rdma_listener *listener;
    struct rdma_device *device; /* NULL: free */
    struct rdma_lane lanes[RDMA_CORES_MAX];
    struct reactor_fd async;
    uint32_t links;
    bool doomed; /* it went, or failed: closed as soon as its links are */
};

enum link_state {
    LINK_ASKED, /* accepted, not confirmed by the client */
    LINK_UP,
    LINK_GONE, /* the core has been told; RDMA_NOTICE_DONE is to come */
};

/* A connection. */
struct link {
    struct rdma_pair pair; /* first: the context of its queue pair */
    struct rdma_listener *listener;
    struct rail *rail;
    unsigned core;
    enum link_state state;
    uint64_t limit_ns; /* of LINK_ASKED */
    struct link *next, *prev;
};

struct rdma_listener {
    struct rdma_listener_config config;
    struct rdma_listener_core cores[RDMA_CORES_MAX];
    struct endpoint *endpoints; /* config.listen_count */
    struct rail rails[RAILS_MAX];
    struct link *links;
    uint32_t connections[RDMA_CORES_MAX]; /* of each core */
    uint32_t asked;                       /* links in LINK_ASKED */
    const struct rdma_cm *cm; /* NULL: given back, with the last device; it is gotten again when there is one */
    struct rdma_event_channel *channel;
    struct reactor_fd channel_fd;
    struct poller poller;
    uint64_t next_check_ns;
    bool started, stopped;
    bool stale; /* a device went that the connection manager still has open */
    struct rdma_listener_metrics metrics;
};

/* The connection manager, watched in the reactor. 0 or -errno with text. */
int listener_connect(struct rdma_listener *listener, char *text, size_t cap);

/* Opens, and listens once the listener is started. 0 or -errno with text. */
int endpoint_open(struct rdma_listener *listener, struct endpoint *endpoint, char *text, size_t cap);
int endpoint_listen(struct rdma_listener *listener, struct endpoint *endpoint, char *text, size_t cap);
void endpoint_close(struct rdma_listener *listener, struct endpoint *endpoint); /* tried again later, unless stopped */
struct endpoint *endpoint_of(struct rdma_listener *listener, const struct rdma_cm_id *id); /* NULL: none */
void endpoint_event(struct rdma_listener *listener, struct endpoint *endpoint, enum rdma_cm_event_type event);
/* Of what lost its device: perhaps it is back. */
void endpoints_retry(struct rdma_listener *listener);
bool endpoints_all_open(const struct rdma_listener *listener);

/* The rail of a device, opened if need be. NULL with text. */
struct rail *rail_get(struct rdma_listener *listener, struct ibv_context *verbs, char *text, size_t cap);
/* Those that the kernel has removed without a word. */
void rails_check(struct rdma_listener *listener);
bool rails_doomed(const struct rdma_listener *listener); /* one waits for its links */
void rails_doom(struct rdma_listener *listener, const struct ibv_context *verbs);
/* The device is gone or broken: its links end, its addresses are tried again. */
void rail_doom(struct rail *rail);
/* Closes the rail if it is doomed and has no links. */
void rail_settle(struct rail *rail);
void rail_close(struct rail *rail);

/* endpoint NULL: it is gone meanwhile. reads: one-sided ones that the client would like to have in flight. */
void link_request(struct rdma_listener *listener, struct endpoint *endpoint, struct rdma_cm_id *id, uint8_t reads);
void link_event(struct link *link, enum rdma_cm_event_type event);
/* Counts why, disconnects, tells the core; nothing when that has been done. */
void link_end(struct link *link, uint64_t *why);
/* Takes back from the device what the core, which does not run any more, has not let go of. */
void link_abandon(struct link *link);
/* What the cores have to say. Returns how much. */
unsigned links_notices(struct rdma_listener *listener);
/* Ends those that their clients do not confirm. */
void links_check(struct rdma_listener *listener, uint64_t now_ns);

#endif
