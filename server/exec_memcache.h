/* What each memcached command does: how it becomes an operation, and what it answers. */
#ifndef POLAR_SERVER_EXEC_MEMCACHE_H
#define POLAR_SERVER_EXEC_MEMCACHE_H

#include "protocol/memcache/parse.h"
#include "server/op.h"

struct session;

/* Fill in kind, arguments and reply of an operation whose key is set. */
void memcache_get_op(struct session *s, struct op *op, const struct mc_request *r);   /* get, gets, gat, gats */
void memcache_store_op(struct session *s, struct op *op, const struct mc_request *r); /* set .. cas */
void memcache_key_op(struct session *s, struct op *op, const struct mc_request *r);   /* delete, incr, decr, touch */
/* Commands that are answered at once, everything earlier being answered. */
void memcache_direct(struct session *s, const struct mc_request *r);
void memcache_reply_nothing(struct session *s, struct op *op);

#endif
