/*
 * Any bytes as an options file. It is refused with exactly one line, or read; and what was read is printed, parsed
 * back, and printed again to the same text.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/options.h"

struct values {
    bool flag;
    uint64_t number;
    uint64_t size;
    uint64_t duration;
    double real;
    const char *text;
    const char *word;
    struct option_list list;
    const char *file;
};

/* clang-format off */
#define ROW(field, kind, value, least, most, choices) \
    {#field, OPTION_##kind, offsetof(struct values, field), value, least, most, choices, "help"}
/* clang-format on */

static const struct option_row rows[] = {
    ROW(flag, BOOL, "no", 0, 0, NULL),
    ROW(number, UINT, "4", 1, 65535, NULL),
    ROW(size, SIZE, "256m", 0, 0, NULL),
    ROW(duration, DURATION, "1s", 0, 0, NULL),
    ROW(real, REAL, "0.1", 0, 0, NULL),
    ROW(text, STRING, "", 0, 0, NULL),
    ROW(word, CHOICE, "one", 0, 0, "one|two|three"),
    ROW(list, STRINGS, "a", 0, 0, NULL),
    ROW(file, FILE, "", 0, 0, NULL),
};
#define COUNT (sizeof rows / sizeof *rows)

/* A file of these bytes, parsed. The lines of the error are counted. */
static int parse(const void *data, size_t size, struct values *values)
{
    char path[32], *argv[] = {"fuzz", "--file", path, NULL}, *error = NULL;
    size_t error_size = 0, lines = 0;
    int fd = memfd_create("options", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FILE *err = open_memstream(&error, &error_size);
    memset(values, 0, sizeof *values);
    int rc = options_parse(rows, COUNT, values, 3, argv, "file", err);
    fclose(err);
    close(fd);
    for (size_t i = 0; i < error_size; i++) lines += error[i] == '\n';
    if (lines != (rc ? 1 : 0) || (rc && rc != -EINVAL)) abort();
    free(error);
    return rc;
}

static char *print(const struct values *values, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    options_print_config(rows, COUNT, values, out);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct values values, back;
    if (parse(data, size, &values) != 0) return 0;
    size_t size1, size2;
    char *text1 = print(&values, &size1);
    if (parse(text1, size1, &back) != 0) abort();
    char *text2 = print(&back, &size2);
    if (size1 != size2 || memcmp(text1, text2, size1) != 0) abort();
    if (values.number != back.number || values.size != back.size || values.duration != back.duration) abort();
    if (values.real != back.real || values.list.count != back.list.count) abort();
    free(text1);
    free(text2);
    options_free(rows, COUNT, &values);
    options_free(rows, COUNT, &back);
    return 0;
}
