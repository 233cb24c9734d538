/*
 * Composes replies into a session's output chain: small pieces side by side in buffers of our own, values by reference.
 * When no buffer can be had the session is marked broken and closed: a reply is never cut short silently.
 */
#ifndef POLAR_SERVER_REPLY_H
#define POLAR_SERVER_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"
#include "server/op.h"

struct session;

/* At least n (up to BUF_SMALL_ROOM) contiguous bytes to write to, or NULL (the session is broken then). */
uint8_t *reply_room(struct session *session, uint32_t n);
void reply_wrote(struct session *session, uint32_t n); /* how many of them were used */
void reply_bytes(struct session *session, const void *data, uint32_t n); /* any length */
#define REPLY_LITERAL(session, text) reply_bytes(session, text, sizeof(text) - 1)
static inline void reply_slice(struct session *session, struct slice s) { reply_bytes(session, s.data, (uint32_t)s.len); }
/* The value that op read: copied up to the inline limit, else by reference; op's pin is taken. */
void reply_value(struct session *session, struct op *op);
__attribute__((format(printf, 2, 3))) void reply_format(struct session *session, const char *format, ...);

#endif
