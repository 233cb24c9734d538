/*
 * Segmentation by the device: one frame of up to 64 KB, which the port cuts into segments of mss bytes. Where the port
 * cannot, the stack sends a frame for each segment.
 */
#ifndef POLAR_NET_TSO_H
#define POLAR_NET_TSO_H

#include <stdint.h>
#include <rte_mbuf.h>

#define TSO_PIECES 24u /* buffers that a frame refers to at most: rings have slots for few large frames */

/*
 * Payload of the next frame of the len bytes from byte off of segment m on: at most mss, or a multiple of it up to most
 * (0: no segmentation by the device) that lies in few buffers. What is left over is a segment of its own.
 */
static inline uint32_t tso_payload(uint32_t most, uint32_t mss, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
    if (len <= mss || most < 2 * mss) return len < mss ? len : mss;
    uint32_t reach = 0;
    if (len > most) len = most;
    for (unsigned i = 0; i < TSO_PIECES && m && reach < len; i++, m = m->next, off = 0) reach += m->data_len - off;
    if (reach < len) len = reach;
    return len > mss ? len - len % mss : mss;
}

/* Marks a finished frame, whose checksums are the device's to make, for segmentation. */
static inline void tso_mark(struct rte_mbuf *m, uint16_t mss)
{
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    m->tso_segsz = mss;
}

#endif
