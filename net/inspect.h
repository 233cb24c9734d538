/*
 * What is to be seen of a running stack: its connections as `ss -ti` and TCP_INFO tell them, and its neighbours. Core
 * of the stack only; nothing is changed, nothing allocated. Reading everything goes in steps, so that a core never does
 * more at once than it is asked for: connections that come and go between two steps may be missed or seen twice.
 */
#ifndef POLAR_NET_INSPECT_H
#define POLAR_NET_INSPECT_H

#include <stddef.h>
#include <stdint.h>
#include "net/stack.h"

enum net_tcp_info_option { /* the bits of tcpi_options in <linux/tcp.h> */
                           NET_INFO_TIMESTAMPS = 1,
                           NET_INFO_SACK = 2,
                           NET_INFO_WSCALE = 4,
                           NET_INFO_ECN = 8,
};

enum net_tcp_state { /* numbered as in TCP_INFO: <netinet/tcp.h>'s TCP_ESTABLISHED and so on */
                     NET_TCP_ESTABLISHED = 1,
                     NET_TCP_SYN_SENT,
                     NET_TCP_SYN_RECV,
                     NET_TCP_FIN_WAIT1,
                     NET_TCP_FIN_WAIT2,
                     NET_TCP_TIME_WAIT,
                     NET_TCP_CLOSE,
                     NET_TCP_CLOSE_WAIT,
                     NET_TCP_LAST_ACK,
                     NET_TCP_LISTEN,
                     NET_TCP_CLOSING,
};

struct net_tcp_info {
    struct net_endpoint local, remote;
    uint8_t state;   /* enum net_tcp_state */
    uint8_t options; /* enum net_tcp_info_option */
    uint8_t snd_scale, rcv_scale;
    uint8_t backoff;                     /* timeouts of the same segment or probe in a row */
    uint8_t probes;                      /* window probes or keepalives not answered */
    const char *congestion;              /* static name; "" in TIME-WAIT */
    uint16_t snd_mss, rcv_mss;           /* payload bytes */
    uint32_t rx_queue;                   /* bytes received and not yet consumed */
    uint32_t tx_queue;                   /* bytes given to send and not yet acknowledged */
    uint32_t in_flight;                  /* bytes sent and not yet acknowledged */
    uint32_t cwnd, ssthresh;             /* bytes; ssthresh UINT32_MAX: not yet known */
    uint32_t snd_wnd;                    /* bytes the peer takes */
    uint32_t rcv_wnd;                    /* bytes we offer */
    uint32_t retransmits;                /* segments sent again, of this connection */
    uint32_t out_of_order;               /* bytes held behind a gap */
    uint64_t srtt_ns, rttvar_ns, rto_ns; /* srtt 0: not yet measured */
    uint64_t idle_ns;                    /* since data was sent last, or the peer heard half a minute ago; UINT64_MAX: never */
};

/* 0; -EOPNOTSUPP: s is not a stream of ours (a kernel socket has its own TCP_INFO). */
int net_stream_info(const struct stream *s, struct net_tcp_info *out);
/* "ESTAB", "TIME-WAIT": as ss names them. */
const char *net_tcp_state_name(uint8_t state);

#define NET_READ_END UINT32_MAX

/*
 * Looks at up to max places where connections are kept, from *at on (0 at first), and writes those that there are,
 * half-open and TIME-WAIT too; returns how many. *at is where to go on, NET_READ_END when all have been seen.
 */
unsigned net_stack_read_connections(const struct net_stack *stack, uint32_t *at, struct net_tcp_info *out,
                                    unsigned max);

struct net_neighbour_info {
    struct net_addr addr;
    uint8_t mac[6];    /* valid unless incomplete */
    const char *state; /* static: "incomplete", "reachable", "stale" and so on */
    uint32_t tries;    /* requests not answered */
    uint64_t used_ns;  /* since it was used last */
};

/* The same for neighbours. */
unsigned net_stack_read_neighbours(const struct net_stack *stack, uint32_t *at, struct net_neighbour_info *out,
                                   unsigned max);

/* What a port's device itself dropped, as far as its driver says. Any thread. */
struct net_port_drops {
    uint64_t rx_missed;    /* received, but no descriptor was free */
    uint64_t rx_errors;    /* damaged on the wire */
    uint64_t rx_no_buffer; /* times the pool was empty */
};
struct port;
int net_port_read_drops(const struct port *port, struct net_port_drops *out); /* 0 or -errno */

#endif
