/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volatile agents that work with durable ones: drones call and signal hangars, wait in volatile timers, owe answers to
 * clients; durable dispatchers signal and call drones.
 *
 * What a drone sends takes effect at most once, however often it is sent again (a session of its shard sees to that); a
 * call that it was told has succeeded did take effect; what a durable agent sends it, it sees once in its life. A drone
 * is gone with its node, and with it what it owed: those requests end by their deadlines. `life` is drawn anew in each
 * life of a drone: the request of a client that runs again in a new life is another effect, and rightly so.
 */
#include "tests/sim/work.h"

#define DRONES 3u
#define HANGARS 3u
#define RECENT 64u

enum { DRONE_FLY, DRONE_WAVE, DRONE_PING, DRONE_ECHO };

/* How a flight ended, as the client is told: 1 + the negated code. */
#define ENDED(code) (1 - (int64_t)(code))

/* ---- Drone ------------------------------------------------------------------------------------------------ */

struct drone {
    uint64_t life;
    uint64_t waves;
    uint64_t pings;
    uint64_t recent[RECENT]; /* newest pings */
};

static int be_born(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    ((struct drone *)state)->life = stead_random(turn) & 0xffffff;
    return 0;
}

static int call_hangar(struct stead_turn *turn, const struct drone *drone, uint64_t id, uint64_t to, const char *token)
{
    struct stead_call_options options = {.reply_op = "landed"};

    options.context = stead_packed(turn, "{s:u,s:s}", "id", id, "token", token);
    return stead_call(turn, stead_printed(turn, "hangar/h%llu", (unsigned long long)to), "land",
                      stead_packed(turn, "{s:u,s:u}", "id", id, "life", drone->life), &options);
}

/* Lands in a hangar, at once or after a while, and answers when it has. */
static int fly(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    uint64_t id = 0, to = 0;

    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "id and to are needed");
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    if (id % 3 != 0)
        return call_hangar(turn, state, id, to, token.text);
    return stead_timer_after(turn, stead_printed(turn, "fly%llu", (unsigned long long)id), 1 + (int64_t)(id % 8),
                             "depart", stead_packed(turn, "{s:u,s:u,s:s}", "id", id, "to", to, "token", token.text));
}

static int depart(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    uint64_t id = 0, to = 0;

    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0 ||
        stead_get_text(args, "token", token.text, sizeof token.text) != 0)
        stead_sim_broken("a volatile timer of %s rings without its arguments", stead_self(turn));
    return call_hangar(turn, state, id, to, token.text);
}

static int landed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice context = stead_call_context(turn);
    struct stead_token token;
    uint64_t id = 0;
    int64_t value = 0;

    (void)state;
    if (stead_get_u64(context, "id", &id) != 0 || stead_get_text(context, "token", token.text, sizeof token.text) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    int code = stead_reply_code(turn);
    if (code == 0 && (stead_get_i64(args, NULL, &value) != 0 || value != (int64_t)(id * id)))
        stead_sim_broken("flight %llu of %s gets the answer of another", (unsigned long long)id, stead_self(turn));
    code = stead_answer(turn, &token, stead_packed(turn, "l", ENDED(code)));
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int wave(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct drone *drone = state;
    uint64_t id = 0, to = 0;

    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "id and to are needed");
    int code = stead_signal(turn, stead_printed(turn, "hangar/h%llu", (unsigned long long)to), "waved",
                            stead_packed(turn, "{s:u,s:u,s:u,s:s}", "id", id, "life", drone->life, "wave",
                                         ++drone->waves, "drone", stead_self_key(turn)));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

/* From a dispatcher, by signal: once in a life. */
static int ping(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct drone *drone = state;
    uint64_t id = 0;

    if (stead_get_u64(args, NULL, &id) != 0)
        stead_sim_broken("a ping without its number");
    for (uint32_t i = 0; i < RECENT; i++)
        if (drone->recent[i] == id + 1)
            stead_sim_broken("%s is pinged with %llu twice in one life", stead_self(turn), (unsigned long long)id);
    drone->recent[drone->pings++ % RECENT] = id + 1;
    return 0;
}

static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "id is needed");
    if (id % 5 == 0)
        return stead_fail(turn, "refused", "no numbers that five divides");
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)(id * id)));
}

static const struct stead_op drone_ops[] = {{.name = "fly", .run = fly},
                                            {.name = "depart", .run = depart},
                                            {.name = "landed", .run = landed},
                                            {.name = "wave", .run = wave},
                                            {.name = "ping", .run = ping},
                                            {.name = "echo", .run = echo},
                                            {0}};
static const struct stead_kind drone_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "drone",
                                             .durability = STEAD_VOLATILE,
                                             .state_size = sizeof(struct drone),
                                             .ops = drone_ops,
                                             .init = be_born};

/* ---- Hangar ------------------------------------------------------------------------------------------------- */

/* Counts an effect of a drone; `prefix` says of which sort. */
static uint64_t count_effect(struct stead_turn *turn, struct stead_slice args, char prefix)
{
    uint64_t id = 0, life = 0;

    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "life", &life) != 0)
        stead_sim_broken("%s is visited without a number", stead_self(turn));
    uint64_t both = life << 16 | id;
    if (stead_kv_number(turn, prefix, both) != 0)
        stead_sim_broken("%s sees number %llu of drone life %llu twice", stead_self(turn), (unsigned long long)id,
                         (unsigned long long)life);
    stead_kv_set_number(turn, prefix, both, 1);
    stead_kv_set_number(turn, (char)(prefix - 32), id, stead_kv_number(turn, (char)(prefix - 32), id) + 1);
    return id;
}

static int land(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    uint64_t id = count_effect(turn, args, 'l');
    if (id % 7 == 0)
        return stead_fail(turn, "refused", "no numbers that seven divides");
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)(id * id)));
}

static int waved(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t number = 0, life = 0;
    char drone[16];

    (void)state;
    count_effect(turn, args, 'w');
    if (stead_get_u64(args, "wave", &number) != 0 || stead_get_u64(args, "life", &life) != 0 ||
        stead_get_text(args, "drone", drone, sizeof drone) != 0)
        stead_sim_broken("%s is waved to by nobody", stead_self(turn));
    uint64_t who = (uint64_t)(drone[1] - '0');
    bool same_life = stead_kv_number(turn, 'n', who) == (int64_t)life;
    int64_t last = same_life ? stead_kv_number(turn, 'o', who) : 0;
    if ((int64_t)number <= last && stead_sim_keeps_order(stead_sim_current()))
        stead_sim_broken("%s sees wave %llu of %s behind wave %lld", stead_self(turn), (unsigned long long)number,
                         drone, (long long)last);
    stead_kv_set_number(turn, 'n', who, (int64_t)life);
    stead_kv_set_number(turn, 'o', who, (int64_t)number);
    return 0;
}

static int dump_landed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'L'));
}

static int dump_waved(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'W'));
}

static const struct stead_op hangar_ops[] = {{.name = "land", .run = land},
                                             {.name = "waved", .run = waved},
                                             {.name = "landings", .run = dump_landed, .flags = STEAD_OP_READ_ONLY},
                                             {.name = "waves", .run = dump_waved, .flags = STEAD_OP_READ_ONLY},
                                             {0}};
static const struct stead_kind hangar_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "hangar", .ops = hangar_ops};

/* ---- Dispatcher ------------------------------------------------------------------------------------------------ */

static int dispatch(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0, to = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "id and to are needed");
    int code = stead_signal(turn, stead_printed(turn, "drone/d%llu", (unsigned long long)to), "ping",
                            stead_packed(turn, "u", id));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int inquire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_call_options options = {.reply_op = "heard", .context = args};
    uint64_t id = 0, to = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "id and to are needed");
    stead_kv_set_number(turn, 'b', id, stead_kv_number(turn, 'b', id) + 1);
    int code = stead_call(turn, stead_printed(turn, "drone/d%llu", (unsigned long long)to), "echo", args, &options);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int heard(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;
    int64_t value = 0;

    (void)state;
    if (stead_get_u64(stead_call_context(turn), "id", &id) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    if (stead_kv_number(turn, 'e', id) != 0)
        stead_sim_broken("call %llu of %s ends twice", (unsigned long long)id, stead_self(turn));
    int code = stead_reply_code(turn);
    if (code == 0 && (stead_get_i64(args, NULL, &value) != 0 || value != (int64_t)(id * id)))
        stead_sim_broken("call %llu of %s gets the answer of another", (unsigned long long)id, stead_self(turn));
    if (code != 0 && code != STEAD_ETIMEOUT && code != STEAD_EEXPIRED && !(code == STEAD_EFAILED && id % 5 == 0))
        stead_sim_broken("call %llu of %s ends with %s", (unsigned long long)id, stead_self(turn),
                         stead_error_name(code));
    stead_kv_set_number(turn, 'e', id, ENDED(code));
    return 0;
}

static int dump_begun(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'b'));
}

static int dump_ended(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'e'));
}

static const struct stead_op dispatcher_ops[] = {{.name = "dispatch", .run = dispatch},
                                                 {.name = "inquire", .run = inquire},
                                                 {.name = "heard", .run = heard},
                                                 {.name = "begun", .run = dump_begun, .flags = STEAD_OP_READ_ONLY},
                                                 {.name = "ended", .run = dump_ended, .flags = STEAD_OP_READ_ONLY},
                                                 {0}};
static const struct stead_kind dispatcher_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "dispatcher", .ops = dispatcher_ops};

/* ---- Requests ------------------------------------------------------------------------------- */

static void issue_volatile(struct stead_sim *sim, struct stead_sim_client *client)
{
    static const char *const names[] = {"fly", "wave", "dispatch", "inquire"};
    int verb = (int)stead_world_below(&sim->world, 4);
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_volatile, verb, (uint32_t)stead_world_below(&sim->world, DRONES));
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = (int64_t)stead_world_below(&sim->world, HANGARS);
    stead_format(address, sizeof address, verb < DRONE_PING ? "drone/d%u" : "dispatcher/d%u", op->agent);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, names[verb], "{s:l,s:l}", "id", (int64_t)op->number, "to",
                      op->in[0]);
}

static void read_volatile(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

static void check_landing(struct stead_sim *sim, const struct stead_sim_op *op, int64_t landings)
{
    if (op->number % 7 == 0 ? landings != 0
                            : stead_sim_op_outcome(op) == STEAD_SIM_DONE && op->out == ENDED(0) && landings < 1)
        stead_world_fail(&sim->world, "flight %u ended with %lld and landed %lld times", op->number, (long long)op->out,
                         (long long)landings);
}

static void ask_tally(struct stead_sim *sim, struct stead_tally *tally, const char *address, const char *op)
{
    stead_tally_read(sim, stead_sim_ask(sim, address, op, (struct stead_slice){0}), tally);
}

static void verify_volatile(struct stead_sim *sim)
{
    static struct stead_tally landings, waves, begun, ended; /* one run at a time */
    bool nothing_died = sim->deaths == 0 && sim->stops == 0 && sim->plan.bad_load_permille == 0;
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t i = 0; i < HANGARS; i++) {
        stead_format(address, sizeof address, "hangar/h%u", i);
        ask_tally(sim, &landings, address, "landings");
        ask_tally(sim, &waves, address, "waves");
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_volatile, &at)) != NULL;) {
            if (op->in[0] != (int64_t)i || op->verb >= DRONE_PING)
                continue;
            if (op->verb == DRONE_FLY)
                check_landing(sim, op, stead_tally_of(&landings, op->number));
            else if (nothing_died)
                stead_sim_check_once(sim, op, stead_tally_of(&waves, op->number), "signal of a drone");
        }
    }
    for (uint32_t i = 0; i < DRONES; i++) {
        stead_format(address, sizeof address, "dispatcher/d%u", i);
        ask_tally(sim, &begun, address, "begun");
        ask_tally(sim, &ended, address, "ended");
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_volatile, &at)) != NULL;) {
            if (op->verb != DRONE_ECHO || op->agent != i)
                continue;
            stead_sim_check_once(sim, op, stead_tally_of(&begun, op->number), "call of a drone");
            if ((stead_tally_of(&begun, op->number) != 0) != (stead_tally_of(&ended, op->number) != 0))
                stead_world_fail(&sim->world, "call %u of a drone has no end", op->number);
        }
    }
}

static const struct stead_kind *const volatile_kinds[] = {&drone_kind, &hangar_kind, &dispatcher_kind, NULL};
const struct stead_workload stead_work_volatile = {.name = "volatile",
                                                   .kinds = volatile_kinds,
                                                   .issue = issue_volatile,
                                                   .read = read_volatile,
                                                   .verify = verify_volatile};
