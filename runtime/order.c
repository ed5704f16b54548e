/* SPDX-License-Identifier: Apache-2.0 */
/* order: places by whom, in a table that is made anew when it is full, of what has not ended. */
#include "runtime/order.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"

#define CAPACITY_MIN 2u

uint64_t stead_order_who(const struct stead_message *request)
{
    uint64_t fence = request->groups & STEAD_GROUP_FENCE ? request->fence : 0;
    uint64_t address =
        request->address_hash != 0 ? request->address_hash : stead_hash(request->address, request->address_size);
    uint64_t source = request->source_size == 0 ? 0 : stead_hash(request->source, request->source_size);
    uint64_t who = address ^ (fence + source) * 0x9E3779B97F4A7C15u;

    return who == 0 ? 1 : who;
}

/* The place of `who`, or the free one where it belongs: there is one. */
static struct stead_order_place *place_of(const struct stead_order *order, uint64_t who)
{
    uint32_t mask = order->capacity - 1, at = (uint32_t)(who >> 32 ^ who) & mask;

    while (order->places[at].who != 0 && order->places[at].who != who)
        at = (at + 1) & mask;
    return &order->places[at];
}

struct stead_order_place stead_order_get(const struct stead_order *order, uint64_t who)
{
    return order->count == 0 ? (struct stead_order_place){0} : *place_of(order, who);
}

static bool is_free(const struct stead_order_place *place, bool (*is_over)(const void *self, uint64_t number),
                    const void *self)
{
    return place->who == 0 || (is_over(self, place->number) && is_over(self, place->closed));
}

uint32_t stead_order_live(const struct stead_order *order, bool (*is_over)(const void *self, uint64_t number),
                          const void *self)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < order->capacity; i++)
        live += !is_free(&order->places[i], is_over, self);
    return live;
}

void stead_order_trim(struct stead_order *order, bool (*is_over)(const void *self, uint64_t number), const void *self)
{
    struct stead_order old = *order;
    uint32_t live = stead_order_live(order, is_over, self);

    *order = (struct stead_order){.capacity = CAPACITY_MIN}; /* room for one more, and for as many as there are */
    while (order->capacity <= live * 2)
        order->capacity *= 2;
    order->places = stead_alloc_zero(order->capacity * sizeof(*order->places));
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (is_free(&old.places[i], is_over, self))
            continue;
        *place_of(order, old.places[i].who) = old.places[i];
        order->count++;
    }
    free(old.places);
}

/* The place of `who`, made where there is none. */
static struct stead_order_place *need_place(struct stead_order *order, uint64_t who,
                                            bool (*is_over)(const void *self, uint64_t number), const void *self)
{
    struct stead_order_place *place = order->count == 0 ? NULL : place_of(order, who);

    if (place != NULL && place->who != 0)
        return place;
    if ((order->count + 1) * 4 > order->capacity * 3)
        stead_order_trim(order, is_over, self);
    place = place_of(order, who);
    *place = (struct stead_order_place){.who = who};
    order->count++;
    return place;
}

void stead_order_take(struct stead_order *order, uint64_t who, uint64_t number, uint64_t after,
                      bool (*is_over)(const void *self, uint64_t number), const void *self)
{
    struct stead_order_place *place = need_place(order, who, is_over, self);

    if (number > place->number)
        place->number = number;
    if (after > place->closed)
        place->closed = after;
}

void stead_order_store(struct stead_order *order, uint64_t who, uint64_t after)
{
    struct stead_order_place *place = order->count == 0 ? NULL : place_of(order, who);

    if (place != NULL && place->who != 0 && after > place->stored)
        place->stored = after;
}

void stead_order_turn_back(struct stead_order *order, uint64_t who, uint64_t number)
{
    struct stead_order_place *place = order->count == 0 ? NULL : place_of(order, who);

    if (place == NULL || place->who == 0)
        return;
    if (place->number >= number)
        place->number = number - 1;
    if (place->closed >= number)
        place->closed = number - 1;
}

void stead_order_deinit(struct stead_order *order)
{
    free(order->places);
    *order = (struct stead_order){0};
}
