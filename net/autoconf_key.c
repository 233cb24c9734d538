#include "net/autoconf_key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/tcp/tcp.h"

#define DIGITS 32u
#define HALF (DIGITS / 2)
#define MACHINE_ID "/etc/machine-id"
#define LABEL_BYTES 256u

static int digits_parse(const char *text, uint64_t out[2])
{
    char half[HALF + 1] = "";
    if (strlen(text) != DIGITS || strspn(text, "0123456789abcdefABCDEF") != DIGITS) return -EINVAL;
    for (unsigned i = 0; i < 2; i++) {
        memcpy(half, text + i * HALF, HALF);
        out[i] = strtoull(half, NULL, 16);
    }
    return 0;
}

static int machine_read(uint64_t out[2])
{
    char text[DIGITS + 1] = "";
    FILE *file = fopen(MACHINE_ID, "re");
    if (!file) return -errno;
    size_t n = fread(text, 1, DIGITS, file);
    fclose(file);
    return n == DIGITS ? digits_parse(text, out) : -ENODATA;
}

int net_autoconf_key(const char *hex, const char *interface, uint64_t key[2])
{
    uint64_t base[2];
    char label[LABEL_BYTES];
    int rc = *hex ? digits_parse(hex, base) : machine_read(base);
    if (rc != 0) return rc;
    for (unsigned i = 0; i < 2; i++) {
        int len = snprintf(label, sizeof label, "stable addresses %u %s", i, interface);
        if (len >= (int)sizeof label) return -EINVAL;
        key[i] = siphash(base, label, (uint32_t)len);
    }
    return 0;
}
