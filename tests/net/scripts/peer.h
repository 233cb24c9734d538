/* One end that a script plays, and what it knows of the stack. */
#ifndef POLAR_TESTS_NET_SCRIPTS_PEER_H
#define POLAR_TESTS_NET_SCRIPTS_PEER_H

#include "base/stream.h"
#include "tests/net/scripts/packet.h"

#define PEER_NAME 16u

struct peer {
    char name[PEER_NAME];
    bool v6;
    uint8_t ip[16], stack_ip[16]; /* network order; the first 4 bytes of IPv4 */
    uint8_t mac[6], stack_mac[6];
    uint16_t port, stack_port; /* stack_port 0: learned from the stack's SYN */
    uint32_t iss, stack_iss;
    bool stack_iss_known;
    bool ts_offered, ts;        /* the peer's SYN, and both SYNs, carried a timestamp */
    uint16_t win;               /* as last sent */
    uint32_t ts_recent;         /* the stack's last value */
    uint32_t ts_start;          /* the peer's clock: this and a tick each millisecond */
    uint32_t read_at, write_at; /* bytes that the application has read and written */
    struct stream *stream;      /* NULL: not accepted, or given back */
    bool accepted;
    uint32_t events_seen;
    char cookie[PACKET_WORD]; /* the fast open cookie that the stack gave last */
};

/* The frame of packet p from the peer; now_ms stamps it. Returns its length. */
uint32_t frame_encode(struct peer *peer, const struct packet *p, uint32_t now_ms, uint8_t *frame);
/*
 * What the stack sent. unchecked: the device would fill in the checksums. False: the frame is not well formed, or a
 * checksum or a payload byte is wrong: why says so.
 */
bool frame_decode(struct peer *peer, const uint8_t *frame, uint32_t len, bool unchecked, struct packet *out, char *why,
                  size_t cap);

#endif
