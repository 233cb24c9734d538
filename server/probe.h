/* What can be known of the machine before anything is taken from it: a start that cannot end well is refused at once.
 */
#ifndef POLAR_SERVER_PROBE_H
#define POLAR_SERVER_PROBE_H

struct config;

/* The machine's memory for what the options ask of it, and the folder of snapshots. 0, or -errno and one line in the
 * log. */
int server_probe(const struct config *config);

#endif
