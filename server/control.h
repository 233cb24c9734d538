/*
 * The control thread's loop: a reactor that waits for a signal to stop, and meanwhile serves what has a descriptor
 * watched or a poller there: polarctl's socket, RDMA's connections.
 */
#ifndef POLAR_SERVER_CONTROL_H
#define POLAR_SERVER_CONTROL_H

#include <signal.h>
#include "base/reactor.h"

struct control;

/* signals: blocked, those that stop. 0 or -errno, logged. */
int control_create(struct control **out, const sigset_t *signals);
void control_destroy(struct control **control);
struct reactor *control_reactor(struct control *control);
/* Serves until one of the signals comes; returns which. */
int control_serve(struct control *control);

#endif
