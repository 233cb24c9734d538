/* Requests for neighbours that become questions to the kernel, and its answers that become the neighbours'. The kernel is
 * real, in a network namespace of the test's own. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <net/if.h>
#include <rte_arp.h>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include "net/checksum.h"
#include "net/kernel_resolve.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/support/eal.h"

#define MS UINT64_C(1000000)
#define ARP_BYTES 42u
#define SOLICITATION_BYTES 86u

static const uint8_t ours[6] = {2, 0, 0, 0, 0, 1}, theirs[6] = {2, 0, 0, 0, 0, 0x22};
static const uint8_t ours6[16] = {0xfd, [15] = 1}, theirs6[16] = {0xfd, [15] = 2};

static struct buf_pools pools;
static struct kernel_resolve *resolve;
static uint64_t now;
static bool allowed;

static bool run(const char *command) { return system(command) == 0; }

static struct rte_mbuf *frame(uint16_t type, uint16_t bytes)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pools.small);
    struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, bytes);
    memset(eth, 0, bytes);
    eth->ether_type = rte_cpu_to_be_16(type);
    return m;
}

static struct rte_mbuf *arp(uint16_t opcode, uint32_t from, uint32_t to)
{
    struct rte_mbuf *m = frame(RTE_ETHER_TYPE_ARP, ARP_BYTES);
    struct rte_arp_hdr *a = rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
    a->arp_opcode = rte_cpu_to_be_16(opcode);
    a->arp_data.arp_sip = rte_cpu_to_be_32(from);
    a->arp_data.arp_tip = rte_cpu_to_be_32(to);
    return m;
}

static struct rte_mbuf *discovery(uint8_t type, const uint8_t *from, const uint8_t *target)
{
    struct rte_mbuf *m = frame(RTE_ETHER_TYPE_IPV6, SOLICITATION_BYTES);
    struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, sizeof(struct rte_ether_hdr));
    uint8_t *icmp = (uint8_t *)(ip + 1);
    ip->proto = IPPROTO_ICMPV6;
    if (from) memcpy(ip->src_addr, from, 16);
    icmp[0] = type;
    memcpy(icmp + 8, target, 16);
    return m;
}

static void take(struct rte_mbuf *m) { assert_int_equal(kernel_resolve_take(resolve, &m, 1, now), 0); }

/* The next answer within some 100 ms, or NULL. */
static struct rte_mbuf *answer(void)
{
    struct rte_mbuf *frames[4];
    for (unsigned i = 0; i < 100; i++, now += MS) {
        uint16_t n = kernel_resolve_answers(resolve, frames, 4, now);
        assert_true(n <= 1);
        if (n == 1) return frames[0];
        usleep(1000);
    }
    return NULL;
}

static void expect_arp(struct rte_mbuf *m, uint32_t ip)
{
    assert_non_null(m);
    const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
    const struct rte_arp_hdr *a = (const struct rte_arp_hdr *)(eth + 1);
    assert_int_equal(m->pkt_len, ARP_BYTES);
    assert_memory_equal(&eth->dst_addr, ours, 6);
    assert_memory_equal(&eth->src_addr, theirs, 6);
    assert_int_equal(a->arp_opcode, rte_cpu_to_be_16(RTE_ARP_OP_REPLY));
    assert_memory_equal(&a->arp_data.arp_sha, theirs, 6);
    assert_int_equal(a->arp_data.arp_sip, rte_cpu_to_be_32(ip));
    assert_int_equal(a->arp_data.arp_tip, rte_cpu_to_be_32(0x0a020001));
    rte_pktmbuf_free(m);
}

static void test_a_known_neighbour(void **state)
{
    (void)state;
    if (!allowed) skip();
    take(arp(RTE_ARP_OP_REQUEST, 0x0a020001, 0x0a020002));
    expect_arp(answer(), 0x0a020002);
    assert_null(answer()); /* once */
    assert_true(run("ip neighbour show 10.2.0.2 dev pk-resolve | grep -q PERMANENT")); /* looking does not change it */
}

static void test_one_that_the_kernel_learns_later(void **state)
{
    (void)state;
    if (!allowed) skip();
    take(arp(RTE_ARP_OP_REQUEST, 0x0a020001, 0x0a020003));
    assert_null(answer());
    assert_true(run("ip neighbour replace 10.2.0.3 lladdr 02:00:00:00:00:22 dev pk-resolve nud reachable"));
    expect_arp(answer(), 0x0a020003);
}

static void test_neighbour_discovery(void **state)
{
    (void)state;
    if (!allowed) skip();
    take(discovery(135, ours6, theirs6));
    struct rte_mbuf *m = answer();
    if (!m && access("/proc/sys/net/ipv6", F_OK) != 0) skip();
    assert_non_null(m);
    const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, 14);
    const uint8_t *icmp = (const uint8_t *)(ip + 1);
    assert_int_equal(m->pkt_len, SOLICITATION_BYTES);
    assert_int_equal(ip->hop_limits, 255);
    assert_memory_equal(ip->src_addr, theirs6, 16);
    assert_memory_equal(ip->dst_addr, ours6, 16);
    assert_int_equal(icmp[0], 136);
    assert_int_equal(icmp[4], 0xe0); /* solicited, override, and a router for all we know */
    assert_memory_equal(icmp + 8, theirs6, 16);
    assert_memory_equal(icmp + 24, ((const uint8_t[]){2, 1}), 2);
    assert_memory_equal(icmp + 26, theirs, 6);
    uint64_t pseudo = checksum_sum(ip->src_addr, 32) + rte_cpu_to_be_16(32) + rte_cpu_to_be_16(IPPROTO_ICMPV6);
    assert_int_equal(checksum_fold(pseudo + checksum_sum(icmp, 32)), 0xffff);
    rte_pktmbuf_free(m);
}

static void test_what_is_the_kernels_business(void **state)
{
    (void)state;
    if (!allowed) skip();
    take(arp(RTE_ARP_OP_REQUEST, 0, 0x0a020002));          /* a probe */
    take(arp(RTE_ARP_OP_REQUEST, 0x0a020001, 0x0a020001)); /* an announcement */
    take(arp(RTE_ARP_OP_REPLY, 0x0a020001, 0x0a020002));
    take(discovery(135, NULL, theirs6)); /* duplicate detection */
    take(discovery(136, ours6, ours6));
    assert_null(answer());
}

static void test_other_frames_pass(void **state)
{
    (void)state;
    if (!allowed) skip();
    struct rte_mbuf *frames[4] = {frame(RTE_ETHER_TYPE_IPV4, 60), arp(RTE_ARP_OP_REPLY, 1, 2), discovery(128, ours6, theirs6),
                                  frame(RTE_ETHER_TYPE_IPV6, 60)};
    struct rte_mbuf *kept[3] = {frames[0], frames[2], frames[3]};
    assert_int_equal(kernel_resolve_take(resolve, frames, 4, now), 3);
    assert_memory_equal(frames, kept, sizeof kept);
    rte_pktmbuf_free_bulk(kept, 3);
}

static void test_more_questions_than_there_is_room_for(void **state)
{
    (void)state;
    if (!allowed) skip();
    for (uint32_t i = 0; i < 300; i++) take(arp(RTE_ARP_OP_REQUEST, 0x0a020001, 0x0a020100 + i));
    take(arp(RTE_ARP_OP_REQUEST, 0x0a020001, 0x0a020002));
    expect_arp(answer(), 0x0a020002);
    now += 6000 * MS; /* all are forgotten: nothing is asked, whatever the kernel learns */
    assert_null(answer());
    assert_true(run("ip neighbour replace 10.2.1.40 lladdr 02:00:00:00:00:22 dev pk-resolve nud reachable"));
    assert_null(answer());
}

static int set_up(void **state)
{
    (void)state;
    test_eal_start();
    test_pools_create(&pools, 1023, 2048);
    now = 1000 * MS;
    allowed = unshare(CLONE_NEWNET) == 0 && run("ip link add pk-resolve type veth peer name pk-other") &&
              run("ip link set pk-resolve up && ip link set pk-other up && ip address add 10.2.0.1/16 dev pk-resolve") &&
              run("ip neighbour add 10.2.0.2 lladdr 02:00:00:00:00:22 dev pk-resolve nud permanent");
    if (!allowed) {
        printf("skipped: no network namespace; run as root, with iproute2\n");
        return 0;
    }
    run("ip -6 neighbour add fd00::2 lladdr 02:00:00:00:00:22 dev pk-resolve nud permanent");
    return kernel_resolve_open(&resolve, if_nametoindex("pk-resolve"), ours, pools.small);
}

static int tear_down(void **state)
{
    (void)state;
    kernel_resolve_close(&resolve);
    uint32_t leaked = buf_pools_in_use(&pools);
    buf_pools_destroy(&pools);
    return leaked == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_known_neighbour),
        cmocka_unit_test(test_one_that_the_kernel_learns_later),
        cmocka_unit_test(test_neighbour_discovery),
        cmocka_unit_test(test_what_is_the_kernels_business),
        cmocka_unit_test(test_other_frames_pass),
        cmocka_unit_test(test_more_questions_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
