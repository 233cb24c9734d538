#include "net/port_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_kvargs.h>

#define MEMIF_DEFAULT_BSIZE 2048u /* drivers/net/memif: ETH_MEMIF_DEFAULT_PKT_BUFFER_SIZE */
#define MEMIF_MAX_BSIZE 65535u
#define BSIZE_STEP 1024u

static int memif_check_bsize(const char *text, uint16_t mtu, char *err_text, size_t err_cap)
{
    unsigned frame = (mtu ? mtu : PORT_DEFAULT_MTU) + PORT_FRAME_OVERHEAD;
    unsigned long bsize = MEMIF_DEFAULT_BSIZE;
    char *end = NULL;
    if (text) bsize = strtoul(text, &end, 10);
    if (text && (*end != '\0' || end == text || bsize == 0 || bsize > MEMIF_MAX_BSIZE)) {
        snprintf(err_text, err_cap, "memif's bsize %s is not a number of bytes from 1 to %u", text, MEMIF_MAX_BSIZE);
        return -EINVAL;
    }
    if (bsize >= frame) return 0;
    unsigned give = RTE_MIN((frame + BSIZE_STEP - 1) / BSIZE_STEP * BSIZE_STEP, MEMIF_MAX_BSIZE);
    snprintf(err_text, err_cap, "memif's bsize %lu is below the longest frame %u: give bsize=%u", bsize, frame, give);
    return -EINVAL;
}

static int memif_check(const char *args, uint16_t mtu, char *err_text, size_t err_cap)
{
    struct rte_kvargs *pairs = rte_kvargs_parse(args, NULL);
    if (!pairs) {
        snprintf(err_text, err_cap, "memif's arguments are not key=value,...: %s", args);
        return -EINVAL;
    }
    int rc = memif_check_bsize(rte_kvargs_get(pairs, "bsize"), mtu, err_text, err_cap);
    const char *zero_copy = rte_kvargs_get(pairs, "zero-copy");
    if (rc == 0 && zero_copy && strcmp(zero_copy, "no") != 0) {
        snprintf(err_text, err_cap, "memif's zero-copy=%s corrupts chained frames: give zero-copy=no", zero_copy);
        rc = -EINVAL;
    }
    rte_kvargs_free(pairs);
    return rc;
}

int port_check_vdev(const char *vdev, uint16_t mtu, char *err_text, size_t err_cap)
{
    static const char memif[] = "net_memif";
    if (strncmp(vdev, memif, sizeof memif - 1) != 0) return 0;
    const char *comma = strchr(vdev, ',');
    return memif_check(comma ? comma + 1 : "", mtu, err_text, err_cap);
}
