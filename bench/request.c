#include "bench/request.h"

#include <errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include "bench/value.h"

#define HEAD_ROOM 128u /* the most that codec_set_head and codec_get write beside the key */
#define TAIL_ROOM 8u
#define BODY_SEGMENT 65535u /* an external buffer's length is 16 bits */

static void pattern_free(void *addr, void *arg)
{
    (void)addr;
    (void)arg;
}

int request_source_init(struct request_source *source, enum codec_protocol protocol, struct buf_pools *pools,
                        uint32_t key_len, uint32_t value_max)
{
    *source = (struct request_source){.protocol = protocol, .pools = pools, .key_len = key_len};
    source->pattern_len = value_pattern_size(value_max);
    source->pattern = rte_malloc("kvbench values", source->pattern_len, 4096);
    if (!source->pattern) return -ENOMEM;
    source->pattern_iova = rte_malloc_virt2iova(source->pattern);
    value_pattern_fill(source->pattern, source->pattern_len);
    source->shared.free_cb = pattern_free;
    rte_mbuf_ext_refcnt_set(&source->shared, 1);
    key_prefix(source->key, key_len);
    return 0;
}

void request_source_fini(struct request_source *source)
{
    rte_free(source->pattern);
    source->pattern = NULL;
}

/* Room for n bytes at the chain's end: behind the last request where it fits, or in a new small buffer. */
static uint8_t *chain_room(struct request_source *source, struct buf_chain *chain, uint32_t n)
{
    struct rte_mbuf *m = chain->tail;
    if (m && !RTE_MBUF_HAS_EXTBUF(m) && rte_pktmbuf_tailroom(m) >= n)
        return rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len);
    m = rte_pktmbuf_alloc(source->pools->small);
    if (!m) return NULL;
    buf_chain_append(chain, m);
    return rte_pktmbuf_mtod(m, uint8_t *);
}

static void chain_wrote(struct buf_chain *chain, uint32_t n)
{
    chain->tail->data_len = (uint16_t)(chain->tail->data_len + n);
    chain->len += n;
}

static struct rte_mbuf *body_segment(struct request_source *source, uint32_t offset, uint16_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(source->pools->ref);
    if (!m) return NULL;
    rte_mbuf_ext_refcnt_update(&source->shared, 1);
    rte_pktmbuf_attach_extbuf(m, source->pattern + offset, source->pattern_iova + offset, len, &source->shared);
    m->data_len = len;
    return m;
}

/* The body by reference, in as many buffers as 16-bit lengths need, with room for the tail behind it. */
static bool append_body(struct request_source *source, struct buf_chain *chain, uint32_t offset, uint32_t len)
{
    while (len > 0) {
        uint16_t take = (uint16_t)RTE_MIN(len, BODY_SEGMENT);
        struct rte_mbuf *m = body_segment(source, offset, take);
        if (!m) return false;
        buf_chain_append(chain, m);
        offset += take;
        len -= take;
    }
    return chain_room(source, chain, TAIL_ROOM) != NULL;
}

static uint32_t write_head(struct request_source *source, uint8_t *dst, const struct planned_op *op)
{
    uint32_t n = codec_set_head(source->protocol, dst, request_key(source, op->index), op->value_len);
    if (value_header_len(op->value_len) == 0) return n;
    struct value_header header = value_header_of(op->index, op->value_len, op->version);
    memcpy(dst + n, &header, sizeof header);
    return n + VALUE_HEADER;
}

/* All of a set in one small buffer. */
static bool append_small_set(struct request_source *source, struct buf_chain *chain, const struct planned_op *op,
                             uint32_t offset, uint32_t body_len, uint32_t room)
{
    uint8_t *start = chain_room(source, chain, room);
    if (!start) return false;
    uint8_t *dst = start + write_head(source, start, op);
    memcpy(dst, source->pattern + offset, body_len);
    dst += body_len;
    dst += codec_set_tail(source->protocol, dst);
    chain_wrote(chain, (uint32_t)(dst - start));
    return true;
}

/* The body is gathered in a chain of its own: where a buffer is missing, nothing has been appended. */
static bool append_large_set(struct request_source *source, struct buf_chain *chain, const struct planned_op *op,
                             uint32_t offset, uint32_t body_len)
{
    struct buf_chain body;
    buf_chain_init(&body);
    uint8_t *head = NULL;
    if (append_body(source, &body, offset, body_len))
        head = chain_room(source, chain, HEAD_ROOM + source->key_len + VALUE_HEADER);
    if (!head) {
        buf_chain_free(&body);
        return false;
    }
    chain_wrote(chain, write_head(source, head, op));
    buf_chain_join(chain, &body);
    uint8_t *tail = rte_pktmbuf_mtod(chain->tail, uint8_t *);
    chain_wrote(chain, codec_set_tail(source->protocol, tail));
    return true;
}

bool request_append(struct request_source *source, struct buf_chain *chain, const struct planned_op *op)
{
    if (op->is_get) {
        uint8_t *dst = chain_room(source, chain, HEAD_ROOM + source->key_len);
        if (!dst) return false;
        chain_wrote(chain, codec_get(source->protocol, dst, request_key(source, op->index)));
        return true;
    }
    uint32_t header_len = value_header_len(op->value_len), body_len = op->value_len - header_len;
    uint32_t offset = value_offset(op->index, header_len ? op->version : 0);
    uint32_t room = HEAD_ROOM + source->key_len + op->value_len + TAIL_ROOM;
    if (room <= BUF_SMALL_ROOM) return append_small_set(source, chain, op, offset, body_len, room);
    return append_large_set(source, chain, op, offset, body_len);
}
