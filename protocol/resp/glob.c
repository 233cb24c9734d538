#include "protocol/resp/glob.h"

#include <stdint.h>

/* Where the set that begins behind '[' at p ends: the byte behind its ']', or the pattern's end. */
static size_t set_match(struct slice pattern, size_t p, uint8_t byte, bool *matches, uint32_t *steps)
{
    bool negated = p < pattern.len && pattern.data[p] == '^', found = false;
    if (negated) p++;
    for (; p < pattern.len && pattern.data[p] != ']'; p++, ++*steps) {
        if (pattern.data[p] == '\\' && p + 1 < pattern.len) p++;
        uint8_t low = pattern.data[p], high = low;
        if (p + 2 < pattern.len && pattern.data[p + 1] == '-') {
            p += 2;
            high = pattern.data[p];
        }
        if (low > high) {
            uint8_t swap = low;
            low = high;
            high = swap;
        }
        found |= byte >= low && byte <= high;
    }
    *matches = found != negated;
    return p < pattern.len ? p + 1 : p;
}

/* One element of the pattern, no star, against one byte. Returns the place behind the element; 0: no match. */
static size_t element_match(struct slice pattern, size_t p, uint8_t byte, uint32_t *steps)
{
    bool matches;
    switch (pattern.data[p]) {
    case '?': return p + 1;
    case '[': p = set_match(pattern, p + 1, byte, &matches, steps); return matches ? p : 0;
    case '\\':
        if (p + 1 < pattern.len) p++;
        break;
    default: break;
    }
    return pattern.data[p] == byte ? p + 1 : 0;
}

/* Only the last star is ever tried again: what an earlier one could still gain, the last one gains too. */
bool glob_match(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    for (uint32_t steps = 0; t < text.len; steps++) {
        if (steps >= GLOB_STEPS) return false;
        if (p < pattern.len && pattern.data[p] == '*') {
            star = ++p;
            mark = t;
            if (p == pattern.len) return true;
            continue;
        }
        size_t next = p < pattern.len ? element_match(pattern, p, text.data[t], &steps) : 0;
        if (next) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            p = star;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*') p++;
    return p == pattern.len;
}
