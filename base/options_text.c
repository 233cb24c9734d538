#include "base/options_text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/decimal.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* The largest first: the first that divides a value is the one it is written with. */
static const struct unit size_units[] = {{"t", UINT64_C(1) << 40},
                                         {"g", UINT64_C(1) << 30},
                                         {"m", UINT64_C(1) << 20},
                                         {"k", UINT64_C(1) << 10},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit duration_units[] = {{"h", UINT64_C(3600000000000)},
                                             {"m", UINT64_C(60000000000)},
                                             {"s", UINT64_C(1000000000)},
                                             {"ms", UINT64_C(1000000)},
                                             {"us", UINT64_C(1000)},
                                             {"ns", 1},
                                             {"", UINT64_C(1000000000)}, /* only read */
                                             {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_kind kind)
{
    if (kind == OPTION_SIZE) return size_units;
    if (kind == OPTION_DURATION) return duration_units;
    return no_units;
}

static bool in_range(const struct option_row *row, double n)
{
    return (row->least == 0 && row->most == 0) || (n >= row->least && n <= row->most);
}

static int parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *out = i & 1;
        return 0;
    }
    return -EINVAL;
}

static int parse_whole(const struct option_row *row, const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t n;
    if (!decimal_parse_u64((struct slice){(const uint8_t *)text, digits}, &n)) return -EINVAL;
    const struct unit *unit = units_of(row->kind);
    while (unit->name && strcasecmp(unit->name, text + digits) != 0) unit++;
    if (!unit->name || __builtin_mul_overflow(n, unit->factor, &n)) return -EINVAL;
    if (!in_range(row, (double)n)) return -EINVAL;
    *out = n;
    return 0;
}

static int parse_real(const struct option_row *row, const char *text, double *out)
{
    if (!*text || strspn(text, "0123456789+-.eE") != strlen(text)) return -EINVAL; /* no inf, nan, hexadecimal, blank */
    char *end;
    double n = strtod(text, &end);
    if (*end || !isfinite(n) || !in_range(row, n)) return -EINVAL;
    *out = n;
    return 0;
}

static void string_clear(const char **string)
{
    free((void *)(uintptr_t)*string);
    *string = NULL;
}

static int parse_string(const char *text, const char **out)
{
    char *copy = strdup(text);
    if (!copy) return -ENOMEM;
    string_clear(out);
    *out = copy;
    return 0;
}

static int parse_choice(const struct option_row *row, const char *text, const char **out)
{
    size_t len = strlen(text);
    for (const char *word = row->choices; word; word = strchr(word, '|') ? strchr(word, '|') + 1 : NULL)
        if (len > 0 && strcspn(word, "|") == len && memcmp(word, text, len) == 0) return parse_string(text, out);
    return -EINVAL;
}

static void list_clear(struct option_list *list)
{
    while (list->count > 0) string_clear(&list->items[--list->count]);
}

static int parse_list(const char *text, struct option_list *list)
{
    if (!*text) {
        list_clear(list);
        return 0;
    }
    if (list->count == OPTION_LIST_MAX) return -E2BIG;
    int rc = parse_string(text, &list->items[list->count]);
    if (rc == 0) list->count++;
    return rc;
}

int option_parse(const struct option_row *row, const char *text, void *field)
{
    switch (row->kind) {
    case OPTION_COMMAND:
    case OPTION_BOOL: return parse_bool(text, field);
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION: return parse_whole(row, text, field);
    case OPTION_REAL: return parse_real(row, text, field);
    case OPTION_FILE:
    case OPTION_STRING: return parse_string(text, field);
    case OPTION_CHOICE: return parse_choice(row, text, field);
    case OPTION_STRINGS: return parse_list(text, field);
    }
    return -EINVAL;
}

void option_clear(const struct option_row *row, void *field)
{
    switch (row->kind) {
    case OPTION_COMMAND:
    case OPTION_BOOL: *(bool *)field = false; break;
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION: *(uint64_t *)field = 0; break;
    case OPTION_REAL: *(double *)field = 0; break;
    case OPTION_FILE:
    case OPTION_STRING:
    case OPTION_CHOICE: string_clear(field); break;
    case OPTION_STRINGS: list_clear(field); break;
    }
}

static void format_whole(enum option_kind kind, uint64_t n, char *text, size_t cap)
{
    const struct unit *unit = units_of(kind);
    while (unit->factor > 1 && (n == 0 || n % unit->factor != 0)) unit++;
    snprintf(text, cap, "%" PRIu64 "%s", n / unit->factor, unit->name);
}

/* The shortest text that reads back as the same number. */
static void format_real(double n, char *text, size_t cap)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, cap, "%.*g", digits, n);
        if (strtod(text, NULL) == n) return;
    }
}

static void format_list(const struct option_list *list, char *text, size_t cap)
{
    size_t at = 0;
    for (unsigned i = 0; i < list->count && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%s", i ? ", " : "", list->items[i]);
}

void option_format(const struct option_row *row, const void *field, char *text, size_t cap)
{
    if (cap == 0) return;
    *text = '\0';
    switch (row->kind) {
    case OPTION_COMMAND:
    case OPTION_BOOL: snprintf(text, cap, "%s", *(const bool *)field ? "yes" : "no"); break;
    case OPTION_UINT:
    case OPTION_SIZE:
    case OPTION_DURATION: format_whole(row->kind, *(const uint64_t *)field, text, cap); break;
    case OPTION_REAL: format_real(*(const double *)field, text, cap); break;
    case OPTION_FILE:
    case OPTION_STRING:
    case OPTION_CHOICE:
        if (*(const char *const *)field) snprintf(text, cap, "%s", *(const char *const *)field);
        break;
    case OPTION_STRINGS: format_list(field, text, cap); break;
    }
}

static void format_bound(enum option_kind kind, double bound, char *text, size_t cap)
{
    if (kind == OPTION_REAL)
        format_real(bound, text, cap);
    else
        format_whole(kind, bound < 0x1p64 ? (uint64_t)bound : UINT64_MAX, text, cap);
}

static void takes_number(const struct option_row *row, const char *what, char *text, size_t cap)
{
    char least[40], most[40];
    if (row->least == 0 && row->most == 0) {
        snprintf(text, cap, "%s", what);
        return;
    }
    format_bound(row->kind, row->least, least, sizeof least);
    format_bound(row->kind, row->most, most, sizeof most);
    snprintf(text, cap, "%s from %s to %s", what, least, most);
}

/* "a|b|c": a, b or c */
static void takes_choice(const char *choices, char *text, size_t cap)
{
    size_t at = 0;
    for (const char *word = choices; word && at < cap;) {
        size_t len = strcspn(word, "|");
        const char *next = word[len] ? word + len + 1 : NULL;
        const char *before = word == choices ? "" : next ? ", " : " or ";
        at += (size_t)snprintf(text + at, cap - at, "%s%.*s", before, (int)len, word);
        word = next;
    }
}

void option_takes(const struct option_row *row, char *text, size_t cap)
{
    switch (row->kind) {
    case OPTION_COMMAND:
    case OPTION_BOOL: snprintf(text, cap, "yes or no"); break;
    case OPTION_UINT: takes_number(row, "a whole number", text, cap); break;
    case OPTION_SIZE: takes_number(row, "a size", text, cap); break;
    case OPTION_DURATION: takes_number(row, "a duration", text, cap); break;
    case OPTION_REAL: takes_number(row, "a number", text, cap); break;
    case OPTION_FILE:
    case OPTION_STRING: snprintf(text, cap, "a text"); break;
    case OPTION_CHOICE: takes_choice(row->choices, text, cap); break;
    case OPTION_STRINGS: snprintf(text, cap, "a text, at most %d times", OPTION_LIST_MAX); break;
    }
}

void option_user_name(const struct option_row *row, char *name)
{
    size_t len = strlen(row->name);
    assert(len < OPTION_NAME_MAX);
    for (size_t i = 0; i <= len; i++) name[i] = row->name[i] == '_' ? '-' : row->name[i];
}

const struct option_row *option_find(const struct option_row *rows, size_t count, const char *name)
{
    char user_name[OPTION_NAME_MAX];
    for (size_t i = 0; i < count; i++) {
        option_user_name(&rows[i], user_name);
        if (strcmp(name, rows[i].name) == 0 || strcmp(name, user_name) == 0) return &rows[i];
    }
    return NULL;
}
