/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash: FNV-1a. Which partition of a hub an instance is in, ids of children and chance follow from it: it stays as it
 * is. It mixes the last bytes badly: who needs more mixes on.
 *
 * Threads: pure.
 */
#ifndef STEAD_AGENTS_HASH_H
#define STEAD_AGENTS_HASH_H

#include "stead/value.h"

/* 64 bits of these bytes. */
static inline uint64_t stead_hash64(struct stead_slice bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3u;
    return hash;
}

/* 32 bits of these bytes; not the low half of the others. */
static inline uint32_t stead_hash32(struct stead_slice bytes)
{
    uint32_t hash = 0x811c9dc5u;

    for (size_t i = 0; i < bytes.size; i++)
        hash = (hash ^ bytes.data[i]) * 0x01000193u;
    return hash;
}

#endif
