#include "tests/net/sim/segment.h"

#include <string.h>

#define ETH 14u
#define VLAN 0x8100u
#define SYN 2u

static uint32_t load(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

/* Where things are in a frame. */
struct places {
    uint32_t ip, tcp, end; /* end: of the packet */
    bool v6;
};

static bool places_find(const uint8_t *frame, uint32_t len, struct places *p)
{
    p->ip = ETH;
    if (len > ETH + 4 && load(frame + 12, 2) == VLAN) p->ip += 4;
    uint32_t ip = p->ip, type = load(frame + ip - 2, 2);
    if (len < ip + 40) return false;
    p->v6 = type == 0x86dd;
    if (p->v6) {
        if (frame[ip] >> 4 != 6 || frame[ip + 6] != 6) return false;
        p->tcp = ip + 40;
        p->end = p->tcp + load(frame + ip + 4, 2);
    } else {
        if (type != 0x0800 || frame[ip] >> 4 != 4 || frame[ip + 9] != 6) return false;
        p->tcp = ip + (frame[ip] & 15u) * 4;
        p->end = ip + load(frame + ip + 2, 2);
    }
    return len >= p->tcp + 20 && len >= p->tcp + (frame[p->tcp + 12] >> 4) * 4u;
}

/* The next option from *off on within [*off, end); returns its place, or 0. */
static uint32_t option_next(const uint8_t *frame, uint32_t *off, uint32_t end)
{
    while (*off < end && frame[*off] == 1) (*off)++;
    uint32_t at = *off;
    if (at + 1 >= end || frame[at] == 0 || frame[at + 1] < 2 || at + frame[at + 1] > end) return 0;
    *off += frame[at + 1];
    return at;
}

bool segment_read(const uint8_t *frame, uint32_t len, struct segment *s)
{
    struct places p;
    if (!places_find(frame, len, &p)) return false;
    const uint8_t *ip = frame + p.ip, *tcp = frame + p.tcp;
    uint32_t header = (tcp[12] >> 4) * 4u;
    *s = (struct segment){.from = (uint8_t)(ip[p.v6 ? 23 : 15] - 1),
                          .to = (uint8_t)(ip[p.v6 ? 39 : 19] - 1),
                          .flags = tcp[13],
                          .code = p.v6 ? ip[1] >> 4 & 3 : ip[1] & 3,
                          .source = (uint16_t)load(tcp, 2),
                          .target = (uint16_t)load(tcp + 2, 2),
                          .seq = load(tcp + 4, 4),
                          .ack = load(tcp + 8, 4),
                          .wnd = (uint16_t)load(tcp + 14, 2),
                          .scale = -1};
    s->len = p.end > p.tcp + header ? p.end - p.tcp - header : 0;
    if (!(s->flags & SYN)) return true;
    for (uint32_t off = p.tcp + 20, o; (o = option_next(frame, &off, p.tcp + header)) != 0;)
        if (frame[o] == 3 && frame[o + 1] == 3) s->scale = (int8_t)(frame[o + 2] > 14 ? 14 : frame[o + 2]);
    return true;
}

/* One's complement arithmetic: the sum changes as the bytes do. RFC 1624. */
static void byte_set(uint8_t *frame, uint32_t sum_at, uint32_t at, uint32_t base, uint8_t value)
{
    unsigned shift = (at - base) & 1 ? 0 : 8;
    uint32_t sum = (uint16_t)~load(frame + sum_at, 2);
    sum += ((uint32_t)value << shift) + (uint16_t) ~((uint32_t)frame[at] << shift);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    frame[sum_at] = (uint8_t)(sum >> 8);
    frame[sum_at + 1] = (uint8_t)sum;
    frame[at] = value;
}

static unsigned strip_bit(uint8_t kind)
{
    switch (kind) {
    case 3: return STRIP_SCALE;
    case 4: return STRIP_SACK;
    case 8: return STRIP_TS;
    default: return 0;
    }
}

void segment_strip(uint8_t *frame, uint32_t len, unsigned strip, uint16_t mss)
{
    struct places p;
    if (!places_find(frame, len, &p) || !(frame[p.tcp + 13] & SYN)) return;
    uint32_t at = p.tcp;
    uint32_t end = at + (frame[at + 12] >> 4) * 4u;
    for (uint32_t off = at + 20, o; (o = option_next(frame, &off, end)) != 0;) {
        if (strip_bit(frame[o]) & strip)
            for (uint32_t i = o; i < off; i++) byte_set(frame, at + 16, i, at, 1);
        else if (frame[o] == 2 && frame[o + 1] == 4 && mss && load(frame + o + 2, 2) > mss) {
            byte_set(frame, at + 16, o + 2, at, (uint8_t)(mss >> 8));
            byte_set(frame, at + 16, o + 3, at, (uint8_t)mss);
        }
    }
}
