/*
 * What is to be seen of a running server, by request: a UNIX socket that takes one line with a command (rows in
 * server/admin.def) and answers with text, "error: " and why when it cannot; then the connection ends. Only the user
 * who runs the server may connect (mode 0600). Served by the control thread, one client after another, each with a time
 * limit; the cores are asked between their turns (inquiry.h) and not stopped.
 */
#ifndef POLAR_SERVER_ADMIN_H
#define POLAR_SERVER_ADMIN_H

#include <stdio.h>

struct admin;
struct reactor;
struct server;

/* Before the cores run. path: of the socket; a file there that nobody serves any more is replaced. 0 or -errno, logged.
 */
int admin_create(struct admin **out, struct server *server, const char *path);
/* Before the cores stop. Removes the socket's file. */
void admin_destroy(struct admin **admin);
/* Serves from now on in the control thread's reactor, which outlives it; the cores run. 0 or -errno. */
int admin_watch(struct admin *admin, struct reactor *reactor);
/* The answer to one line, also for tests; the cores run. */
void admin_answer(struct admin *admin, char *line, FILE *out);

#endif
