#include "server/probe.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include "base/log.h"
#include "server/config.h"

/* Memory is touched at the start: what is not there would be found by the kernel's killer, not by an error. */
static int probe_memory(const struct config *config)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0) return 0;
    uint64_t has = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    if (config->memory_limit <= has && config->buffer_memory <= has - config->memory_limit) return 0;
    log_error("options 'memory-limit' and 'buffer-memory' got %llu and %llu MiB, take together at most the memory of "
              "this machine, %llu MiB",
              (unsigned long long)config->memory_limit >> 20, (unsigned long long)config->buffer_memory >> 20,
              (unsigned long long)has >> 20);
    return -ENOMEM;
}

/* Snapshots are written beside their file, then renamed. */
static int probe_snapshot(const struct config *config)
{
    const char *path = config->snapshot_file, *slash = strrchr(path, '/');
    char folder[PATH_MAX] = ".";
    struct stat st;
    if (!*path) return 0;
    if (slash) snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int rc = access(folder, W_OK | X_OK) == 0 ? 0 : -errno;
    if (rc == 0 && stat(path, &st) == 0 && !S_ISREG(st.st_mode)) rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (rc != 0)
        log_error("option 'snapshot-file': got %s, takes a file in a folder that can be written: %s", path,
                  strerror(-rc));
    return rc;
}

int server_probe(const struct config *config)
{
    int rc = probe_memory(config);
    return rc ? rc : probe_snapshot(config);
}
