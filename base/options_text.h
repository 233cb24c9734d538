/* One option's value as text, both ways, for each kind. Inside base only: options.h is the interface. */
#ifndef POLAR_BASE_OPTIONS_TEXT_H
#define POLAR_BASE_OPTIONS_TEXT_H

#include "base/options.h"

#define OPTION_NAME_MAX 64u   /* longest name with its terminator */
#define OPTION_TAKES_MAX 256u /* longest text of option_takes */
#define OPTION_LINE_MAX 197u  /* longest line of a file, without its end: inih's limit */

/* Such an option stands only on the command line. */
static inline bool option_is_command(const struct option_row *row)
{
    return row->kind == OPTION_COMMAND || row->kind == OPTION_FILE;
}

static inline void *option_field(const struct option_row *row, void *values)
{
    return (char *)values + row->offset;
}
static inline const void *option_field_const(const struct option_row *row, const void *values)
{
    return (const char *)values + row->offset;
}

/*
 * Sets the field; a STRINGS field gets one more, or is emptied by an empty text.
 * 0, -EINVAL: not of this kind or out of range, -E2BIG: the list is full, -ENOMEM. On an error the field is unchanged.
 */
int option_parse(const struct option_row *row, const char *text, void *field);
/* Frees what the field owns and zeroes it: a STRING is then NULL. */
void option_clear(const struct option_row *row, void *field);
/* The text that parses back to the same value; of a list: its items with ", " between. Cut at cap. */
void option_format(const struct option_row *row, const void *field, char *text, size_t cap);
/* What the option takes, for people: "a size from 16m to 1t". */
void option_takes(const struct option_row *row, char *text, size_t cap);
/* memory_limit as the user writes it: memory-limit. name holds OPTION_NAME_MAX bytes. */
void option_user_name(const struct option_row *row, char *name);
/* By either spelling; NULL when there is none. */
const struct option_row *option_find(const struct option_row *rows, size_t count, const char *name);

#endif
