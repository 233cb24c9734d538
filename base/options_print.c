#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/options_text.h"

#define HELP_COLUMN 30

static const char *const kind_words[] = {
    [OPTION_BOOL] = "[=yes|no]", [OPTION_UINT] = " NUMBER", [OPTION_SIZE] = " SIZE",   [OPTION_DURATION] = " TIME",
    [OPTION_REAL] = " NUMBER",   [OPTION_STRING] = " TEXT", [OPTION_CHOICE] = " WORD", [OPTION_STRINGS] = " TEXT",
    [OPTION_COMMAND] = "",       [OPTION_FILE] = " FILE"};

void options_help(const struct option_row *rows, size_t count, const char *usage, FILE *out)
{
    fprintf(out, "%s\n\n", usage);
    for (size_t i = 0; i < count; i++) {
        const struct option_row *row = &rows[i];
        char name[OPTION_NAME_MAX], takes[OPTION_TAKES_MAX];
        option_user_name(row, name);
        option_takes(row, takes, sizeof takes);
        int width = fprintf(out, "  --%s%s", name, kind_words[row->kind]);
        if (width >= HELP_COLUMN) width = fprintf(out, "\n") - 1;
        fprintf(out, "%*s%s\n", HELP_COLUMN - width, "", row->help);
        if (option_is_command(row)) continue;
        fprintf(out, "%*sTakes %s", HELP_COLUMN, "", takes);
        if (*row->value) fprintf(out, "; default %s", row->value);
        fputs(".\n", out);
    }
}

/* Whether inih gives the text back as it is: it cuts white space at both ends, and a ';' after some with all behind. */
static bool fits_file(const char *name, const char *text)
{
    size_t len = strlen(text);
    if (strlen(name) + strlen("=") + len > OPTION_LINE_MAX || strchr(text, '\n')) return false;
    if (len == 0) return true;
    if (isspace((unsigned char)text[0]) || isspace((unsigned char)text[len - 1])) return false;
    for (const char *mark = strchr(text + 1, ';'); mark; mark = strchr(mark + 1, ';'))
        if (isspace((unsigned char)mark[-1])) return false;
    return true;
}

static void print_line(FILE *out, const char *name, const char *text, bool commented)
{
    /* Close up where the blank would make a comment of the value, or the line too long. */
    bool close = text[0] == ';' || strlen(name) + strlen(" = ") + strlen(text) > OPTION_LINE_MAX;
    const char *equals = close ? "=" : *text ? " = " : " =";
    if (!fits_file(name, text))
        fprintf(out, "# %s: its present value fits only the command line\n", name);
    else
        fprintf(out, "%s%s%s%s\n", commented ? "# " : "", name, equals, text);
}

union any_value {
    bool flag;
    uint64_t whole;
    double real;
    const char *string;
    struct option_list list;
};

/* The whole text of a value, to be freed; NULL when memory is out. */
static char *value_text(const struct option_row *row, const void *field)
{
    size_t size = 64;
    if (row->kind == OPTION_STRING || row->kind == OPTION_CHOICE) {
        const char *string = *(const char *const *)field;
        size += string ? strlen(string) : 0;
    } else if (row->kind == OPTION_STRINGS) {
        const struct option_list *list = field;
        for (unsigned i = 0; i < list->count; i++) size += strlen(list->items[i]) + 2;
    }
    char *text = malloc(size);
    if (text) option_format(row, field, text, size);
    return text;
}

static bool is_default(const struct option_row *row, const void *field, const char *text)
{
    union any_value value;
    memset(&value, 0, sizeof value);
    if (*row->value && option_parse(row, row->value, &value) != 0) return false;
    char *default_text = value_text(row, &value);
    bool same = default_text && strcmp(default_text, text) == 0;
    if (row->kind == OPTION_STRINGS) same &= ((const struct option_list *)field)->count == value.list.count;
    free(default_text);
    option_clear(row, &value);
    return same;
}

static void print_option(const struct option_row *row, const void *field, FILE *out)
{
    char name[OPTION_NAME_MAX], takes[OPTION_TAKES_MAX];
    option_user_name(row, name);
    option_takes(row, takes, sizeof takes);
    fprintf(out, "# %s\n# Takes %s.\n", row->help, takes);
    char *text = value_text(row, field);
    if (!text) return;
    const struct option_list *list = row->kind == OPTION_STRINGS ? field : NULL;
    if (is_default(row, field, text))
        print_line(out, name, row->value, true);
    else if (list && list->count > 0)
        for (unsigned i = 0; i < list->count; i++) print_line(out, name, list->items[i], false);
    else
        print_line(out, name, text, false);
    free(text);
}

void options_print_config(const struct option_row *rows, size_t count, const void *values, FILE *out)
{
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (option_is_command(&rows[i])) continue;
        if (!first) fputc('\n', out);
        first = false;
        print_option(&rows[i], option_field_const(&rows[i], values), out);
    }
}
