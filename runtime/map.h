/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: a hash table of borrowed items by 64-bit hash: open addressing, linear probing, deletion by shifting back.
 *
 * The table keeps each item's hash beside its pointer, so that a probe or a growth never touches an item that cannot
 * match. Keys are compared by the caller:
 *
 *     uint32_t at;
 *     for (item = stead_map_first(&map, hash, &at); item; item = stead_map_next(&map, hash, &at))
 *         if (same(item, key)) ...
 *
 * Pure memory, one thread. The order of iteration depends on the hashes and the history alone, so it is deterministic.
 */
#ifndef STEAD_RUNTIME_MAP_H
#define STEAD_RUNTIME_MAP_H

#include <stdint.h>
#include <stdlib.h>

#include "runtime/base.h"

struct stead_map_entry {
    uint64_t hash;
    void *item; /* NULL: empty */
};

struct stead_map {
    struct stead_map_entry *entries; /* owned; NULL while empty */
    uint32_t mask;                   /* entries - 1; 0 while empty */
    uint32_t count;                  /* items */
};

/* Where a hash belongs. Both halves have a say: the low 12 bits of an address's hash are its slot, and a shard has only
 * some of those. */
static inline uint32_t stead_map_home(const struct stead_map *map, uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32) & map->mask;
}

static inline void stead_map_deinit(struct stead_map *map)
{
    free(map->entries);
    *map = (struct stead_map){0};
}

static inline void *stead_map_next(const struct stead_map *map, uint64_t hash, uint32_t *at)
{
    for (;;) {
        *at = (*at + 1) & map->mask;
        const struct stead_map_entry *entry = &map->entries[*at];
        if (entry->item == NULL || entry->hash == hash)
            return entry->item;
    }
}

static inline void *stead_map_first(const struct stead_map *map, uint64_t hash, uint32_t *at)
{
    if (map->count == 0)
        return NULL;
    *at = (stead_map_home(map, hash) - 1) & map->mask;
    return stead_map_next(map, hash, at);
}

/* Adds an item that is not there yet. */
static inline void stead_map_add(struct stead_map *map, uint64_t hash, void *item)
{
    if (map->entries == NULL || (map->count + 1) * 4u > (map->mask + 1u) * 3u) {
        struct stead_map old = *map;
        uint32_t size = old.entries == NULL ? 16u : (old.mask + 1u) * 2u;
        map->entries = stead_alloc_zero(size * sizeof(*map->entries));
        map->mask = size - 1;
        for (uint32_t i = 0; old.entries != NULL && i <= old.mask; i++) {
            if (old.entries[i].item == NULL)
                continue;
            uint32_t to = stead_map_home(map, old.entries[i].hash);
            while (map->entries[to].item != NULL)
                to = (to + 1) & map->mask;
            map->entries[to] = old.entries[i];
        }
        free(old.entries);
    }
    uint32_t at = stead_map_home(map, hash);
    while (map->entries[at].item != NULL)
        at = (at + 1) & map->mask;
    map->entries[at] = (struct stead_map_entry){hash, item};
    map->count++;
}

/* Removes an item that is there. */
static inline void stead_map_remove(struct stead_map *map, uint64_t hash, const void *item)
{
    uint32_t hole = stead_map_home(map, hash);
    STEAD_ASSERT(map->count > 0);
    while (map->entries[hole].item != item) {
        STEAD_ASSERT(map->entries[hole].item != NULL);
        hole = (hole + 1) & map->mask;
    }
    /* Close the gap: an entry moves back when its home is not between the hole and itself. */
    for (uint32_t at = (hole + 1) & map->mask; map->entries[at].item != NULL; at = (at + 1) & map->mask) {
        uint32_t home = stead_map_home(map, map->entries[at].hash);
        if (((at - home) & map->mask) >= ((at - hole) & map->mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole] = (struct stead_map_entry){0, NULL};
    map->count--;
}

/* The item at position `at` of 0..mask, or NULL: for walks that do not change the map. */
static inline void *stead_map_at(const struct stead_map *map, uint32_t at)
{
    return map->entries == NULL || at > map->mask ? NULL : map->entries[at].item;
}

#endif
