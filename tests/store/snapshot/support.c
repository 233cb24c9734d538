#include "tests/store/snapshot/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static void folder_remove(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0) perror(folder);
}

const char *support_path(const char *name)
{
    static char path[4][128];
    static unsigned next;
    if (!*folder) {
        strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/polar-snapshot-XXXXXX" : "/tmp/polar-snapshot-XXXXXX");
        assert_non_null(mkdtemp(folder));
        atexit(folder_remove);
    }
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static void shard_slots(const struct slot_map *slots, unsigned shard, struct snapshot_out_config *c)
{
    c->slot_first = SLOT_COUNT - 1;
    c->slot_last = 0;
    for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
        if (slots->owner[slot] != shard) continue;
        if (slot < c->slot_first) c->slot_first = (uint16_t)slot;
        c->slot_last = (uint16_t)slot;
    }
}

void taking_begin(struct taking *t, struct store **stores, unsigned shards, const struct slot_map *slots,
                  const char *path)
{
    memset(t, 0, sizeof(*t));
    t->shards = shards;
    assert_int_equal(snapshot_file_create(&t->file, path, shards, SUPPORT_NOW), 0);
    for (unsigned i = 0; i < shards; i++) {
        t->empty[i] = spsc_ring_create(4);
        t->full[i] = spsc_ring_create(4);
        for (unsigned b = 0; b < SUPPORT_BLOCKS; b++) {
            t->blocks[i][b] = malloc(sizeof(struct snapshot_block));
            spsc_ring_push(t->empty[i], t->blocks[i][b]);
        }
        struct snapshot_out_config c = {
            .store = stores[i], .empty = t->empty[i], .full = t->full[i], .shard = (uint16_t)i};
        shard_slots(slots, i, &c);
        assert_int_equal(snapshot_out_create(&t->out[i], &c), 0);
    }
}

bool taking_step(struct taking *t, unsigned writes)
{
    bool running = false;
    for (unsigned i = 0; i < t->shards; i++) {
        struct snapshot_block *b;
        snapshot_out_step(t->out[i], SUPPORT_NOW);
        running |= snapshot_out_state(t->out[i]) == SNAPSHOT_OUT_RUNNING;
        for (unsigned n = 0; n < writes && (b = spsc_ring_pop(t->full[i])); n++) {
            assert_int_equal(snapshot_file_append(&t->file, &b->head, b->bytes), 0);
            spsc_ring_push(t->empty[i], b);
            t->written++;
        }
    }
    return running;
}

static void taking_free(struct taking *t)
{
    for (unsigned i = 0; i < t->shards; i++) {
        snapshot_out_destroy(&t->out[i]);
        free(t->empty[i]);
        free(t->full[i]);
        for (unsigned b = 0; b < SUPPORT_BLOCKS; b++) free(t->blocks[i][b]);
    }
}

void taking_finish(struct taking *t)
{
    while (taking_step(t, SUPPORT_BLOCKS)) continue;
    taking_step(t, SUPPORT_BLOCKS);
    assert_int_equal(snapshot_file_finish(&t->file, SUPPORT_NOW + 1), 0);
    taking_free(t);
}

void taking_abandon(struct taking *t)
{
    for (unsigned i = 0; i < t->shards; i++) snapshot_out_cancel(t->out[i]);
    snapshot_file_abandon(&t->file);
    taking_free(t);
}

void support_take(struct store **stores, unsigned shards, const char *path)
{
    struct slot_map slots;
    struct taking t;
    slot_map_init(&slots, shards);
    taking_begin(&t, stores, shards, &slots, path);
    taking_finish(&t);
}

int support_load(struct store **stores, unsigned shards, const char *path, uint64_t now_ms, struct snapshot_load *sum)
{
    struct snapshot_in *in = NULL;
    struct slot_map slots;
    slot_map_init(&slots, shards);
    memset(sum, 0, sizeof(*sum));
    int rc = snapshot_in_open(&in, path, &sum->fault);
    for (unsigned i = 0; i < shards && rc == 0; i++) {
        struct snapshot_load load = {.store = stores[i], .slots = &slots, .core = i, .now_ms = now_ms};
        rc = snapshot_load_run(in, &load);
        sum->items += load.items;
        sum->expired += load.expired;
        sum->no_memory += load.no_memory;
        sum->too_large += load.too_large;
        sum->fault = load.fault;
    }
    snapshot_in_close(&in);
    return rc;
}

int support_check(const char *path, struct snapshot_fault *fault)
{
    struct snapshot_load sum = {.now_ms = 0};
    struct snapshot_in *in = NULL;
    int rc = snapshot_in_open(&in, path, &sum.fault);
    if (rc == 0) rc = snapshot_load_run(in, &sum);
    snapshot_in_close(&in);
    *fault = sum.fault;
    return rc;
}

uint8_t *support_read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*len);
    assert_int_equal(fread(data, 1, *len, f), *len);
    fclose(f);
    return data;
}

void support_write_file(const char *path, const uint8_t *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}
