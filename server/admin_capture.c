/* The admin service's capture: rings are made and read here, and swapped on the cores. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <rte_cycles.h>
#include "server/admin_impl.h"
#include "server/inquiry.h"

/* inquiry_fn: the core writes into *arg from now on (NULL: nowhere); what it had comes back there. */
static void swap(struct core *core, void *arg)
{
    struct capture **ring = arg, *had = core->net->capture;
    core->net->capture = *ring;
    *ring = had;
}

static void rings_free(struct admin *admin)
{
    for (unsigned i = 0; i < CONFIG_CORES_MAX; i++) capture_destroy(&admin->rings[i]);
}

/* An empty ring for each core with a port. False: no memory; there are none. */
static bool rings_create(struct admin *admin)
{
    const struct config *config = admin->server->config;
    for (unsigned i = 0; i < config->core_count; i++) {
        if (!admin->server->cores[i].net) continue;
        if (capture_create(&admin->rings[i], (uint32_t)config->capture_frames, (uint32_t)config->capture_snap) == 0)
            continue;
        rings_free(admin);
        return false;
    }
    return true;
}

static void rings_swap(struct admin *admin)
{
    for (unsigned i = 0; i < admin->server->config->core_count; i++)
        if (admin->server->cores[i].net) inquiry_ask(&admin->server->cores[i], swap, &admin->rings[i]);
}

static void start(struct admin *admin, FILE *out)
{
    if (!admin->server->port) {
        fprintf(out, "error: there is no port: its frames are what is captured\n");
        return;
    }
    if (admin->capturing) {
        fprintf(out, "error: it runs already\n");
        return;
    }
    rings_free(admin);
    if (!rings_create(admin)) {
        fprintf(out, "error: no memory for %llu frames a core: capture-frames\n",
                (unsigned long long)admin->server->config->capture_frames);
        return;
    }
    rings_swap(admin);
    admin->capturing = true;
    fprintf(out, "capturing the last %llu frames of each core, %llu bytes of each\n",
            (unsigned long long)admin->server->config->capture_frames,
            (unsigned long long)admin->server->config->capture_snap);
}

static void stop(struct admin *admin, FILE *out)
{
    if (!admin->capturing) {
        fprintf(out, "error: it does not run\n");
        return;
    }
    rings_swap(admin);
    admin->capturing = false;
    fprintf(out, "stopped; what there is can be written\n");
}

void admin_capture_end(struct admin *admin)
{
    if (admin->capturing) rings_swap(admin);
    rings_free(admin);
}

static struct capture_time time_now(uint64_t tsc_hz)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (struct capture_time){
        .tsc = rte_rdtsc(), .unix_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, .tsc_hz = tsc_hz};
}

/* A file that is not yet there: no link is followed, nothing is overwritten. */
static FILE *file_create(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static void rings_write(struct admin *admin, const char *path, FILE *out)
{
    uint64_t frames = 0, lost = 0;
    const struct capture_time time = time_now(admin->server->tsc_hz);
    FILE *file = file_create(path);
    int rc = file ? capture_write(file, admin->rings, admin->server->config->core_count, &time) : -errno;
    if (file && fclose(file) != 0 && rc == 0) rc = -errno;
    for (unsigned i = 0; i < CONFIG_CORES_MAX; i++) {
        if (!admin->rings[i]) continue;
        frames += capture_count(admin->rings[i]);
        lost += capture_lost(admin->rings[i]);
    }
    if (rc != 0)
        fprintf(out, "error: %s: %s\n", path, strerror(-rc));
    else
        fprintf(out, "%llu frames written to %s (%llu older ones had been overwritten)\n", (unsigned long long)frames,
                path, (unsigned long long)lost);
}

/* While it runs, the cores get fresh rings and the full ones are written at leisure; the next file begins where this
 * ends. */
static void write_file(struct admin *admin, const char *path, FILE *out)
{
    if (path[0] != '/') {
        fprintf(out, "error: %s: takes a path from the root\n", path);
        return;
    }
    if (admin->capturing) {
        if (!rings_create(admin)) {
            fprintf(out, "error: no memory for a second set of rings: stop it first\n");
            return;
        }
        rings_swap(admin);
    }
    rings_write(admin, path, out);
    if (admin->capturing) rings_free(admin);
}

void admin_capture(struct admin *admin, char **words, unsigned count, FILE *out)
{
    if (count == 2 && strcmp(words[1], "start") == 0)
        start(admin, out);
    else if (count == 2 && strcmp(words[1], "stop") == 0)
        stop(admin, out);
    else if (count == 3 && strcmp(words[1], "write") == 0)
        write_file(admin, words[2], out);
    else
        fprintf(out, "error: capture takes start, stop or write FILE\n");
}
