#include "base/regions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct regions {
    unsigned piece_count, user_count;
    struct region_piece pieces[REGIONS_MAX];
    struct region_user users[REGIONS_USERS_MAX];
};

struct regions *regions_create(void)
{
    return calloc(1, sizeof(struct regions));
}

void regions_destroy(struct regions **r)
{
    if (!*r) return;
    assert((*r)->piece_count == 0 && (*r)->user_count == 0);
    free(*r);
    *r = NULL;
}

static void user_forget(const struct region_user *user, const struct region_piece *piece)
{
    if (user->remove) user->remove(user->arg, piece);
}

int regions_add(struct regions *r, const struct region_piece *piece, const char **failed)
{
    if (failed) *failed = NULL;
    if (r->piece_count == REGIONS_MAX) return -ENOSPC;
    for (unsigned i = 0; i < r->user_count; i++) {
        int rc = r->users[i].add(r->users[i].arg, piece);
        if (rc == 0) continue;
        if (failed) *failed = r->users[i].name;
        while (i-- > 0) user_forget(&r->users[i], piece);
        return rc;
    }
    r->pieces[r->piece_count++] = *piece;
    return 0;
}

int regions_add_user(struct regions *r, const struct region_user *user)
{
    if (r->user_count == REGIONS_USERS_MAX) return -ENOSPC;
    for (unsigned i = 0; i < r->piece_count; i++) {
        int rc = user->add(user->arg, &r->pieces[i]);
        if (rc == 0) continue;
        while (i-- > 0) user_forget(user, &r->pieces[i]);
        return rc;
    }
    r->users[r->user_count++] = *user;
    return 0;
}

void regions_remove(struct regions *r, const void *base)
{
    unsigned at = 0;
    while (at < r->piece_count && r->pieces[at].base != base) at++;
    if (at == r->piece_count) return;
    for (unsigned i = r->user_count; i-- > 0;) user_forget(&r->users[i], &r->pieces[at]);
    r->pieces[at] = r->pieces[--r->piece_count];
}

void regions_remove_user(struct regions *r, const void *arg)
{
    unsigned at = 0;
    while (at < r->user_count && r->users[at].arg != arg) at++;
    if (at == r->user_count) return;
    for (unsigned i = r->piece_count; i-- > 0;) user_forget(&r->users[at], &r->pieces[i]);
    for (r->user_count--; at < r->user_count; at++) r->users[at] = r->users[at + 1];
}
