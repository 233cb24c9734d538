#include "server/lease.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include "server/core.h"

#define LEASE_CHUNK 256u
#define LEASE_PREFETCH 8192u /* bytes of a piece */
#define LEASE_PIECE (UINT16_MAX & ~63u) /* an external buffer's length is 16 bits */

/* The transport let go of the last buffer: called on the session's core, where all its buffers are freed. */
static void lease_end(void *addr, void *opaque)
{
    struct lease *lease = opaque;
    struct core *core = lease->core;
    (void)addr;
    if (lease->owner == core->index) store_unpin(core->store, lease->pin);
    else mailbox_send_unpin(core, lease->owner, lease->pin);
    lease->next = core->free_leases;
    core->free_leases = lease;
}

static struct lease *lease_alloc(struct core *core)
{
    if (!core->free_leases) {
        struct lease *leases = core_chunk(core, sizeof *leases, LEASE_CHUNK);
        if (!leases) return NULL;
        for (unsigned i = 0; i < LEASE_CHUNK; i++) {
            leases[i].next = core->free_leases;
            core->free_leases = &leases[i];
        }
    }
    struct lease *lease = core->free_leases;
    core->free_leases = lease->next;
    lease->core = core;
    lease->shared.free_cb = lease_end;
    lease->shared.fcb_opaque = lease;
    return lease;
}

/*
 * The transport reads the value soon, for its checksum and the copy into the wire: what memory takes to bring it passes
 * while the rest of the batch is executed.
 */
static void prefetch_piece(const uint8_t *data, uint32_t len)
{
    for (uint32_t off = 0; off < RTE_MIN(len, LEASE_PREFETCH); off += RTE_CACHE_LINE_SIZE) rte_prefetch0(data + off);
}

/* One external buffer for at most LEASE_PIECE bytes of a fragment. */
static struct rte_mbuf *lease_piece(struct core *core, struct lease *lease, const uint8_t *data, uint32_t len)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(core->pools.ref);
    if (!m) return NULL;
    rte_pktmbuf_attach_extbuf(m, (void *)(uintptr_t)data, (rte_iova_t)(uintptr_t)data, (uint16_t)len, &lease->shared);
    m->data_off = 0;
    prefetch_piece(data, len);
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    return m;
}

bool lease_append(struct core *core, unsigned owner, const struct store_value *value, struct store_pin *pin,
                  struct buf_chain *chain)
{
    const struct store *store = core->server->cores[owner].store;
    struct lease *lease = lease_alloc(core);
    if (!lease) return false;
    struct buf_chain pieces;
    buf_chain_init(&pieces);
    uint16_t count = 0;
    struct store_value v = *value;
    do {
        for (uint32_t off = 0; off < v.data_len;) {
            uint32_t len = RTE_MIN(v.data_len - off, LEASE_PIECE);
            struct rte_mbuf *m = lease_piece(core, lease, v.data + off, len);
            if (!m) goto undo;
            buf_chain_append(&pieces, m);
            count++;
            off += len;
        }
    } while (store_next_fragment(store, &v));
    rte_mbuf_ext_refcnt_set(&lease->shared, count);
    lease->owner = owner;
    lease->pin = pin;
    buf_chain_join(chain, &pieces);
    return true;
undo:
    /* One reference more than pieces: freeing them does not end a lease that never began. */
    rte_mbuf_ext_refcnt_set(&lease->shared, (uint16_t)(count + 1));
    buf_chain_free(&pieces);
    lease->next = core->free_leases;
    core->free_leases = lease;
    return false;
}
