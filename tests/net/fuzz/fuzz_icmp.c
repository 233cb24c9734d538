/*
 * ICMP, ICMPv6, neighbour discovery and ARP from a stranger with right checksums, beside an open connection with data
 * in flight. Records: kind, two bytes of length, that many bytes behind the header of that kind. Whatever they say, the
 * connection goes on, and an ICMP message never ends an established one (RFC 1122 4.2.3.9, RFC 5927).
 */
#include <stdlib.h>
#include <string.h>
#include "tests/net/fuzz/fuzz_stack.h"

#define RECORDS_MAX 100u
#define BODY_MAX 1400u

enum { AS_ICMP, AS_ICMP6, AS_ARP, AS_QUOTE, AS_KINDS };

static const uint8_t to_stack[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

static uint32_t header_v4(uint8_t *p, uint32_t body)
{
    uint32_t total = 20 + body;
    memcpy(p, (uint8_t[]){8, 0, 0x45, 0, (uint8_t)(total >> 8), (uint8_t)total, 0, 0, 0, 0, 64, 1, 0, 0}, 14);
    memcpy(p + 14, (uint8_t[]){10, 0, 0, 2, 10, 0, 0, 1}, 8);
    return 22;
}

static uint32_t header_v6(uint8_t *p, uint32_t body)
{
    static const uint8_t from[16] = {0xfe, 0x80, [15] = 2}, to[16] = {0xfe, 0x80, [15] = 1};
    memcpy(p, (uint8_t[]){0x86, 0xdd, 0x60, 0, 0, 0, (uint8_t)(body >> 8), (uint8_t)body, 58, 255}, 10);
    memcpy(p + 10, from, 16);
    memcpy(p + 26, to, 16);
    return 42;
}

/* Our segment as a router would quote it: addresses and ports of the connection, the number that is in flight. */
static uint32_t quote(const struct fuzz_stack *f, uint8_t *p, uint8_t type, uint8_t code, const uint8_t *rest)
{
    memcpy(p, (uint8_t[]){type, code, 0, 0, rest[0], rest[1], rest[2], rest[3]}, 8);
    memcpy(p + 8, (uint8_t[]){0x45, 0, 2, 0, 0, 0, 0x40, 0, 63, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, 20);
    memcpy(p + 28, (uint8_t[]){0, 7, 4000 >> 8, 4000 & 255}, 4);
    uint32_t seq = f->iss + 1;
    memcpy(p + 32, (uint8_t[]){(uint8_t)(seq >> 24), (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq}, 4);
    return 36;
}

static uint32_t build(const struct fuzz_stack *f, uint8_t *frame, unsigned kind, const uint8_t *body, uint32_t len)
{
    memcpy(frame, to_stack, sizeof to_stack);
    uint32_t at = sizeof to_stack;
    if (kind == AS_ARP) {
        memcpy(frame + at, (uint8_t[]){8, 6}, 2);
        at += 2;
    } else if (kind == AS_ICMP6) {
        at += header_v6(frame + at, len);
    } else if (kind == AS_ICMP) {
        at += header_v4(frame + at, len);
    } else {
        uint8_t head[6] = {3, 4};
        memcpy(head, body, len < 6 ? len : 6);
        at += header_v4(frame + at, 36);
        at += quote(f, frame + at, head[0], head[1], head + 2);
        len = 0;
    }
    memcpy(frame + at, body, len);
    fuzz_checksums(frame, at + len);
    return at + len;
}

static void write_some(struct fuzz_stack *f)
{
    struct buf_chain chain;
    struct rte_mbuf *m = rte_pktmbuf_alloc(fuzz_stack_pool());
    if (!m) return;
    memset(rte_pktmbuf_append(m, 1000), 'x', 1000);
    buf_chain_init(&chain);
    buf_chain_append(&chain, m);
    f->stream->ops->send(f->stream, &chain);
    f->stream->ops->flush(f->stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_stack f;
    uint8_t frame[FUZZ_FRAME];
    fuzz_stack_open(&f, true);
    write_some(&f);
    fuzz_turn(&f, NULL, 0, 0);
    for (unsigned i = 0; i < RECORDS_MAX && size >= 3; i++) {
        uint32_t len = (uint32_t)(data[1] << 8 | data[2]) % BODY_MAX;
        unsigned kind = data[0] % AS_KINDS;
        data += 3;
        size -= 3;
        if (len > size) len = (uint32_t)size;
        fuzz_turn(&f, frame, build(&f, frame, kind, data, len), 10000);
        if (!f.stream) abort();
        data += len;
        size -= len;
    }
    fuzz_stack_close(&f);
    return 0;
}
