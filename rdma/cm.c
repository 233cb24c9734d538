#include "rdma/cm.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

#define LIBRARY "librdmacm.so.1"
#define KERNEL_MANAGER "/dev/infiniband/rdma_cm"

static const struct {
    const char *symbol;
    size_t offset;
} calls[] = {
#define RDMA_CM_CALL(name) {"rdma_" #name, offsetof(struct rdma_cm, name)},
#include "rdma/cm.def"
#undef RDMA_CM_CALL
};

/* The library is the process' own, as are the devices that it has open: so is this. */
static struct {
    pthread_mutex_t lock;
    unsigned users;
    void *library;
    struct rdma_cm cm;
    struct ibv_context **held; /* of the last look; librdmacm does not close what is in it */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int manager_exists(char *text, size_t cap)
{
    if (access(KERNEL_MANAGER, R_OK | W_OK) == 0) return 0;
    int rc = -errno;
    if (rc == -ENOENT)
        snprintf(text, cap, "no RDMA connection manager (" KERNEL_MANAGER "): modprobe rdma_ucm");
    else
        snprintf(text, cap, KERNEL_MANAGER ": %s: this user must be able to read and write it", strerror(-rc));
    return rc;
}

static int load(char *text, size_t cap)
{
    int rc = manager_exists(text, cap);
    if (rc != 0) return rc;
    shared.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!shared.library) {
        snprintf(text, cap, "cannot load RDMA's connection manager: %s: install Debian's package librdmacm1",
                 dlerror());
        return -ENOENT;
    }
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(shared.library, calls[i].symbol);
        memcpy((char *)&shared.cm + calls[i].offset, &call, sizeof call);
        if (call) continue;
        snprintf(text, cap, LIBRARY " is too old: it has no %s", calls[i].symbol);
        dlclose(shared.library);
        return -ENOSYS;
    }
    return 0;
}

/* Whether it is gone, and all that it knew with it; not, where something else has it loaded too. */
static bool unload(void)
{
    dlclose(shared.library);
    shared.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!shared.library) return true;
    dlclose(shared.library);
    shared.library = NULL;
    log_warn("RDMA: " LIBRARY " stays loaded: a device that went is not let go of");
    return false;
}

/* What librdmacm had open, which nobody else knows any more. */
static void held_close(void)
{
    for (unsigned i = 0; shared.held[i]; i++) ibv_close_device(shared.held[i]);
    free(shared.held);
}

/* libibverbs has a device at one place for as long as it is there. */
static bool listed(struct ibv_device *const *list, int count, const struct ibv_context *verbs)
{
    for (int i = 0; i < count; i++)
        if (list[i] == verbs->device) return true;
    return false;
}

unsigned rdma_cm_each_lost(void (*lost)(void *arg, struct ibv_context *verbs), void *arg)
{
    int count = 0;
    unsigned found = 0;
    pthread_mutex_lock(&shared.lock);
    struct ibv_device **list = ibv_get_device_list(&count);
    for (unsigned i = 0; list && shared.held && shared.held[i]; i++) {
        if (listed(list, count, shared.held[i])) continue;
        lost(arg, shared.held[i]);
        found++;
    }
    if (list) ibv_free_device_list(list);
    pthread_mutex_unlock(&shared.lock);
    return found;
}

int rdma_cm_get(const struct rdma_cm **out, char *text, size_t cap)
{
    pthread_mutex_lock(&shared.lock);
    int rc = shared.users ? 0 : load(text, cap);
    if (rc == 0) {
        shared.users++;
        *out = &shared.cm;
    }
    pthread_mutex_unlock(&shared.lock);
    return rc;
}

/* Where no device is left what was held stays so. */
static void look(void)
{
    struct ibv_context **now = shared.cm.get_devices(NULL);
    if (now && shared.held) shared.cm.free_devices(shared.held);
    if (now) shared.held = now;
}

void rdma_cm_look(void)
{
    pthread_mutex_lock(&shared.lock);
    look();
    pthread_mutex_unlock(&shared.lock);
}

void rdma_cm_put(const struct rdma_cm **cm)
{
    if (!*cm) return;
    *cm = NULL;
    pthread_mutex_lock(&shared.lock);
    if (--shared.users == 0) {
        look(); /* it may have opened some since the last one */
        if (unload() && shared.held) held_close();
        shared.held = NULL;
    }
    pthread_mutex_unlock(&shared.lock);
}
