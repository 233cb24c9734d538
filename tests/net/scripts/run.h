/*
 * A script at work: a stack, peers, virtual time. A line's command is a row of a table; it fails the script by
 * run_fail, which does not return.
 */
#ifndef POLAR_TESTS_NET_SCRIPTS_RUN_H
#define POLAR_TESTS_NET_SCRIPTS_RUN_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/stream.h"
#include "net/stack.h"
#include "tests/net/scripts/peer.h"
#include "tests/net/scripts/value.h"

#define RUN_PEERS 16u
#define RUN_FRAMES 512u
#define RUN_WORDS 64u
#define RUN_TRACE 4096u
#define RUN_TEXT 640u
#define RUN_BURST 64u
#define RUN_START_NS UINT64_C(5000000000)
#define RUN_TOLERANCE_NS UINT64_C(50000) /* the timer wheel's tick is 16 us */

struct run_frame {
    uint8_t *bytes;
    uint32_t len;
    uint64_t at;
    bool unchecked; /* the device fills in the checksums */
};

struct run_line {
    char *text; /* as in the file */
    unsigned number;
};

struct run {
    const char *file;
    struct run_line *lines;
    unsigned line_count, at; /* at: the line being run */
    struct value_scope scope;

    struct net_stack_config config;
    struct buf_pools pools;
    uint32_t pool_count;
    struct net_stack *stack; /* NULL until the first line that needs it */
    struct stream_loop loop;
    struct net_metrics metrics_seen;
    uint64_t now, tolerance;
    uint64_t window_from, window_to; /* when the line's frame is to come; window_to 0: at once */
    bool manual_neighbours;
    bool hold; /* this line's call and the next are of one turn */
    struct peer peers[RUN_PEERS];
    unsigned peer_count;
    struct peer *peer;                   /* the one that lines speak of */
    struct run_frame frames[RUN_FRAMES]; /* sent and not yet looked for */
    uint32_t head, tail;
    struct rte_mbuf *burst[RUN_BURST];
    unsigned burst_count;
    struct rte_mbuf **taken[3]; /* buffers kept from the pools by `take` */
    uint32_t taken_count[3];
    char (*trace)[RUN_TEXT];
    uint32_t trace_count;

    jmp_buf failed;
    char message[4 * RUN_TEXT];
};

typedef void run_command_fn(struct run *r, char **words, unsigned n);

struct run_command {
    const char *name;
    run_command_fn *fn;
    const char *usage;
};

extern const struct run_command run_call_commands[], run_check_commands[]; /* each ends with a NULL name */

_Noreturn void run_fail(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void run_trace(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The stack exists from here on; before it lines only configure. */
void run_stack(struct run *r);
/* config.c: the command `set`. */
run_command_fn run_set;
/* The stack's output, and its questions for neighbours answered. */
void run_turn(struct run *r);
/* A frame onto the wire towards the stack; then a turn. */
void run_inject(struct run *r, const struct packet *p);
/* Time passes, each timer at its moment, until `until` or, with stop, until a frame has been sent. */
void run_until(struct run *r, uint64_t until, bool stop);
int64_t run_value(struct run *r, const char *text);
struct packet_range run_range(struct run *r, const char *text);
/* Lines as a script would have them: for commands that stand for several. */
void run_text(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
int run_listen(struct run *r, uint16_t port); /* 0 or -errno */
struct rte_mempool *run_pool(struct run *r, unsigned i);

/* One file. 0: it passed; otherwise r->message says what did not. */
int run_file(struct run *r, const char *path);

#endif
