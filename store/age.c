#include "store/age.h"

#include "store/ghost.h"
#include "store/index.h"
#include "store/slab.h"

#define LABELS 16u
#define PLACES 16u /* of a chain */
#define EACH UINT64_C(0x1111111111111111)
#define EACH_TOP (EACH << 3)
#define EACH_BYTE UINT64_C(0x0101010101010101)
#define EACH_BYTE_LOW (EACH_BYTE * 15)

/* Of the 16 labels what memory holds at a time has about 12, one that is begun and one that is partly gone: some are
 * free. */
#define LIVE_LABELS 12u
#define ITEM_ELSE_BYTES 24u /* header, index, rounding */
#define RETIRE_BUCKETS 8u   /* a cache line of labels */
#define AHEAD_BUCKET 4u     /* of the hand: whose line, and then whose items, are asked for */
#define AHEAD_ITEMS 2u

static unsigned place_shift(unsigned place)
{
    return 4 * (place < PLACES ? place : PLACES - 1);
}

static void label_set(uint64_t *word, unsigned place, uint64_t label)
{
    unsigned shift = place_shift(place);
    *word = (*word & ~(UINT64_C(15) << shift)) | label << shift;
}

/* The word of a bucket, whose page is taken when the first is asked for. What is in it then is of nobody, or wrong for
 * a while. NULL: no page could be had. */
static uint64_t *word_make(struct store *s, uint32_t bucket)
{
    uint32_t *page = ghost_page(s, bucket);
    if (!*page) *page = page_acquire(s, CLASS_EVICTION, INDEX_RESERVE_PAGES / 2);
    return ghost_word(s, bucket);
}

/* The top bit of each place whose label is the oldest or nobody's. */
static uint64_t word_oldest(const struct store *s, uint64_t word)
{
    const struct ages *a = &s->eviction.ages;
    uint64_t next = EACH * ((a->oldest + 1) % LABELS), span = (a->now - a->oldest) % LABELS;
    uint64_t age = ((word | EACH_TOP) - (next & ~EACH_TOP)) ^ ((word ^ ~next) & EACH_TOP); /* of the oldest: 15 */
    uint64_t reach = EACH_BYTE * (128 - span);
    uint64_t even = ((age & EACH_BYTE_LOW) + reach) & EACH_BYTE << 7;
    uint64_t odd = ((age >> 4 & EACH_BYTE_LOW) + reach) & EACH_BYTE << 7;
    return even >> 4 | odd;
}

static uint64_t bucket_oldest(const struct store *s, uint32_t bucket)
{
    const uint64_t *word = ghost_word(s, bucket);
    return word ? word_oldest(s, *word) : EACH_TOP;
}

static unsigned chain_items(const struct store *s, const struct bucket *b)
{
    unsigned items = 0;
    for (; b->link; b = bucket_linked(s, b)) items += BUCKET_SLOTS;
    return items + bucket_count(b);
}

static void label_next(struct ages *a)
{
    a->now = (a->now + 1) % LABELS;
    a->written = 0;
}

/* True: it is at the beginning again, and another label is the oldest. */
static bool hand_next(struct store *s)
{
    struct eviction *e = &s->eviction;
    if (++e->hand < s->index.buckets) return false;
    e->hand = 0;
    if (e->ages.now == e->ages.oldest) label_next(&e->ages);
    e->ages.oldest = (e->ages.oldest + 1) % LABELS;
    return true;
}

/* Goes on with giving the oldest label's items the next one. */
static void retire_some(struct store *s)
{
    struct eviction *e = &s->eviction;
    for (unsigned i = 0; i < RETIRE_BUCKETS; i++) {
        uint64_t *word = ghost_word(s, e->hand);
        if (word) {
            uint64_t which = (word_oldest(s, *word) >> 3) * 15;
            *word = (*word & ~which) | (EACH * ((e->ages.oldest + 1) % LABELS) & which);
        }
        if (hand_next(s)) return;
    }
}

void age_note(struct store *s, uint64_t hash, uint64_t bytes)
{
    struct ages *a = &s->eviction.ages;
    uint32_t bucket = bucket_number(s, hash);
    uint64_t *word = word_make(s, bucket);
    if (word) label_set(word, chain_items(s, bucket_at(s, bucket)) - 1, a->now);
    a->written += bytes + ITEM_ELSE_BYTES;
    if (a->written * LIVE_LABELS < s->region_bytes) return;
    if ((a->now + 1) % LABELS == a->oldest)
        retire_some(s);
    else
        label_next(a);
}

void age_move(struct store *s, uint32_t bucket, unsigned from, unsigned to)
{
    uint64_t *word = ghost_word(s, bucket);
    if (word) label_set(word, to, *word >> place_shift(from) & 15);
}

void age_split(struct store *s, uint32_t from, uint32_t to, unsigned items, uint64_t went)
{
    uint64_t *from_word = ghost_word(s, from), *to_word = word_make(s, to);
    if (!from_word || !to_word) return;
    uint64_t labels = *from_word;
    unsigned kept = 0, moved = 0;
    for (unsigned i = 0; i < items; i++, went >>= 1) {
        uint64_t label = labels >> place_shift(i) & 15;
        if (went & 1)
            label_set(to_word, moved++, label);
        else
            label_set(from_word, kept++, label);
    }
}

void age_merge(struct store *s, uint32_t from, uint32_t to)
{
    if (s->eviction.hand == from) {
        s->eviction.hand--;
        hand_next(s);
    }
    uint64_t *from_word = ghost_word(s, from), *to_word = ghost_word(s, to);
    if (!from_word || !to_word) return;
    unsigned kept = chain_items(s, bucket_at(s, to)), moved = chain_items(s, bucket_at(s, from));
    for (unsigned i = 0; i < moved; i++) label_set(to_word, kept + i, *from_word >> place_shift(i) & 15);
}

uint32_t age_oldest(const struct store *s, unsigned *place)
{
    uint32_t hand = s->eviction.hand;
    uint64_t which = bucket_oldest(s, hand);
    if (!which) return 0;
    const struct bucket *b = bucket_at(s, hand);
    unsigned first = 0, count;
    while ((count = bucket_count(b)) > 0) {
        uint64_t here = count + first < PLACES ? which & ((UINT64_C(1) << 4 * (count + first)) - 1) : which;
        here = here >> 4 * first << 4 * first;
        if (here) {
            *place = (unsigned)__builtin_ctzll(here) / 4;
            if (*place - first < count) return b->item[*place - first];
        }
        first += BUCKET_SLOTS;
        if (first >= PLACES || !b->link) return 0;
        b = bucket_linked(s, b);
    }
    return 0;
}

void age_spare(struct store *s, unsigned place)
{
    struct ages *a = &s->eviction.ages;
    uint64_t *word = ghost_word(s, s->eviction.hand);
    if (a->now == a->oldest) label_next(a);
    if (word)
        label_set(word, place, (a->oldest + 1) % LABELS);
    else
        age_advance(s);
}

void age_advance(struct store *s)
{
    struct eviction *e = &s->eviction;
    hand_next(s);
    if (e->hand + AHEAD_BUCKET >= s->index.buckets) return;
    if (bucket_oldest(s, e->hand + AHEAD_BUCKET)) __builtin_prefetch(bucket_at(s, e->hand + AHEAD_BUCKET));
    uint64_t which = bucket_oldest(s, e->hand + AHEAD_ITEMS);
    if (!which) return;
    const struct bucket *b = bucket_at(s, e->hand + AHEAD_ITEMS);
    for (; which; which &= which - 1) {
        unsigned place = (unsigned)__builtin_ctzll(which) / 4;
        if (place >= BUCKET_SLOTS || !b->tag[place]) return;
        __builtin_prefetch(region_at(s, b->item[place]));
    }
}
