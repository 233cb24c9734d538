/* A TCP segment as a frame shows it, for taps and traces. */
#ifndef POLAR_TESTS_NET_SIM_SEGMENT_H
#define POLAR_TESTS_NET_SIM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

struct segment {
    uint8_t from, to;    /* hosts */
    uint8_t flags, code; /* of the TCP header; the ECN codepoint */
    uint16_t source, target;
    uint32_t seq, ack, len; /* len: payload bytes */
    uint16_t wnd;
    int8_t scale; /* of a SYN; -1: none */
};

enum segment_strip { STRIP_TS = 1, STRIP_SACK = 2, STRIP_SCALE = 4 };

/* False: the frame holds no whole TCP header. */
bool segment_read(const uint8_t *frame, uint32_t len, struct segment *s);
/* Options of a SYN become no-operations, and its MSS at most mss (0: as it is); the checksum is mended if it was right.
 */
void segment_strip(uint8_t *frame, uint32_t len, unsigned strip, uint16_t mss);

#endif
