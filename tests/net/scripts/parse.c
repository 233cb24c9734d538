#include "tests/net/scripts/parse.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct words {
    const struct value_scope *scope;
    char *const *word;
    unsigned n, at;
    char *why;
    size_t cap;
};

static bool fail(struct words *w, const char *what, const char *word)
{
    snprintf(w->why, w->cap, "%s: %s", what, word);
    return false;
}

bool parse_mac(const char *text, uint8_t mac[6])
{
    unsigned b[6];
    int end = 0;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6) return false;
    for (unsigned i = 0; i < 6; i++) mac[i] = (uint8_t)b[i];
    return text[end] == '\0';
}

bool parse_word(char type, const char *text, char out[PACKET_WORD])
{
    uint8_t bytes[16];
    if (strcmp(text, "*") == 0) {
        strcpy(out, "*");
        return true;
    }
    if (type == 'm') {
        if (!parse_mac(text, bytes)) return false;
        snprintf(out, PACKET_WORD, "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                 bytes[5]);
        return true;
    }
    if (type == 'a') {
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        return inet_pton(family, text, bytes) == 1 && inet_ntop(family, bytes, out, PACKET_WORD);
    }
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!isxdigit((unsigned char)text[i])) return false;
    if (len >= PACKET_WORD || len % 2) return false;
    strcpy(out, text);
    return true;
}

/* "1001-2001,3001-4001" */
static bool sacks_parse(struct words *w, const char *text, struct packet *out)
{
    for (const char *p = text;; p++) {
        if (out->sacks == PACKET_SACKS) return fail(w, "too many blocks", text);
        struct packet_range *block = &out->sack[out->sacks++];
        /* An edge may be an expression, but '-' separates the edges here. */
        char part[PACKET_WORD];
        size_t n = strcspn(p, "-,");
        if (p[n] != '-' || n >= sizeof part) return fail(w, "no SACK block", text);
        snprintf(part, n + 1, "%s", p);
        const char *left = part;
        if (!value_parse(w->scope, &left, &block->lo) || *left) return fail(w, "no SACK block", text);
        p += n + 1;
        n = strcspn(p, ",");
        if (n >= sizeof part) return fail(w, "no SACK block", text);
        snprintf(part, n + 1, "%s", p);
        const char *right = part;
        if (!value_parse(w->scope, &right, &block->hi) || *right) return fail(w, "no SACK block", text);
        block->set = true;
        p += n;
        if (*p == '\0') return true;
    }
}

/* "100:50", "*:50", "100:*" */
static bool ts_parse(struct words *w, const char *text, struct packet *out)
{
    const char *colon = strchr(text, ':');
    char val[PACKET_WORD];
    if (!colon || (size_t)(colon - text) >= sizeof val) return fail(w, "a timestamp is VAL:ECR", text);
    snprintf(val, (size_t)(colon - text) + 1, "%s", text);
    if (!value_range(w->scope, val, &out->number[PACKET_TSVAL]) ||
        !value_range(w->scope, colon + 1, &out->number[PACKET_TSECR]))
        return fail(w, "a timestamp is VAL:ECR", text);
    return true;
}

static bool flag_word(const char *word, struct packet *out)
{
    if (strcmp(word, "...") == 0)
        out->more = true;
    else if (strcmp(word, "nots") == 0)
        out->no_ts = true;
    else if (strcmp(word, "badsum") == 0)
        out->bad_checksum = true;
    else if (strcmp(word, "badipsum") == 0)
        out->bad_ip_checksum = true;
    else if (strcmp(word, "junk") == 0)
        out->junk = true;
    else if (strcmp(word, "newisn") == 0)
        out->new_isn = true;
    else if (strcmp(word, "sackok") == 0)
        packet_set(out, PACKET_SACKOK, 1);
    else if (strcmp(word, "df") == 0)
        packet_set(out, PACKET_DF, 1);
    else if (strcmp(word, "mf") == 0)
        packet_set(out, PACKET_MF, 1);
    else if (strcmp(word, "ect0") == 0)
        packet_set(out, PACKET_ECN, 2);
    else if (strcmp(word, "ect1") == 0)
        packet_set(out, PACKET_ECN, 1);
    else if (strcmp(word, "ce") == 0)
        packet_set(out, PACKET_ECN, 3);
    else
        return false;
    return true;
}

static bool field_parse(struct words *w, struct packet *out)
{
    const char *word = w->word[w->at++];
    if (flag_word(word, out)) return true;
    if (w->at == w->n) return fail(w, "unknown, or its value is missing", word);
    const char *value = w->word[w->at++];
    if (strcmp(word, "sack") == 0) return sacks_parse(w, value, out);
    if (strcmp(word, "ts") == 0) return ts_parse(w, value, out);
    for (unsigned i = 0; i < PACKET_NUMBER_COUNT; i++) {
        if (strcmp(word, packet_number_names[i]) != 0) continue;
        return value_range(w->scope, value, &out->number[i]) || fail(w, "no number", value);
    }
    for (unsigned i = 0; i < PACKET_WORD_COUNT; i++) {
        if (strcmp(word, packet_word_names[i]) != 0) continue;
        return parse_word(packet_word_types[i], value, out->word[i]) || fail(w, "no such address or bytes", value);
    }
    return fail(w, "unknown field", word);
}

/* "SA", "FPA", "-" for none, "*" for any */
static bool flags_parse(const char *word, struct packet *out)
{
    static const char letters[] = "FSRPAUEC";
    if (strcmp(word, "*") == 0) {
        out->flags_any = true;
        return true;
    }
    if (strcmp(word, "-") == 0) return true;
    for (const char *p = word; *p; p++) {
        const char *at = strchr(letters, *p);
        if (!at) return false;
        out->flags |= (uint16_t)(1u << (at - letters));
    }
    return true;
}

/* "1(100)" or "*" */
static bool seq_parse(struct words *w, struct packet *out)
{
    if (w->at == w->n) return fail(w, "expected SEQ(LEN) behind the flags", "end of line");
    const char *word = w->word[w->at++], *p = word;
    if (strcmp(word, "*") == 0)
        return value_range(w->scope, "*", &out->number[PACKET_SEQ]) &&
               value_range(w->scope, "*", &out->number[PACKET_LEN]);
    int64_t seq;
    char len[PACKET_WORD];
    if (!value_parse(w->scope, &p, &seq) || *p++ != '(' || strcspn(p, ")") >= sizeof len)
        return fail(w, "expected SEQ(LEN)", word);
    snprintf(len, strcspn(p, ")") + 1, "%s", p);
    p += strcspn(p, ")");
    packet_set(out, PACKET_SEQ, seq);
    return (value_range(w->scope, len, &out->number[PACKET_LEN]) && strcmp(p, ")") == 0) ||
           fail(w, "expected SEQ(LEN)", word);
}

static const struct {
    const char *name;
    enum packet_kind kind;
    int type; /* -1: none implied */
} kinds[] = {
    {"udp", PACKET_UDP, -1},
    {"arp-request", PACKET_ARP, 1},
    {"arp-reply", PACKET_ARP, 2},
    {"arp", PACKET_ARP, -1},
    {"echo", PACKET_ICMP, 8},
    {"echo-reply", PACKET_ICMP, 0},
    {"unreachable", PACKET_ICMP, 3},
    {"time-exceeded", PACKET_ICMP, 11},
    {"icmp", PACKET_ICMP, -1},
    {"echo6", PACKET_ICMP6, 128},
    {"echo6-reply", PACKET_ICMP6, 129},
    {"unreachable6", PACKET_ICMP6, 1},
    {"too-big", PACKET_ICMP6, 2},
    {"parameter6", PACKET_ICMP6, 4},
    {"icmp6", PACKET_ICMP6, -1},
    {"rs", PACKET_ND, 133},
    {"ra", PACKET_ND, 134},
    {"ns", PACKET_ND, 135},
    {"na", PACKET_ND, 136},
    {"other", PACKET_OTHER, -1},
};

bool parse_packet(const struct value_scope *scope, char *const *words, unsigned n, struct packet *out, char *why,
                  size_t cap)
{
    struct words w = {scope, words, n, 1, why, cap};
    bool known = false;
    memset(out, 0, sizeof *out);
    if (n == 0) return fail(&w, "expected a packet", "end of line");
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds && !known; i++) {
        if (strcmp(words[0], kinds[i].name) != 0) continue;
        known = true;
        out->kind = kinds[i].kind;
        if (kinds[i].type >= 0) packet_set(out, PACKET_TYPE, kinds[i].type);
    }
    if (!known) {
        out->kind = PACKET_TCP;
        if (!flags_parse(words[0], out)) return fail(&w, "neither TCP flags nor another packet", words[0]);
        if (!seq_parse(&w, out)) return false;
    }
    while (w.at < w.n)
        if (!field_parse(&w, out)) return false;
    if (out->kind == PACKET_TCP && !out->flags_any && out->flags & A && !out->number[PACKET_ACK].set)
        return fail(&w, "flag A without ack", words[0]);
    return true;
}
