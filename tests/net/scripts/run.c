/* Lines, time and frames of a script. */
#include "tests/net/scripts/run.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_ip.h>
#include "tests/net/scripts/parse.h"
#include "tests/support/eal.h"

#define TIMER_LOOPS 2000000u /* turns in one wait */
#define SPINS 1000u          /* turns at one moment without a frame: the stack spins */

void run_fail(struct run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    longjmp(r->failed, 1);
}

void run_trace(struct run *r, const char *format, ...)
{
    va_list args;
    if (r->trace_count == RUN_TRACE) return;
    char *text = r->trace[r->trace_count++];
    int n = snprintf(text, RUN_TEXT, "%13.6f ms  ", (double)(r->now - RUN_START_NS) / 1e6);
    va_start(args, format);
    vsnprintf(text + n, RUN_TEXT - (size_t)n, format, args);
    va_end(args);
}

struct rte_mempool *run_pool(struct run *r, unsigned i)
{
    return i == 0 ? r->pools.frame : i == 1 ? r->pools.small : r->pools.ref;
}

/* ---- the wire ---- */

static void capture(void *arg, struct rte_mbuf **frames, uint16_t n)
{
    struct run *r = arg;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = frames[i];
        struct run_frame *f = &r->frames[r->tail % RUN_FRAMES];
        if (r->tail - r->head == RUN_FRAMES)
            run_fail(r, "the stack sent more than %u frames that no line expects", RUN_FRAMES);
        *f = (struct run_frame){.bytes = malloc(m->pkt_len), .len = m->pkt_len, .at = r->now};
        f->unchecked = m->ol_flags & (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM);
        const void *linear = f->bytes ? rte_pktmbuf_read(m, 0, m->pkt_len, f->bytes) : NULL;
        if (!linear) run_fail(r, "a frame's segments are shorter than its length");
        if (linear != f->bytes) memcpy(f->bytes, linear, f->len);
        r->tail++;
        rte_pktmbuf_free(m);
    }
}

static struct packet decoded(struct run *r, const struct run_frame *f)
{
    struct packet p;
    char why[RUN_TEXT];
    uint32_t most = r->config.mtu + 14u + (f->len > 14 && f->bytes[12] == 0x81 ? 4u : 0u);
    if (!frame_decode(r->peer, f->bytes, f->len, f->unchecked, &p, why, sizeof why))
        run_fail(r, "the stack sent a bad frame: %s", why);
    if (f->len > most) run_fail(r, "the stack sent a frame of %u bytes at an MTU of %u", f->len, r->config.mtu);
    return p;
}

static void mac_write(const uint8_t *mac, char text[PACKET_WORD])
{
    snprintf(text, PACKET_WORD, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* What hosts tell one another about neighbours, groups and routers: no script is about it unless it says so. */
static bool is_chatter(const struct packet *p)
{
    int64_t type = packet_get(p, PACKET_TYPE, 0);
    if (p->kind == PACKET_ARP) return type == 1;
    if (p->kind == PACKET_ICMP6) return type == 131 || type == 143; /* listener reports */
    return p->kind == PACKET_ND && (type != 136 || strcmp(p->word[PACKET_W_DST], "ff02::1") == 0);
}

static void arp_answer(struct run *r, const struct packet *p)
{
    struct packet answer = {.kind = PACKET_ARP};
    char ip[PACKET_WORD];
    for (unsigned i = 0; i < r->peer_count; i++) {
        inet_ntop(AF_INET, r->peers[i].ip, ip, sizeof ip);
        if (r->peers[i].v6 || strcmp(p->word[PACKET_W_TPA], ip) != 0) continue;
        packet_set(&answer, PACKET_TYPE, 2);
        strcpy(answer.word[PACKET_W_SPA], ip);
        mac_write(r->peers[i].mac, answer.word[PACKET_W_SHA]);
        run_inject(r, &answer);
        return;
    }
}

static void nd_answer(struct run *r, const struct packet *p)
{
    struct packet answer = {.kind = PACKET_ND};
    if (packet_get(p, PACKET_TYPE, 0) != 135 || strcmp(p->word[PACKET_W_SRC], "::") == 0) return;
    packet_set(&answer, PACKET_TYPE, 136);
    packet_set(&answer, PACKET_NAFLAGS, 3); /* solicited, override */
    strcpy(answer.word[PACKET_W_SRC], p->word[PACKET_W_TARGET]);
    strcpy(answer.word[PACKET_W_DST], p->word[PACKET_W_SRC]);
    strcpy(answer.word[PACKET_W_TARGET], p->word[PACKET_W_TARGET]);
    mac_write(r->peer->mac, answer.word[PACKET_W_TLL]);
    run_inject(r, &answer);
}

/* Takes the first frame of chatter out of the queue. False: there is none. */
static bool chatter_take(struct run *r, struct packet *out)
{
    for (uint32_t i = r->head; i != r->tail; i++) {
        const struct run_frame *f = &r->frames[i % RUN_FRAMES];
        if (f->len < 14 || (f->bytes[12] == 0x08 && f->bytes[13] == 0)) continue;
        *out = decoded(r, f);
        if (!is_chatter(out)) continue;
        free(f->bytes);
        for (uint32_t k = i; k + 1 != r->tail; k++) r->frames[k % RUN_FRAMES] = r->frames[(k + 1) % RUN_FRAMES];
        r->tail--;
        return true;
    }
    return false;
}

void run_turn(struct run *r)
{
    if (r->hold) return;
    net_stack_output(r->stack, r->now);
    struct packet p;
    while (!r->manual_neighbours && chatter_take(r, &p)) {
        if (p.kind == PACKET_ARP)
            arp_answer(r, &p);
        else
            nd_answer(r, &p);
    }
}

static struct rte_mbuf *device_buffer(struct run *r)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(r->pools.frame);
    if (m || r->taken_count[0] == 0) return m;
    rte_pktmbuf_free(
        r->taken[0][--r->taken_count[0]]); /* the device has a buffer left where the script has taken all */
    return rte_pktmbuf_alloc(r->pools.frame);
}

static void burst_flush(struct run *r)
{
    unsigned n = r->burst_count;
    if (n == 0) return;
    r->burst_count = 0;
    net_stack_input(r->stack, r->burst, (uint16_t)n, r->now);
    run_turn(r);
}

static void burst_add(struct run *r, const struct packet *p)
{
    uint8_t frame[PACKET_BYTES];
    char text[PACKET_TEXT];
    uint32_t now_ms = (uint32_t)((r->now - RUN_START_NS) / 1000000) + 1000;
    uint32_t len = frame_encode(r->peer, p, now_ms, frame);
    packet_format(p, false, text, sizeof text);
    run_trace(r, "<%s", text);
    struct rte_mbuf *m = device_buffer(r);
    if (!m) run_fail(r, "no buffer is left for the peer's frame: the stack holds them all");
    uint8_t *at = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
    if (!at) run_fail(r, "the peer's frame of %u bytes is larger than a buffer", len);
    memcpy(at, frame, len);
    if (r->burst_count == RUN_BURST) run_fail(r, "a burst of more than %u frames", RUN_BURST);
    r->burst[r->burst_count++] = m;
}

void run_inject(struct run *r, const struct packet *p)
{
    burst_add(r, p);
    burst_flush(r);
}

void run_until(struct run *r, uint64_t until, bool stop)
{
    unsigned spins = 0;
    for (unsigned loops = 0; !(stop && r->head != r->tail); loops++) {
        uint64_t at = net_stack_deadline(r->stack);
        if (at > until) break;
        if (at > r->now) {
            r->now = at;
            spins = 0;
        }
        if (++spins > SPINS || loops > TIMER_LOOPS) run_fail(r, "the stack's timers spin");
        net_stack_timers(r->stack, r->now);
        run_turn(r);
        if (!stop && r->head != r->tail) break;
    }
    if (r->head == r->tail && r->now < until) r->now = until;
}

/* ---- the stack ---- */

static struct peer *peer_of(struct run *r, const struct stream *s)
{
    char text[128];
    s->ops->peer(s, text, sizeof text);
    const char *colon = strrchr(text, ':');
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    for (unsigned i = 0; i < r->peer_count; i++)
        if (r->peers[i].port == port && (strchr(text, '[') || strchr(text, '.') != colon) && !r->peers[i].accepted)
            return &r->peers[i];
    return NULL;
}

static void accepted(void *arg, struct stream *s)
{
    struct run *r = arg;
    struct peer *peer = peer_of(r, s);
    if (!peer) run_fail(r, "a connection of nobody was accepted");
    run_trace(r, "  accepted (%s)", peer->name);
    peer->stream = s;
    peer->accepted = true;
    s->user = peer;
}

void run_stack(struct run *r)
{
    if (r->stack) return;
    uint32_t room = r->config.mtu + 128u > 2048 ? r->config.mtu + 128u : 2048;
    test_pools_create(&r->pools, r->pool_count, room);
    int rc = net_stack_create(&r->stack, &r->config);
    if (rc != 0) run_fail(r, "no stack with this configuration: %s", strerror(-rc));
    r->metrics_seen = *net_stack_metrics(r->stack);
    run_turn(r);
}

static void peer_init(struct run *r, struct peer *peer, const char *name)
{
    *peer = (struct peer){.ip = {10, 0, 0, 2}, .stack_ip = {10, 0, 0, 1}, .mac = {2, 0, 0, 0, 0, 2}};
    snprintf(peer->name, sizeof peer->name, "%s", name);
    memcpy(peer->stack_mac, r->config.mac, 6);
    peer->port = (uint16_t)(4000 + (peer - r->peers));
    peer->stack_port = 7;
    peer->win = 65535;
    peer->iss = 0xfffff000u; /* so that the numbers wrap early */
    if (r->peer) strcpy(peer->cookie, r->peer->cookie);
}

static void frames_drop(struct run *r)
{
    for (; r->head != r->tail; r->head++) free(r->frames[r->head % RUN_FRAMES].bytes);
}

static void start(struct run *r)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    net_stack_config_default(&r->config);
    r->config.quick_acks = 0; /* most scripts count on the timer */
    net_stack_config_address(&r->config, net_addr_v4(RTE_IPV4(10, 0, 0, 1)), 24);
    memcpy(r->config.mac, mac, 6);
    r->config.secret[0] = 1;
    r->config.secret[1] = 2;
    r->config.max_connections = 64;
    r->config.loop = &r->loop;
    r->config.pools = &r->pools;
    r->config.tx = capture;
    r->config.tx_arg = r;
    r->pool_count = 511;
    r->now = RUN_START_NS;
    r->tolerance = RUN_TOLERANCE_NS;
    peer_init(r, r->peers, "a");
    r->peer = r->peers;
    r->peer_count = 1;
}

/* Returns the buffers that the stack has lost. */
static uint32_t stop(struct run *r)
{
    frames_drop(r);
    rte_pktmbuf_free_bulk(r->burst, r->burst_count);
    for (unsigned i = 0; i < 3; i++) {
        rte_pktmbuf_free_bulk(r->taken[i], r->taken_count[i]);
        free(r->taken[i]);
    }
    net_stack_destroy(&r->stack);
    uint32_t leaked = r->pools.frame ? buf_pools_in_use(&r->pools) : 0;
    if (r->pools.frame) buf_pools_destroy(&r->pools);
    return leaked;
}

/* ---- lines ---- */

int64_t run_value(struct run *r, const char *text)
{
    int64_t value;
    const char *p = text;
    if (!value_parse(&r->scope, &p, &value) || *p) run_fail(r, "no number: %s", text);
    return value;
}

struct packet_range run_range(struct run *r, const char *text)
{
    struct packet_range range;
    if (!value_range(&r->scope, text, &range)) run_fail(r, "neither a number nor a range: %s", text);
    return range;
}

static struct packet packet_of(struct run *r, char **words, unsigned n)
{
    struct packet p;
    char why[RUN_TEXT];
    if (!parse_packet(&r->scope, words + 1, n - 1, &p, why, sizeof why)) run_fail(r, "%s", why);
    if (p.kind <= PACKET_UDP) p.v6 = r->peer->v6;
    return p;
}

static void no_stray(struct run *r)
{
    if (r->head == r->tail) return;
    const struct run_frame *f = &r->frames[r->head % RUN_FRAMES];
    char text[PACKET_TEXT];
    struct packet p = decoded(r, f);
    packet_format(&p, true, text, sizeof text);
    run_fail(r, "the stack sent what no line expects, at %.6f ms:\n      came:    >%s",
             (double)(f->at - RUN_START_NS) / 1e6, text);
}

static void command_in(struct run *r, char **words, unsigned n)
{
    struct packet p = packet_of(r, words, n);
    burst_add(r, &p);
    burst_flush(r);
}

static void command_in_more(struct run *r, char **words, unsigned n)
{
    struct packet p = packet_of(r, words, n);
    burst_add(r, &p);
}

/* What every segment of this connection must have beside what the line says. */
static void expectation_complete(const struct run *r, struct packet *p)
{
    const struct peer *peer = r->peer;
    char mac[PACKET_WORD];
    if (p->kind != PACKET_TCP) return;
    if (!p->number[PACKET_SPORT].set && peer->stack_port) packet_set(p, PACKET_SPORT, peer->stack_port);
    if (!p->number[PACKET_DPORT].set) packet_set(p, PACKET_DPORT, peer->port);
    if (!p->number[PACKET_TSVAL].set && !p->no_ts && !p->flags_any && !p->more && !(p->flags & (S | R))) {
        if (peer->ts)
            value_range(&r->scope, "*", &p->number[PACKET_TSVAL]);
        else
            p->no_ts = true;
    }
    if (!p->number[PACKET_TSVAL].set && !p->more && p->flags & (S | R)) p->no_ts = !(p->flags & R);
    mac_write(peer->mac, mac);
    if (!p->word[PACKET_W_DMAC][0]) strcpy(p->word[PACKET_W_DMAC], mac);
}

static void command_out(struct run *r, char **words, unsigned n)
{
    struct packet p = packet_of(r, words, n);
    char want[PACKET_TEXT], got[PACKET_TEXT], why[RUN_TEXT];
    packet_format(&p, false, want, sizeof want);
    if (r->head == r->tail && r->window_to) run_until(r, r->window_to, true);
    if (r->head == r->tail) run_fail(r, "nothing was sent\n      expected: >%s", want);
    struct run_frame f = r->frames[r->head % RUN_FRAMES];
    if (p.new_isn) r->peer->stack_iss_known = false;
    struct packet came = decoded(r, &f);
    expectation_complete(r, &p);
    packet_format(&came, true, got, sizeof got);
    double at = (double)(f.at - RUN_START_NS) / 1e6;
    if (!packet_match(&p, &came, why, sizeof why))
        run_fail(r, "%s\n      expected: >%s\n      came:     >%s at %.6f ms", why, want, got, at);
    if (r->window_to && (f.at < r->window_from || f.at > r->window_to))
        run_fail(r, "it came at %.6f ms, not within %.6f to %.6f ms\n      expected: >%s", at,
                 (double)(int64_t)(r->window_from - RUN_START_NS) / 1e6, (double)(r->window_to - RUN_START_NS) / 1e6,
                 want);
    run_trace(r, ">%s", got);
    free(f.bytes);
    r->head++;
}

static void command_use(struct run *r, char **words, unsigned n)
{
    struct peer *peer = NULL;
    if (n < 2) run_fail(r, "use NAME [port N] [ip ADDRESS] [mac MAC] [to ADDRESS] [iss N]");
    for (unsigned i = 0; i < r->peer_count; i++)
        if (strcmp(r->peers[i].name, words[1]) == 0) peer = &r->peers[i];
    if (!peer) {
        if (r->peer_count == RUN_PEERS) run_fail(r, "more than %u peers", RUN_PEERS);
        peer = &r->peers[r->peer_count++];
        peer_init(r, peer, words[1]);
    }
    for (unsigned i = 2; i + 1 < n; i += 2) {
        char text[PACKET_WORD];
        bool address = strcmp(words[i], "ip") == 0 || strcmp(words[i], "to") == 0;
        if (strcmp(words[i], "port") == 0)
            peer->port = (uint16_t)run_value(r, words[i + 1]);
        else if (strcmp(words[i], "listener") == 0)
            peer->stack_port = (uint16_t)run_value(r, words[i + 1]);
        else if (strcmp(words[i], "iss") == 0)
            peer->iss = (uint32_t)run_value(r, words[i + 1]);
        else if (strcmp(words[i], "mac") == 0 && parse_mac(words[i + 1], peer->mac))
            continue;
        else if (address && parse_word('a', words[i + 1], text)) {
            peer->v6 = strchr(text, ':') != NULL;
            inet_pton(peer->v6 ? AF_INET6 : AF_INET, text, words[i][0] == 'i' ? peer->ip : peer->stack_ip);
        } else
            run_fail(r, "use: %s %s", words[i], words[i + 1]);
    }
    r->peer = peer;
}

static void command_neighbours(struct run *r, char **words, unsigned n)
{
    if (n != 2) run_fail(r, "neighbours manual|auto");
    r->manual_neighbours = strcmp(words[1], "manual") == 0;
}

int run_listen(struct run *r, uint16_t port)
{
    return net_listen(r->stack, port, accepted, r);
}

static void command_listen(struct run *r, char **words, unsigned n)
{
    int rc = run_listen(r, n > 1 ? (uint16_t)run_value(r, words[1]) : 7);
    if (rc != 0) run_fail(r, "listen: %s", strerror(-rc));
}

static void command_none(struct run *r, char **words, unsigned n)
{
    (void)r;
    (void)words;
    (void)n;
}

static const struct run_command wire_commands[] = {
    {"<", command_in, "a packet from the peer"},
    {"<+", command_in_more, "a packet from the peer, in one burst with the next"},
    {">", command_out, "a packet of the stack"},
    {"use", command_use, "the peer that the next lines speak of"},
    {"neighbours", command_neighbours, "manual: the script answers ARP and ND itself"},
    {"listen", command_listen, "on a port"},
    {"nothing", command_none, "only time passes"},
    {NULL, NULL, NULL},
};

static const struct run_command *command_find(const char *name)
{
    const struct run_command *const tables[] = {wire_commands, run_call_commands, run_check_commands};
    for (unsigned t = 0; t < 3; t++)
        for (const struct run_command *c = tables[t]; c->name; c++)
            if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

/* "+10ms", "+10ms..12ms": when the line's frame is to come, or how long to wait before anything else. */
static void time_take(struct run *r, const char *text, bool frame)
{
    struct packet_range t = run_range(r, text);
    if (t.lo < 0) run_fail(r, "time goes forward only: %s", text);
    if (frame) {
        bool exact = t.lo == t.hi;
        r->window_from = r->now + (uint64_t)t.lo - (exact ? r->tolerance : 0);
        r->window_to = r->now + (uint64_t)t.hi + (exact ? r->tolerance : 0);
        return;
    }
    run_until(r, r->now + (uint64_t)t.lo, false);
}

static void words_run(struct run *r, char **words, unsigned n)
{
    r->window_to = 0;
    bool timed = words[0][0] == '+', frame = n > (timed ? 1u : 0u) && strcmp(words[timed ? 1 : 0], ">") == 0;
    if (!timed && strcmp(words[0], "set") == 0) {
        run_set(r, words, n);
        return;
    }
    run_stack(r);
    if (!frame) no_stray(r);
    if (timed) {
        time_take(r, words[0] + 1, frame);
        if (!frame) no_stray(r);
        words++;
        n--;
        if (n == 0) return;
    }
    const struct run_command *command = command_find(words[0]);
    if (!command) run_fail(r, "unknown command: %s", words[0]);
    if (r->burst_count && words[0][0] != '<') run_fail(r, "a burst ends with <");
    r->hold = n > 1 && strcmp(words[n - 1], "&") == 0;
    command->fn(r, words, r->hold ? n - 1 : n);
    r->hold = false;
}

static unsigned split(char *text, char **words)
{
    unsigned n = 0;
    char *save;
    text[strcspn(text, "#")] = '\0';
    for (char *w = strtok_r(text, " \t", &save); w && n < RUN_WORDS; w = strtok_r(NULL, " \t", &save)) {
        size_t len = strlen(w);
        if (len > 1 && w[len - 1] == ',') w[len - 1] = '\0';
        words[n++] = w;
    }
    return n;
}

void run_text(struct run *r, const char *format, ...)
{
    char text[RUN_TEXT], *words[RUN_WORDS];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    unsigned n = split(text, words);
    if (n) words_run(r, words, n);
}

static unsigned block_end(struct run *r, unsigned from)
{
    unsigned depth = 1;
    for (unsigned i = from; i < r->line_count; i++) {
        const char *p = r->lines[i].text + strspn(r->lines[i].text, " ");
        if (strncmp(p, "repeat ", 7) == 0) depth++;
        if (strncmp(p, "end", 3) == 0 && (p[3] == '\0' || p[3] == ' ') && --depth == 0) return i;
    }
    run_fail(r, "repeat without end");
}

static void lines_run(struct run *r, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char text[RUN_TEXT], *words[RUN_WORDS];
        r->at = i;
        snprintf(text, sizeof text, "%s", r->lines[i].text);
        unsigned n = split(text, words);
        if (n == 0) continue;
        if (strcmp(words[0], "repeat") != 0) {
            words_run(r, words, n);
            continue;
        }
        unsigned end = block_end(r, i + 1);
        if (n != 3 || words[1][0] < 'a' || words[1][0] > 'z') run_fail(r, "repeat VARIABLE FIRST..LAST");
        struct packet_range range = run_range(r, words[2]);
        int64_t *variable = &r->scope.variable[words[1][0] - 'a'];
        for (int64_t v = range.lo; v <= range.hi; v++) {
            *variable = v;
            lines_run(r, i + 1, end);
        }
        i = end;
    }
}

/* "# RFC 9293 3.5: ..." : what a script tests stands in its first line, by section. */
static bool cites(const char *line)
{
    const char *p = line;
    if (strncmp(p, "# RFC ", 6) != 0) return false;
    p += 6;
    size_t digits = strspn(p, "0123456789");
    if (digits < 3 || digits > 4 || p[digits] != ' ' || !isalnum((unsigned char)p[digits + 1])) return false;
    return strchr(p, ':') != NULL;
}

static int lines_read(struct run *r, const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t cap = 0;
    if (!file) return -errno;
    for (unsigned number = 1; getline(&text, &cap, file) >= 0; number++) {
        text[strcspn(text, "\r\n")] = '\0';
        struct run_line *lines = realloc(r->lines, (r->line_count + 1) * sizeof *lines);
        if (!lines) abort();
        r->lines = lines;
        lines[r->line_count++] = (struct run_line){strdup(text), number};
    }
    free(text);
    fclose(file);
    return 0;
}

static void script_run(struct run *r)
{
    if (r->line_count == 0 || !cites(r->lines[0].text))
        run_fail(r, "the first line cites no RFC section (\"# RFC 9293 3.5: ...\")");
    lines_run(r, 1, r->line_count);
    r->at = r->line_count - 1;
    if (!r->stack) run_fail(r, "the script does nothing");
    if (r->burst_count) run_fail(r, "a burst ends with <");
    no_stray(r);
}

int run_file(struct run *r, const char *path)
{
    memset(r, 0, sizeof *r);
    r->file = path;
    r->trace = calloc(RUN_TRACE, sizeof *r->trace);
    if (!r->trace) abort();
    int rc = lines_read(r, path);
    if (rc != 0) {
        snprintf(r->message, sizeof r->message, "%s", strerror(-rc));
        return rc;
    }
    test_eal_start();
    start(r);
    if (setjmp(r->failed) == 0) script_run(r);
    uint32_t leaked = stop(r);
    if (leaked && !r->message[0])
        snprintf(r->message, sizeof r->message, "%u buffers have not come back at the end", leaked);
    return r->message[0] ? -EPROTO : 0;
}
