#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/options.h"

struct zoo {
    bool open;
    uint64_t cages;
    uint64_t memory_limit;
    uint64_t feed_interval;
    double ratio;
    const char *name;
    const char *mode;
    struct option_list listen;
    struct option_list path;
    const char *config;
    bool version;
    uint64_t any_number;
};

/* clang-format off */
#define ROW(field, kind, value, least, most, choices, help) \
    {#field, OPTION_##kind, offsetof(struct zoo, field), value, least, most, choices, help}
/* clang-format on */

static const struct option_row rows[] = {
    ROW(open, BOOL, "no", 0, 0, NULL, "Whether visitors are let in"),
    ROW(cages, UINT, "4", 1, 65535, NULL, "Number of cages"),
    ROW(memory_limit, SIZE, "256m", MIB(16), TIB(1), NULL, "Memory for animals, all cages together"),
    ROW(feed_interval, DURATION, "1s", 1e3, 3600e9, NULL, "Time between meals"),
    ROW(ratio, REAL, "0.1", 0.05, 0.95, NULL, "Share of lions"),
    ROW(name, STRING, "", 0, 0, NULL, "Name of the zoo"),
    ROW(mode, CHOICE, "adaptive", 0, 0, "adaptive|busy|off", "How the keepers work"),
    ROW(listen, STRINGS, "127.0.0.1:11211", 0, 0, NULL, "Where the gates are"),
    ROW(path, STRINGS, "", 0, 0, NULL, "Paths through the zoo"),
    ROW(config, FILE, "", 0, 0, NULL, "File with options"),
    ROW(version, COMMAND, "no", 0, 0, NULL, "Print the version"),
    ROW(any_number, UINT, "", 0, 0, NULL, "Unbounded"),
};
#define COUNT (sizeof rows / sizeof *rows)

static char error_text[1024];

/* Parses a command line of words with blanks between. The error line is in error_text. */
static int parse(struct zoo *zoo, const char *words)
{
    char copy[1024], *argv[64] = {"/usr/bin/polarkv"}, *save = NULL;
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) argv[argc++] = word;
    memset(zoo, 0, sizeof *zoo);
    memset(error_text, 0, sizeof error_text);
    FILE *err = fmemopen(error_text, sizeof error_text - 1, "w");
    int rc = options_parse(rows, COUNT, zoo, argc, argv, "config", err);
    fclose(err);
    return rc;
}

static char file_name[] = "options-XXXXXX.conf";

static int with_file(struct zoo *zoo, const char *text, const char *words)
{
    char line[600];
    FILE *file = fopen(file_name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    snprintf(line, sizeof line, "--config %s %s", file_name, words);
    return parse(zoo, line);
}

static void assert_refused(const char *words, const char *message)
{
    struct zoo zoo;
    assert_int_equal(parse(&zoo, words), -EINVAL);
    assert_string_equal(error_text, message);
}

/* The message is printf's format for the file's name. */
static void assert_file_refused(const char *text, const char *format)
{
    struct zoo zoo;
    char message[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof message, format, file_name);
#pragma GCC diagnostic pop
    assert_int_equal(with_file(&zoo, text, ""), -EINVAL);
    assert_string_equal(error_text, message);
}

static const char *text_of(const struct zoo *zoo, const char *name)
{
    static char text[256];
    assert_true(options_get_text(rows, COUNT, zoo, name, text, sizeof text));
    return text;
}

static void defaults_stand_where_nothing_is_said(void **state)
{
    (void)state;
    struct zoo zoo;
    assert_int_equal(parse(&zoo, ""), 0);
    assert_false(zoo.open);
    assert_int_equal(zoo.cages, 4);
    assert_int_equal(zoo.memory_limit, MIB(256));
    assert_int_equal(zoo.feed_interval, 1000000000);
    assert_true(zoo.ratio == 0.1);
    assert_string_equal(zoo.name, "");
    assert_string_equal(zoo.config, "");
    assert_string_equal(zoo.mode, "adaptive");
    assert_int_equal(zoo.listen.count, 1);
    assert_string_equal(zoo.listen.items[0], "127.0.0.1:11211");
    assert_int_equal(zoo.path.count, 0);
    assert_int_equal(zoo.any_number, 0);
    options_free(rows, COUNT, &zoo);
    assert_null(zoo.mode);
    options_free(rows, COUNT, &zoo);
}

static void the_command_line_wins_over_the_file(void **state)
{
    (void)state;
    struct zoo zoo;
    const char *file = "# a comment\n"
                       "; another\n"
                       "\n"
                       "  cages = 7 ; with a comment\n"
                       "memory_limit=1g\r\n"
                       "\tname = The   Zoo # of Basel\n"
                       "listen = 10.0.0.1:1\n"
                       "listen = 10.0.0.2:2\n"
                       "path = a\npath = b\n"
                       "open = on";
    assert_int_equal(with_file(&zoo, file, "--cages=9 --path c --path d --open=no --path e"), 0);
    assert_int_equal(zoo.cages, 9);
    assert_int_equal(zoo.memory_limit, GIB(1));
    assert_string_equal(zoo.name, "The   Zoo # of Basel");
    assert_string_equal(text_of(&zoo, "listen"), "10.0.0.1:1, 10.0.0.2:2");
    assert_string_equal(text_of(&zoo, "path"), "c, d, e");
    assert_false(zoo.open);
    options_free(rows, COUNT, &zoo);
    assert_int_equal(with_file(&zoo, "listen = x\n", "--listen="), 0);
    assert_int_equal(zoo.listen.count, 0);
    options_free(rows, COUNT, &zoo);
    assert_int_equal(with_file(&zoo, "listen =\nname =\npath = a\npath =\npath = b\n", "--open"), 0);
    assert_int_equal(zoo.listen.count, 0);
    assert_string_equal(text_of(&zoo, "path"), "b");
    assert_string_equal(zoo.name, "");
    assert_true(zoo.open);
    options_free(rows, COUNT, &zoo);
}

/* What a value is read as, and how it is written. */
static void assert_value(const char *option, const char *text, uint64_t expected, const char *written)
{
    struct zoo zoo;
    char words[128];
    snprintf(words, sizeof words, "--%s=%s", option, text);
    assert_int_equal(parse(&zoo, words), 0);
    const struct option_row *row = rows;
    char name[32];
    snprintf(name, sizeof name, "%s", option);
    for (char *dash = strchr(name, '-'); dash; dash = strchr(name, '-')) *dash = '_';
    while (strcmp(row->name, name) != 0) row++;
    const void *field = (const char *)&zoo + row->offset;
    assert_int_equal(row->kind == OPTION_BOOL ? *(const bool *)field : *(const uint64_t *)field, expected);
    assert_string_equal(text_of(&zoo, option), written);
    assert_string_equal(text_of(&zoo, name), written);
    options_free(rows, COUNT, &zoo);
}

static void values_have_units(void **state)
{
    (void)state;
    assert_value("memory-limit", "16m", MIB(16), "16m");
    assert_value("memory-limit", "16777217", MIB(16) + 1, "16777217");
    assert_value("memory-limit", "1T", TIB(1), "1t");
    assert_value("memory-limit", "1048576K", GIB(1), "1g");
    assert_value("feed-interval", "1us", 1000, "1us");
    assert_value("feed-interval", "1500ns", 1500, "1500ns");
    assert_value("feed-interval", "2", 2000000000, "2s");
    assert_value("feed-interval", "90s", 90000000000, "90s");
    assert_value("feed-interval", "60m", 3600000000000, "1h");
    assert_value("feed-interval", "250ms", 250000000, "250ms");
    assert_value("any-number", "18446744073709551615", UINT64_MAX, "18446744073709551615");
    assert_value("any-number", "0", 0, "0");
    assert_value("open", "yes", 1, "yes");
    assert_value("open", "true", 1, "yes");
    assert_value("open", "on", 1, "yes");
    assert_value("open", "1", 1, "yes");
    assert_value("open", "off", 0, "no");
}

static void a_refused_value_is_told_in_one_line(void **state)
{
    (void)state;
    assert_refused("--memory-limit abc",
                   "polarkv: option 'memory-limit' got \"abc\" on the command line: takes a size from 16m to 1t\n");
    assert_refused("--memory-limit=15m",
                   "polarkv: option 'memory-limit' got \"15m\" on the command line: takes a size from 16m to 1t\n");
    assert_refused("--memory-limit 18446744073709551615t",
                   "polarkv: option 'memory-limit' got \"18446744073709551615t\" "
                   "on the command line: takes a size from 16m to 1t\n");
    assert_refused("--memory-limit",
                   "polarkv: option 'memory-limit' got nothing on the command line: takes a size from "
                   "16m to 1t\n");
    assert_refused("--cages 0",
                   "polarkv: option 'cages' got \"0\" on the command line: takes a whole number from 1 to 65535\n");
    assert_refused("--cages -1",
                   "polarkv: option 'cages' got \"-1\" on the command line: takes a whole number from 1 to 65535\n");
    assert_refused("--cages 3k",
                   "polarkv: option 'cages' got \"3k\" on the command line: takes a whole number from 1 to 65535\n");
    assert_refused("--cages=", "polarkv: option 'cages' got \"\" on the command line: takes a whole number from 1 to "
                               "65535\n");
    assert_refused("--any-number x",
                   "polarkv: option 'any-number' got \"x\" on the command line: takes a whole number\n");
    assert_refused("--ratio 0x1",
                   "polarkv: option 'ratio' got \"0x1\" on the command line: takes a number from 0.05 to "
                   "0.95\n");
    assert_refused("--ratio nan",
                   "polarkv: option 'ratio' got \"nan\" on the command line: takes a number from 0.05 to "
                   "0.95\n");
    assert_refused("--feed-interval 2h",
                   "polarkv: option 'feed-interval' got \"2h\" on the command line: takes a duration from 1us to 1h\n");
    assert_refused("--open=maybe", "polarkv: option 'open' got \"maybe\" on the command line: takes yes or no\n");
    assert_refused("--mode adapt",
                   "polarkv: option 'mode' got \"adapt\" on the command line: takes adaptive, busy or off\n");
    assert_refused("--mode busy|off",
                   "polarkv: option 'mode' got \"busy|off\" on the command line: takes adaptive, busy or off\n");
    assert_refused("--name a\nb --cages a\nb",
                   "polarkv: option 'cages' got \"a?b\" on the command line: takes a whole number from 1 to 65535\n");
    char words[512] = "";
    for (int i = 0; i < OPTION_LIST_MAX + 1; i++) strcat(words, "--path p ");
    assert_refused(words, "polarkv: option 'path' got \"p\" on the command line: takes a text, at most 16 times\n");
}

static void an_unknown_option_is_told_with_the_nearest(void **state)
{
    (void)state;
    assert_refused("--memroy-limit 1g",
                   "polarkv: unknown option '--memroy-limit' (did you mean '--memory-limit'?); --help lists them\n");
    assert_refused("--memroy-limit=1g",
                   "polarkv: unknown option '--memroy-limit' (did you mean '--memory-limit'?); --help lists them\n");
    assert_refused("--xyzzy", "polarkv: unknown option '--xyzzy'; --help lists them\n");
    assert_refused("--mem 1g", "polarkv: unknown option '--mem'; --help lists them\n"); /* no abbreviations */
    assert_refused("--m", "polarkv: unknown option '--m'; --help lists them\n");
    assert_refused("--cage 1", "polarkv: unknown option '--cage' (did you mean '--cages'?); --help lists them\n");
    assert_refused("-p 11211", "polarkv: unexpected argument \"-p\"; --help lists the options\n");
    assert_refused("--open maybe", "polarkv: option 'open' got \"maybe\" on the command line: takes yes or no\n");
    struct zoo zoo;
    assert_int_equal(parse(&zoo, "--open yes --cages 2 --open no"), 0);
    assert_false(zoo.open);
    options_free(rows, COUNT, &zoo);
    assert_refused("--open no x", "polarkv: unexpected argument \"x\"; --help lists the options\n");
    assert_refused("-- x", "polarkv: unexpected argument \"x\"; --help lists the options\n");
    char words[300] = "--";
    memset(words + 2, 'x', 200);
    assert_refused(words,
                   "polarkv: unknown option '--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'; "
                   "--help lists them\n");
}

static void the_file_is_told_with_its_line(void **state)
{
    (void)state;
    assert_file_refused("\n\nmemory-limit = abc\ncages = 0\n",
                        "polarkv: option 'memory-limit' got \"abc\" at %s:3: takes a size from 16m to 1t\n");
    assert_file_refused("memroy-limit = 1g\n", "polarkv: unknown option 'memroy-limit' at %s:1 (did you mean "
                                               "'memory-limit'?); --help lists them\n");
    assert_file_refused("cages = 1\n\n[lions]\ncages = 2\n",
                        "polarkv: %s:3: takes lines of 'name = value' without sections\n");
    assert_file_refused("\xEF\xBB\xBF[lions]\ncages = 2\n",
                        "polarkv: %s:2: takes lines of 'name = value' without sections\n");
    assert_file_refused("cages = 1\ncages\n", "polarkv: %s:2: takes lines of 'name = value'\n");
    assert_file_refused("version = yes\n", "polarkv: option 'version' got \"yes\" at %s:1: stands only on the command "
                                           "line\n");
    assert_file_refused("config = other\n",
                        "polarkv: option 'config' got \"other\" at %s:1: stands only on the command "
                        "line\n");
    char comment[400] = "# ";
    memset(comment + 2, '=', 300);
    struct zoo zoo;
    assert_int_equal(with_file(&zoo, comment, ""), 0);
    options_free(rows, COUNT, &zoo);
    char longer[400] = "name = ";
    memset(longer + 7, 'x', 300);
    assert_file_refused(longer, "polarkv: %s:1: the line is too long\n");
    assert_refused("--config /nowhere/x.conf", "polarkv: cannot read /nowhere/x.conf: No such file or directory\n");
    assert_refused("--config /", "polarkv: cannot read /: Is a directory\n");
}

static void lines_with_blanks_before_them_stand_for_themselves(void **state)
{
    (void)state;
    struct zoo zoo;
    assert_int_equal(with_file(&zoo, "path = a\n  path = b\n \n   \t\n cages = 5\n   ", ""), 0);
    assert_string_equal(text_of(&zoo, "path"), "a, b");
    assert_int_equal(zoo.cages, 5);
    options_free(rows, COUNT, &zoo);
}

/* Prints the options and parses them back from the file. */
static void print_and_parse(const struct zoo *zoo, struct zoo *back)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    options_print_config(rows, COUNT, zoo, out);
    fclose(out);
    assert_int_equal(with_file(back, text, ""), 0);
    free(text);
}

static void a_printed_configuration_parses_back(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "--open --cages 65535 --memory-limit 16777217 --feed-interval 1001ns --ratio 0.333333333333333333",
        "--mode busy --name #1;=x --listen a --listen b --path /x --path [y] --path 2 --any-number 0",
        "--ratio 0.05 --listen= --any-number 18446744073709551615 --memory-limit 1t",
        "--listen 127.0.0.1:11211, --listen x --path a,b",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct zoo zoo, back;
        assert_int_equal(parse(&zoo, lines[i]), 0);
        print_and_parse(&zoo, &back);
        assert_true(zoo.open == back.open && zoo.cages == back.cages && zoo.memory_limit == back.memory_limit);
        assert_true(zoo.feed_interval == back.feed_interval && zoo.ratio == back.ratio);
        assert_true(zoo.any_number == back.any_number);
        assert_string_equal(zoo.name, back.name);
        assert_string_equal(zoo.mode, back.mode);
        assert_int_equal(zoo.listen.count, back.listen.count);
        for (unsigned j = 0; j < zoo.listen.count; j++) assert_string_equal(zoo.listen.items[j], back.listen.items[j]);
        assert_int_equal(zoo.path.count, back.path.count);
        for (unsigned j = 0; j < zoo.path.count; j++) assert_string_equal(zoo.path.items[j], back.path.items[j]);
        options_free(rows, COUNT, &zoo);
        options_free(rows, COUNT, &back);
    }
}

/* A line of 197 bytes is read, and printed with what blanks there is room for. */
static void the_longest_line_is_printed_too(void **state)
{
    (void)state;
    struct zoo zoo, back;
    char text[300];
    for (size_t len = 185; len <= 192; len++) {
        strcpy(text, "name=");
        memset(text + 5, 'x', len);
        text[5 + len] = '\0';
        assert_int_equal(with_file(&zoo, text, ""), 0);
        print_and_parse(&zoo, &back);
        assert_int_equal(strlen(back.name), len);
        options_free(rows, COUNT, &zoo);
        options_free(rows, COUNT, &back);
    }
    strcat(text, "x");
    assert_int_equal(with_file(&zoo, text, ""), -EINVAL);
}

static void what_a_file_cannot_hold_is_left_out(void **state)
{
    (void)state;
    struct zoo zoo, back;
    char *argv[] = {"polarkv", "--name", "a ;b", "--path", " x", "--path", "y", "--cages", "6"};
    memset(&zoo, 0, sizeof zoo);
    assert_int_equal(options_parse(rows, COUNT, &zoo, 9, argv, "config", stderr), 0);
    print_and_parse(&zoo, &back);
    assert_string_equal(back.name, "");
    assert_string_equal(text_of(&back, "path"), "y");
    assert_int_equal(back.cages, 6);
    options_free(rows, COUNT, &zoo);
    options_free(rows, COUNT, &back);
}

static void the_sample_and_the_help_say_what_each_takes(void **state)
{
    (void)state;
    struct zoo zoo;
    char *text = NULL;
    size_t size;
    assert_int_equal(parse(&zoo, "--cages 5 --version"), 0);
    FILE *out = open_memstream(&text, &size);
    options_print_config(rows, COUNT, &zoo, out);
    fclose(out);
    assert_non_null(strstr(text, "# Memory for animals, all cages together\n# Takes a size from 16m to 1t.\n"
                                 "# memory-limit = 256m\n"));
    assert_non_null(strstr(text, "\ncages = 5\n"));
    assert_non_null(strstr(text, "\n# name =\n"));
    assert_null(strstr(text, "config"));
    assert_null(strstr(text, "version"));
    free(text);
    text = NULL;
    out = open_memstream(&text, &size);
    options_help(rows, COUNT, "usage: zoo [--option value ...]", out);
    fclose(out);
    assert_non_null(strstr(text, "usage: zoo [--option value ...]\n\n  --open[=yes|no]"));
    assert_non_null(strstr(text, "  --memory-limit SIZE         Memory for animals, all cages together\n"
                                 "                              Takes a size from 16m to 1t; default 256m.\n"));
    assert_non_null(strstr(text, "Takes a text.\n"));
    assert_non_null(
        strstr(text, "  --config FILE               File with options\n  --version                   Print"));
    free(text);
    options_free(rows, COUNT, &zoo);
}

static void the_text_of_an_option_is_cut_at_the_buffer(void **state)
{
    (void)state;
    struct zoo zoo;
    char text[8] = "1234567";
    assert_int_equal(parse(&zoo, "--listen abcd --listen efgh --name long-enough"), 0);
    assert_true(options_get_text(rows, COUNT, &zoo, "listen", text, 6));
    assert_string_equal(text, "abcd,");
    assert_int_equal(text[6], '7');
    assert_true(options_get_text(rows, COUNT, &zoo, "name", text, 4));
    assert_string_equal(text, "lon");
    assert_false(options_get_text(rows, COUNT, &zoo, "nam", text, sizeof text));
    options_free(rows, COUNT, &zoo);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemps(file_name, 5);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(file_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_stand_where_nothing_is_said),
        cmocka_unit_test(the_command_line_wins_over_the_file),
        cmocka_unit_test(values_have_units),
        cmocka_unit_test(a_refused_value_is_told_in_one_line),
        cmocka_unit_test(an_unknown_option_is_told_with_the_nearest),
        cmocka_unit_test(the_file_is_told_with_its_line),
        cmocka_unit_test(lines_with_blanks_before_them_stand_for_themselves),
        cmocka_unit_test(a_printed_configuration_parses_back),
        cmocka_unit_test(the_longest_line_is_printed_too),
        cmocka_unit_test(what_a_file_cannot_hold_is_left_out),
        cmocka_unit_test(the_sample_and_the_help_say_what_each_takes),
        cmocka_unit_test(the_text_of_an_option_is_cut_at_the_buffer),
    };
    return cmocka_run_group_tests_name("options", tests, make_file, remove_file);
}
