/*
 * Values that no option of a kind takes, put to every row of a program's table: none is taken, and each is answered with
 * exactly one line that names the option, what it got and what it takes. A new row is tested by being there.
 */
#ifndef POLAR_TESTS_SUPPORT_ABSURD_H
#define POLAR_TESTS_SUPPORT_ABSURD_H

#include <stdio.h>
#include "base/options.h"

struct absurd_program {
    const char *name; /* as its lines begin */
    const struct option_row *rows;
    size_t count;
    const char *file_option; /* names the file of options; NULL: it reads none */
    /* Whether the program goes on with such a line. What it says against it goes to err. */
    bool (*takes)(int argc, char **argv, FILE *err);
};

/* Each is a cmocka test with the program as its state's target (struct absurd_program **). */
void absurd_on_the_command_line(void **state);
void absurd_in_the_file(void **state);
/* Least and most of each row are taken, by the row itself: others may still be against it. */
void absurd_bounds_are_taken(void **state);
/* A list takes so many and no more; an option that wants a value gets none. */
void absurd_counts(void **state);

#endif
