/* TCP_INFO, in Linux's form. Apart from polar_stack.c because the C library's names and the TCP's are the same here. */
#include <netinet/tcp.h>
#include "net/polar/polar_impl.h"
#include "net/tcp/conn.h"

static uint8_t linux_state(uint8_t state)
{
    static const uint8_t states[] = {
        [TCPS_FREE] = TCP_CLOSE,           [TCPS_CLOSED] = TCP_CLOSE,
        [TCPS_SYN_SENT] = TCP_SYN_SENT,    [TCPS_SYN_RCVD] = TCP_SYN_RECV,
        [TCPS_ESTABLISHED] = TCP_ESTABLISHED, [TCPS_FIN_WAIT_1] = TCP_FIN_WAIT1,
        [TCPS_FIN_WAIT_2] = TCP_FIN_WAIT2, [TCPS_CLOSE_WAIT] = TCP_CLOSE_WAIT,
        [TCPS_CLOSING] = TCP_CLOSING,      [TCPS_LAST_ACK] = TCP_LAST_ACK,
    };
    return state < sizeof states ? states[state] : TCP_CLOSE;
}

static uint32_t microseconds(uint64_t ns) { return (uint32_t)RTE_MIN(ns / 1000, (uint64_t)UINT32_MAX); }

void sock_info(const struct polar_sock *s, struct tcp_info *out)
{
    struct stream_facts f;
    *out = (struct tcp_info){.tcpi_state = s->state == SOCK_LISTENING ? TCP_LISTEN : TCP_CLOSE};
    if (!s->stream) return;
    stream_facts(s->stream, &f);
    out->tcpi_state = linux_state(f.state);
    out->tcpi_options = (uint8_t)((f.timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (f.sack ? TCPI_OPT_SACK : 0) |
                                  (f.scale ? TCPI_OPT_WSCALE : 0));
    out->tcpi_snd_wscale = f.snd_scale & 15u;
    out->tcpi_rcv_wscale = f.rcv_scale & 15u;
    out->tcpi_retransmits = f.retries;
    out->tcpi_backoff = f.retries;
    out->tcpi_probes = f.probes;
    out->tcpi_snd_mss = f.mss;
    out->tcpi_rcv_mss = f.rcv_mss;
    out->tcpi_advmss = f.peer_mss;
    out->tcpi_pmtu = f.mtu;
    out->tcpi_rto = microseconds(f.rto_ns);
    out->tcpi_rtt = microseconds(f.srtt_ns);
    out->tcpi_rttvar = microseconds(f.rttvar_ns);
    out->tcpi_snd_cwnd = f.cwnd / f.mss;
    out->tcpi_snd_ssthresh = f.ssthresh / f.mss;
    out->tcpi_unacked = (f.flight + f.mss - 1) / f.mss;
    out->tcpi_rcv_space = f.rcv_window;
}
