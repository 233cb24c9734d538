#include "tests/net/loss/segments.h"

#include <string.h>
#include <rte_byteorder.h>
#include "tests/net/sim/cmocka_all.h"

void loss_open(struct script *s)
{
    uint16_t mss = (uint16_t)(LOSS_MSS + (s->ts ? 12 : 0));
    uint8_t plain[8] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 1, 1, 4, 2};
    uint8_t timed[16] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss, 4, 2, 8, 10, 0, 0, 0, (uint8_t)s->ts_val};
    script_send_options(s, S, 0, 0, 65535, s->ts ? timed : plain, s->ts ? sizeof timed : sizeof plain, NULL, 0);
    script_expect(s, S | A, 0, 1, 0);
    s->now += LOSS_RTT_NS;
    script_send(s, A, 1, 1, 65535, NULL, 0);
    script_expect_nothing(s);
    assert_non_null(s->stream);
}

void loss_open_and_send(struct script *s, uint32_t n)
{
    loss_open(s);
    script_write(s, n * LOSS_MSS);
    for (uint32_t i = 0; i < n && i < 10; i++) script_expect(s, A, loss_at(i), 1, LOSS_MSS);
    script_expect_nothing(s);
}

void loss_ack(struct script *s, uint32_t ack, unsigned blocks, const uint32_t *edges)
{
    uint32_t options[11];
    unsigned n = 0;
    if (s->ts) {
        options[n++] = rte_cpu_to_be_32(0x0101080a);
        options[n++] = rte_cpu_to_be_32(s->ts_val);
        options[n++] = rte_cpu_to_be_32(s->ts_ecr);
    }
    options[n++] = rte_cpu_to_be_32(0x01010502u + 8 * blocks);
    for (unsigned i = 0; i < 2 * blocks; i++) options[n++] = rte_cpu_to_be_32(s->iss + edges[i]);
    script_send_options(s, A, 1, ack, 65535, options, 4 * n, NULL, 0);
}

void loss_data(struct script *s, uint32_t seq, uint32_t len)
{
    uint8_t bytes[LOSS_MSS];
    memset(bytes, 'x', sizeof bytes);
    script_send(s, P | A, seq, 1, 65535, bytes, len);
}

unsigned loss_blocks(const struct script_segment *t, uint32_t edges[8])
{
    uint32_t at = t->options_len >= 12 && t->options[2] == 8 ? 12 : 0;
    if (t->options_len < at + 12 || t->options[at + 2] != 5) return 0;
    unsigned n = (t->options[at + 3] - 2u) / 8;
    for (unsigned i = 0; i < 2 * n; i++) {
        memcpy(&edges[i], t->options + at + 4 + 4 * i, 4);
        edges[i] = rte_be_to_cpu_32(edges[i]) - SCRIPT_PEER_ISS;
    }
    return n;
}
