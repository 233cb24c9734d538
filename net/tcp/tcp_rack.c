#include "net/tcp/tcp_rack.h"

#include <rte_common.h>
#include "net/tcp/conn.h"

#define PERSIST_RECOVERIES 16u /* RFC 8985 6.2 step 4 */
#define DUPACK_SEGMENTS 3u
#define MULTIPLIER_MAX 250u
/* Turns that follow each other more slowly than this are not a burst's doing. */
#define SPACING_MAX_NS UINT64_C(100000)

static bool sent_after(uint64_t at, tcp_seq end, uint64_t than_at, tcp_seq than_end)
{
    return at != than_at ? at > than_at : seq_gt(end, than_end);
}

/* The least round trip of late: it rises slowly, for paths change. */
static void min_rtt_update(struct tcp_rack *r, uint64_t rtt)
{
    if (r->min_rtt == 0 || rtt < r->min_rtt) r->min_rtt = rtt;
    else r->min_rtt += (rtt - r->min_rtt) >> 8;
}

void tcp_rack_delivered(struct tcp_board *b, uint64_t at, tcp_seq end, uint32_t flags, struct tcp_news *news)
{
    struct tcp_rack *r = &b->rack;
    uint64_t rtt = RTE_MAX(news->now - at, UINT64_C(1));
    if (seq_gt(end, r->fack)) r->fack = end;
    else if (!(flags & TCP_SENT_AGAIN) && end != r->fack) r->reordering = true;
    if (flags & TCP_SENT_AGAIN) {
        /* The ACK may well be for an earlier sending. The least round trip may be a guess a little too long. */
        uint32_t sent = (uint32_t)(at >> TCP_TS_SHIFT) + news->clock_offset;
        if (rtt < r->min_rtt - r->min_rtt / 8 || (news->has_echo && (int32_t)(news->echo - sent) < 0)) return;
    } else {
        if (seq_le(end, news->limit)) news->original = true;
        if (!(flags & TCP_SENT_GUESSED)) {
            min_rtt_update(r, rtt);
            news->rtt = rtt;
        }
    }
    if (!sent_after(at, end, r->at, r->end)) return;
    r->at = at;
    r->end = end;
    r->rtt = rtt;
}

void tcp_rack_heard(struct tcp_board *b, uint64_t now, uint64_t srtt)
{
    struct tcp_rack *r = &b->rack;
    uint64_t gap = now - r->heard_at;
    if (r->heard_at && gap && gap < RTE_MAX(srtt, SPACING_MAX_NS)) {
        gap = RTE_MIN(gap, SPACING_MAX_NS);
        r->spacing = r->spacing ? r->spacing - (r->spacing >> 2) + (gap >> 2) : gap;
    }
    r->heard_at = now;
}

void tcp_rack_dsack(struct tcp_board *b, tcp_seq una, tcp_seq nxt)
{
    struct tcp_rack *r = &b->rack;
    if (r->multiplier > 1 && seq_lt(una, r->dsack_round)) return;
    r->dsack_round = nxt;
    r->persist = PERSIST_RECOVERIES;
    r->reordering = true;
    if (r->multiplier < MULTIPLIER_MAX) r->multiplier++;
}

void tcp_rack_recovered(struct tcp_board *b)
{
    struct tcp_rack *r = &b->rack;
    if (r->persist == 0) return;
    if (--r->persist == 0) r->multiplier = 1;
}

/*
 * Without reordering seen, three segments beyond a hole are proof enough, as they always were. With it, a part of the
 * round trip; at round trips of a microsecond, where a burst takes longer to come in than a part of it, at least the
 * time between two turns.
 */
uint64_t tcp_rack_window(const struct tcp_board *b, uint64_t srtt, uint32_t mss)
{
    const struct tcp_rack *r = &b->rack;
    if (!r->reordering && (b->state != TCP_BOARD_OPEN || b->sacked > (DUPACK_SEGMENTS - 1) * mss)) return 0;
    uint64_t window = RTE_MIN(r->multiplier * (r->min_rtt / 4), srtt);
    return RTE_MAX(RTE_MAX(window, r->spacing), UINT64_C(1));
}

uint64_t tcp_rack_detect(struct tcp_board *b, uint64_t now, uint64_t window)
{
    const struct tcp_rack *r = &b->rack;
    uint64_t wait = 0;
    if (r->rtt == 0) return 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct tcp_sent *run = &b->sent[b->first + i];
        if (run->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) continue;
        if (!sent_after(r->at, r->end, run->at, run->end)) continue;
        uint64_t due = run->at + r->rtt + window;
        if (due <= now) tcp_board_lose(b, i);
        else wait = RTE_MAX(wait, due - now);
    }
    return wait;
}

void tcp_rack_timeout(struct tcp_board *b, uint64_t now, uint64_t window)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (i == 0 || b->sent[b->first + i].at + b->rack.rtt + window <= now) tcp_board_lose(b, i);
}
