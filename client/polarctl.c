/* polarctl: sends one command to a running polarkv's admin socket and prints the answer. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXIT_ANSWER 1 /* the server says error */
#define EXIT_USAGE 2

static const char usage[] =
    "Usage: polarctl --socket PATH COMMAND...\n"
    "Asks a running polarkv (its option admin-socket PATH). Commands: polarctl --socket PATH help\n";

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    int saved = errno;
    if (fd >= 0) close(fd);
    errno = saved;
    return -1;
}

/* The words as one line. */
static bool send_line(int fd, char **words, int count)
{
    char line[1024];
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        int n = snprintf(line + len, sizeof line - len, "%s%c", words[i], i + 1 < count ? ' ' : '\n');
        if (n < 0 || (size_t)n >= sizeof line - len) {
            errno = E2BIG;
            return false;
        }
        len += (size_t)n;
    }
    return send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* An answer that begins with "error: " goes to standard error. */
static int print_answer(int fd)
{
    static const char error[] = "error: ";
    FILE *in = fdopen(fd, "r");
    char line[4096];
    int status = 0;
    if (!in) return EXIT_ANSWER;
    for (bool first = true; fgets(line, sizeof line, in); first = false) {
        if (first && strncmp(line, error, sizeof error - 1) == 0) status = EXIT_ANSWER;
        fputs(line, status ? stderr : stdout);
    }
    if (ferror(in)) status = EXIT_ANSWER;
    fclose(in);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 4 || strcmp(argv[1], "--socket") != 0) {
        fputs(usage, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : EXIT_USAGE;
    }
    int fd = connect_to(argv[2]);
    if (fd < 0 || !send_line(fd, argv + 3, argc - 3)) {
        fprintf(stderr, "polarctl: %s: %s\n", argv[2], strerror(errno));
        return EXIT_USAGE;
    }
    return print_answer(fd);
}
