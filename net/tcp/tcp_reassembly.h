/* What a connection that receives out of order holds, from the stack's pool: others have none. */
#ifndef POLAR_NET_TCP_TCP_REASSEMBLY_H
#define POLAR_NET_TCP_TCP_REASSEMBLY_H

#include <stdbool.h>
#include <stdint.h>
#include "net/tcp/seq.h"

struct rte_mbuf;

struct tcp_range {
    tcp_seq start, end;
};

struct tcp_ooo {
    struct rte_mbuf *head, *hint; /* single segments, sorted, without overlaps; hash.usr is the sequence number */
    uint32_t count, bytes;
    struct tcp_range dup;         /* came twice, to be reported by D-SACK; empty: nothing is */
    uint32_t dupacks;             /* owed to a peer that counts them: it takes no SACK blocks */
};

#endif
