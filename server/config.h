/* polarkv's configuration: rows in server/options.def, checked for what single rows cannot say. */
#ifndef POLAR_SERVER_CONFIG_H
#define POLAR_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/options.h"

#define CONFIG_CORES_MAX 64u

/* The C type of each option kind. */
#define CONFIG_TYPE_BOOL bool
#define CONFIG_TYPE_UINT uint64_t
#define CONFIG_TYPE_SIZE uint64_t
#define CONFIG_TYPE_DURATION uint64_t
#define CONFIG_TYPE_REAL double
#define CONFIG_TYPE_STRING const char *
#define CONFIG_TYPE_CHOICE const char *
#define CONFIG_TYPE_STRINGS struct option_list
#define CONFIG_TYPE_COMMAND bool
#define CONFIG_TYPE_FILE const char *

struct config {
#define OPTION(name, kind, value, least, most, choices, help) CONFIG_TYPE_##kind name;
#include "server/options.def"
#undef OPTION
    /* derived */
    unsigned core_count;
    uint64_t fast_open_secret[2]; /* a client's cookie is good on every core */
    int core_cpus[CONFIG_CORES_MAX]; /* processor of each core, -1: not pinned */
};

extern const struct option_row config_rows[];
extern const size_t config_row_count;

enum config_result { CONFIG_RUN, CONFIG_EXIT_OK, CONFIG_EXIT_USAGE };

/* Parses and checks; answers --help, --version and --print-config. On CONFIG_EXIT_USAGE one line is on standard error. */
enum config_result config_load(struct config *config, int argc, char **argv);
/* The one line of a bad option, on standard error. False. */
bool config_refuse(const char *option, const char *got, const char *takes);
void config_free(struct config *config);

#endif
