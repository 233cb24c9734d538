/*
 * A ring of the last frames that a core received and sent, for a look at what happened just now. The core writes into
 * it and nobody else; a reader gets it only after the core has let go of it (it is swapped for another). A core without
 * a ring pays one test a burst.
 *
 * Frames are as the port's driver sees them: where it sums or cuts (checksum, TSO), what we send is not yet summed or
 * cut.
 */
#ifndef POLAR_NET_CAPTURE_H
#define POLAR_NET_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <rte_mbuf.h>

struct capture;

/* Room for the last `frames` (at least 1), of each its first `snap` bytes. 0 or -ENOMEM. Any thread. */
int capture_create(struct capture **out, uint32_t frames, uint32_t snap);
void capture_destroy(struct capture **capture);

/* Core of the ring. sent: by us; else received. One time stamp for all n. */
void capture_frames(struct capture *c, struct rte_mbuf *const *frames, uint16_t n, bool sent);

/* A reader that has the ring to itself. */
uint32_t capture_count(const struct capture *c); /* frames in the ring */
uint64_t capture_lost(const struct capture *c);  /* older ones that were overwritten */

/* What turns time stamp counters into wall-clock time. */
struct capture_time {
    uint64_t tsc;
    uint64_t unix_ns; /* at tsc */
    uint64_t tsc_hz;
};

/*
 * Writes the rings, merged by time, as one pcapng file: an interface "core-N" for rings[N] (NULL: none), nanoseconds,
 * each frame's direction in its flags. 0 or -errno of the stream.
 */
int capture_write(FILE *out, struct capture *const *rings, unsigned count, const struct capture_time *time);

#endif
