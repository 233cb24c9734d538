#include "bench/process_time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int process_time_read(uint64_t pid, struct process_time *out)
{
    char path[64], text[1024];
    unsigned long user, system;
    *out = (struct process_time){0};
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "r");
    if (!file) return errno == ENOENT ? -ESRCH : -errno;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    /* The name in parentheses may hold anything; behind it the fields are plain. utime and stime are 14 and 15. */
    const char *after = strrchr(text, ')');
    if (!after || sscanf(after + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &system) != 2)
        return -EINVAL;
    double tick_s = 1.0 / (double)sysconf(_SC_CLK_TCK);
    *out = (struct process_time){.user_s = (double)user * tick_s, .system_s = (double)system * tick_s};
    return 0;
}
