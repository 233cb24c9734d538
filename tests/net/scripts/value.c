#include "tests/net/scripts/value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t factor;
} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"k", 1000}, {"K", 1024}};

static bool number(const char **text, int64_t *out)
{
    const char *p = *text;
    char *end;
    int64_t whole = (int64_t)strtoull(p, &end, p[0] == '0' && p[1] == 'x' ? 16 : 10), fraction = 0, scale = 1;
    if (end == p) return false;
    p = end;
    if (p[0] == '.' && isdigit((unsigned char)p[1]))
        for (p++; isdigit((unsigned char)*p); p++, scale *= 10) fraction = 10 * fraction + (*p - '0');
    int64_t factor = 1;
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(p, units[i].name, n) != 0 || isalnum((unsigned char)p[n])) continue;
        factor = units[i].factor;
        p += n;
        break;
    }
    *out = whole * factor + fraction * factor / scale;
    *text = p;
    return true;
}

static bool factor_parse(const struct value_scope *scope, const char **text, int64_t *out)
{
    const char *p = *text;
    if (p[0] != '$') return isdigit((unsigned char)p[0]) && number(text, out);
    if (p[1] < 'a' || p[1] > 'z') return false;
    *out = scope->variable[p[1] - 'a'];
    *text = p + 2;
    return true;
}

static bool term(const struct value_scope *scope, const char **text, int64_t *out)
{
    int64_t next;
    if (!factor_parse(scope, text, out)) return false;
    while (**text == '*') {
        ++*text;
        if (!factor_parse(scope, text, &next)) return false;
        *out *= next;
    }
    return true;
}

bool value_parse(const struct value_scope *scope, const char **text, int64_t *out)
{
    bool negative = **text == '-';
    if (negative) ++*text;
    if (!term(scope, text, out)) return false;
    if (negative) *out = -*out;
    while (**text == '+' || **text == '-') {
        int64_t sign = **text == '+' ? 1 : -1, next;
        ++*text;
        if (!term(scope, text, &next)) return false;
        *out += sign * next;
    }
    return true;
}

bool value_range(const struct value_scope *scope, const char *text, struct packet_range *out)
{
    out->set = true;
    if (strcmp(text, "*") == 0) {
        out->lo = INT64_MIN;
        out->hi = INT64_MAX;
        return true;
    }
    if (!value_parse(scope, &text, &out->lo)) return false;
    out->hi = out->lo;
    if (strncmp(text, "..", 2) == 0) {
        text += 2;
        if (!value_parse(scope, &text, &out->hi)) return false;
    }
    return *text == '\0';
}
