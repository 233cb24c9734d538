/* Inside the admin service: admin.c serves the socket, admin_show.c prints what is to be seen, admin_capture.c
 * captures. */
#ifndef POLAR_SERVER_ADMIN_IMPL_H
#define POLAR_SERVER_ADMIN_IMPL_H

#include "net/capture.h"
#include "server/admin.h"
#include "server/core.h"

#define ADMIN_WORDS_MAX 4u

struct admin {
    struct server *server;
    const char *path;
    int listener;
    struct reactor *reactor; /* that watches it; NULL: none yet */
    struct reactor_fd watch;
    bool capturing;
    struct capture *rings[CONFIG_CORES_MAX]; /* of a capture that was stopped; while it runs the cores have them */
};

void admin_capture_end(struct admin *admin); /* gives up all rings; the cores run, if ever one was started */

/* words[0] is the command. */
typedef void admin_fn(struct admin *admin, char **words, unsigned count, FILE *out);

#define ADMIN_COMMAND(id, word, arguments, help) admin_fn admin_##id;
#include "server/admin.def"
#undef ADMIN_COMMAND

#endif
