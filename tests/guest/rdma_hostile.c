/*
 * Breaks each rule of Valkey over RDMA in turn: rdma_hostile ADDRESS PORT, redis clients' port. After each the server
 * has ended that connection, and serves one that was there before and one that comes after. And one that knows where
 * the server reads what another one writes, and by which key: it cannot change it.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>
#include "tests/guest/rdma_pair.h"

#define BUFFER 65536u

static const uint8_t nothing[64];

static void answered(struct pair *p)
{
    char answer[7];
    pair_read(p, answer, sizeof answer);
    if (memcmp(answer, "+PONG\r\n", sizeof answer) != 0) pair_fail("'%.7s' instead of +PONG", answer);
}

static void ask(struct pair *p)
{
    pair_send(p, "PING\r\n", 6);
    answered(p);
}

/* ---- messages ---- */

static void registers(struct pair *p, uint64_t address, uint32_t length, uint32_t key)
{
    uint8_t m[PAIR_MESSAGE];
    pair_message(m, PAIR_REGISTER, address, length, key);
    pair_post_message(p, m, sizeof m);
}

static void message_empty(struct pair *p)
{
    pair_post_message(p, nothing, 0);
}
static void message_short(struct pair *p)
{
    pair_post_message(p, nothing, PAIR_MESSAGE - 1);
}
static void message_long(struct pair *p)
{
    pair_post_message(p, nothing, PAIR_MESSAGE + 1);
}

static void opcode_unknown(struct pair *p)
{
    uint8_t m[PAIR_MESSAGE];
    pair_message(m, (enum pair_opcode)9, 0, 0, 0);
    pair_post_message(p, m, sizeof m);
}

static void feature_unknown(struct pair *p)
{
    uint8_t m[PAIR_MESSAGE];
    uint64_t features = htobe64(UINT64_C(1) << 40);
    pair_message(m, PAIR_SET_FEATURES, 0, 0, 0);
    memcpy(m + 24, &features, sizeof features);
    pair_post_message(p, m, sizeof m);
}

static void register_nothing(struct pair *p)
{
    registers(p, (uintptr_t)p->memory, 0, p->mr->rkey);
}
static void register_past_memory(struct pair *p)
{
    registers(p, UINT64_MAX - 100, 4096, p->mr->rkey);
}

/* Ours is hardly written. */
static void register_early(struct pair *p)
{
    registers(p, (uintptr_t)p->memory, p->buffer_bytes, p->mr->rkey);
}

/* A buffer of the server's own: what it then writes fails at our device. The one before must be full. */
static void register_the_server_s(struct pair *p)
{
    uint8_t many[BUFFER / 7][6];
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) memcpy(many[i], "PING\r\n", 6);
    p->hold = true;
    p->cut_expected = true;
    pair_send(p, many, sizeof many);
    for (int i = 0; i < 300 && p->filled + 7 < p->buffer_bytes && !p->cut; i++) pair_pump(p, 100);
    pair_send(p, "PING\r\nPING\r\n", 12);
    for (int i = 0; i < 300 && p->filled < p->buffer_bytes && !p->cut; i++) pair_pump(p, 100);
    if (p->filled < p->buffer_bytes) pair_fail("%u of %u bytes are filled", p->filled, p->buffer_bytes);
    registers(p, p->peer_address, BUFFER, p->peer_key);
    pair_send(p, "PING\r\n", 6);
}

/* ---- writes ---- */

static uint64_t next(const struct pair *p)
{
    return p->peer_address + p->peer_filled;
}

static void immediate_zero(struct pair *p)
{
    pair_post_write(p, next(p), nothing, 0, 0);
}
static void immediate_most(struct pair *p)
{
    pair_post_write(p, next(p), "PING", 4, UINT32_MAX);
}

static void immediate_past_end(struct pair *p)
{
    pair_post_write(p, next(p), "PING", 4, p->peer_bytes - p->peer_filled + 1);
}

/* The device refuses these. */
static void write_past_end(struct pair *p)
{
    pair_post_write(p, p->peer_address + (1ull << 40), "PING", 4, 4);
}

static void write_by_a_wrong_key(struct pair *p)
{
    p->peer_key ^= 0x5a5a5a00u;
    pair_post_write(p, next(p), "PING", 4, 4);
}

static const struct {
    const char *name;
    void (*run)(struct pair *p);
} faults[] = {{"message of no bytes", message_empty},
              {"message of 31 bytes", message_short},
              {"message of 33 bytes", message_long},
              {"unknown opcode", opcode_unknown},
              {"feature that was not offered", feature_unknown},
              {"register of no bytes", register_nothing},
              {"register past the end of memory", register_past_memory},
              {"register in mid-buffer", register_early},
              {"register of the server's memory", register_the_server_s},
              {"immediate of 0", immediate_zero},
              {"immediate of 4 GiB - 1", immediate_most},
              {"immediate past the end", immediate_past_end},
              {"write past the end", write_past_end},
              {"write by a wrong key", write_by_a_wrong_key}};

/* Of a request that lies there and is not announced yet. */
static void another_one_s(struct pair *thief, struct pair *owner)
{
    uint64_t at = next(owner);
    pair_doing = "write into another one's buffer";
    pair_post_plain_write(owner, at, "PING\r\n", 6);
    pair_flush(owner);
    thief->peer_key = owner->peer_key;
    thief->cut_expected = true;
    pair_post_plain_write(thief, at, "QUIT\r\n", 6);
    pair_flush(thief);
    if (!thief->cut) pair_fail("it is let in");
    if (thief->why != IBV_WC_REM_ACCESS_ERR) pair_fail("it ends by: %s", ibv_wc_status_str(thief->why));
    pair_post_write(owner, at + 6, nothing, 0, 6);
    owner->peer_filled += 6;
    answered(owner);
    ask(owner);
    printf("%s: cut off\n", pair_doing);
}

int main(int argc, char **argv)
{
    if (argc != 3) pair_fail("takes ADDRESS PORT");
    struct pair *bystander = pair_open(argv[1], argv[2], BUFFER);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        pair_doing = faults[i].name;
        struct pair *p = pair_open(argv[1], argv[2], BUFFER);
        ask(p);
        p->cut_expected = true;
        faults[i].run(p);
        pair_await_cut(p);
        pair_drop(&p);
        ask(bystander);
        p = pair_open(argv[1], argv[2], BUFFER);
        ask(p);
        pair_close(&p);
        printf("%s: cut off\n", faults[i].name);
    }
    struct pair *thief = pair_open(argv[1], argv[2], BUFFER);
    ask(thief);
    another_one_s(thief, bystander);
    pair_drop(&thief);
    ask(bystander);
    pair_close(&bystander);
    return 0;
}
