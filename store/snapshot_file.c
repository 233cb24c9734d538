#include "store/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUBMIT_BYTES (16u << 20) /* so much at most waits in the page cache to be written at the end */

static int write_all(struct snapshot_file *f, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return done ? -errno : -EIO;
        p += done;
        n -= (size_t)done;
        f->written += (size_t)done;
    }
    if (f->written - f->submitted < SUBMIT_BYTES) return 0;
    /* A hint: what fails here fails again at the end, where it counts. */
    sync_file_range(f->fd, (off_t)f->submitted, (off_t)(f->written - f->submitted), SYNC_FILE_RANGE_WRITE);
    f->submitted = f->written;
    return 0;
}

int snapshot_file_create(struct snapshot_file *f, const char *path, uint32_t shards, uint64_t now_ms)
{
    uint8_t header[SNAPSHOT_HEADER_BYTES];
    memset(f, 0, sizeof(*f));
    f->fd = -1;
    f->header = (struct snapshot_header){.created_ms = now_ms, .shards = shards};
    if ((size_t)snprintf(f->path, sizeof(f->path), "%s", path) >= sizeof(f->path)) return -ENAMETOOLONG;
    if ((size_t)snprintf(f->temporary, sizeof(f->temporary), "%s.tmp", path) >= sizeof(f->temporary))
        return -ENAMETOOLONG;
    if (getrandom(&f->header.id, sizeof(f->header.id), 0) != sizeof(f->header.id)) return -EIO;
    if (unlink(f->temporary) != 0 && errno != ENOENT) return -errno;
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (f->fd < 0) return -errno;
    snapshot_header_encode(header, &f->header);
    int rc = write_all(f, header, sizeof(header));
    if (rc != 0) snapshot_file_abandon(f);
    return rc;
}

int snapshot_file_append(struct snapshot_file *f, struct snapshot_head *h, uint8_t *block)
{
    h->number = f->blocks++;
    h->payload_sum = snapshot_sum(block + SNAPSHOT_HEAD_BYTES, h->length, f->header.id);
    snapshot_head_encode(block, h, f->header.id);
    if (h->kind == SNAPSHOT_SHARD) {
        struct snapshot_totals shard;
        snapshot_totals_decode(block + SNAPSHOT_HEAD_BYTES, h->length, &shard);
        f->totals.items += shard.items;
        f->totals.bytes += shard.bytes;
        if (shard.cas > f->totals.cas) f->totals.cas = shard.cas;
    }
    return write_all(f, block, SNAPSHOT_HEAD_BYTES + h->length);
}

/* The rename is on the device when its folder is. */
static int folder_sync(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!slash)
        strcpy(folder, ".");
    else if (len == 0)
        strcpy(folder, "/");
    else
        snprintf(folder, sizeof(folder), "%.*s", (int)len, path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int rc = fsync(fd) == 0 || errno == EINVAL ? 0 : -errno; /* EINVAL: a file system that has nothing to sync there */
    close(fd);
    return rc;
}

static int append_end(struct snapshot_file *f, uint64_t now_ms)
{
    uint8_t block[SNAPSHOT_HEAD_BYTES + SNAPSHOT_END_BYTES];
    struct snapshot_head h = {.kind = SNAPSHOT_END, .length = SNAPSHOT_END_BYTES};
    f->totals.blocks = f->blocks;
    f->totals.finished_ms = now_ms;
    snapshot_totals_encode(block + SNAPSHOT_HEAD_BYTES, &f->totals);
    return snapshot_file_append(f, &h, block);
}

int snapshot_file_finish(struct snapshot_file *f, uint64_t now_ms)
{
    int rc = append_end(f, now_ms);
    if (rc == 0 && fsync(f->fd) != 0) rc = -errno;
    if (rc != 0) {
        snapshot_file_abandon(f);
        return rc;
    }
    if (close(f->fd) != 0) rc = -errno;
    f->fd = -1;
    if (rc == 0 && rename(f->temporary, f->path) != 0) rc = -errno;
    if (rc != 0) {
        unlink(f->temporary);
        return rc;
    }
    return folder_sync(f->path);
}

void snapshot_file_abandon(struct snapshot_file *f)
{
    if (f->fd < 0) return;
    close(f->fd);
    f->fd = -1;
    unlink(f->temporary);
}
