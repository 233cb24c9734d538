/* The glob matcher: rows, a recursive matcher as oracle, and a bound on hostile patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "protocol/resp/glob.h"

static struct slice slice_of(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*", "ba", false},
        {"*a", "bca", true},
        {"*a", "ab", false},
        {"a*c", "abbbc", true},
        {"a*c", "abbb", false},
        {"**a**", "xax", true},
        {"?", "", false},
        {"?", "x", true},
        {"??", "x", false},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[a-b]llo", "hcllo", false},
        {"h[b-a]llo", "hallo", true},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"[\\]]", "]", true},
        {"[a", "a", true},
        {"[a", "b", false},
        {"[", "x", false},
        {"[^", "x", true},
        {"a\\", "a\\", true},
        {"user:*:name", "user:17:name", true},
        {"user:*:name", "user:17:names", false},
        {"*ab*ab*", "aabxxaab", true},
        {"*ab*ab*", "aabxxaa", false},
        {"[a-]", "-", false},
        {"[^a-z]", "m", false},
        {"a[]b", "ab", false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        if (glob_match(slice_of(rows[i].pattern), slice_of(rows[i].text)) != rows[i].matches)
            fail_msg("'%s' against '%s'", rows[i].pattern, rows[i].text);
    assert_true(glob_match((struct slice){(const uint8_t *)"a*\0b", 4}, (struct slice){(const uint8_t *)"a\0\0b", 4}));
    assert_false(glob_match((struct slice){(const uint8_t *)"a\0", 2}, (struct slice){(const uint8_t *)"a", 1}));
}

/* Of stars, question marks and letters: by definition. */
static bool oracle(const char *p, const char *t)
{
    if (!*p) return !*t;
    if (*p == '*') return oracle(p + 1, t) || (*t && oracle(p, t + 1));
    return *t && (*p == '?' || *p == *t) && oracle(p + 1, t + 1);
}

static void test_against_definition(void **state)
{
    (void)state;
    uint64_t seed = 42;
    unsigned matched = 0;
    for (unsigned round = 0; round < 200000; round++) {
        char pattern[8] = {0}, text[10] = {0};
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = seed >> 20;
        unsigned pattern_len = bits % 8, text_len = (bits >> 3) % 10;
        for (unsigned i = 0; i < pattern_len; i++) pattern[i] = "a*b?*abb"[bits >> (6 + 3 * i) & 7];
        for (unsigned i = 0; i < text_len; i++) text[i] = "ab"[bits >> (30 + i) & 1];
        bool expected = oracle(pattern, text);
        matched += expected;
        if (glob_match(slice_of(pattern), slice_of(text)) != expected) fail_msg("'%s' against '%s'", pattern, text);
    }
    assert_true(matched > 10000);
}

/* What makes a backtracking matcher exponential is quadratic here, and ends. */
static void test_hostile(void **state)
{
    (void)state;
    static uint8_t pattern[60000], text[60000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = i % 2 ? 'a' : '*';
    pattern[sizeof pattern - 1] = 'b';
    assert_false(glob_match((struct slice){pattern, sizeof pattern}, (struct slice){text, sizeof text}));
    assert_false(glob_match((struct slice){pattern + 59000, 1000}, (struct slice){text, 30000}));
    memset(pattern, '[', sizeof pattern);
    assert_false(glob_match((struct slice){pattern, sizeof pattern}, (struct slice){text, sizeof text}));
    pattern[0] = '*'; /* a star, and a set of all the rest that is tried at every byte */
    assert_false(glob_match((struct slice){pattern, sizeof pattern}, (struct slice){text, sizeof text}));
    memset(pattern, '*', sizeof pattern);
    assert_true(glob_match((struct slice){pattern, sizeof pattern}, (struct slice){text, sizeof text}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_against_definition),
                                       cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
