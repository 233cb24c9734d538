#include "net/tcp/tcp_cookie.h"

#include <errno.h>
#include <string.h>
#include "net/tcp/tcp.h"

#define EPOCH_SHIFT 36u        /* of ns: 69 s */
#define LOW_BITS 4u            /* of the number: epoch and MSS */
#define EPOCH_BIT (1u << 3)
#define MSS_MASK 7u
#define TS_BITS 6u
#define TS_MASK ((1u << TS_BITS) - 1)
#define TS_NO_SCALE 15u
#define TS_SACK (1u << 4)
#define TS_ECN (1u << 5)

static const uint16_t mss_steps[MSS_MASK + 1] = {TCP_MSS_LEAST, TCP_MSS_DEFAULT, 1220, 1400, 1440, 1460, 4016, 8960};

void tcp_cookies_init(struct tcp_cookies *ck)
{
    *ck = (struct tcp_cookies){.epoch = {UINT64_MAX, UINT64_MAX}};
}

/* The secret of an epoch comes from the stack's by the same keyed hash. */
static const uint64_t *epoch_key(struct net_stack *st, uint64_t epoch)
{
    struct tcp_cookies *ck = &st->cookies;
    uint64_t *key = ck->keys[epoch & 1];
    if (ck->epoch[epoch & 1] == epoch) return key;
    for (uint64_t i = 0; i < 2; i++) key[i] = siphash(st->config.secret, (uint64_t[3]){0x636f6f6b6965, epoch, i}, 24);
    ck->epoch[epoch & 1] = epoch;
    return key;
}

/* The key is a hash of both addresses and ports under another secret; the epoch is in the key of this one. */
static tcp_seq cookie(struct net_stack *st, uint64_t epoch, const struct tcp_segment *s, tcp_seq irs, uint32_t mss)
{
    uint32_t hash = (uint32_t)siphash_15(epoch_key(st, epoch), s->key, irs | (uint64_t)mss << 32);
    return hash << LOW_BITS | (epoch & 1 ? EPOCH_BIT : 0) | mss;
}

/* The latest time not after now whose low bits say this: the clock that the peer sees never runs back. */
static uint32_t ts_encode(uint32_t now, const struct tcp_handshake *hs)
{
    uint32_t bits = hs->flags & TCP_HS_SCALE ? hs->scale : TS_NO_SCALE;
    if (hs->flags & TCP_HS_SACK) bits |= TS_SACK;
    if (hs->flags & TCP_HS_ECN) bits |= TS_ECN;
    uint32_t ts = (now & ~TS_MASK) | bits;
    return ts - now - 1 < TS_MASK ? ts - (TS_MASK + 1) : ts;
}

static void ts_decode(uint32_t ts, struct tcp_handshake *hs)
{
    hs->flags = TCP_HS_TS;
    if ((ts & 15u) != TS_NO_SCALE) hs->flags |= TCP_HS_SCALE;
    if (ts & TS_SACK) hs->flags |= TCP_HS_SACK;
    if (ts & TS_ECN) hs->flags |= TCP_HS_ECN;
    hs->scale = hs->flags & TCP_HS_SCALE ? ts & 15u : 0;
}

uint32_t tcp_cookie_make(struct net_stack *st, const struct tcp_segment *s, struct tcp_handshake *hs)
{
    uint64_t epoch = st->now >> EPOCH_SHIFT;
    uint32_t mss = MSS_MASK;
    while (mss > 0 && mss_steps[mss] > hs->mss) mss--;
    if (!(hs->flags & TCP_HS_TS)) hs->flags = 0;
    hs->mss = mss_steps[mss];
    hs->iss = cookie(st, epoch, s, hs->irs, mss);
    st->cookies.good_until = (epoch + 2) << EPOCH_SHIFT;
    return ts_encode(st->ts_now, hs);
}

bool tcp_cookie_check(struct net_stack *st, const struct tcp_segment *s, struct tcp_handshake *hs)
{
    uint64_t epoch = st->now >> EPOCH_SHIFT;
    tcp_seq iss = s->ack - 1, irs = s->seq - 1;
    if (((epoch ^ iss / EPOCH_BIT) & 1) && epoch-- == 0) return false;
    if (cookie(st, epoch, s, irs, iss & MSS_MASK) != iss) return false;
    *hs = (struct tcp_handshake){.iss = iss, .irs = irs, .wnd = s->wnd, .mss = mss_steps[iss & MSS_MASK]};
    if (!s->has_ts) return true;
    ts_decode(s->ts_ecr, hs);
    hs->ts_val = s->ts_val;
    return true;
}

int net_syn_cookies_find(const char *name)
{
    static const char *const names[] = {
        [NET_SYN_COOKIES_FULL] = "full", [NET_SYN_COOKIES_NEVER] = "never", [NET_SYN_COOKIES_ALWAYS] = "always"};
    for (int i = 0; i < (int)RTE_DIM(names); i++)
        if (strcmp(names[i], name) == 0) return i;
    return -EINVAL;
}
