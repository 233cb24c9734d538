#include "tests/net/sim/segment.h"

#include <string.h>

#define ETH 14u
#define SYN 2u

static uint32_t load(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static uint32_t tcp_offset(const uint8_t *frame, uint32_t len)
{
    if (len < ETH + 40 || frame[12] != 8 || frame[13] != 0 || frame[ETH] >> 4 != 4 || frame[ETH + 9] != 6) return 0;
    uint32_t at = ETH + (frame[ETH] & 15u) * 4;
    if (len < at + 20 || len < at + (frame[at + 12] >> 4) * 4u) return 0;
    return at;
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
    uint32_t at = tcp_offset(frame, len);
    if (!at) return false;
    uint32_t header = (frame[at + 12] >> 4) * 4u, end = ETH + load(frame + ETH + 2, 2);
    *s = (struct segment){.from = (uint8_t)(frame[ETH + 15] - 1),
                          .to = (uint8_t)(frame[ETH + 19] - 1),
                          .flags = frame[at + 13],
                          .code = frame[ETH + 1] & 3,
                          .source = (uint16_t)load(frame + at, 2),
                          .target = (uint16_t)load(frame + at + 2, 2),
                          .seq = load(frame + at + 4, 4),
                          .ack = load(frame + at + 8, 4),
                          .wnd = (uint16_t)load(frame + at + 14, 2),
                          .scale = -1};
    s->len = end > at + header ? end - at - header : 0;
    if (!(s->flags & SYN)) return true;
    for (uint32_t off = at + 20, o; (o = option_next(frame, &off, at + header)) != 0;)
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
    uint32_t at = tcp_offset(frame, len);
    if (!at || !(frame[at + 13] & SYN)) return;
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
