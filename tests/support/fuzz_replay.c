/*
 * Runs a fuzzer without libFuzzer: each file of the corpus folder argv[1], then argv[2] (20,000 by default) random
 * mutations of them. The same numbers each time: a fault repeats.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4096u
#define FILE_BYTES_MAX (1u << 20)
#define MUTATIONS 20000u
#define GROWTH 64u /* bytes a mutation may add */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *data;
    size_t len;
};

static struct input inputs[FILES_MAX];
static unsigned input_count;

static uint64_t random_next(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

static uint64_t random_below(uint64_t n)
{
    return random_next() % n;
}

/* In a block of its own length, so that the address sanitizer sees a read behind it. */
static void run(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    if (!exact) abort();
    memcpy(exact, data, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static int input_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) return -1;
    struct input *input = &inputs[input_count];
    input->data = malloc(FILE_BYTES_MAX);
    if (!input->data) abort();
    input->len = fread(input->data, 1, FILE_BYTES_MAX, file);
    fclose(file);
    input_count++;
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Sorted by name: the order of a folder is the file system's own, and the mutations depend on it. */
static int folder_read(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, by_name);
    if (count < 0) return -1;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && input_count < FILES_MAX && input_read(path) != 0) perror(path);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

static size_t cut(uint8_t *data, size_t len)
{
    size_t at = random_below(len), n = 1 + random_below(len - at < 16 ? len - at : 16);
    memmove(data + at, data + at + n, len - at - n);
    return len - n;
}

static size_t insert(uint8_t *data, size_t len, const uint8_t *bytes, size_t n)
{
    size_t at = random_below(len + 1);
    memmove(data + at + n, data + at, len - at);
    memcpy(data + at, bytes, n);
    return len + n;
}

/* data has room for 16 bytes more. */
static size_t mutate_once(uint8_t *data, size_t len)
{
    static const uint8_t telling[] = "\0\r\n $*-+0199 \"'\\{}\xff";
    const struct input *other = &inputs[random_below(input_count)];
    switch (len ? random_below(6) : 4) {
    case 0: data[random_below(len)] ^= (uint8_t)(1u << random_below(8)); return len;
    case 1: data[random_below(len)] = telling[random_below(sizeof(telling))]; return len;
    case 2: return random_below(len + 1);
    case 3: return cut(data, len);
    case 4: return insert(data, len, &telling[random_below(sizeof(telling))], 1);
    default: {
        size_t n = other->len < 16 ? other->len : 16;
        return insert(data, len, other->data + random_below(other->len - n + 1), n);
    }
    }
}

static void run_mutation(uint8_t *data)
{
    const struct input *input = &inputs[random_below(input_count)];
    size_t len = input->len;
    memcpy(data, input->data, len);
    for (uint64_t steps = 1 + random_below(GROWTH / 16); steps > 0; steps--) len = mutate_once(data, len);
    run(data, len);
}

int main(int argc, char **argv)
{
    if (argc < 2 || folder_read(argv[1]) != 0 || input_count == 0) {
        fprintf(stderr, "usage: %s <corpus folder, not empty> [mutations]\n", argv[0]);
        return 2;
    }
    unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : MUTATIONS;
    uint8_t *data = malloc(FILE_BYTES_MAX + GROWTH);
    if (!data) return 2;
    for (unsigned i = 0; i < input_count; i++) run(inputs[i].data, inputs[i].len);
    for (unsigned long i = 0; i < mutations; i++) run_mutation(data);
    printf("%u files, %lu mutations\n", input_count, mutations);
    for (unsigned i = 0; i < input_count; i++) free(inputs[i].data);
    free(data);
    return 0;
}
