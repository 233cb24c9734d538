/*
 * A strict client of Valkey over RDMA (rdma_pair.h): what it is asked to do it does, and anything that a server may not
 * do ends it with a message and status 1.
 *
 *   rdma_client ADDRESS PORT redis|memcache values        SETs and GETs of 1 byte to 1 MB
 *   rdma_client ADDRESS PORT redis|memcache pairs N R     N pairs at a time, R rounds of pipelined SETs and GETs on
 * each rdma_client ADDRESS PORT redis|memcache small         answers into buffers so small that each is cut at every
 * byte rdma_client ADDRESS PORT redis|memcache ends          requests that lie across the end of the server's buffer,
 * at every byte rdma_client ADDRESS PORT redis|memcache slow          a reader that stops reading; others are served
 * meanwhile rdma_client ADDRESS PORT redis|memcache idle          keepalives, and features when asked for rdma_client
 * ADDRESS PORT redis|memcache churn N       connects, asks and disconnects N times rdma_client ADDRESS PORT
 * redis|memcache die N         kills itself at a point that N names, in the middle of a write
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/guest/rdma_pair.h"

#define BUFFER (256u << 10)
#define VALUE_MOST (1u << 20)
#define PIPELINE 16u
#define PAIRS_MOST 64
#define ANSWER_MOST 128u

struct client {
    const char *address, *port;
    bool memcache;
    uint8_t *value, *back; /* [VALUE_MOST] */
};

static void fill(uint8_t *value, uint32_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (uint32_t i = 0; i < len; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        value[i] = (uint8_t)(x >> 32);
    }
}

static struct pair *client_open(const struct client *c, uint32_t buffer_bytes)
{
    return pair_open(c->address, c->port, buffer_bytes);
}

/* ---- requests and answers ---- */

static void expect(struct pair *p, const char *want)
{
    char got[ANSWER_MOST];
    size_t len = strlen(want);
    pair_read(p, got, len);
    if (memcmp(got, want, len) != 0) pair_fail("answer '%.*s' instead of '%s'", (int)len, got, want);
}

/* What stands before a SET's value; returns its length. */
static uint32_t set_head(const struct client *c, char head[ANSWER_MOST], const char *key, uint32_t len)
{
    int n = c->memcache
                ? snprintf(head, ANSWER_MOST, "set %s 0 0 %u\r\n", key, len)
                : snprintf(head, ANSWER_MOST, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%u\r\n", strlen(key), key, len);
    return (uint32_t)n;
}

static void set_send(const struct client *c, struct pair *p, const char *key, const uint8_t *value, uint32_t len)
{
    char head[ANSWER_MOST];
    pair_send(p, head, set_head(c, head, key, len));
    pair_send(p, value, len);
    pair_send(p, "\r\n", 2);
}

static void set_answer(const struct client *c, struct pair *p)
{
    expect(p, c->memcache ? "STORED\r\n" : "+OK\r\n");
}

static void get_send(const struct client *c, struct pair *p, const char *key)
{
    char request[ANSWER_MOST];
    int n = c->memcache ? snprintf(request, sizeof request, "get %s\r\n", key)
                        : snprintf(request, sizeof request, "*2\r\n$3\r\nGET\r\n$%zu\r\n%s\r\n", strlen(key), key);
    pair_send(p, request, (size_t)n);
}

static void get_answer(const struct client *c, struct pair *p, const char *key, const uint8_t *value, uint32_t len)
{
    char head[ANSWER_MOST];
    if (c->memcache)
        snprintf(head, sizeof head, "VALUE %s 0 %u\r\n", key, len);
    else
        snprintf(head, sizeof head, "$%u\r\n", len);
    expect(p, head);
    pair_read(p, c->back, len);
    if (memcmp(c->back, value, len) != 0) pair_fail("key %s, %u bytes: another value came back", key, len);
    expect(p, c->memcache ? "\r\nEND\r\n" : "\r\n");
}

static void set_and_get(const struct client *c, struct pair *p, const char *key, uint32_t len, uint64_t seed)
{
    fill(c->value, len, seed);
    set_send(c, p, key, c->value, len);
    set_answer(c, p);
    get_send(c, p, key);
    get_answer(c, p, key, c->value, len);
}

/* ---- what it can be asked to do ---- */

static void run_values(const struct client *c, int n, int rounds)
{
    (void)n, (void)rounds;
    static const uint32_t lens[] = {1,    2,    31,   32,    255,   256,   257,    1000,
                                    4095, 4096, 4097, 65535, 65536, 65537, 262145, VALUE_MOST};
    const size_t count = sizeof lens / sizeof *lens;
    for (int plain = 0; plain < 2; plain++) {
        struct pair *p = client_open(c, BUFFER);
        p->plain = plain;
        for (size_t i = 0; i < (plain ? count - 1 : count); i++) set_and_get(c, p, "value", lens[i], i + 100);
        pair_close(&p);
    }
}

/* Different on each pair and in each round. */
static uint32_t small_len(int pair, int round, unsigned i)
{
    return 1 + (uint32_t)(pair * 31 + round * 7) % 900 + i;
}

static void round_send(const struct client *c, struct pair *p, int pair, int round)
{
    char key[32];
    for (unsigned i = 0; i < PIPELINE; i++) {
        uint32_t len = small_len(pair, round, i);
        snprintf(key, sizeof key, "pair%d.%u", pair, i);
        fill(c->value, len, (uint64_t)len + i);
        set_send(c, p, key, c->value, len);
        get_send(c, p, key);
    }
}

static void round_answer(const struct client *c, struct pair *p, int pair, int round)
{
    char key[32];
    for (unsigned i = 0; i < PIPELINE; i++) {
        uint32_t len = small_len(pair, round, i);
        snprintf(key, sizeof key, "pair%d.%u", pair, i);
        fill(c->value, len, (uint64_t)len + i);
        set_answer(c, p);
        get_answer(c, p, key, c->value, len);
    }
}

static void run_pairs(const struct client *c, int n, int rounds)
{
    struct pair *pairs[PAIRS_MOST];
    if (n < 1 || n > PAIRS_MOST) pair_fail("1 to %d pairs", PAIRS_MOST);
    for (int k = 0; k < n; k++) pairs[k] = client_open(c, 16384u + (uint32_t)k * 1001u);
    for (int round = 0; round < rounds; round++) {
        for (int k = 0; k < n; k++) round_send(c, pairs[k], k, round);
        for (int k = 0; k < n; k++) round_answer(c, pairs[k], k, round);
    }
    for (int k = 0; k < n; k++) pair_close(&pairs[k]);
}

static void run_small(const struct client *c, int n, int rounds)
{
    (void)n, (void)rounds;
    static const uint32_t buffers[] = {1, 2, 7, 33, 64, 333};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        struct pair *p = client_open(c, buffers[i]);
        for (uint32_t len = 1; len <= 20; len++) set_and_get(c, p, "small", len, len);
        set_and_get(c, p, "small", buffers[i] * 20, i);
        pair_close(&p);
    }
}

/* Brings the server's buffer to `left` bytes before its end by a value of the right length. */
static void approach(const struct client *c, struct pair *p, uint32_t left)
{
    char head[ANSWER_MOST];
    uint32_t room = p->peer_bytes - p->peer_filled;
    if (room < left + 200) {
        set_and_get(c, p, "fill", room, left);
        room = p->peer_bytes - p->peer_filled;
    }
    uint32_t len = room - left;
    while (set_head(c, head, "fill", len) + len + 2 > room - left) len--; /* a request of all but the last bytes */
    fill(c->value, len, left);
    set_send(c, p, "fill", c->value, len);
    set_answer(c, p);
}

static void run_ends(const struct client *c, int n, int rounds)
{
    (void)n, (void)rounds;
    struct pair *p = client_open(c, BUFFER);
    for (uint32_t left = 0; left <= 64; left++) {
        approach(c, p, left);
        set_and_get(c, p, "across", 20, left);
    }
    pair_close(&p);
}

/* All answers that it did not read come when it does, whole; none before. */
static void run_slow(const struct client *c, int n, int rounds)
{
    (void)n, (void)rounds;
    const uint32_t len = 100000;
    const int asked = 20;
    struct pair *slow = client_open(c, 65536), *other = client_open(c, BUFFER);
    set_and_get(c, other, "slow", len, 77);
    slow->hold = true;
    for (int i = 0; i < asked; i++) get_send(c, slow, "slow");
    for (uint32_t i = 0; i < 50; i++) {
        set_and_get(c, other, "other", 1 + i * 100, i);
        pair_pump(slow, 1);
    }
    for (int i = 0; i < 200 && slow->filled < slow->buffer_bytes; i++) pair_pump(slow, 50);
    if (slow->filled != slow->buffer_bytes || slow->inbox_len != slow->buffer_bytes)
        pair_fail("%u bytes of %u in the buffer of one who does not read", slow->filled, slow->buffer_bytes);
    slow->hold = false;
    pair_register(slow);
    fill(c->value, len, 77);
    for (int i = 0; i < asked; i++) get_answer(c, slow, "slow", c->value, len);
    pair_close(&slow);
    pair_close(&other);
}

static void run_idle(const struct client *c, int n, int rounds)
{
    (void)n, (void)rounds;
    struct pair *p = client_open(c, BUFFER);
    set_and_get(c, p, "idle", 10, 1);
    pair_ask_features(p);
    for (int i = 0; i < 300 && (p->keepalives < 2 || p->features_asked > 0); i++) pair_pump(p, 100);
    if (p->keepalives < 2) pair_fail("%u keepalives in half a minute", p->keepalives);
    if (p->features_asked > 0) pair_fail("no answer to a question for features");
    set_and_get(c, p, "idle", 10, 2);
    pair_close(&p);
}

static void run_churn(const struct client *c, int n, int rounds)
{
    (void)rounds;
    for (int i = 0; i < n; i++) {
        struct pair *p = client_open(c, 4096u + (uint32_t)i);
        set_and_get(c, p, "churn", 1 + (uint32_t)i * 10, (uint64_t)i);
        pair_close(&p);
    }
}

/* With up to four fifths of a value written; every other time with answers on their way that it does not read, for
 * which a server stops reading too. */
static void run_die(const struct client *c, int n, int rounds)
{
    (void)rounds;
    char head[ANSWER_MOST];
    struct pair *p = client_open(c, 65536);
    uint32_t written = VALUE_MOST / 5 * ((uint32_t)n % 5);
    fill(c->value, VALUE_MOST, (uint64_t)n);
    if (n % 2) {
        written = 1000 * (uint32_t)n;
        set_and_get(c, p, "died", 100000, 5);
        p->hold = true;
        for (int i = 0; i < 10; i++) get_send(c, p, "died");
    }
    pair_send(p, head, set_head(c, head, "dying", VALUE_MOST));
    pair_send(p, c->value, written);
    raise(SIGKILL);
}

static const struct {
    const char *name;
    void (*run)(const struct client *c, int n, int rounds);
} tasks[] = {{"values", run_values}, {"pairs", run_pairs}, {"small", run_small}, {"ends", run_ends},
             {"slow", run_slow},     {"idle", run_idle},   {"churn", run_churn}, {"die", run_die}};

int main(int argc, char **argv)
{
    struct client c = {.value = malloc(VALUE_MOST), .back = malloc(VALUE_MOST)};
    if (argc < 5 || !c.value || !c.back) pair_fail("takes ADDRESS PORT redis|memcache TASK [N [ROUNDS]]");
    c.address = argv[1];
    c.port = argv[2];
    c.memcache = strcmp(argv[3], "memcache") == 0;
    pair_doing = argv[4];
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        if (strcmp(argv[4], tasks[i].name) != 0) continue;
        tasks[i].run(&c, argc > 5 ? atoi(argv[5]) : 0, argc > 6 ? atoi(argv[6]) : 0);
        free(c.value);
        free(c.back);
        return 0;
    }
    pair_fail("no such task");
}
