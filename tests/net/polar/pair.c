#include "tests/net/polar/pair.h"

#include <arpa/inet.h>
#include <rte_ip.h>
#include "tests/support/eal.h"

struct pair pair;

static void wire_tx(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct pair_host *to = &pair.hosts[!((struct pair_host *)arg)->index];
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *copy = to->deaf || to->tail - to->head == PAIR_QUEUE ? NULL : rte_pktmbuf_alloc(to->pools.frame);
        if (copy) {
            for (const struct rte_mbuf *m = frames[i]; m; m = m->next)
                memcpy(rte_pktmbuf_append(copy, m->data_len), rte_pktmbuf_mtod(m, const void *), m->data_len);
            to->queue[to->tail++ % PAIR_QUEUE] = copy;
        }
        rte_pktmbuf_free(frames[i]);
    }
}

static void other_turn(struct pair_host *h)
{
    if (pair.nested) return;
    struct polar_thread *self = polar_self;
    pair.nested = true;
    polar_self = pair.hosts[!h->index].thread;
    thread_turn(polar_self);
    polar_self = self;
    pair.nested = false;
}

static unsigned host_rx(void *arg, const struct tick *now)
{
    struct pair_host *h = arg;
    struct rte_mbuf *frames[32];
    uint16_t n = 0;
    if (!pair.nested) pair.now += PAIR_TURN_NS;
    while (h->head != h->tail && n < RTE_DIM(frames)) frames[n++] = h->queue[h->head++ % PAIR_QUEUE];
    if (n) net_stack_input(h->stack, frames, n, now->ns);
    unsigned fired = net_stack_timers(h->stack, now->ns);
    other_turn(h);
    return n + fired;
}

static unsigned host_tx(void *arg, const struct tick *now)
{
    return net_stack_output(((struct pair_host *)arg)->stack, now->ns);
}

static void virtual_now(struct clock *clock, struct tick *out)
{
    (void)clock;
    *out = (struct tick){.tsc = pair.now, .ns = pair.now, .unix_ms = pair.now / 1000000};
}

static void host_create(struct pair_host *h, unsigned index)
{
    struct net_stack_config config;
    *h = (struct pair_host){.index = index, .clock = {.now = virtual_now}};
    test_pools_create(&h->pools, PAIR_BUFFERS, 2048);
    net_stack_config_default(&config);
    assert_ok(net_stack_config_address(&config, net_addr_v4(RTE_IPV4(10, 0, 0, 1 + index)), 24));
    struct net_addr six = {.bytes = {0xfd, [15] = (uint8_t)(1 + index)}}; /* fd00::1, fd00::2 */
    assert_ok(net_stack_config_address(&config, six, 64));
    memcpy(config.mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)(1 + index)}, 6);
    config.secret[0] = 1 + index;
    config.secret[1] = 2;
    config.max_connections = 256;
    config.rx_window = 128 << 10;
    config.loop = &h->loop;
    config.pools = &h->pools;
    config.tx = wire_tx;
    config.tx_arg = h;
    assert_int_equal(net_stack_create(&h->stack, &config), 0);
    struct polar_thread_config thread = {
        .index = index,
        .stack = h->stack,
        .pools = &h->pools,
        .loop = &h->loop,
        .link = {.rx = host_rx, .tx = host_tx, .arg = h},
        .clock = &h->clock,
        .max_sockets = 64,
        .send_buffer = 64 << 10,
        .receive_buffer = config.rx_window,
    };
    assert_int_equal(thread_create(&h->thread, &thread), 0);
}

int pair_set_up(void **state)
{
    (void)state;
    test_eal_start();
    pair.now = UINT64_C(1000000000);
    for (unsigned i = 0; i < 2; i++) host_create(&pair.hosts[i], i);
    on(0);
    return 0;
}

int pair_tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        on(i);
        thread_close_all(polar_self);
        assert_int_equal(polar_self->socks_open, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct pair_host *h = &pair.hosts[i];
        on(i);
        net_stack_destroy(&h->stack);
        thread_destroy(&h->thread);
        while (h->head != h->tail) rte_pktmbuf_free(h->queue[h->head++ % PAIR_QUEUE]);
    }
    polar_self = NULL;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(buf_pools_in_use(&pair.hosts[i].pools), 0);
        buf_pools_destroy(&pair.hosts[i].pools);
    }
    return 0;
}

void on(unsigned host) { polar_self = pair.hosts[host].thread; }

struct sockaddr_in address_at(const char *text, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
    return a;
}

struct sockaddr_in address_of(unsigned host, uint16_t port)
{
    return address_at(host ? "10.0.0.2" : "10.0.0.1", port);
}

void pair_run(uint64_t ns)
{
    uint64_t until = pair.now + ns;
    while (pair.now < until) thread_turn(polar_self);
}

void pair_connect(int fds[2], int *listener)
{
    struct sockaddr_in to = address_of(1, 7);
    on(1);
    *listener = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_true(*listener >= POLAR_FD_BASE);
    assert_ok(polar_bind(*listener, (struct sockaddr *)&to, sizeof to));
    assert_ok(polar_listen(*listener, 16));
    on(0);
    fds[0] = polar_socket(AF_INET, SOCK_STREAM, 0);
    assert_ok(polar_connect(fds[0], (struct sockaddr *)&to, sizeof to));
    on(1);
    fds[1] = polar_accept(*listener, NULL, NULL);
    assert_true(fds[1] >= POLAR_FD_BASE);
    on(0);
}
