#include "rdma/wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Byte offsets: 0 opcode, 2 select, then what the opcode has. */
enum { FEATURES_AT = 24, REGISTER_ADDRESS_AT = 16, REGISTER_LENGTH_AT = 24, REGISTER_KEY_AT = 28 };
enum { WINDOW_KEY_AT = 4, WINDOW_ADDRESS_AT = 8, WINDOW_BYTES_AT = 16 };

static void put16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
}

static void put64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

void rdma_message_encode(uint8_t out[static RDMA_MESSAGE_BYTES], const struct rdma_message *m)
{
    memset(out, 0, RDMA_MESSAGE_BYTES);
    put16(out, m->opcode);
    switch (m->opcode) {
    case RDMA_GET_FEATURES:
    case RDMA_SET_FEATURES:
        put16(out + 2, m->select);
        put64(out + FEATURES_AT, m->features);
        break;
    case RDMA_REGISTER:
        put64(out + REGISTER_ADDRESS_AT, m->address);
        put32(out + REGISTER_LENGTH_AT, m->length);
        put32(out + REGISTER_KEY_AT, m->key);
        break;
    case RDMA_WINDOW:
        put16(out + 2, m->select);
        put32(out + WINDOW_KEY_AT, m->key);
        put64(out + WINDOW_ADDRESS_AT, m->address);
        put64(out + WINDOW_BYTES_AT, m->bytes);
        break;
    default: break;
    }
}

/* Some bytes, none of them behind the last address. */
static int range_check(uint64_t address, uint64_t bytes)
{
    return bytes > 0 && bytes - 1 <= UINT64_MAX - address ? 0 : -EBADMSG;
}

int rdma_message_decode(struct rdma_message *out, const void *data, uint32_t len)
{
    const uint8_t *p = data;
    if (len != RDMA_MESSAGE_BYTES) return -EBADMSG;
    *out = (struct rdma_message){.opcode = get16(p)};
    switch (out->opcode) {
    case RDMA_GET_FEATURES:
    case RDMA_SET_FEATURES:
        out->select = get16(p + 2);
        out->features = get64(p + FEATURES_AT);
        return 0;
    case RDMA_KEEPALIVE: return 0;
    case RDMA_REGISTER:
        out->address = get64(p + REGISTER_ADDRESS_AT);
        out->length = get32(p + REGISTER_LENGTH_AT);
        out->key = get32(p + REGISTER_KEY_AT);
        return range_check(out->address, out->length);
    case RDMA_WINDOW:
        out->select = get16(p + 2);
        out->key = get32(p + WINDOW_KEY_AT);
        out->address = get64(p + WINDOW_ADDRESS_AT);
        out->bytes = get64(p + WINDOW_BYTES_AT);
        return range_check(out->address, out->bytes);
    default: return -EBADMSG;
    }
}
