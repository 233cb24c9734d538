/*
 * A packet as a script says it: named fields, each with a range of values. One form serves for what is injected, for
 * what is expected and for what came. Sequence and acknowledgement numbers are relative to the two SYNs.
 */
#ifndef POLAR_TESTS_NET_SCRIPTS_PACKET_H
#define POLAR_TESTS_NET_SCRIPTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_BYTES 10240u
#define PACKET_TEXT 512u
#define PACKET_SACKS 4u
#define PACKET_WORD 80u

enum packet_kind { PACKET_TCP, PACKET_UDP, PACKET_ICMP, PACKET_ICMP6, PACKET_ARP, PACKET_ND, PACKET_OTHER };

/* FIELD(id, name in scripts, strict): a strict one that an expectation does not name must be absent or zero. */
#define PACKET_NUMBERS(FIELD)                                                                                          \
    FIELD(SEQ, "seq", 0)                                                                                               \
    FIELD(LEN, "len", 0)                                                                                               \
    FIELD(ACK, "ack", 0)                                                                                               \
    FIELD(WIN, "win", 0)                                                                                               \
    FIELD(URG, "urg", 0)                                                                                               \
    FIELD(MSS, "mss", 1)                                                                                               \
    FIELD(WSCALE, "wscale", 1)                                                                                         \
    FIELD(SACKOK, "sackok", 1)                                                                                         \
    FIELD(TSVAL, "tsval", 0)                                                                                           \
    FIELD(TSECR, "tsecr", 0)                                                                                           \
    FIELD(TTL, "ttl", 0)                                                                                               \
    FIELD(ECN, "ecn", 1)                                                                                               \
    FIELD(DSCP, "dscp", 1)                                                                                             \
    FIELD(DF, "df", 0)                                                                                                 \
    FIELD(MF, "mf", 1)                                                                                                 \
    FIELD(FRAG, "frag", 1)                                                                                             \
    FIELD(IDENT, "ident", 0)                                                                                           \
    FIELD(SPORT, "sport", 0)                                                                                           \
    FIELD(DPORT, "dport", 0)                                                                                           \
    FIELD(VLAN, "vlan", 1)                                                                                             \
    FIELD(TYPE, "type", 0)                                                                                             \
    FIELD(CODE, "code", 0)                                                                                             \
    FIELD(MTU, "mtu", 0)                                                                                               \
    FIELD(ID, "id", 0)                                                                                                 \
    FIELD(N, "n", 0)                                                                                                   \
    FIELD(QUOTE, "quote", 0)                                                                                           \
    FIELD(QPORT, "qport", 0)                                                                                           \
    FIELD(QBYTES, "qbytes", 0)                                                                                         \
    FIELD(QLEN, "qlen", 0)                                                                                             \
    FIELD(LIFETIME, "lifetime", 0)                                                                                     \
    FIELD(NAFLAGS, "naflags", 0)                                                                                       \
    FIELD(PREFIXLEN, "prefixlen", 0)                                                                                   \
    FIELD(PREFIXFLAGS, "prefixflags", 0)                                                                               \
    FIELD(VALID, "valid", 0)                                                                                           \
    FIELD(PREFERRED, "preferred", 0)                                                                                   \
    FIELD(PROTO, "proto", 0)                                                                                           \
    FIELD(DOFF, "doff", 0)                                                                                             \
    FIELD(IHL, "ihl", 0)                                                                                               \
    FIELD(VERSION, "version", 0)                                                                                       \
    FIELD(IPLEN, "iplen", 0)                                                                                           \
    FIELD(CUT, "cut", 0)                                                                                               \
    FIELD(PAD, "pad", 0)                                                                                               \
    FIELD(ETHERTYPE, "ethertype", 0)                                                                                   \
    FIELD(ARPHLEN, "arphlen", 0)

#define PACKET_WORDS(WORD)                                                                                             \
    WORD(SMAC, "smac", 'm')                                                                                            \
    WORD(DMAC, "dmac", 'm')                                                                                            \
    WORD(SRC, "src", 'a')                                                                                              \
    WORD(DST, "dst", 'a')                                                                                              \
    WORD(TARGET, "target", 'a')                                                                                        \
    WORD(PREFIX, "prefix", 'a')                                                                                        \
    WORD(SHA, "sha", 'm')                                                                                              \
    WORD(SPA, "spa", 'a')                                                                                              \
    WORD(THA, "tha", 'm')                                                                                              \
    WORD(TPA, "tpa", 'a')                                                                                              \
    WORD(SLL, "sll", 'm')                                                                                              \
    WORD(TLL, "tll", 'm')                                                                                              \
    WORD(FO, "fo", 'h')                                                                                                \
    WORD(OPT, "opt", 'h')                                                                                              \
    WORD(IPOPT, "ipopt", 'h')                                                                                          \
    WORD(EXT, "ext", 'h')                                                                                              \
    WORD(HEX, "hex", 'h')

#define PACKET_ENUM(id, ...) PACKET_##id,
enum packet_number_id { PACKET_NUMBERS(PACKET_ENUM) PACKET_NUMBER_COUNT };
#undef PACKET_ENUM
#define PACKET_ENUM(id, ...) PACKET_W_##id,
enum packet_word_id { PACKET_WORDS(PACKET_ENUM) PACKET_WORD_COUNT };
#undef PACKET_ENUM

struct packet_range {
    int64_t lo, hi;
    bool set;
};

struct packet {
    enum packet_kind kind;
    bool v6;
    uint16_t flags; /* TCP's, low nine bits */
    bool flags_any; /* expected: whatever the flags are */
    struct packet_range number[PACKET_NUMBER_COUNT];
    char word[PACKET_WORD_COUNT][PACKET_WORD]; /* addresses and bytes as canonical text; empty: not set */
    struct packet_range sack[PACKET_SACKS];    /* left and right edge */
    unsigned sacks;
    bool more;  /* expected: other options may be there too */
    bool no_ts; /* no timestamp although negotiated */
    bool bad_checksum, bad_ip_checksum;
    bool junk;    /* payload that is not the pattern */
    bool new_isn; /* expected: the stack's SYN begins a new sequence */
};

enum { F = 0x01, S = 0x02, R = 0x04, P = 0x08, A = 0x10, U = 0x20, E = 0x40, C = 0x80 };

extern const char *const packet_number_names[PACKET_NUMBER_COUNT];
extern const char *const packet_word_names[PACKET_WORD_COUNT];
extern const char packet_word_types[PACKET_WORD_COUNT];

static inline void packet_set(struct packet *p, enum packet_number_id id, int64_t value)
{
    p->number[id] = (struct packet_range){value, value, true};
}

/* The value to inject. */
static inline int64_t packet_get(const struct packet *p, enum packet_number_id id, int64_t otherwise)
{
    return p->number[id].set ? p->number[id].lo : otherwise;
}

/* In the script's own words, into text. brief: of TCP nothing below the segment and no zero fields. */
void packet_format(const struct packet *p, bool brief, char *text, size_t cap);
/* True: came is what was expected. Otherwise why holds the first field that differs. */
bool packet_match(const struct packet *expected, const struct packet *came, char *why, size_t cap);
/* Byte number i of either direction's data. */
static inline uint8_t packet_pattern(uint32_t i)
{
    return (uint8_t)(i * 7 + (i >> 8));
}

#endif
