/* The application's side of a script: calls, and the events that it sees. */
#include <errno.h>
#include <string.h>
#include "tests/net/scripts/run.h"

#define WRITE_PIECE 1000u

static struct stream *stream_of(struct run *r)
{
    if (!r->peer->stream) run_fail(r, "the application has no connection with %s", r->peer->name);
    return r->peer->stream;
}

static void call_accept(struct run *r, char **words, unsigned n)
{
    (void)words;
    if (n != 1) run_fail(r, "accept");
    if (!r->peer->accepted) run_fail(r, "no connection of %s was accepted", r->peer->name);
}

static void call_not_accepted(struct run *r, char **words, unsigned n)
{
    (void)words;
    (void)n;
    if (r->peer->accepted) run_fail(r, "a connection of %s was accepted", r->peer->name);
}

/* connect [PORT] [error NAME] */
static void call_connect(struct run *r, char **words, unsigned n)
{
    struct peer *peer = r->peer;
    if (n > 1) peer->port = (uint16_t)run_value(r, words[1]);
    peer->stack_port = 0;
    peer->stack_iss_known = false;
    uint32_t ip_be;
    memcpy(&ip_be, peer->ip, sizeof ip_be);
    struct net_endpoint to = {peer->v6 ? net_addr_v6(peer->ip) : net_addr_v4_be(ip_be), peer->port};
    int rc = net_connect(r->stack, to, r->now, &peer->stream);
    if (rc != 0) run_fail(r, "connect: %s", strerror(-rc));
    peer->accepted = true;
    run_trace(r, "  connect");
    run_turn(r);
}

static void call_write(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    struct buf_chain chain;
    if (n != 2) run_fail(r, "write BYTES");
    uint32_t len = (uint32_t)run_value(r, words[1]);
    buf_chain_init(&chain);
    for (uint32_t done = 0; done < len;) {
        uint32_t piece = RTE_MIN(len - done, WRITE_PIECE);
        struct rte_mbuf *m = rte_pktmbuf_alloc(r->pools.frame);
        if (!m) {
            buf_chain_free(&chain);
            run_fail(r, "no buffer to write from");
        }
        uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)piece);
        for (uint32_t i = 0; i < piece; i++) p[i] = packet_pattern(r->peer->write_at++);
        buf_chain_append(&chain, m);
        done += piece;
    }
    run_trace(r, "  write %u", len);
    s->ops->send(s, &chain);
    s->ops->flush(s);
    run_turn(r);
}

static void call_read(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    if (n != 2) run_fail(r, "read BYTES");
    uint32_t len = (uint32_t)run_value(r, words[1]);
    struct buf_cursor at = buf_chain_begin(&s->rx);
    if (s->rx.len < len) run_fail(r, "only %u bytes are there to read", s->rx.len);
    for (uint32_t i = 0; i < len; i++) {
        uint8_t byte;
        if (buf_cursor_read(&at, &byte, 1) != 1) run_fail(r, "the chain of received buffers ends early");
        if (byte != packet_pattern(r->peer->read_at))
            run_fail(r, "byte %u of what was received is %02x, not %02x", r->peer->read_at, byte,
                     packet_pattern(r->peer->read_at));
        r->peer->read_at++;
    }
    run_trace(r, "  read %u", len);
    buf_chain_consume(&s->rx, len);
    s->ops->consumed(s, len);
    run_turn(r);
}

static void call_readable(struct run *r, char **words, unsigned n)
{
    if (n != 2) run_fail(r, "readable BYTES");
    int64_t len = run_value(r, words[1]);
    if (stream_of(r)->rx.len != len) run_fail(r, "%u bytes are there to read", stream_of(r)->rx.len);
}

static void call_shutdown(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    (void)words;
    (void)n;
    run_trace(r, "  shutdown");
    s->ops->shutdown(s);
    run_turn(r);
}

static void call_close(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    (void)words;
    (void)n;
    run_trace(r, "  close");
    r->peer->stream = NULL;
    r->peer->accepted = false;
    s->ops->close(s);
    run_turn(r);
}

static void call_abort(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    (void)words;
    (void)n;
    run_trace(r, "  abort");
    r->peer->stream = NULL;
    r->peer->accepted = false;
    s->ops->abort(s);
    run_turn(r);
}

static const struct {
    const char *name;
    uint32_t bit;
} events[] = {{"connected", STREAM_CONNECTED},
              {"readable", STREAM_READABLE},
              {"writable", STREAM_WRITABLE},
              {"eof", STREAM_EOF},
              {"error", STREAM_ERROR}};

static const struct {
    const char *name;
    int value;
} errors[] = {{"ECONNRESET", ECONNRESET},   {"ECONNREFUSED", ECONNREFUSED},
              {"ETIMEDOUT", ETIMEDOUT},     {"EHOSTUNREACH", EHOSTUNREACH},
              {"ENETUNREACH", ENETUNREACH}, {"EPROTO", EPROTO},
              {"EACCES", EACCES},           {"ENOBUFS", ENOBUFS}};

static const char *error_name(int value)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].value == value) return errors[i].name;
    return strerror(value);
}

static void events_text(uint32_t bits, char *text, size_t cap)
{
    text[0] = '\0';
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (bits & events[i].bit) snprintf(text + strlen(text), cap - strlen(text), " %s", events[i].name);
    if (bits == 0) snprintf(text, cap, " none");
}

static void loop_drain(struct run *r)
{
    struct stream *s;
    while ((s = stream_loop_pop(&r->loop)) != NULL) {
        for (unsigned i = 0; i < r->peer_count; i++)
            if (r->peers[i].stream == s) r->peers[i].events_seen |= s->events;
        s->events = 0;
    }
}

/* event NAME... | event none | event error ERRNO: exactly what the application has been told since it last looked. */
static void call_event(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    uint32_t want = 0;
    char wanted[128], came[128];
    loop_drain(r);
    for (unsigned i = 1; i < n; i++) {
        uint32_t bit = 0;
        for (size_t k = 0; k < sizeof events / sizeof *events; k++)
            if (strcmp(events[k].name, words[i]) == 0) bit = events[k].bit;
        want |= bit;
        if (bit || strcmp(words[i], "none") == 0) continue;
        if (want & STREAM_ERROR && strcmp(words[i], error_name(s->error)) == 0) continue;
        run_fail(r, "the stream's error is %s", error_name(s->error));
    }
    uint32_t seen = r->peer->events_seen;
    r->peer->events_seen = 0;
    events_text(want, wanted, sizeof wanted);
    events_text(seen, came, sizeof came);
    if (want != seen)
        run_fail(r, "the application has been told otherwise\n      expected:%s\n      came:    %s", wanted, came);
}

static void call_want_writable(struct run *r, char **words, unsigned n)
{
    struct stream *s = stream_of(r);
    if (n != 2) run_fail(r, "want-writable LOW-WATER");
    s->tx_low_water = (uint32_t)run_value(r, words[1]);
    s->want_writable = true;
}

static unsigned pool_named(struct run *r, const char *name)
{
    static const char *const names[] = {"frame", "small", "ref"};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0) return i;
    run_fail(r, "no pool: %s", name);
}

/* take POOL COUNT|all: the pool runs dry. */
static void call_take(struct run *r, char **words, unsigned n)
{
    if (n != 3) run_fail(r, "take frame|small|ref COUNT|all");
    unsigned i = pool_named(r, words[1]);
    uint32_t want = strcmp(words[2], "all") == 0 ? r->pool_count : (uint32_t)run_value(r, words[2]);
    if (!r->taken[i]) r->taken[i] = calloc(r->pool_count, sizeof *r->taken[i]);
    if (!r->taken[i]) abort();
    for (uint32_t k = 0; k < want && r->taken_count[i] < r->pool_count; k++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(run_pool(r, i));
        if (!m) break;
        r->taken[i][r->taken_count[i]++] = m;
    }
    run_trace(r, "  take %s %s", words[1], words[2]);
}

static void call_give(struct run *r, char **words, unsigned n)
{
    if (n != 2) run_fail(r, "give frame|small|ref");
    unsigned i = pool_named(r, words[1]);
    rte_pktmbuf_free_bulk(r->taken[i], r->taken_count[i]);
    r->taken_count[i] = 0;
    run_trace(r, "  give %s", words[1]);
}

static void fields_join(char **words, unsigned from, unsigned n, char *text, size_t cap)
{
    text[0] = '\0';
    for (unsigned i = from; i < n; i++) snprintf(text + strlen(text), cap - strlen(text), " %s", words[i]);
}

/* open FIELDS: the peer opens with these fields in its SYN, and the application has the connection. */
static void call_open(struct run *r, char **words, unsigned n)
{
    char fields[RUN_TEXT];
    fields_join(words, 1, n, fields, sizeof fields);
    int rc = run_listen(r, r->peer->stack_port);
    if (rc != 0 && rc != -EADDRINUSE) run_fail(r, "listen: %s", strerror(-rc));
    run_text(r, "< S 0(0)%s", fields);
    run_text(r, "> SA 0(0) ack 1 ...");
    run_text(r, "< A 1(0) ack 1");
    run_text(r, "accept");
}

/* open-active FIELDS: the stack opens; the peer's SYN-ACK has these fields. */
static void call_open_active(struct run *r, char **words, unsigned n)
{
    char fields[RUN_TEXT];
    fields_join(words, 1, n, fields, sizeof fields);
    run_text(r, "connect");
    run_text(r, "> S 0(0) ...");
    run_text(r, "< SA 0(0) ack 1%s", fields);
    run_text(r, "> A 1(0) ack 1");
    run_text(r, "event connected");
}

const struct run_command run_call_commands[] = {
    {"accept", call_accept, "the connection has been accepted"},
    {"not-accepted", call_not_accepted, "it has not"},
    {"connect", call_connect, "the stack opens towards the peer"},
    {"write", call_write, "bytes"},
    {"read", call_read, "exactly so many bytes, each of them checked"},
    {"readable", call_readable, "exactly so many bytes wait"},
    {"shutdown", call_shutdown, "half-close"},
    {"close", call_close, ""},
    {"abort", call_abort, ""},
    {"event", call_event, "what the application has been told since the last such line"},
    {"want-writable", call_want_writable, "asks for the event; low water"},
    {"take", call_take, "buffers out of a pool"},
    {"give", call_give, "and back"},
    {"open", call_open, "the whole handshake; fields of the peer's SYN"},
    {"open-active", call_open_active, "the same, opened by the stack; fields of the peer's SYN-ACK"},
    {NULL, NULL, NULL},
};
