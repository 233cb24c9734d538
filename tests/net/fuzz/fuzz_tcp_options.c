/*
 * TCP options from a stranger. The input's first byte says in what segment they stand (a SYN for the listener, a SYN,
 * an ACK or data of the open connection, all numbers as expected); up to 40 bytes of options follow, then the next
 * segment. What the parser says must be within its bounds; no option may break the connection, hang, or leak.
 */
#include <stdlib.h>
#include <string.h>
#include "net/checksum.h"
#include "net/tcp/tcp.h"
#include "tests/net/fuzz/fuzz_stack.h"

#define SEGMENTS_MAX 100u

enum { AS_SYN, AS_SYN_AGAIN, AS_ACK, AS_DATA, AS_KINDS };

static void parse_check(const uint8_t *options, uint32_t len)
{
    struct tcp_options o;
    if (!tcp_options_parse(options, len, &o)) return;
    if (o.has_scale && o.scale > TCP_SCALE_MAX) abort();
    uint8_t again[TCP_OPTIONS_MAX];
    struct tcp_options p;
    if (o.mss == 0) o.mss = 1;
    uint64_t sum = 0;
    uint32_t n = tcp_options_write_syn(again, &o, &sum);
    if (checksum_fold(sum) != checksum_fold(checksum_sum(again, n))) abort();
    if (n > TCP_OPTIONS_MAX || n % 4 || !tcp_options_parse(again, n, &p)) abort();
    if (p.mss != o.mss || p.has_scale != o.has_scale || p.has_ts != o.has_ts || p.sack_permitted != o.sack_permitted)
        abort();
    if (p.has_fast_open != o.has_fast_open || p.fast_open_len != o.fast_open_len) abort();
    if (o.fast_open_len && memcmp(p.fast_open, o.fast_open, o.fast_open_len) != 0) abort();
    if (o.has_ts && (p.ts_val != o.ts_val || p.ts_ecr != o.ts_ecr)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_stack f;
    uint8_t frame[FUZZ_FRAME], options[TCP_OPTIONS_MAX], payload[64] = {0};
    uint32_t sent = 0;
    fuzz_stack_open(&f, true);
    for (unsigned i = 0; i < SEGMENTS_MAX && size >= 2; i++) {
        unsigned kind = data[0] % AS_KINDS;
        uint32_t len = data[1] % (TCP_OPTIONS_MAX + 1) & ~3u;
        data += 2;
        size -= 2;
        if (len > size) len = (uint32_t)size & ~3u;
        memcpy(options, data, len);
        data += len;
        size -= len;
        parse_check(options, len);
        uint32_t bytes = kind == AS_DATA ? sizeof payload : 0, seq = kind == AS_SYN_AGAIN ? 0 : 1 + sent;
        uint8_t flags = kind == AS_SYN || kind == AS_SYN_AGAIN ? 2 : 16;
        uint32_t n = fuzz_segment(&f, frame, flags, seq, 1, options, len, payload, bytes);
        if (kind == AS_SYN) frame[FUZZ_TCP_AT + 1] = (uint8_t)i; /* another port: a new connection */
        fuzz_checksums(frame, n);
        fuzz_turn(&f, frame, n, 1000000);
        if (f.ack > 1 + sent && kind == AS_DATA) sent = f.ack - 1;
        if (!f.stream) abort(); /* nothing of this ends a connection */
    }
    fuzz_stack_close(&f);
    return 0;
}
