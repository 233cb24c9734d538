/* Memory that is sent from without a copy. The table is written under a lock and read without one. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "net/polar/polar_impl.h"

#define REGIONS_MOST 64u

struct polar_region {
    _Atomic(uint8_t *) base; /* NULL: free */
    size_t len;
    atomic_uint users;       /* sends under way */
};

static struct polar_region regions[REGIONS_MOST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct polar_region *region_at(void *base)
{
    for (unsigned i = 0; i < REGIONS_MOST; i++)
        if (atomic_load(&regions[i].base) == (uint8_t *)base) return &regions[i];
    return NULL;
}

static bool overlaps(const uint8_t *base, size_t len)
{
    for (unsigned i = 0; i < REGIONS_MOST; i++) {
        const uint8_t *other = atomic_load(&regions[i].base);
        if (other && base < other + regions[i].len && other < base + len) return true;
    }
    return false;
}

static int region_add(void *base, size_t len)
{
    struct polar_region *r = region_at(NULL);
    if (overlaps(base, len)) return -EEXIST;
    if (!r) return -ENOSPC;
    int rc = process_map(base, len);
    if (rc != 0) return rc;
    r->len = len;
    atomic_store(&r->users, 0);
    atomic_store(&r->base, (uint8_t *)base);
    return 0;
}

int polar_mem_register(void *base, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!base || len == 0 || (uintptr_t)base % page || len % page) return fail_with(EINVAL);
    pthread_mutex_lock(&lock);
    int rc = region_add(base, len);
    pthread_mutex_unlock(&lock);
    return result(rc);
}

int polar_mem_unregister(void *base)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    struct polar_region *r = base ? region_at(base) : NULL;
    if (!r) rc = -EINVAL;
    else if (atomic_load(&r->users)) rc = -EBUSY;
    if (rc == 0) {
        atomic_store(&r->base, NULL);
        process_unmap(base, r->len);
    }
    pthread_mutex_unlock(&lock);
    return result(rc);
}

struct polar_region *region_find(const void *data, size_t len)
{
    for (unsigned i = 0; i < REGIONS_MOST; i++) {
        struct polar_region *r = &regions[i];
        const uint8_t *base = atomic_load_explicit(&r->base, memory_order_acquire), *p = data;
        if (!base || p < base || len > r->len || (size_t)(p - base) > r->len - len) continue;
        atomic_fetch_add(&r->users, 1);
        return r;
    }
    return NULL;
}

void region_put(struct polar_region *region) { atomic_fetch_sub(&region->users, 1); }
