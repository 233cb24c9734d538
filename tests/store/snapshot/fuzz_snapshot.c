/*
 * The snapshot reader on any bytes. An input that begins with 'r' is a file as it is. Else it says how to build one
 * whose checksums are right, so that what lies behind them is reached: number of shards, then blocks of kind, shard,
 * records, length (2 bytes), payload; a SHARD or END block of length 0 gets the totals that are true.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "store/snapshot_file.h"
#include "store/snapshot_in.h"

#define REGION (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file = -1;
static char path[64];
static struct store *store;
static struct slot_map slots;

static void start(void)
{
    struct store_config config = {.memory_limit = REGION, .max_value = 1u << 20, .max_key = 65535};
    file = memfd_create("snapshot", MFD_CLOEXEC);
    if (file < 0 || store_create(&store, &config) != 0) abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    slot_map_init(&slots, 1);
}

static void put(const void *p, size_t n)
{
    if (write(file, p, n) != (ssize_t)n) abort();
}

struct building {
    struct snapshot_header header;
    uint64_t records[SNAPSHOT_SHARDS_MAX];
    struct snapshot_totals totals;
};

static void block_build(struct building *b, struct snapshot_head *h, const uint8_t *payload)
{
    uint8_t head[SNAPSHOT_HEAD_BYTES], own[SNAPSHOT_END_BYTES];
    bool totals = h->kind == SNAPSHOT_SHARD || h->kind == SNAPSHOT_END;
    if (totals && h->length == 0) {
        struct snapshot_totals t = {.items = b->records[h->shard], .cas = 7};
        b->totals.blocks = h->number;
        b->totals.cas = 7;
        if (h->kind == SNAPSHOT_SHARD) b->totals.items += t.items;
        snapshot_totals_encode(own, h->kind == SNAPSHOT_END ? &b->totals : &t);
        payload = own;
        h->length = h->kind == SNAPSHOT_END ? SNAPSHOT_END_BYTES : SNAPSHOT_SHARD_BYTES;
    }
    if (h->kind == SNAPSHOT_WHOLE || h->kind == SNAPSHOT_FIRST) b->records[h->shard] += h->records;
    h->slot_last = SLOT_COUNT - 1;
    h->payload_sum = snapshot_sum(payload, h->length, b->header.id);
    snapshot_head_encode(head, h, b->header.id);
    put(head, sizeof(head));
    put(payload, h->length);
}

static void build(const uint8_t *p, size_t size)
{
    struct building b = {.header = {.id = 99, .created_ms = 5, .shards = size ? p[0] % 4u : 0}};
    uint8_t header[SNAPSHOT_HEADER_BYTES];
    snapshot_header_encode(header, &b.header);
    put(header, sizeof(header));
    size_t at = 1;
    for (uint64_t number = 0; at + 5 <= size; number++) {
        struct snapshot_head h = {.kind = p[at], .shard = p[at + 1], .records = p[at + 2], .number = number};
        size_t length = (size_t)p[at + 3] | (size_t)p[at + 4] << 8;
        at += 5;
        if (length > size - at) length = size - at;
        h.length = (uint32_t)length;
        block_build(&b, &h, p + at);
        at += length;
    }
}

static void load(struct store *into)
{
    struct snapshot_load l = {.store = into, .slots = &slots, .now_ms = 1000};
    struct snapshot_in *in = NULL;
    if (snapshot_in_open(&in, path, &l.fault) == 0) snapshot_load_run(in, &l);
    snapshot_in_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!store) start();
    if (size == 0) return 0;
    if (ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0) abort();
    if (data[0] == 'r')
        put(data + 1, size - 1);
    else
        build(data + 1, size - 1);
    load(NULL);
    load(store);
    if (store_metrics(store)->writes_open != 0) abort();
    static unsigned runs;
    if (++runs % 256 == 0) store_check(store);
    store_flush(store);
    for (unsigned i = 0; i < 64 && store_step(store, 1000); i++) continue;
    return 0;
}
