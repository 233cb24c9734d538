#include "store/region.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES (2u << 20)

size_t region_page_bytes(bool huge_pages)
{
    return huge_pages ? HUGE_PAGE_BYTES : (size_t)sysconf(_SC_PAGESIZE);
}

/* Ordinary pages: more is mapped and the edges given back, so that the kernel may use transparent huge pages. */
static uint8_t *map_aligned(size_t bytes)
{
    size_t wide = bytes + HUGE_PAGE_BYTES;
    uint8_t *p = mmap(NULL, wide, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (HUGE_PAGE_BYTES - (uintptr_t)p % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    if (before) munmap(p, before);
    if (wide - before > bytes) munmap(p + before + bytes, wide - before - bytes);
    madvise(p + before, bytes, MADV_HUGEPAGE);
    return p + before;
}

static uint8_t *map_huge(size_t bytes)
{
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int region_map(uint8_t **base, size_t bytes, bool huge_pages)
{
    uint8_t *p = huge_pages ? map_huge(bytes) : map_aligned(bytes);
    if (!p) return -ENOMEM;
    size_t step = region_page_bytes(huge_pages);
    for (size_t i = 0; i < bytes; i += step) ((volatile uint8_t *)p)[i] = 0;
    *base = p;
    return 0;
}

void region_unmap(uint8_t *base, size_t bytes)
{
    munmap(base, bytes);
}
