/*
 * Memory that devices read and write where it lies: who has some adds it, who has a device registers each piece with
 * it, and neither knows of the other or has to come first. Control thread.
 */
#ifndef POLAR_BASE_REGIONS_H
#define POLAR_BASE_REGIONS_H

#include <stddef.h>

#define REGIONS_MAX 256u
#define REGIONS_USERS_MAX 64u

struct region_piece {
    void *base;
    size_t bytes;
    size_t page_bytes; /* of the pages that it is made of */
};

struct region_user {
    const char *name; /* for the log: "port net_memif0", "device mlx5_0" */
    /* Registers a piece with the device. 0 or -errno. */
    int (*add)(void *arg, const struct region_piece *piece);
    /* Undoes it; the piece is still mapped. May be NULL. */
    void (*remove)(void *arg, const struct region_piece *piece);
    void *arg;
};

struct regions;

/* NULL: out of memory. */
struct regions *regions_create(void);
/* All pieces and users have been removed. */
void regions_destroy(struct regions **r);
/*
 * Registers the piece with every user, or the user with every piece. 0, -ENOSPC, or what the first that failed said:
 * then nothing has been added anywhere. *failed, if not NULL: the user that failed, NULL on success.
 */
int regions_add(struct regions *r, const struct region_piece *piece, const char **failed);
int regions_add_user(struct regions *r, const struct region_user *user);
/* The other way round. base and arg name them. */
void regions_remove(struct regions *r, const void *base);
void regions_remove_user(struct regions *r, const void *arg);

#endif
