#include "server/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/log.h"
#include "server/admin_impl.h"

#define LINE_BYTES 1024u
#define CLIENT_SECONDS 2 /* for each of its reads and writes */
#define BACKLOG 8

static const struct command {
    const char *word, *arguments, *help;
    admin_fn *run;
} commands[] = {
#define ADMIN_COMMAND(id, word, arguments, help) {word, arguments, help, admin_##id},
#include "server/admin.def"
#undef ADMIN_COMMAND
};

void admin_help(struct admin *admin, char **words, unsigned count, FILE *out)
{
    (void)admin, (void)words, (void)count;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int len = fprintf(out, "%s%s%s", commands[i].word, *commands[i].arguments ? " " : "", commands[i].arguments);
        fprintf(out, "%*s%s\n", len < 30 ? 30 - len : 1, "", commands[i].help);
    }
}

static bool address_fill(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) return false;
    strcpy(address->sun_path, path);
    return true;
}

/* Removes the socket of a server that is no more; -EADDRINUSE: it still is, or it is something else. */
static int path_clear(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0) return 0;
    if (!S_ISSOCK(st.st_mode)) return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool dead = rc != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!dead) return -EADDRINUSE;
    return unlink(address->sun_path) == 0 ? 0 : -errno;
}

static int listener_open(const char *path, int *fd)
{
    struct sockaddr_un address;
    if (!address_fill(&address, path)) return -ENAMETOOLONG;
    int rc = path_clear(&address);
    if (rc != 0) return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) return -errno;
    fchmod(*fd, S_IRUSR | S_IWUSR); /* before bind: the file never has another mode */
    if (bind(*fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(*fd, BACKLOG) == 0) return 0;
    rc = -errno;
    close(*fd);
    return rc;
}

int admin_create(struct admin **out, struct server *server, const char *path)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin) return -ENOMEM;
    admin->server = server;
    admin->path = path;
    int rc = listener_open(path, &admin->listener);
    if (rc != 0) {
        log_error("option 'admin-socket': %s: %s", path, strerror(-rc));
        free(admin);
        return rc;
    }
    *out = admin;
    return 0;
}

void admin_destroy(struct admin **admin)
{
    struct admin *a = *admin;
    if (!a) return;
    if (a->reactor) reactor_fd_remove(a->reactor, &a->watch);
    close(a->listener);
    unlink(a->path);
    admin_capture_end(a);
    free(a);
    *admin = NULL;
}

void admin_answer(struct admin *admin, char *line, FILE *out)
{
    char *words[ADMIN_WORDS_MAX], *rest = NULL;
    unsigned count = 0;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest)) {
        if (count == ADMIN_WORDS_MAX) {
            fprintf(out, "error: more words than any command takes\n");
            return;
        }
        words[count++] = word;
    }
    for (size_t i = 0; count && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(words[0], commands[i].word) != 0) continue;
        if (count > 1 && !*commands[i].arguments)
            fprintf(out, "error: %s takes no arguments\n", words[0]);
        else
            commands[i].run(admin, words, count, out);
        return;
    }
    fprintf(out, "error: no such command%s%s; try help\n", count ? ": " : "", count ? words[0] : "");
}

/* Up to the line's end, or what comes before the client's. False: nothing in time, or too much. */
static bool line_read(int fd, char *line)
{
    size_t len = 0;
    while (len + 1 < LINE_BYTES) {
        ssize_t n = recv(fd, line + len, LINE_BYTES - 1 - len, 0);
        if (n < 0) return false;
        len += (size_t)n;
        line[len] = '\0';
        if (n == 0 || strchr(line, '\n')) return true;
    }
    return false;
}

static void client_serve(struct admin *admin, int fd)
{
    static const struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    char line[LINE_BYTES] = "";
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    FILE *out = fdopen(fd, "w");
    if (!out) {
        close(fd);
        return;
    }
    if (line_read(fd, line)) admin_answer(admin, line, out);
    fclose(out);
}

static void listener_ready(struct reactor_fd *fd, uint32_t epoll_events)
{
    struct admin *admin = fd->arg;
    (void)epoll_events;
    int client = accept4(admin->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0) client_serve(admin, client);
}

int admin_watch(struct admin *admin, struct reactor *reactor)
{
    admin->watch = (struct reactor_fd){.fd = admin->listener, .ready = listener_ready, .arg = admin};
    int rc = reactor_fd_add(reactor, &admin->watch, EPOLLIN);
    if (rc == 0) admin->reactor = reactor;
    return rc;
}
