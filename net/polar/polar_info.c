/* TCP_INFO, in Linux's form. */
#include <netinet/tcp.h>
#include "net/inspect.h"
#include "net/polar/polar_impl.h"

static uint32_t microseconds(uint64_t ns) { return (uint32_t)RTE_MIN(ns / 1000, (uint64_t)UINT32_MAX); }

void sock_info(const struct polar_sock *s, struct tcp_info *out)
{
    struct net_tcp_info t;
    *out = (struct tcp_info){.tcpi_state = s->state == SOCK_LISTENING ? TCP_LISTEN : TCP_CLOSE};
    if (!s->stream || net_stream_info(s->stream, &t) != 0) return;
    uint32_t mss = t.snd_mss ? t.snd_mss : 1;
    out->tcpi_state = t.state;
    out->tcpi_options = t.options;
    out->tcpi_snd_wscale = t.snd_scale & 15u;
    out->tcpi_rcv_wscale = t.rcv_scale & 15u;
    out->tcpi_retransmits = t.backoff;
    out->tcpi_backoff = t.backoff;
    out->tcpi_probes = t.probes;
    out->tcpi_snd_mss = t.snd_mss;
    out->tcpi_rcv_mss = t.rcv_mss;
    out->tcpi_rto = microseconds(t.rto_ns);
    out->tcpi_rtt = microseconds(t.srtt_ns);
    out->tcpi_rttvar = microseconds(t.rttvar_ns);
    out->tcpi_snd_cwnd = t.cwnd / mss;
    out->tcpi_snd_ssthresh = t.ssthresh / mss;
    out->tcpi_unacked = (t.in_flight + mss - 1) / mss;
    out->tcpi_total_retrans = t.retransmits;
    out->tcpi_rcv_space = t.rcv_wnd;
}
