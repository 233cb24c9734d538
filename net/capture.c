#include "net/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_cycles.h>

struct record {
    uint64_t tsc;
    uint32_t len; /* of the frame */
    uint32_t kept : 31;
    uint32_t sent : 1;
    uint8_t data[];
};

struct capture {
    uint64_t next; /* frames ever written */
    uint32_t frames, snap;
    size_t stride;
    uint8_t records[];
};

int capture_create(struct capture **out, uint32_t frames, uint32_t snap)
{
    size_t stride = (sizeof(struct record) + snap + 7) & ~(size_t)7;
    struct capture *c = malloc(sizeof *c + stride * frames); /* touched frame by frame */
    if (!c) return -ENOMEM;
    *c = (struct capture){.frames = frames, .snap = snap, .stride = stride};
    *out = c;
    return 0;
}

void capture_destroy(struct capture **capture)
{
    free(*capture);
    *capture = NULL;
}

static struct record *record_at(const struct capture *c, uint64_t serial)
{
    return (struct record *)(uintptr_t)(c->records + (size_t)(serial % c->frames) * c->stride);
}

static void record_fill(struct record *r, const struct rte_mbuf *m, uint32_t snap)
{
    uint32_t left = RTE_MIN(m->pkt_len, snap), kept = 0;
    for (; m && left; m = m->next) {
        uint32_t n = RTE_MIN((uint32_t)m->data_len, left);
        memcpy(r->data + kept, rte_pktmbuf_mtod(m, const void *), n);
        kept += n;
        left -= n;
    }
    r->kept = kept & 0x7fffffffu;
}

void capture_frames(struct capture *c, struct rte_mbuf *const *frames, uint16_t n, bool sent)
{
    uint64_t tsc = rte_rdtsc();
    for (uint16_t i = 0; i < n; i++) {
        struct record *r = record_at(c, c->next++);
        r->tsc = tsc;
        r->len = frames[i]->pkt_len;
        r->sent = sent;
        record_fill(r, frames[i], c->snap);
    }
}

uint32_t capture_count(const struct capture *c)
{
    return (uint32_t)RTE_MIN(c->next, (uint64_t)c->frames);
}
uint64_t capture_lost(const struct capture *c)
{
    return c->next - capture_count(c);
}

/* ---- the file: draft-ietf-opsawg-pcapng, in our byte order ---- */

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1u
#define OPTION_END 0u
#define OPTION_IF_NAME 2u
#define OPTION_IF_TSRESOL 9u
#define OPTION_EPB_FLAGS 2u
#define FLAGS_INBOUND 1u
#define FLAGS_OUTBOUND 2u
#define NS_PER_SECOND UINT64_C(1000000000)

static void put16(FILE *out, uint16_t v)
{
    fwrite(&v, sizeof v, 1, out);
}
static void put32(FILE *out, uint32_t v)
{
    fwrite(&v, sizeof v, 1, out);
}

static uint32_t padded(uint32_t n)
{
    return (n + 3u) & ~3u;
}

static void put_padded(FILE *out, const void *p, uint32_t n)
{
    static const uint8_t zeros[4];
    fwrite(p, 1, n, out);
    fwrite(zeros, 1, padded(n) - n, out);
}

static void put_option(FILE *out, uint16_t code, const void *p, uint16_t n)
{
    put16(out, code);
    put16(out, n);
    put_padded(out, p, n);
}

static void section_write(FILE *out)
{
    uint32_t total = 28;
    put32(out, BLOCK_SECTION);
    put32(out, total);
    put32(out, BYTE_ORDER_MAGIC);
    put16(out, 1);
    put16(out, 0);
    put32(out, UINT32_MAX); /* the section's length is not given */
    put32(out, UINT32_MAX);
    put32(out, total);
}

static void interface_write(FILE *out, unsigned core, uint32_t snap)
{
    static const uint8_t nanoseconds = 9;
    char name[16];
    uint16_t len = (uint16_t)snprintf(name, sizeof name, "core-%u", core);
    uint32_t total = 20 + 4 + padded(len) + 4 + 4 + 4;
    put32(out, BLOCK_INTERFACE);
    put32(out, total);
    put16(out, LINKTYPE_ETHERNET);
    put16(out, 0);
    put32(out, snap);
    put_option(out, OPTION_IF_NAME, name, len);
    put_option(out, OPTION_IF_TSRESOL, &nanoseconds, 1);
    put32(out, OPTION_END);
    put32(out, total);
}

static uint64_t unix_ns(const struct capture_time *t, uint64_t tsc)
{
    uint64_t ago = t->tsc > tsc ? t->tsc - tsc : 0;
    return t->unix_ns - (uint64_t)((unsigned __int128)ago * NS_PER_SECOND / t->tsc_hz);
}

static void packet_write(FILE *out, uint32_t interface, const struct record *r, const struct capture_time *time)
{
    uint64_t at = unix_ns(time, r->tsc);
    uint32_t flags = r->sent ? FLAGS_OUTBOUND : FLAGS_INBOUND, total = 32 + padded(r->kept) + 8 + 4;
    put32(out, BLOCK_PACKET);
    put32(out, total);
    put32(out, interface);
    put32(out, (uint32_t)(at >> 32));
    put32(out, (uint32_t)at);
    put32(out, r->kept);
    put32(out, r->len);
    put_padded(out, r->data, r->kept);
    put_option(out, OPTION_EPB_FLAGS, &flags, sizeof flags);
    put32(out, OPTION_END);
    put32(out, total);
}

/* The ring whose next record is the oldest; count: all are read. */
static unsigned oldest(struct capture *const *rings, unsigned count, const uint64_t *at)
{
    unsigned best = count;
    for (unsigned i = 0; i < count; i++) {
        if (!rings[i] || at[i] == rings[i]->next) continue;
        if (best == count || record_at(rings[i], at[i])->tsc < record_at(rings[best], at[best])->tsc) best = i;
    }
    return best;
}

int capture_write(FILE *out, struct capture *const *rings, unsigned count, const struct capture_time *time)
{
    uint64_t *at = calloc(count ? count : 1, sizeof *at);
    if (!at) return -ENOMEM;
    section_write(out);
    for (unsigned i = 0; i < count; i++) {
        interface_write(out, i, rings[i] ? rings[i]->snap : 0);
        at[i] = rings[i] ? capture_lost(rings[i]) : 0;
    }
    for (unsigned i; (i = oldest(rings, count, at)) < count; at[i]++)
        packet_write(out, i, record_at(rings[i], at[i]), time);
    free(at);
    errno = 0;
    if (fflush(out) == 0 && !ferror(out)) return 0;
    return errno ? -errno : -EIO;
}
