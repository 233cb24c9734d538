/* A build without RDMA: there are no sets, so that nobody comes here. */
#include <errno.h>
#include "bench/onesided.h"

void onesided_set_counts(const struct onesided_set *set, struct window_counts *out)
{
    (void)set;
    *out = (struct window_counts){0};
}

int onesided_open(struct onesided_set *set, struct stream *s, struct onesided **out)
{
    (void)set, (void)s, (void)out;
    return -ENOTSUP;
}

enum onesided_state onesided_state(const struct onesided *o)
{
    (void)o;
    return ONESIDED_REFUSED;
}

bool onesided_get(struct onesided *o, const void *key, uint32_t len, struct look *look)
{
    (void)o, (void)key, (void)len, (void)look;
    return false;
}

void onesided_close(struct onesided **o)
{
    *o = NULL;
}
