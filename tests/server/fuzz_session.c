/*
 * A session under arbitrary input, cut arbitrarily, with failures in between. Byte 0: bit 0 RESP, bit 1 two cores, bits
 * 2-4 length of received buffers; byte 1: seed of the cuts. Then input, in which a byte 0xff introduces an event: 0 the
 * peer stops reading, 1 reads some, 2 reads on, 3 half close, 4 reset, 5 one core's turn, 6 the other's, 7 a turn of
 * all, 8 a pattern of as many KiB as the next byte says, else the byte itself. At the end nothing may be left behind
 * and, whatever happened, what was sent must be whole replies (RESP, unless it was reset).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"
#include "base/log.h"
#include "tests/server/check.h"
#include "tests/server/fixture.h"

#define INPUT_MAX 20000u
#define PATTERNS_MAX 8u
#define REPLIES_MAX 100000u

struct run {
    struct fixture *x;
    unsigned stream;
    uint32_t room, seed;
    unsigned patterns;
};

static uint32_t next_random(struct run *r)
{
    r->seed = r->seed * 1664525u + 1013904223u;
    return r->seed >> 16;
}

static struct fixture *fixture_for(bool two)
{
    static struct fixture fixtures[2];
    static bool made[2];
    if (!made[two]) {
        log_set_level(LOG_LEVEL_ERROR);
        fixture_init(&fixtures[two], two ? 2 : 1, NULL, NULL);
        made[two] = true;
    }
    fixture_clear(&fixtures[two]);
    return &fixtures[two];
}

/* The line at *off without its end; false: there is none. */
static bool take_line(const uint8_t *p, size_t n, size_t *off, struct slice *line)
{
    const uint8_t *end = *off < n ? memmem(p + *off, n - *off, "\r\n", 2) : NULL;
    if (!end) return false;
    *line = (struct slice){p + *off, (size_t)(end - p) - *off};
    *off += line->len + 2;
    return true;
}

/* Whole replies and nothing else: scalars, bulk and verbatim strings, arrays and maps of them. */
static void check_replies(const uint8_t *p, size_t n)
{
    struct slice line;
    uint64_t open = 0;
    int64_t count;
    for (size_t off = 0; off<n; open -= open> 0) {
        CHECK(take_line(p, n, &off, &line) && line.len > 0);
        struct slice rest = {line.data + 1, line.len - 1};
        switch (line.data[0]) {
        case '+':
        case '-':
        case '_': continue;
        case ':': CHECK(decimal_parse_i64(rest, &count)); continue;
        case '$':
        case '=': /* RESP3's verbatim string: INFO */
            CHECK(decimal_parse_i64(rest, &count) && count >= -1);
            if (count < 0) continue;
            CHECK((uint64_t)count + 2 <= n - off && memcmp(p + off + count, "\r\n", 2) == 0);
            off += (size_t)count + 2;
            continue;
        case '*':
        case '%':
            CHECK(decimal_parse_i64(rest, &count) && count >= 0);
            open += (uint64_t)count * (line.data[0] == '%' ? 2 : 1) + (open == 0);
            continue;
        default: CHECK(!"a reply of a known type");
        }
    }
}

static void feed(struct run *r, const uint8_t *data, size_t n)
{
    for (size_t off = 0; off < n;) {
        size_t take = 1 + next_random(r) % 300;
        if (take > n - off) take = n - off;
        fake_stream_feed(&r->x->streams[r->stream], data + off, take, r->room);
        off += take;
        if (next_random(r) % 3 == 0) fixture_turn_core(r->x, next_random(r) % r->x->config.core_count);
    }
}

static void feed_pattern(struct run *r, size_t kib)
{
    static uint8_t bytes[256 * 1024];
    if (r->patterns++ >= PATTERNS_MAX) return;
    if (!bytes[0]) memset(bytes, 'p', sizeof bytes);
    fake_stream_feed(&r->x->streams[r->stream], bytes, kib * 1024, 2048);
}

static void event(struct run *r, uint8_t code, uint8_t argument)
{
    struct fake_stream *f = &r->x->streams[r->stream];
    switch (code) {
    case 0: r->x->stuck[r->stream] = true; return;
    case 1: fake_stream_deliver(f, 1000); return;
    case 2: r->x->stuck[r->stream] = false; return;
    case 3: fake_stream_eof(f); return;
    case 4: fake_stream_error(f, ECONNRESET); return;
    case 5: fixture_turn_core(r->x, 0); return;
    case 6: fixture_turn_core(r->x, r->x->config.core_count - 1); return;
    case 7: fixture_turn(r->x); return;
    case 8: feed_pattern(r, argument); return;
    default: feed(r, &code, 1); return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX) return 0;
    struct run r = {.x = fixture_for(data[0] & 2), .room = 1u << (data[0] >> 2 & 7), .seed = data[1]};
    bool resp = data[0] & 1, ended = false, failed = false;
    r.room = r.room * 16 - 15; /* 1 to 2033 */
    r.stream = fixture_connect(r.x, 0, resp ? FIXTURE_RESP : FIXTURE_MEMCACHE);
    struct fake_stream *f = &r.x->streams[r.stream];
    for (size_t i = 2; i < size && !failed;) {
        const uint8_t *mark = memchr(data + i, 0xff, size - i);
        size_t n = mark ? (size_t)(mark - data) - i : size - i;
        if (!ended) feed(&r, data + i, n); /* nothing comes after a half close */
        i += n + 1;
        if (i >= size) break;
        uint8_t code = data[i++], argument = 0;
        if (code == 8 && i < size) argument = data[i++];
        failed = code == 4;
        if (ended && code >= 8) continue;
        ended |= code == 3;
        event(&r, code, argument);
    }
    fixture_settle(r.x);
    r.x->stuck[r.stream] = false;
    fixture_settle(r.x);
    fake_stream_eof(f);
    fixture_settle(r.x);
    CHECK(f->closed || f->aborted);
    if (resp && f->closed) check_replies(f->sent, f->sent_len);
    fixture_end_streams(r.x);
    return 0;
}
