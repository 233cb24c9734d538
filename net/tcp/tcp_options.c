#include <string.h>
#include <rte_byteorder.h>
#include "net/checksum.h"
#include "net/tcp/tcp.h"
#include "net/tcp/tcp_fast_open.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_SCALE = 3, OPT_SACK_PERMITTED = 4, OPT_TS = 8, OPT_FAST_OPEN = 34 };

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return rte_be_to_cpu_32(v);
}

#define SYN_USUAL_BYTES 20u
#define SYN_USUAL_MSS 0x0204u          /* MSS 4 */
#define SYN_USUAL_SACK_TS 0x0402080au  /* SACK-permitted 2, TS 10 */
#define SYN_USUAL_SCALE 0x010303u      /* NOP, scale 3 */

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

/* What most SYNs carry, in the order of Linux: MSS, SACK-permitted, timestamps, scale. False: something else. */
static inline bool syn_usual_parse(const uint8_t *p, uint32_t len, struct tcp_options *out)
{
    if (len != SYN_USUAL_BYTES) return false;
    uint32_t mss = load32(p), scale = load32(p + 16);
    if (mss >> 16 != SYN_USUAL_MSS || load32(p + 4) != SYN_USUAL_SACK_TS || scale >> 8 != SYN_USUAL_SCALE) return false;
    out->mss = (uint16_t)mss;
    out->sack_permitted = out->has_ts = out->has_scale = true;
    out->ts_val = load32(p + 8);
    out->ts_ecr = load32(p + 12);
    out->scale = (uint8_t)RTE_MIN(scale & 0xff, TCP_SCALE_MAX);
    return true;
}

bool tcp_options_parse(const uint8_t *p, uint32_t len, struct tcp_options *out)
{
    memset(out, 0, sizeof *out);
    if (syn_usual_parse(p, len, out)) return true;
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

/* Words are summed as they are written: reading them back so soon would wait for the stores. */
static inline uint8_t *word_write(uint8_t *p, uint32_t word, uint64_t *sum)
{
    uint32_t be = rte_cpu_to_be_32(word);
    memcpy(p, &be, sizeof be);
    *sum += be;
    return p + sizeof be;
}

uint32_t tcp_options_write_syn(uint8_t *p, const struct tcp_options *o, uint64_t *sum)
{
    uint8_t *start = p;
    uint32_t sack = o->sack_permitted ? OPT_SACK_PERMITTED << 8 | 2 : OPT_NOP << 8 | OPT_NOP;
    p = word_write(p, OPT_MSS << 24 | 4 << 16 | (uint32_t)o->mss, sum);
    if (o->has_ts) {
        p = word_write(p, sack << 16 | OPT_TS << 8 | 10, sum);
        p = word_write(p, o->ts_val, sum);
        p = word_write(p, o->ts_ecr, sum);
    } else if (o->sack_permitted) {
        p = word_write(p, OPT_NOP << 24 | OPT_NOP << 16 | sack, sum);
    }
    if (o->has_scale) p = word_write(p, OPT_NOP << 24 | OPT_SCALE << 16 | 3 << 8 | (uint32_t)o->scale, sum);
    if (o->has_fast_open) {
        uint32_t n = fast_open_write(p, o);
        *sum += checksum_sum(p, n);
        p += n;
    }
    return (uint32_t)(p - start);
}
