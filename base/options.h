/*
 * Options: defaults, then a file (libinih), then the command line (getopt_long). A program declares one row an option in
 * its options.def; struct, parser, --help and the sample configuration all come from that row.
 *
 *     OPTION(memory_limit, SIZE, "256m", MIB(16), TIB(1), "Memory for items and index, all cores together")
 *
 * The command line's and the file's name of memory_limit is memory-limit. The whole name: no abbreviations.
 *
 * The file: lines of `name = value`, no sections, `#` or `;` before a comment, at most 197 bytes a line. A list begins
 * anew with its first line in the file, and again with its first place on the command line; an empty value empties it.
 * Control thread only.
 */
#ifndef POLAR_BASE_OPTIONS_H
#define POLAR_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTION_LIST_MAX 16

/* Bytes, for the bounds of a SIZE. */
#define KIB(n) ((n) * (UINT64_C(1) << 10))
#define MIB(n) ((n) * (UINT64_C(1) << 20))
#define GIB(n) ((n) * (UINT64_C(1) << 30))
#define TIB(n) ((n) * (UINT64_C(1) << 40))

/* A STRINGS option: given several times, each adds one. */
struct option_list {
    unsigned count;
    const char *items[OPTION_LIST_MAX];
};

enum option_kind {
    OPTION_BOOL,     /* bool;        yes/no, true/false, on/off, 1/0; on the command line
                      * --name yes, --name=yes, and bare, before another option or at the end: yes */
    OPTION_UINT,     /* uint64_t;    a whole number */
    OPTION_SIZE,     /* uint64_t;    bytes, with k, m, g, t (powers of 1024) */
    OPTION_DURATION, /* uint64_t ns; with ns, us, ms, s, m, h; bare number: seconds */
    OPTION_REAL,     /* double */
    OPTION_STRING,   /* const char * (owned by the options); "" when empty, never NULL after options_parse */
    OPTION_CHOICE,   /* const char *, one of the words of `choices`, separated by | */
    OPTION_STRINGS,  /* struct option_list */
    OPTION_COMMAND,  /* bool, as BOOL, but refused in a file and not printed into one: help, version */
    OPTION_FILE      /* const char *, as STRING, but likewise: the name of the file itself */
};

struct option_row {
    const char *name;     /* as in C: underscores */
    enum option_kind kind;
    size_t offset;        /* of the field in the program's struct */
    const char *value;    /* default, as text; "" for none */
    double least, most;   /* for the numeric kinds (ns for durations); 0,0: unbounded */
    const char *choices;  /* OPTION_CHOICE: "adaptive|busy" */
    const char *help;     /* one line, with its unit */
};

/* Parses into *values (zeroed by the caller). On error prints ONE line to err that names the option, what it got and
 * what it takes (and where: file:line or command line), and returns -EINVAL, or -ENOMEM; nothing is left to free then.
 * argv[0] is the program's name.
 * file_option: the name of the option that names the file (e.g. "config"), or NULL. It is refused in the file.
 * positional arguments are an error. A default that its own row refuses is an assert. */
int options_parse(const struct option_row *rows, size_t count, void *values, int argc, char **argv,
                  const char *file_option, FILE *err);
void options_help(const struct option_row *rows, size_t count, const char *usage, FILE *out);
/*
 * The commented sample: a help line, the type and range, then `name = default` commented out, or `name = value` where
 * the value is another. It parses back to the same values. What a file cannot hold (blanks at an end, " ;", a line
 * end, a line over 197 bytes) is left out with a comment that says so.
 */
void options_print_config(const struct option_row *rows, size_t count, const void *values, FILE *out);
/*
 * Text of one option's present value into buf (a list's items with ", " between), cut at cap. false when there is no
 * such name (either spelling).
 */
bool options_get_text(const struct option_row *rows, size_t count, const void *values, const char *name, char *buf,
                      size_t cap);
void options_free(const struct option_row *rows, size_t count, void *values);

#define OPTION_GOT_MAX 64u
/* What somebody wrote, for a line that says so: on one line whatever it is, cut at 60 bytes. */
void option_got(const char *text, size_t len, char out[static OPTION_GOT_MAX]);

#endif
