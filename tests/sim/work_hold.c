/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: guests take a room of a kind that knows nothing of locks (stead.hold), work in it under the fencing number,
 * and leave (stead.release).
 *
 *     enter --> stead.hold --(fence)--> work, (stead.hold again), work, work --> stead.release
 *
 * What must hold while faults last: fencing numbers of the work in a room never fall, and each belongs to one guest; a
 * guest that asks again while it holds is given the next number; in a room that nobody breaks open no work is refused,
 * so nobody else was let in meanwhile. Rooms with an odd number are broken open: work under the old number is refused
 * there, or comes before anybody else's. In the end every stay is over.
 */
#include "tests/sim/work.h"

#define ROOMS 2u
#define GUESTS 6u
#define WORKS 3u

enum { HOLD_ENTER, HOLD_UNLOCK };

struct guest {
    uint64_t asked, done; /* stays that were asked for, and those of them that are over */
    /* stays that the present one is for: what is asked meanwhile becomes the next, so that they come to an end */
    uint64_t present;
    uint64_t fence; /* of the present stay; 0: not inside */
    uint64_t left;  /* work of the present stay that is to be done */
};

struct room {
    uint64_t fence, guest; /* of the newest work */
};

static uint64_t number_of(const struct stead_turn *turn)
{
    return (uint64_t)(stead_self_key(turn)[1] - '0');
}

static const char *room_of(struct stead_turn *turn)
{
    return stead_printed(turn, "room/r%u", (unsigned)(number_of(turn) % ROOMS));
}

static bool is_breakable(const struct stead_turn *turn)
{
    return number_of(turn) % ROOMS == 1;
}

static int call_room(struct stead_turn *turn, const char *op, struct stead_slice args, const char *reply_op)
{
    const struct stead_call_options options = {.reply_op = reply_op, .timeout_ms = STEAD_TIMEOUT_NEVER};
    return stead_call(turn, room_of(turn), op, args, &options);
}

static int call_work(struct stead_turn *turn, const struct guest *guest)
{
    stead_send_with_fence(turn, guest->fence);
    return call_room(turn, "work", stead_packed(turn, "{s:u,s:u}", "fence", guest->fence, "guest", number_of(turn)),
                     "worked");
}

static int enter(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct guest *guest = state;
    uint64_t id = 0;

    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the stay has no number");
    stead_kv_set_number(turn, 'd', id, stead_kv_number(turn, 'd', id) + 1);
    bool begins = guest->asked++ == guest->done;
    int code = begins ? call_room(turn, STEAD_OP_HOLD, (struct stead_slice){0}, "entered") : 0;
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", guest->asked));
}

static int entered(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct guest *guest = state;
    uint64_t fence = 0;

    if (stead_reply_code(turn) != 0 || stead_get_u64(args, NULL, &fence) != 0)
        stead_sim_broken("%s is refused its hold: %s", stead_self(turn), stead_reply_error_name(turn));
    if (guest->fence != 0 && fence != guest->fence + 1 && !is_breakable(turn))
        stead_sim_broken("%s holds with fence %llu, asks again and is given %llu", stead_self(turn),
                         (unsigned long long)guest->fence, (unsigned long long)fence);
    if (guest->fence == 0) {
        guest->left = WORKS;
        guest->present = guest->asked;
    }
    guest->fence = fence;
    return call_work(turn, guest);
}

/* A stay is over; the next one begins if somebody has asked for it meanwhile. */
static int leave(struct stead_turn *turn, struct guest *guest)
{
    if (guest->fence % 2 == 0)
        stead_send_with_fence(turn, guest->fence);
    int code = stead_signal(turn, room_of(turn), STEAD_OP_RELEASE, stead_packed(turn, "{s:u}", "fence", guest->fence));
    stead_send_with_fence(turn, 0);
    guest->fence = guest->left = 0;
    guest->done = guest->present;
    if (code == 0 && guest->asked > guest->done)
        code = call_room(turn, STEAD_OP_HOLD, (struct stead_slice){0}, "entered");
    return code;
}

static int worked(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct guest *guest = state;
    int code = stead_reply_code(turn);

    (void)args;
    if (code != 0 && (code != STEAD_ELOCKED || !is_breakable(turn)))
        stead_sim_broken("%s may not work in the room that it holds: %s", stead_self(turn),
                         stead_reply_error_name(turn));
    guest->left = code != 0 ? 0 : guest->left - 1;
    if (guest->left == 0)
        return leave(turn, guest);
    return guest->left == WORKS - 1 ? call_room(turn, STEAD_OP_HOLD, (struct stead_slice){0}, "entered")
                                    : call_work(turn, guest);
}

static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct guest *guest = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)(guest->asked - guest->done)));
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'd'));
}

static int work(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct room *room = state;
    uint64_t fence = 0, guest = 0;

    if (stead_get_u64(args, "fence", &fence) != 0 || stead_get_u64(args, "guest", &guest) != 0)
        return stead_fail(turn, "bad_args", "fence and guest are needed");
    if (fence < room->fence || (fence == room->fence && guest != room->guest))
        stead_sim_broken("guest %llu works in %s under fence %llu after guest %llu under %llu",
                         (unsigned long long)guest, stead_self(turn), (unsigned long long)fence,
                         (unsigned long long)room->guest, (unsigned long long)room->fence);
    room->fence = fence;
    room->guest = guest;
    return 0;
}

static const struct stead_field guest_fields[] = {
    STEAD_FIELD(U64, struct guest, asked),   STEAD_FIELD(U64, struct guest, done),
    STEAD_FIELD(U64, struct guest, present), STEAD_FIELD(U64, struct guest, fence),
    STEAD_FIELD(U64, struct guest, left),    STEAD_FIELDS_END};
static const struct stead_op guest_ops[] = {{.name = "enter", .run = enter},
                                            {.name = "entered", .run = entered},
                                            {.name = "worked", .run = worked},
                                            {.name = "look", .run = look, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind guest_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "guest",
                                             .state_size = sizeof(struct guest),
                                             .fields = guest_fields,
                                             .ops = guest_ops};
static const struct stead_field room_fields[] = {STEAD_FIELD(U64, struct room, fence),
                                                 STEAD_FIELD(U64, struct room, guest), STEAD_FIELDS_END};
static const struct stead_op room_ops[] = {{.name = "work", .run = work}, {0}};
static const struct stead_kind room_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "room",
                                            .state_size = sizeof(struct room),
                                            .fields = room_fields,
                                            .ops = room_ops};

/* ---- Requests ------------------------------------------------------------------------------------------ */

static void issue_hold(struct stead_sim *sim, struct stead_sim_client *client)
{
    int verb = stead_world_chance(&sim->world, 100) ? HOLD_UNLOCK : HOLD_ENTER;
    uint32_t agent = (uint32_t)stead_world_below(&sim->world, GUESTS);
    struct stead_sim_op *op = stead_sim_op_new(sim, client, &stead_work_hold, verb, agent);
    char address[48];

    if (op == NULL)
        return;
    if (verb == HOLD_ENTER) {
        stead_format(address, sizeof address, "guest/g%u", agent);
        stead_sim_op_pack(sim, op, STEAD_CALL, address, "enter", "u", (uint64_t)op->number);
    } else {
        stead_sim_op_pack(sim, op, STEAD_QUERY, "room/r1", "unlock", "{s:s}", "address", "room/r1");
    }
}

static void read_hold(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (op->verb == HOLD_ENTER && stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

static void verify_hold(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t agent = 0; agent < GUESTS; agent++) {
        stead_format(address, sizeof address, "guest/g%u", agent);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_hold, &at)) != NULL;)
            if (op->verb == HOLD_ENTER && op->agent == agent)
                stead_sim_check_once(sim, op, stead_tally_of(&tally, op->number), "stay");
        if (stead_sim_ask_i64(sim, address, "look") != 0)
            stead_world_fail(&sim->world, "%s has stays that never ended", address);
    }
}

static const struct stead_kind *const hold_kinds[] = {&guest_kind, &room_kind, NULL};
const struct stead_workload stead_work_hold = {
    .name = "hold", .kinds = hold_kinds, .issue = issue_hold, .read = read_hold, .verify = verify_hold};
