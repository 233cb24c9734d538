#include "tests/net/ip/packets.h"

#include <netinet/in.h>
#include <string.h>
#include "net/checksum.h"

const struct net_addr us6 = {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = 1}}, peer6 = {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = 2}};
const struct net_addr us_link = {.bytes = {0xfe, 0x80, [11] = 0xff, 0xfe, [15] = 1}};
const struct net_addr peer_link = {.bytes = {0xfe, 0x80, [11] = 0xff, 0xfe, [15] = 2}};

void packets_dual(struct net_stack_config *config) { assert_int_equal(net_stack_config_address(config, us6, 64), 0); }

uint32_t packets_ip6(uint8_t *f, const struct net_addr *from, const struct net_addr *to, uint8_t next, uint8_t hops,
                     uint32_t len)
{
    static const uint8_t ethernet[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd};
    memcpy(f, ethernet, sizeof ethernet);
    if (to->bytes[0] == 0xff) {
        memset(f, 0x33, 2);
        memcpy(f + 2, to->bytes + 12, 4);
    }
    memset(f + 14, 0, 40);
    f[14] = 0x60;
    f[18] = (uint8_t)(len >> 8);
    f[19] = (uint8_t)len;
    f[20] = next;
    f[21] = hops;
    memcpy(f + 22, from->bytes, 16);
    memcpy(f + 38, to->bytes, 16);
    return 54;
}

void packets_mend6(uint8_t *f, uint8_t protocol, uint32_t at, uint32_t len)
{
    uint8_t *field = f + at + (protocol == IPPROTO_TCP ? 16 : 2);
    memset(field, 0, 2);
    uint64_t sum = checksum_sum(f + 22, 32) + rte_cpu_to_be_32(len - at) + rte_cpu_to_be_32(protocol);
    uint16_t value = (uint16_t)~checksum_fold(sum + checksum_sum(f + at, len - at));
    memcpy(field, &value, 2);
}

uint32_t packets_tcp6(struct script *s, uint8_t *f, uint8_t flags, uint32_t seq, uint32_t ack, const void *payload,
                      uint32_t len)
{
    uint8_t v4[SCRIPT_FRAME_BYTES];
    uint32_t n = script_build(s, v4, flags, seq, ack, 65535, NULL, 0, payload, len) - 34;
    uint32_t at = packets_ip6(f, &peer6, &us6, IPPROTO_TCP, 64, n);
    memcpy(f + at, v4 + 34, n);
    packets_mend6(f, IPPROTO_TCP, at, at + n);
    return at + n;
}

void packets_icmp6_in(struct script *s, const struct net_addr *from, const struct net_addr *to, uint8_t hops,
                      const void *message, uint32_t len)
{
    uint8_t f[SCRIPT_FRAME_BYTES];
    uint32_t at = packets_ip6(f, from, to, IPPROTO_ICMPV6, hops, len);
    memcpy(f + at, message, len);
    packets_mend6(f, IPPROTO_ICMPV6, at, at + len);
    script_frame_in(s, f, at + len);
}

void packets_advert_in(struct script *s, const struct net_addr *target, uint8_t flags, uint8_t mac)
{
    uint8_t message[32] = {136, 0, 0, 0, flags, [24] = 2, 1, 2, 0, 0, 0, 0, mac};
    memcpy(message + 8, target->bytes, 16);
    packets_icmp6_in(s, target, &us6, 255, message, sizeof message);
}

void packets_icmp_in(struct script *s, uint8_t type, uint8_t code, uint32_t word, const uint8_t *quoted, uint32_t n)
{
    static const uint8_t head[34] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0,
                                     0, 9, 9, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1};
    uint8_t f[SCRIPT_FRAME_BYTES];
    uint32_t word_be = rte_cpu_to_be_32(word);
    memcpy(f, head, sizeof head);
    f[16] = (uint8_t)((28 + n) >> 8);
    f[17] = (uint8_t)(28 + n);
    f[34] = type;
    f[35] = code;
    memset(f + 36, 0, 2);
    memcpy(f + 38, &word_be, 4);
    memcpy(f + 42, quoted + 14, n);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(f + 34, 8 + n));
    memcpy(f + 36, &sum, 2);
    script_checksum(f, 42 + n);
    script_frame_in(s, f, 42 + n);
}
