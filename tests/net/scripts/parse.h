/* A packet from the words of a script's line. */
#ifndef POLAR_TESTS_NET_SCRIPTS_PARSE_H
#define POLAR_TESTS_NET_SCRIPTS_PARSE_H

#include "tests/net/scripts/packet.h"
#include "tests/net/scripts/value.h"

/* words[0..n): what follows < or >. False: why says what is wrong. */
bool parse_packet(const struct value_scope *scope, char *const *words, unsigned n, struct packet *out, char *why,
                  size_t cap);
/* Address ('a': either family), MAC ('m') or bytes ('h', hexadecimal) in canonical form. "*" stays. */
bool parse_word(char type, const char *text, char out[PACKET_WORD]);
bool parse_mac(const char *text, uint8_t mac[6]);

#endif
