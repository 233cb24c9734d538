#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include "base/options_parse.h"

#define NO_SECTIONS "takes lines of 'name = value' without sections"

/* A file on its way through inih, which asks `read_line` for lines and gives names and values to `on_value`. */
struct options_file {
    const struct options_parser *parser;
    const char *path;
    FILE *file;
    unsigned line;
    bool failed;  /* and said why */
    bool *listed; /* by row: a list that has begun in this file */
};

static void refuse_line(struct options_file *f, const char *problem)
{
    f->failed = true;
    fprintf(f->parser->err, "%s: %s:%u: %s\n", f->parser->program, f->path, f->line, problem);
}

/* inih takes a line with blanks before it for more of the line above: here each line stands for itself. */
static int skip_blanks(FILE *file)
{
    int c;
    while ((c = getc(file)) != EOF && c != '\n' && isspace(c)) continue;
    return c;
}

/* inih's reader: one line of at most size - 1 bytes. NULL: the end, or a line that inih is not to see. */
static char *read_line(char *line, int size, void *arg)
{
    struct options_file *f = arg;
    int len = 0, c = skip_blanks(f->file);
    if (c == EOF || f->failed) return NULL;
    f->line++;
    bool comment = c == '#' || c == ';'; /* of any length */
    if (c == '[') refuse_line(f, NO_SECTIONS);
    for (; c != EOF && c != '\n' && !f->failed; c = getc(f->file)) {
        if (c == '\0')
            refuse_line(f, "a zero byte: this is not a text");
        else if (len < size - 1 && len < (int)OPTION_LINE_MAX)
            line[len++] = (char)c;
        else if (!comment)
            refuse_line(f, "the line is too long");
    }
    line[len] = '\0';
    return f->failed ? NULL : line;
}

static int on_value(void *arg, const char *section, const char *name, const char *value)
{
    struct options_file *f = arg;
    const struct options_parser *p = f->parser;
    struct option_place place = {.file = f->path, .line = f->line};
    const struct option_row *row = option_find(p->rows, p->count, name);
    int rc;
    if (f->failed) return 0;
    if (*section) { /* behind a byte-order mark, where read_line does not see it */
        refuse_line(f, NO_SECTIONS);
        return 0;
    }
    if (!row) {
        rc = options_unknown(p, name, strlen(name), place);
    } else if (option_is_command(row) || (p->file_option && row == option_find(p->rows, p->count, p->file_option))) {
        rc = options_refuse(p, row, value, place, "stands only on the command line");
    } else {
        bool *listed = &f->listed[row - p->rows];
        if (row->kind == OPTION_STRINGS && !*listed) option_clear(row, option_field(row, p->values));
        *listed = true;
        rc = options_set(p, row, value, place);
    }
    f->failed = rc != 0;
    return rc == 0;
}

static int refuse_file(const struct options_parser *p, const char *path, int err)
{
    fprintf(p->err, "%s: cannot read %s: %s\n", p->program, path, strerror(err));
    return -EINVAL;
}

int options_file_parse(const struct options_parser *p, const char *path)
{
    struct options_file f = {.parser = p, .path = path};
    int rc = -ENOMEM;
    if (!(f.listed = calloc(p->count + 1, sizeof *f.listed))) return rc;
    if (!(f.file = fopen(path, "re"))) {
        rc = refuse_file(p, path, errno);
        goto free_listed;
    }
    errno = 0;
    int bad_line = ini_parse_stream(read_line, &f, on_value, &f);
    if (ferror(f.file)) {
        rc = refuse_file(p, path, errno ? errno : EIO);
    } else {
        if (bad_line > 0 && !f.failed) {
            f.line = (unsigned)bad_line;
            refuse_line(&f, "takes lines of 'name = value'");
        }
        rc = f.failed ? -EINVAL : 0;
    }
    fclose(f.file);
free_listed:
    free(f.listed);
    return rc;
}
