/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_message: a message of a queue as it is stored: its rows' keys and value.
 */
#ifndef STEAD_AGENTS_HUB_MESSAGE_H
#define STEAD_AGENTS_HUB_MESSAGE_H

#include "agents/hub_key.h"

#define STEAD_HUB_ANSWER_BYTES (512u << 10) /* of several messages; a single one may have more */

/* A message as it is stored: [count, ms since 1970: came in, id, body, bytes of the body if it has a row of its own,
 * else 0]. */
struct stead_hub_stored {
    int64_t seen_ms;
    uint64_t seq;
    uint64_t count;
    int64_t came_ms;
    struct stead_slice id, body;
    uint64_t apart;
};

/* Keys: of a message, and of a body that has a row of its own. */
struct stead_hub_key stead_hub_message_key(int64_t seen_ms, uint64_t seq);
struct stead_hub_key stead_hub_body_key(uint64_t seq);
/* Decodes a message; borrowed from `value`. STEAD_ECORRUPT. */
int stead_hub_message_read(struct stead_slice key, struct stead_slice value,
                           struct stead_hub_stored *ret_message) STEAD_MUST_USE;
/* Writes its row, not that of its body. */
int stead_hub_message_put(struct stead_turn *turn, const struct stead_hub_stored *message) STEAD_MUST_USE;
/* Reads its body, if that has a row of its own. */
int stead_hub_message_body(struct stead_turn *turn, struct stead_hub_stored *message) STEAD_MUST_USE;
/* The op `body` {seq, at}: up to STEAD_HUB_PIECE bytes of it. */
int stead_hub_message_tell_body(struct stead_turn *turn, void *state, struct stead_slice args);
/* Replies up to `max` messages from that key on: [[seq, seen from, count, came, id, body]...], where that is too long
 * for it with its size behind; fewer where they are long. */
int stead_hub_messages_tell(struct stead_turn *turn, struct stead_hub_key from, uint32_t max) STEAD_MUST_USE;

/* A copy that lives as long as the turn, for what a visitor sees is gone behind it. */
struct stead_slice stead_hub_copy(struct stead_turn *turn, struct stead_slice bytes);

#endif
