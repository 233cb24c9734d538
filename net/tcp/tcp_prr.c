/* Proportional rate reduction: during recovery, as many bytes leave as arrive, times ssthresh / flight. RFC 6937 3. */
#include "net/tcp/tcp_recovery.h"

void tcp_prr_begin(struct tcp_conn *c, uint32_t flight)
{
    struct tcp_board *b = c->board;
    b->prr_delivered = b->prr_out = 0;
    b->prr_flight = RTE_MAX(flight, (uint32_t)c->mss);
}

void tcp_prr_ack(struct tcp_conn *c, uint32_t delivered, bool clean)
{
    struct tcp_board *b = c->board;
    uint32_t pipe = tcp_board_pipe(b);
    int64_t send;
    b->prr_delivered += delivered;
    if (pipe > c->ssthresh) {
        uint64_t share = (uint64_t)b->prr_delivered * c->ssthresh + b->prr_flight - 1;
        send = (int64_t)(share / b->prr_flight) - b->prr_out;
    } else {
        /* Up to ssthresh again: slow start (PRR-SSRB) while recovery goes well, else no more than arrives (PRR-CRB). */
        int64_t limit = (int64_t)b->prr_delivered - b->prr_out;
        if (clean) limit = RTE_MAX(limit, (int64_t)delivered) + c->mss;
        send = RTE_MIN((int64_t)(c->ssthresh - pipe), limit);
    }
    if (b->prr_out == 0) send = RTE_MAX(send, (int64_t)c->mss); /* the first retransmission always goes out */
    c->cwnd = pipe + (uint32_t)RTE_MAX(send, INT64_C(0));
}
