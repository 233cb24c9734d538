#include "bench/value.h"

void value_pattern_fill(uint8_t *pattern, size_t len)
{
    struct rng rng = {.state = 0x706f6c61726b7600u};
    for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
        uint64_t word = rng_next(&rng);
        size_t left = len - at;
        memcpy(pattern + at, &word, left < sizeof word ? left : sizeof word);
    }
}

void value_check_begin(struct value_check *c, const uint8_t *pattern, enum value_verify verify, uint32_t index,
                       uint32_t size)
{
    *c = (struct value_check){.pattern = pattern, .verify = verify, .index = index, .size = size, .good = true};
    c->body = pattern + value_offset(index, 0);
}

/* The header is complete: is it this key's, and where does its body start? */
static void check_header(struct value_check *c)
{
    struct value_header want = value_header_of(c->index, c->size, c->header.version);
    if (memcmp(&want, &c->header, sizeof want) != 0) c->good = false;
    c->body = c->pattern + value_offset(c->index, c->header.version);
}

void value_check_bytes(struct value_check *c, const uint8_t *p, uint32_t n)
{
    if (c->verify == VALUE_VERIFY_NONE) return;
    uint32_t header_len = value_header_len(c->size);
    if (c->at < header_len) {
        uint32_t take = header_len - c->at < n ? header_len - c->at : n;
        memcpy((uint8_t *)&c->header + c->at, p, take);
        c->at += take;
        if (c->at < header_len) return;
        check_header(c);
        p += take;
        n -= take;
    }
    if (n == 0) return;
    if (c->verify == VALUE_VERIFY_FULL || header_len == 0) c->good &= memcmp(p, c->body, n) == 0;
    c->body += n;
    c->at += n;
}
