/*
 * RDMA's place in the server: option rdma, one datapath a core, the listener on the control thread. server/rdma.c, or
 * where it is built without libibverbs server/rdma_off.c, which refuses the option and is nothing else.
 */
#ifndef POLAR_SERVER_RDMA_H
#define POLAR_SERVER_RDMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct core;
struct control;
struct server;
struct stream;

/* Whether the option's values are addresses, and reach beyond this host only as they may; else one line says why not.
 */
bool server_rdma_check(const struct config *config);
/* Before anything is created: whether this machine can serve them. 0 or -errno, logged. */
int server_rdma_probe(const struct config *config);

/* All below do nothing without the option. 0 or -errno, logged; in this order, by the control thread. */
int server_rdma_create_core(struct core *core);                         /* the core's datapath */
int server_rdma_create(struct server *server, struct control *control); /* devices; all stores are there */
int server_rdma_register_metrics(struct core *core);
void server_rdma_add_clock(struct core *core);  /* of option rdma-onesided, before all others */
void server_rdma_add_input(struct core *core);  /* pollers, before the sessions' */
void server_rdma_add_output(struct core *core); /* and behind it */
/* Whether a client may read the shards by itself (option rdma-onesided), for as long as its connection lasts. */
bool server_rdma_is_read(struct stream *stream);
int server_rdma_listen(struct server *server);  /* the cores run */
void server_rdma_stop(struct server *server);   /* no more connections; those there are end */
/* The cores have stopped and their sessions are closed: waits for what still is on its way, then closes the devices. */
void server_rdma_destroy(struct server *server, struct control *control);

#endif
