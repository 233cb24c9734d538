/*
 * DPDK's environment. Always there: where no device is given it runs with --no-huge --no-shconf --no-pci --no-telemetry
 * and needs no root. Reactor threads register themselves with rte_thread_register, so mempool caches work.
 */
#ifndef POLAR_BASE_EAL_H
#define POLAR_BASE_EAL_H

#include <stdbool.h>
#include <stdint.h>

struct eal_config {
    const char *program;       /* argv[0] */
    uint32_t memory_mib;       /* memory for buffers, MiB */
    bool huge_pages;           /* false: --no-huge */
    bool pci;                  /* false: --no-pci */
    const char *const *vdevs;  /* --vdev arguments */
    unsigned vdev_count;
    const char *const *allow;  /* -a arguments (PCI addresses) */
    unsigned allow_count;
};

/* 0 or -errno; on failure one log line says why and what to do. Once a process; control thread. */
int eal_start(const struct eal_config *config);
void eal_stop(void);
/* On: what DPDK complains of is not logged but at level debug; the first such line since the start is eal_said(), "" for
 * none. eal_start does so by itself. Control thread. */
void eal_quiet(bool on);
const char *eal_said(void);

#endif
