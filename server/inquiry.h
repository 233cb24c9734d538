/*
 * Asking a core, from the control thread, for what only the core may look at or change. The core does it between two
 * turns of its pollers and goes on; a question does a bounded amount of work, and who needs more asks again.
 */
#ifndef POLAR_SERVER_INQUIRY_H
#define POLAR_SERVER_INQUIRY_H

struct core;

/* Core thread. Neither blocks nor allocates. */
typedef void inquiry_fn(struct core *core, void *arg);

/* Runs fn on the core's thread and waits until it is done. Control thread, while the core runs. */
void inquiry_ask(struct core *core, inquiry_fn *fn, void *arg);
/* Core thread, once a turn: answers what was asked; 1 if something was, else 0. One load when nothing is. */
unsigned inquiry_answer(struct core *core);

#endif
