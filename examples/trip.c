/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trip: a saga: books a car, a hotel and a flight; when one cannot be had, what was booked is given back, the newest
 * first. Every step carries an id of its own, so a booking that is tried twice is one booking.
 *
 *     stead run trip '{"city": "Lisbon"}' --wait            {"car": ..., "hotel": ..., "flight": ...}
 *     stead run trip '{"city": "Xanadu"}' --wait            fails with no_trip; the agency has no booking left
 *     stead call agency/main list                           what is booked
 */
#include <string.h>

#include "stead/orchestration.h"

/* ---- The agency: who keeps the bookings ----------------------------------------------------- */

/* {what, id, city}: books, once an id. There are no flights to Xanadu. */
static int book(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice id, what, city;

    (void)state;
    if (stead_get_str(args, "what", &what) != 0 || stead_get_str(args, "id", &id) != 0 ||
        stead_get_str(args, "city", &city) != 0)
        return stead_fail(turn, "bad_booking", "book takes what, id and city");
    if (stead_slice_equal(what, stead_str("flight")) && stead_slice_equal(city, stead_str("Xanadu")))
        return stead_fail(turn, "sold_out", "no %.*s to %.*s", (int)what.size, (const char *)what.data, (int)city.size,
                          (const char *)city.data);
    int code = stead_kv_put(turn, id, stead_packed(turn, "{s:S,s:S}", "what", what, "city", city));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "S", id));
}

/* ID: gives it back. */
static int cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice id;

    (void)state;
    if (stead_get_str(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_id", "cancel takes the id of a booking");
    return stead_kv_delete(turn, id);
}

struct listing {
    struct stead_writer items;
    uint32_t count;
};

static int add_booking(void *context, struct stead_slice key, struct stead_slice value)
{
    struct listing *listing = context;

    (void)key;
    stead_write_value(&listing->items, value);
    listing->count++;
    return 0;
}

static int list(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct listing listing = {.count = 0};
    struct stead_writer all;

    (void)state;
    (void)args;
    stead_writer_init(&listing.items);
    stead_writer_init(&all);
    int code =
        stead_kv_scan(turn, (struct stead_slice){NULL, 0}, (struct stead_slice){NULL, 0}, 1000, add_booking, &listing);
    stead_write_array(&all, listing.count);
    stead_write_raw(&all, listing.items.data, listing.items.size);
    if (code == 0)
        code = stead_reply(turn, stead_written(&all));
    stead_writer_deinit(&all);
    stead_writer_deinit(&listing.items);
    return code;
}

static const struct stead_op agency_ops[] = {{"book", book, NULL, 0, "{what, id, city}: books, once an id"},
                                             {"cancel", cancel, NULL, 0, "ID: gives a booking back"},
                                             {"list", list, NULL, STEAD_OP_READ_ONLY, "what is booked"},
                                             {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind agency = {.abi = STEAD_ABI,
                                         .struct_size = sizeof(struct stead_kind),
                                         .name = "agency",
                                         .help = "keeps bookings",
                                         .ops = agency_ops};
STEAD_MODULE(&agency);

/* ---- The saga ------------------------------------------------------------------------------- */

/* What was booked is on the stack of the function, as in any program: after a crash it is there again. */
static int trip(struct stead_orchestration *o, struct stead_slice input)
{
    static const char *const steps[] = {"car", "hotel", "flight"};
    char booked[3][STEAD_UUID_SIZE], city[64], why[200];
    int count = 0, code = 0;

    if (stead_get_text(input, "city", city, sizeof city) != 0)
        return stead_fail_with(o, "bad_city", "a trip needs a city");
    for (; count < 3; count++) {
        stead_uuid(o, booked[count]);
        (void)stead_set_status(o, stead_packed_for(o, "s", stead_printed_for(o, "booking a %s", steps[count])));
        code = stead_await_call(
            o, "agency/main", "book",
            stead_packed_for(o, "{s:s,s:s,s:s}", "what", steps[count], "id", booked[count], "city", city), NULL);
        if (code != 0)
            break;
    }
    if (code == 0)
        return stead_complete(
            o, stead_packed_for(o, "{s:s,s:s,s:s}", "car", booked[0], "hotel", booked[1], "flight", booked[2]));
    strncpy(why, stead_await_error_sentence(o), sizeof why - 1);
    why[sizeof why - 1] = '\0';
    for (int i = count - 1; i >= 0; i--) {
        code = stead_await_call(o, "agency/main", "cancel", stead_packed_for(o, "s", booked[i]), NULL);
        if (code != 0)
            return code; /* Failed with the trip half undone: `stead rewind` tries it again */
    }
    return stead_fail_with(o, "no_trip", "%s; %d bookings were given back", why, count);
}

static const struct stead_orchestrator trip_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
                                                            .struct_size = sizeof(struct stead_orchestrator),
                                                            .name = "trip",
                                                            .help =
                                                                "{city}: a car, a hotel and a flight, or none of them",
                                                            .version = 1,
                                                            .run = trip};
STEAD_ORCHESTRATORS(&trip_orchestrator);
