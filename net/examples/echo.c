/*
 * An echo server of plain calls: a listener, a set of sockets to wait for, and send and recv that do not wait.
 *
 *     cc echo.c $(pkg-config --cflags --libs polarnet) -o echo
 *     ./echo --vdev net_af_xdp0,iface=eth1 --address 10.9.0.1/24 --listen 7
 *
 * Every option but --listen is a field of polar_config. Ends on SIGINT or SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <polar/polar.h>

#define EVENTS 256
#define CHUNK 65536

/* What was received and could not yet be sent on. */
struct session {
    struct session *prev, *next;
    int fd;
    size_t at, len;
    char data[CHUNK];
};

static volatile sig_atomic_t stopped;
static struct session *sessions;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "echo: %s: %s\n", what, errno ? strerror(errno) : "");
    exit(1);
}

/* Returns the port to listen on. */
static int read_options(int argc, char **argv, struct polar_config *config)
{
    int port = 7;
    polar_config_default(config);
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) die("options are of the form --name value");
        if (strcmp(argv[i], "--listen") == 0) port = atoi(argv[i + 1]);
        else if (polar_config_set(config, argv[i] + 2, argv[i + 1]) != 0) die(argv[i]);
    }
    return port;
}

static int listen_on(int port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || polar_bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || polar_listen(fd, 1024) != 0) die("listen");
    return fd;
}

static void watch(int set, int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (polar_poll_ctl(set, operation, fd, &event) != 0) die("polar_poll_ctl");
}

static void session_open(int set, int fd)
{
    struct session *s = malloc(sizeof *s);
    if (!s) {
        polar_close(fd);
        return;
    }
    s->fd = fd;
    s->at = s->len = 0;
    s->prev = NULL;
    s->next = sessions;
    if (sessions) sessions->prev = s;
    sessions = s;
    watch(set, EPOLL_CTL_ADD, fd, EPOLLIN, s);
}

static void session_close(struct session *s)
{
    polar_close(s->fd);
    if (s->next) s->next->prev = s->prev;
    if (s->prev) s->prev->next = s->next;
    else sessions = s->next;
    free(s);
}

static void accept_all(int set, int listener)
{
    for (int fd; (fd = polar_accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) session_open(set, fd);
}

/* Sends what is there; false: the connection is over. */
static int flush(struct session *s)
{
    while (s->at < s->len) {
        ssize_t n = polar_send(s->fd, s->data + s->at, s->len - s->at, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        s->at += (size_t)n;
    }
    s->at = s->len = 0;
    return 1;
}

/* Echoes until there is nothing to read or no room to send; false: the connection is over. */
static int serve(struct session *s)
{
    for (;;) {
        if (!flush(s)) return 0;
        if (s->len) return 1;
        ssize_t n = polar_recv(s->fd, s->data, sizeof s->data, 0);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        s->len = (size_t)n;
    }
}

static void handle(int set, struct session *s)
{
    size_t waited = s->len;
    if (!serve(s)) {
        session_close(s);
    } else if ((s->len != 0) != (waited != 0)) {
        watch(set, EPOLL_CTL_MOD, s->fd, s->len ? EPOLLOUT : EPOLLIN, s);
    }
}

int main(int argc, char **argv)
{
    struct polar_config config;
    struct epoll_event events[EVENTS];
    int port = read_options(argc, argv, &config);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    errno = 0;
    if (polar_init(&config) != 0 || polar_thread_init() != 0) die(polar_init_error());
    int listener = listen_on(port), set = polar_poll_create();
    if (set < 0) die("polar_poll_create");
    watch(set, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    printf("ready\n");
    fflush(stdout);
    while (!stopped) {
        int n = polar_poll_wait(set, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) handle(set, events[i].data.ptr);
            else accept_all(set, listener);
        }
    }
    while (sessions) session_close(sessions);
    polar_thread_fini();
    polar_fini();
    return 0;
}
