#include "base/eal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include "base/log.h"

#define EAL_ARGS_MAX 64

struct eal_args {
    int count;
    char *items[EAL_ARGS_MAX];
};

static void arg_add(struct eal_args *args, const char *text)
{
    if (args->count < EAL_ARGS_MAX - 1) args->items[args->count++] = (char *)(uintptr_t)text;
}

/* The control thread is the only lcore, floating over what we may use; reactors register themselves and pin. */
static void lcores_text(char *text, size_t cap)
{
    cpu_set_t cpus;
    int at = snprintf(text, cap, "--lcores=0@(");
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    for (int cpu = 0, first = 1; cpu < CPU_SETSIZE && (size_t)at + 8 < cap; cpu++) {
        if (!CPU_ISSET(cpu, &cpus)) continue;
        at += snprintf(text + at, cap - (size_t)at, first ? "%d" : ",%d", cpu);
        first = 0;
    }
    snprintf(text + at, cap - (size_t)at, ")");
}

int eal_start(const struct eal_config *config)
{
    char memory[16], lcores[1024];
    struct eal_args args = {0};
    snprintf(memory, sizeof memory, "%u", config->memory_mib);
    arg_add(&args, config->program);
    arg_add(&args, "-m");
    arg_add(&args, memory);
    arg_add(&args, config->huge_pages ? "--in-memory" : "--no-shconf"); /* no files in either case */
    arg_add(&args, "--no-telemetry");
    arg_add(&args, "--iova-mode=va");
    arg_add(&args, "--log-level=lib.*:error");
    arg_add(&args, "--log-level=pmd.*:error");
    lcores_text(lcores, sizeof lcores);
    arg_add(&args, lcores);
    if (!config->huge_pages) arg_add(&args, "--no-huge");
    if (!config->pci) arg_add(&args, "--no-pci");
    for (unsigned i = 0; i < config->vdev_count; i++) {
        arg_add(&args, "--vdev");
        arg_add(&args, config->vdevs[i]);
    }
    for (unsigned i = 0; i < config->allow_count; i++) {
        arg_add(&args, "-a");
        arg_add(&args, config->allow[i]);
    }
    if (rte_eal_init(args.count, args.items) >= 0) return 0;
    int err = rte_errno;
    log_error("DPDK does not start (%s): memory %u MiB, huge pages %s, %u devices", rte_strerror(err),
              config->memory_mib, config->huge_pages ? "on" : "off", config->vdev_count);
    return err ? -err : -EIO;
}

void eal_stop(void) { rte_eal_cleanup(); }
