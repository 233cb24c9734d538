/*
 * What is to be seen of a running server, by request: a UNIX socket that takes one line with a command (rows in
 * server/admin.def) and answers with text, "error: " and why when it cannot; then the connection ends. Only the user
 * who runs the server may connect (mode 0600). Served by the control thread, one client after another, each with a time
 * limit; the cores are asked between their turns (inquiry.h) and not stopped.
 */
#ifndef POLAR_SERVER_ADMIN_H
#define POLAR_SERVER_ADMIN_H

#include <signal.h>
#include <stdio.h>

struct admin;
struct server;

/* Before the cores run. path: of the socket; a file there that nobody serves any more is replaced. 0 or -errno, logged.
 */
int admin_create(struct admin **out, struct server *server, const char *path);
/* Before the cores stop. Removes the socket's file. */
void admin_destroy(struct admin **admin);
/* Serves until one of these blocked signals comes; returns which. admin NULL: only waits. */
int admin_serve(struct admin *admin, const sigset_t *signals);
/* The answer to one line, for admin_serve and tests; the cores run. */
void admin_answer(struct admin *admin, char *line, FILE *out);

#endif
