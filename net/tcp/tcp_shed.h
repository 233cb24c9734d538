/*
 * SYNs that come while the core cannot keep up: who is connected goes before strangers. A SYN that is dropped as it was
 * received costs a small part of one that is answered, be it by a cookie: beside a flood of a million a second that is
 * the difference between a third of the core and a tenth. RFC 4987 3.1 (filtering) in front of its 3.4 and 3.6.
 *
 * Who owns the receive queue says once a millisecond whether the core was full, which is when it hardly ever found its
 * queue emptied. While it is, only an allowance of SYNs is answered: half with each full millisecond, down to what
 * net_stack_config.syn_rate_full grants, and beyond that twice as many as have lately been accepted in a millisecond; a
 * quarter more with each other one, until it is as many as come, and nothing is dropped any more. So a storm of clients
 * that really connect is let in, however full the core is with them: what a flood does not do is to answer. A core that
 * keeps up, or that fewer SYNs reach than that, answers each one and looks at none twice.
 *
 * The allowance goes first to SYNs that were dropped before and come again, as every honest one does after a second
 * (RFC 6298 2.1) and the invented sources of a flood do not: Al-Duwairi and Manimaran, Intentional Dropping, INFOCOM
 * 2005. What they leave, a random choice of the others gets, so that a flood that repeats itself, or is too fast to be
 * remembered, still leaves each SYN the same chance. Remembered are the last two million, by 15 bits of a keyed hash.
 *
 * Core of the stack only. Memory is bounded, and none of it is touched before the first flood.
 */
#ifndef POLAR_NET_TCP_TCP_SHED_H
#define POLAR_NET_TCP_TCP_SHED_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_SHED_LINES 65536u /* 4 MiB */
#define TCP_SHED_TAGS 31u     /* of a line */
#define TCP_SHED_MEAN 16u     /* milliseconds */

/* The last SYNs that were dropped, of those whose hash is of this line: a ring of tags, and in the last place twice the
 * index of the oldest, which is even, and so looks like none of them. */
struct tcp_shed_line {
    uint16_t tags[TCP_SHED_TAGS + 1]; /* 0: empty */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct tcp_shed_line) == 64, "one cache line");

struct tcp_shed {
    struct tcp_shed_line *lines;
    uint64_t random;
    bool on;            /* surplus SYNs are dropped */
    uint32_t allowance; /* SYNs that are answered in a millisecond */
    uint32_t chance;    /* of 2^32: that of one that was not dropped before */
    uint32_t came;      /* in this millisecond, as net_stack_shed has seen them */
    uint32_t again;     /* of these: dropped before, and now let in */
    uint32_t opened;    /* in this millisecond, at the listeners */
    uint32_t accepts;   /* a millisecond, in 1/TCP_SHED_MEAN: a mean that fades over so many */
    uint64_t accepted;  /* of the metric of this name, as it last stood */
};

int tcp_shed_init(struct tcp_shed *sh, const uint64_t secret[2]); /* 0 or -ENOMEM */
void tcp_shed_fini(struct tcp_shed *sh);

/* A SYN is at a listener. False: it has slipped by net_stack_shed (behind extension headers of IPv6), and is one too
 * many. */
static inline bool tcp_shed_opens(struct tcp_shed *sh)
{
    return ++sh->opened <= 2 * sh->allowance || !sh->on;
}

#endif
