/* Control messages: the layout of the document byte by byte, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>
#include "rdma/wire.h"

static void register_layout(void **state)
{
    (void)state;
    static const uint8_t bytes[RDMA_MESSAGE_BYTES] = {0, 3, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,  0,  0,
                                                      1, 2, 3, 4, 5, 6, 7, 8, 0, 0x10, 0, 0, 9, 10, 11, 12};
    struct rdma_message m = {
        .opcode = RDMA_REGISTER, .address = 0x0102030405060708, .length = 1u << 20, .key = 0x090a0b0c};
    uint8_t out[RDMA_MESSAGE_BYTES];
    memset(out, 0xee, sizeof out);
    rdma_message_encode(out, &m);
    assert_memory_equal(out, bytes, sizeof out);
    struct rdma_message back;
    assert_int_equal(rdma_message_decode(&back, bytes, sizeof bytes), 0);
    assert_int_equal(back.opcode, RDMA_REGISTER);
    assert_true(back.address == m.address && back.length == m.length && back.key == m.key);
}

static void features_layout(void **state)
{
    (void)state;
    static const uint8_t bytes[RDMA_MESSAGE_BYTES] = {0, 0, 0xab, 0xcd, [24] = 0x80, [31] = 0x05};
    struct rdma_message m = {.opcode = RDMA_GET_FEATURES, .select = 0xabcd, .features = RDMA_FEATURE_ONESIDED | 5};
    uint8_t out[RDMA_MESSAGE_BYTES];
    rdma_message_encode(out, &m);
    assert_memory_equal(out, bytes, sizeof out);
    struct rdma_message back;
    assert_int_equal(rdma_message_decode(&back, bytes, sizeof bytes), 0);
    assert_true(back.select == m.select && back.features == m.features);
    m.opcode = RDMA_KEEPALIVE;
    rdma_message_encode(out, &m);
    static const uint8_t keepalive[RDMA_MESSAGE_BYTES] = {0, 2};
    assert_memory_equal(out, keepalive, sizeof out);
}

static void window_comes_back(void **state)
{
    (void)state;
    struct rdma_message m = {.opcode = RDMA_WINDOW, .select = 7, .key = 1, .address = 1ull << 40, .bytes = 1ull << 36},
                        back;
    uint8_t out[RDMA_MESSAGE_BYTES];
    rdma_message_encode(out, &m);
    assert_int_equal(rdma_message_decode(&back, out, sizeof out), 0);
    assert_true(back.select == 7 && back.key == 1 && back.address == m.address && back.bytes == m.bytes);
}

static int decode(struct rdma_message m)
{
    uint8_t out[RDMA_MESSAGE_BYTES];
    struct rdma_message back;
    rdma_message_encode(out, &m);
    int rc = rdma_message_decode(&back, out, sizeof out);
    assert_int_equal(back.opcode, m.opcode);
    return rc;
}

static void refusals(void **state)
{
    (void)state;
    uint8_t bytes[RDMA_MESSAGE_BYTES + 1] = {0, RDMA_KEEPALIVE};
    struct rdma_message m;
    for (uint32_t len = 0; len <= sizeof bytes; len++)
        assert_int_equal(rdma_message_decode(&m, bytes, len), len == RDMA_MESSAGE_BYTES ? 0 : -EBADMSG);
    unsigned known = 0;
    for (uint32_t opcode = 0; opcode <= UINT16_MAX; opcode++) {
        bytes[0] = (uint8_t)(opcode >> 8);
        bytes[1] = (uint8_t)opcode;
        bytes[23] = bytes[27] = 1; /* lengths of register and window */
        known += rdma_message_decode(&m, bytes, RDMA_MESSAGE_BYTES) == 0;
        assert_int_equal(m.opcode, opcode);
    }
    assert_int_equal(known, 5);
}

static void ranges(void **state)
{
    (void)state;
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_REGISTER, .address = 4096, .length = 0}), -EBADMSG);
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_REGISTER, .address = UINT64_MAX, .length = 1}), 0);
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_REGISTER, .address = UINT64_MAX, .length = 2}),
                     -EBADMSG);
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_WINDOW, .address = 1, .bytes = UINT64_MAX}), 0);
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_WINDOW, .address = 2, .bytes = UINT64_MAX}), -EBADMSG);
    assert_int_equal(decode((struct rdma_message){.opcode = RDMA_WINDOW, .address = 2, .bytes = 0}), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(register_layout), cmocka_unit_test(features_layout), cmocka_unit_test(window_comes_back),
        cmocka_unit_test(refusals),        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
