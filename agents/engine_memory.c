/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_memory: the engine's copies, arenas and maps.
 *
 * An instance that waits for one thing should cost little, and one that waits for 100,000 should find each in a few
 * nanoseconds: so the map is one array with linear probing, at most half full, that shrinks when an eighth is used;
 * deleting moves what follows back, so there are no tombstones to walk over. Arenas are chunks that double; reset keeps
 * a small one.
 */
#include "agents/engine_internal.h"

#define CACHED_MAX 1024u /* bytes of a block that the C library keeps for its thread */

/* A small block comes from the thread's cache, past which calloc() goes in some C libraries. */
void *stead_engine_alloc(size_t size)
{
    bool cached = size > 0 && size <= CACHED_MAX;
    void *memory = cached ? malloc(size) : calloc(1, size > 0 ? size : 1);

    STEAD_ENGINE_ASSERT(memory != NULL);
#ifndef __clang_analyzer__               /* it would lose sight of the memory */
    __asm__ volatile("" : "+r"(memory)); /* else the compiler makes a calloc() of it again */
#endif
    return cached ? memset(memory, 0, size) : memory;
}

char *stead_engine_text(struct stead_slice text)
{
    char *copy = stead_engine_alloc(text.size + 1);

    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return copy;
}

struct stead_slice stead_engine_copy(struct stead_slice bytes)
{
    if (bytes.size == 0)
        return (struct stead_slice){NULL, 0};
    uint8_t *copy = malloc(bytes.size);
    STEAD_ENGINE_ASSERT(copy != NULL);
    memcpy(copy, bytes.data, bytes.size);
    return (struct stead_slice){copy, bytes.size};
}

/* ---- Arenas --------------------------------------------------------------------------------- */

#define CHUNK_MIN (CACHED_MAX - 32u) /* with its head within what is cached */
#define CHUNK_MAX (256u << 10)
#define CHUNK_KEPT 8192u /* bytes of the largest that a reset keeps */
#define ALIGNED 16u

struct stead_engine_chunk {
    struct stead_engine_chunk *older;
    size_t size; /* bytes of `bytes` */
    _Alignas(16) uint8_t bytes[];
};

void *stead_engine_arena_take(struct stead_engine_arena *arena, size_t size)
{
    size_t need = (size + ALIGNED - 1) / ALIGNED * ALIGNED;
    struct stead_engine_chunk *chunk = arena->chunks;

    if (chunk == NULL || chunk->size - arena->used < need) {
        size_t wanted = chunk == NULL ? CHUNK_MIN : chunk->size * 2;
        wanted = wanted > CHUNK_MAX ? CHUNK_MAX : wanted;
        wanted = wanted < need ? need : wanted;
        chunk = malloc(sizeof(*chunk) + wanted);
        STEAD_ENGINE_ASSERT(chunk != NULL);
        *chunk = (struct stead_engine_chunk){.older = arena->chunks, .size = wanted};
        arena->chunks = chunk;
        arena->bytes += sizeof(*chunk) + wanted;
        arena->used = 0;
    }
    void *at = chunk->bytes + arena->used;
    arena->used += need;
    return at;
}

struct stead_slice stead_engine_arena_copy(struct stead_engine_arena *arena, struct stead_slice bytes)
{
    if (bytes.size == 0)
        return (struct stead_slice){NULL, 0};
    void *copy = stead_engine_arena_take(arena, bytes.size);
    memcpy(copy, bytes.data, bytes.size);
    return (struct stead_slice){copy, bytes.size};
}

void stead_engine_arena_reset(struct stead_engine_arena *arena)
{
    if (arena->chunks == NULL)
        return;
    if (arena->chunks->older == NULL && arena->chunks->size <= CHUNK_KEPT)
        arena->used = 0;
    else
        stead_engine_arena_deinit(arena);
}

void stead_engine_arena_deinit(struct stead_engine_arena *arena)
{
    while (arena->chunks != NULL) {
        struct stead_engine_chunk *older = arena->chunks->older;
        free(arena->chunks);
        arena->chunks = older;
    }
    arena->used = arena->bytes = 0;
}

/* ---- Maps ----------------------------------------------------------------------------------- */

#define MAP_MIN 8u

static uint32_t home_of(const struct stead_engine_map *map, uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32) & (map->capacity - 1);
}

/* Where the key is, or where it would go. */
static uint32_t place_of(const struct stead_engine_map *map, uint64_t key)
{
    uint32_t at = home_of(map, key);

    while (map->keys[at] != 0 && map->keys[at] != key)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

static void resize(struct stead_engine_map *map, uint32_t capacity)
{
    struct stead_engine_map old = *map;

    map->capacity = capacity;
    map->keys = stead_engine_alloc(capacity * sizeof(*map->keys));
    map->values = stead_engine_alloc(capacity * sizeof(*map->values));
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.keys[i] == 0)
            continue;
        uint32_t at = place_of(map, old.keys[i]);
        map->keys[at] = old.keys[i];
        map->values[at] = old.values[i];
    }
    free(old.keys);
    free(old.values);
}

void *stead_engine_map_get(const struct stead_engine_map *map, uint64_t key)
{
    if (map->count == 0 || key == 0)
        return NULL;
    uint32_t at = place_of(map, key);
    return map->keys[at] == key ? map->values[at] : NULL;
}

void stead_engine_map_put(struct stead_engine_map *map, uint64_t key, void *value)
{
    if ((map->count + 1) * 2 > map->capacity)
        resize(map, map->capacity == 0 ? MAP_MIN : map->capacity * 2);
    uint32_t at = place_of(map, key);
    map->count += map->keys[at] == 0;
    map->keys[at] = key;
    map->values[at] = value;
}

void stead_engine_map_remove(struct stead_engine_map *map, uint64_t key)
{
    if (map->count == 0 || key == 0)
        return;
    uint32_t mask = map->capacity - 1, hole = place_of(map, key);
    if (map->keys[hole] != key)
        return;
    for (uint32_t at = (hole + 1) & mask; map->keys[at] != 0; at = (at + 1) & mask) {
        if (((at - home_of(map, map->keys[at])) & mask) < ((at - hole) & mask))
            continue; /* it would lie before its home */
        map->keys[hole] = map->keys[at];
        map->values[hole] = map->values[at];
        hole = at;
    }
    map->keys[hole] = 0;
    map->count--;
    if (map->capacity > MAP_MIN && map->count * 8 < map->capacity)
        resize(map, map->capacity / 2);
}

void stead_engine_map_deinit(struct stead_engine_map *map)
{
    free(map->keys);
    free(map->values);
    *map = (struct stead_engine_map){.capacity = 0};
}
