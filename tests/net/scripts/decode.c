/* What the stack sent, taken apart and checked: lengths, checksums, and each payload byte against the pattern. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "net/checksum.h"
#include "tests/net/scripts/peer.h"

struct in {
    struct peer *peer;
    struct packet *out;
    bool unchecked;
    char *why;
    size_t cap;
};

static bool bad(struct in *in, const char *what)
{
    snprintf(in->why, in->cap, "%s", what);
    return false;
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static uint32_t get32(const uint8_t *p)
{
    return get16(p) << 16 | get16(p + 2);
}

static void mac_text(const uint8_t *p, char *out)
{
    snprintf(out, PACKET_WORD, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4], p[5]);
}

static void hex_text(const uint8_t *p, uint32_t len, char *out)
{
    for (uint32_t i = 0; i < len && 2 * i + 2 < PACKET_WORD; i++) snprintf(out + 2 * i, 3, "%02x", p[i]);
}

static bool tcp_option(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    switch (p[0]) {
    case 2:
        if (len != 4) return bad(in, "MSS option of a wrong length");
        packet_set(out, PACKET_MSS, get16(p + 2));
        return true;
    case 3:
        if (len != 3) return bad(in, "window scale option of a wrong length");
        packet_set(out, PACKET_WSCALE, p[2]);
        return true;
    case 4: packet_set(out, PACKET_SACKOK, 1); return len == 2 || bad(in, "SACK-permitted option of a wrong length");
    case 5:
        if (len < 10 || (len - 2) % 8 || (len - 2) / 8 > PACKET_SACKS) return bad(in, "SACK option of a wrong length");
        for (uint32_t i = 2; i < len; i += 8)
            out->sack[out->sacks++] = (struct packet_range){(int32_t)(get32(p + i) - in->peer->iss),
                                                            (int32_t)(get32(p + i + 4) - in->peer->iss), true};
        return true;
    case 8:
        if (len != 10) return bad(in, "timestamp option of a wrong length");
        packet_set(out, PACKET_TSVAL, get32(p + 2));
        packet_set(out, PACKET_TSECR, get32(p + 6));
        return true;
    case 34:
        if (len == 2)
            strcpy(out->word[PACKET_W_FO], "00");
        else
            hex_text(p + 2, len - 2, out->word[PACKET_W_FO]);
        if (out->flags & A) strcpy(in->peer->cookie, out->word[PACKET_W_FO]);
        return true;
    default: return bad(in, "an option that is none of ours");
    }
}

static bool tcp_options(struct in *in, const uint8_t *p, uint32_t len)
{
    while (len) {
        if (p[0] == 0) return true;
        uint32_t n = p[0] == 1 ? 1 : len >= 2 ? p[1] : 0;
        if (n == 0 || n > len || (n == 1 && p[0] != 1)) return bad(in, "malformed TCP options");
        if (n > 1 && !tcp_option(in, p, n)) return false;
        p += n;
        len -= n;
    }
    return true;
}

static bool payload_check(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    uint32_t first = (uint32_t)out->number[PACKET_SEQ].lo - (out->flags & S ? 0 : 1);
    for (uint32_t i = 0; i < len; i++)
        if (p[i] != packet_pattern(first + i)) {
            out->junk = true;
            break;
        }
    return true;
}

static void syn_learn(struct peer *peer, uint32_t seq, const struct packet *out)
{
    if (!peer->stack_iss_known) peer->stack_iss = seq;
    peer->stack_iss_known = true;
    bool ts = out->number[PACKET_TSVAL].set;
    if (out->flags & A)
        peer->ts = peer->ts_offered && ts;
    else
        peer->ts_offered = ts;
}

static bool tcp_decode(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    struct peer *peer = in->peer;
    uint32_t header = len >= 20 ? (p[12] >> 4) * 4u : 0;
    if (header < 20 || header > len) return bad(in, "a TCP header that is too short");
    out->kind = PACKET_TCP;
    packet_set(out, PACKET_SPORT, get16(p));
    packet_set(out, PACKET_DPORT, get16(p + 2));
    out->flags = (uint16_t)(p[13] | (p[12] & 1) << 8);
    if (p[12] & 0x0e) return bad(in, "reserved bits are set");
    if (out->flags & S && get16(p + 2) == peer->port && peer->stack_port == 0) peer->stack_port = (uint16_t)get16(p);
    if (!tcp_options(in, p + 20, header - 20)) return false;
    if (get16(p + 2) == peer->port && get16(p) == peer->stack_port) {
        if (out->flags & S) syn_learn(peer, get32(p + 4), out);
        if (out->number[PACKET_TSVAL].set) peer->ts_recent = (uint32_t)out->number[PACKET_TSVAL].lo;
    }
    uint32_t seq = get32(p + 4);
    packet_set(out, PACKET_SEQ, peer->stack_iss_known ? (int32_t)(seq - peer->stack_iss) : (int64_t)seq);
    packet_set(out, PACKET_LEN, len - header);
    if (out->flags & A)
        packet_set(out, PACKET_ACK, (int32_t)(get32(p + 8) - peer->iss));
    else if (get32(p + 8))
        return bad(in, "an acknowledgement number without the flag");
    packet_set(out, PACKET_WIN, get16(p + 14));
    packet_set(out, PACKET_URG, get16(p + 18));
    return payload_check(in, p + header, len - header);
}

static void lla_find(const uint8_t *p, uint32_t len, struct packet *out)
{
    while (len >= 8 && p[1] && p[1] * 8u <= len) {
        if (p[0] == 1) mac_text(p + 2, out->word[PACKET_W_SLL]);
        if (p[0] == 2) mac_text(p + 2, out->word[PACKET_W_TLL]);
        len -= p[1] * 8u;
        p += p[1] * 8u;
    }
}

static bool icmp_decode(struct in *in, const uint8_t *p, uint32_t len, bool v6)
{
    struct packet *out = in->out;
    if (len < 8) return bad(in, "an ICMP message that is too short");
    packet_set(out, PACKET_TYPE, p[0]);
    packet_set(out, PACKET_CODE, p[1]);
    out->kind = !v6 ? PACKET_ICMP : p[0] >= 133 && p[0] <= 136 ? PACKET_ND : PACKET_ICMP6;
    if (out->kind == PACKET_ND) {
        packet_set(out, PACKET_NAFLAGS, p[4] >> 5);
        uint32_t at = 8;
        if (p[0] >= 135) {
            if (len < 24) return bad(in, "a neighbour message that is too short");
            inet_ntop(AF_INET6, p + 8, out->word[PACKET_W_TARGET], PACKET_WORD);
            at = 24;
        }
        lla_find(p + at, len - at, out);
        return true;
    }
    packet_set(out, PACKET_ID, get16(p + 4));
    packet_set(out, PACKET_N, get16(p + 6));
    packet_set(out, PACKET_MTU, get32(p + 4));
    packet_set(out, PACKET_LEN, len - 8);
    bool echo = v6 ? p[0] == 129 : p[0] == 0;
    for (uint32_t i = 8; echo && i < len; i++)
        if (p[i] != packet_pattern(i - 8)) return bad(in, "the echo does not return what was sent");
    return true;
}

static bool l4_decode(struct in *in, unsigned proto, const uint8_t *p, uint32_t len, const uint8_t *src,
                      const uint8_t *dst, bool v6)
{
    uint64_t sum = checksum_sum(p, len);
    if (proto != 1)
        sum += checksum_sum(src, v6 ? 16 : 4) + checksum_sum(dst, v6 ? 16 : 4) + htons((uint16_t)proto) +
               htons((uint16_t)len);
    if (!in->unchecked && checksum_fold(sum) != 0xffff) return bad(in, "wrong TCP or ICMP checksum");
    if (proto == 6) return tcp_decode(in, p, len);
    if (proto == 1 || proto == 58) return icmp_decode(in, p, len, v6);
    in->out->kind = PACKET_OTHER;
    packet_set(in->out, PACKET_PROTO, proto);
    return true;
}

static bool ip4_decode(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    uint32_t header = len >= 20 ? (p[0] & 15u) * 4 : 0;
    if (header < 20 || header > len || p[0] >> 4 != 4) return bad(in, "no IPv4 header");
    if (get16(p + 2) != len) return bad(in, "the frame is not as long as IP says");
    if (!in->unchecked && checksum_fold(checksum_sum(p, header)) != 0xffff) return bad(in, "wrong IP checksum");
    inet_ntop(AF_INET, p + 12, out->word[PACKET_W_SRC], PACKET_WORD);
    inet_ntop(AF_INET, p + 16, out->word[PACKET_W_DST], PACKET_WORD);
    packet_set(out, PACKET_TTL, p[8]);
    packet_set(out, PACKET_ECN, p[1] & 3);
    packet_set(out, PACKET_DSCP, p[1] >> 2);
    packet_set(out, PACKET_DF, p[6] >> 6 & 1);
    packet_set(out, PACKET_MF, p[6] >> 5 & 1);
    packet_set(out, PACKET_FRAG, (get16(p + 6) & 0x1fff) * 8);
    packet_set(out, PACKET_IDENT, get16(p + 4));
    return l4_decode(in, p[9], p + header, len - header, p + 12, p + 16, false);
}

static bool ip6_decode(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    unsigned next;
    uint32_t at = 40;
    if (len < 40 || p[0] >> 4 != 6) return bad(in, "no IPv6 header");
    if (get16(p + 4) != len - 40) return bad(in, "the frame is not as long as IP says");
    inet_ntop(AF_INET6, p + 8, out->word[PACKET_W_SRC], PACKET_WORD);
    inet_ntop(AF_INET6, p + 24, out->word[PACKET_W_DST], PACKET_WORD);
    packet_set(out, PACKET_TTL, p[7]);
    packet_set(out, PACKET_ECN, p[1] >> 4 & 3);
    packet_set(out, PACKET_DSCP, (get16(p) >> 6) & 0x3f);
    next = p[6];
    if (next == 0 && len >= 48) { /* hop-by-hop: a listener report's router alert */
        next = p[40];
        at += 8u * (p[41] + 1u);
        if (at > len) return bad(in, "a hop-by-hop header beyond the frame");
    }
    if (!l4_decode(in, next, p + at, len - at, p + 8, p + 24, true)) return false;
    out->v6 = out->kind <= PACKET_UDP;
    return true;
}

static bool arp_decode(struct in *in, const uint8_t *p, uint32_t len)
{
    struct packet *out = in->out;
    if (len < 28 || get16(p) != 1 || get16(p + 2) != 0x800 || p[4] != 6 || p[5] != 4) return bad(in, "no ARP packet");
    out->kind = PACKET_ARP;
    packet_set(out, PACKET_TYPE, get16(p + 6));
    mac_text(p + 8, out->word[PACKET_W_SHA]);
    inet_ntop(AF_INET, p + 14, out->word[PACKET_W_SPA], PACKET_WORD);
    mac_text(p + 18, out->word[PACKET_W_THA]);
    inet_ntop(AF_INET, p + 24, out->word[PACKET_W_TPA], PACKET_WORD);
    return true;
}

bool frame_decode(struct peer *peer, const uint8_t *frame, uint32_t len, bool unchecked, struct packet *out, char *why,
                  size_t cap)
{
    struct in in = {peer, out, unchecked, why, cap};
    memset(out, 0, sizeof *out);
    if (len < 14) return bad(&in, "a frame without an Ethernet header");
    mac_text(frame, out->word[PACKET_W_DMAC]);
    mac_text(frame + 6, out->word[PACKET_W_SMAC]);
    if (memcmp(frame + 6, peer->stack_mac, 6) != 0) return bad(&in, "the sender's MAC address is not the stack's");
    uint32_t at = 12, type = get16(frame + at);
    if (type == 0x8100 && len >= 18) {
        packet_set(out, PACKET_VLAN, get16(frame + 14));
        at = 16;
        type = get16(frame + at);
    }
    at += 2;
    if (type == 0x0800) return ip4_decode(&in, frame + at, len - at);
    if (type == 0x86dd) return ip6_decode(&in, frame + at, len - at);
    if (type == 0x0806) return arp_decode(&in, frame + at, len - at);
    return bad(&in, "an Ethernet type that is none of ours");
}
