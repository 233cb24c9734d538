/* Frames from packets, whole or as damaged as the script wants them. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "net/checksum.h"
#include "tests/net/scripts/parse.h"
#include "tests/net/scripts/peer.h"

#define ICMP6_NEXT 58u
#define ND_HOP_LIMIT 255

struct out {
    uint8_t *p;
    uint32_t len;
};

static void put8(struct out *o, int64_t v)
{
    o->p[o->len++] = (uint8_t)v;
}

static void put16(struct out *o, int64_t v)
{
    put8(o, v >> 8);
    put8(o, v);
}

static void put32(struct out *o, int64_t v)
{
    put16(o, v >> 16);
    put16(o, v);
}

static void put(struct out *o, const void *data, uint32_t len)
{
    memcpy(o->p + o->len, data, len);
    o->len += len;
}

static void put_hex(struct out *o, const char *text)
{
    unsigned byte;
    for (; *text && sscanf(text, "%2x", &byte) == 1; text += 2) put8(o, byte);
}

static void word_mac(const char *word, const uint8_t *otherwise, uint8_t mac[6])
{
    if (!word[0] || !parse_mac(word, mac)) memcpy(mac, otherwise, 6);
}

static void word_ip(const char *word, const uint8_t *otherwise, uint8_t ip[16])
{
    memcpy(ip, otherwise, 16);
    if (word[0]) inet_pton(strchr(word, ':') ? AF_INET6 : AF_INET, word, ip);
}

static void option_pad(struct out *o, unsigned n)
{
    while (n--) put8(o, 1);
}

/* The peer's clock runs on from the timestamp of its SYN. "*" stands for what the clock and the last segment say. */
static uint32_t ts_value(struct peer *peer, const struct packet *p, uint32_t now_ms)
{
    const struct packet_range *val = &p->number[PACKET_TSVAL];
    if (!val->set || val->lo == INT64_MIN) return peer->ts_start + now_ms;
    if (p->flags & S) peer->ts_start = (uint32_t)val->lo - now_ms;
    return (uint32_t)val->lo;
}

static uint32_t ts_echo(const struct peer *peer, const struct packet *p)
{
    const struct packet_range *ecr = &p->number[PACKET_TSECR];
    return !ecr->set || ecr->lo == INT64_MIN ? peer->ts_recent : (uint32_t)ecr->lo;
}

static void tcp_options(struct peer *peer, const struct packet *p, uint32_t now_ms, struct out *o)
{
    bool auto_ts = peer->ts && !p->no_ts && !(p->flags & S);
    bool ts = p->number[PACKET_TSVAL].set || auto_ts;
    if (p->number[PACKET_MSS].set) {
        put16(o, 0x0204);
        put16(o, p->number[PACKET_MSS].lo);
    }
    if (p->number[PACKET_SACKOK].set) {
        if (!ts) option_pad(o, 2);
        put16(o, 0x0402);
    }
    if (ts) {
        if (!p->number[PACKET_SACKOK].set) option_pad(o, 2);
        put16(o, 0x080a);
        put32(o, ts_value(peer, p, now_ms));
        put32(o, ts_echo(peer, p));
    }
    if (p->number[PACKET_WSCALE].set) {
        put32(o, 0x01030300 | p->number[PACKET_WSCALE].lo);
    }
    if (p->sacks) {
        option_pad(o, 2);
        put8(o, 5);
        put8(o, 2 + 8 * p->sacks);
        for (unsigned i = 0; i < p->sacks; i++) {
            put32(o, peer->stack_iss + p->sack[i].lo);
            put32(o, peer->stack_iss + p->sack[i].hi);
        }
    }
    if (p->word[PACKET_W_FO][0]) { /* 00: a request for one; *: as the stack gave it */
        const char *given = p->word[PACKET_W_FO];
        const char *cookie = strcmp(given, "00") == 0 ? "" : strcmp(given, "*") == 0 ? peer->cookie : given;
        put8(o, 34);
        put8(o, (int64_t)(2 + strlen(cookie) / 2));
        put_hex(o, cookie);
    }
    put_hex(o, p->word[PACKET_W_OPT]);
    while (o->len % 4) put8(o, 1);
}

static void tcp_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, struct out *o)
{
    uint8_t bytes[64];
    struct out options = {bytes, 0};
    tcp_options(peer, p, now_ms, &options);
    uint32_t seq = (uint32_t)packet_get(p, PACKET_SEQ, 0), len = (uint32_t)packet_get(p, PACKET_LEN, 0);
    put16(o, packet_get(p, PACKET_SPORT, peer->port));
    put16(o, packet_get(p, PACKET_DPORT, peer->stack_port));
    put32(o, peer->iss + seq);
    put32(o, p->number[PACKET_ACK].set ? peer->stack_iss + p->number[PACKET_ACK].lo : 0);
    put8(o, packet_get(p, PACKET_DOFF, (20 + options.len) / 4) << 4);
    put8(o, p->flags);
    peer->win = (uint16_t)packet_get(p, PACKET_WIN, peer->win);
    put16(o, peer->win);
    put16(o, 0);
    put16(o, packet_get(p, PACKET_URG, 0));
    put(o, bytes, options.len);
    uint32_t first = p->flags & S ? seq : seq - 1; /* SYN's data begins behind it */
    for (uint32_t i = 0; i < len; i++) put8(o, p->junk ? 0xee : packet_pattern(first + i));
    if (p->flags & S && !(p->flags & A)) peer->ts_offered = p->number[PACKET_TSVAL].set;
    if (p->flags & S && p->flags & A) peer->ts = peer->ts_offered && p->number[PACKET_TSVAL].set;
}

/* The IP header and the first bytes of the TCP header of a segment that the stack sent. */
static void quote_encode(const struct peer *peer, const struct packet *p, struct out *o)
{
    uint8_t bytes[128];
    struct out q = {bytes, 0};
    int64_t tcp_bytes = packet_get(p, PACKET_QBYTES, 8);
    uint8_t dst[16];
    word_ip(p->word[PACKET_W_TARGET], peer->ip, dst);
    if (peer->v6) {
        put32(&q, 0x60000000);
        put16(&q, packet_get(p, PACKET_QLEN, 40 + 20 + 1000) - 40);
        put8(&q, packet_get(p, PACKET_PROTO, 6));
        put8(&q, 63);
        put(&q, peer->stack_ip, 16);
        put(&q, dst, 16);
    } else {
        put32(&q, 0x45000000 | packet_get(p, PACKET_QLEN, 40 + 1000));
        put32(&q, 0x00004000);
        put8(&q, 63);
        put8(&q, packet_get(p, PACKET_PROTO, 6));
        put16(&q, 0);
        put(&q, peer->stack_ip, 4);
        put(&q, dst, 4);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(bytes, 20));
        memcpy(bytes + 10, &sum, 2);
    }
    uint32_t header = q.len;
    put16(&q, packet_get(p, PACKET_QPORT, peer->stack_port));
    put16(&q, peer->port);
    put32(&q, peer->stack_iss + (uint32_t)p->number[PACKET_QUOTE].lo);
    put32(&q, peer->iss);
    put32(&q, 0x50100000);
    put32(&q, 0);
    put(o, bytes, header + (uint32_t)(tcp_bytes < 20 ? tcp_bytes : 20));
}

static void icmp_encode(const struct peer *peer, const struct packet *p, struct out *o)
{
    put8(o, packet_get(p, PACKET_TYPE, 8));
    put8(o, packet_get(p, PACKET_CODE, 0));
    put16(o, 0);
    if (p->number[PACKET_MTU].set) {
        put32(o, p->number[PACKET_MTU].lo);
    } else {
        put16(o, packet_get(p, PACKET_ID, 0));
        put16(o, packet_get(p, PACKET_N, 0));
    }
    if (p->number[PACKET_QUOTE].set) quote_encode(peer, p, o);
    for (int64_t i = 0; i < packet_get(p, PACKET_LEN, 0); i++) put8(o, packet_pattern((uint32_t)i));
    put_hex(o, p->word[PACKET_W_HEX]);
}

static void lla_option(struct out *o, int type, const char *word)
{
    uint8_t mac[6];
    if (!word[0] || !parse_mac(word, mac)) return;
    put8(o, type);
    put8(o, 1);
    put(o, mac, 6);
}

static void nd_encode(const struct packet *p, struct out *o)
{
    static const uint8_t none[16];
    uint8_t ip[16];
    int64_t type = packet_get(p, PACKET_TYPE, 135);
    put8(o, type);
    put8(o, packet_get(p, PACKET_CODE, 0));
    put16(o, 0);
    if (type == 134) { /* router advertisement */
        put8(o, 64);
        put8(o, 0);
        put16(o, packet_get(p, PACKET_LIFETIME, 1800));
        put32(o, 0);
        put32(o, 0);
    } else {
        put32(o, packet_get(p, PACKET_NAFLAGS, 0) << 29);
    }
    if (type == 135 || type == 136) {
        word_ip(p->word[PACKET_W_TARGET], none, ip);
        put(o, ip, 16);
    }
    lla_option(o, 1, p->word[PACKET_W_SLL]);
    lla_option(o, 2, p->word[PACKET_W_TLL]);
    if (p->number[PACKET_MTU].set) {
        put32(o, 0x05010000);
        put32(o, p->number[PACKET_MTU].lo);
    }
    if (p->word[PACKET_W_PREFIX][0]) {
        put16(o, 0x0304);
        put8(o, packet_get(p, PACKET_PREFIXLEN, 64));
        put8(o, packet_get(p, PACKET_PREFIXFLAGS, 0xc0));
        put32(o, packet_get(p, PACKET_VALID, 86400));
        put32(o, packet_get(p, PACKET_PREFERRED, 14400));
        put32(o, 0);
        word_ip(p->word[PACKET_W_PREFIX], none, ip);
        put(o, ip, 16);
    }
    put_hex(o, p->word[PACKET_W_HEX]);
}

static void arp_encode(const struct peer *peer, const struct packet *p, struct out *o)
{
    static const uint8_t none[16];
    uint8_t mac[6], ip[16];
    int64_t op = packet_get(p, PACKET_TYPE, 1);
    put16(o, 1);
    put16(o, 0x0800);
    put8(o, packet_get(p, PACKET_ARPHLEN, 6));
    put8(o, 4);
    put16(o, op);
    word_mac(p->word[PACKET_W_SHA], peer->mac, mac);
    put(o, mac, 6);
    word_ip(p->word[PACKET_W_SPA], peer->ip, ip);
    put(o, ip, 4);
    word_mac(p->word[PACKET_W_THA], op == 1 ? none : peer->stack_mac, mac);
    put(o, mac, 6);
    word_ip(p->word[PACKET_W_TPA], peer->stack_ip, ip);
    put(o, ip, 4);
}

static unsigned proto_of(const struct packet *p)
{
    switch (p->kind) {
    case PACKET_TCP: return 6;
    case PACKET_UDP: return 17;
    case PACKET_ICMP: return 1;
    case PACKET_ICMP6:
    case PACKET_ND: return ICMP6_NEXT;
    default: return 253;
    }
}

static void l4_checksum(const struct packet *p, const uint8_t *src, const uint8_t *dst, bool v6, uint8_t *at,
                        uint32_t len)
{
    static const uint32_t place[] = {
        [PACKET_TCP] = 16, [PACKET_UDP] = 6, [PACKET_ICMP] = 2, [PACKET_ICMP6] = 2, [PACKET_ND] = 2};
    if (p->kind > PACKET_ND || p->kind == PACKET_ARP || len < place[p->kind] + 2) return;
    uint64_t sum = checksum_sum(at, len);
    if (p->kind != PACKET_ICMP)
        sum += checksum_sum(src, v6 ? 16 : 4) + checksum_sum(dst, v6 ? 16 : 4) + htons((uint16_t)proto_of(p)) +
               htons((uint16_t)len);
    uint16_t checksum = (uint16_t)~checksum_fold(sum);
    if (p->bad_checksum) checksum ^= 0x5555;
    memcpy(at + place[p->kind], &checksum, 2);
}

static void l4_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, struct out *o)
{
    switch (p->kind) {
    case PACKET_TCP: tcp_encode(peer, p, now_ms, o); break;
    case PACKET_ICMP:
    case PACKET_ICMP6: icmp_encode(peer, p, o); break;
    case PACKET_ND: nd_encode(p, o); break;
    case PACKET_UDP:
        put16(o, packet_get(p, PACKET_SPORT, 5000));
        put16(o, packet_get(p, PACKET_DPORT, 5001));
        put16(o, 8 + packet_get(p, PACKET_LEN, 0));
        put16(o, 0);
        /* fall through */
    default:
        for (int64_t i = 0; i < packet_get(p, PACKET_LEN, 0); i++) put8(o, packet_pattern((uint32_t)i));
    }
}

static void ip4_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, struct out *o)
{
    uint8_t src[16], dst[16];
    word_ip(p->word[PACKET_W_SRC], peer->ip, src);
    word_ip(p->word[PACKET_W_DST], peer->stack_ip, dst);
    uint32_t at = o->len, header = 20 + (uint32_t)strlen(p->word[PACKET_W_IPOPT]) / 2;
    put8(o, packet_get(p, PACKET_VERSION, 4) << 4 | packet_get(p, PACKET_IHL, header / 4));
    put8(o, packet_get(p, PACKET_DSCP, 0) << 2 | packet_get(p, PACKET_ECN, 0));
    put16(o, 0);
    put16(o, packet_get(p, PACKET_IDENT, 7));
    put16(o, packet_get(p, PACKET_DF, 0) << 14 | packet_get(p, PACKET_MF, 0) << 13 | packet_get(p, PACKET_FRAG, 0) / 8);
    put8(o, packet_get(p, PACKET_TTL, 64));
    put8(o, packet_get(p, PACKET_PROTO, proto_of(p)));
    put16(o, 0);
    put(o, src, 4);
    put(o, dst, 4);
    put_hex(o, p->word[PACKET_W_IPOPT]);
    uint32_t l4 = o->len;
    l4_encode(peer, p, now_ms, o);
    l4_checksum(p, src, dst, false, o->p + l4, o->len - l4);
    uint32_t end = o->len;
    o->len = at + 2;
    put16(o, packet_get(p, PACKET_IPLEN, end - at));
    o->len = end;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_sum(o->p + at, header));
    if (p->bad_ip_checksum) sum ^= 0x1111;
    memcpy(o->p + at + 10, &sum, 2);
}

static void ip6_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, struct out *o)
{
    uint8_t src[16], dst[16];
    word_ip(p->word[PACKET_W_SRC], peer->ip, src);
    word_ip(p->word[PACKET_W_DST], peer->stack_ip, dst);
    uint32_t at = o->len;
    bool ext = p->word[PACKET_W_EXT][0]; /* its first byte is the header's type, then the header itself */
    put32(o, packet_get(p, PACKET_VERSION, 6) << 28 | packet_get(p, PACKET_DSCP, 0) << 22 |
                 packet_get(p, PACKET_ECN, 0) << 20);
    put16(o, 0);
    put8(o, packet_get(p, PACKET_PROTO, proto_of(p)));
    put8(o, packet_get(p, PACKET_TTL, p->kind == PACKET_ND ? ND_HOP_LIMIT : 64));
    put(o, src, 16);
    put(o, dst, 16);
    if (ext) {
        unsigned type;
        if (sscanf(p->word[PACKET_W_EXT], "%2x", &type) == 1) o->p[at + 6] = (uint8_t)type;
        put_hex(o, p->word[PACKET_W_EXT] + 2);
    }
    uint32_t l4 = o->len;
    l4_encode(peer, p, now_ms, o);
    l4_checksum(p, src, dst, true, o->p + l4, o->len - l4);
    uint32_t end = o->len;
    o->len = at + 4;
    put16(o, packet_get(p, PACKET_IPLEN, end - at - 40));
    o->len = end;
}

uint32_t frame_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, uint8_t *frame)
{
    struct out o = {frame, 0};
    uint8_t mac[6];
    bool v6 = p->kind == PACKET_ICMP6 || p->kind == PACKET_ND || (peer->v6 && p->kind <= PACKET_UDP);
    word_mac(p->word[PACKET_W_DMAC], peer->stack_mac, mac);
    put(&o, mac, 6);
    word_mac(p->word[PACKET_W_SMAC], peer->mac, mac);
    put(&o, mac, 6);
    if (p->number[PACKET_VLAN].set) put32(&o, 0x81000000 | p->number[PACKET_VLAN].lo);
    put16(&o, packet_get(p, PACKET_ETHERTYPE, p->kind == PACKET_ARP ? 0x0806 : v6 ? 0x86dd : 0x0800));
    if (p->kind == PACKET_ARP)
        arp_encode(peer, p, &o);
    else if (v6)
        ip6_encode(peer, p, now_ms, &o);
    else
        ip4_encode(peer, p, now_ms, &o);
    for (int64_t i = 0; i < packet_get(p, PACKET_PAD, 0); i++) put8(&o, 0xaa);
    if (p->number[PACKET_CUT].set && p->number[PACKET_CUT].lo < o.len) o.len = (uint32_t)p->number[PACKET_CUT].lo;
    return o.len;
}
