/*
 * Segments in any order, overlapping and again, against a bitmap of what was sent: what the stack delivers is the
 * beginning of the stream, byte by byte, and all of it as far as the bitmap has no hole. Records of four bytes: place
 * (two), length, action (low bits: the FIN comes, the application reads, time passes).
 */
#include <stdlib.h>
#include <string.h>
#include "tests/net/fuzz/fuzz_stack.h"

#define STREAM_BYTES 20000u /* less than the window */
#define RECORDS_MAX 250u    /* less than the buffers that may wait out of order: a quarter of the pool */

enum { DO_READ = 1, DO_WAIT = 2 };

struct model {
    uint8_t have[STREAM_BYTES];
    uint32_t read, known; /* bytes read; bytes before the first hole */
};

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

static void application_read(struct fuzz_stack *f, struct model *m)
{
    struct stream *s = f->stream;
    uint32_t n = s->rx.len;
    struct buf_cursor at = buf_chain_begin(&s->rx);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t byte;
        if (buf_cursor_read(&at, &byte, 1) != 1 || byte != pattern(m->read + i)) abort();
    }
    m->read += n;
    buf_chain_consume(&s->rx, n);
    s->ops->consumed(s, n);
}

static void delivered_check(const struct fuzz_stack *f, struct model *m)
{
    while (m->known < STREAM_BYTES && m->have[m->known]) m->known++;
    if (m->read + f->stream->rx.len != m->known) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model m;
    struct fuzz_stack f;
    uint8_t frame[FUZZ_FRAME], payload[2 * 256];
    memset(&m, 0, sizeof m);
    fuzz_stack_open(&f, true);
    for (unsigned i = 0; i < RECORDS_MAX && size >= 4; i++, data += 4, size -= 4) {
        uint32_t from = (uint32_t)(data[0] << 8 | data[1]) % STREAM_BYTES, len = 2u * data[2] + 1;
        if (from + len > STREAM_BYTES) len = STREAM_BYTES - from;
        for (uint32_t k = 0; k < len; k++) payload[k] = pattern(from + k);
        memset(m.have + from, 1, len);
        uint32_t n = fuzz_segment(&f, frame, 16, 1 + from, 1, NULL, 0, payload, len);
        fuzz_turn(&f, frame, n, data[3] & DO_WAIT ? 2000000 : 0);
        if (!f.stream) abort();
        delivered_check(&f, &m);
        if (data[3] & DO_READ) application_read(&f, &m);
    }
    application_read(&f, &m);
    fuzz_stack_close(&f);
    return 0;
}
