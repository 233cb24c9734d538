#include "protocol/resp/parse.h"
#include "protocol/token_index.h"

const struct resp_command_row resp_command_rows[RESP_CMD_COUNT] = {
#define RESP_COMMAND(id, token, arity, shape, flags, first_key, last_key, step, group, summary)                        \
    [RESP_CMD_##id] = {token, arity, RESP_SHAPE_##shape, flags, first_key, last_key, step, group, summary},
#include "protocol/resp/commands.def"
#undef RESP_COMMAND
};

static const uint8_t token_len[RESP_CMD_COUNT] = {
#define RESP_COMMAND(id, token, arity, shape, flags, first_key, last_key, step, group, summary)                        \
    [RESP_CMD_##id] = sizeof(token) - 1,
#include "protocol/resp/commands.def"
#undef RESP_COMMAND
};

static struct token_index command_index;

__attribute__((constructor)) static void command_index_fill(void)
{
    for (unsigned row = RESP_CMD_UNKNOWN + 1; row < RESP_CMD_COUNT; row++)
        token_index_add(&command_index, resp_command_rows[row].token, token_len[row], (uint8_t)row);
}

/* Tokens are small letters only, so that setting bit 5 folds a letter's case and makes nothing else a letter. */
static bool token_matches(const char *token, struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((name.data[i] | 0x20) != (uint8_t)token[i]) return false;
    return true;
}

enum resp_command resp_command_find(struct slice name)
{
    if (name.len == 0) return RESP_CMD_UNKNOWN;
    uint32_t slot = token_index_slot(name.data, name.len);
    for (uint8_t row; (row = command_index.row[slot]) != RESP_CMD_UNKNOWN; slot = (slot + 1) & (TOKEN_INDEX_SLOTS - 1))
        if (token_len[row] == name.len && token_matches(resp_command_rows[row].token, name))
            return (enum resp_command)row;
    return RESP_CMD_UNKNOWN;
}
