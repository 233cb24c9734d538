/* Processor time of a process, user and system, from /proc/PID/stat, in steps of 10 ms. */
#ifndef POLAR_BENCH_PROCESS_TIME_H
#define POLAR_BENCH_PROCESS_TIME_H

#include <stdint.h>

struct process_time {
    double user_s, system_s;
};

/* 0 or -errno (-ESRCH: no such process). */
int process_time_read(uint64_t pid, struct process_time *out);

#endif
