#include "tests/support/absurd.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/options_text.h"

#define GOT_SHOWN 60u /* bytes of a value that an error line shows */

static const char *const no_bool[] = {"maybe", "2", "-1", "YES", "yes ", "", NULL};
static const char *const no_uint[] = {"",
                                      "-1",
                                      "x",
                                      "1.5",
                                      "1e3",
                                      "+1",
                                      "0x10",
                                      "1k",
                                      "1 2",
                                      "--",
                                      "1,000",
                                      "\xC2\xBD",
                                      "18446744073709551616",
                                      "99999999999999999999999999999999999999999999999999999999999999999999999999",
                                      NULL};
static const char *const no_size[] = {
    "", "-5m", "lots", "12q", "k", "1kk", "1.5g", "1 m", "17179869184t", "99999999999999999999", NULL};
static const char *const no_duration[] = {
    "", "-5s", "soon", "5x", "s", "1.5s", "1 s", "99999999999999999999", "6000000000000h", NULL};
static const char *const no_real[] = {"", "x", "nan", "inf", "1,5", "0x1p3", "1e999", "1.2.3", "--1", NULL};
static const char *const no_choice[] = {"", "nosuch", "|", "yes|no", "\t", NULL};
static const char *const none[] = {NULL};

static const char *const *absurdities(enum option_kind kind)
{
    switch (kind) {
    case OPTION_COMMAND:
    case OPTION_BOOL: return no_bool;
    case OPTION_UINT: return no_uint;
    case OPTION_SIZE: return no_size;
    case OPTION_DURATION: return no_duration;
    case OPTION_REAL: return no_real;
    case OPTION_CHOICE: return no_choice;
    default: return none; /* texts: what they take is for those to say who read them */
    }
}

static bool is_bounded(const struct option_row *row)
{
    return row->least != 0 || row->most != 0;
}

/* A bound as text, `beyond` further out. */
static void bound_text(const struct option_row *row, double bound, int beyond, char *text, size_t cap)
{
    if (row->kind == OPTION_REAL)
        snprintf(text, cap, "%.17g", bound + beyond);
    else
        snprintf(text, cap, "%" PRIu64 "%s", (uint64_t)bound + (uint64_t)(int64_t)beyond,
                 row->kind == OPTION_DURATION ? "ns" : "");
}

/* The program refuses the line; *text is what it said, to be freed. */
static void refused(const struct absurd_program *p, int argc, char **argv, char **text)
{
    size_t len;
    FILE *err = open_memstream(text, &len);
    bool taken = p->takes(argc, argv, err);
    fclose(err);
    if (taken) fail_msg("%s takes %s", p->name, argv[argc - 1]);
    if (len == 0 || strchr(*text, '\n') != *text + len - 1) fail_msg("%s: not one line: %s", argv[argc - 1], *text);
}

/* "name: option 'x' got "text" WHERE: takes ..." */
static void assert_line(const struct absurd_program *p, const struct option_row *row, const char *got,
                        const char *where, const char *line)
{
    char name[OPTION_NAME_MAX], takes[OPTION_TAKES_MAX], shown[GOT_SHOWN + 4], want[1024];
    option_user_name(row, name);
    option_takes(row, takes, sizeof takes);
    snprintf(shown, sizeof shown, strlen(got) > GOT_SHOWN ? "%.60s..." : "%s", got);
    for (char *c = shown; *c; c++)
        if ((unsigned char)*c < ' ') *c = '?';
    snprintf(want, sizeof want, "%s: option '%s' got \"%s\" %s: takes %s\n", p->name, name, shown, where, takes);
    assert_string_equal(line, want);
}

static void refused_on_the_line(const struct absurd_program *p, const struct option_row *row, const char *text)
{
    char name[OPTION_NAME_MAX], word[256], program[64], *argv[] = {program, word, NULL}, *said;
    option_user_name(row, name);
    snprintf(program, sizeof program, "%s", p->name);
    snprintf(word, sizeof word, "--%s=%s", name, text);
    refused(p, 2, argv, &said);
    assert_line(p, row, text, "on the command line", said);
    free(said);
}

static void each_beyond_bounds(const struct absurd_program *p, const struct option_row *row,
                               void (*check)(const struct absurd_program *, const struct option_row *, const char *))
{
    char text[64];
    if (!is_bounded(row)) return;
    bound_text(row, row->most, 1, text, sizeof text);
    check(p, row, text);
    if (row->least == 0) return;
    bound_text(row, row->least, -1, text, sizeof text);
    check(p, row, text);
    check(p, row, "0");
}

static void each_absurdity(const struct absurd_program *p,
                           void (*check)(const struct absurd_program *, const struct option_row *, const char *))
{
    for (size_t i = 0; i < p->count; i++) {
        const struct option_row *row = &p->rows[i];
        for (const char *const *text = absurdities(row->kind); *text; text++) check(p, row, *text);
        each_beyond_bounds(p, row, check);
    }
}

void absurd_on_the_command_line(void **state)
{
    each_absurdity(*state, refused_on_the_line);
}

static char file_name[] = "absurd-XXXXXX.conf";

static void refused_in_the_file(const struct absurd_program *p, const struct option_row *row, const char *text)
{
    char name[OPTION_NAME_MAX], word[64], program[64], where[64], *argv[] = {program, word, NULL}, *said;
    size_t len = strlen(text);
    if (option_is_command(row) || (len && (text[0] <= ' ' || text[len - 1] <= ' ')))
        return; /* blanks around are none */
    option_user_name(row, name);
    FILE *file = fopen(file_name, "w");
    assert_non_null(file);
    fprintf(file, "# one line before it\n%s = %s\n", name, text);
    fclose(file);
    snprintf(program, sizeof program, "%s", p->name);
    snprintf(word, sizeof word, "--%s=%s", p->file_option, file_name);
    snprintf(where, sizeof where, "at %s:2", file_name);
    refused(p, 2, argv, &said);
    assert_line(p, row, text, where, said);
    free(said);
}

void absurd_in_the_file(void **state)
{
    int fd = mkstemps(file_name, 5);
    assert_true(fd >= 0);
    close(fd);
    each_absurdity(*state, refused_in_the_file);
    unlink(file_name);
}

static void assert_row_takes(const struct absurd_program *p, const struct option_row *row, double bound)
{
    char text[64], name[OPTION_NAME_MAX], word[160], program[] = "x", *argv[] = {program, word, NULL};
    uint64_t field[64] = {0};
    struct option_row alone = *row;
    alone.offset = 0;
    bound_text(row, bound, 0, text, sizeof text);
    option_user_name(row, name);
    snprintf(word, sizeof word, "--%s=%s", name, text);
    if (options_parse(&alone, 1, field, 2, argv, NULL, stderr) != 0) fail_msg("%s does not take %s", p->name, word);
    options_free(&alone, 1, field);
}

void absurd_bounds_are_taken(void **state)
{
    const struct absurd_program *p = *state;
    for (size_t i = 0; i < p->count; i++) {
        const struct option_row *row = &p->rows[i];
        if (!is_bounded(row)) continue;
        assert_row_takes(p, row, row->least);
        assert_row_takes(p, row, row->most);
    }
}

static void refused_without_a_value(const struct absurd_program *p, const struct option_row *row)
{
    char name[OPTION_NAME_MAX], takes[OPTION_TAKES_MAX], word[80], program[64], want[512],
        *argv[] = {program, word, NULL}, *said;
    option_user_name(row, name);
    option_takes(row, takes, sizeof takes);
    snprintf(program, sizeof program, "%s", p->name);
    snprintf(word, sizeof word, "--%s", name);
    refused(p, 2, argv, &said);
    snprintf(want, sizeof want, "%s: option '%s' got nothing on the command line: takes %s\n", p->name, name, takes);
    assert_string_equal(said, want);
    free(said);
}

static void refused_too_often(const struct absurd_program *p, const struct option_row *row)
{
    char name[OPTION_NAME_MAX], word[80], program[64], *argv[OPTION_LIST_MAX + 3] = {program}, *said;
    option_user_name(row, name);
    snprintf(program, sizeof program, "%s", p->name);
    snprintf(word, sizeof word, "--%s=17th", name);
    for (int i = 1; i <= OPTION_LIST_MAX + 1; i++) argv[i] = word;
    refused(p, OPTION_LIST_MAX + 2, argv, &said);
    assert_line(p, row, "17th", "on the command line", said);
    free(said);
}

void absurd_counts(void **state)
{
    const struct absurd_program *p = *state;
    for (size_t i = 0; i < p->count; i++) {
        const struct option_row *row = &p->rows[i];
        if (row->kind == OPTION_STRINGS) refused_too_often(p, row);
        if (row->kind != OPTION_BOOL && row->kind != OPTION_COMMAND) refused_without_a_value(p, row);
    }
}
