#include "bench/reply.h"

#include <string.h>

#define HEAD_MAX 4096u /* codec_parse has refused by then */

void reply_reader_init(struct reply_reader *r, struct request_source *source, enum value_verify verify,
                       uint32_t value_min, uint32_t value_max)
{
    *r = (struct reply_reader){.source = source, .verify = verify, .value_min = value_min, .value_max = value_max};
}

static bool size_is_right(const struct reply_reader *r, uint32_t len)
{
    return r->verify == VALUE_VERIFY_NONE || (len >= r->value_min && len <= r->value_max);
}

bool reply_value_is_right(struct reply_reader *r, uint32_t index, const uint8_t *value, uint32_t len)
{
    return size_is_right(r, len) && value_check_whole(r->source->pattern, r->verify, index, value, len);
}

/* Is it the value asked for, by its size and, where the protocol repeats it, its key? */
static bool head_is_right(struct reply_reader *r, uint32_t index, const struct codec_reply *head)
{
    if (r->verify == VALUE_VERIFY_NONE) return true;
    if (!size_is_right(r, head->value_len)) return false;
    return r->source->protocol != CODEC_MEMCACHE || slice_equal(head->key, request_key(r->source, index));
}

static void take_text(struct reply *reply, struct slice text)
{
    size_t n = text.len < sizeof reply->text - 1 ? text.len : sizeof reply->text - 1;
    memcpy(reply->text, text.data, n);
    reply->text[n] = '\0';
}

static enum reply_status take_without_value(const struct codec_reply *head, struct buf_chain *rx, struct reply *reply)
{
    reply->kind = head->kind;
    reply->wrong = false;
    if (head->kind == CODEC_REFUSED) take_text(reply, head->text);
    buf_chain_consume(rx, head->head_len);
    return REPLY_DONE;
}

/* All of the hit lies at p. */
static enum reply_status take_whole_hit(struct reply_reader *r, uint32_t index, const uint8_t *p,
                                        const struct codec_reply *head, struct buf_chain *rx, struct reply *reply)
{
    struct slice tail = codec_tail(r->source->protocol);
    const uint8_t *value = p + head->head_len;
    if (memcmp(value + head->value_len, tail.data, tail.len) != 0) return REPLY_BAD;
    reply->kind = CODEC_HIT;
    reply->wrong = !head_is_right(r, index, head) ||
                   !value_check_whole(r->source->pattern, r->verify, index, value, head->value_len);
    buf_chain_consume(rx, head->head_len + head->value_len + head->tail_len);
    return REPLY_DONE;
}

static void begin_value(struct reply_reader *r, uint32_t index, const struct codec_reply *head, struct buf_chain *rx)
{
    /* A value of another size is wrong already, and longer than the pattern perhaps: its bytes are only skipped. */
    r->wrong = !head_is_right(r, index, head);
    value_check_begin(&r->check, r->source->pattern, r->wrong ? VALUE_VERIFY_NONE : r->verify, index, head->value_len);
    r->left = head->value_len;
    r->state = REPLY_VALUE;
    buf_chain_consume(rx, head->head_len);
}

static void read_value(struct reply_reader *r, struct buf_chain *rx)
{
    while (r->left > 0 && rx->len > 0) {
        uint32_t n = RTE_MIN((uint32_t)rx->head->data_len, r->left);
        value_check_bytes(&r->check, buf_data(rx->head), n);
        r->left -= n;
        buf_chain_consume(rx, n);
    }
    if (r->left > 0) return;
    r->wrong |= !r->check.good;
    r->left = (uint32_t)codec_tail(r->source->protocol).len;
    r->state = REPLY_TAIL;
}

static enum reply_status read_tail(struct reply_reader *r, struct buf_chain *rx, struct reply *reply)
{
    struct slice tail = codec_tail(r->source->protocol);
    uint8_t got[16];
    if (rx->len < r->left) return REPLY_NEED_MORE;
    buf_chain_copy(rx, 0, got, r->left);
    if (memcmp(got, tail.data, tail.len) != 0) return REPLY_BAD;
    buf_chain_consume(rx, r->left);
    r->state = REPLY_HEAD;
    reply->kind = CODEC_HIT;
    reply->wrong = r->wrong;
    return REPLY_DONE;
}

/* The head is cut, or its value does not end in the first segment. */
static enum reply_status read_spread(struct reply_reader *r, bool is_get, uint32_t index, struct buf_chain *rx,
                                     struct reply *reply)
{
    if (r->state == REPLY_HEAD) {
        uint8_t bytes[HEAD_MAX];
        struct codec_reply head;
        uint32_t n = buf_chain_copy(rx, 0, bytes, sizeof bytes);
        enum codec_status status = codec_parse(r->source->protocol, is_get, bytes, n, &head);
        if (status == CODEC_NEED_MORE && n < sizeof bytes) return REPLY_NEED_MORE;
        if (status != CODEC_OK) return REPLY_BAD;
        if (head.kind != CODEC_HIT) return take_without_value(&head, rx, reply);
        begin_value(r, index, &head, rx);
    }
    if (r->state == REPLY_VALUE) read_value(r, rx);
    if (r->state == REPLY_VALUE) return REPLY_NEED_MORE;
    return read_tail(r, rx, reply);
}

enum reply_status reply_read(struct reply_reader *r, bool is_get, uint32_t index, struct buf_chain *rx,
                             struct reply *reply)
{
    if (rx->len == 0) return REPLY_NEED_MORE;
    if (r->state == REPLY_HEAD) {
        struct codec_reply head;
        const uint8_t *p = buf_data(rx->head);
        uint32_t n = rx->head->data_len;
        enum codec_status status = codec_parse(r->source->protocol, is_get, p, n, &head);
        if (status == CODEC_BAD) return REPLY_BAD;
        if (status == CODEC_OK && head.kind != CODEC_HIT) return take_without_value(&head, rx, reply);
        if (status == CODEC_OK && (uint64_t)head.head_len + head.value_len + head.tail_len <= n)
            return take_whole_hit(r, index, p, &head, rx, reply);
    }
    return read_spread(r, is_get, index, rx, reply);
}
