/* kvbench's options: rows in options.def; what they mean, in numbers, in struct bench_plan. */
#ifndef POLAR_BENCH_OPTIONS_H
#define POLAR_BENCH_OPTIONS_H

#include <stdio.h>
#include "base/options.h"
#include "base/reactor.h"
#include "bench/value.h"
#include "client/codec.h"

#define BENCH_CTYPE_BOOL bool
#define BENCH_CTYPE_UINT uint64_t
#define BENCH_CTYPE_SIZE uint64_t
#define BENCH_CTYPE_DURATION uint64_t
#define BENCH_CTYPE_REAL double
#define BENCH_CTYPE_STRING const char *
#define BENCH_CTYPE_CHOICE const char *
#define BENCH_CTYPE_STRINGS struct option_list
#define BENCH_CTYPE_COMMAND bool
#define BENCH_CTYPE_COMMAND bool

struct bench_options {
#define OPTION(name, kind, value, least, most, choices, help) BENCH_CTYPE_##kind name;
#include "bench/options.def"
#undef OPTION
};

extern const struct option_row bench_option_rows[];
extern const size_t bench_option_row_count;

enum bench_transport { BENCH_KERNEL, BENCH_TCP, BENCH_RDMA };
extern const char *const bench_transport_names[]; /* as the option has them */

#define BENCH_THREADS_MAX 64u

struct bench_plan {
    struct bench_options options; /* as given */
    enum codec_protocol protocol;
    enum bench_transport transport;
    char server_address[64]; /* numeric */
    uint16_t server_port;
    char device[64];             /* with BENCH_TCP and ping */
    int cpus[BENCH_THREADS_MAX]; /* of each thread; -1: not pinned */
    enum reactor_poll poll;
    uint32_t threads, connections, pipeline;
    uint32_t keys, key_len;
    uint32_t value_min, value_max;
    uint32_t sets, gets;
    bool load;
    enum value_verify verify;
    uint64_t warmup_ns, duration_ns, hard_stop_ns;
};

/* Parses and checks the command line. On error prints one line to err and returns -EINVAL. Control thread. */
int bench_plan_parse(struct bench_plan *plan, int argc, char **argv, FILE *err);
void bench_plan_free(struct bench_plan *plan);

#endif
