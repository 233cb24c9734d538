#include "tests/rdma/sim/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 60000u
#define LINGER_NS 5000000000u

void sim_check(const struct sim *sim, bool fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "seed %" PRIu64 ", turn %" PRIu64 ": %s\n", sim->seed, sim->turn, what);
    abort();
}

static void links_create(struct sim *sim)
{
    struct fake *f = sim->fake;
    static const uint32_t buffers[] = {64, 100, 1000, 4096, 16384, 65536};
    static const uint16_t inlines[] = {0, 32, 220};
    sim->links = 1 + (unsigned)fake_random(f, SIM_LINKS_MAX);
    for (unsigned i = 0; i < sim->links; i++) {
        struct side *s = &sim->sides[2 * i];
        struct side_config config = {.buffer_bytes = buffers[fake_random(f, 6)],
                                     .send_depth = (uint16_t)(16 + (fake_random(f, 2) ? fake_random(f, 100) : 0)),
                                     .max_sge = (uint8_t)(1 + (fake_random(f, 2) ? fake_random(f, 20) : 0)),
                                     .max_inline = inlines[fake_random(f, 3)]};
        unsigned server = (unsigned)fake_random(f, 2);
        sides_create(&s[0], &sim->ends[server], &s[1], &sim->ends[!server], &config);
        for (unsigned j = 0; j < 2; j++) {
            sim_app_init(&sim->apps[2 * i + j], sim, 2 * i + j);
            rdma_core_tell(s[j].end->core, RDMA_TELL_ESTABLISHED, s[j].conn);
        }
        sim->apps[2 * i + fake_random(f, 2)].closes = true;
        sim->link[i].disturb_turn = fake_random(f, 3) == 0 ? 1 + fake_random(f, 400) : UINT64_MAX;
    }
}

static void sim_create(struct sim *sim, uint64_t seed, struct buf_pools *pools)
{
    struct fake_config fabric = {.seed = seed, .delay_ns = 2000, .late_ns = seed % 3 ? 3000 : 100000};
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->pools = pools;
    sim->fake = fake_create(&fabric);
    for (unsigned i = 0; i < 2; i++) {
        struct end_config config = {.pools = pools,
                                    .max_connections = SIM_LINKS_MAX,
                                    .srq_depth = 2 + (uint32_t)fake_random(sim->fake, 100),
                                    .cq_depth = 4096,
                                    .keepalive_ns = fake_random(sim->fake, 2) * 1000000,
                                    .linger_ns = LINGER_NS,
                                    .no_windows = fake_random(sim->fake, 4) == 0};
        end_create(&sim->ends[i], sim->fake, &config);
        sim_arena_register(&sim->ends[i]);
    }
    links_create(sim);
}

/* A device goes with all its connections. */
static void remove_device(struct sim *sim, const struct end *e)
{
    fake_device_remove(e->device);
    for (unsigned i = 0; i < 2 * sim->links; i++) {
        sim->link[i / 2].disturbed = true;
        if (sim->sides[i].end == e) side_disconnect(&sim->sides[i]);
    }
}

static void disturb(struct sim *sim, unsigned link)
{
    static const enum ibv_wc_status statuses[] = {IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_OP_ERR, IBV_WC_FATAL_ERR};
    struct fake *f = sim->fake;
    unsigned index = 2 * link + (unsigned)fake_random(f, 2);
    struct side *s = &sim->sides[index];
    if (!s->qp || s->gone_ns != 0) return;
    uint64_t what = fake_random(f, 25);
    if (what == 0) {
        remove_device(sim, s->end);
        return;
    }
    if (what % 6 == 5) {
        fake_qp_stall(s->qp, 1000000); /* nothing is lost */
        return;
    }
    sim->link[link].disturbed = true;
    switch (what % 6) {
    case 0: fake_qp_fail(s->qp, statuses[fake_random(f, 3)]); break;
    case 1: side_disconnect(s); break;
    case 2: fake_qp_refuse(s->qp, (uint32_t)fake_random(f, 4), ENOMEM); break;
    case 3: fake_qp_error(s->qp); break; /* nobody is told */
    default:
        if (s->stream) sim_app_let_go(&sim->apps[index], fake_random(f, 2));
        break;
    }
}

static void hoard(struct sim *sim)
{
    if (sim->hoarded > 0 && fake_random(sim->fake, 20) > 0) return;
    while (sim->hoarded > 0) rte_pktmbuf_free(sim->hoard[--sim->hoarded]);
    if (sim->turn > TURNS_MAX / 2 || fake_random(sim->fake, 100) > 0) return;
    for (; sim->hoarded < SIM_HOARD_MAX; sim->hoarded++)
        if (!(sim->hoard[sim->hoarded] = rte_pktmbuf_alloc(sim->pools->ref))) return;
}

static void turn(struct sim *sim, uint64_t ns)
{
    sim->turn++;
    for (unsigned i = 0; i < 2; i++) {
        struct end *e = &sim->ends[i];
        struct tick now = end_tick(e);
        rdma_core_input(e->core, &now);
        while (stream_loop_pop(&e->loop)) {
        }
        for (unsigned j = 0; j < 2 * sim->links; j++)
            if (sim->sides[j].end == e) sim_app_turn(&sim->apps[j]);
        rdma_core_output(e->core, &now);
        sides_step(e, sim->sides, 2 * sim->links);
    }
    for (unsigned i = 0; i < sim->links; i++)
        if (sim->turn == sim->link[i].disturb_turn) disturb(sim, i);
    hoard(sim);
    fake_run(sim->fake, ns);
}

/* One is left that is still at it. */
static bool is_busy(const struct sim *sim)
{
    for (unsigned i = 0; i < 2 * sim->links; i++)
        if (!sim->sides[i].done && !sim->link[i / 2].disturbed) return true;
    return false;
}

static void sum_add(struct rdma_metrics *sum, const struct rdma_metrics *m)
{
#define METRIC(name, kind, help) sum->name += m->name;
#include "rdma/metrics.def"
#undef METRIC
}

static void sim_end(struct sim *sim, struct rdma_metrics *sum)
{
    for (unsigned i = 0; i < 2 * sim->links; i++) {
        if (sim->sides[i].stream) sim_app_let_go(&sim->apps[i], true);
        sim_app_release(&sim->apps[i]);
    }
    for (unsigned i = 0; i < 200; i++) turn(sim, LINGER_NS / 20);
    while (sim->hoarded > 0) rte_pktmbuf_free(sim->hoard[--sim->hoarded]);
    for (unsigned i = 0; i < 2 * sim->links; i++) {
        sim_check(sim, sim->sides[i].done, "a connection was not done");
        sim_check(sim, sim->apps[i].had_stream || sim->link[i / 2].disturbed, "a stream was not handed over");
    }
    sim_check(sim, sim_arena_used() == 0, "sent memory is still held");
    sim_check(sim, buf_pools_in_use(sim->pools) == 0, "buffers are missing");
    for (unsigned i = 0; i < 2; i++) {
        sum_add(sum, rdma_core_metrics(sim->ends[i].core));
        end_destroy(&sim->ends[i]);
    }
    fake_destroy(sim->fake);
}

static void sim_verdict(const struct sim *sim)
{
    for (unsigned i = 0; i < 2 * sim->links; i++) {
        const struct sim_app *app = &sim->apps[i], *peer = app->side->peer->user;
        if (sim->link[i / 2].disturbed || app->closes) continue; /* who closes does not read on */
        sim_check(sim, app->taken == peer->plan, "bytes are missing");
    }
}

void sim_run(uint64_t seed, struct buf_pools *pools, struct rdma_metrics *sum)
{
    static struct sim sim;
    sim_create(&sim, seed, pools);
    while (is_busy(&sim)) {
        sim_check(&sim, sim.turn < TURNS_MAX, "it does not come to an end");
        turn(&sim, 1 + fake_random(sim.fake, 20000));
    }
    sim_verdict(&sim);
    sim_end(&sim, sum);
}
