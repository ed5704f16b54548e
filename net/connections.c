/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections: two indexes over one set of heap objects. Chained hashing by routing id, since ids may be up to 255
 * bytes and a peer chooses them; an array of places by number, since a lookup a reply must cost nothing.
 *
 * Invariants: N1 each connection is in exactly one bucket and one place. N2 number & PLACE_MASK is its place, and no
 * two connections ever had the same number.
 */
#include "net/connections.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"

#define PLACE_BITS 20u
#define PLACE_MASK ((1u << PLACE_BITS) - 1u)
#define FIRST_SIZE 64u /* buckets and places, doubled when full */

/* NOLINTNEXTLINE(misc-redundant-expression): that both are the same is what is asserted */
_Static_assert(STEAD_CONNECTIONS_MAX == 1u << PLACE_BITS, "a place fits its bits of the number");

static struct stead_connection **bucket_of(const struct stead_connections *set, struct stead_slice id)
{
    return &set->buckets[stead_hash(id.data, id.size) & (set->bucket_count - 1u)];
}

/* Twice the buckets and places, or the first ones. */
static void grow(struct stead_connections *set)
{
    struct stead_connection **old_places = set->places;
    uint32_t old_count = set->place_count;
    free(set->buckets);
    set->bucket_count = set->place_count = old_count > 0 ? old_count * 2 : FIRST_SIZE;
    set->buckets = stead_alloc_zero(set->bucket_count * sizeof *set->buckets);
    set->places = stead_alloc_zero(set->place_count * sizeof *set->places);
    for (uint32_t i = 0; i < old_count; i++) {
        struct stead_connection *c = set->places[i] = old_places[i];
        struct stead_connection **bucket = bucket_of(set, stead_connection_id(c));
        c->next_hash = *bucket;
        *bucket = c;
    }
    set->next_place = old_count;
    free(old_places);
}

static uint32_t find_place(struct stead_connections *set)
{
    uint32_t place = set->next_place;
    while (set->places[place] != NULL)
        place = (place + 1) & (set->place_count - 1u);
    set->next_place = (place + 1) & (set->place_count - 1u);
    return place;
}

struct stead_connection *stead_connections_add(struct stead_connections *set, struct stead_slice id,
                                               uint32_t connections_max)
{
    STEAD_ASSERT(id.size > 0 && id.size <= UINT8_MAX);
    STEAD_ASSERT(connections_max <= STEAD_CONNECTIONS_MAX);
    if (set->count >= connections_max)
        return NULL;
    if (set->count == set->place_count)
        grow(set);
    struct stead_connection *c = stead_alloc_zero(sizeof *c + id.size);
    c->id_size = (uint8_t)id.size;
    memcpy(c->id, id.data, id.size);
    uint32_t place = find_place(set);
    set->places[place] = c;
    c->number = ++set->generation << PLACE_BITS | place;
    struct stead_connection **bucket = bucket_of(set, id);
    c->next_hash = *bucket;
    *bucket = c;
    set->count++;
    return c;
}

struct stead_connection *stead_connections_find(const struct stead_connections *set, struct stead_slice id)
{
    if (set->count == 0)
        return NULL;
    struct stead_connection *c = *bucket_of(set, id);
    while (c != NULL && !stead_slice_equal(stead_connection_id(c), id))
        c = c->next_hash;
    return c;
}

struct stead_connection *stead_connections_at(const struct stead_connections *set, uint64_t number)
{
    uint32_t place = (uint32_t)number & PLACE_MASK;
    if (place >= set->place_count || set->places[place] == NULL || set->places[place]->number != number)
        return NULL;
    return set->places[place];
}

struct stead_connection *stead_connections_place(const struct stead_connections *set, uint32_t place)
{
    STEAD_ASSERT(place < set->place_count);
    return set->places[place];
}

void stead_connections_remove(struct stead_connections *set, struct stead_connection *connection)
{
    struct stead_connection **link = bucket_of(set, stead_connection_id(connection));
    while (*link != connection)
        link = &(*link)->next_hash;
    *link = connection->next_hash;
    set->places[(uint32_t)connection->number & PLACE_MASK] = NULL;
    set->count--;
    stead_lane_clear(&connection->lane);
    free(connection);
}

void stead_connections_deinit(struct stead_connections *set)
{
    for (uint32_t i = 0; i < set->place_count; i++)
        if (set->places[i] != NULL)
            stead_connections_remove(set, set->places[i]);
    free(set->buckets);
    free(set->places);
    *set = (struct stead_connections){.count = 0};
}
