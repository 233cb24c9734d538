#include "store/snapshot_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/snapshot_read.h"

#define BLOCKS_FIRST 1024u

/* What the walk knows of a shard. */
struct shard_walk {
    uint64_t records;
    bool ended;
    bool may_go_on; /* the last block was FIRST or MORE */
    uint32_t part;
};

struct walk {
    struct snapshot_in *in;
    struct snapshot_fault *fault;
    struct shard_walk shards[SNAPSHOT_SHARDS_MAX];
    uint64_t offset;
    uint64_t size;
    uint64_t room; /* of in->blocks */
    bool ended;
};

int snapshot_read_at(int fd, void *dst, size_t n, uint64_t offset)
{
    uint8_t *p = dst;
    while (n > 0) {
        ssize_t done = pread(fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return -errno;
        if (done == 0) return -EBADMSG; /* it has become shorter meanwhile */
        p += done;
        n -= (size_t)done;
        offset += (size_t)done;
    }
    return 0;
}

int snapshot_fault_set(struct snapshot_fault *f, int rc, const char *what, uint64_t block, uint64_t offset)
{
    *f = (struct snapshot_fault){.what = what, .block = block, .offset = offset, .error = rc == -EBADMSG ? 0 : -rc};
    return rc;
}

static int walk_fault(struct walk *w, const char *what)
{
    return snapshot_fault_set(w->fault, -EBADMSG, what, w->in->block_count, w->offset);
}

static int walk_read(struct walk *w, void *dst, size_t n, uint64_t offset)
{
    int rc = snapshot_read_at(w->in->fd, dst, n, offset);
    return rc ? snapshot_fault_set(w->fault, rc, "it cannot be read", w->in->block_count, w->offset) : 0;
}

static int walk_header(struct walk *w)
{
    uint8_t bytes[SNAPSHOT_HEADER_BYTES];
    if (w->size < sizeof(bytes)) return walk_fault(w, "cut within the header");
    int rc = walk_read(w, bytes, sizeof(bytes), 0);
    if (rc != 0) return rc;
    const char *wrong = snapshot_header_decode(bytes, &w->in->header);
    if (wrong) return walk_fault(w, wrong);
    w->offset = sizeof(bytes);
    return 0;
}

/* The order of a shard's blocks. NULL, or what is wrong. */
static const char *shard_order(struct shard_walk *s, const struct snapshot_head *h)
{
    if (s->ended) return "behind its shard's end";
    switch (h->kind) {
    case SNAPSHOT_MORE:
        if (!s->may_go_on || h->records != s->part + 1) return "goes on with nothing";
        s->part++;
        return NULL;
    case SNAPSHOT_FIRST:
        s->part = 0;
        s->may_go_on = true;
        s->records++;
        return h->records == 1 ? NULL : "a count that cannot be";
    case SNAPSHOT_WHOLE: s->records += h->records; break;
    default: s->ended = true; break;
    }
    s->may_go_on = false;
    return h->kind == SNAPSHOT_WHOLE && h->records == 0 ? "a count that cannot be" : NULL;
}

static int walk_totals(struct walk *w, const struct snapshot_head *h, struct snapshot_totals *t)
{
    uint8_t bytes[SNAPSHOT_END_BYTES];
    int rc = walk_read(w, bytes, h->length, w->offset + SNAPSHOT_HEAD_BYTES);
    if (rc != 0) return rc;
    if (snapshot_sum(bytes, h->length, w->in->header.id) != h->payload_sum)
        return walk_fault(w, "its payload's checksum is wrong");
    snapshot_totals_decode(bytes, h->length, t);
    return 0;
}

static int walk_shard_end(struct walk *w, const struct snapshot_head *h)
{
    struct snapshot_totals t, *sum = &w->in->totals;
    int rc = walk_totals(w, h, &t);
    if (rc != 0) return rc;
    if (t.items != w->shards[h->shard].records) return walk_fault(w, "its shard's items are not as many as it says");
    sum->items += t.items;
    sum->bytes += t.bytes;
    if (t.cas > sum->cas) sum->cas = t.cas;
    return 0;
}

static int walk_end(struct walk *w, const struct snapshot_head *h)
{
    struct snapshot_totals t, *sum = &w->in->totals;
    int rc = walk_totals(w, h, &t);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < w->in->header.shards; i++)
        if (!w->shards[i].ended) return walk_fault(w, "the end comes before a shard's");
    if (t.blocks != w->in->block_count || t.items != sum->items || t.bytes != sum->bytes || t.cas != sum->cas)
        return walk_fault(w, "the totals are not as the end says");
    *sum = t;
    w->ended = true;
    return 0;
}

static int walk_keep(struct walk *w, const struct snapshot_head *h)
{
    struct snapshot_in *in = w->in;
    if (in->block_count == w->room) {
        uint64_t room = w->room ? w->room * 2 : BLOCKS_FIRST;
        struct snapshot_place *p = realloc(in->blocks, room * sizeof(*p));
        if (!p) return -ENOMEM;
        in->blocks = p;
        w->room = room;
    }
    in->blocks[in->block_count++] = (struct snapshot_place){.offset = w->offset, .head = *h};
    return 0;
}

static int walk_block(struct walk *w)
{
    uint8_t bytes[SNAPSHOT_HEAD_BYTES];
    struct snapshot_head h;
    if (w->size - w->offset < sizeof(bytes)) return walk_fault(w, "cut: the end is missing");
    int rc = walk_read(w, bytes, sizeof(bytes), w->offset);
    if (rc != 0) return rc;
    const char *wrong = snapshot_head_decode(bytes, &h, &w->in->header);
    if (!wrong && h.number != w->in->block_count) wrong = "not in its place";
    if (!wrong && w->size - w->offset - sizeof(bytes) < h.length) wrong = "cut: the end is missing";
    if (!wrong && h.kind != SNAPSHOT_END) wrong = shard_order(&w->shards[h.shard], &h);
    if (wrong) return walk_fault(w, wrong);
    if (h.kind == SNAPSHOT_SHARD) rc = walk_shard_end(w, &h);
    if (h.kind == SNAPSHOT_END) rc = walk_end(w, &h);
    if (rc == 0) rc = walk_keep(w, &h);
    w->offset += sizeof(bytes) + h.length;
    return rc;
}

static int walk_file(struct snapshot_in *in, struct snapshot_fault *fault)
{
    struct stat st;
    struct walk *w = calloc(1, sizeof(*w));
    if (!w) return -ENOMEM;
    w->in = in;
    w->fault = fault;
    int rc = fstat(in->fd, &st) == 0 ? 0 : -errno;
    if (rc == 0 && !S_ISREG(st.st_mode)) rc = -EINVAL;
    w->size = rc == 0 ? (uint64_t)st.st_size : 0;
    if (rc == 0) rc = walk_header(w);
    while (rc == 0 && !w->ended) rc = walk_block(w);
    if (rc == 0 && w->offset != w->size) rc = walk_fault(w, "something follows the end");
    free(w);
    return rc;
}

int snapshot_in_open(struct snapshot_in **out, const char *path, struct snapshot_fault *fault)
{
    *fault = (struct snapshot_fault){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO of that name holds up nobody */
    if (fd < 0) return -errno;
    struct snapshot_in *in = calloc(1, sizeof(*in));
    if (!in) {
        close(fd);
        return -ENOMEM;
    }
    in->fd = fd;
    int rc = walk_file(in, fault);
    if (rc != 0) {
        snapshot_in_close(&in);
        return rc;
    }
    *out = in;
    return 0;
}

void snapshot_in_close(struct snapshot_in **in)
{
    if (!*in) return;
    close((*in)->fd);
    free((*in)->blocks);
    free(*in);
    *in = NULL;
}

const struct snapshot_header *snapshot_in_header(const struct snapshot_in *in)
{
    return &in->header;
}
const struct snapshot_totals *snapshot_in_totals(const struct snapshot_in *in)
{
    return &in->totals;
}
uint64_t snapshot_in_blocks(const struct snapshot_in *in)
{
    return in->block_count;
}
