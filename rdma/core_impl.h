/*
 * Inside the datapath of a core: core.c has lanes, rings and pollers, conn.c a connection's life and its stream,
 * receive.c what peers write, transmit.c the send queue, control.c messages, lookup.c which connection a completion is
 * of.
 *
 * A connection's states, and what leads from one to the next:
 *
 *   NEW    --> OPEN     told ESTABLISHED: the handler has the stream (held)
 *   OPEN   --> LINGER   op_close: the handler let go, the rest is still to leave
 *   NEW, OPEN, LINGER --> CUT   conn_cut: abort, violation, failed completion, told GONE, all sent, time is up
 *   CUT    --> freed    conn_finish: told GONE, not held, nothing posted, no buffer refers to the receive memory
 */
#ifndef POLAR_RDMA_CORE_IMPL_H
#define POLAR_RDMA_CORE_IMPL_H

#include <sys/queue.h>
#include "base/ring.h"
#include "rdma/core.h"

#define RDMA_POLL_BATCH 32u /* completions of one poll */
#define RDMA_POLL_ROUNDS 4u /* polls of a lane in one turn */
#define RDMA_GONE_TURNS 16u /* turns that GONE waits for a queue to be empty, so that what came before it counts */
#define RDMA_LIST_MAX 16u   /* requests posted at once on a pair, and in one turn: fairness */
#define RDMA_SGE_MAX 32u    /* segments of a request that we use */
#define RDMA_DATA_SPARE 4u  /* send queue entries that data leaves for messages and the mark */
#define RDMA_SEND_DEPTH_MIN 16u
#define RDMA_UNSIGNALLED_MAX 64u
#define RDMA_REPOST_BATCH 32u      /* receives posted at once */
#define RDMA_KEEPALIVES_MISSED 10u /* keepalives due since one was taken: the peer, or the way to it, is gone */
#define RDMA_STARVED_NS 1000000u   /* how soon a core that sleeps looks for buffer headers again */
#define RDMA_PIECE_MAX UINT16_MAX  /* bytes of one buffer */
#define RDMA_PIECES_MAX 60000u     /* buffers that refer to one receive buffer: the count has 16 bits */

/*
 * A request's id. Receives: the slot. Sends: which connection, which of its requests; the generation tells a completion
 * that comes after its connection was given up.
 */
#define RDMA_ID_SEND (1ull << 63)
#define RDMA_ID_GENERATION_SHIFT 52u
#define RDMA_ID_GENERATION_MASK 0x7ffu
#define RDMA_ID_INDEX_SHIFT 32u
#define RDMA_ID_INDEX_MASK 0xfffffu

enum conn_state { CONN_NEW, CONN_OPEN, CONN_LINGER, CONN_CUT };
/* GONE: not told; told, but completions from before it may be left; acted upon. */
enum conn_gone { GONE_NOT, GONE_TOLD, GONE_TAKEN };

/* One of the two linear buffers that the peer writes into. */
struct rx_buffer {
    uint8_t *base;
    uint32_t received;  /* bytes the peer has filled */
    uint32_t delivered; /* of these, bytes in buffers of the stream */
    bool idle;          /* no buffer refers to it */
    struct rdma_conn *conn;
    struct rte_mbuf_ext_shared_info shared; /* counts the buffers exactly: valid unless idle */
};

enum request_kind { REQUEST_DATA, REQUEST_MESSAGE, REQUEST_KEEPALIVE, REQUEST_READ, REQUEST_MARK, REQUEST_BIND };

/* A posted request. */
struct request {
    uint32_t bytes; /* of the queue that it holds */
    uint8_t kind;   /* enum request_kind */
};

struct rdma_conn {
    struct stream s; /* first: stream and connection are converted into one another */
    struct rdma_core *core;
    uint64_t id; /* of its sends, without the request's number */
    struct ibv_qp *qp;

    uint8_t state; /* enum conn_state */
    uint8_t lane;
    bool held;    /* the handler has the stream */
    uint8_t gone; /* enum conn_gone */
    bool shut;    /* the handler has called shutdown */
    bool listed;  /* on core->output */
    bool starved; /* on core->starved */
    bool timed;   /* on core->timed */
    bool server;
    uint8_t active; /* which receive buffer the peer has, or had last */
    bool rx_open;   /* it may write into it */
    bool rx_wait;   /* no buffer is free to be registered */
    bool bind_due;  /* the window; before the first registration */
    bool register_due;
    bool keepalive_due;
    bool keepalive_posted;
    uint8_t keepalives_missed;
    bool features_set; /* a client's */
    bool reads_asked;  /* a server's: set-up is to let the peer read */
    bool readable;     /* and has done so */
    uint8_t questions; /* GET_FEATURES sent and not answered */
    uint8_t messages_head, messages_count;
    uint8_t max_sge;
    uint16_t max_inline;
    uint16_t depth;
    bool queue_full; /* waits for a completion */
    bool peer_full;  /* waits for a registration, and was counted */

    /* The send queue: requests by number, done <= signalled, posted. */
    uint32_t sq_posted, sq_done;
    uint32_t sq_signalled; /* the number behind the last signalled one */
    uint32_t sq_mask;
    /* Bytes: those posted and held until their completion, then those that wait, from tx_next on. */
    struct buf_chain tx;
    uint32_t tx_held;
    uint32_t tx_next_off;
    struct rte_mbuf *tx_next; /* NULL: none wait */

    uint64_t peer_address; /* of its receive buffer */
    uint32_t peer_key;
    uint32_t peer_length, peer_used;

    uint32_t buffer_bytes;
    uint32_t lkey;
    uint32_t rkey; /* of both receive buffers, for the peer */
    struct rx_buffer rx[2];
    uint8_t *message_slots; /* one for each request of the queue */

    TAILQ_ENTRY(rdma_conn) output, starving, timer, keepalive, going;
    uint64_t timer_ns; /* LINGER: when it is cut; CUT: when it is given up */
    uint64_t keepalive_ns;
    struct rdma_read *reads, *reads_tail;     /* to be posted */
    struct rdma_read *reading, *reading_tail; /* posted */
    struct rdma_message messages[RDMA_CONN_MESSAGES];
    uint32_t index; /* of core->conns */
    struct rdma_conn_config config;
    struct request requests[];
};

TAILQ_HEAD(rdma_conn_list, rdma_conn);

struct lane {
    struct rdma_lane_config config;
    uint32_t hint[2]; /* keys: of our own buffers, of what external buffers refer to */
    uint32_t repost_count, repost_batch;
    struct ibv_recv_wr repost[RDMA_REPOST_BATCH];
    struct ibv_sge repost_sge[RDMA_REPOST_BATCH];
};

/* Requests being gathered for one post. */
struct request_list {
    unsigned count;
    bool signal;    /* the last one must tell */
    uint32_t bytes; /* of data */
    bool data_inline;
    struct ibv_send_wr *last_data;
    struct ibv_send_wr wr[RDMA_LIST_MAX];
    struct ibv_sge sge[RDMA_LIST_MAX][RDMA_SGE_MAX];
};

struct lookup_entry {
    uint32_t qp_num;
    uint32_t lane;
    struct rdma_conn *conn; /* NULL: free */
};

struct rdma_core {
    struct rdma_core_config config;
    uint64_t now_ns; /* of this turn */
    unsigned lane_count;
    struct rdma_conn_list output;  /* something to post, or to finish */
    struct rdma_conn_list starved; /* received bytes wait for buffer headers */
    struct rdma_conn_list timed;   /* by timer_ns: all wait equally long */
    struct rdma_conn_list kept;    /* by keepalive_ns */
    struct rdma_conn_list gone;    /* told; by output */
    unsigned gone_turns;
    struct lookup_entry *lookup;
    uint32_t lookup_mask;
    struct rdma_conn **conns;
    uint16_t *generations;
    uint32_t *free_indexes;
    uint32_t free_count;
    bool notified; /* a notice was put in since the last wake */
    void (*wake)(void *arg);
    void *wake_arg;
    struct spsc_ring *tells, *notices; /* connections; what is told in the low bits */
    struct rdma_metrics metrics;
    struct request_list list;
    struct lane lanes[RDMA_LANES_MAX];
    _Alignas(64) uint32_t told; /* the set-up thread's: connections told NEW and not yet DONE */
};

/* lookup.c: by lane and queue pair number, open-addressed; room for all. */
int lookup_create(struct rdma_core *core);
void lookup_add(struct rdma_core *core, struct rdma_conn *conn);
void lookup_remove(struct rdma_core *core, const struct rdma_conn *conn);
struct rdma_conn *lookup_find(const struct rdma_core *core, uint32_t lane, uint32_t qp_num); /* NULL: none */

/* conn.c */
void conn_new(struct rdma_core *core, struct rdma_conn *c);
void conn_established(struct rdma_conn *c);
void conn_gone(struct rdma_conn *c);
/* Acts upon GONE. Completions from before it have been seen. */
void conn_gone_take(struct rdma_conn *c);
/* error: what the handler sees; 0: it let go, or has shut down. */
void conn_cut(struct rdma_conn *c, int error);
/* The handler of a connection that was cut is told when it has all bytes that came before. */
void conn_end_raise(struct rdma_conn *c);
/* The peer broke the protocol: counts in *reason and cuts. */
void conn_violation(struct rdma_conn *c, uint64_t *reason);
/* true: the connection is no more. */
bool conn_finish(struct rdma_conn *c);
void conn_timers(struct rdma_core *core);
uint64_t conn_deadline(const struct rdma_core *core);

/* core.c */
void core_notify(struct rdma_core *core, struct rdma_conn *c, enum rdma_notice_kind kind);

/* Has c visited by this turn's output. */
static inline void conn_list(struct rdma_conn *c)
{
    if (c->listed) return;
    c->listed = true;
    TAILQ_INSERT_TAIL(&c->core->output, c, output);
}

/* receive.c */
void receive_init(struct rdma_conn *c);
void receive_start(struct rdma_conn *c); /* the first registration */
void receive_write(struct rdma_conn *c, uint32_t n);
void receive_starved(struct rdma_core *core);
void receive_drop(struct rdma_conn *c); /* the handler let go */

/* transmit.c */
/* Posts what can leave. true: more could leave at once. May cut c. */
bool transmit(struct rdma_conn *c);
void transmit_done(struct rdma_conn *c, uint32_t request, bool ok);
/* A completion that all requests so far are done will come: posts a mark behind them if need be. */
void transmit_mark(struct rdma_conn *c);
void transmit_drop_reads(struct rdma_conn *c); /* those not posted */

static inline uint32_t transmit_outstanding(const struct rdma_conn *c)
{
    return c->sq_posted - c->sq_done;
}
static inline uint32_t transmit_waiting(const struct rdma_conn *c)
{
    return c->tx.len - c->tx_held;
}

/* control.c */
/* The first message could leave: a WINDOW when the peer may read, since a read before that would end the connection. */
static inline bool message_ready(const struct rdma_conn *c)
{
    if (c->messages_count == 0) return false;
    return !c->server || c->readable || c->messages[c->messages_head].opcode != RDMA_WINDOW;
}

void control_receive(struct rdma_conn *c, const uint8_t *data, uint32_t len);
/* The peer may read: what waited for that leaves. */
void control_readable(struct rdma_conn *c);
/* Adds the messages that are due to the list. */
void control_gather(struct rdma_conn *c, struct request_list *list, uint32_t room);

/* The next entry of the list; its record is request number sq_posted + count - 1. */
static inline struct ibv_send_wr *request_add(struct rdma_conn *c, struct request_list *list, enum request_kind kind)
{
    struct ibv_send_wr *wr = &list->wr[list->count];
    uint32_t number = c->sq_posted + list->count++;
    c->requests[number & c->sq_mask] = (struct request){.kind = (uint8_t)kind};
    wr->wr_id = c->id | number;
    wr->send_flags = 0;
    return wr;
}

#endif
