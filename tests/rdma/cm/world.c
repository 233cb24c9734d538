#include "tests/rdma/cm/world_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "rdma/address.h"
#include "tests/support/eal.h"

#define IDS 256u
#define PEER_RECEIVES 64u

struct event {
    struct rdma_cm_event event; /* first */
};

struct id {
    struct rdma_cm_id id; /* first */
    bool alive, bound;
    struct ibv_qp *peer; /* whom its pair is connected to */
};

struct world world;

static struct id ids[IDS]; /* none is used twice, so that a late look at one is seen */
static unsigned id_count;
static struct rdma_event_channel channels[1];
static struct rdma_cm_event events[EVENTS];
static unsigned event_count;
static struct fake_device *peers; /* all clients' */
static struct ibv_cq *peers_cq;
static uint8_t peers_memory[64];
static uint32_t peers_key;
static struct buf_pools pools[WORLD_CORES];

/* ---- the connection manager ---- */

static struct id *id_of(const struct rdma_cm_id *id)
{
    struct id *i = (struct id *)(uintptr_t)id;
    assert_true(i->alive);
    return i;
}

/* Of an address; NULL: none, or it is not there. */
static struct device *device_at(const struct sockaddr *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    unsigned n = address->sa_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 8 & 0xff : 0;
    return n < WORLD_DEVICES && devices[n].here ? &devices[n] : NULL;
}

static struct rdma_event_channel *cm_create_event_channel(void)
{
    channels[0].fd = eventfd(0, EFD_NONBLOCK);
    world.counts.channels++;
    return &channels[0];
}

static void cm_destroy_event_channel(struct rdma_event_channel *channel)
{
    close(channel->fd);
    event_count = 0;
    world.counts.channels--;
}

static struct id *id_new(struct rdma_event_channel *channel, void *context)
{
    assert_true(id_count < IDS);
    struct id *i = &ids[id_count++];
    *i = (struct id){.id = {.channel = channel, .context = context}, .alive = true};
    world.counts.ids++;
    return i;
}

static int cm_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
                        enum rdma_port_space space)
{
    (void)space;
    *id = &id_new(channel, context)->id;
    return 0;
}

static int cm_destroy_id(struct rdma_cm_id *id)
{
    struct id *i = id_of(id);
    assert_null(id->qp);
    i->alive = false;
    for (unsigned e = 0; e < event_count;) { /* the kernel forgets what it would have said */
        if (events[e].id == id)
            events[e] = events[--event_count];
        else
            e++;
    }
    world.counts.ids--;
    return 0;
}

static int cm_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    world_quiet_fd(channel->fd);
    if (event_count == 0) {
        errno = EAGAIN;
        return -1;
    }
    struct event *copy = calloc(1, sizeof *copy);
    copy->event = events[0];
    memmove(events, events + 1, --event_count * sizeof *events);
    *event = &copy->event;
    return 0;
}

static int cm_ack_cm_event(struct rdma_cm_event *event)
{
    free(event);
    return 0;
}

static struct ibv_context **cm_get_devices(int *count)
{
    struct ibv_context **list = calloc(WORLD_DEVICES + 1, sizeof *list);
    int n = 0;
    for (unsigned i = 0; i < WORLD_DEVICES; i++)
        if (devices[i].here) list[n++] = device_open(&devices[i]);
    if (count) *count = n;
    return list;
}

static void cm_free_devices(struct ibv_context **list)
{
    free(list);
}

static int cm_bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
    struct sockaddr_storage copy = {0};
    if (world_fault(&world.faults.bind) != 0) return -1;
    memcpy(&copy, address, address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    struct device *d = device_at(address);
    if (!rdma_address_is_any(&copy) && !d) {
        errno = ENODEV;
        return -1;
    }
    if (!rdma_address_is_any(&copy)) id->verbs = device_open(d);
    memcpy(&id->route.addr.src_storage, &copy, sizeof copy);
    id_of(id)->bound = true;
    return 0;
}

static int cm_listen(struct rdma_cm_id *id, int backlog)
{
    assert_true(id_of(id)->bound && backlog > 0);
    return world_fault(&world.faults.listen);
}

static int cm_set_option(struct rdma_cm_id *id, int level, int option, void *value, size_t bytes)
{
    (void)level, (void)option, (void)value, (void)bytes;
    id_of(id);
    return 0;
}

static int cm_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    id_of(id);
    id->qp = ibv_create_qp(pd, attr);
    return id->qp ? 0 : -1;
}

static void cm_destroy_qp(struct rdma_cm_id *id)
{
    id_of(id);
    ibv_destroy_qp(id->qp);
    id->qp = NULL;
}

/* As the kernel says it of a client that would like to read: it asks for more than a server needs to give. */
static int cm_init_qp_attr(struct rdma_cm_id *id, struct ibv_qp_attr *attr, int *mask)
{
    id_of(id);
    *mask = IBV_QP_STATE;
    attr->qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
    attr->max_dest_rd_atomic = attr->max_rd_atomic = 77;
    if (attr->qp_state == IBV_QPS_INIT) *mask |= IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX | IBV_QP_PORT;
    if (attr->qp_state == IBV_QPS_RTR) *mask |= IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN;
    if (attr->qp_state == IBV_QPS_RTS) *mask |= IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_SQ_PSN;
    return 0;
}

/* A client's, or a server's, which receives and says nothing. */
static void peer_connect(struct rdma_cm_id *id, struct ibv_qp *own)
{
    struct ibv_srq *srq = fake_srq_create(peers, PEER_RECEIVES);
    struct ibv_sge sge = {.addr = (uintptr_t)peers_memory, .length = sizeof peers_memory, .lkey = peers_key};
    for (unsigned i = 0; i < PEER_RECEIVES; i++) {
        struct ibv_recv_wr wr = {.sg_list = &sge, .num_sge = 1}, *bad;
        assert_int_equal(ibv_post_srq_recv(srq, &wr, &bad), 0);
    }
    struct ibv_qp *qp =
        fake_qp_create(peers, &(struct fake_qp_config){.cq = peers_cq, .srq = srq, .send_depth = 16, .max_sge = 1});
    fake_qp_connect(own, qp);
    id_of(id)->peer = qp;
}

static int cm_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    id_of(id);
    if (world_fault(&world.faults.accept) != 0) return -1;
    /* One that librdmacm knew would be brought up by it, as the kernel says. */
    struct ibv_qp *own = fake_qp_find(world.fake, param->qp_num);
    assert_null(id->qp);
    assert_non_null(own);
    assert_int_equal(own->state, IBV_QPS_RTS);
    assert_int_equal(fake_qp_access(own), IBV_ACCESS_REMOTE_WRITE);
    assert_int_equal(world.max_dest_rd_atomic, param->responder_resources);
    world.accepted = *param;
    world.counts.accepts++;
    peer_connect(id, own);
    return 0;
}

static int cm_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    id_of(id);
    if (world_fault(&world.faults.connect) != 0) return -1;
    world.connected = *param;
    peer_connect(id, id->qp);
    return 0;
}

static int cm_reject(struct rdma_cm_id *id, const void *data, uint8_t bytes)
{
    (void)data, (void)bytes;
    assert_null(id_of(id)->peer);
    world.counts.rejects++;
    return 0;
}

static int cm_notify(struct rdma_cm_id *id, enum ibv_event_type event)
{
    id_of(id);
    assert_int_equal(event, IBV_EVENT_COMM_EST);
    world.counts.notifies++;
    return 0;
}

static int cm_disconnect(struct rdma_cm_id *id)
{
    id_of(id);
    world.counts.disconnects++;
    if (id->qp) fake_qp_error(id->qp);
    return 0;
}

static int cm_resolve_addr(struct rdma_cm_id *id, struct sockaddr *from, struct sockaddr *to, int ms)
{
    struct device *d = device_at(to);
    assert_true(!from && ms > 0);
    if (world_fault(&world.faults.resolve) != 0) return -1;
    if (d) id->verbs = device_open(d);
    memcpy(&id->route.addr.dst_storage, to, sizeof(struct sockaddr_in));
    world_event(id, d ? RDMA_CM_EVENT_ADDR_RESOLVED : RDMA_CM_EVENT_ADDR_ERROR, d ? 0 : -ENODEV);
    return 0;
}

static int cm_resolve_route(struct rdma_cm_id *id, int ms)
{
    (void)ms;
    world_event(id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0);
    return 0;
}

static const struct rdma_cm cm = {
#define RDMA_CM_CALL(name) .name = cm_##name,
#include "rdma/cm.def"
#undef RDMA_CM_CALL
};

int rdma_cm_get(const struct rdma_cm **out, char *text, size_t cap)
{
    if (world_fault(&world.faults.get) != 0) {
        snprintf(text, cap, "no library");
        return -errno;
    }
    world.counts.users++;
    *out = &cm;
    return 0;
}

void rdma_cm_put(const struct rdma_cm **user)
{
    if (!*user) return;
    *user = NULL;
    if (--world.counts.users > 0) return;
    for (unsigned i = 0; i < WORLD_DEVICES; i++) device_close(&devices[i]);
}

void rdma_cm_look(void)
{
    bool any = devices[0].here || devices[1].here; /* as librdmacm: where none is left, nothing is closed */
    world.counts.looks++;
    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        if (devices[i].here) device_open(&devices[i]);
        if (!devices[i].here && any) device_close(&devices[i]);
    }
}

unsigned rdma_cm_each_lost(void (*lost)(void *arg, struct ibv_context *verbs), void *arg)
{
    unsigned found = 0;
    for (unsigned i = 0; i < WORLD_DEVICES; i++) {
        if (devices[i].here || !devices[i].context) continue;
        lost(arg, devices[i].context);
        found++;
    }
    return found;
}

/* ---- what happens ---- */

void world_event(struct rdma_cm_id *id, enum rdma_cm_event_type type, int status)
{
    if (!world_alive(id)) return;
    assert_true(event_count < EVENTS);
    events[event_count++] = (struct rdma_cm_event){.id = id, .event = type, .status = status};
    world_signal_fd(channels[0].fd);
}

bool world_alive(const struct rdma_cm_id *id)
{
    return ((const struct id *)id)->alive;
}

struct rdma_cm_id *world_last_id(void)
{
    return id_count ? &ids[id_count - 1].id : NULL;
}

struct rdma_cm_id *world_listener(uint16_t port)
{
    for (unsigned i = 0; i < id_count; i++)
        if (ids[i].alive && ids[i].bound && rdma_address_port(&ids[i].id.route.addr.src_storage) == port)
            return &ids[i].id;
    return NULL;
}

struct rdma_cm_id *world_request(uint16_t port, unsigned device)
{
    struct rdma_cm_id *listener = world_listener(port);
    struct id *i = id_new(&channels[0], NULL);
    assert_non_null(listener);
    i->id.verbs = device_open(&devices[device]);
    i->id.route.addr.dst_sin.sin_family = AF_INET;
    world_event(&i->id, RDMA_CM_EVENT_CONNECT_REQUEST, 0);
    events[event_count - 1].listen_id = listener;
    return &i->id;
}

void world_device_come(unsigned device)
{
    devices[device].here = true;
}

void world_device_go(unsigned device, bool silent)
{
    struct device *d = &devices[device];
    d->here = false;
    for (unsigned i = 0; i < id_count && !silent; i++)
        if (ids[i].alive && ids[i].id.verbs == d->context) world_event(&ids[i].id, RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
}

void world_device_event(unsigned device, enum ibv_event_type type, struct rdma_cm_id *id)
{
    struct device *d = &devices[device];
    struct ibv_async_event event = {.event_type = type};
    if (id)
        event.element.qp = id->qp;
    else
        event.element.port_num = 1;
    d->async[d->async_count++] = event;
    world_signal_fd(d->context->async_fd);
}

/* ---- life ---- */

static void clock_now(struct clock *clock, struct tick *out)
{
    (void)clock;
    uint64_t ns = world.start_ns + fake_now(world.fake);
    *out = (struct tick){.ns = ns, .tsc = ns};
}

void world_start(unsigned cores, uint32_t max_connections)
{
    test_eal_start();
    for (unsigned i = 0; i < WORLD_CORES; i++)
        if (!pools[i].frame) test_pools_create(&pools[i], 512, 2048);
    memset(&world, 0, sizeof world);
    memset(devices, 0, sizeof devices);
    memset(ids, 0, sizeof ids);
    id_count = event_count = 0;
    world.fake = fake_create(&(struct fake_config){.seed = 3, .delay_ns = 500, .late_ns = 500});
    world.pools = pools;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    world.start_ns = (uint64_t)now.tv_sec * WORLD_SECOND + (uint64_t)now.tv_nsec;
    world.clock.now = clock_now;
    peers = fake_device_create(world.fake);
    peers_cq = fake_cq_create(peers, 4096);
    peers_key = fake_mr_add(peers, peers_memory, sizeof peers_memory, IBV_ACCESS_LOCAL_WRITE);
    devices[0].here = true;
    assert_int_equal(reactor_create(&world.reactor, &(struct reactor_config){.cpu = -1, .clock = &world.clock}), 0);
    for (unsigned i = 0; i < cores; i++) {
        struct rdma_core_config config = {
            .loop = &world.loop, .pools = &pools[i], .max_connections = max_connections, .linger_ns = WORLD_SECOND};
        assert_int_equal(rdma_core_create(&world.cores[i], &config), 0);
    }
}

bool world_empty(void)
{
    const struct world_counts *c = &world.counts;
    return c->users + c->channels + c->ids + c->contexts + c->pds + c->cqs + c->srqs + c->mrs + c->qps +
               fake_windows(world.fake) ==
           0;
}

void world_peer_message(struct rdma_message *m)
{
    assert_int_equal(rdma_message_decode(m, peers_memory, RDMA_MESSAGE_BYTES), 0);
}

enum ibv_wc_status world_peer_write(const struct rdma_cm_id *id, uint64_t address, uint32_t key)
{
    struct ibv_sge sge = {.addr = (uintptr_t)peers_memory, .length = 1, .lkey = peers_key};
    struct ibv_send_wr wr = {.wr_id = 1,
                             .sg_list = &sge,
                             .num_sge = 1,
                             .opcode = IBV_WR_RDMA_WRITE,
                             .send_flags = IBV_SEND_SIGNALED,
                             .wr.rdma = {.remote_addr = address, .rkey = key}},
                       *bad;
    struct ibv_wc wc;
    assert_int_equal(ibv_post_send(id_of(id)->peer, &wr, &bad), 0);
    fake_run(world.fake, 10000);
    while (ibv_poll_cq(peers_cq, 1, &wc) == 1)
        if (wc.wr_id == 1) return wc.status;
    fail_msg("a write does not complete");
    return IBV_WC_GENERAL_ERR;
}

void world_end(void)
{
    assert_true(world_empty());
    for (unsigned i = 0; i < WORLD_CORES; i++) rdma_core_destroy(&world.cores[i]);
    reactor_destroy(&world.reactor);
    fake_destroy(world.fake);
}

/* Who has a stream lets go of it when he is told of its end. */
static void streams_turn(void)
{
    struct stream *s;
    while ((s = stream_loop_pop(&world.loop)) != NULL) {
        if ((s->events & (STREAM_ERROR | STREAM_EOF)) == 0) {
            s->events = 0;
            continue;
        }
        world.streams_ended++;
        world.stream_error = s->error;
        s->ops->abort(s);
    }
}

void world_turns(unsigned n)
{
    while (n-- > 0) {
        reactor_turn(world.reactor);
        struct tick now;
        clock_now(&world.clock, &now);
        for (unsigned i = 0; i < WORLD_CORES && world.cores[i]; i++) {
            rdma_core_input(world.cores[i], &now);
            streams_turn();
            rdma_core_output(world.cores[i], &now);
        }
        fake_run(world.fake, 10000);
    }
}

void world_pass(uint64_t ns)
{
    for (uint64_t step = WORLD_SECOND / 10; ns > 0; ns -= step < ns ? step : ns) {
        fake_run(world.fake, step < ns ? step : ns);
        world_turns(2);
    }
}
