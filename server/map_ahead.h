/*
 * After a warm start the server answers at once, while a thread maps the rest of the shards' memory, so that the cores
 * meet few of the faults that it would cost them.
 */
#ifndef POLAR_SERVER_MAP_AHEAD_H
#define POLAR_SERVER_MAP_AHEAD_H

struct server;

/* Control thread. What fails costs only those faults. */
void map_ahead_start(struct server *server);
/* Before the shards are destroyed; nothing if it does not run. */
void map_ahead_stop(struct server *server);

#endif
