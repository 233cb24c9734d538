/*
 * GETs by one-sided reads of the server's memory (--onesided): beside a connection the server's windows
 * (rdma/window.h), in which a key is looked up. A look-up has its value, or it is in vain and the key is asked for by
 * request, as any other. What the server has to grant, and what a look-up proves, is rdma/window.h's to say.
 *
 * All of it is for the thread of the connections. Without RDMA in the build there are no sets.
 */
#ifndef POLAR_BENCH_ONESIDED_H
#define POLAR_BENCH_ONESIDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/stream.h"
#include "rdma/window_read.h"

#define ONESIDED_DEPTH_MAX 1024u /* look-ups of a connection at a time */
#define ONESIDED_READS 16u       /* RDMA READs of a connection at a time, as far as both devices have them */
#define ONESIDED_LEFT_EVERY 64u  /* of so many GETs one is left to the server, so that its eviction sees what is read  \
                                  */

#define ONESIDED_REFUSED_TEXT "the server does not grant one-sided reads: it takes --rdma-onesided yes"

struct onesided_set; /* a thread's */
struct onesided;     /* a connection's */
struct look;         /* bench/worker.h */
struct rdma_conn;
struct rdma_message;

enum onesided_state { ONESIDED_ASKING, ONESIDED_OPEN, ONESIDED_REFUSED };

/* depth: look-ups of a connection at a time, at least 1. NULL: out of memory. */
struct onesided_set *onesided_set_create(uint32_t depth);
/* Every onesided of it was closed, and its connections are done. NULL is fine. */
void onesided_set_destroy(struct onesided_set **set);
/* Memory that each connection must have to read into (rdma_conn_read_memory). */
size_t onesided_memory_bytes(uint32_t depth);
/* Of all connections, those closed too. */
void onesided_set_counts(const struct onesided_set *set, struct window_counts *out);
/* rdma_core_config.message; arg: the set. */
bool onesided_message(void *set, struct rdma_conn *conn, const struct rdma_message *m);

/* On a stream that is up: asks for the windows; when there is an answer the stream is raised, without an event. 0,
 * -ENOTSUP (a device reads no memory of others), -ENOMEM, -ENOTCONN. */
int onesided_open(struct onesided_set *set, struct stream *s, struct onesided **out);
enum onesided_state onesided_state(const struct onesided *o);
/*
 * Looks up a key, which is the caller's until conn_on_look(look, ...), perhaps before this returns. false: that will
 * not be called; ask by request (it is this one's turn, or the connection has ended).
 */
bool onesided_get(struct onesided *o, const void *key, uint32_t len, struct look *look);
/* Look-ups under way end in vain. While the stream is still the caller's. */
void onesided_close(struct onesided **o);

#endif
