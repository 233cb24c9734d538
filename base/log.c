#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int level_limit = LOG_LEVEL_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
    atomic_store(&level_limit, (int)level);
}
enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load(&level_limit);
}

void log_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ') *text = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&level_limit)) return;
    char text[1024], stamp[32];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_one_line(text);
    fprintf(stderr, "%s.%03ldZ %s %s\n", stamp, now.tv_nsec / 1000000, level_names[level], text);
}
