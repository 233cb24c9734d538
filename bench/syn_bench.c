/*
 * SYNs from strangers into one stack, in one thread and without a device: what an answer by a cookie costs. Prints TSC
 * cycles a SYN of the stack's input and output; "dry" only makes the frames, so that two runs under a counter of
 * instructions tell what the stack's part is.
 *
 *     syn_bench [SYNs] [dry]
 *     perf stat -e instructions:u syn_bench 2000000; perf stat -e instructions:u syn_bench 2000000 dry
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "base/eal.h"
#include "net/stack.h"

#define BURST 32u
#define STRANGERS 4096u
#define FRAME_BYTES 74u
#define OURS 0x0a000001u

static struct buf_pools pools;
static uint8_t syns[STRANGERS][FRAME_BYTES];
static uint64_t answers;

static void answers_drop(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    (void)arg;
    answers += n;
    rte_pktmbuf_free_bulk(frames, n);
}

static void accepted(void *arg, struct stream *s)
{
    (void)arg;
    (void)s;
}

/* With the options of a kernel's SYN. */
static void syn_build(uint8_t *frame, uint32_t stranger)
{
    static const uint8_t options[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
    static const uint8_t ethernet[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + sizeof ethernet);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    memcpy(frame, ethernet, sizeof ethernet);
    *ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
                                .total_length = RTE_BE16(FRAME_BYTES - 14),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP,
                                .src_addr = rte_cpu_to_be_32(0x0b000001 + stranger * 4093),
                                .dst_addr = RTE_BE32(OURS)};
    *tcp = (struct rte_tcp_hdr){.src_port = rte_cpu_to_be_16((uint16_t)(1024 + stranger)),
                                .dst_port = RTE_BE16(7),
                                .sent_seq = stranger * 2654435761u,
                                .data_off = 10 << 4,
                                .tcp_flags = RTE_TCP_SYN_FLAG,
                                .rx_win = 0xffff};
    memcpy(tcp + 1, options, sizeof options);
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
}

static struct net_stack *stack_create(struct stream_loop *loop)
{
    struct net_stack *st;
    struct net_stack_config config;
    struct buf_pools_config sizes = {.frame_count = 4096, .small_count = 4096, .ref_count = 1024, .frame_room = 2048};
    if (buf_pools_create(&pools, &sizes) != 0) exit(1);
    net_stack_config_default(&config);
    net_stack_config_address(&config, net_addr_v4(OURS), 8);
    memcpy(config.mac, (uint8_t[6]){2, 0, 0, 0, 0, 1}, 6);
    config.syn_cookies = NET_SYN_COOKIES_ALWAYS;
    config.secret[0] = 0x5bd1e995;
    config.secret[1] = 0x27d4eb2f;
    config.pools = &pools;
    config.loop = loop;
    config.tx = answers_drop;
    if (net_stack_create(&st, &config) != 0 || net_listen(st, 7, accepted, NULL) != 0) exit(1);
    return st;
}

int main(int argc, char **argv)
{
    static struct stream_loop loop;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000, cycles = 0, now = 1000000000;
    bool dry = argc > 2 && strcmp(argv[2], "dry") == 0;
    struct eal_config eal = {.program = argv[0], .memory_mib = 128};
    if (count == 0 || eal_start(&eal) != 0) return 1;
    struct net_stack *st = stack_create(&loop);
    for (uint32_t i = 0; i < STRANGERS; i++) syn_build(syns[i], i);
    for (uint64_t done = 0; done < count; done += BURST, now += BURST * 1000) {
        struct rte_mbuf *frames[BURST];
        if (rte_pktmbuf_alloc_bulk(pools.frame, frames, BURST) != 0) return 1;
        for (uint32_t i = 0; i < BURST; i++)
            memcpy(rte_pktmbuf_append(frames[i], FRAME_BYTES), syns[(done + i) % STRANGERS], FRAME_BYTES);
        uint64_t start = rte_rdtsc();
        if (dry) {
            rte_pktmbuf_free_bulk(frames, BURST);
        } else {
            net_stack_input(st, frames, BURST, now);
            net_stack_output(st, now);
        }
        cycles += rte_rdtsc() - start;
    }
    printf("%lu SYNs, %lu answers by cookie, %.0f cycles each\n", count, answers, (double)cycles / (double)count);
    net_stack_destroy(&st);
    return dry || answers >= count ? 0 : 1;
}
