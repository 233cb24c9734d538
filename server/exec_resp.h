/* What each RESP command does: how it becomes operations, and what it answers. */
#ifndef POLAR_SERVER_EXEC_RESP_H
#define POLAR_SERVER_EXEC_RESP_H

#include "base/slice.h"
#include "protocol/resp/parse.h"
#include "server/op.h"

struct session;

/* A key of a RESP_SHAPE_KEYS command: fills in kind and reply. total: keys of the command. */
void resp_key_op(struct session *s, struct op *op, enum resp_command command, int64_t total);
/* The write of a RESP_SHAPE_VALUE or RESP_SHAPE_PAIRS command: kind, mode, reply, for value_len bytes. */
void resp_store_op(struct session *s, struct op *op, enum resp_command command, uint32_t value_len);
/* Arguments of a VALUE command beside key and value (before: SETEX's time; behind: SET's options). OP_RESULT_STORE: fine. */
enum op_result resp_store_options(struct session *s, struct op *op, enum resp_command command, const struct slice *args,
                                  int count);
/* Index of the value among the arguments (the name counts). */
int resp_value_index(enum resp_command command);
/*
 * A RESP_SHAPE_ARGS command with all its arguments, args[0] the name. False: it has to wait for earlier answers and was
 * not run. Unknown commands come here too.
 */
bool resp_run(struct session *s, enum resp_command command, const struct slice *args, int count);
void resp_error(struct session *s, struct slice text); /* "-<text>\r\n", counted */
void resp_error_result(struct session *s, enum resp_command command, enum op_result result);

void resp_reply_integer(struct session *s, int64_t n);
void resp_reply_null(struct session *s);

/* exec_resp_direct.c: commands about the connection and the server. Everything earlier is answered. */
void resp_direct(struct session *s, enum resp_command command, const struct slice *args, int count);
/* exec_resp_save.c: SAVE, BGSAVE, LASTSAVE. */
void resp_save(struct session *s);
void resp_bgsave(struct session *s, const struct slice *args, int count);
void resp_lastsave(struct session *s);
#define RESP_ERROR_TEXT_MAX 128u
/* Appends a client's text to an error line, where a line end would end the reply early: at most RESP_ERROR_TEXT_MAX bytes,
 * and up to the first zero byte, as redis does. Returns how many. */
size_t resp_error_text(struct session *s, struct slice text);
/* Whether a word equals text (lower case), in any case. */
bool resp_word(struct slice word, const char *text);

#endif
