#include "tests/rdma/fake_impl.h"

#include <stdlib.h>

uint32_t fake_mr_add(struct fake_device *d, void *base, size_t bytes, int access)
{
    struct fake_mr *mr = fake_zalloc(sizeof *mr);
    *mr = (struct fake_mr){.key = d->fake->next_key += KEY_STEP,
                           .base = (uintptr_t)base,
                           .bytes = bytes,
                           .access = access,
                           .next = d->regions};
    d->regions = mr;
    return mr->key;
}

void fake_mr_remove(struct fake_device *d, uint32_t key)
{
    for (struct fake_mr **at = &d->regions; *at; at = &(*at)->next) {
        struct fake_mr *mr = *at;
        if (mr->key != key) continue;
        for (const struct fake_window *w = d->windows; w; w = w->next)
            if (w->owner && w->region == key) fake_broken("a region is removed that a window is bound to");
        *at = mr->next;
        free(mr);
        return;
    }
    fake_broken("a region that does not exist is removed");
}

static bool within(uint64_t address, uint64_t bytes, uint64_t base, uint64_t size)
{
    return address >= base && bytes <= size && address - base <= size - bytes;
}

static const struct fake_mr *region_of(const struct fake_device *d, uint32_t key)
{
    const struct fake_mr *mr = d->regions;
    while (mr && mr->key != key) mr = mr->next;
    return mr;
}

bool fake_reachable(const struct fake_device *d, uint64_t address, uint64_t bytes, uint32_t key, int access)
{
    const struct fake_mr *mr = region_of(d, key);
    return mr && (mr->access & access) == access && within(address, bytes, mr->base, mr->bytes);
}

/* Windows */

static struct ibv_mw *alloc_mw(struct ibv_pd *pd, enum ibv_mw_type type)
{
    struct fake_device *d = fake_device_of(pd->context);
    struct fake_window *w = fake_zalloc(sizeof *w);
    if (type != IBV_MW_TYPE_2) fake_broken("a window of type 1");
    w->mw = (struct ibv_mw){.context = pd->context, .pd = pd, .type = type, .rkey = d->fake->next_key += KEY_STEP};
    w->next = d->windows;
    d->windows = w;
    return &w->mw;
}

static int dealloc_mw(struct ibv_mw *mw)
{
    struct fake_window **at = &fake_device_of(mw->context)->windows;
    while (*at && &(*at)->mw != mw) at = &(*at)->next;
    if (!*at) fake_broken("a window that does not exist is deallocated");
    struct fake_window *w = *at;
    *at = w->next;
    free(w);
    return 0;
}

struct ibv_pd *fake_pd(struct fake_device *d)
{
    return &d->pd;
}

uint32_t fake_windows(const struct fake *f)
{
    uint32_t count = 0;
    for (const struct fake_device *d = f->devices; d; d = d->next)
        for (const struct fake_window *w = d->windows; w; w = w->next) count++;
    return count;
}

bool fake_window_bound(const struct ibv_mw *mw, uint64_t *address, uint64_t *bytes, uint32_t *key)
{
    const struct fake_window *w = (const struct fake_window *)mw;
    *address = w->address;
    *bytes = w->bytes;
    *key = w->key;
    return w->owner != NULL;
}

/* As verbs have it for type 2: the window is free, all that it covers lies in one region, which may be bound to, and
 * whose rights let us give these; of the new key only the last byte is ours to choose. */
enum ibv_wc_status fake_carry_bind(struct fake_qp *q, const struct fake_request *r)
{
    int access = IBV_ACCESS_MW_BIND | (r->bind.mw_access_flags & IBV_ACCESS_REMOTE_WRITE ? IBV_ACCESS_LOCAL_WRITE : 0);
    struct fake_window *w = q->device->windows;
    while (w && w->mw.rkey != r->window) w = w->next;
    if (!w || w->owner || r->bind.length == 0 || (w->mw.rkey ^ r->rkey) >= 0x100) return IBV_WC_MW_BIND_ERR;
    if (!fake_reachable(q->device, r->bind.addr, r->bind.length, r->region, access)) return IBV_WC_MW_BIND_ERR;
    w->owner = q;
    w->key = r->rkey;
    w->region = r->region;
    w->address = r->bind.addr;
    w->bytes = r->bind.length;
    w->access = r->bind.mw_access_flags;
    return IBV_WC_SUCCESS;
}

bool fake_remote_fine(const struct fake_qp *to, const struct fake_request *r, unsigned access)
{
    for (const struct fake_window *w = to->device->windows; w; w = w->next)
        if (w->owner && w->key == r->rkey)
            return w->owner == to && (w->access & access) == access &&
                   within(r->remote_addr, r->bytes, w->address, w->bytes);
    return fake_reachable(to->device, r->remote_addr, r->bytes, r->rkey, (int)access);
}

void fake_memory_ops(struct fake_device *d)
{
    d->context.ops.alloc_mw = alloc_mw;
    d->context.ops.dealloc_mw = dealloc_mw;
    d->pd.context = &d->context;
}

void fake_windows_check_qp(const struct fake_qp *q)
{
    for (const struct fake_window *w = q->device->windows; w; w = w->next)
        if (w->owner == q) fake_broken("a pair is destroyed that a window is bound to");
}
