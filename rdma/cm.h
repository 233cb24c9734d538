/*
 * librdmacm behind one table of its calls: the seam at which tests put a fake connection manager (tests/rdma/cm). It is
 * loaded when RDMA is first asked for, so that a machine without it runs everything else; and given back when nobody
 * uses it any more.
 *
 * That is also how a device can go. librdmacm opens each device once for the whole process and keeps it open; the
 * kernel removes a device that cannot be taken from its users (soft-RoCE) only when all have closed it, and waits for
 * them. librdmacm closes one that went when it looks at its list again and finds others, but never the last one. So
 * who has lost his last device gives librdmacm back: the last to do so unloads it, and closes what it had open.
 */
#ifndef POLAR_RDMA_CM_H
#define POLAR_RDMA_CM_H

#include <stddef.h>
#include <rdma/rdma_cma.h>

struct rdma_cm {
#define RDMA_CM_CALL(name) __typeof__(rdma_##name) *name;
#include "rdma/cm.def"
#undef RDMA_CM_CALL
};

/* 0 or -errno; then text is one line: the library is missing, or the kernel's part. Any set-up thread. */
int rdma_cm_get(const struct rdma_cm **out, char *text, size_t cap);
/* The caller has closed all that it made by it, with the objects on its devices. NULL: nothing. Any set-up thread. */
void rdma_cm_put(const struct rdma_cm **cm);
/*
 * Looks which devices there are: those stay open until the last put, or until another look finds them gone. To be
 * called when one is taken into use, and when all that was on one that went is closed. Any set-up thread.
 */
void rdma_cm_look(void);
/*
 * Calls lost for each device that was there at the last look and is not any more: the kernel does not tell all of it.
 * Returns how many. lost must not get, put or look.
 */
unsigned rdma_cm_each_lost(void (*lost)(void *arg, struct ibv_context *verbs), void *arg);

#endif
