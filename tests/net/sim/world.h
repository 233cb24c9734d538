/*
 * A world of the simulation: hosts, wires, connections and what their applications do, all drawn from one seed; and
 * what must hold in it. The wires are bad up to a moment (heal_at); after it everything must come to its end.
 */
#ifndef POLAR_TESTS_NET_SIM_WORLD_H
#define POLAR_TESTS_NET_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include "tests/net/sim/fabric.h"
#include "tests/net/sim/trace.h"

#define WORLD_CONNS 12u
#define WORLD_STEPS 64u
#define WORLD_TROUBLES 6u
#define WORLD_FIRST_PORT 1000u
#define WORLD_HOSTAGES 1024u

enum step_kind {
    STEP_SEND,  /* n bytes */
    STEP_AWAIT, /* until n bytes in all have come */
    STEP_AWAIT_EOF,
    STEP_PAUSE, /* n ns */
    STEP_SHUTDOWN,
    STEP_CLOSE,
    STEP_ABORT,
};

struct step {
    enum step_kind kind;
    uint64_t n;
};

enum conn_kind {
    KIND_REQUESTS,
    KIND_UP,
    KIND_DOWN,
    KIND_BOTH,
    KIND_HALF_CLOSE,
    KIND_CLOSE_AT_ONCE,
    KIND_ABORT,
    KIND_REFUSED,
    KIND_COUNT
};

/* One end of a connection and its program. */
struct side {
    struct world *world;
    unsigned conn, host;
    bool client;
    struct stream *stream; /* NULL: not yet, or no more */
    struct step steps[WORLD_STEPS];
    unsigned count, at;
    uint64_t step_sent, pause_until;
    uint64_t sent, received;      /* bytes */
    uint32_t read_most;           /* bytes at a time; 0: all there is */
    uint64_t read_every, read_at; /* ns */
    bool connected, eof, over;    /* over: its program has ended, or failed */
    int error;
};

/* What the frames of one direction have promised. */
struct direction {
    bool syn, fin;
    int8_t scale;
    uint32_t edge; /* right edge of the widest window offered */
    bool offered;
    uint32_t fin_seq, iss;
};

struct conn {
    enum conn_kind kind;
    uint64_t start_at;
    struct side sides[2]; /* client, server */
    uint16_t client_port;
    struct direction directions[2]; /* by who sends */
    unsigned attempts;
    unsigned life; /* begun anew so many times, as a host lost its power */
};

/* Something that happens to a pipe for a while. */
struct trouble {
    uint64_t at, until;
    uint8_t host;
    bool up, down; /* which of its pipes */
    uint16_t mtu;  /* 0: the pipe is cut */
    bool tell;
    bool reboot;   /* none of this: the host loses its power at that moment */
    bool over;
};

struct host_plan {
    unsigned strip; /* enum segment_strip: the peers never see these options */
    uint16_t mss;
};

struct world {
    struct fabric fabric;
    uint64_t seed;
    unsigned conn_count, trouble_count;
    struct conn conns[WORLD_CONNS];
    struct trouble troubles[WORLD_TROUBLES];
    struct host_plan plans[FABRIC_HOSTS];
    uint64_t heal_at;
    bool healed;
    struct rte_mbuf *hostages[WORLD_HOSTAGES]; /* buffers that are missing until the wires heal */
    unsigned hostage_count;
    bool failed;
    char why[256];
    uint16_t failed_port; /* 0: no single connection */
    struct trace trace;
    bool trace_all;
    bool jumbo, few_ports;
    uint64_t bytes, retransmits, frames, virtual_ns; /* of all runs */
    uint64_t reboots, worlds_v6, worlds_vlan, worlds_jumbo;
};

/* Runs the world of a seed to its end. False: something did not hold; why says what. */
bool world_run(struct world *w, uint64_t seed);
void world_free(struct world *w);

/* world_plan.c: draws everything. */
void plan_hosts(struct fabric *f, unsigned host, struct net_stack_config *config);
void plan_world(struct world *w);
unsigned plan_network(struct world *w); /* before all else; returns the number of hosts */

/* world_apps.c */
void apps_start(struct world *w); /* listeners */
void apps_turn(void *world, unsigned host);
bool apps_over(const struct world *w);
/* The host's streams are gone: those of its connections that are not over begin anew, and their peers leave the old. */
void apps_reboot(struct world *w, unsigned host);
void apps_give_up(struct world *w); /* those whose peer aborted, perhaps unheard */

/* world_check.c */
bool check_tap(void *world, enum fabric_fate fate, unsigned host, uint8_t *frame, uint32_t len);
void check_step(struct world *w); /* after each event */
void check_end(struct world *w);  /* all applications are over and all timers have fired */
/* world_timers.c */
void check_timers(struct world *w, const struct net_stack *st);
void world_fail(struct world *w, uint16_t port, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline uint16_t conn_port(unsigned conn)
{
    return (uint16_t)(WORLD_FIRST_PORT + conn);
}
/* Byte `at` of what a side sends: depends on all of the position's bits, so that no shift or swap goes unseen. */
static inline uint8_t world_byte(const struct side *s, uint64_t at)
{
    uint64_t life = s->world->conns[s->conn].life;
    uint64_t x = (at + (life << 6 | (uint64_t)s->conn << 1 | s->client) * 0x10001) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint8_t)(x >> 56);
}

#endif
