/* Every row of polarkv's options, and what rows cannot say by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "server/config.h"
#include "tests/support/absurd.h"

static struct config config;

/* config_load speaks to standard error. */
static enum config_result load(int argc, char **argv, FILE *err)
{
    FILE *kept = stderr;
    stderr = err;
    enum config_result result = config_load(&config, argc, argv);
    stderr = kept;
    return result;
}

static bool takes(int argc, char **argv, FILE *err)
{
    bool taken = load(argc, argv, err) != CONFIG_EXIT_USAGE;
    config_free(&config);
    return taken;
}

/* Words with single blanks between; what was said is in *said, to be freed. */
static enum config_result load_words(const char *words, char **said)
{
    char copy[512], name[] = "polarkv", *argv[32] = {name};
    int argc = 1;
    size_t len;
    FILE *err = open_memstream(said, &len);
    snprintf(copy, sizeof copy, "%s", words);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word) argv[argc++] = word;
    enum config_result result = load(argc, argv, err);
    fclose(err);
    return result;
}

#define MEMIF                                                                                                          \
    "--vdev net_memif0,role=server,id=0,socket=/tmp/nosuch.memif,socket-abstract=no,bsize=9216 --port net_memif0 "
#define ON_PORT MEMIF "--ip 10.9.0.1/24 "

/* Each is one line that begins so: the option, what it got. */
static void what_rows_cannot_say(void **state)
{
    static const struct {
        const char *words, *says;
    } bad[] = {
        {"--listen localhost", "option 'listen' got \"localhost\": takes a numeric"},
        {"--listen=", "option 'listen' got \"\": takes an address"},
        {"--memcache-port 0 --resp-port 0", "option 'memcache-port' got \"0\": "},
        {"--memcache-port 7 --resp-port 7", "option 'resp-port' got \"7\": takes another port than memcache-port"},
        {"--cpus x", "option 'cpus' got \"x\": takes processors"},
        {"--cpus 0,", "option 'cpus' got \"0,\": takes processors"},
        {"--cpus ,0", "option 'cpus' got \",0\": takes processors"},
        {"--cpus 1-0", "option 'cpus' got \"1-0\": takes processors"},
        {"--cpus -1", "option 'cpus' got \"-1\": takes processors"},
        {"--cpus 0-", "option 'cpus' got \"0-\": takes processors"},
        {"--cpus 99999", "option 'cpus' got \"99999\": takes processors"},
        {"--cpus 99999999999999999999", "option 'cpus' got \"99999999999999999999\": takes processors"},
        {"--cpus 0 --cores 2", "option 'cpus' got \"0\": takes at least as many processors"},
        {"--cores 64 --memory-limit 127m", "option 'memory-limit' got \"127m\": takes 2m to 32g for each of 64 cores"},
        {"--cores 1 --memory-limit 33g", "option 'memory-limit' got \"33g\": takes 2m to 32g for each of 1 cores"},
        {"--listen 0.0.0.0", "option 'listen' got \"0.0.0.0\": reaches beyond this host"},
        {"--listen :: --password x", "option 'listen' got \"::\": reaches beyond this host and memcached's"},
        {"--listen= --vdev net_tap0 --port net_tap0 --ip 10.9.0.1/24",
         "option 'port' got \"net_tap0\": reaches beyond"},
        {MEMIF "--ip=", "option 'ip' got \"\": takes the port's addresses"},
        {MEMIF "--ip x", "option 'ip' got \"x\": takes the port's addresses"},
        {MEMIF "--ip 10.9.0.1", "option 'ip' got \"10.9.0.1\": takes the port's addresses"},
        {MEMIF "--ip 10.9.0.1/33", "option 'ip' got \"10.9.0.1/33\": takes"},
        {MEMIF "--ip 10.9.0.1/-1", "option 'ip' got \"10.9.0.1/-1\": takes"},
        {MEMIF "--ip fd00::1/129", "option 'ip' got \"fd00::1/129\": takes"},
        {MEMIF "--ip 10.9.0.1/24,", "option 'ip' got \"10.9.0.1/24,\": takes"},
        {ON_PORT "--gateway nowhere", "option 'gateway' got \"nowhere\": takes"},
        {ON_PORT "--gateway 10.9.0.2,nowhere", "option 'gateway' got \"10.9.0.2,nowhere\": takes"},
        {ON_PORT "--gateway 10.9.0.2,10.9.0.3", "option 'gateway' got \"10.9.0.2,10.9.0.3\": takes"},
        {ON_PORT "--route nowhere", "option 'route' got \"nowhere\": takes"},
        {ON_PORT "--route 10.1.0.0/16", "option 'route' got \"10.1.0.0/16\": takes"},
        {ON_PORT "--autoconf-secret zz", "option 'autoconf-secret' got \"zz\": takes 32 hex digits"},
        {ON_PORT "--autoconf-secret 0123456789abcdef0123456789abcdef0", "option 'autoconf-secret' got \"0123"},
        {"--vdev net_memif0,bsize=2048 --mtu 9000", "option 'vdev': "},
        {"--port net_memif0", "option 'ip' got \"\": takes"},
        {"--tap interface-too-long", "option 'tap' got \"interface-too-long\": takes"},
        {"--tap a/b", "option 'tap' got \"a/b\": takes"},
        {"--tap=", "option 'tap' got \"\": takes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *said, want[256];
        if (load_words(bad[i].words, &said) != CONFIG_EXIT_USAGE) fail_msg("taken: %s", bad[i].words);
        snprintf(want, sizeof want, "polarkv: %s", bad[i].says);
        if (strncmp(said, want, strlen(want)) != 0) fail_msg("%s: not \"%s...\" but %s", bad[i].words, want, said);
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
        free(said);
        config_free(&config);
    }
}

static void what_goes_together_is_taken(void **state)
{
    static const char *const good[] = {
        "--cores 3 --cpus=", /* more than there may be processors */
        "--cores 64 --memory-limit 128m",
        "--cpus 0 --cores 1",
        "--listen 0.0.0.0 --protected no",
        "--listen 127.9.9.9",
        "--listen ::1",
        "--listen 0.0.0.0 --password x --memcache-port 0",
        "--memcache-port 0",
        ON_PORT "--gateway 10.9.0.2",
        ON_PORT "--gateway 10.9.0.2,fd00::2",
        ON_PORT "--autoconf-secret 0123456789abcdef0123456789ABCDEF",
        "--listen= " ON_PORT,
        "--tap fifteen-letters",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char *said;
        if (load_words(good[i], &said) != CONFIG_RUN || *said) fail_msg("%s: refused: %s", good[i], said);
        free(said);
        config_free(&config);
    }
    char program[] = "polarkv", option[] = "--route=10.1.0.0/16 via 10.9.0.253", *argv[] = {program, option, NULL};
    assert_true(load(2, argv, stderr) == CONFIG_RUN);
    config_free(&config);
}

int main(void)
{
    static struct absurd_program program = {
        .name = "polarkv", .rows = config_rows, .file_option = "config", .takes = takes};
    struct absurd_program *polarkv = &program;
    program.count = config_row_count;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(absurd_on_the_command_line, polarkv),
        cmocka_unit_test_prestate(absurd_in_the_file, polarkv),
        cmocka_unit_test_prestate(absurd_bounds_are_taken, polarkv),
        cmocka_unit_test_prestate(absurd_counts, polarkv),
        cmocka_unit_test(what_rows_cannot_say),
        cmocka_unit_test(what_goes_together_is_taken),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
