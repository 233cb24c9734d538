#include "store/scan.h"

#include "store/index.h"

static inline uint32_t bits_reversed(uint32_t v)
{
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
}

/* How many reversed hashes a bucket stands for: one bit less of the hash chooses it if it has not been split yet. */
static inline uint32_t bucket_interval(const struct store *s, uint32_t number)
{
    const struct index *x = &s->index;
    unsigned bits = (unsigned)__builtin_popcount(x->mask);
    if ((uint64_t)(number & x->mask) + x->mask + 1 < x->buckets) bits++;
    return 1u << (32 - bits);
}

static void entry_read(const struct store *s, uint32_t item, uint64_t hash, struct store_entry *e)
{
    const uint8_t *p = region_at(s, item);
    item_view(s, item, &e->value);
    if (p[0] & ITEM_CAS) e->value.cas = item_cas(p);
    e->hash = hash;
    e->key_len = item_key_len(p);
    e->key = item_piece_len(p) >= e->key_len ? p + item_body_at(p[0]) : NULL;
}

const uint8_t *store_entry_key(const struct store *s, const struct store_entry *e, uint8_t *buf)
{
    if (e->key) return e->key;
    const uint8_t *p = region_at(s, e->value.item);
    for (uint32_t done = 0; done < e->key_len; p = region_at(s, item_next(p))) {
        uint32_t n = item_piece_len(p) < e->key_len - done ? item_piece_len(p) : e->key_len - done;
        memcpy(buf + done, p + item_body_at(p[0]), n);
        done += n;
        if (!item_next(p)) break;
    }
    return buf;
}

/* A merge since the cursor was given can have put items before it into its bucket: those have been seen. */
static void scan_bucket(const struct store *s, const struct bucket *b, uint32_t from, uint64_t now_ms,
                        store_scan_fn *fn, void *arg)
{
    for (; b; b = bucket_linked(s, b)) {
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++) {
            __builtin_prefetch(region_at(s, b->item[i]));
            __builtin_prefetch(region_at(s, b->item[i]) + 64);
        }
        for (unsigned i = 0; i < BUCKET_SLOTS && b->tag[i]; i++) {
            if (item_expired(region_at(s, b->item[i]), now_ms)) continue;
            uint64_t hash = item_hash(s, b->item[i]);
            if (bits_reversed((uint32_t)hash) < from) continue;
            struct store_entry e;
            entry_read(s, b->item[i], hash, &e);
            fn(arg, &e);
        }
    }
}

uint32_t store_scan(const struct store *s, uint32_t cursor, uint32_t buckets, uint64_t now_ms, store_scan_fn *fn,
                    void *arg)
{
    for (; buckets > 0; buckets--) {
        uint32_t number = bucket_number(s, bits_reversed(cursor));
        uint32_t last = cursor | (bucket_interval(s, number) - 1);
        if (last != UINT32_MAX) __builtin_prefetch(bucket_at(s, bucket_number(s, bits_reversed(last + 1))));
        scan_bucket(s, bucket_at(s, number), cursor, now_ms, fn, arg);
        cursor = last + 1;
        if (cursor == 0) break;
    }
    return cursor;
}

#define DRAWS 512u      /* of a bucket and a place in it */
#define PLACES 40u      /* a bucket of more items does not come about */
#define WALK_BUCKETS 4096u

/* splitmix64 */
static uint64_t lot_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t lot_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((lot_next(state) >> 32) * n >> 32);
}

/* The n-th item of a bucket's chain; 0: it has fewer, which are taken off *n. Looks at no item. */
static uint32_t chain_item(const struct store *s, uint32_t number, uint32_t *n)
{
    const struct bucket *b = bucket_at(s, number);
    for (; b; b = bucket_linked(s, b)) {
        uint32_t held = (uint32_t)__builtin_ctz(bucket_match(b, 0) | 1u << BUCKET_SLOTS);
        if (*n < held) return b->item[*n];
        *n -= held;
    }
    return 0;
}

/* Every bucket as likely, and every place of it, whether anything is there or not. */
static uint32_t draw_place(const struct store *s, uint64_t *lot)
{
    uint32_t number = lot_below(lot, s->index.buckets), place = lot_below(lot, PLACES);
    return chain_item(s, number, &place);
}

/* By counting, in an index of one page: it may be nearly empty. */
static uint32_t draw_number(const struct store *s, uint64_t *lot)
{
    uint32_t n = lot_below(lot, (uint32_t)s->index.items), item = 0;
    for (uint32_t number = 0; number < s->index.buckets && !item; number++) item = chain_item(s, number, &n);
    return item;
}

static void draw_first(void *arg, const struct store_entry *e)
{
    struct store_entry *out = arg;
    if (!out->value.item) *out = *e;
}

bool store_draw(const struct store *s, uint64_t seed, uint64_t now_ms, struct store_entry *out)
{
    bool small = s->index.buckets <= BUCKETS_A_PAGE;
    if (s->index.items == 0) return false;
    for (uint32_t i = 0; i < (small ? DRAWS / 64 : DRAWS); i++) {
        uint32_t item = small ? draw_number(s, &seed) : draw_place(s, &seed);
        if (!item || item_expired(region_at(s, item), now_ms)) continue;
        entry_read(s, item, item_hash(s, item), out);
        return true;
    }
    uint32_t cursor = small ? 0 : (uint32_t)lot_next(&seed);
    out->value.item = 0;
    for (uint32_t i = 0; i < WALK_BUCKETS && !out->value.item; i++) {
        cursor = store_scan(s, cursor, 1, now_ms, draw_first, out);
        if (cursor == 0 && small) break;
    }
    return out->value.item != 0;
}
