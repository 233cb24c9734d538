#include "base/eal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include "base/log.h"

#define EAL_ARGS_MAX 96
#define LINE_MAX_BYTES 256

struct eal_args {
    int count;
    bool overflow;
    char *items[EAL_ARGS_MAX];
};

/* DPDK's own lines, on their way into our log. */
static struct {
    bool quiet;
    char first[LINE_MAX_BYTES]; /* while quiet: later lines are its consequences */
} dpdk_log;

static void arg_add(struct eal_args *args, const char *text)
{
    if (args->count < EAL_ARGS_MAX - 1) args->items[args->count++] = (char *)(uintptr_t)text;
    else args->overflow = true;
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

/* vhost hands our memory to its peer by file descriptors, of which its protocol carries eight. */
static bool shares_memory(const struct eal_config *config)
{
    for (unsigned i = 0; i < config->vdev_count; i++)
        if (strncmp(config->vdevs[i], "net_virtio_user", 15) == 0 || strncmp(config->vdevs[i], "net_vhost", 9) == 0)
            return true;
    return false;
}

/* cookie_write_function_t. DPDK writes a line at a time. */
static ssize_t dpdk_line(void *cookie, const char *text, size_t len)
{
    (void)cookie;
    int show = (int)len;
    while (show > 0 && text[show - 1] == '\n') show--;
    if (show == 0) return (ssize_t)len;
    if (!dpdk_log.quiet) log_warn("DPDK: %.*s", show, text);
    else log_debug("DPDK: %.*s", show, text);
    if (dpdk_log.quiet && dpdk_log.first[0] == '\0') snprintf(dpdk_log.first, LINE_MAX_BYTES, "%.*s", show, text);
    return (ssize_t)len;
}

static void dpdk_log_open(void)
{
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = dpdk_line});
    if (!stream) return; /* DPDK then writes to standard error itself */
    setvbuf(stream, NULL, _IOLBF, 0);
    rte_openlog_stream(stream);
}

static void args_fill(struct eal_args *args, const struct eal_config *config)
{
    arg_add(args, "--no-telemetry");
    /* Of a driver's levels the first given counts. TAP calls it an error that there are no secondary processes. */
    arg_add(args, "--log-level=pmd.net.tap:critical");
    arg_add(args, "--log-level=*:error");
    arg_add(args, config->huge_pages ? "--in-memory" : "--no-shconf"); /* no files in either case */
    if (!config->huge_pages) arg_add(args, "--no-huge");
    if (!config->pci) {
        arg_add(args, "--no-pci");
        arg_add(args, "--iova-mode=va");
    }
    if (config->huge_pages && shares_memory(config)) arg_add(args, "--single-file-segments");
    for (unsigned i = 0; i < config->vdev_count; i++) {
        arg_add(args, "--vdev");
        arg_add(args, config->vdevs[i]);
    }
    for (unsigned i = 0; i < config->allow_count; i++) {
        arg_add(args, "-a");
        arg_add(args, config->allow[i]);
    }
}

void eal_quiet(bool on) { dpdk_log.quiet = on; }
const char *eal_said(void) { return dpdk_log.first; }

/* 0 or rte_errno. What ends a start DPDK writes to standard error too, beside its log. */
static int initialise(struct eal_args *args)
{
    FILE *kept = stderr, *nowhere = log_get_level() < LOG_LEVEL_DEBUG ? fopen("/dev/null", "we") : NULL;
    if (nowhere) stderr = nowhere;
    int err = rte_eal_init(args->count, args->items) >= 0 ? 0 : rte_errno ? rte_errno : EIO;
    stderr = kept;
    if (nowhere) fclose(nowhere);
    return err;
}

static void vdevs_text(const struct eal_config *config, char *text, size_t cap)
{
    size_t at = (size_t)snprintf(text, cap, "%s", config->vdev_count ? "" : "no device");
    for (unsigned i = 0; i < config->vdev_count && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%s", i ? " " : "", config->vdevs[i]);
}

int eal_start(const struct eal_config *config)
{
    char memory[16], lcores[1024], devices[LINE_MAX_BYTES];
    struct eal_args args = {0};
    snprintf(memory, sizeof memory, "%u", config->memory_mib);
    arg_add(&args, config->program);
    arg_add(&args, "-m");
    arg_add(&args, memory);
    lcores_text(lcores, sizeof lcores);
    arg_add(&args, lcores);
    args_fill(&args, config);
    if (args.overflow) {
        log_error("DPDK does not start: %u devices are more than its command line takes",
                  config->vdev_count + config->allow_count);
        return -E2BIG;
    }
    dpdk_log_open();
    eal_quiet(true);
    int err = initialise(&args);
    eal_quiet(false);
    if (err == 0) return 0;
    vdevs_text(config, devices, sizeof devices);
    log_error("DPDK does not start: %s: memory %u MiB (option 'buffer-memory'), huge pages %s (option 'huge-pages'), %s "
              "(option 'vdev'): %s",
              rte_strerror(err), config->memory_mib, config->huge_pages ? "on" : "off", devices, dpdk_log.first);
    return -err;
}

void eal_stop(void) { rte_eal_cleanup(); }
