/*
 * The RDMA datapath of one core: Valkey over RDMA behind the stream interface. It polls completion queues, posts work
 * and nothing else: no allocation, no system call, no lock. It touches libibverbs only by ibv_poll_cq, ibv_post_send,
 * ibv_post_srq_recv and ibv_req_notify_cq, which go through ibv_context.ops: that is the seam at which tests put a fake
 * (tests/rdma/fake.h), without a device.
 *
 * Queue pairs, memory and connection management are the set-up's (rdma/device.h, rdma/listener.h, rdma/dial.h), on its
 * own thread. A connection's life, between that thread (T) and the core (C):
 *
 *   T rdma_conn_create; rdma_core_tell NEW --> C knows the queue pair: completions may come from now on
 *   T accepts; rdma_core_tell ESTABLISHED  --> C opens its receive buffers to the peer, tells it, hands the stream over
 *   C is to let the peer read (a WINDOW is to be sent, rdma/window.h): RDMA_NOTICE_READS, once, to T, which allows
 *     it to the queue pair             --> rdma_core_tell READABLE: the WINDOW leaves
 *   C is to end it (close, abort, a peer that broke the protocol, a failed completion):
 *                                              RDMA_NOTICE_CUT to T, which disconnects
 *   T has cut it for C, or sees the peer gone, the device gone, or that it will not be established:
 *                                          --> rdma_core_tell GONE: the stream fails, as by a failed completion
 *   C has nothing posted on it any more, no reference on its receive memory, and the handler has let go:
 *                                              RDMA_NOTICE_DONE to T, which destroys pair and memory, rdma_conn_destroy
 *
 * GONE is told exactly once for every connection that was told NEW, and last of all; the pair is in the error state by
 * then (rdma_disconnect, or ibv_modify_qp), so that whatever is posted on it is flushed. It is T's answer to CUT too,
 * unless it was told already: a CUT that crosses it is ignored. DONE never comes before it.
 *
 * Receiving: the peer writes into a linear buffer that was registered with it, and never past its end. A connection has
 * two, in turn: when the first is full the second is registered at once, so that neither a request that lies across
 * the end nor a buffer that is still read makes the peer wait or bytes be copied.
 *
 * Sending: what the handler queues leaves as gather lists of registered memory, item and header where they lie; buffers
 * are freed at the write's completion.
 */
#ifndef POLAR_RDMA_CORE_H
#define POLAR_RDMA_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <infiniband/verbs.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/stream.h"
#include "rdma/keys.h"
#include "rdma/wire.h"

struct rdma_core;
struct rdma_conn;

struct rdma_metrics {
#define METRIC(name, kind, help) uint64_t name;
#include "rdma/metrics.def"
#undef METRIC
};
extern const struct metric_row rdma_metric_rows[];
extern const size_t rdma_metric_row_count;

struct rdma_core_config {
    struct stream_loop *loop;
    struct buf_pools *pools;
    uint32_t max_connections;
    uint64_t keepalive_ns; /* a server's keepalive messages; 0: none */
    uint64_t linger_ns; /* how long a closed stream may take to send the rest; how long a gone pair may take to flush */
    uint64_t features;  /* RDMA_FEATURE_ bits that our servers offer; 0: the standard protocol's none */
    /*
     * What stands beside the stream; NULL: a peer that sends such messages breaks the protocol. Called on a server with
     * SET_FEATURES of features that are offered; on a client with the answer to a GET_FEATURES of its own, and with
     * WINDOWs once it has sent SET_FEATURES. false: the message breaks the protocol, the connection is cut.
     */
    bool (*message)(void *arg, struct rdma_conn *conn, const struct rdma_message *m);
    void *message_arg;
};

int rdma_core_create(struct rdma_core **out, const struct rdma_core_config *config); /* 0 or -errno */
/* Every connection has come back by RDMA_NOTICE_DONE. */
void rdma_core_destroy(struct rdma_core **core);

#define RDMA_LANES_MAX 8u /* devices that one core serves */

/* What a core has of one device. Borrowed until the lane is removed. */
struct rdma_lane_config {
    struct ibv_cq *cq; /* of both directions; holds what srq_depth and every connection's sends may complete at once */
    struct ibv_srq *srq; /* receives of all pairs of the lane: one of RDMA_MESSAGE_BYTES each */
    uint32_t srq_depth;
    uint8_t *messages; /* srq_depth * RDMA_MESSAGE_BYTES of registered memory to receive into */
    uint32_t messages_lkey;
    const struct rdma_keys *keys; /* of all memory that may be sent from */
};

/* Posts all receives. Returns the lane's number or -errno. Before the core runs, or on its thread. */
int rdma_core_add_lane(struct rdma_core *core, const struct rdma_lane_config *config);
/* The lane is polled no more. No connection has it; before its queues are destroyed. Likewise. */
void rdma_core_remove_lane(struct rdma_core *core, unsigned lane);

struct rdma_conn_config {
    unsigned lane;
    struct ibv_qp *qp;
    uint8_t *memory; /* two receive buffers of buffer_bytes, then messages to send */
    uint32_t buffer_bytes;
    struct ibv_mr *mr; /* of memory */
    /*
     * Bound to the receive buffers before the peer is told of them: it writes by the window's key, through this pair
     * and nowhere else. Nobody has bound it. NULL: the device has none, the peer writes by mr's key.
     */
    struct ibv_mw *window;
    uint16_t send_depth; /* of the pair */
    uint8_t max_sge;
    uint16_t max_inline;      /* bytes; 0: none */
    uint8_t *read_memory;     /* for the handler's reads to read into, within mr; NULL: none */
    uint8_t reads;            /* in flight at a time: see rdma_conn_set_reads */
    bool server;              /* sends keepalives, answers features */
    stream_accept_fn *accept; /* on the core, once it is established; a client's stream raises STREAM_CONNECTED then */
    void *accept_arg;
    int end_error; /* 0: as rdma_conn_set_end has it */
    void *user;    /* the set-up's */
    char peer[64]; /* "10.0.0.2:40312" */
};

/* Bytes of rdma_conn_config.memory. */
size_t rdma_conn_memory_bytes(uint32_t buffer_bytes, uint16_t send_depth);
/* NULL: out of memory. Set-up thread. */
struct rdma_conn *rdma_conn_create(const struct rdma_conn_config *config);
/* After RDMA_NOTICE_DONE, or when it was never given. Set-up thread. */
void rdma_conn_destroy(struct rdma_conn *conn);
void *rdma_conn_user(const struct rdma_conn *conn);
/* What the peer has agreed to. Before ESTABLISHED is told. Set-up thread. */
void rdma_conn_set_reads(struct rdma_conn *conn, uint8_t reads);

/* The stream's error when GONE is told; ECONNRESET unless said otherwise. Before that. Set-up thread. */
void rdma_conn_set_end(struct rdma_conn *conn, int error);

enum rdma_tell { RDMA_TELL_NEW, RDMA_TELL_ESTABLISHED, RDMA_TELL_READABLE, RDMA_TELL_GONE };
/*
 * To the core, in order; the caller wakes its reactor. false, of NEW alone: the core has max_connections (those that
 * wait for DONE count too): refuse the connection, or tell it later. Set-up thread.
 */
bool rdma_core_tell(struct rdma_core *core, enum rdma_tell what, struct rdma_conn *conn);

enum rdma_notice_kind { RDMA_NOTICE_CUT, RDMA_NOTICE_DONE, RDMA_NOTICE_READS };
struct rdma_notice {
    enum rdma_notice_kind kind;
    struct rdma_conn *conn;
};
/* From the core. false: nothing. Set-up thread. */
bool rdma_core_next_notice(struct rdma_core *core, struct rdma_notice *out);
/* Called on the core when it has put a notice in: wakes the set-up thread. Before the core runs. */
void rdma_core_on_notice(struct rdma_core *core, void (*wake)(void *arg), void *arg);

/* Pollers of the core: what set-up tells and completions in; what was flushed out, one doorbell a pair. */
unsigned rdma_core_input(void *core, const struct tick *now);
unsigned rdma_core_output(void *core, const struct tick *now);
uint64_t rdma_core_deadline(void *core);
/* Asks every lane's completion queue for an event at the next completion. Before the core sleeps; it polls once more
 * after. */
void rdma_core_arm(struct rdma_core *core);

uint32_t rdma_core_connections(const struct rdma_core *core);
const struct rdma_metrics *rdma_core_metrics(const struct rdma_core *core); /* any thread, relaxed reads */

/* Beside the stream: the handler's own messages and one-sided reads (rdma/window.h). All on the core. */

/* NULL: s is another transport's. */
struct rdma_conn *rdma_conn_of(struct stream *s);
struct stream *rdma_conn_stream(struct rdma_conn *conn);
/* Whether its peer has been given a window, and so reads by itself until the connection's end. */
bool rdma_conn_is_read(const struct rdma_conn *conn);
/* Leaves at the end of the turn, before the stream's bytes; a server's WINDOW, and what is behind it, when the peer may
 * read. false: RDMA_CONN_MESSAGES wait already, or the connection
 * ended. */
#define RDMA_CONN_MESSAGES 16u
bool rdma_conn_send_message(struct rdma_conn *conn, const struct rdma_message *m);

struct rdma_read {
    void *into; /* the caller's registered memory; the device's until done */
    uint32_t bytes, lkey;
    uint64_t address; /* the peer's */
    uint32_t rkey;
    void (*done)(struct rdma_read *read, bool ok); /* exactly once; not ok: the connection ended */
    struct rdma_read *next;
};
/*
 * Posts an RDMA READ at the end of the turn. Takes *read until done, which comes in the order of the calls, also after
 * the handler has let go of the stream. false: the connection ended; done is not called.
 */
bool rdma_conn_read(struct rdma_conn *conn, struct rdma_read *read);
/* Reads that the pair has in flight at a time; others wait in its queue, and what is posted behind them. */
uint8_t rdma_conn_reads(const struct rdma_conn *conn);
/* Memory to read into that set-up gave the connection, there as long as anything is posted; NULL: none. */
uint8_t *rdma_conn_read_memory(const struct rdma_conn *conn, uint32_t *lkey);

#endif
