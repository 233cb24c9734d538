/*
 * Ports: frames of every length arrive whole, over net_ring (which gives back what it is given) and over memif between
 * two processes; what cannot work is refused in one line. The second process is this program as `test_port peer DIR`.
 */
#include <errno.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/eal.h"
#include "net/checksum.h"
#include "net/port_impl.h"

#define MTU 9000u
#define FRAMES 512u
#define RING "net_ring0"

extern char **environ;

static struct buf_pools pools;

static uint64_t now_ns(void)
{
    static struct clock_tsc clock;
    struct tick t;
    if (!clock.clock.now) clock_tsc_init(&clock);
    clock.clock.now(&clock.clock, &t);
    return t.ns;
}

static void start(const char *vdev)
{
    struct eal_config eal = {.program = "test_port", .memory_mib = 192, .vdevs = &vdev, .vdev_count = 1};
    struct buf_pools_config config = {
        .frame_count = 4096, .small_count = 4096, .ref_count = 1024, .frame_room = port_frame_room(MTU)};
    if (eal_start(&eal) != 0 || buf_pools_create(&pools, &config) != 0) exit(3);
}

/* Frame i of the exchange: 60 to 9,014 bytes. */
static uint32_t frame_len(uint32_t i) { return 60u + i * 7919u % (MTU + 14u - 60u + 1u); }
static uint8_t frame_byte(uint32_t i, uint32_t at) { return (uint8_t)(i * 31u + at * 7u + (at >> 8)); }

static void segment_fill(struct rte_mbuf *m, uint32_t i, uint32_t from, uint32_t n)
{
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
    for (uint32_t at = 0; at < n; at++) p[at] = frame_byte(i, from + at);
}

/* One buffer, or a header in a small buffer and the rest behind it, or the rest by reference. */
static struct rte_mbuf *frame_make(uint32_t i)
{
    uint32_t len = frame_len(i), head = i % 3 == 0 ? len : 54;
    struct rte_mbuf *m = rte_pktmbuf_alloc(i % 3 == 0 ? pools.frame : pools.small);
    segment_fill(m, i, 0, head);
    if (head == len) return m;
    struct rte_mbuf *rest = rte_pktmbuf_alloc(pools.frame);
    segment_fill(rest, i, head, len - head);
    if (i % 3 == 2) {
        struct rte_mbuf *reference = rte_pktmbuf_alloc(pools.ref);
        rte_pktmbuf_attach(reference, rest);
        rte_pktmbuf_free(rest);
        rest = reference;
    }
    rte_pktmbuf_chain(m, rest);
    return m;
}

static bool frame_right(const struct rte_mbuf *m, uint32_t i)
{
    uint32_t at = 0;
    for (const struct rte_mbuf *seg = m; seg; seg = seg->next)
        for (uint32_t k = 0; k < seg->data_len; k++, at++)
            if (rte_pktmbuf_mtod(seg, uint8_t *)[k] != frame_byte(i, at)) return false;
    return at == frame_len(i) && m->pkt_len == at;
}

#define ON_THEIR_WAY 32u

_Static_assert(ON_THEIR_WAY >= PORT_BURST, "room for a receive burst");

/* Sends all frames, at most ON_THEIR_WAY at once, and counts those that come back as they were. */
static uint32_t exchange(struct port *port, bool *linear)
{
    uint32_t sent = 0, got = 0, right = 0;
    uint64_t end = now_ns() + UINT64_C(10000000000);
    while (got < FRAMES && now_ns() < end) {
        struct rte_mbuf *frames[ON_THEIR_WAY];
        uint16_t n = 0;
        while (sent < FRAMES && sent - got < ON_THEIR_WAY) frames[n++] = frame_make(sent++);
        if (n > 0) port_tx(port, 0, frames, n);
        n = port_rx(port, 0, frames, PORT_BURST);
        for (uint16_t k = 0; k < n; k++, got++) {
            right += frame_right(frames[k], got);
            *linear &= frames[k]->nb_segs == 1 && RTE_MBUF_DIRECT(frames[k]);
            rte_pktmbuf_free(frames[k]);
        }
    }
    return right;
}

static struct port *ring_open(void)
{
    static struct port *port; /* a device is opened once in a process */
    char text[256];
    struct port_config config = {.device = RING, .queues = 1, .mtu = MTU, .pools = &pools};
    if (!port && port_open(&port, &config, text, sizeof text) != 0) fail_msg("%s", text);
    return port;
}

static void ring_gives_back_every_frame(void **state)
{
    (void)state;
    struct port *port = ring_open();
    bool linear = true;
    uint32_t before = buf_pools_in_use(&pools);
    assert_int_equal(port_caps(port)->mtu, MTU);
    assert_int_equal(port_queue_count(port), 1);
    assert_true(port_link_up(port));
    assert_int_equal(exchange(port, &linear), FRAMES);
    assert_false(linear);
    assert_int_equal(port_tx_dropped(port, 0), 0);
    assert_int_equal(buf_pools_in_use(&pools), before);
}

static void copies_for_a_driver_that_cannot_gather(void **state)
{
    (void)state;
    struct port *port = ring_open();
    bool linear = true;
    uint32_t before = buf_pools_in_use(&pools);
    port->linear_only = true;
    assert_int_equal(exchange(port, &linear), FRAMES);
    assert_true(linear);
    port->linear_only = false;
    assert_int_equal(port_tx_dropped(port, 0), 0);
    assert_int_equal(buf_pools_in_use(&pools), before);
}

/* A wire that cannot corrupt is told from one that nobody has verified. */
static void a_trusted_wire_vouches_for_its_frames(void **state)
{
    (void)state;
    struct port *port = ring_open();
    for (unsigned trusted = 0; trusted < 2; trusted++) {
        struct rte_mbuf *m = frame_make(0);
        port->trusted = trusted;
        port_tx(port, 0, &m, 1);
        assert_int_equal(port_rx(port, 0, &m, 1), 1);
        assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
                         trusted ? RTE_MBUF_F_RX_L4_CKSUM_NONE : RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
        rte_pktmbuf_free(m);
    }
    port->trusted = false;
}

static void frees_and_counts_what_does_not_go(void **state)
{
    (void)state;
    struct port *port = ring_open();
    uint32_t before = buf_pools_in_use(&pools);
    uint32_t sent = 0;
    for (; port_tx_dropped(port, 0) == 0 && sent < 8192; sent += 64) {
        struct rte_mbuf *frames[64];
        for (unsigned k = 0; k < 64; k++) {
            frames[k] = rte_pktmbuf_alloc(pools.small);
            assert_non_null(frames[k]);
            rte_pktmbuf_append(frames[k], 60);
        }
        port_tx(port, 0, frames, 64);
    }
    uint64_t dropped = port_tx_dropped(port, 0);
    assert_true(dropped > 0);
    assert_int_equal(buf_pools_in_use(&pools), before + sent - dropped);
    struct rte_mbuf *frames[PORT_BURST];
    for (uint16_t n; (n = port_rx(port, 0, frames, PORT_BURST)) > 0;) rte_pktmbuf_free_bulk(frames, n);
    assert_int_equal(buf_pools_in_use(&pools), before);
}

/* A chain with an odd piece in its middle, its checksum left to the device that would get it wrong. */
static void sums_odd_pieces_itself(void **state)
{
    (void)state;
    struct port *port = ring_open();
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.small), *tail = m;
    uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 54);
    static const uint16_t pieces[] = {33, 100, 7};
    uint16_t pseudo = 0x1234;
    memset(p, 0x45, 54);
    memcpy(p + 50, &pseudo, sizeof pseudo);
    for (unsigned i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct rte_mbuf *piece = rte_pktmbuf_alloc(pools.small);
        segment_fill(piece, i, i, pieces[i]);
        rte_pktmbuf_chain(m, piece);
        tail = piece;
    }
    assert_int_equal(tail->data_len, 7);
    m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
    m->l2_len = 14;
    m->l3_len = 20;
    uint8_t flat[256];
    uint32_t len = m->pkt_len;
    const void *whole = rte_pktmbuf_read(m, 0, len, flat);
    assert_ptr_equal(whole, flat);
    uint16_t want = (uint16_t)~checksum_fold(checksum_sum(flat + 34, len - 34)), got;
    port->odd_pieces = true;
    port_tx(port, 0, &m, 1);
    port->odd_pieces = false;
    assert_int_equal(port_rx(port, 0, &m, 1), 1);
    memcpy(&got, rte_pktmbuf_mtod_offset(m, uint8_t *, 50), sizeof got);
    assert_int_equal(got, want);
    assert_int_equal(m->ol_flags & RTE_MBUF_F_TX_L4_MASK, 0);
    rte_pktmbuf_free(m);
}

static unsigned let_go;

static void on_free(void *address, void *arg)
{
    (void)address, (void)arg;
    let_go++;
}

/* A value of the store between two pieces of our own: it alone is copied, and let go at once. */
static void copies_what_the_peer_cannot_reach(void **state)
{
    (void)state;
    static uint8_t item[30000];
    static struct rte_mbuf_ext_shared_info info;
    struct port *port = ring_open();
    uint32_t before = buf_pools_in_use(&pools);
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.small), *value = rte_pktmbuf_alloc(pools.ref);
    struct rte_mbuf *last = rte_pktmbuf_alloc(pools.small);
    for (unsigned at = 0; at < sizeof item; at++) item[at] = frame_byte(1, 54 + at);
    info = (struct rte_mbuf_ext_shared_info){.free_cb = on_free};
    rte_mbuf_ext_refcnt_set(&info, 1);
    segment_fill(m, 1, 0, 54);
    rte_pktmbuf_attach_extbuf(value, item, 0, sizeof item, &info);
    rte_pktmbuf_append(value, sizeof item);
    segment_fill(last, 1, 54 + sizeof item, 7);
    rte_pktmbuf_chain(m, value);
    rte_pktmbuf_chain(m, last);
    let_go = 0;
    port_copy_foreign(port);
    port_tx(port, 0, &m, 1);
    port->own_memory = false;
    assert_int_equal(let_go, 1);
    memset(item, 0, sizeof item);
    assert_int_equal(port_rx(port, 0, &m, 1), 1);
    assert_int_equal(m->pkt_len, 54 + sizeof item + 7);
    unsigned segments = 0;
    uint32_t at = 0;
    for (const struct rte_mbuf *seg = m; seg; seg = seg->next, segments++) {
        assert_false(RTE_MBUF_HAS_EXTBUF(seg));
        for (uint32_t k = 0; k < seg->data_len; k++, at++)
            assert_int_equal(rte_pktmbuf_mtod(seg, const uint8_t *)[k], frame_byte(1, at));
    }
    assert_int_equal(at, m->pkt_len);
    assert_int_equal(segments, m->nb_segs);
    rte_pktmbuf_free(m);
    assert_int_equal(buf_pools_in_use(&pools), before);
}

static void registers_memory_once_or_twice(void **state)
{
    (void)state;
    size_t bytes = 1u << 20;
    void *base = aligned_alloc(4096, bytes);
    assert_int_equal(port_register_memory(ring_open(), base, bytes, 4096), 0);
    assert_int_equal(port_register_memory(ring_open(), base, bytes, 4096), 0);
}

static void refuses_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        uint16_t mtu;
        int rc;
        const char *says;
    } rows[] = {
        {"net_nothing0", 1500, -ENODEV, "no such device"},
        {RING, 60, -EINVAL, "MTU 60 is not in net_ring's range of 68..65535"},
        {RING, 20000, -EINVAL, "buffers of at least 20018 bytes, not 9280: have them hold 20288"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256] = "";
        struct port *port = NULL;
        struct port_config config = {.device = rows[i].device, .queues = 1, .mtu = rows[i].mtu, .pools = &pools};
        assert_int_equal(port_open(&port, &config, text, sizeof text), rows[i].rc);
        if (!strstr(text, rows[i].says)) fail_msg("it says: %s", text);
        assert_null(strchr(text, '\n'));
        assert_null(port);
    }
}

static void checks_memif_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *vdev;
        uint16_t mtu;
        const char *says; /* NULL: fine */
    } rows[] = {
        {"net_memif0", 1500, NULL},
        {"net_memif0,role=server", 0, NULL},
        {"net_memif0,role=server,bsize=9216", 9000, NULL},
        {"net_memif0,bsize=9018", 9000, NULL},
        {"net_memif0,bsize=2048", 2030, NULL},
        {"net_memif0,zero-copy=no", 1500, NULL},
        {"net_tap0,bsize=1", 9000, NULL},
        {"net_af_xdp0,iface=eth0", 9000, NULL},
        {"net_memif0", 9000, "memif's bsize 2048 is below the longest frame 9018: give bsize=9216"},
        {"net_memif0,bsize=2048", 2031, "below the longest frame 2049: give bsize=3072"},
        {"net_memif0,bsize=9017", 9000, "below the longest frame 9018"},
        {"net_memif1,bsize=1000", 0, "below the longest frame 1518: give bsize=2048"},
        {"net_memif0,bsize=65536", 9000, "not a number of bytes from 1 to 65535"},
        {"net_memif0,bsize=many", 1500, "not a number"},
        {"net_memif0,bsize=0", 1500, "not a number"},
        {"net_memif0,zero-copy=yes", 1500, "zero-copy=no"},
        {"net_memif0,bsize=9216,zero-copy=yes", 9000, "zero-copy=no"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256] = "";
        int rc = port_check_vdev(rows[i].vdev, rows[i].mtu, text, sizeof text);
        assert_int_equal(rc, rows[i].says ? -EINVAL : 0);
        if (rows[i].says && !strstr(text, rows[i].says)) fail_msg("%s: it says: %s", rows[i].vdev, text);
    }
}

static struct port *memif_open(const char *role, const char *directory)
{
    static char vdev[256];
    char text[256];
    struct port *port;
    snprintf(vdev, sizeof vdev, "net_memif0,role=%s,id=0,socket=%s/memif,socket-abstract=no,bsize=9216", role, directory);
    if (port_check_vdev(vdev, MTU, text, sizeof text) != 0) exit(4);
    start(vdev);
    struct port_config config = {.device = "net_memif0", .queues = 1, .mtu = MTU, .pools = &pools};
    if (port_open(&port, &config, text, sizeof text) != 0) {
        fprintf(stderr, "%s\n", text);
        exit(5);
    }
    return port;
}

/* `test_port echo DIR`: the memif server, sends back what comes until nothing has come for a second. */
static int echo_main(const char *directory)
{
    struct port *port = memif_open("server", directory);
    puts("ready");
    fflush(stdout);
    uint64_t quiet_from = now_ns() + UINT64_C(9000000000); /* the peer starts first */
    while (now_ns() < quiet_from + UINT64_C(1000000000)) {
        struct rte_mbuf *frames[PORT_BURST];
        uint16_t n = port_rx(port, 0, frames, PORT_BURST);
        if (n == 0) continue;
        port_tx(port, 0, frames, n);
        quiet_from = now_ns();
    }
    port_close(&port);
    return buf_pools_in_use(&pools) == 0 ? 0 : 6;
}

/* `test_port peer DIR`: the memif client; 0 when every frame came back. */
static int peer_main(const char *directory)
{
    struct port *port = memif_open("client", directory);
    bool linear = true;
    uint64_t end = now_ns() + UINT64_C(5000000000);
    while (!port_link_up(port) && now_ns() < end) usleep(1000);
    uint32_t right = exchange(port, &linear);
    fprintf(stderr, "%u of %u frames came back whole\n", right, FRAMES);
    port_close(&port);
    return right == FRAMES ? 0 : 7;
}

static pid_t spawn(const char *program, const char *role, const char *directory, int out)
{
    char *argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)role, (char *)(uintptr_t)directory, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void memif_carries_every_frame(void **state)
{
    const char *program = *state;
    char directory[] = "/tmp/test_port.XXXXXX", socket_path[64], line[16];
    int out[2];
    assert_non_null(mkdtemp(directory));
    assert_int_equal(pipe(out), 0);
    pid_t echo = spawn(program, "echo", directory, out[1]);
    close(out[1]);
    assert_true(read(out[0], line, sizeof line) > 0); /* listens */
    pid_t peer = spawn(program, "peer", directory, -1);
    assert_int_equal(status_of(peer), 0);
    assert_int_equal(status_of(echo), 0);
    close(out[0]);
    snprintf(socket_path, sizeof socket_path, "%s/memif", directory);
    unlink(socket_path);
    assert_int_equal(rmdir(directory), 0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "echo") == 0) return echo_main(argv[2]);
    if (argc == 3 && strcmp(argv[1], "peer") == 0) return peer_main(argv[2]);
    start(RING);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_gives_back_every_frame),
        cmocka_unit_test(copies_for_a_driver_that_cannot_gather),
        cmocka_unit_test(a_trusted_wire_vouches_for_its_frames),
        cmocka_unit_test(frees_and_counts_what_does_not_go),
        cmocka_unit_test(sums_odd_pieces_itself),
        cmocka_unit_test(copies_what_the_peer_cannot_reach),
        cmocka_unit_test(registers_memory_once_or_twice),
        cmocka_unit_test(refuses_in_one_line),
        cmocka_unit_test(checks_memif_arguments),
        cmocka_unit_test_prestate(memif_carries_every_frame, argv[0]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
