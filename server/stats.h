/* Statistics in each protocol's words. Sums over the cores are made on demand from relaxed reads. */
#ifndef POLAR_SERVER_STATS_H
#define POLAR_SERVER_STATS_H

#include "base/slice.h"

struct session;
struct server;
struct config;

void stats_memcache(struct session *s);          /* STAT lines with memcached's names, then every metric, END */
void stats_memcache_settings(struct session *s); /* STAT lines of the options */
/* The option eviction in redis' words, where it has one. */
const char *stats_eviction_policy(const struct config *config);
/* The INFO text of the sections that are named, or with none of all. Written as one bulk (or verbatim) string. */
void stats_info(struct session *s, const struct slice *names, int count);

#endif
