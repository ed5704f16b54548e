/* SPDX-License-Identifier: Apache-2.0 */
/* client_order: lists through an array by item, their ends in a map by whom they are for. */
#include "runtime/client_order.h"

#include <stdlib.h>

#include "runtime/base.h"
#include "runtime/order.h"

#define ITEMS_MIN 64u

static void *as_entry(uint32_t item)
{
    return (void *)(uintptr_t)(item + 1u); /* a map holds pointers, and this is none */
}

static uint32_t as_item(const void *entry)
{
    return (uint32_t)((uintptr_t)entry - 1u);
}

void stead_client_order_deinit(struct stead_client_order *order)
{
    stead_map_deinit(&order->newest);
    free(order->places);
    *order = (struct stead_client_order){.places = NULL};
}

static uint64_t fence_of(const struct stead_message *request)
{
    return request->groups & STEAD_GROUP_FENCE ? request->fence : 0;
}

static bool is_for_the_same(const struct stead_message *a, const struct stead_message *b)
{
    return fence_of(a) == fence_of(b) &&
           stead_slice_equal(stead_bytes(a->address, a->address_size), stead_bytes(b->address, b->address_size));
}

static uint32_t newest_for(const struct stead_client_order *order, uint64_t who, const struct stead_message *request)
{
    uint32_t at;

    for (const void *it = stead_map_first(&order->newest, who, &at); it != NULL;
         it = stead_map_next(&order->newest, who, &at))
        if (is_for_the_same(order->places[as_item(it)].request, request))
            return as_item(it);
    return STEAD_CLIENT_ORDER_NONE;
}

static void grow(struct stead_client_order *order, uint32_t item)
{
    uint32_t items = order->items == 0 ? ITEMS_MIN : order->items;

    while (items <= item)
        items *= 2;
    order->places = stead_realloc(order->places, items * sizeof(*order->places));
    memset(order->places + order->items, 0, (items - order->items) * sizeof(*order->places));
    order->items = items;
}

void stead_client_order_put(struct stead_client_order *order, uint32_t item, const struct stead_message *request)
{
    uint64_t who = stead_order_who(request);
    uint32_t newest = newest_for(order, who, request);

    if (item >= order->items)
        grow(order, item);
    STEAD_ASSERT(order->places[item].request == NULL);
    order->places[item] = (struct stead_client_place){.request = request, .who = who};
    if (newest != STEAD_CLIENT_ORDER_NONE) {
        order->places[item].before = newest + 1;
        order->places[newest].after = item + 1;
        stead_map_remove(&order->newest, who, as_entry(newest));
    }
    stead_map_add(&order->newest, who, as_entry(item));
}

void stead_client_order_remove(struct stead_client_order *order, uint32_t item)
{
    if (item >= order->items || order->places[item].request == NULL)
        return;
    struct stead_client_place *place = &order->places[item];
    if (place->before != 0)
        order->places[place->before - 1].after = place->after;
    if (place->after != 0) {
        order->places[place->after - 1].before = place->before;
    } else {
        stead_map_remove(&order->newest, place->who, as_entry(item));
        if (place->before != 0)
            stead_map_add(&order->newest, place->who, as_entry(place->before - 1));
    }
    *place = (struct stead_client_place){.request = NULL};
}

uint32_t stead_client_order_before(const struct stead_client_order *order, uint32_t item)
{
    return item < order->items ? order->places[item].before - 1u : STEAD_CLIENT_ORDER_NONE;
}

uint32_t stead_client_order_after(const struct stead_client_order *order, uint32_t item)
{
    return item < order->items ? order->places[item].after - 1u : STEAD_CLIENT_ORDER_NONE;
}

uint32_t stead_client_order_check(const struct stead_client_order *order)
{
    uint32_t count = 0, ends = 0;

    for (uint32_t item = 0; item < order->items; item++) {
        const struct stead_client_place *place = &order->places[item];
        if (place->request == NULL)
            continue;
        count++;
        ends += place->after == 0;
        STEAD_ASSERT(place->who == stead_order_who(place->request));
        STEAD_ASSERT(place->after != 0 || newest_for(order, place->who, place->request) == item);
        if (place->after == 0)
            continue;
        const struct stead_client_place *next = &order->places[place->after - 1];
        STEAD_ASSERT(next->before == item + 1 && is_for_the_same(place->request, next->request));
    }
    STEAD_ASSERT(ends == order->newest.count);
    return count;
}
