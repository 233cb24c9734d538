#include "net/tcp/tcp_board.h"

#include <string.h>

#define APPEND_ROOM 2u /* runs kept back from SACK blocks: what is sent next must always be noted */

static struct tcp_sent *run_at(const struct tcp_board *b, uint32_t i) { return &b->sent[b->first + i]; }

static tcp_seq run_start(const struct tcp_board *b, uint32_t i) { return i ? run_at(b, i - 1)->end : b->start; }

static uint32_t run_bytes(const struct tcp_board *b, uint32_t i) { return run_at(b, i)->end - run_start(b, i); }

void tcp_board_reset(struct tcp_board *b, tcp_seq start)
{
    b->first = b->count = 0;
    b->start = start;
    b->sacked = b->lost = 0;
}

tcp_seq tcp_board_end(const struct tcp_board *b) { return b->count ? run_at(b, b->count - 1u)->end : b->start; }

bool tcp_board_head_sacked(const struct tcp_board *b) { return b->count && run_at(b, 0)->flags & TCP_SENT_SACKED; }

static void run_remove(struct tcp_board *b, uint32_t i)
{
    memmove(run_at(b, i), run_at(b, i + 1), (b->count - i - 1) * sizeof *b->sent);
    b->count--;
}

/* Runs of like fate differ at most in when they were sent. */
static bool alike(const struct tcp_sent *x, const struct tcp_sent *y)
{
    return ((x->flags ^ y->flags) & ~(uint32_t)TCP_SENT_GUESSED) == 0;
}

/* Run i + 1 becomes part of run i. */
static void join(struct tcp_board *b, uint32_t i)
{
    struct tcp_sent *x = run_at(b, i), *y = run_at(b, i + 1);
    if (x->at != y->at) x->flags |= TCP_SENT_GUESSED;
    if (y->at > x->at) x->at = y->at;
    x->flags |= y->flags;
    x->end = y->end;
    run_remove(b, i + 1);
}

/* Joins run i with those beside it where nothing is lost by it. */
static void tidy(struct tcp_board *b, uint32_t i)
{
    for (uint32_t k = i + 1; k-- > (i ? i - 1 : 0);) {
        if (k + 1u >= b->count) continue;
        const struct tcp_sent *x = run_at(b, k), *y = run_at(b, k + 1);
        if (alike(x, y) && (x->flags & TCP_SENT_SACKED || (x->at == y->at && x->flags == y->flags))) join(b, k);
    }
}

/* The two neighbours of like fate that were sent closest together, and do not meet at `keep`, become one. */
static bool coalesce(struct tcp_board *b, tcp_seq keep)
{
    uint64_t least = UINT64_MAX;
    uint32_t best = 0;
    for (uint32_t i = 0; i + 1 < b->count; i++) {
        const struct tcp_sent *x = run_at(b, i), *y = run_at(b, i + 1);
        uint64_t gap = x->at > y->at ? x->at - y->at : y->at - x->at;
        if (!alike(x, y) || gap >= least || x->end == keep) continue;
        least = gap;
        best = i;
    }
    if (least == UINT64_MAX) return false;
    join(b, best);
    return true;
}

/* Room for one more run at the end of the array. */
static void slide(struct tcp_board *b)
{
    if (b->first + b->count < b->cap) return;
    memmove(b->sent, run_at(b, 0), b->count * sizeof *b->sent);
    b->first = 0;
}

/* Splits the run that holds byte `at` in its inside, so that a run starts there. False: no room. */
static bool split(struct tcp_board *b, tcp_seq at, uint32_t kept_back)
{
    uint32_t i = 0;
    while (i < b->count && seq_le(run_at(b, i)->end, at)) i++;
    if (i == b->count || run_start(b, i) == at) return true;
    if (b->count + kept_back >= b->cap) return false;
    slide(b);
    memmove(run_at(b, i + 1), run_at(b, i), (b->count - i) * sizeof *b->sent);
    b->count++;
    run_at(b, i)->end = at;
    return true;
}

/* A run starts at `start` and one ends at `end` after. False: no room, and what is there may hold neither border. */
static bool cut_out(struct tcp_board *b, tcp_seq start, tcp_seq end, uint32_t kept_back)
{
    while (!split(b, start, kept_back))
        if (!coalesce(b, end)) return false;
    while (!split(b, end, kept_back))
        if (!coalesce(b, start)) return false;
    return true;
}

void tcp_board_sent(struct tcp_board *b, tcp_seq end, uint64_t at, uint32_t flags)
{
    struct tcp_sent *last = b->count ? run_at(b, b->count - 1u) : NULL;
    if (seq_le(end, tcp_board_end(b))) return;
    if (last && last->at == at && last->flags == flags) {
        last->end = end;
        return;
    }
    if (b->count == b->cap && !coalesce(b, b->start)) {
        /* Fates alternate all along: what the last run was is forgotten, which costs a retransmission at most. */
        if (last->flags & TCP_SENT_SACKED) b->sacked -= run_bytes(b, b->count - 1u);
        if (last->flags & TCP_SENT_LOST) b->lost -= run_bytes(b, b->count - 1u);
        *last = (struct tcp_sent){.at = at, .end = end, .flags = TCP_SENT_AGAIN | TCP_SENT_GUESSED};
        return;
    }
    slide(b);
    *run_at(b, b->count++) = (struct tcp_sent){.at = at, .end = end, .flags = flags};
}

static uint32_t run_find(const struct tcp_board *b, tcp_seq at)
{
    uint32_t i = 0;
    while (i < b->count && seq_le(run_at(b, i)->end, at)) i++;
    return i;
}

void tcp_board_resent(struct tcp_board *b, tcp_seq start, tcp_seq end, uint64_t at)
{
    cut_out(b, start, end, 1); /* without room whole runs are taken for sent again, and what was not found lost anew */
    for (uint32_t i = run_find(b, start); i < b->count && seq_lt(run_start(b, i), end);) {
        struct tcp_sent *run = run_at(b, i);
        tcp_seq run_end = run->end;
        if (run->flags & TCP_SENT_LOST) b->lost -= run_bytes(b, i);
        if (!(run->flags & TCP_SENT_SACKED)) {
            run->flags = TCP_SENT_AGAIN;
            run->at = at;
            tidy(b, i);
        }
        i = run_find(b, run_end);
    }
}

/* Run i, or its first part up to end, leaves what is unaccounted for. */
static void run_arrived(struct tcp_board *b, uint32_t i, tcp_seq end, struct tcp_news *news)
{
    struct tcp_sent *run = run_at(b, i);
    uint32_t bytes = end - run_start(b, i);
    if (run->flags & TCP_SENT_LOST) b->lost -= bytes;
    news->delivered += bytes;
    tcp_rack_delivered(b, run->at, end, run->flags, news);
}

void tcp_board_ack(struct tcp_board *b, tcp_seq ack, struct tcp_news *news)
{
    while (b->count && seq_lt(b->start, ack)) {
        struct tcp_sent *run = run_at(b, 0);
        bool whole = seq_le(run->end, ack);
        tcp_seq end = whole ? run->end : ack;
        if (run->flags & TCP_SENT_SACKED) b->sacked -= end - b->start;
        else run_arrived(b, 0, end, news);
        b->start = end;
        if (!whole) return;
        b->first++;
        b->count--;
    }
    if (b->count) return;
    b->first = 0;
    b->start = seq_max(b->start, ack);
}

bool tcp_board_sack(struct tcp_board *b, tcp_seq start, tcp_seq end, struct tcp_news *news)
{
    if (!cut_out(b, start, end, APPEND_ROOM)) return false;
    for (uint32_t i = run_find(b, start); i < b->count && seq_lt(run_start(b, i), end);) {
        struct tcp_sent *run = run_at(b, i);
        tcp_seq run_end = run->end;
        if (!(run->flags & TCP_SENT_SACKED)) {
            b->sacked += run_bytes(b, i);
            run_arrived(b, i, run_end, news);
            run->flags = TCP_SENT_SACKED;
            tidy(b, i);
        }
        i = run_find(b, run_end);
    }
    return true;
}

void tcp_board_renege(struct tcp_board *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct tcp_sent *run = run_at(b, i);
        if (run->flags & TCP_SENT_SACKED) run->flags = TCP_SENT_AGAIN | TCP_SENT_GUESSED; /* times no sample any more */
    }
    b->sacked = 0;
}

bool tcp_board_lost_next(const struct tcp_board *b, tcp_seq from, tcp_seq *start, tcp_seq *end)
{
    for (uint32_t i = run_find(b, from); i < b->count; i++) {
        if (!(run_at(b, i)->flags & TCP_SENT_LOST)) continue;
        *start = seq_max(run_start(b, i), from);
        *end = run_at(b, i)->end;
        return true;
    }
    return false;
}

void tcp_board_lose(struct tcp_board *b, uint32_t i)
{
    struct tcp_sent *run = run_at(b, i);
    if (run->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) return;
    run->flags |= TCP_SENT_LOST;
    b->lost += run_bytes(b, i);
}

void tcp_board_lost_clear(struct tcp_board *b)
{
    for (uint32_t i = 0; i < b->count; i++) run_at(b, i)->flags &= ~(uint32_t)TCP_SENT_LOST;
    b->lost = 0;
}
