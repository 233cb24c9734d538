/* Parts of rte_interrupts.h are still marked experimental in 22.11. */
#define ALLOW_EXPERIMENTAL_API
#include "net/port_gate.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <rte_interrupts.h>

#define ANY_ARG ((void *)(uintptr_t)-1) /* as DPDK has it */

/* A call-back of somebody else's. DPDK is given gated_call and this in its place. */
struct handler {
    struct handler *next;
    rte_intr_callback_fn call;
    void *arg;
    int fd;
    rte_intr_unregister_callback_fn gone;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static struct port_gate *gates;
static struct handler *handlers;
static unsigned shut_count;

static int membarrier(int command) { return (int)syscall(__NR_membarrier, command, 0, 0); }

void port_gate_add(struct port_gate *gate, struct port_gate_side *sides, size_t stride, uint16_t count)
{
    gate->sides = sides;
    gate->stride = stride;
    gate->side_count = count;
    gate->fenced = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0;
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&gate->shut, shut_count > 0, memory_order_relaxed);
    gate->next = gates;
    gates = gate;
    pthread_mutex_unlock(&lock);
}

void port_gate_remove(struct port_gate *gate)
{
    pthread_mutex_lock(&lock);
    struct port_gate **at = &gates;
    while (*at && *at != gate) at = &(*at)->next;
    if (*at) *at = gate->next;
    pthread_mutex_unlock(&lock);
}

static void wait_until_empty(const struct port_gate *gate)
{
    for (uint16_t i = 0; i < gate->side_count; i++) {
        struct port_gate_side *side = (struct port_gate_side *)(void *)((char *)gate->sides + i * gate->stride);
        while (atomic_load_explicit(&side->inside, memory_order_acquire)) sched_yield();
    }
}

void port_gate_shut_all(void)
{
    pthread_mutex_lock(&lock);
    if (shut_count++ == 0 && gates) {
        for (struct port_gate *g = gates; g; g = g->next) atomic_store_explicit(&g->shut, 1, memory_order_relaxed);
        rte_smp_mb();
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED); /* whoever came in before is seen, whoever comes now sees */
        for (struct port_gate *g = gates; g; g = g->next) wait_until_empty(g);
    }
    pthread_mutex_unlock(&lock);
}

void port_gate_open_all(void)
{
    pthread_mutex_lock(&lock);
    if (--shut_count == 0)
        for (struct port_gate *g = gates; g; g = g->next) atomic_store_explicit(&g->shut, 0, memory_order_release);
    pthread_mutex_unlock(&lock);
}

static void gated_call(void *arg)
{
    const struct handler *h = arg;
    port_gate_shut_all();
    h->call(h->arg);
    port_gate_open_all();
}

static void handler_free(struct handler *h)
{
    pthread_mutex_lock(&lock);
    struct handler **at = &handlers;
    while (*at && *at != h) at = &(*at)->next;
    if (*at) *at = h->next;
    pthread_mutex_unlock(&lock);
    free(h);
}

static struct handler *handler_find(const struct rte_intr_handle *handle, rte_intr_callback_fn call, const void *arg)
{
    int fd = rte_intr_fd_get(handle);
    pthread_mutex_lock(&lock);
    struct handler *h = handlers;
    while (h && !(h->call == call && h->fd == fd && (arg == ANY_ARG || h->arg == arg))) h = h->next;
    pthread_mutex_unlock(&lock);
    return h;
}

static void gated_gone(struct rte_intr_handle *handle, void *arg)
{
    struct handler *h = arg;
    if (h->gone) h->gone(handle, h->arg);
    handler_free(h);
}

/* DPDK's own function behind the one of that name here. */
#define REAL(function) ((typeof(&function))real(#function))

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort(); /* linked without DPDK's shared libraries: there is nothing to go on with */
    return function;
}

int rte_intr_callback_register(const struct rte_intr_handle *handle, rte_intr_callback_fn call, void *arg)
{
    if (!handle || !call) return -EINVAL;
    struct handler *h = calloc(1, sizeof *h);
    if (!h) return -ENOMEM;
    *h = (struct handler){.call = call, .arg = arg, .fd = rte_intr_fd_get(handle)};
    pthread_mutex_lock(&lock);
    h->next = handlers;
    handlers = h;
    pthread_mutex_unlock(&lock);
    int rc = REAL(rte_intr_callback_register)(handle, gated_call, h);
    if (rc < 0) handler_free(h);
    return rc;
}

int rte_intr_callback_unregister(const struct rte_intr_handle *handle, rte_intr_callback_fn call, void *arg)
{
    int removed = 0;
    if (!handle || rte_intr_fd_get(handle) < 0) return -EINVAL;
    for (struct handler *h; (h = handler_find(handle, call, arg)) != NULL;) {
        int rc = REAL(rte_intr_callback_unregister)(handle, gated_call, h);
        if (rc == -EAGAIN) return rc; /* running */
        handler_free(h);
        if (rc > 0) removed += rc;
    }
    return removed ? removed : -ENOENT;
}

int rte_intr_callback_unregister_sync(const struct rte_intr_handle *handle, rte_intr_callback_fn call, void *arg)
{
    int rc;
    while ((rc = rte_intr_callback_unregister(handle, call, arg)) == -EAGAIN) sched_yield();
    return rc;
}

int rte_intr_callback_unregister_pending(const struct rte_intr_handle *handle, rte_intr_callback_fn call, void *arg,
                                         rte_intr_unregister_callback_fn gone)
{
    struct handler *h = handle ? handler_find(handle, call, arg) : NULL;
    if (!h) return handle ? -ENOENT : -EINVAL;
    h->gone = gone;
    return REAL(rte_intr_callback_unregister_pending)(handle, gated_call, h, gated_gone);
}
