/* SPDX-License-Identifier: Apache-2.0 */
/*
 * letter_pages: pages of dead letters of several reactors or nodes, made one.
 *
 * Each part is in order, and whole or cut behind its `next`; so what lies behind the smallest `next` may lack letters
 * of the part that was cut there, and is left to the next page (queries_merge.c does the same with agents).
 */
#include "runtime/letter_pages.h"

#include <stdlib.h>

#include "runtime/base.h"

int stead_letter_place_read(struct stead_slice map, struct stead_letter_place *ret_place)
{
    struct stead_letter_place place = {.slot = 0};
    struct stead_reader reader = stead_reader(map);

    if (map.size == 0 || stead_peek(&reader) != STEAD_MAP ||
        stead_get_u64(map, "slot", &place.slot) == STEAD_EARGUMENT ||
        stead_get_str(map, "address", &place.address) == STEAD_EARGUMENT ||
        stead_get_u64(map, "id", &place.id) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    *ret_place = place;
    return 0;
}

void stead_letter_place_write(const struct stead_letter_place *place, struct stead_writer *writer)
{
    stead_pack(writer, "{s:u,s:S,s:u}", "slot", place->slot, "address", place->address, "id", place->id);
}

int stead_letter_place_compare(const struct stead_letter_place *a, const struct stead_letter_place *b)
{
    int order = (a->slot > b->slot) - (a->slot < b->slot);

    if (order == 0)
        order = stead_slice_compare(a->address, b->address);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

/* ---- Merging -------------------------------------------------------------------------------- */

/* One letter, borrowed from its part. */
struct letter {
    struct stead_letter_place place;
    struct stead_slice value;
};

struct letters {
    struct letter *items; /* owned */
    uint32_t count;
};

static void collect(struct letters *list, struct stead_slice part)
{
    struct stead_slice array;
    uint32_t count;

    if (stead_get_value(part, "letters", &array) != 0)
        return;
    struct stead_reader reader = stead_reader(array);
    if (stead_read_array(&reader, &count) != 0 || count == 0)
        return;
    list->items = stead_realloc(list->items, (list->count + (size_t)count) * sizeof(*list->items));
    for (; count > 0; count--) {
        struct letter *letter = &list->items[list->count];
        if (stead_read_value(&reader, &letter->value) != 0)
            return;
        list->count += stead_letter_place_read(letter->value, &letter->place) == 0;
    }
}

static int compare(const void *a, const void *b)
{
    return stead_letter_place_compare(&((const struct letter *)a)->place, &((const struct letter *)b)->place);
}

/* The smallest `next`; false: all parts are whole. */
static bool find_bound(const struct stead_slice *parts, uint32_t part_count, struct stead_letter_place *ret_bound)
{
    bool found = false;

    for (uint32_t i = 0; i < part_count; i++) {
        struct stead_letter_place next;
        struct stead_slice value;
        if (stead_get_value(parts[i], "next", &value) != 0 || stead_letter_place_read(value, &next) != 0)
            continue;
        if (!found || stead_letter_place_compare(&next, ret_bound) < 0)
            *ret_bound = next;
        found = true;
    }
    return found;
}

void stead_letter_pages_merge(const struct stead_slice *parts, uint32_t part_count, uint64_t limit, size_t bytes_max,
                              struct stead_writer *writer)
{
    struct letters list = {.items = NULL};
    struct stead_letter_place bound = {.slot = 0};
    bool more = find_bound(parts, part_count, &bound);
    uint32_t kept = 0;
    size_t bytes = 0;

    for (uint32_t i = 0; i < part_count; i++)
        collect(&list, parts[i]);
    if (list.count > 1)
        qsort(list.items, list.count, sizeof(*list.items), compare);
    for (; kept < list.count && (!more || stead_letter_place_compare(&list.items[kept].place, &bound) <= 0); kept++) {
        bytes += list.items[kept].value.size;
        if (kept > 0 && (kept >= limit || bytes > bytes_max)) {
            bound = list.items[kept - 1].place;
            more = true;
            break;
        }
    }
    stead_write_str(writer, "letters");
    stead_write_array(writer, kept);
    for (uint32_t i = 0; i < kept; i++)
        stead_write_value(writer, list.items[i].value);
    stead_write_str(writer, "next");
    if (more)
        stead_letter_place_write(&bound, writer);
    else
        stead_write_nil(writer);
    free(list.items);
}
