/* SCAN: one bounded piece of one shard's keys, gathered on the core that owns them. */
#ifndef POLAR_SERVER_SCAN_H
#define POLAR_SERVER_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

struct core;
struct op;
struct session;

/* What a client is given as the cursor: the core, and the place in its shard; 0 begins and ends. */
#define SCAN_CORE_SHIFT 32u

/* The keys of an answer, one after the other, each behind its length of 32 bits: in op->key_heap. */
struct scan_keys {
    uint32_t count;
    uint32_t len, cap; /* bytes of them */
    uint8_t bytes[];
};

/* The command with its arguments. False: it has to wait for earlier answers and was not run. */
bool scan_run(struct session *s, const struct slice *args, int count);
/* OP_SCAN, on the owner's core: op->key is the pattern, op->number the cursor, and then the next one. */
void scan_execute(struct core *core, struct op *op);

#endif
