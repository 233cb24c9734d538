#include "bench/options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"
#include "base/log.h"
#include "bench/onesided.h"

const struct option_row bench_option_rows[] = {
#define OPTION(name, kind, value, least, most, choices, help)                                                          \
    {#name, OPTION_##kind, offsetof(struct bench_options, name), value, least, most, choices, help},
#include "bench/options.def"
#undef OPTION
};
const size_t bench_option_row_count = sizeof bench_option_rows / sizeof *bench_option_rows;

__attribute__((format(printf, 2, 3))) static int refuse(FILE *err, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_one_line(line);
    fprintf(err, "kvbench: %s\n", line);
    return -EINVAL;
}

static bool parse_number(const char *text, size_t len, uint64_t most, uint64_t *out)
{
    return decimal_parse_u64((struct slice){(const uint8_t *)text, len}, out) && *out <= most;
}

/* "a" or "a:b"; a single number counts for both. */
static bool parse_pair(const char *text, bool single, uint64_t most, uint32_t *first, uint32_t *second)
{
    uint64_t a, b;
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (!parse_number(text, len, most, &a)) return false;
    if (!colon && !single) return false;
    b = a;
    if (colon && !parse_number(colon + 1, strlen(colon + 1), most, &b)) return false;
    *first = (uint32_t)a;
    *second = (uint32_t)b;
    return true;
}

#define RDMA_SCHEME "rdma://"

static bool has_scheme(const struct bench_options *o)
{
    return strncmp(o->server, RDMA_SCHEME, sizeof RDMA_SCHEME - 1) == 0;
}

static int plan_server(struct bench_plan *plan, FILE *err)
{
    const char *text = plan->options.server + (has_scheme(&plan->options) ? sizeof RDMA_SCHEME - 1 : 0);
    const char *colon = strrchr(text, ':'), *end = colon;
    uint64_t port;
    if (!colon || !parse_number(colon + 1, strlen(colon + 1), 65535, &port) || port == 0) goto bad;
    if (*text == '[' && end > text && end[-1] == ']') {
        text++;
        end--;
    }
    if (end == text || (size_t)(end - text) >= sizeof plan->server_address) goto bad;
    memcpy(plan->server_address, text, (size_t)(end - text));
    plan->server_port = (uint16_t)port;

    struct in_addr v4;
    struct in6_addr v6;
    bool numeric =
        inet_pton(AF_INET, plan->server_address, &v4) == 1 || inet_pton(AF_INET6, plan->server_address, &v6) == 1;
    if (!numeric) goto bad;
    return 0;
bad:
    return refuse(err, "server: got '%s', takes a numeric address and a port, e.g. 127.0.0.1:11211",
                  plan->options.server);
}

/* The device's name: given, or the first part of the first --vdev, or the first --allow. */
static int plan_device(struct bench_plan *plan, FILE *err)
{
    const struct bench_options *o = &plan->options;
    const char *from = o->vdev.count ? o->vdev.items[0] : o->allow.count ? o->allow.items[0] : "";
    if (*o->device) from = o->device;
    if (!*from) return refuse(err, "a DPDK device is needed: give --vdev or --allow");
    snprintf(plan->device, sizeof plan->device, "%.*s", (int)strcspn(from, ","), from);
    return 0;
}

static int plan_cpus(struct bench_plan *plan, FILE *err)
{
    const char *text = plan->options.cpu;
    for (uint32_t i = 0; i < BENCH_THREADS_MAX; i++) plan->cpus[i] = -1;
    for (uint32_t i = 0; *text && i < BENCH_THREADS_MAX; i++) {
        uint64_t cpu;
        size_t len = strcspn(text, ",");
        if (!parse_number(text, len, 4095, &cpu))
            return refuse(err, "cpu: got '%s', takes processor numbers separated by commas", plan->options.cpu);
        plan->cpus[i] = (int)cpu;
        text += len;
        if (*text == ',') text++;
    }
    return 0;
}

static enum value_verify verify_of(const char *word)
{
    if (strcmp(word, "full") == 0 || strcmp(word, "yes") == 0) return VALUE_VERIFY_FULL;
    return strcmp(word, "head") == 0 ? VALUE_VERIFY_HEAD : VALUE_VERIFY_NONE;
}

static enum reactor_poll poll_of(const struct bench_plan *plan)
{
    const char *word = plan->options.poll;
    if (strcmp(word, "busy") == 0) return REACTOR_BUSY;
    if (strcmp(word, "adaptive") == 0) return REACTOR_ADAPTIVE;
    return plan->transport != BENCH_KERNEL || plan->options.rate > 0 ? REACTOR_BUSY : REACTOR_ADAPTIVE;
}

#define VALUE_SIZE_MAX (16u << 20)

#define AUTH_MAX 80u /* of each: both fit a small buffer */

static int plan_auth(const struct bench_plan *plan, FILE *err)
{
    const struct bench_options *o = &plan->options;
    if (*o->user && !*o->password) return refuse(err, "user: takes a --password");
    if (*o->password && plan->protocol != CODEC_RESP)
        return refuse(err, "password: takes --protocol resp: memcached's text protocol has none");
    if (strlen(o->password) > AUTH_MAX) return refuse(err, "password: takes at most %u bytes", AUTH_MAX);
    if (strlen(o->user) > AUTH_MAX) return refuse(err, "user: takes at most %u bytes", AUTH_MAX);
    return 0;
}

static int plan_onesided(const struct bench_plan *plan, FILE *err)
{
    if (!plan->options.onesided) return 0;
    if (plan->transport != BENCH_RDMA) return refuse(err, "onesided: takes --transport rdma");
    if (plan->pipeline > ONESIDED_DEPTH_MAX)
        return refuse(err, "onesided: takes a --pipeline of at most %u", ONESIDED_DEPTH_MAX);
    return 0;
}

static int plan_load(struct bench_plan *plan, FILE *err)
{
    const struct bench_options *o = &plan->options;
    if (!parse_pair(o->value_size, true, VALUE_SIZE_MAX, &plan->value_min, &plan->value_max) || plan->value_min == 0 ||
        plan->value_min > plan->value_max)
        return refuse(err, "value-size: got '%s', takes bytes 1..%u or min:max", o->value_size, VALUE_SIZE_MAX);
    if (!parse_pair(o->ratio, false, 1000000, &plan->sets, &plan->gets) || plan->sets + plan->gets == 0)
        return refuse(err, "ratio: got '%s', takes sets:gets, e.g. 1:9", o->ratio);
    if (o->connections < o->threads)
        return refuse(err, "connections: got %u, takes at least one for each of %u threads", (unsigned)o->connections,
                      (unsigned)o->threads);
    if (o->fast_open && o->reconnect == 0)
        return refuse(err, "fast-open: concerns connections opened under load, takes --reconnect");
    if (o->fast_open && plan->transport == BENCH_RDMA)
        return refuse(err, "fast-open: there is none with --transport rdma");
    if (o->server_stats && plan->protocol != CODEC_MEMCACHE)
        return refuse(err, "server-stats: takes --protocol memcache");
    plan->keys = (uint32_t)o->keys;
    plan->key_len = (uint32_t)o->key_size;
    plan->load = strcmp(o->load, "auto") == 0 ? plan->gets > 0 : strcmp(o->load, "yes") == 0;
    if (o->duration == 0 && !plan->load) return refuse(err, "duration: 0 means load only, takes --load yes");
    return 0;
}

const char *const bench_transport_names[] = {[BENCH_KERNEL] = "kernel", [BENCH_TCP] = "tcp", [BENCH_RDMA] = "rdma"};

static enum bench_transport transport_of(const struct bench_options *o)
{
    if (strcmp(o->transport, "tcp") == 0) return BENCH_TCP;
    return strcmp(o->transport, "rdma") == 0 || has_scheme(o) ? BENCH_RDMA : BENCH_KERNEL;
}

static int plan_fill(struct bench_plan *plan, FILE *err)
{
    const struct bench_options *o = &plan->options;
    int rc;
    plan->protocol = strcmp(o->protocol, "resp") == 0 ? CODEC_RESP : CODEC_MEMCACHE;
    plan->transport = transport_of(o);
    plan->poll = poll_of(plan);
    plan->verify = verify_of(o->verify);
    plan->threads = (uint32_t)o->threads;
    plan->connections = (uint32_t)o->connections;
    plan->pipeline = (uint32_t)o->pipeline;
    plan->warmup_ns = o->duration == 0 ? 0 : o->warmup;
    plan->duration_ns = o->duration;
    plan->hard_stop_ns = o->hard_stop ? o->hard_stop : o->warmup + o->duration + 60000000000u;
    if ((rc = plan_cpus(plan, err)) != 0) return rc;
    if (o->ping || o->ping_serve) return plan_device(plan, err);
    if ((rc = plan_server(plan, err)) != 0) return rc;
    if (plan->transport == BENCH_TCP && has_scheme(o))
        return refuse(err, "server: got '%s', takes no " RDMA_SCHEME " with --transport tcp", o->server);
    if ((rc = plan_auth(plan, err)) != 0) return rc;
    if ((rc = plan_onesided(plan, err)) != 0) return rc;
    if ((rc = plan_load(plan, err)) != 0) return rc;
    return plan->transport == BENCH_TCP ? plan_device(plan, err) : 0;
}

int bench_plan_parse(struct bench_plan *plan, int argc, char **argv, FILE *err)
{
    memset(plan, 0, sizeof *plan);
    int rc = options_parse(bench_option_rows, bench_option_row_count, &plan->options, argc, argv, NULL, err);
    if (rc != 0) return rc;
    rc = plan_fill(plan, err);
    if (rc != 0) bench_plan_free(plan);
    return rc;
}

void bench_plan_free(struct bench_plan *plan)
{
    options_free(bench_option_rows, bench_option_row_count, &plan->options);
}
