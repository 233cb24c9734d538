/* RESP commands about the connection and the server: answered at once, everything earlier being answered. */
#include "server/exec_resp.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/decimal.h"
#include "protocol/resp/reply.h"
#include "server/rdma.h"
#include "server/reply.h"
#include "server/session.h"
#include "server/stats.h"
#include "server/tour.h"

#define REDIS_VERSION "7.0.15" /* clients read it to know what they may send */

static void reply_bulk(struct session *s, struct slice text)
{
    uint8_t *dst = reply_room(s, 24);
    if (!dst) return;
    reply_wrote(s, resp_bulk_header(dst, text.len));
    reply_slice(s, text);
    REPLY_LITERAL(s, "\r\n");
}

static void reply_bulk_text(struct session *s, const char *text)
{
    reply_bulk(s, (struct slice){(const uint8_t *)text, strlen(text)});
}

static void reply_array(struct session *s, uint64_t n)
{
    uint8_t *dst = reply_room(s, 24);
    if (dst) reply_wrote(s, resp_array_header(dst, n));
}

static void reply_map(struct session *s, uint64_t pairs)
{
    uint8_t *dst = reply_room(s, 24);
    if (dst) reply_wrote(s, resp_map_header(dst, pairs, s->resp.resp3));
}

static void wrong_number(struct session *s, const char *command)
{
    metric_add(&s->core->metrics.protocol_errors, 1);
    reply_format(s, "-ERR wrong number of arguments for '%s' command\r\n", command);
}

static void unknown_subcommand(struct session *s, const char *command, struct slice word)
{
    metric_add(&s->core->metrics.protocol_errors, 1);
    REPLY_LITERAL(s, "-ERR unknown subcommand '");
    resp_error_text(s, word);
    reply_format(s, "'. Try %s HELP.\r\n", command);
}

/* ---- connection ---- */

static void ping(struct session *s, const struct slice *args, int count)
{
    if (count > 2) wrong_number(s, "ping");
    else if (count == 2) reply_bulk(s, args[1]);
    else REPLY_LITERAL(s, "+PONG\r\n");
}

/* Takes as long for a wrong password as for the right one. */
static bool password_matches(const struct session *s, struct slice given)
{
    const char *password = s->core->config->password;
    size_t len = strlen(password);
    unsigned differ = given.len != len;
    for (size_t i = 0; i < len; i++) differ |= (unsigned)(uint8_t)password[i] ^ (given.len > i ? given.data[i] : 0u);
    return differ == 0;
}

static bool authenticate(struct session *s, struct slice user, struct slice password)
{
    if (!slice_equal(user, SLICE_LITERAL("default"))) return false;
    if (*s->core->config->password == 0) return true;
    if (!password_matches(s, password)) return false;
    s->resp.authenticated = true;
    return true;
}

static const struct slice wrong_pass = {
    (const uint8_t *)"WRONGPASS invalid username-password pair or user is disabled.",
    sizeof "WRONGPASS invalid username-password pair or user is disabled." - 1};

static void auth(struct session *s, const struct slice *args, int count)
{
    if (count > 3) {
        resp_error(s, SLICE_LITERAL("ERR syntax error"));
        return;
    }
    if (count == 2 && *s->core->config->password == 0) {
        resp_error(s, SLICE_LITERAL("ERR AUTH <password> called without any password configured for the default user. "
                                    "Are you sure your configuration is correct?"));
        return;
    }
    struct slice user = count == 3 ? args[1] : SLICE_LITERAL("default");
    if (authenticate(s, user, args[count - 1])) REPLY_LITERAL(s, "+OK\r\n");
    else resp_error(s, wrong_pass);
}

static bool name_valid(struct slice name)
{
    if (name.len >= SESSION_NAME_MAX) return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] < '!' || name.data[i] > '~') return false;
    return true;
}

static void set_name(struct session *s, struct slice name)
{
    memcpy(s->resp.name, name.data, name.len);
    s->resp.name[name.len] = 0;
}

static const struct slice bad_name = {
    (const uint8_t *)"ERR Client names cannot contain spaces, newlines or special characters.",
    sizeof "ERR Client names cannot contain spaces, newlines or special characters." - 1};

static void hello_reply(struct session *s)
{
    reply_map(s, 7);
    reply_bulk_text(s, "server");
    reply_bulk_text(s, "redis");
    reply_bulk_text(s, "version");
    reply_bulk_text(s, REDIS_VERSION);
    reply_bulk_text(s, "proto");
    resp_reply_integer(s, s->resp.resp3 ? 3 : 2);
    reply_bulk_text(s, "id");
    resp_reply_integer(s, (int64_t)s->resp.client_id);
    reply_bulk_text(s, "mode");
    reply_bulk_text(s, "standalone");
    reply_bulk_text(s, "role");
    reply_bulk_text(s, "master");
    reply_bulk_text(s, "modules");
    reply_array(s, 0);
}

static void hello(struct session *s, const struct slice *args, int count)
{
    int64_t proto = s->resp.resp3 ? 3 : 2;
    if (count > 1 && !decimal_parse_i64(args[1], &proto)) {
        resp_error(s, SLICE_LITERAL("ERR Protocol version is not an integer or out of range"));
        return;
    }
    if (proto < 2 || proto > 3) {
        resp_error(s, SLICE_LITERAL("NOPROTO unsupported protocol version"));
        return;
    }
    for (int i = 2; i < count; i++) {
        if (resp_word(args[i], "auth") && i + 2 < count) {
            if (!authenticate(s, args[i + 1], args[i + 2])) {
                resp_error(s, wrong_pass);
                return;
            }
            i += 2;
        } else if (resp_word(args[i], "setname") && i + 1 < count) {
            if (!name_valid(args[++i])) {
                resp_error(s, bad_name);
                return;
            }
            set_name(s, args[i]);
        } else {
            REPLY_LITERAL(s, "-ERR Syntax error in HELLO option '");
            resp_error_text(s, args[i]);
            REPLY_LITERAL(s, "'\r\n");
            return;
        }
    }
    if (!s->resp.authenticated) {
        resp_error(s, SLICE_LITERAL("NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                                    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
                                    "select the RESP protocol version at the same time"));
        return;
    }
    s->resp.resp3 = proto == 3;
    hello_reply(s);
}

static void select_database(struct session *s, const struct slice *args)
{
    int64_t n;
    if (!decimal_parse_i64(args[1], &n)) resp_error(s, SLICE_LITERAL("ERR value is not an integer or out of range"));
    else if (n < INT32_MIN || n > INT32_MAX)
        resp_error(s, SLICE_LITERAL("ERR value is out of range, value must between -2147483648 and 2147483647"));
    else if (n != 0) resp_error(s, SLICE_LITERAL("ERR DB index is out of range"));
    else REPLY_LITERAL(s, "+OK\r\n");
}

static void client_id(struct session *s, const struct slice *args)
{
    (void)args;
    resp_reply_integer(s, (int64_t)s->resp.client_id);
}

static void client_setname(struct session *s, const struct slice *args)
{
    if (!name_valid(args[2])) {
        resp_error(s, bad_name);
        return;
    }
    set_name(s, args[2]);
    REPLY_LITERAL(s, "+OK\r\n");
}

static void client_getname(struct session *s, const struct slice *args)
{
    (void)args;
    if (*s->resp.name) reply_bulk_text(s, s->resp.name);
    else resp_reply_null(s);
}

static void client_setinfo(struct session *s, const struct slice *args)
{
    if (resp_word(args[2], "lib-name") || resp_word(args[2], "lib-ver")) REPLY_LITERAL(s, "+OK\r\n");
    else resp_error(s, SLICE_LITERAL("ERR Unrecognized option"));
}

static void client_info(struct session *s, const struct slice *args)
{
    char peer[64] = "", text[256];
    (void)args;
    s->stream->ops->peer(s->stream, peer, sizeof peer);
    int n = snprintf(text, sizeof text, "id=%llu addr=%s name=%s db=0 resp=%d\n", (unsigned long long)s->resp.client_id,
                     peer, s->resp.name, s->resp.resp3 ? 3 : 2);
    reply_bulk(s, (struct slice){(const uint8_t *)text, (size_t)n});
}

/* Accepted without effect: eviction concerns items, not connections, and each read counts. */
static void client_ok(struct session *s, const struct slice *args)
{
    if (resp_word(args[2], "on") || resp_word(args[2], "off")) REPLY_LITERAL(s, "+OK\r\n");
    else resp_error(s, SLICE_LITERAL("ERR syntax error"));
}

static const struct {
    const char *word;
    int arity; /* CLIENT and the word count */
    void (*run)(struct session *s, const struct slice *args);
} client_words[] = {{"id", 2, client_id},           {"setname", 3, client_setname}, {"getname", 2, client_getname},
                    {"setinfo", 4, client_setinfo}, {"info", 2, client_info},       {"list", 2, client_info},
                    {"no-evict", 3, client_ok},     {"no-touch", 3, client_ok}};

static void client(struct session *s, const struct slice *args, int count)
{
    for (size_t i = 0; i < sizeof client_words / sizeof *client_words; i++) {
        if (!resp_word(args[1], client_words[i].word)) continue;
        if (count == client_words[i].arity) {
            client_words[i].run(s, args);
            return;
        }
        char name[32];
        snprintf(name, sizeof name, "client|%s", client_words[i].word);
        wrong_number(s, name);
        return;
    }
    unknown_subcommand(s, "CLIENT", args[1]);
}

/* ---- server ---- */

static void command_flags(struct session *s, const char *flags)
{
    uint64_t words = 0;
    for (const char *p = flags; *p; p += strcspn(p, " "), p += *p == ' ') words++;
    reply_array(s, words);
    for (const char *p = flags; *p; p += strcspn(p, " "), p += *p == ' ')
        reply_format(s, "+%.*s\r\n", (int)strcspn(p, " "), p);
}

static void command_entry(struct session *s, const struct resp_command_row *row)
{
    reply_array(s, 6);
    reply_bulk_text(s, row->token);
    resp_reply_integer(s, row->arity);
    command_flags(s, row->flags);
    resp_reply_integer(s, row->first_key);
    resp_reply_integer(s, row->last_key);
    resp_reply_integer(s, row->step);
}

static void command_doc(struct session *s, const struct resp_command_row *row)
{
    reply_bulk_text(s, row->token);
    reply_map(s, 3);
    reply_bulk_text(s, "summary");
    reply_bulk_text(s, row->summary);
    reply_bulk_text(s, "since");
    reply_bulk_text(s, "1.0.0");
    reply_bulk_text(s, "group");
    reply_bulk_text(s, row->group);
}

static void command_docs(struct session *s, const struct slice *names, int count)
{
    unsigned known = 0;
    for (int i = 0; i < count; i++) known += resp_command_find(names[i]) != RESP_CMD_UNKNOWN;
    reply_map(s, count ? known : RESP_CMD_COUNT - 1);
    for (int i = 0; i < count; i++) {
        enum resp_command c = resp_command_find(names[i]);
        if (c != RESP_CMD_UNKNOWN) command_doc(s, &resp_command_rows[c]);
    }
    for (int c = 1; count == 0 && c < RESP_CMD_COUNT; c++) command_doc(s, &resp_command_rows[c]);
}

static void command(struct session *s, const struct slice *args, int count)
{
    if (count == 1) {
        reply_array(s, RESP_CMD_COUNT - 1);
        for (int c = 1; c < RESP_CMD_COUNT; c++) command_entry(s, &resp_command_rows[c]);
    } else if (resp_word(args[1], "count")) {
        if (count > 2) wrong_number(s, "command|count");
        else resp_reply_integer(s, RESP_CMD_COUNT - 1);
    } else if (resp_word(args[1], "docs")) {
        command_docs(s, args + 2, count - 2);
    } else if (resp_word(args[1], "info")) {
        reply_array(s, count == 2 ? RESP_CMD_COUNT - 1 : (uint64_t)count - 2);
        for (int c = 1; count == 2 && c < RESP_CMD_COUNT; c++) command_entry(s, &resp_command_rows[c]);
        for (int i = 2; i < count; i++) {
            enum resp_command c = resp_command_find(args[i]);
            if (c != RESP_CMD_UNKNOWN) command_entry(s, &resp_command_rows[c]);
            else resp_reply_null(s);
        }
    } else if (resp_word(args[1], "list")) {
        reply_array(s, RESP_CMD_COUNT - 1);
        for (int c = 1; c < RESP_CMD_COUNT; c++) reply_bulk_text(s, resp_command_rows[c].token);
    } else unknown_subcommand(s, "COMMAND", args[1]);
}

/* Names that redis' tools ask for and that have another name, or none, here. */
static const struct {
    const char *name, *value;
} redis_settings[] = {{"save", ""}, {"appendonly", "no"}, {"databases", "1"}};

struct config_pairs {
    struct session *session;
    struct slice *patterns;
    int count;
    unsigned found;
    bool write;
};

/* Glob with * and ?, any case: what CONFIG GET promises and clients use. */
static bool glob_matches(struct slice pattern, const char *text)
{
    size_t p = 0, star = SIZE_MAX, mark = 0, t = 0;
    while (text[t]) {
        if (p < pattern.len && pattern.data[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && (pattern.data[p] == '?' || tolower(pattern.data[p]) == text[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else return false;
    }
    while (p < pattern.len && pattern.data[p] == '*') p++;
    return p == pattern.len;
}

static void config_pair(struct config_pairs *pairs, const char *name, const char *value)
{
    for (int i = 0; i < pairs->count; i++) {
        if (!glob_matches(pairs->patterns[i], name)) continue;
        pairs->found++;
        if (!pairs->write) return;
        /* A name that is asked for is answered as it was written. */
        bool plain = pairs->patterns[i].len == strlen(name) && !memchr(name, '*', strlen(name));
        if (plain) reply_bulk(pairs->session, pairs->patterns[i]);
        else reply_bulk_text(pairs->session, name);
        reply_bulk_text(pairs->session, value);
        return;
    }
}

static void config_pairs_each(struct config_pairs *pairs)
{
    const struct config *config = pairs->session->core->config;
    char name[64], value[512];
    for (size_t i = 0; i < sizeof redis_settings / sizeof *redis_settings; i++)
        config_pair(pairs, redis_settings[i].name, redis_settings[i].value);
    snprintf(value, sizeof value, "%llu", (unsigned long long)config->memory_limit);
    config_pair(pairs, "maxmemory", value);
    config_pair(pairs, "maxmemory-policy", stats_eviction_policy(config));
    for (size_t i = 0; i < config_row_count; i++) {
        if (strcmp(config_rows[i].name, "password") == 0) continue;
        snprintf(name, sizeof name, "%s", config_rows[i].name);
        for (char *p = name; *p; p++) *p = *p == '_' ? '-' : *p;
        if (options_get_text(config_rows, config_row_count, config, config_rows[i].name, value, sizeof value))
            config_pair(pairs, name, value);
    }
}

static void config(struct session *s, const struct slice *args, int count)
{
    if (resp_word(args[1], "resetstat")) {
        if (count > 2) wrong_number(s, "config|resetstat");
        else REPLY_LITERAL(s, "+OK\r\n");
        return;
    }
    if (resp_word(args[1], "set")) {
        resp_error(s, SLICE_LITERAL("ERR CONFIG SET is not possible: options are read at start"));
        return;
    }
    if (!resp_word(args[1], "get")) {
        unknown_subcommand(s, "CONFIG", args[1]);
        return;
    }
    if (count < 3) {
        wrong_number(s, "config|get");
        return;
    }
    struct config_pairs pairs = {.session = s, .patterns = (struct slice *)(uintptr_t)(args + 2), .count = count - 2};
    config_pairs_each(&pairs);
    reply_map(s, pairs.found);
    pairs.write = true;
    config_pairs_each(&pairs);
}

static void dbsize(struct session *s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < s->core->config->core_count; i++) n += store_count(s->core->server->cores[i].store);
    resp_reply_integer(s, (int64_t)n);
}

static void reply_flushed(struct session *s, struct op *op)
{
    if (op->flags & OP_LAST) REPLY_LITERAL(s, "+OK\r\n");
}

static void flush(struct session *s, const struct slice *args, int count)
{
    if (count > 2 || (count == 2 && !resp_word(args[1], "async") && !resp_word(args[1], "sync"))) {
        resp_error(s, SLICE_LITERAL("ERR syntax error"));
        return;
    }
    metric_add(&s->core->metrics.cmd_flush, 1);
    session_flush_shards(s, 0, false, reply_flushed);
}

static void touring(struct session *s, bool begun)
{
    if (!begun) resp_error(s, SLICE_LITERAL("ERR out of memory"));
}

/* Who may read the shards without asking would do so still: that ends with the connection only. */
static void reset(struct session *s)
{
    s->resp.resp3 = false;
    s->resp.name[0] = 0;
    s->resp.authenticated = *s->core->config->password == 0;
    s->closing = !s->resp.authenticated && server_rdma_is_read(s->stream);
    REPLY_LITERAL(s, "+RESET\r\n");
}

void resp_direct(struct session *s, enum resp_command id, const struct slice *args, int count)
{
    switch (id) {
    case RESP_CMD_ping: ping(s, args, count); return;
    case RESP_CMD_echo: reply_bulk(s, args[1]); return;
    case RESP_CMD_hello: hello(s, args, count); return;
    case RESP_CMD_auth: auth(s, args, count); return;
    case RESP_CMD_select: select_database(s, args); return;
    case RESP_CMD_quit:
        REPLY_LITERAL(s, "+OK\r\n");
        s->closing = true;
        return;
    case RESP_CMD_reset: reset(s); return;
    case RESP_CMD_client: client(s, args, count); return;
    case RESP_CMD_command: command(s, args, count); return;
    case RESP_CMD_config: config(s, args, count); return;
    case RESP_CMD_info: stats_info(s, args + 1, count - 1); return;
    case RESP_CMD_dbsize: dbsize(s); return;
    case RESP_CMD_keys: touring(s, tour_keys(s, args[1])); return;
    case RESP_CMD_randomkey: touring(s, tour_random_key(s)); return;
    case RESP_CMD_save: resp_save(s); return;
    case RESP_CMD_bgsave: resp_bgsave(s, args, count); return;
    case RESP_CMD_lastsave: resp_lastsave(s); return;
    case RESP_CMD_flushall:
    case RESP_CMD_flushdb: flush(s, args, count); return;
    default: resp_error(s, SLICE_LITERAL("ERR command without a function")); return;
    }
}
