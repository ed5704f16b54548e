/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_key: keys of keyed state, put together piece by piece. Numbers are big-endian, so that keys are in their order.
 * Pure; any thread.
 */
#ifndef STEAD_AGENTS_HUB_KEY_H
#define STEAD_AGENTS_HUB_KEY_H

#include <string.h>

#include "stead/agent.h"

struct stead_hub_key {
    uint8_t bytes[STEAD_KEY_MAX];
    size_t size;
};

/* The key's bytes; borrowed. */
static inline struct stead_slice stead_hub_key(const struct stead_hub_key *key)
{
    return stead_bytes(key->bytes, key->size);
}

/* The id of a message, of whichever copy: one that is put back has its number in the queue behind it, ID#SEQ. A queue
 * takes a '#' of nobody else: see `copy` of enqueue. */
static inline struct stead_slice stead_hub_own_id(struct stead_slice id)
{
    const uint8_t *mark = id.size > 0 ? memchr(id.data, '#', id.size) : NULL;

    return mark == NULL ? id : stead_bytes(id.data, (size_t)(mark - id.data));
}

/* Appends eight bytes. */
static inline void stead_hub_key_u64(struct stead_hub_key *key, uint64_t it)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        key->bytes[key->size++] = (uint8_t)(it >> shift);
}

/* Appends bytes, which must fit. */
static inline void stead_hub_key_add(struct stead_hub_key *key, struct stead_slice bytes)
{
    if (bytes.size > 0)
        memcpy(key->bytes + key->size, bytes.data, bytes.size);
    key->size += bytes.size;
}

/* Eight bytes of a key. */
static inline uint64_t stead_hub_load_u64(const uint8_t *bytes)
{
    uint64_t it = 0;

    for (int at = 0; at < 8; at++)
        it = it << 8 | bytes[at];
    return it;
}

#endif
