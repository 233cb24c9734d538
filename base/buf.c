#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>
#include "base/log.h"

#define POOL_CACHE 256u

/*
 * Without PCI devices nobody asks for bus addresses, so objects may cross pages: packed they take 2,368 bytes instead of
 * a page of 4,096 each where there are no huge pages, and af_xdp, which reckons a pool's length by its objects' sizes,
 * reaches all of them.
 */
static unsigned pool_flags(void)
{
    return rte_eal_has_pci() ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
}

static void object_init(struct rte_mempool *pool, void *arg, void *object, unsigned index)
{
    struct rte_mbuf *m = object;
    rte_pktmbuf_init(pool, arg, m, index);
    if (pool->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG) m->buf_iova = (uintptr_t)m->buf_addr;
}

/* As rte_pktmbuf_pool_create, which takes no flags. NULL with rte_errno. */
static struct rte_mempool *mbuf_pool_create(const char *name, uint32_t count, uint32_t cache, uint16_t room)
{
    struct rte_pktmbuf_pool_private private = {.mbuf_data_room_size = room};
    struct rte_mempool *pool = rte_mempool_create_empty(name, count, (unsigned)sizeof(struct rte_mbuf) + room, cache,
                                                        sizeof private, SOCKET_ID_ANY, pool_flags());
    if (!pool) return NULL;
    int rc = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);
    if (rc == 0) {
        rte_pktmbuf_pool_init(pool, &private);
        rc = rte_mempool_populate_default(pool);
    }
    if (rc < 0) {
        rte_mempool_free(pool);
        rte_errno = -rc;
        return NULL;
    }
    rte_mempool_obj_iter(pool, object_init, NULL);
    return pool;
}

static struct rte_mempool *pool_create(const char *what, unsigned core, uint32_t count, uint32_t room)
{
    static unsigned serial; /* names are unique in a process, also when pools are made again */
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof name, "%s%u.%u", what, core, serial++);
    uint32_t cache = count >= 2 * POOL_CACHE ? POOL_CACHE : 0;
    struct rte_mempool *pool = mbuf_pool_create(name, count, cache, (uint16_t)room);
    if (!pool)
        log_error("no memory for %u buffers of %u bytes (pool %s): %s; give more with buffer-memory", count, room, name,
                  rte_strerror(rte_errno));
    return pool;
}

int buf_pools_create(struct buf_pools *pools, const struct buf_pools_config *config)
{
    memset(pools, 0, sizeof *pools);
    uint32_t frame_room = config->frame_room + RTE_PKTMBUF_HEADROOM;
    if (frame_room > UINT16_MAX) return -EINVAL;
    pools->frame = pool_create("frame", config->core, config->frame_count, frame_room);
    if (!pools->frame) return -ENOMEM;
    pools->small = pool_create("small", config->core, config->small_count, BUF_SMALL_ROOM + RTE_PKTMBUF_HEADROOM);
    if (!pools->small) goto destroy;
    pools->ref = pool_create("ref", config->core, config->ref_count, 0);
    if (!pools->ref) goto destroy;
    return 0;
destroy:
    buf_pools_destroy(pools);
    return -ENOMEM;
}

void buf_pools_destroy(struct buf_pools *pools)
{
    rte_mempool_free(pools->ref);
    rte_mempool_free(pools->small);
    rte_mempool_free(pools->frame);
    memset(pools, 0, sizeof *pools);
}

uint32_t buf_pools_in_use(const struct buf_pools *pools)
{
    return rte_mempool_in_use_count(pools->frame) + rte_mempool_in_use_count(pools->small) +
           rte_mempool_in_use_count(pools->ref);
}

void buf_chain_append(struct buf_chain *c, struct rte_mbuf *m)
{
    if (c->tail) c->tail->next = m;
    else c->head = m;
    for (;; m = m->next) {
        c->len += m->data_len;
        if (!m->next) break;
    }
    c->tail = m;
}

void buf_chain_join(struct buf_chain *dst, struct buf_chain *src)
{
    if (!src->head) return;
    if (dst->tail) dst->tail->next = src->head;
    else dst->head = src->head;
    dst->tail = src->tail;
    dst->len += src->len;
    buf_chain_init(src);
}

void buf_chain_consume(struct buf_chain *c, uint32_t n)
{
    RTE_ASSERT(n <= c->len);
    c->len -= n;
    while (c->head) {
        struct rte_mbuf *m = c->head;
        if (n < m->data_len) {
            m->data_off += (uint16_t)n;
            m->data_len -= (uint16_t)n;
            return;
        }
        n -= m->data_len;
        c->head = m->next;
        m->next = NULL;
        m->nb_segs = 1;
        rte_pktmbuf_free_seg(m);
    }
    c->tail = NULL;
}

void buf_chain_free(struct buf_chain *c)
{
    buf_chain_consume(c, c->len);
}

uint32_t buf_chain_copy(const struct buf_chain *c, uint32_t off, void *dst, uint32_t n)
{
    struct buf_cursor cur = buf_chain_begin(c);
    buf_cursor_advance(&cur, off);
    return buf_cursor_read(&cur, dst, n);
}

void buf_cursor_advance(struct buf_cursor *cur, uint32_t n)
{
    while (cur->m && cur->off + n > cur->m->data_len) {
        if (!cur->m->next) {
            cur->off = cur->m->data_len;
            return;
        }
        n -= cur->m->data_len - cur->off;
        cur->m = cur->m->next;
        cur->off = 0;
    }
    cur->off += n;
}

uint32_t buf_cursor_window(struct buf_cursor *cur, const uint8_t **p)
{
    while (cur->m && cur->off == cur->m->data_len && cur->m->next) {
        cur->m = cur->m->next;
        cur->off = 0;
    }
    if (!cur->m) return 0;
    *p = buf_data(cur->m) + cur->off;
    return cur->m->data_len - cur->off;
}

uint32_t buf_cursor_read(struct buf_cursor *cur, void *dst, uint32_t n)
{
    uint32_t done = 0;
    while (done < n) {
        const uint8_t *p;
        uint32_t window = buf_cursor_window(cur, &p);
        if (window == 0) break;
        uint32_t take = RTE_MIN(window, n - done);
        memcpy((uint8_t *)dst + done, p, take);
        cur->off += take;
        done += take;
    }
    return done;
}
