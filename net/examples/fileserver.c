/*
 * A file server that copies nothing: the file is read once into registered memory, and every client is sent that memory.
 * A client connects, gets the whole file, and the connection ends.
 *
 *     cc fileserver.c $(pkg-config --cflags --libs polarnet) -o fileserver
 *     ./fileserver --vdev net_af_xdp0,iface=eth1 --address 10.9.0.1/24 --listen 8000 --file image.iso
 *
 * Every other option is a field of polar_config. Ends on SIGINT or SIGTERM, and then says what it sent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <polar/polar.h>

#define EVENTS 256

struct file {
    const char *path;
    char *data;
    size_t len;
};

struct download {
    int fd;
    size_t at;      /* bytes given to the library */
    size_t arrived; /* bytes acknowledged, or given back */
    int over;
};

static volatile sig_atomic_t stopped;
static unsigned long long arrived_all, failed;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "fileserver: %s: %s\n", what, errno ? strerror(errno) : "");
    exit(1);
}

static int read_options(int argc, char **argv, struct polar_config *config, struct file *file)
{
    int port = 8000;
    polar_config_default(config);
    for (int i = 1; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) die("options are of the form --name value");
        if (strcmp(argv[i], "--listen") == 0) port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--file") == 0) file->path = argv[i + 1];
        else if (polar_config_set(config, argv[i] + 2, argv[i + 1]) != 0) die(argv[i]);
    }
    if (!file->path) die("--file is missing");
    return port;
}

/* Whole pages of memory with the file in them, known to the port. */
static void file_load(struct file *f)
{
    struct stat status;
    int fd = open(f->path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size == 0) die(f->path);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = ((size_t)status.st_size + page - 1) / page * page;
    f->data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (f->data == MAP_FAILED) die("memory");
    while (f->len < (size_t)status.st_size) {
        ssize_t n = read(fd, f->data + f->len, (size_t)status.st_size - f->len);
        if (n <= 0) die(f->path);
        f->len += (size_t)n;
    }
    close(fd);
    if (polar_mem_register(f->data, bytes) != 0) die("polar_mem_register");
}

static int listen_on(int port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = polar_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || polar_bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || polar_listen(fd, 1024) != 0) die("listen");
    return fd;
}

static void free_when_over(struct download *d)
{
    if (d->over && d->arrived == d->at) free(d);
}

/* The library needs len bytes at data no more. */
static void arrived(void *arg, const void *data, size_t len, int error)
{
    struct download *d = arg;
    (void)data;
    if (error) failed++;
    else arrived_all += len;
    d->arrived += len;
    free_when_over(d);
}

static void end(struct download *d)
{
    polar_close(d->fd);
    d->over = 1;
    free_when_over(d);
}

static void send_on(struct download *d, const struct file *f)
{
    while (d->at < f->len) {
        ssize_t n = polar_send_zc(d->fd, f->data + d->at, f->len - d->at, 0, arrived, d);
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) break;
        d->at += (size_t)n;
    }
    end(d); /* all of it is queued, or the client is gone */
}

static void accept_all(int set, int listener)
{
    for (int fd; (fd = polar_accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct download *d = calloc(1, sizeof *d);
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = d};
        if (!d || polar_poll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0) die("accept");
        d->fd = fd;
    }
}

int main(int argc, char **argv)
{
    struct polar_config config;
    struct epoll_event events[EVENTS], accept_event = {.events = EPOLLIN};
    struct file file = {0};
    int port = read_options(argc, argv, &config, &file);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    errno = 0;
    if (polar_init(&config) != 0 || polar_thread_init() != 0) die(polar_init_error());
    file_load(&file);
    int listener = listen_on(port), set = polar_poll_create();
    if (set < 0 || polar_poll_ctl(set, EPOLL_CTL_ADD, listener, &accept_event) != 0) die("polar_poll_ctl");
    printf("ready\n");
    fflush(stdout);
    while (!stopped) {
        int n = polar_poll_wait(set, events, EVENTS, 100);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) send_on(events[i].data.ptr, &file);
            else accept_all(set, listener);
        }
    }
    polar_thread_fini();
    polar_fini();
    printf("arrived %llu failed %llu\n", arrived_all, failed);
    return 0;
}
