#include "base/metrics.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct block {
    unsigned core;
    const void *values;
};

/* One module's rows with the blocks of every core. */
struct group {
    char *name;
    const struct metric_row *rows;
    size_t row_count;
    struct block *blocks;
    size_t block_count;
};

struct metrics {
    struct group *groups;
    size_t group_count;
};

struct metrics *metrics_create(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_destroy(struct metrics **m)
{
    if (!*m) return;
    for (size_t i = 0; i < (*m)->group_count; i++) {
        free((*m)->groups[i].name);
        free((*m)->groups[i].blocks);
    }
    free((*m)->groups);
    free(*m);
    *m = NULL;
}

static struct group *group_find(const struct metrics *m, const char *name)
{
    for (size_t i = 0; i < m->group_count; i++)
        if (strcmp(m->groups[i].name, name) == 0) return &m->groups[i];
    return NULL;
}

static struct group *group_add(struct metrics *m, const char *name, const struct metric_row *rows, size_t row_count)
{
    struct group *groups = realloc(m->groups, (m->group_count + 1) * sizeof *groups);
    if (!groups) return NULL;
    m->groups = groups;
    struct group *g = &groups[m->group_count];
    *g = (struct group){.name = strdup(name), .rows = rows, .row_count = row_count};
    if (!g->name) return NULL;
    m->group_count++;
    return g;
}

static bool group_has_core(const struct group *g, unsigned core)
{
    for (size_t i = 0; i < g->block_count; i++)
        if (g->blocks[i].core == core) return true;
    return false;
}

int metrics_register(struct metrics *m, const char *name, unsigned core, const struct metric_row *rows,
                     size_t row_count, const void *block)
{
    struct group *g = group_find(m, name);
    if (g && (g->rows != rows || g->row_count != row_count || group_has_core(g, core))) return -EEXIST;
    if (!g && !(g = group_add(m, name, rows, row_count))) return -ENOMEM;
    struct block *blocks = realloc(g->blocks, (g->block_count + 1) * sizeof *blocks);
    if (!blocks) return -ENOMEM;
    g->blocks = blocks;
    blocks[g->block_count++] = (struct block){.core = core, .values = block};
    return 0;
}

static uint64_t row_sum(const struct group *g, const struct metric_row *row)
{
    uint64_t sum = 0, most = 0;
    for (size_t i = 0; i < g->block_count; i++) {
        uint64_t value = metric_get((const uint64_t *)(const void *)((const char *)g->blocks[i].values + row->offset));
        sum += value;
        if (value > most) most = value;
    }
    return row->kind == METRIC_MOST ? most : sum;
}

uint64_t metrics_sum(const struct metrics *m, const char *group, const char *name)
{
    const struct group *g = group_find(m, group);
    for (size_t i = 0; g && i < g->row_count; i++)
        if (strcmp(g->rows[i].name, name) == 0) return row_sum(g, &g->rows[i]);
    return 0;
}

void metrics_each(const struct metrics *m,
                  void (*fn)(void *arg, const char *group, const struct metric_row *row, uint64_t value), void *arg)
{
    for (size_t i = 0; i < m->group_count; i++) {
        const struct group *g = &m->groups[i];
        for (size_t j = 0; j < g->row_count; j++) fn(arg, g->name, &g->rows[j], row_sum(g, &g->rows[j]));
    }
}
