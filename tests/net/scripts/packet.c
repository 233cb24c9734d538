#include "tests/net/scripts/packet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PACKET_NAME(id, name, ...) name,
const char *const packet_number_names[PACKET_NUMBER_COUNT] = {PACKET_NUMBERS(PACKET_NAME)};
const char *const packet_word_names[PACKET_WORD_COUNT] = {PACKET_WORDS(PACKET_NAME)};
#undef PACKET_NAME
#define PACKET_THIRD(id, name, third) third,
static const bool strict[PACKET_NUMBER_COUNT] = {PACKET_NUMBERS(PACKET_THIRD)};
const char packet_word_types[PACKET_WORD_COUNT] = {PACKET_WORDS(PACKET_THIRD)};
#undef PACKET_THIRD

static const char *const kind_names[] = {"tcp", "udp", "icmp", "icmp6", "arp", "nd", "other"};

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t cap, const char *format, ...)
{
    size_t at = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + at, cap - at, format, args);
    va_end(args);
}

static void add_range(char *text, size_t cap, const char *name, const struct packet_range *r)
{
    if (!r->set) return;
    if (r->lo == INT64_MIN)
        add(text, cap, " %s *", name);
    else if (r->lo == r->hi)
        add(text, cap, " %s %" PRId64, name, r->lo);
    else
        add(text, cap, " %s %" PRId64 "..%" PRId64, name, r->lo, r->hi);
}

static void flags_format(const struct packet *p, char *text, size_t cap)
{
    static const char letters[] = "FSRPAUEC";
    if (p->flags_any) {
        add(text, cap, " *");
        return;
    }
    add(text, cap, " ");
    for (unsigned i = 0; i < 8; i++)
        if (p->flags & 1u << i) add(text, cap, "%c", letters[i]);
    if (p->flags == 0) add(text, cap, "-");
}

/* Addresses, ports and the like go without saying in a trace of one connection. */
static bool left_out(const struct packet *p, unsigned id)
{
    if (p->kind != PACKET_TCP) return false;
    return id == PACKET_TTL || id == PACKET_DF || id == PACKET_IDENT || id == PACKET_SPORT || id == PACKET_DPORT ||
           (id == PACKET_URG && p->number[id].lo == 0);
}

void packet_format(const struct packet *p, bool brief, char *text, size_t cap)
{
    text[0] = '\0';
    if (p->v6) add(text, cap, " ip6");
    unsigned first = 0;
    if (p->kind == PACKET_TCP) {
        flags_format(p, text, cap);
        const struct packet_range *seq = &p->number[PACKET_SEQ], *len = &p->number[PACKET_LEN];
        if (seq->set && seq->lo == seq->hi && len->set && len->lo == len->hi) {
            add(text, cap, " %" PRId64 "(%" PRId64 ")", seq->lo, len->lo);
            first = PACKET_LEN + 1;
        }
    } else {
        add(text, cap, " %s", kind_names[p->kind]);
    }
    for (unsigned i = first; i < PACKET_NUMBER_COUNT; i++)
        if (!(brief && left_out(p, i)) && (!strict[i] || p->number[i].lo || p->number[i].hi || i == PACKET_WSCALE))
            add_range(text, cap, packet_number_names[i], &p->number[i]);
    for (unsigned i = 0; i < p->sacks; i++)
        add(text, cap, "%s%" PRId64 "-%" PRId64, i ? "," : " sack ", p->sack[i].lo, p->sack[i].hi);
    for (unsigned i = 0; i < PACKET_WORD_COUNT; i++)
        if (p->word[i][0] && !(brief && p->kind == PACKET_TCP))
            add(text, cap, " %s %s", packet_word_names[i], p->word[i]);
    if (p->more) add(text, cap, " ...");
    if (p->no_ts) add(text, cap, " nots");
    if (p->junk) add(text, cap, " junk");
}

static bool differ(char *why, size_t cap, const char *name, const struct packet_range *want,
                   const struct packet_range *got)
{
    why[0] = '\0';
    add(why, cap, "%s:", name);
    if (want->set)
        add_range(why, cap, "expected", want);
    else
        add(why, cap, " expected none");
    if (got->set)
        add_range(why, cap, "came", got);
    else
        add(why, cap, " came none");
    return false;
}

static bool number_match(unsigned id, const struct packet *expected, const struct packet *came, char *why, size_t cap)
{
    const struct packet_range *want = &expected->number[id], *got = &came->number[id];
    if (want->set) {
        bool good = got->set && (want->lo == INT64_MIN || (want->lo <= got->lo && got->lo <= want->hi));
        return good || differ(why, cap, packet_number_names[id], want, got);
    }
    bool option = id == PACKET_MSS || id == PACKET_WSCALE || id == PACKET_SACKOK;
    if (!strict[id] || (expected->more && option)) return true;
    bool absent = !got->set || (got->lo == 0 && !option);
    return absent || differ(why, cap, packet_number_names[id], want, got);
}

static bool sacks_match(const struct packet *expected, const struct packet *came, char *why, size_t cap)
{
    if (expected->more && expected->sacks == 0) return true;
    bool same = expected->sacks == came->sacks;
    for (unsigned i = 0; same && i < came->sacks; i++)
        same = expected->sack[i].lo == came->sack[i].lo && expected->sack[i].hi == came->sack[i].hi;
    if (!same) snprintf(why, cap, "the SACK blocks differ");
    return same;
}

static bool words_match(const struct packet *expected, const struct packet *came, char *why, size_t cap)
{
    for (unsigned i = 0; i < PACKET_WORD_COUNT; i++) {
        if (!expected->word[i][0] && (i != PACKET_W_FO || expected->more)) continue;
        if (strcmp(expected->word[i], "*") == 0 && came->word[i][0]) continue;
        if (strcmp(expected->word[i], came->word[i]) == 0) continue;
        snprintf(why, cap, "%s: expected %s came %s", packet_word_names[i], expected->word[i], came->word[i]);
        return false;
    }
    return true;
}

static bool timestamp_match(const struct packet *expected, const struct packet *came, char *why, size_t cap)
{
    if (!expected->no_ts || !came->number[PACKET_TSVAL].set) return true;
    snprintf(why, cap, "a timestamp came");
    return false;
}

bool packet_match(const struct packet *expected, const struct packet *came, char *why, size_t cap)
{
    if (expected->kind != came->kind || expected->v6 != came->v6) {
        snprintf(why, cap, "another kind of packet");
        return false;
    }
    uint16_t care = (uint16_t)(expected->flags & P ? 0x1ff : 0x1ff & ~P); /* PSH counts where it is expected */
    if (expected->kind == PACKET_TCP && !expected->flags_any && (expected->flags & care) != (came->flags & care)) {
        snprintf(why, cap, "the flags differ");
        return false;
    }
    for (unsigned id = 0; id < PACKET_NUMBER_COUNT; id++)
        if (!number_match(id, expected, came, why, cap)) return false;
    if (came->junk && !expected->junk) {
        snprintf(why, cap, "the payload is not what was written");
        return false;
    }
    return sacks_match(expected, came, why, cap) && timestamp_match(expected, came, why, cap) &&
           words_match(expected, came, why, cap);
}
