#include "net/region.h"

#include <sys/mman.h>

void *net_region_map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE); /* fewer TLB misses where the kernel grants it; nothing is lost where not */
    return p;
}

void net_region_unmap(void *base, size_t bytes)
{
    if (base) munmap(base, bytes);
}
