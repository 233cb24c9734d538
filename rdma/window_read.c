#include "rdma/window_read.h"

#include <stdlib.h>

#define MISSES_MAX 2u
#define STEPS_MAX 32u /* of one look-up: reads one behind the other */
#define LINE_AT 0u    /* in the buffer */
#define BUCKET_AT 64u
#define CHUNK_AT 128u
#define ITEM_AT 192u
#define CHUNK_ENTRIES 16u
#define ENTRIES_SLACK 2u /* pages that lie before the line, or that the window ends in */
#define GUESS_LEAST 128u
#define GUESS_FIRST 512u
#define GUESS_STEP 64u
#define GUESS_PATIENCE 16u /* items in a row that were shorter by a step, before the next guess is */

struct window_map *window_map_create(uint64_t bytes)
{
    uint64_t entries = bytes / WINDOW_PAGE_BYTES + ENTRIES_SLACK;
    if (bytes < WINDOW_PAGE_BYTES || bytes > (uint64_t)WINDOW_UNIT_BYTES << 32) return NULL;
    struct window_map *map = calloc(1, sizeof *map + entries * sizeof map->directory[0]);
    if (!map) return NULL;
    map->bytes = bytes;
    map->entries = (uint32_t)entries;
    map->guess = GUESS_FIRST;
    return map;
}

void window_map_destroy(struct window_map **map)
{
    free(*map);
    *map = NULL;
}

void window_map_expect(struct window_map *map, unsigned shard, unsigned shards)
{
    map->shard = (uint16_t)shard;
    map->shards = (uint16_t)shards;
}

/* Where in the window a place is; past its end if it is none. */
static uint64_t at_of(const struct window_map *map, uint64_t place)
{
    return (place - map->seen.place) * WINDOW_UNIT_BYTES;
}

static bool holds(const struct window_map *map, uint64_t at, uint64_t bytes)
{
    return at <= map->bytes && bytes <= map->bytes - at;
}

static uint64_t bucket_at(const struct window_map *map, uint32_t page, uint32_t number)
{
    uint64_t place = (uint64_t)page * (WINDOW_PAGE_BYTES / WINDOW_UNIT_BYTES);
    return at_of(map, place) + number % WINDOW_PAGE_BUCKETS * sizeof(struct window_bucket);
}

static enum window_step ask(struct window_get *g, int state)
{
    if (++g->steps > STEPS_MAX) {
        g->map->counts.moved++;
        return WINDOW_MESSAGE;
    }
    g->state = state;
    for (unsigned i = 0; i < g->piece_count; i++) g->map->counts.read_bytes += g->pieces[i].bytes;
    g->map->counts.reads += g->piece_count;
    return WINDOW_READ;
}

static void want(struct window_get *g, uint64_t at, uint32_t bytes, uint32_t buffer_at)
{
    g->pieces[g->piece_count++] = (struct window_piece){.at = at, .bytes = bytes, .into = g->buffer + buffer_at};
}

static enum window_step by_message(uint64_t *why)
{
    ++*why;
    return WINDOW_MESSAGE;
}

/* From the line that was read last. */
static enum window_step ask_bucket(struct window_get *g)
{
    struct window_map *map = g->map;
    g->piece_count = 0;
    want(g, 0, sizeof(struct window_line), LINE_AT);
    if (!map->known) return ask(g, WINDOW_AT_DIRECTORY);
    g->number = window_bucket_number(g->hash, map->seen.buckets);
    g->epoch = map->seen.epoch;
    g->known = map->seen.buckets;
    uint32_t entry = g->number / WINDOW_PAGE_BUCKETS;
    g->page = map->directory[entry];
    if (g->page == 0) {
        uint64_t chunk = entry / CHUNK_ENTRIES * CHUNK_ENTRIES;
        uint64_t at = at_of(map, map->seen.directory) + chunk * sizeof(uint32_t);
        if (!holds(map, at, CHUNK_ENTRIES * sizeof(uint32_t))) return by_message(&map->counts.strange);
        want(g, at, CHUNK_ENTRIES * sizeof(uint32_t), CHUNK_AT);
        return ask(g, WINDOW_AT_DIRECTORY);
    }
    want(g, bucket_at(map, g->page, g->number), sizeof(struct window_bucket), BUCKET_AT);
    return ask(g, WINDOW_AT_BUCKET);
}

static enum window_step miss(struct window_get *g, uint64_t *why)
{
    struct window_counts *counts = &g->map->counts;
    ++*why;
    if (++g->misses < MISSES_MAX) return ask_bucket(g);
    return by_message(why == &counts->miss_index ? &counts->moved : &counts->torn);
}

static const struct window_line *line_of(const struct window_get *g)
{
    return (const struct window_line *)(const void *)(g->buffer + LINE_AT);
}

/* Lines may come in another order than they were read. */
bool window_map_learn(struct window_map *map, const uint8_t *read)
{
    struct window_line line;
    memcpy(&line, read, sizeof line);
    if (line.format != WINDOW_FORMAT || line.buckets < WINDOW_PAGE_BUCKETS) return false;
    if (map->shards && (line.shard != map->shard || line.shards != map->shards)) return false;
    if ((line.buckets - 1) / WINDOW_PAGE_BUCKETS >= map->entries || line.directory < line.place) return false;
    if (map->known && (line.place != map->seen.place || line.directory != map->seen.directory)) return false;
    if (map->known && (int32_t)(line.epoch - map->seen.epoch) < 0) return true;
    if (map->known && line.epoch != map->seen.epoch) memset(map->directory, 0, map->entries * sizeof map->directory[0]);
    map->seen = line;
    map->known = true;
    return true;
}

static bool take_line(struct window_get *g)
{
    return window_map_learn(g->map, g->buffer + LINE_AT);
}

/* Of entries that were there when it was asked for: others may still be what they were before the index shrank. */
static bool take_chunk(struct window_get *g)
{
    struct window_map *map = g->map;
    uint32_t first = g->number / WINDOW_PAGE_BUCKETS / CHUNK_ENTRIES * CHUNK_ENTRIES;
    uint32_t last = (g->known - 1) / WINDOW_PAGE_BUCKETS;
    if (g->epoch != line_of(g)->epoch || map->seen.epoch != g->epoch) return false;
    for (uint32_t i = 0; i < CHUNK_ENTRIES && first + i <= last; i++) {
        uint32_t page = load32(g->buffer + CHUNK_AT + i * sizeof(uint32_t));
        if (page == 0 || !holds(map, bucket_at(map, page, 0), WINDOW_PAGE_BYTES)) return false;
        map->directory[first + i] = page;
    }
    return true;
}

static enum window_step on_directory(struct window_get *g)
{
    if (!take_line(g)) return by_message(&g->map->counts.strange);
    if (g->piece_count > 1 && !take_chunk(g)) return miss(g, &g->map->counts.miss_index);
    return ask_bucket(g);
}

static const struct window_bucket *bucket_of(const struct window_get *g)
{
    return (const struct window_bucket *)(const void *)(g->buffer + BUCKET_AT);
}

/* The next item whose tag is the key's, or the next bucket of the chain. */
static enum window_step next_candidate(struct window_get *g)
{
    struct window_map *map = g->map;
    const struct window_bucket *b = bucket_of(g);
    uint64_t at;
    g->piece_count = 0;
    if (g->candidates) {
        g->item = b->item[__builtin_ctz(g->candidates)];
        g->candidates &= (uint16_t)(g->candidates - 1);
        at = at_of(map, g->item);
        if (!holds(map, at, WINDOW_UNIT_BYTES)) return miss(g, &map->counts.miss_index);
        uint64_t left = map->bytes - at;
        g->have = left < map->guess ? (uint32_t)left : map->guess;
        want(g, at, g->have, ITEM_AT);
        return ask(g, WINDOW_AT_ITEM);
    }
    if (!b->link) return by_message(&map->counts.absent);
    at = at_of(map, b->link);
    if (!holds(map, at, sizeof *b)) return miss(g, &map->counts.miss_index);
    want(g, at, sizeof *b, BUCKET_AT);
    return ask(g, WINDOW_AT_LINK);
}

static enum window_step on_link(struct window_get *g)
{
    const struct window_bucket *b = bucket_of(g);
    uint8_t tag = window_tag(g->hash);
    g->candidates = 0;
    for (unsigned i = 0; i < WINDOW_BUCKET_SLOTS; i++) g->candidates |= (uint16_t)((b->tag[i] == tag) << i);
    return next_candidate(g);
}

static enum window_step on_bucket(struct window_get *g)
{
    struct window_map *map = g->map;
    if (!take_line(g)) return by_message(&map->counts.strange);
    if (line_of(g)->epoch != g->epoch || window_bucket_number(g->hash, line_of(g)->buckets) != g->number)
        return miss(g, &map->counts.miss_index);
    return on_link(g);
}

/* Whole cache lines, as much as lately would have done. */
static void learn_length(struct window_map *map, uint32_t bytes)
{
    uint32_t guess = map->guess - GUESS_STEP;
    if (bytes > guess)
        guess = (bytes + GUESS_STEP - 1) / GUESS_STEP * GUESS_STEP;
    else if (++map->shorter < GUESS_PATIENCE)
        return;
    map->shorter = 0;
    map->guess = guess < GUESS_LEAST ? GUESS_LEAST : guess;
}

static uint64_t expires_ms(const uint8_t *p)
{
    switch (p[0] & WINDOW_ITEM_EXPIRES) {
    case WINDOW_ITEM_EXPIRES_S: return (uint64_t)load32(p + window_fields_at(p[0])) * 1000u;
    case WINDOW_ITEM_EXPIRES_MS: return load64(p + window_fields_at(p[0]));
    default: return 0;
    }
}

/* Sum, seed and time: what was read is the key's value. */
static enum window_step judge(struct window_get *g, const uint8_t *p, uint32_t body_at, uint32_t value_len)
{
    struct window_map *map = g->map;
    const struct window_line *line = line_of(g);
    uint32_t bytes = body_at + g->key_len + value_len;
    uint64_t expires = expires_ms(p);
    if (load64(p + window_sum_at(bytes)) != window_sum(line->seed, p, bytes)) return miss(g, &map->counts.miss_item);
    if (expires && expires <= line->now_ms + WINDOW_CLOCK_MS) return by_message(&map->counts.expiring);
    g->value = p + body_at + g->key_len;
    g->value_len = value_len;
    g->flags = p[0] & WINDOW_ITEM_FLAGS ? load32(p + window_fields_at(p[0]) + ((p[0] & WINDOW_ITEM_EXPIRES) >> 2)) : 0;
    learn_length(map, (uint32_t)window_sum_at(bytes) + WINDOW_SUM_BYTES);
    map->counts.values++;
    return WINDOW_VALUE;
}

static enum window_step on_item(struct window_get *g)
{
    struct window_map *map = g->map;
    const uint8_t *p = g->buffer + ITEM_AT;
    uint32_t header = load32(p), bits = p[0];
    bool plain = (bits & WINDOW_ITEM_SHAPE) == WINDOW_ITEM_PLAIN;
    if ((bits & WINDOW_ITEM_STATE) != WINDOW_ITEM_LIVE) return miss(g, &map->counts.miss_item);
    if (!window_has_sum(bits)) return by_message(&map->counts.apart);
    if (!plain && g->have < 12) return miss(g, &map->counts.miss_item);
    uint32_t key_len = plain ? header >> 8 & 255u : load32(p + 8) & 65535u;
    uint64_t value_len = plain ? header >> 16 & 0x3fffu : load32(p + 4);
    uint32_t body_at = window_body_at(bits);
    if (key_len != g->key_len) return next_candidate(g);
    uint64_t bytes = window_sum_at(body_at + key_len + value_len) + WINDOW_SUM_BYTES;
    if (bytes > WINDOW_ITEM_BYTES_MAX || !holds(map, at_of(map, g->item), bytes))
        return miss(g, &map->counts.miss_item);
    if (g->have < bytes) {
        g->piece_count = 0;
        want(g, at_of(map, g->item) + g->have, (uint32_t)bytes - g->have, ITEM_AT + g->have);
        g->have = (uint32_t)bytes;
        return ask(g, WINDOW_AT_ITEM);
    }
    if (memcmp(p + body_at, g->key, key_len) != 0) return next_candidate(g);
    return judge(g, p, body_at, (uint32_t)value_len);
}

enum window_step window_get_begin(struct window_get *g, struct window_map *map, const void *key, uint32_t key_len,
                                  uint64_t hash, uint8_t *buffer)
{
    *g = (struct window_get){.map = map, .key = key, .key_len = key_len, .hash = hash, .buffer = buffer};
    map->counts.gets++;
    return ask_bucket(g);
}

enum window_step window_get_on(struct window_get *g)
{
    switch (g->state) {
    case WINDOW_AT_DIRECTORY: return on_directory(g);
    case WINDOW_AT_BUCKET: return on_bucket(g);
    case WINDOW_AT_LINK: return on_link(g);
    case WINDOW_AT_ITEM: break;
    }
    return on_item(g);
}
