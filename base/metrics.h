/*
 * Metrics. A module declares its counters as X-macro rows in its own metrics.def:
 *
 *     METRIC(rx_frames, COUNTER, "Frames received")
 *
 * From them come a per-core struct of uint64_t (the module's), and a table for this registry. A core writes only its
 * own struct; anybody may read: sums are made on demand with relaxed loads.
 *
 *     struct net_metrics {
 *     #define METRIC(name, kind, help) uint64_t name;
 *     #include "net/metrics.def"
 *     #undef METRIC
 *     };
 *     extern const struct metric_row net_metric_rows[]; ... METRIC_ROW(struct net_metrics, name, kind, help)
 */
#ifndef POLAR_BASE_METRICS_H
#define POLAR_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* MOST: a maximum since the start; of several cores the largest counts, not the sum. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_MOST };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *help;
    size_t offset; /* of the uint64_t in the per-core struct */
};

#define METRIC_ROW(type, name, kind, help) {#name, METRIC_##kind, help, offsetof(type, name)},

/* Adds to a counter of this core. A relaxed load and store: no lock prefix. */
static inline void metric_add(uint64_t *metric, uint64_t n)
{
    __atomic_store_n(metric, __atomic_load_n(metric, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline void metric_sub(uint64_t *metric, uint64_t n) { metric_add(metric, (uint64_t)0 - n); }
static inline void metric_set(uint64_t *metric, uint64_t v) { __atomic_store_n(metric, v, __ATOMIC_RELAXED); }
static inline uint64_t metric_get(const uint64_t *metric) { return __atomic_load_n(metric, __ATOMIC_RELAXED); }

/* A registry of blocks: (group, rows, per-core struct). Filled on the control thread before the cores run. */
struct metrics;
struct metrics *metrics_create(void);
void metrics_destroy(struct metrics **m);
/*
 * group: short lower-case name ("net", "store"). rows and block are borrowed for the registry's life. 0 or -errno:
 * -EEXIST when the group has other rows, or a block of this core already.
 */
int metrics_register(struct metrics *m, const char *group, unsigned core, const struct metric_row *rows, size_t row_count,
                     const void *block);
/* Sum over all cores of group.name, or the most of them, by its kind; 0 when there is none. Any thread. */
uint64_t metrics_sum(const struct metrics *m, const char *group, const char *name);
/* Calls fn once for each (group, row) with the sum over cores, or the most, in the order of registration. Any thread. */
void metrics_each(const struct metrics *m,
                  void (*fn)(void *arg, const char *group, const struct metric_row *row, uint64_t value), void *arg);

#endif
