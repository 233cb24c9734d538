#include <stdlib.h>
#include <string.h>
#include "net/polar/polar_impl.h"

enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_SWITCH };

static const struct {
    const char *name;
    size_t offset;
    enum field_kind kind;
} fields[] = {
#define FIELD(name, kind) {#name, offsetof(struct polar_config, name), FIELD_##kind},
#include "net/polar/config.def"
#undef FIELD
};

void polar_config_default(struct polar_config *config)
{
    *config = (struct polar_config){
        .threads = 1,
        .buffers = 16384,
        .max_sockets = 65536,
        .send_buffer = 256 << 10,
        .receive_buffer = 256 << 10,
        .nap_us = 50,
        .linger_ms = 1000,
        .port_first = 20000, /* below Linux's own range */
        .port_last = 29999,
    };
}

/* "max-sockets" is "max_sockets". */
static bool name_matches(const char *field, const char *name)
{
    for (; *field && (*field == *name || (*field == '_' && *name == '-')); field++) name++;
    return *field == '\0' && *name == '\0';
}

static int number_set(uint32_t *to, const char *text)
{
    char *end;
    if (*text < '0' || *text > '9') return -EINVAL;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end || v > UINT32_MAX) return -EINVAL;
    *to = (uint32_t)v;
    return 0;
}

static int switch_set(bool *to, const char *text)
{
    bool on = strcmp(text, "yes") == 0;
    if (!on && strcmp(text, "no") != 0) return -EINVAL;
    *to = on;
    return 0;
}

int polar_config_set(struct polar_config *config, const char *name, const char *value)
{
    for (size_t i = 0; i < RTE_DIM(fields); i++) {
        if (!name_matches(fields[i].name, name)) continue;
        void *to = (char *)config + fields[i].offset;
        if (fields[i].kind == FIELD_NUMBER) return result(number_set(to, value));
        if (fields[i].kind == FIELD_SWITCH) return result(switch_set(to, value));
        *(const char **)to = value;
        return 0;
    }
    return fail_with(EINVAL);
}
