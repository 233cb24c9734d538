/*
 * A region that outlives the process: it lies in a file on tmpfs or hugetlbfs, whose first page says what it is. A
 * shard that is parked leaves its bookkeeping there; the next process takes it up where it was. Everything in a region
 * is told by offsets, so it may be mapped anywhere.
 *
 *     in use   as soon as a process has the region: it is believed by nobody after that process, however it ends,
 *     clean    unless it was parked: checksums over the bookkeeping (descriptors, directories, index) say that it is
 *              what was left
 *
 * A region of another build's layout, another size or another division between cores is not taken up.
 */
#ifndef POLAR_STORE_WARM_H
#define POLAR_STORE_WARM_H

#include "store/shard.h"

/* Named by the files that say how memory is laid out, of this build. */
extern const uint64_t store_layout_id;

/* Bytes at the beginning of a region that lies in a file. */
#define WARM_BYTES PAGE_BYTES

/* NULL: the region that lies at base was parked by such a shard, and *s may take it up. Else why not. */
const char *warm_check(const struct store *s, const struct store_config *config);
/*
 * Takes up what warm_check has seen: all of *s, also where it lay and what the options said; the caller puts that right,
 * and then says that the region is in use. The pins are as new.
 */
void warm_take(struct store *s);
void warm_in_use(struct store *s);
/* A region that is begun anew is in use from here on. */
void warm_begin(struct store *s, const struct store_config *config);
/* Leaves a clean region: no pin and no open write is left. */
void warm_park(struct store *s);

#endif
