/*
 * A lease lets a reply carry a value where it lies: external buffers point at the item, the lease is their shared
 * state, and the item stays pinned until the transport has let go of the last of them (TCP: until the acknowledgement).
 */
#ifndef POLAR_SERVER_LEASE_H
#define POLAR_SERVER_LEASE_H

#include <stdbool.h>
#include "base/buf.h"
#include "store/store.h"

struct core;

struct lease {
    struct rte_mbuf_ext_shared_info shared;
    struct core *core; /* of the session */
    struct store_pin *pin;
    unsigned owner;    /* core whose shard holds the item */
    struct lease *next;
};

/*
 * Appends the value to chain as external buffers and takes the pin. false when leases or buffers are out: nothing is
 * appended and the pin stays the caller's. owner_store gives the fragments (geometry only).
 */
bool lease_append(struct core *core, unsigned owner, const struct store_value *value, struct store_pin *pin,
                  struct buf_chain *chain);

#endif
