/*
 * Segments and options of strangers against a listener: options in any order and length, SYNs with and without cookies,
 * ACKs that complete and ACKs that do not. The first byte says when cookies are sent. Then records: control byte, flags,
 * length of the options, options, length of the payload. Control bits: 1 acknowledges what the stack sent last, 2 and 4
 * choose one of four ports, 8 lets 1.5 s pass, 16 repeats the last sequence number, 32 echoes our timestamp.
 *
 * Whatever comes, entries and connections stay within their limits, no frame is longer than the MTU, nothing leaks.
 */
#include <stdlib.h>
#include <string.h>
#include <rte_byteorder.h>
#include "net/stack.h"
#include "net/tcp/tcp.h"
#include "tests/net/sim/cmocka_all.h"
#include "tests/net/sim/script.h"

#define RECORDS_MAX 300u
#define CONNECTIONS 3u
#define HALF_OPEN 2u

enum { DO_ACK = 1, DO_PORT = 6, DO_WAIT = 8, DO_REPEAT = 16, DO_TS = 32 };

static struct net_stack_config config; /* as the script's pools and addresses have it */

static void keep(struct net_stack_config *k)
{
    k->max_connections = CONNECTIONS;
    k->max_half_open = HALF_OPEN;
    k->rx_window = 8192;
    config = *k;
}

static void accepted(void *arg, struct stream *t)
{
    (void)arg;
    (void)t;
}

static void require(bool holds)
{
    if (!holds) abort();
}

/* What is parsed and written again is the same. */
static void options_round_trip(const uint8_t *p, uint32_t len)
{
    struct tcp_options o, again;
    uint8_t text[TCP_OPTIONS_MAX];
    if (!tcp_options_parse(p, len, &o)) return;
    require(o.scale <= TCP_SCALE_MAX);
    uint64_t sum = 0;
    uint32_t n = tcp_options_write_syn(text, &o, &sum);
    require(n <= sizeof text && n % 4 == 0);
    require(tcp_options_parse(text, n, &again));
    require(again.mss == o.mss && again.has_ts == o.has_ts && again.has_scale == o.has_scale);
    require(again.sack_permitted == o.sack_permitted && (!o.has_scale || again.scale == o.scale));
    require(!o.has_ts || (again.ts_val == o.ts_val && again.ts_ecr == o.ts_ecr));
}

struct port_state {
    uint32_t iss, seq, ts_ecr;
};

static void frames_look(struct script *s, struct port_state *p)
{
    const struct script_frame *f;
    while ((f = script_next_frame(s)) != NULL) {
        uint32_t seq;
        require(f->len >= 54 && f->len <= 1514);
        memcpy(&seq, f->bytes + 38, 4);
        if (f->bytes[47] & S) p->iss = rte_be_to_cpu_32(seq);
        if (f->len >= 66 && f->bytes[46] >> 4 >= 8 && memcmp(f->bytes + 54, "\1\1\10\12", 4) == 0) memcpy(&p->ts_ecr, f->bytes + 58, 4);
        if (f->len >= 70 && f->bytes[58] == 4 && f->bytes[60] == 8) memcpy(&p->ts_ecr, f->bytes + 62, 4);
    }
}

static const uint8_t *record(struct script *s, struct port_state *ports, const uint8_t *data, const uint8_t *end)
{
    uint8_t control = data[0], flags = data[1] & 0x3f;
    uint32_t options_len = RTE_MIN((uint32_t)(data[2] % 11 * 4), (uint32_t)(end - data - 3)) & ~3u;
    uint8_t options[TCP_OPTIONS_MAX] = {0};
    memcpy(options, data + 3, options_len);
    data += 3 + options_len;
    uint32_t len = data < end ? *data++ : 0;
    struct port_state *p = &ports[(control & DO_PORT) >> 1];
    options_round_trip(options, options_len);
    if (control & DO_TS && options_len >= 12) {
        memcpy(options, "\1\1\10\12", 4);
        memcpy(options + 8, &p->ts_ecr, 4);
    }
    static const uint8_t payload[256];
    s->peer_port = (uint16_t)(1000 + (control & DO_PORT));
    s->iss = p->iss;
    script_send_options(s, flags, p->seq, control & DO_ACK ? 1 : len, (uint16_t)(len << 6), options, options_len, payload,
                        len);
    if (!(control & DO_REPEAT)) p->seq += len + (flags & S ? 1 : 0);
    frames_look(s, p);
    if (control & DO_WAIT) script_wait(s, UINT64_C(1500000000));
    frames_look(s, p);
    struct stream *t;
    while ((t = stream_loop_pop(&s->loop)) != NULL) {
        bool failed = t->events & STREAM_ERROR;
        t->events = 0;
        if (failed) t->ops->close(t);
    }
    return data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct script s;
    struct port_state ports[4] = {0};
    const uint8_t *end = data + size;
    if (size < 1) return 0;
    if (!s.pools.frame) {
        script_create(&s, keep);
        net_stack_destroy(&s.stack);
    }
    config.syn_cookies = *data % 3;
    config.tuning.keepalive = *data & 4;
    config.tuning.user_timeout_ns = *data & 8 ? UINT64_C(4000000000) : 0;
    data++;
    s.head = s.tail;
    s.loop = (struct stream_loop){0};
    require(net_stack_create(&s.stack, &config) == 0 && net_listen(s.stack, SCRIPT_PORT, accepted, NULL) == 0);
    for (unsigned i = 0; i < RECORDS_MAX && end - data >= 3; i++) {
        data = record(&s, ports, data, end);
        const struct net_metrics *m = net_stack_metrics(s.stack);
        require(m->half_open <= HALF_OPEN + CONNECTIONS && net_stack_connections(s.stack) <= CONNECTIONS);
        require(m->syn_cookies_accepted == 0 || m->syn_cookies_sent > 0);
    }
    net_stack_destroy(&s.stack);
    require(buf_pools_in_use(&s.pools) == 0);
    return 0;
}
