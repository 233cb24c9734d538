#include "tests/server/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/server/check.h"

void text_add(struct text *t, const void *data, size_t n)
{
    if (t->len + n > t->cap) {
        t->cap = (t->len + n) * 2;
        t->data = realloc(t->data, t->cap);
        CHECK(t->data);
    }
    if (n) memcpy(t->data + t->len, data, n);
    t->len += n;
}

void text_print(struct text *t, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof line);
    text_add(t, line, (size_t)n);
}

void text_pattern(struct text *t, size_t n, unsigned seed)
{
    uint32_t x = seed * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        char c = x >> 28 == 0 ? '\n' : x >> 28 == 1 ? '\r' : (char)('a' + (x >> 20) % 26);
        text_add(t, &c, 1);
    }
}

void text_mc_set(struct text *t, const char *key, size_t n, unsigned seed)
{
    text_print(t, "set %s %u 0 %zu\r\n", key, seed, n);
    text_pattern(t, n, seed);
    text_add(t, "\r\n", 2);
}

void text_resp(struct text *t, const char *words)
{
    unsigned count = 1;
    for (const char *p = words; *p; p++) count += *p == ' ';
    text_print(t, "*%u\r\n", count);
    for (const char *p = words; count; count--) {
        size_t len = strcspn(p, " ");
        if (*p == '@') {
            size_t n = strtoul(p + 1, NULL, 10);
            text_print(t, "$%zu\r\n", n);
            text_pattern(t, n, (unsigned)n);
        } else {
            text_print(t, "$%zu\r\n", len);
            text_add(t, p, len);
        }
        text_add(t, "\r\n", 2);
        p += len + 1;
    }
}

void text_free(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}
