#include "bench/workload.h"

void workload_init(struct workload *w, const struct workload_config *config)
{
    *w = (struct workload){.config = *config, .rng = {.state = rng_mix(config->seed)}, .at = WORKLOAD_BATCH};
    uint64_t total = (uint64_t)config->sets + config->gets;
    w->set_share = (uint32_t)(((uint64_t)config->sets * UINT32_MAX) / total);
}

static uint32_t value_len_of(const struct workload *w, uint64_t random)
{
    uint32_t span = w->config.value_max - w->config.value_min + 1;
    return w->config.value_min + rng_scale((uint32_t)(random >> 32), span);
}

static bool is_get(const struct workload *w, uint32_t random)
{
    if (w->config.sets == 0) return true;
    return w->config.gets != 0 && random >= w->set_share;
}

void workload_plan_batch(struct workload *w)
{
    for (uint32_t i = 0; i < WORKLOAD_BATCH; i++) {
        uint64_t place = rng_next(&w->rng), rest = rng_next(&w->rng);
        struct planned_op *op = &w->batch[i];
        op->index =
            w->config.zipf ? zipf_draw(w->config.zipf, place) : rng_scale((uint32_t)(place >> 32), w->config.keys);
        op->is_get = is_get(w, (uint32_t)place ^ (uint32_t)rest);
        op->value_len = value_len_of(w, rest);
        op->version = (uint32_t)rest;
    }
    w->at = 0;
}

struct planned_op workload_load_op(struct workload *w, uint32_t index)
{
    uint64_t random = rng_next(&w->rng);
    return (struct planned_op){.index = index, .value_len = value_len_of(w, random), .version = (uint32_t)random};
}
