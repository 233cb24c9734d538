/*
 * Lines of the admin socket, one after another to the same server: each is answered with something, an error begins a
 * line of its own, and no file is made (open is taken over: a path is as good as the line says, and refused).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "server/admin_impl.h"
#include "tests/server/fixture.h"

#define LINES_MAX 50u
#define LINE_BYTES 1024u

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int __wrap_open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
    va_end(list);
    if (!(flags & O_EXCL)) return __real_open(path, flags, mode);
    if (path[0] != '/') abort(); /* relative to where the server happens to have been started */
    errno = EACCES;
    return -1;
}

/* A server with all its metrics but no core that runs: none is asked. */
static struct server *server_get(void)
{
    static struct fixture fixture;
    static struct config config;
    static struct server server;
    if (server.config) return &server;
    log_set_level(LOG_LEVEL_ERROR);
    fixture_init(&fixture, 1, NULL, NULL);
    config = fixture.config;
    config.core_count = 0;
    server = fixture.server;
    server.config = &config;
    return &server;
}

static void answer(struct admin *admin, char *line)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) abort();
    bool capture = strncmp(line, "capture", 7) == 0, help = strcmp(line, "help") == 0;
    admin_answer(admin, line, out);
    fclose(out);
    if (strlen(text) != len || (len && text[len - 1] != '\n')) abort();
    if ((capture || help) && len == 0) abort();
    if (capture && strncmp(text, "error: ", 7) != 0) abort(); /* there is no port */
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin admin = {.server = server_get(), .listener = -1};
    char line[LINE_BYTES];
    for (unsigned i = 0; i < LINES_MAX && size; i++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t n = end ? (size_t)(end - data) : size, keep = n < sizeof line ? n : sizeof line - 1;
        memcpy(line, data, keep);
        line[keep] = '\0';
        answer(&admin, line);
        n += end != NULL;
        data += n;
        size -= n;
    }
    admin_capture_end(&admin);
    return 0;
}
