#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "rdma/address.h"
#include "rdma/discover.h"
#include "rdma/listener_impl.h"

#define BACKLOG 1024

/* Of every device there is; one that will not serve is said, and left out, as long as another serves. */
static int rails_open_all(struct rdma_listener *l, char *text, size_t cap)
{
    int count = 0;
    unsigned open = 0;
    struct ibv_context **list = l->cm->get_devices(&count);
    for (int i = 0; i < count; i++) {
        if (rail_get(l, list[i], text, cap))
            open++;
        else if (i + 1 < count || open)
            log_warn("%s", text);
    }
    if (list) l->cm->free_devices(list);
    if (count == 0) snprintf(text, cap, "no RDMA device can be opened");
    return open ? 0 : -ENODEV;
}

int endpoint_listen(struct rdma_listener *l, struct endpoint *e, char *text, size_t cap)
{
    e->listening = l->cm->listen(e->id, BACKLOG) == 0;
    if (e->listening) {
        metric_add(&l->metrics.listeners, 1);
        return 0;
    }
    int rc = -errno;
    char where[RDMA_ADDRESS_TEXT];
    rdma_address_format((const struct sockaddr *)&e->listen.address, where);
    snprintf(text, cap, "cannot listen on %s: %s", where, strerror(-rc));
    return rc;
}

int endpoint_open(struct rdma_listener *l, struct endpoint *e, char *text, size_t cap)
{
    int rc = rdma_discover_bind(l->cm, l->channel, &e->listen.address, &e->id, text, cap);
    if (rc != 0) return rc;
    if (!e->id->verbs)
        rc = rails_open_all(l, text, cap);
    else if (!rail_get(l, e->id->verbs, text, cap))
        rc = -EIO;
    if (rc == 0 && l->started) rc = endpoint_listen(l, e, text, cap);
    if (rc == 0) return 0;
    l->cm->destroy_id(e->id);
    e->id = NULL;
    return rc;
}

void endpoint_close(struct rdma_listener *l, struct endpoint *e)
{
    if (!e->id) return;
    l->cm->destroy_id(e->id);
    e->id = NULL;
    if (e->listening) metric_sub(&l->metrics.listeners, 1);
    e->listening = false;
}

bool endpoints_all_open(const struct rdma_listener *l)
{
    for (unsigned i = 0; i < l->config.listen_count; i++)
        if (!l->endpoints[i].id) return false;
    return true;
}

void endpoints_retry(struct rdma_listener *l)
{
    char text[TEXT_BYTES], where[RDMA_ADDRESS_TEXT];
    if (l->stopped || !l->started || endpoints_all_open(l)) return;
    if (!l->cm && listener_connect(l, text, sizeof text) != 0) {
        log_debug("RDMA: %s", text);
        metric_add(&l->metrics.listener_retries, 1);
        return;
    }
    for (unsigned i = 0; i < l->config.listen_count; i++) {
        struct endpoint *e = &l->endpoints[i];
        if (e->id) continue;
        int rc = endpoint_open(l, e, text, sizeof text);
        rdma_address_format((const struct sockaddr *)&e->listen.address, where);
        if (rc == 0)
            log_info("RDMA: listens on %s again", where);
        else
            log_debug("RDMA: %s", text);
        if (rc != 0) metric_add(&l->metrics.listener_retries, 1);
    }
}

struct endpoint *endpoint_of(struct rdma_listener *l, const struct rdma_cm_id *id)
{
    for (unsigned i = 0; i < l->config.listen_count; i++)
        if (l->endpoints[i].id == id) return &l->endpoints[i];
    return NULL;
}

void endpoint_event(struct rdma_listener *l, struct endpoint *e, enum rdma_cm_event_type event)
{
    if (event != RDMA_CM_EVENT_DEVICE_REMOVAL) return;
    rails_doom(l, e->id->verbs);
    endpoint_close(l, e); /* if that has not been done with its device */
}
