/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_message: see hub_queue.c for what the rows mean.
 */
#include "agents/hub_message.h"

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
        stead_read_value(&reader, &it.body) != 0 || stead_read_bool(&reader, &it.apart) != 0)
        return STEAD_ECORRUPT;
    *ret_message = it;
    return 0;
}

int stead_hub_message_put(struct stead_turn *turn, const struct stead_hub_stored *message)
{
    struct stead_hub_key key = stead_hub_message_key(message->seen_ms, message->seq);
    struct stead_slice nothing = {0};

    return stead_kv_put(turn, stead_hub_key(&key),
                        stead_packed(turn, "[u,l,S,v,b]", message->count, message->came_ms, message->id,
                                     message->apart ? nothing : message->body, (int)message->apart));
}
