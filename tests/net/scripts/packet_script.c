/*
 * Runs packet scripts: files, or folders of *.pkt. With --must-fail each of them has to fail, with the message that its
 * second line gives ("# fails: text"): so the runner itself is tested.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "tests/net/scripts/run.h"

#define FILES_MAX 1024u

static struct run run;

static void run_free(struct run *r)
{
    for (unsigned i = 0; i < r->line_count; i++) free(r->lines[i].text);
    free(r->lines);
    free(r->trace);
}

static void report(const struct run *r)
{
    unsigned line = r->line_count ? r->lines[r->at].number : 0;
    printf("%s:%u: %s\n", r->file, line, r->message);
    if (r->line_count) printf("      line:     %s\n", r->lines[r->at].text);
    printf("   trace so far:\n");
    for (uint32_t i = 0; i < r->trace_count; i++) printf("   %s\n", r->trace[i]);
}

static bool fails_as_said(const struct run *r, int rc)
{
    static const char said[] = "# fails: ";
    const char *line = r->line_count > 1 ? r->lines[1].text : "";
    if (rc != 0 && strncmp(line, said, sizeof said - 1) == 0 && strstr(r->message, line + sizeof said - 1)) return true;
    printf("%s: %s\n", r->file, rc ? "failed with another message than its second line says:" : "did not fail");
    if (rc) report(r);
    return false;
}

static bool file_run(const char *path, bool must_fail)
{
    int rc = run_file(&run, path);
    bool good = must_fail ? fails_as_said(&run, rc) : rc == 0;
    if (!good && !must_fail)
        report(&run);
    else if (good)
        printf("ok %s\n", path);
    run_free(&run);
    return good;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The scripts of a folder, or the one file. Returns how many; names are the caller's to free. */
static unsigned files_of(const char *path, char **names)
{
    struct stat status;
    unsigned n = 0;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        DIR *folder = opendir(path);
        const struct dirent *entry;
        while (folder && (entry = readdir(folder)) != NULL && n < FILES_MAX) {
            size_t len = strlen(entry->d_name);
            if (len < 5 || strcmp(entry->d_name + len - 4, ".pkt") != 0) continue;
            if (asprintf(&names[n], "%s/%s", path, entry->d_name) < 0) abort();
            n++;
        }
        if (folder) closedir(folder);
        qsort(names, n, sizeof *names, by_name);
        return n;
    }
    names[0] = strdup(path);
    return 1;
}

int main(int argc, char **argv)
{
    static char *names[FILES_MAX];
    unsigned ran = 0, failed = 0;
    bool must_fail = argc > 1 && strcmp(argv[1], "--must-fail") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = must_fail ? 2 : 1; i < argc; i++) {
        unsigned n = files_of(argv[i], names);
        for (unsigned k = 0; k < n; k++) {
            ran++;
            failed += !file_run(names[k], must_fail);
            free(names[k]);
        }
    }
    printf("%u scripts, %u failed\n", ran, failed);
    if (ran == 0) fprintf(stderr, "usage: %s [--must-fail] FILE|FOLDER...\n", argv[0]);
    return ran == 0 || failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
