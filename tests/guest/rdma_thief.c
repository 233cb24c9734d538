/*
 * What one-sided reads (rdma/window.h) are open to whom: rdma_thief ADDRESS PORT PASSWORD, redis clients' port of a
 * server with that password. One client gives it, asks for a window and reads. Others know where that lies and its key,
 * all that there is to know, and read nothing; who asks without having given the password is cut off. The first goes
 * on.
 */
#include <stdio.h>
#include <string.h>
#include "tests/guest/rdma_pair.h"

#define BUFFER 65536u
#define LINE 64u
#define SEED 16u /* bytes of it that do not change by themselves */

static const char *address, *port, *password;

static void expect(struct pair *p, const char *request, const char *want)
{
    char got[64];
    size_t len = strlen(want);
    pair_send(p, request, strlen(request));
    pair_read(p, got, len);
    if (memcmp(got, want, len) != 0) pair_fail("'%.*s' instead of '%s'", (int)len, got, want);
}

static struct pair *open_pair(bool let_in)
{
    char request[128];
    struct pair *p = pair_open(address, port, BUFFER);
    snprintf(request, sizeof request, "AUTH %s\r\n", password);
    if (let_in) expect(p, request, "+OK\r\n");
    return p;
}

static bool all_are(const uint8_t *bytes, uint8_t value)
{
    for (unsigned i = 0; i < LINE; i++)
        if (bytes[i] != value) return false;
    return true;
}

static void must_not_read(const struct pair *owner, bool let_in)
{
    uint8_t line[LINE];
    struct pair *thief = open_pair(let_in);
    memset(line, 0xa5, sizeof line);
    thief->cut_expected = true;
    if (pair_read_window(thief, owner->window_address, owner->window_key, line, LINE) || !all_are(line, 0xa5))
        pair_fail("a stranger reads the server's memory");
    pair_drop(&thief);
}

/* The window is to be read: a write by its key is the device's to refuse. */
static void must_not_write(const struct pair *owner)
{
    struct pair *p = open_pair(true);
    pair_ask_window(p);
    if (p->window_key != owner->window_key) pair_fail("another key");
    p->cut_expected = true;
    p->peer_key = p->window_key;
    pair_post_write(p, p->window_address, "vandal", 6, 6);
    pair_await_cut(p);
    pair_drop(&p);
}

static void line_read(struct pair *owner, uint8_t line[LINE])
{
    memset(line, 0, LINE);
    if (!pair_read_window(owner, owner->window_address, owner->window_key, line, LINE) || all_are(line, 0))
        pair_fail("the window cannot be read");
}

static void must_read(struct pair *owner)
{
    uint8_t line[LINE];
    line_read(owner, line);
    expect(owner, "PING\r\n", "+PONG\r\n");
}

/* Who gives the right to everything back does not keep what a window gives. */
static void must_not_read_after_reset(void)
{
    struct pair *p = open_pair(true);
    expect(p, "RESET\r\n", "+RESET\r\n");
    expect(p, "PING\r\n", "-NOAUTH Authentication required.\r\n");
    pair_close(&p);
    p = open_pair(true);
    pair_ask_window(p);
    must_read(p);
    expect(p, "RESET\r\n", "+RESET\r\n");
    pair_await_cut(p);
    pair_drop(&p);
}

int main(int argc, char **argv)
{
    if (argc != 4) pair_fail("takes ADDRESS PORT PASSWORD");
    address = argv[1];
    port = argv[2];
    password = argv[3];
    pair_doing = "window";
    struct pair *owner = open_pair(true);
    pair_ask_window(owner);
    must_read(owner);
    for (int let_in = 0; let_in < 2; let_in++) {
        pair_doing = let_in ? "one that has not asked" : "one without the password";
        must_not_read(owner, let_in);
        must_read(owner);
    }
    pair_doing = "writing into the window";
    uint8_t before[LINE], after[LINE];
    line_read(owner, before);
    must_not_write(owner);
    line_read(owner, after);
    if (memcmp(before, after, SEED) != 0) pair_fail("the window was written to");
    pair_doing = "after RESET";
    must_not_read_after_reset();
    pair_doing = "asking without the password";
    struct pair *p = open_pair(false);
    p->cut_expected = true;
    pair_ask_window(p);
    pair_await_cut(p);
    if (p->window_key != 0) pair_fail("a window without the password");
    pair_drop(&p);
    must_read(owner);
    pair_close(&owner);
    return 0;
}
