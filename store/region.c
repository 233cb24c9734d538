#include "store/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define TOUCH_BYTES ((size_t)32 << 20) /* between two counts */

#define REGION_STEP ((size_t)64 << 10) /* a region is a multiple of it */

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Aligned, so that the kernel may use transparent huge pages: room for more is taken and the edges given back. */
static uint8_t *map_aligned(size_t bytes, int fd)
{
    int kind = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    size_t wide = bytes + HUGE_PAGE_BYTES;
    uint8_t *room = mmap(NULL, wide, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return NULL;
    size_t before = (HUGE_PAGE_BYTES - (uintptr_t)room % HUGE_PAGE_BYTES) % HUGE_PAGE_BYTES;
    uint8_t *p = mmap(room + before, bytes, PROT_READ | PROT_WRITE, kind | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) {
        munmap(room, wide);
        return NULL;
    }
    if (before) munmap(room, before);
    if (wide - before > bytes) munmap(p + bytes, wide - before - bytes);
    madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

/* The mapping reserves its pages: it fails at once where there are too few. */
static uint8_t *map_huge(size_t bytes)
{
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* A page that cannot be had is an error here, where a touch of it would be a signal. */
static int touch(uint8_t *p, size_t bytes, size_t page_bytes)
{
    if (madvise(p, bytes, MADV_POPULATE_WRITE) == 0) return 0;
    if (errno != EINVAL) return -ENOMEM;
    for (size_t i = 0; i < bytes; i += page_bytes) ((volatile uint8_t *)p)[i] = 0;
    return 0;
}

static int touch_all(const struct region *r, uint64_t *touched)
{
    for (size_t at = 0; at < r->bytes;) {
        size_t n = r->bytes - at < TOUCH_BYTES ? r->bytes - at : TOUCH_BYTES;
        int rc = touch(r->base + at, n, r->page_bytes);
        if (rc != 0) return rc;
        if (touched) __atomic_fetch_add(touched, n, __ATOMIC_RELAXED);
        at += n;
    }
    return 0;
}

static int map_touched(struct region *r, uint64_t *touched)
{
    if (!r->base) return -ENOMEM;
    int rc = touch_all(r, touched);
    if (rc != 0) region_unmap(r);
    return rc;
}

int region_map(struct region *r, size_t bytes, enum store_huge huge, uint64_t *touched)
{
    *r = (struct region){.bytes = bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES, .page_bytes = HUGE_PAGE_BYTES, .fd = -1};
    int rc = -ENOMEM;
    if (huge == STORE_HUGE_YES && r->bytes == 0) return -EINVAL;
    if (huge != STORE_HUGE_NO && r->bytes > 0) {
        r->base = map_huge(r->bytes);
        rc = map_touched(r, touched);
    }
    if (rc == 0 || huge == STORE_HUGE_YES) return rc;
    *r = (struct region){.bytes = bytes, .page_bytes = (size_t)sysconf(_SC_PAGESIZE), .fd = -1};
    if (bytes == 0) return -EINVAL;
    r->base = map_aligned(bytes, -1);
    return map_touched(r, touched);
}

/* The size of its pages; 0: a file system that would write the region to a device. */
static size_t file_page_bytes(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) return 0;
    if (fs.f_type == HUGETLBFS_MAGIC) return (size_t)fs.f_bsize;
    return fs.f_type == TMPFS_MAGIC ? (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* One server at a time, and no file that somebody else has put there. */
static int file_open(struct region *r, const char *path, struct stat *st)
{
    r->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (r->fd < 0) return -errno;
    if (fstat(r->fd, st) != 0) return -errno;
    if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_mode & (S_IWGRP | S_IWOTH)) return -EPERM;
    r->page_bytes = file_page_bytes(r->fd);
    if (r->page_bytes == 0) return -EMEDIUMTYPE;
    if (flock(r->fd, LOCK_EX | LOCK_NB) == 0) return 0;
    return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int file_map(struct region *r, size_t bytes, bool *there, const struct stat *st)
{
    size_t step = r->page_bytes < REGION_STEP ? REGION_STEP : r->page_bytes;
    r->bytes = bytes / step * step;
    if (r->bytes == 0) return -EINVAL;
    *there = (uint64_t)st->st_size == r->bytes;
    if (!*there && ftruncate(r->fd, (off_t)r->bytes) != 0) return -errno;
    r->base = map_aligned(r->bytes, r->fd);
    return r->base ? 0 : -ENOMEM;
}

int region_open(struct region *r, const char *path, size_t bytes, bool *there)
{
    struct stat st;
    *r = (struct region){.fd = -1};
    int rc = file_open(r, path, &st);
    if (rc == 0) rc = file_map(r, bytes, there, &st);
    if (rc == 0 || r->fd < 0) return rc;
    if (rc == -EMEDIUMTYPE && st.st_size == 0) unlink(path); /* made for nothing */
    close(r->fd);
    return rc;
}

int region_renew(struct region *r, uint64_t *touched)
{
    if (ftruncate(r->fd, 0) != 0 || ftruncate(r->fd, (off_t)r->bytes) != 0) return -errno;
    return touch_all(r, touched);
}

size_t region_map_ahead(const struct region *r, size_t at)
{
    size_t n = r->bytes - at < TOUCH_BYTES ? r->bytes - at : TOUCH_BYTES;
    madvise(r->base + at, n, MADV_POPULATE_READ); /* where it cannot, pages come one by one */
    return n;
}

void region_unmap(struct region *r)
{
    munmap(r->base, r->bytes);
    if (r->fd >= 0) close(r->fd);
}
