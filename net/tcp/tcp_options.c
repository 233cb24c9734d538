#include <string.h>
#include <rte_byteorder.h>
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_fast_open.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_SCALE = 3, OPT_SACK_PERMITTED = 4, OPT_TS = 8, OPT_FAST_OPEN = 34 };

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

static void store32(uint8_t *p, uint32_t v)
{
    v = rte_cpu_to_be_32(v);
    memcpy(p, &v, sizeof v);
}

/* A cookie of no valid length is no fast open: RFC 7413 4.1.1. */
static void fast_open_parse(const uint8_t *p, uint32_t len, struct tcp_options *out)
{
    uint32_t cookie = len - 2;
    bool valid = cookie >= TCP_FAST_OPEN_COOKIE_LEAST && cookie <= TCP_FAST_OPEN_COOKIE_MOST && cookie % 2 == 0;
    out->has_fast_open = valid || cookie == 0;
    out->fast_open_len = valid ? (uint8_t)cookie : 0;
    out->fast_open = p + 2;
}

/* One option of known kind; a length that its kind does not have is malformed. */
static bool option_parse(const uint8_t *p, uint32_t len, struct tcp_options *out)
{
    switch (p[0]) {
    case OPT_MSS:
        if (len != 4) return false;
        out->mss = (uint16_t)(p[2] << 8 | p[3]);
        return true;
    case OPT_SCALE:
        if (len != 3) return false;
        out->scale = p[2] < TCP_SCALE_MAX ? p[2] : TCP_SCALE_MAX;
        out->has_scale = true;
        return true;
    case OPT_SACK_PERMITTED:
        out->sack_permitted = true;
        return len == 2;
    case OPT_TS:
        if (len != 10) return false;
        out->has_ts = true;
        out->ts_val = load32(p + 2);
        out->ts_ecr = load32(p + 6);
        return true;
    case OPT_FAST_OPEN: fast_open_parse(p, len, out); return true;
    default:
        return true;
    }
}

bool tcp_options_parse(const uint8_t *p, uint32_t len, struct tcp_options *out)
{
    memset(out, 0, sizeof *out);
    while (len) {
        if (p[0] == OPT_END) return true;
        if (p[0] == OPT_NOP) {
            p++;
            len--;
            continue;
        }
        if (len < 2 || p[1] < 2 || p[1] > len) return false;
        uint32_t n = p[1];
        if (!option_parse(p, n, out)) return false;
        p += n;
        len -= n;
    }
    return true;
}

static uint32_t fast_open_write(uint8_t *p, const struct tcp_options *o)
{
    uint32_t len = 2u + o->fast_open_len, pad = -len & 3u;
    memset(p, OPT_NOP, pad);
    p[pad] = OPT_FAST_OPEN;
    p[pad + 1] = (uint8_t)len;
    if (o->fast_open_len) memcpy(p + pad + 2, o->fast_open, o->fast_open_len);
    return pad + len;
}

uint32_t tcp_options_write_syn(uint8_t *p, const struct tcp_options *o)
{
    uint8_t *start = p;
    memcpy(p, (uint8_t[]){OPT_MSS, 4, (uint8_t)(o->mss >> 8), (uint8_t)o->mss}, 4);
    p += 4;
    if (o->has_ts) {
        memcpy(p, (uint8_t[]){o->sack_permitted ? OPT_SACK_PERMITTED : OPT_NOP, o->sack_permitted ? 2 : OPT_NOP}, 2);
        memcpy(p + 2, (uint8_t[]){OPT_TS, 10}, 2);
        store32(p + 4, o->ts_val);
        store32(p + 8, o->ts_ecr);
        p += 12;
    } else if (o->sack_permitted) {
        memcpy(p, (uint8_t[]){OPT_NOP, OPT_NOP, OPT_SACK_PERMITTED, 2}, 4);
        p += 4;
    }
    if (o->has_scale) {
        memcpy(p, (uint8_t[]){OPT_NOP, OPT_SCALE, 3, o->scale}, 4);
        p += 4;
    }
    if (o->has_fast_open) p += fast_open_write(p, o);
    return (uint32_t)(p - start);
}
