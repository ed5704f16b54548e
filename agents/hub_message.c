/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_message: see hub_queue.c for what the rows mean.
 */
#include "agents/hub_message.h"

#include "agents/hub.h"

#include <string.h>

#include "agents/hub_large.h"

struct stead_hub_key stead_hub_message_key(int64_t seen_ms, uint64_t seq)
{
    struct stead_hub_key key = {.bytes = {'v'}, .size = 1};

    stead_hub_key_u64(&key, (uint64_t)seen_ms);
    stead_hub_key_u64(&key, seq);
    return key;
}

struct stead_hub_key stead_hub_body_key(uint64_t seq)
{
    struct stead_hub_key key = {.bytes = {'b'}, .size = 1};

    stead_hub_key_u64(&key, seq);
    return key;
}

int stead_hub_message_read(struct stead_slice key, struct stead_slice value, struct stead_hub_stored *ret_message)
{
    struct stead_reader reader = stead_reader(value);
    struct stead_hub_stored it = {0};
    uint32_t count;

    if (key.size != 17)
        return STEAD_ECORRUPT;
    it.seen_ms = (int64_t)stead_hub_load_u64(key.data + 1);
    it.seq = stead_hub_load_u64(key.data + 9);
    if (stead_read_array(&reader, &count) != 0 || count != 5 || stead_read_u64(&reader, &it.count) != 0 ||
        stead_read_i64(&reader, &it.came_ms) != 0 || stead_read_str(&reader, &it.id) != 0 ||
        stead_read_value(&reader, &it.body) != 0 || stead_read_u64(&reader, &it.apart) != 0)
        return STEAD_ECORRUPT;
    *ret_message = it;
    return 0;
}

int stead_hub_message_put(struct stead_turn *turn, const struct stead_hub_stored *message)
{
    struct stead_hub_key key = stead_hub_message_key(message->seen_ms, message->seq);
    struct stead_slice nothing = {0};

    return stead_kv_put_once(turn, stead_hub_key(&key),
                             stead_packed(turn, "[u,l,S,v,u]", message->count, message->came_ms, message->id,
                                          message->apart > 0 ? nothing : message->body, message->apart));
}

int stead_hub_message_body(struct stead_turn *turn, struct stead_hub_stored *message)
{
    return message->apart == 0 ? 0 : stead_hub_large_get(turn, stead_hub_body_key(message->seq), &message->body);
}

int stead_hub_message_tell_body(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice body;
    uint64_t seq = 0, at = 0;

    (void)state;
    if (stead_get_u64(args, "seq", &seq) != 0 || stead_get_u64(args, "at", &at) != 0)
        return stead_fail(turn, "bad_argument", "body takes seq and at");
    int code = stead_hub_large_get(turn, stead_hub_body_key(seq), &body);
    if (code != 0)
        return code;
    if (at > body.size)
        return stead_fail(turn, "bad_argument", "the body ends before that");
    size_t left = body.size - (size_t)at;
    return stead_reply(
        turn, stead_packed(turn, "B", stead_bytes(body.data + at, left < STEAD_HUB_PIECE ? left : STEAD_HUB_PIECE)));
}

struct stead_slice stead_hub_copy(struct stead_turn *turn, struct stead_slice bytes)
{
    uint8_t *copy = stead_turn_alloc(turn, bytes.size + 1);

    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return stead_bytes(copy, bytes.size);
}

struct telling {
    struct stead_turn *turn;
    size_t bytes;
    uint32_t count;
    int code;
    struct stead_hub_stored messages[];
};

static int see(void *context, struct stead_slice key, struct stead_slice value)
{
    struct telling *telling = context;
    struct stead_hub_stored *message = &telling->messages[telling->count];

    telling->code = stead_hub_message_read(key, stead_hub_copy(telling->turn, value), message);
    if (telling->code != 0)
        return 1;
    telling->bytes += value.size + message->apart;
    if (telling->count > 0 && telling->bytes > STEAD_HUB_ANSWER_BYTES)
        return 1;
    telling->count++;
    return 0;
}

int stead_hub_messages_tell(struct stead_turn *turn, struct stead_hub_key from, uint32_t max)
{
    struct telling *telling = stead_turn_alloc(turn, sizeof(*telling) + max * sizeof(telling->messages[0]));
    struct stead_hub_key to = {.bytes = {'w'}, .size = 1};
    struct stead_writer answer;

    *telling = (struct telling){.turn = turn};
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), max, see, telling);
    code = code == 0 ? telling->code : code;
    stead_writer_init(&answer);
    stead_write_array(&answer, telling->count);
    for (uint32_t at = 0; at < telling->count && code == 0; at++) {
        struct stead_hub_stored *it = &telling->messages[at];
        if (it->apart > STEAD_HUB_PART_MAX)
            stead_pack(&answer, "[u,u,u,l,S,v,u]", it->seq, (uint64_t)it->seen_ms, it->count, it->came_ms, it->id,
                       it->body, it->apart);
        else if ((code = stead_hub_message_body(turn, it)) == 0)
            stead_pack(&answer, "[u,u,u,l,S,v]", it->seq, (uint64_t)it->seen_ms, it->count, it->came_ms, it->id,
                       it->body);
    }
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&answer);
    return code;
}
