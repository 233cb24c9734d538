#include "base/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include "base/options_parse.h"

#define GOT_MAX (OPTION_GOT_MAX - 4) /* bytes of a refused value that are shown */
#define ROW_BASE 256 /* getopt's answer for row 0: above every character */

void option_got(const char *text, size_t len, char out[static OPTION_GOT_MAX])
{
    size_t at = 0;
    for (; at < len && at < GOT_MAX; at++) out[at] = (unsigned char)text[at] < ' ' || text[at] == 0x7f ? '?' : text[at];
    strcpy(out + at, at < len ? "..." : "");
}

static void place_text(struct option_place place, char *out, size_t cap)
{
    if (place.file)
        snprintf(out, cap, " at %s:%u", place.file, place.line);
    else
        snprintf(out, cap, " on the command line");
}

int options_refuse(const struct options_parser *p, const struct option_row *row, const char *text,
                   struct option_place place, const char *problem)
{
    char name[OPTION_NAME_MAX], got[OPTION_GOT_MAX] = "", where[4200];
    option_user_name(row, name);
    place_text(place, where, sizeof where);
    if (text) option_got(text, strlen(text), got);
    const char *quote = text ? "\"" : "";
    fprintf(p->err, "%s: option '%s' got %s%s%s%s: %s\n", p->program, name, quote, text ? got : "nothing", quote, where,
            problem);
    return -EINVAL;
}

int options_set(const struct options_parser *p, const struct option_row *row, const char *text,
                struct option_place place)
{
    char problem[OPTION_TAKES_MAX] = "takes ";
    int rc = option_parse(row, text, option_field(row, p->values));
    if (rc == 0) return 0;
    if (rc == -EINVAL || rc == -E2BIG)
        option_takes(row, problem + strlen(problem), sizeof problem - strlen(problem));
    else
        snprintf(problem, sizeof problem, "%s", strerror(-rc));
    return options_refuse(p, row, text, place, problem);
}

static unsigned least3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;
    return c < least ? c : least;
}

/* Levenshtein's distance; both shorter than OPTION_NAME_MAX. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b)
{
    unsigned row[OPTION_NAME_MAX];
    size_t b_len = strlen(b);
    for (unsigned j = 0; j <= b_len; j++) row[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned above = row[j];
            row[j] = least3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_len];
}

/* The name the user may have meant; false when none is near. */
static bool nearest_name(const struct options_parser *p, const char *name, size_t len, char *nearest)
{
    char candidate[OPTION_NAME_MAX];
    unsigned best = (unsigned)len / 3 + 1; /* more changes than that make another word */
    bool found = false;
    for (size_t i = 0; len < OPTION_NAME_MAX && i < p->count; i++) {
        option_user_name(&p->rows[i], candidate);
        unsigned distance = edit_distance(name, len, candidate);
        if (distance > best || (found && distance == best)) continue;
        best = distance;
        found = true;
        strcpy(nearest, candidate);
    }
    return found;
}

int options_unknown(const struct options_parser *p, const char *name, size_t len, struct option_place place)
{
    char got[OPTION_GOT_MAX], nearest[OPTION_NAME_MAX], where[4200] = "";
    const char *dashes = place.file ? "" : "--";
    option_got(name, len, got);
    if (place.file) place_text(place, where, sizeof where);
    fprintf(p->err, "%s: unknown option '%s%s'%s", p->program, dashes, got, where);
    if (nearest_name(p, name, len, nearest)) fprintf(p->err, " (did you mean '%s%s'?)", dashes, nearest);
    fputs("; --help lists them\n", p->err);
    return -EINVAL;
}

struct assignment {
    const struct option_row *row;
    const char *text;
};

struct command_line {
    struct option *longs;
    char (*names)[OPTION_NAME_MAX];
    struct assignment *assignments; /* in the order given */
    size_t count;
};

static void command_line_free(struct command_line *c)
{
    free(c->longs);
    free(c->names);
    free(c->assignments);
}

/* A flag: bare, it means yes. */
static bool takes_nothing(const struct option_row *row)
{
    return row->kind == OPTION_BOOL || row->kind == OPTION_COMMAND;
}

static int command_line_alloc(struct command_line *c, const struct options_parser *p, int argc)
{
    *c = (struct command_line){.longs = calloc(p->count + 1, sizeof *c->longs),
                               .names = calloc(p->count + 1, sizeof *c->names),
                               .assignments = calloc((size_t)argc + 1, sizeof *c->assignments)};
    if (!c->longs || !c->names || !c->assignments) {
        command_line_free(c);
        return -ENOMEM;
    }
    for (size_t i = 0; i < p->count; i++) {
        option_user_name(&p->rows[i], c->names[i]);
        c->longs[i] = (struct option){.name = c->names[i],
                                      .has_arg = takes_nothing(&p->rows[i]) ? optional_argument : required_argument,
                                      .val = ROW_BASE + (int)i};
    }
    return 0;
}

static int refuse_argument(const struct options_parser *p, const char *text)
{
    char got[OPTION_GOT_MAX];
    option_got(text, strlen(text), got);
    fprintf(p->err, "%s: unexpected argument \"%s\"; --help lists the options\n", p->program, got);
    return -EINVAL;
}

static int refuse_missing(const struct options_parser *p, const struct option_row *row)
{
    char takes[OPTION_TAKES_MAX] = "takes ";
    option_takes(row, takes + strlen(takes), sizeof takes - strlen(takes));
    return options_refuse(p, row, NULL, (struct option_place){0}, takes);
}

/* One step of getopt. 1: an assignment more, 0: the end, -EINVAL. */
static int command_line_next(struct command_line *c, const struct options_parser *p, int argc, char **argv)
{
    int at = optind ? optind : 1;
    int answer = getopt_long(argc, argv, "+:", c->longs, NULL); /* stop at the first that is no option; no messages */
    if (answer == -1) return 0;
    const char *token = argv[at];
    if (answer == ':') return refuse_missing(p, &p->rows[optopt - ROW_BASE]);
    if (token[1] != '-') return refuse_argument(p, token); /* there are no short options */
    size_t len = strcspn(token + 2, "=");
    const struct option_row *row = answer >= ROW_BASE ? &p->rows[answer - ROW_BASE] : NULL;
    /* getopt takes a beginning for the whole name: a script would break at the next option added. */
    if (!row || strlen(c->names[row - p->rows]) != len)
        return options_unknown(p, token + 2, len, (struct option_place){0});
    c->assignments[c->count++] = (struct assignment){row, optarg ? optarg : "yes"};
    /* A bare yes/no option takes the next word when that is no option: nothing else could be meant by it. */
    if (!optarg && optind < argc && argv[optind][0] != '-') c->assignments[c->count - 1].text = argv[optind++];
    return 1;
}

static int command_line_read(struct command_line *c, const struct options_parser *p, int argc, char **argv)
{
    int rc;
    optind = 0; /* glibc: start anew */
    opterr = 0;
    while ((rc = command_line_next(c, p, argc, argv)) > 0) continue;
    if (rc == 0 && optind < argc) return refuse_argument(p, argv[optind]);
    return rc;
}

static int command_line_apply(const struct command_line *c, const struct options_parser *p)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct assignment *a = &c->assignments[i];
        bool first = true;
        for (size_t j = 0; j < i; j++) first &= c->assignments[j].row != a->row;
        if (first && a->row->kind == OPTION_STRINGS) option_clear(a->row, option_field(a->row, p->values));
        int rc = options_set(p, a->row, a->text, (struct option_place){0});
        if (rc != 0) return rc;
    }
    return 0;
}

static void defaults_apply(const struct options_parser *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct option_row *row = &p->rows[i];
        void *field = option_field(row, p->values);
        bool text =
            row->kind == OPTION_STRING || row->kind == OPTION_FILE; /* is never NULL, for "" is simpler to use */
        int rc = *row->value || text ? option_parse(row, row->value, field) : 0;
        assert(rc == 0); /* a row whose default is not what it takes */
        (void)rc;
    }
}

/* The last one given on the command line, or the default; NULL for none. */
static const char *file_path(const struct command_line *c, const struct options_parser *p)
{
    const struct option_row *row = p->file_option ? option_find(p->rows, p->count, p->file_option) : NULL;
    if (!row) return NULL;
    const char *path = *row->value ? row->value : NULL;
    for (size_t i = 0; i < c->count; i++)
        if (c->assignments[i].row == row) path = *c->assignments[i].text ? c->assignments[i].text : NULL;
    return path;
}

static int parse_all(const struct options_parser *p, struct command_line *c, int argc, char **argv)
{
    int rc = command_line_read(c, p, argc, argv);
    if (rc != 0) return rc;
    defaults_apply(p);
    const char *path = file_path(c, p);
    if (path && (rc = options_file_parse(p, path)) != 0) return rc;
    return command_line_apply(c, p);
}

int options_parse(const struct option_row *rows, size_t count, void *values, int argc, char **argv,
                  const char *file_option, FILE *err)
{
    const char *slash = strrchr(argv[0], '/');
    struct options_parser p = {.rows = rows,
                               .count = count,
                               .values = values,
                               .program = slash ? slash + 1 : argv[0],
                               .file_option = file_option,
                               .err = err};
    struct command_line c;
    int rc = command_line_alloc(&c, &p, argc);
    if (rc != 0) return rc;
    rc = parse_all(&p, &c, argc, argv);
    command_line_free(&c);
    if (rc != 0) options_free(rows, count, values);
    return rc;
}

bool options_get_text(const struct option_row *rows, size_t count, const void *values, const char *name, char *buf,
                      size_t cap)
{
    const struct option_row *row = option_find(rows, count, name);
    if (!row) return false;
    option_format(row, option_field_const(row, values), buf, cap);
    return true;
}

void options_free(const struct option_row *rows, size_t count, void *values)
{
    for (size_t i = 0; i < count; i++) option_clear(&rows[i], option_field(&rows[i], values));
}
