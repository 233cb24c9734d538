/* A growing text, to compose conversations. */
#ifndef POLAR_TESTS_SERVER_TEXT_H
#define POLAR_TESTS_SERVER_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
    char *data;
    size_t len, cap;
};

void text_add(struct text *t, const void *data, size_t n);
__attribute__((format(printf, 2, 3))) void text_print(struct text *t, const char *format, ...);
/* n bytes of a pattern that differs from place to place and by seed, line ends among them. */
void text_pattern(struct text *t, size_t n, unsigned seed);
/* "set <key> <flags> 0 <n>[ noreply]\r\n", a pattern, "\r\n". */
void text_mc_set(struct text *t, const char *key, size_t n, unsigned seed);
/* A RESP command of words separated by blanks; a word "@n" is a pattern of n bytes. */
void text_resp(struct text *t, const char *words);
void text_free(struct text *t);

#endif
