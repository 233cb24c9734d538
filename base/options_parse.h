/*
 * What the two sources of options share: where a value stands, and the one line of an error. Inside base only.
 * Every function that returns int has printed that line when it returns -EINVAL.
 */
#ifndef POLAR_BASE_OPTIONS_PARSE_H
#define POLAR_BASE_OPTIONS_PARSE_H

#include "base/options_text.h"

struct options_parser {
    const struct option_row *rows;
    size_t count;
    void *values;
    const char *program;
    const char *file_option; /* or NULL */
    FILE *err;
};

struct option_place {
    const char *file; /* NULL: the command line */
    unsigned line;
};

/* Sets one option, or prints what it got and what it takes. */
int options_set(const struct options_parser *p, const struct option_row *row, const char *text,
                struct option_place place);
/* A value that is refused: "option 'x' got "y" at f.conf:3: problem". text NULL: got nothing. Returns -EINVAL. */
int options_refuse(const struct options_parser *p, const struct option_row *row, const char *text,
                   struct option_place place, const char *problem);
/* A name that no row has, of len bytes, with the nearest that one has. Returns -EINVAL. */
int options_unknown(const struct options_parser *p, const char *name, size_t len, struct option_place place);
/* Sets what the file says. A list starts anew with its first line in the file. */
int options_file_parse(const struct options_parser *p, const char *path);

#endif
