/*
 * GETs by RDMA READ on a connection. The server gives out the remote keys of its shards' windows (base/window.h), one
 * message each, to a client that has set RDMA_FEATURE_ONESIDED and asks:
 *
 *     client                                       server
 *     GET_FEATURES                             ->
 *                                              <-  GET_FEATURES, features with RDMA_FEATURE_ONESIDED
 *     SET_FEATURES RDMA_FEATURE_ONESIDED, select 0 ->
 *                                              <-  WINDOW, select 0: address, bytes, key of shard 0's
 *     reads its line, which says how many shards there are; then for each other shard n
 *     SET_FEATURES RDMA_FEATURE_ONESIDED, select n ->
 *                                              <-  WINDOW, select n
 *
 * Only then is the connection's queue pair let read by, and no other's: a key that a client was not given, found out or
 * guessed, is of no use to it. Whoever was given them can read all of every shard as long as the connection lasts;
 * write nothing.
 *
 * What a look-up reads, and why its value is right, is window_read's; here its reads go out on the connection's pair,
 * of which so many may be under way at a time. All of it is for the core of the connection.
 */
#ifndef POLAR_RDMA_WINDOW_H
#define POLAR_RDMA_WINDOW_H

#include "rdma/core.h"
#include "rdma/window_read.h"

/* The server's side. Sends the WINDOW of a shard. false: this memory's device has no key for peers, or the connection
 * no room for a message more, or it ended. */
bool rdma_window_offer(struct rdma_conn *conn, unsigned shard, const void *base, uint64_t bytes);

/* The client's side. */
struct rdma_window;

/* The answer to one look-up: with WINDOW_VALUE its value, in memory that is the next look-up's after the call. */
typedef void rdma_window_done_fn(void *arg, enum window_step step, const uint8_t *value, uint32_t len, uint32_t flags);

struct rdma_window_config {
    struct rdma_conn *conn;
    uint8_t *memory;    /* rdma_window_memory_bytes(depth), aligned to 64, which the device may write into */
    uint32_t lkey;      /* of it */
    uint32_t depth;     /* look-ups at a time */
    uint32_t reads;     /* RDMA READs at a time: the pair's max_rd_atomic */
    uint32_t ask_every; /* so that the eviction sees that they are in use, one of so many look-ups is left to messages;
                           0: none */
    rdma_window_done_fn *done;
    void (*settled)(void *arg); /* once, after create, when the state is ASKING no more; NULL: it is looked at */
    void *settled_arg;
};

#define RDMA_WINDOW_DEPTH_MAX 1024u

size_t rdma_window_memory_bytes(uint32_t depth);
/* Asks the server for its windows. 0, -EINVAL, -ENOMEM, -ENOTCONN. */
int rdma_window_create(struct rdma_window **out, const struct rdma_window_config *config);
/*
 * Every look-up under way ends with WINDOW_MESSAGE; settled is not called any more. The memory is the device's until
 * freed(arg) is called, at once or when the last read is done.
 */
void rdma_window_destroy(struct rdma_window **window, void (*freed)(void *arg), void *arg);
/* What rdma_core_config.message is told of this connection. false: the server breaks the protocol. */
bool rdma_window_message(struct rdma_window *window, const struct rdma_message *m);

enum rdma_window_state {
    RDMA_WINDOW_ASKING,
    RDMA_WINDOW_OPEN,
    RDMA_WINDOW_NONE, /* the server offers none, or the connection ended, or no memory */
};
enum rdma_window_state rdma_window_state(const struct rdma_window *window);

/*
 * Looks a key up, which is the caller's until done(arg, ...). false, and no done: ask by message at once (no window
 * yet, depth look-ups are under way, it is this one's turn). Its reads leave at the end of the turn.
 */
bool rdma_window_get(struct rdma_window *window, const void *key, uint32_t len, void *arg);
/* Sums over the shards. */
void rdma_window_counts(const struct rdma_window *window, struct window_counts *out);

#endif
