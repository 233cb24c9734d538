/* kvbench: a load generator for memcached and RESP servers, over kernel sockets or our own TCP. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/eal.h"
#include "base/log.h"
#include "bench/options.h"
#include "bench/ping.h"
#include "bench/run.h"
#include "bench/transport.h"
#include "net/port.h"

#define PING_MEMORY_MIB 160u

static bool asked_for(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], word) == 0) return true;
    return false;
}

static bool is_ping(const struct bench_plan *plan)
{
    return plan->options.ping || plan->options.ping_serve;
}

static int vdevs_check(const struct bench_plan *plan)
{
    char text[256];
    for (unsigned i = 0; i < plan->options.vdev.count; i++) {
        if (port_check_vdev(plan->options.vdev.items[i], (uint16_t)plan->options.mtu, text, sizeof text) == 0) continue;
        fprintf(stderr, "kvbench: option 'vdev': %s\n", text);
        return -EINVAL;
    }
    return 0;
}

/* Before the run, whose report would have no place to go. */
static int report_file_check(const struct bench_plan *plan)
{
    const char *path = plan->options.json;
    if (!*path || strcmp(path, "-") == 0) return 0;
    FILE *file = fopen(path, "a");
    if (!file) {
        int rc = -errno;
        log_error("option 'json': got %s, takes a file that can be written: %s", path, strerror(-rc));
        return rc;
    }
    fclose(file);
    return 0;
}

static int environment_start(const struct bench_plan *plan, const char *program)
{
    const struct bench_options *o = &plan->options;
    struct eal_config config = {.program = program,
                                .huge_pages = o->huge_pages,
                                .pci = o->allow.count > 0,
                                .vdevs = o->vdev.items,
                                .vdev_count = o->vdev.count,
                                .allow = o->allow.items,
                                .allow_count = o->allow.count};
    config.memory_mib = is_ping(plan) ? PING_MEMORY_MIB : transport_memory_mib(plan);
    return eal_start(&config);
}

static int run(const struct bench_plan *plan)
{
    if (plan->options.ping_serve) return ping_serve(plan);
    if (plan->options.ping) return ping_run(plan);
    return run_load(plan);
}

/* Blocked in every thread: the main thread looks at them when it can end things in order. */
static void signals_block(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    struct bench_plan plan;
    if (asked_for(argc, argv, "--help")) {
        options_help(bench_option_rows, bench_option_row_count, "kvbench [--server ADDRESS:PORT] [options]", stdout);
        return 0;
    }
    if (asked_for(argc, argv, "--version")) {
        puts("kvbench " POLAR_VERSION);
        return 0;
    }
    if (bench_plan_parse(&plan, argc, argv, stderr) != 0) return 2;
    if (vdevs_check(&plan) != 0) {
        bench_plan_free(&plan);
        return 2;
    }
    signals_block();
    clock_tsc_hz(); /* measured before threads ask */
    int rc = report_file_check(&plan);
    if (rc == 0) rc = environment_start(&plan, argv[0]);
    if (rc == 0) {
        rc = run(&plan);
        eal_stop();
    }
    bench_plan_free(&plan);
    return rc == 0 ? 0 : 1;
}
