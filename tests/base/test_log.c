#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/log.h"

static char *said;
static size_t said_len;
static FILE *kept;

static void listen(void)
{
    kept = stderr;
    stderr = open_memstream(&said, &said_len);
}

/* What was logged since, to be freed. */
static char *heard(void)
{
    fclose(stderr);
    stderr = kept;
    return said;
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t compiled;
    assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&compiled, text, 0, NULL, 0) != 0) fail_msg("\"%s\" is not %s", text, pattern);
    regfree(&compiled);
}

static void a_line_has_time_level_and_text(void **state)
{
    (void)state;
    listen();
    log_warn("port %d: %s", 7, "busy");
    char *text = heard();
    assert_matches(text,
                   "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9](:[0-5][0-9]){2}\\.[0-9]{3}Z warn port 7: busy\n$");
    free(text);
}

static void levels_below_the_limit_are_silent(void **state)
{
    (void)state;
    static const char *const most[] = {"error", "warn", "info", "debug"};
    enum log_level before = log_get_level();
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        log_set_level((enum log_level)level);
        assert_int_equal(log_get_level(), level);
        listen();
        log_error("x");
        log_warn("x");
        log_info("x");
        log_debug("x");
        char *text = heard();
        for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
            char word[16];
            snprintf(word, sizeof word, " %s x\n", most[i]);
            assert_int_equal(strstr(text, word) != NULL, i <= level);
        }
        free(text);
    }
    log_set_level(before);
    assert_int_equal(before, LOG_LEVEL_INFO);
}

static void it_is_one_line_whatever_stands_in_it(void **state)
{
    (void)state;
    listen();
    log_error("got %s", "a\r\nb\033[2J\tc");
    char *text = heard();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, " error got a??b?[2J?c\n"));
    free(text);
    char longer[3000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    listen();
    log_error("%s", longer);
    text = heard();
    assert_int_equal(strspn(strchr(text, 'x'), "x"), 1023);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_and_text),
        cmocka_unit_test(levels_below_the_limit_are_silent),
        cmocka_unit_test(it_is_one_line_whatever_stands_in_it),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
