#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include "protocol/resp/parse.h"
#include "tests/protocol/text.h"

static void test_every_command_is_found(void **state)
{
    (void)state;
    for (unsigned id = RESP_CMD_UNKNOWN + 1; id < RESP_CMD_COUNT; id++) {
        char name[32];
        size_t len = strlen(resp_command_rows[id].token);
        assert_true(len < sizeof(name));
        memcpy(name, resp_command_rows[id].token, len);
        struct slice text = {(const uint8_t *)name, len};
        assert_int_equal(resp_command_find(text), id);
        for (size_t i = 0; i < len; i += 2) name[i] = (char)toupper(name[i]);
        assert_int_equal(resp_command_find(text), id);
        for (size_t i = 0; i < len; i++) name[i] = (char)toupper(name[i]);
        assert_int_equal(resp_command_find(text), id);
    }
}

/* Folding a letter's case must not make a letter of anything else. */
static void test_a_changed_byte_is_another_name(void **state)
{
    (void)state;
    for (unsigned id = RESP_CMD_UNKNOWN + 1; id < RESP_CMD_COUNT; id++) {
        const char *token = resp_command_rows[id].token;
        size_t len = strlen(token);
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                uint8_t name[32];
                memcpy(name, token, len);
                name[at] = (uint8_t)byte;
                enum resp_command found = resp_command_find((struct slice){name, len});
                if (byte == (uint8_t)token[at] || byte == (uint8_t)toupper(token[at]))
                    assert_int_equal(found, id);
                else
                    assert_int_not_equal(found, id);
            }
        }
    }
}

static void test_unknown(void **state)
{
    (void)state;
    static const char *const names[] = {"", "g", "ge", "gett", "getsett", "xget", "get ", "PINGPING", "incrbyfloatt"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(resp_command_find(slice_of(names[i])), RESP_CMD_UNKNOWN);
    uint8_t *longest = malloc(1 << 20);
    memset(longest, 'g', 1 << 20);
    assert_int_equal(resp_command_find((struct slice){longest, 1 << 20}), RESP_CMD_UNKNOWN);
    free(longest);
}

/* A row's numbers must agree with each other: the name and the keys fit into its arity. */
static void test_rows_agree(void **state)
{
    (void)state;
    for (unsigned id = RESP_CMD_UNKNOWN + 1; id < RESP_CMD_COUNT; id++) {
        const struct resp_command_row *row = &resp_command_rows[id];
        int least = row->arity < 0 ? -row->arity : row->arity;
        assert_true(row->arity != 0);
        for (const char *c = row->token; *c; c++) assert_true(*c >= 'a' && *c <= 'z');
        if (row->first_key == 0) {
            assert_int_equal(row->last_key, 0);
            assert_int_equal(row->step, 0);
            assert_int_equal(row->shape, RESP_SHAPE_ARGS);
            continue;
        }
        assert_int_equal(row->first_key, 1);
        assert_true(least > row->first_key);
        assert_true(row->last_key == 1 || row->last_key == -1);
        assert_true(row->last_key == 1 || row->arity < 0);
        assert_int_equal(row->step, row->shape == RESP_SHAPE_PAIRS ? 2 : 1);
        bool reads = strstr(row->flags, "readonly") != NULL, writes = strstr(row->flags, "write") != NULL;
        assert_true(reads != writes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_is_found),
        cmocka_unit_test(test_a_changed_byte_is_another_name),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_rows_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
