/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The orchestrator of random programs (program.h): grows the tree of its input's seed again and does each node through
 * the public API, as a user's code would.
 *
 * What can be seen wrong from inside is reported at once: an answer that is not its task's, a clock that goes back, a
 * lock without a fence, a failure without its name, a number that chance gave differently at a replay (the agent
 * `remember`s it).
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/program.h"

struct stead_program_hooks stead_program_hooks;

struct run {
    struct stead_orchestration *o;
    struct stead_program program;
    struct stead_program_input input;
    const char *error; /* name of the newest failure of a node; static */
    uint64_t birth;    /* tells this execution from others of its id */
    int64_t clock;     /* the newest time seen */
};

/* A node's part in a group: what was begun for it. */
struct begun {
    uint32_t node;
    uint64_t total; /* as it was when it began */
    struct stead_task task;
};

static int run_node(struct run *run, uint32_t node, uint64_t *total);

static void broken(struct run *run, uint32_t node, const char *what, int code)
{
    char text[160];

    snprintf(text, sizeof text, "node %u, round %u: %s (%s, '%s')", node, run->input.round, what,
             code == 0 ? "no error" : stead_error_name(code), stead_await_error_name(run->o));
    stead_program_hooks.broken(stead_instance_id(run->o), text);
}

static void look_at_clock(struct run *run, uint32_t node)
{
    if (stead_now(run->o) < run->clock)
        broken(run, node, "the clock went back", 0);
    run->clock = stead_now(run->o);
}

/* ---- Tasks ------------------------------------------------------------------------------------------- */

static struct stead_slice pack_work(struct run *run, uint32_t node, uint64_t total)
{
    return stead_packed_for(run->o, "{s:u,s:u,s:u,s:s}", "id", stead_program_id(&run->input, node), "x", total, "fails",
                            (uint64_t)run->program.nodes[node].a, "error", stead_program_error(node));
}

static const char *event_of(struct run *run, char letter, uint64_t id)
{
    char name[STEAD_PROGRAM_TEXT_SIZE];

    stead_program_event_name(name, letter, id);
    return stead_printed_for(run->o, "%s", name);
}

static struct stead_task begin_child(struct run *run, uint32_t node, uint64_t total, uint32_t root, uint32_t rounds,
                                     uint64_t talks)
{
    const struct stead_program_node *it = &run->program.nodes[node];
    const struct stead_program_input input = {.seed = run->input.seed,
                                              .path = stead_program_child_path(&run->input, node),
                                              .total = total,
                                              .root = root,
                                              .rounds = rounds,
                                              .talks = talks};
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct stead_task_options options = {.instance_id = it->b != 0 ? id : NULL};
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_program_input_write(&writer, &input);
    snprintf(id, sizeof id, "child-%llx",
             (unsigned long long)stead_program_mix(input.path, stead_program_error_value(stead_instance_id(run->o))));
    struct stead_task task = stead_begin_child(run->o, STEAD_PROGRAM_NAME, stead_written(&writer), &options);
    stead_writer_deinit(&writer);
    return task;
}

static struct stead_task begin_forever(struct run *run, uint32_t node, uint64_t total)
{
    bool inside = node == run->input.root; /* of such a child itself */
    uint32_t sort = inside ? node % 2 : run->program.nodes[node].a;

    if (sort == 0)
        return stead_begin_event(run->o, event_of(run, 'n', stead_program_id(&run->input, node)));
    if (sort == 1)
        return stead_begin_timer(run->o, STEAD_PROGRAM_NEVER_MS);
    return begin_child(run, node, total, node, 1, 0);
}

static struct stead_task begin_task(struct run *run, uint32_t node, uint64_t total)
{
    const struct stead_program_node *it = &run->program.nodes[node];
    const struct stead_task_options options = {.retry = {.first_ms = 1 + node % 7,
                                                         .attempts_max = it->a,
                                                         .coefficient = node % 2 == 0 ? 0 : 2,
                                                         .interval_max_ms = node % 3 == 0 ? 5 : 0}};
    uint64_t id = stead_program_id(&run->input, node);
    const char *tally = stead_printed_for(run->o, "%s/%u", STEAD_PROGRAM_TALLY, it->a);

    switch (it->type) {
    case STEAD_PROGRAM_DO:
        return stead_begin_activity(run->o, it->a == 0 ? STEAD_PROGRAM_WORK : STEAD_PROGRAM_SWIFT,
                                    pack_work(run, node, total), NULL);
    case STEAD_PROGRAM_RETRY:
        return stead_begin_activity(run->o, STEAD_PROGRAM_FLAKY, pack_work(run, node, total), &options);
    case STEAD_PROGRAM_BREAK:
        return stead_begin_activity(run->o, STEAD_PROGRAM_BROKEN, pack_work(run, node, total), &options);
    case STEAD_PROGRAM_SLEEP:
        return stead_begin_timer(run->o, it->a);
    case STEAD_PROGRAM_EVENT:
        return stead_begin_event(run->o, event_of(run, 'e', id));
    case STEAD_PROGRAM_CHILD:
        return begin_child(run, node, total, it->first, it->a, 0);
    case STEAD_PROGRAM_CALL:
        return stead_begin_call(run->o, tally, "add", pack_work(run, node, total), NULL);
    case STEAD_PROGRAM_REFUSE:
        return stead_begin_call(run->o, tally, "refuse", pack_work(run, node, total), NULL);
    default:
        return begin_forever(run, node, total);
    }
}

/* The static name of the failure that an await reported. */
static int note_failure(struct run *run, uint32_t node, int code)
{
    const struct stead_program_node *it = &run->program.nodes[node];
    const char *name = stead_await_error_name(run->o);

    if (it->type != STEAD_PROGRAM_BREAK && it->type != STEAD_PROGRAM_REFUSE && it->type != STEAD_PROGRAM_CHILD &&
        it->type != STEAD_PROGRAM_TALK)
        broken(run, node, "fails", code);
    for (uint32_t n = 0; n < STEAD_PROGRAM_NODES_MAX; n++)
        if (strcmp(name, stead_program_error(n)) == 0) {
            run->error = stead_program_error(n);
            if (run->error != stead_program_error(node) &&
                (it->type == STEAD_PROGRAM_BREAK || it->type == STEAD_PROGRAM_REFUSE))
                broken(run, node, "fails with another's name", code);
            return code;
        }
    broken(run, node, "fails with a name that nobody gave", code);
    return code;
}

/* Reads the outcome of what was begun. */
static int finish_task(struct run *run, const struct begun *begun, uint64_t *ret_total)
{
    const struct stead_program_node *it = &run->program.nodes[begun->node];
    uint64_t id = stead_program_id(&run->input, begun->node), value = 0, expected;
    struct stead_slice answer = {0};
    int code = stead_await(run->o, begun->task, &answer);

    look_at_clock(run, begun->node);
    if (code != 0)
        return note_failure(run, begun->node, code);
    if (it->type == STEAD_PROGRAM_BREAK || it->type == STEAD_PROGRAM_REFUSE || it->type == STEAD_PROGRAM_FOREVER)
        broken(run, begun->node, "succeeds", 0);
    if (it->type == STEAD_PROGRAM_SLEEP) {
        *ret_total = stead_program_mix(begun->total, id);
        return 0;
    }
    if (stead_get_u64(answer, NULL, &value) != 0)
        broken(run, begun->node, "answers no number", 0);
    expected = it->type == STEAD_PROGRAM_EVENT ? stead_program_event_value(id) : stead_program_result(id, begun->total);
    if (it->type != STEAD_PROGRAM_CHILD && it->type != STEAD_PROGRAM_TALK && value != expected)
        broken(run, begun->node, "gets another's answer", 0);
    *ret_total = stead_program_mix(begun->total, value);
    return 0;
}

static int run_task(struct run *run, uint32_t node, uint64_t *total)
{
    struct begun begun = {.node = node, .total = *total, .task = begin_task(run, node, *total)};

    return finish_task(run, &begun, total);
}

/* ---- Groups -------------------------------------------------------------------------------------------- */

static uint32_t begin_group(struct run *run, uint32_t node, uint64_t total, struct begun *begun,
                            struct stead_task *tasks)
{
    uint32_t count = 0;

    for (uint32_t at = run->program.nodes[node].first; at != 0; at = run->program.nodes[at].next) {
        tasks[count] = begin_task(run, at, total);
        begun[count] = (struct begun){.node = at, .total = total, .task = tasks[count]};
        count++;
    }
    return count;
}

static int run_all(struct run *run, uint32_t node, uint64_t *total)
{
    struct stead_task tasks[STEAD_PROGRAM_FAN_MAX] = {{0}};
    struct begun begun[STEAD_PROGRAM_FAN_MAX] = {{0}};
    uint32_t count = begin_group(run, node, *total, begun, tasks);
    uint64_t sum = *total;
    const char *error = NULL;
    int code = stead_await_all(run->o, tasks, count), first = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t result = *total;
        if (!stead_is_done(run->o, tasks[i]))
            broken(run, begun[i].node, "is not done after all are", 0);
        int each = finish_task(run, &begun[i], &result);
        if (each != 0 && first == 0) {
            first = each;
            error = run->error;
        }
        sum = stead_program_mix(sum, result);
    }
    if (code != first)
        broken(run, node, "all-of tells another failure than its first", code);
    run->error = error;
    *total = sum;
    return first;
}

static int run_any(struct run *run, uint32_t node, uint64_t *total)
{
    struct stead_task tasks[STEAD_PROGRAM_FAN_MAX] = {{0}};
    struct begun begun[STEAD_PROGRAM_FAN_MAX] = {{0}};
    uint32_t count = begin_group(run, node, *total, begun, tasks), won = UINT32_MAX;
    bool sure = run->program.nodes[node].type == STEAD_PROGRAM_SURE;
    int code = stead_await_any(run->o, tasks, count, &won);

    if (code != 0 || won >= count)
        broken(run, node, "any-of fails", code);
    if (sure &&
        won != 0) { /* that is wrong if it is ever stored; a hub's worker may have run it for a write that is refused */
        run->error = "never_should";
        return STEAD_EFAILED;
    }
    if (!stead_is_done(run->o, tasks[won]))
        broken(run, begun[won].node, "has won and is not done", 0);
    for (uint32_t i = 0; i < count; i++)
        if (i != won)
            stead_task_cancel(run->o, tasks[i]);
    if (sure)
        return finish_task(run, &begun[0], total);
    if (won % 2 == 0)
        stead_task_cancel(run->o, tasks[won]); /* of a finished task: nothing */
    *total = stead_program_mix(*total, stead_program_id(&run->input, node));
    return 0;
}

/* ---- Critical sections ------------------------------------------------------------------------------------ */

static void visit_vault(struct run *run, uint32_t node, uint32_t vault, const char *op, uint64_t *value)
{
    const char *address = stead_printed_for(run->o, "%s/%u", STEAD_PROGRAM_VAULT, vault);
    uint64_t who = stead_program_id(&run->input, node), fence = stead_lock_fence(run->o, address);
    struct stead_slice answer = {0};

    if (fence == 0)
        broken(run, node, "has locked and has no fence", 0);
    int code = stead_await_call(run->o, address, op,
                                stead_packed_for(run->o, "{s:u,s:u,s:u,s:u}", "fence", fence, "who", who, "id",
                                                 stead_program_mix(who, vault), "value", *value),
                                &answer);
    if (code != 0 || stead_get_u64(answer, NULL, value) != 0)
        broken(run, node, "a locked vault does not answer", code);
}

static int run_lock(struct run *run, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &run->program.nodes[node];
    const char *addresses[STEAD_PROGRAM_VAULTS];
    uint64_t values[STEAD_PROGRAM_VAULTS] = {0};
    uint32_t count = 0;
    int code;

    for (uint32_t i = STEAD_PROGRAM_VAULTS; i-- > 0;) /* not in the order in which they are taken */
        if ((it->a >> i & 1u) != 0)
            addresses[count++] = stead_printed_for(run->o, "%s/%u", STEAD_PROGRAM_VAULT, i);
    code = stead_lock(run->o, addresses, count);
    if (code != 0)
        broken(run, node, "cannot lock", code);
    for (uint32_t i = 0; i < STEAD_PROGRAM_VAULTS; i++)
        if ((it->a >> i & 1u) != 0)
            visit_vault(run, node, i, "get", &values[i]);
    code = it->first == 0 ? 0 : run_node(run, it->first, total);
    for (uint32_t i = 0; i < STEAD_PROGRAM_VAULTS && code == 0; i++)
        if ((it->a >> i & 1u) != 0) {
            values[i] += stead_program_share(stead_program_mix(stead_program_id(&run->input, node), i));
            visit_vault(run, node, i, "put", &values[i]);
        }
    stead_unlock(run->o);
    if (code == 0)
        *total = stead_program_mix(*total, stead_program_id(&run->input, node));
    return code;
}

/* ---- Chance and time ---------------------------------------------------------------------------------------- */

static void remember(struct run *run, uint32_t node, uint64_t number, uint64_t value)
{
    const char *address = stead_printed_for(run->o, "%s/%u", STEAD_PROGRAM_TALLY, run->program.nodes[node].a);
    uint64_t id = stead_program_mix(stead_program_id(&run->input, node), number);
    /* A restart draws anew. */
    int code = stead_await_call(
        run->o, address, "remember",
        stead_packed_for(run->o, "{s:u,s:u}", "id", stead_program_mix(id, run->birth), "value", value), NULL);
    if (code != 0)
        broken(run, node, "is not remembered", code);
}

/* Twice, with a while between in which it may be unloaded, crash and be replayed. */
static void remember_twice(struct run *run, uint32_t node, uint64_t number, uint64_t value)
{
    remember(run, node, number, value);
    if (stead_await_timer(run->o, 1 + node % 5) != 0)
        broken(run, node, "a timer fails", 0);
    remember(run, node, number, value);
}

static void write_chance(void *context, struct stead_writer *writer)
{
    (void)context;
    stead_write_u64(writer, stead_program_hooks.chance());
}

static void run_effect(struct run *run, uint32_t node)
{
    struct stead_slice value = {0};
    uint64_t number = 0;
    int code = stead_side_effect(run->o, write_chance, NULL, &value);

    if (code != 0 || stead_get_u64(value, NULL, &number) != 0)
        broken(run, node, "a side effect has no value", code);
    remember_twice(run, node, 0, number);
}

static void run_chance(struct run *run, uint32_t node)
{
    uint64_t random = stead_random_of(run->o);
    char uuid[STEAD_UUID_SIZE], other[STEAD_UUID_SIZE];

    stead_uuid(run->o, uuid);
    stead_uuid(run->o, other);
    if (strlen(uuid) != STEAD_UUID_SIZE - 1 || uuid[14] != '4' || strcmp(uuid, other) == 0)
        broken(run, node, "draws a UUID that is none, or twice the same", 0);
    remember_twice(run, node, 0, random);
    remember_twice(run, node, 1, stead_program_error_value(uuid));
}

static void run_throw(struct run *run, uint32_t node)
{
    struct stead_slice value = {0};
    uint64_t number = 0;
    int code = stead_await_activity(run->o, STEAD_PROGRAM_DICE, pack_work(run, node, 0), &value);

    if (code != 0 || stead_get_u64(value, NULL, &number) != 0)
        broken(run, node, "the dice do not answer", code);
    remember_twice(run, node, 0, number);
}

static void run_clock(struct run *run, uint32_t node)
{
    int64_t before = stead_now(run->o), delay = run->program.nodes[node].a;

    if (stead_await_timer(run->o, delay) != 0)
        broken(run, node, "a timer fails", 0);
    if (stead_now(run->o) < before + delay)
        broken(run, node, "a timer fires early", 0);
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static void run_timed_event(struct run *run, uint32_t node, bool may_come)
{
    uint64_t id = stead_program_id(&run->input, node), value = 0;
    struct stead_slice answer = {0};
    int code = stead_await_event(run->o, event_of(run, may_come ? 'e' : 'n', id), run->program.nodes[node].a, &answer);

    if (code == STEAD_ETIMEOUT)
        return;
    if (code != 0 || !may_come)
        broken(run, node, "an event comes out of nowhere", code);
    if (stead_get_u64(answer, NULL, &value) != 0 || value != stead_program_event_value(id))
        broken(run, node, "an event carries another's value", 0);
}

static void await_told(struct run *run, uint32_t node, char letter, uint64_t *total)
{
    uint64_t id = stead_program_id(&run->input, node), value = 0;
    struct stead_slice answer = {0};
    int code = stead_await_event(run->o, event_of(run, letter, id), -1, &answer);

    if (code != 0 || stead_get_u64(answer, NULL, &value) != 0 || value != stead_program_event_value(id))
        broken(run, node, "an event that was sent has another value", code);
    *total = stead_program_mix(*total, value);
}

static void tell(struct run *run, const char *instance, char letter, uint64_t id, uint64_t more)
{
    if (stead_send_event(run->o, instance, event_of(run, letter, id),
                         stead_packed_for(run->o, "u", stead_program_event_value(id) + more)) != 0)
        broken(run, run->input.root, "cannot send an event", 0);
}

/* In whatever order they come, each is taken once. */
static void run_self(struct run *run, uint32_t node, uint64_t *total)
{
    uint64_t id = stead_program_id(&run->input, node), value = 0, first = 0, sum = 0;
    struct stead_slice answer = {0};

    for (uint64_t i = 0; i < 2; i++)
        tell(run, stead_instance_id(run->o), 's', id, i);
    if (run->program.nodes[node].b != 0 && stead_await_timer(run->o, run->program.nodes[node].a) != 0)
        broken(run, node, "a timer fails", 0);
    for (uint64_t i = 0; i < 2; i++) {
        int code = stead_await_event(run->o, event_of(run, 's', id), -1, &answer);
        if (code != 0 || stead_get_u64(answer, NULL, &value) != 0 || value - stead_program_event_value(id) > 1 ||
            (i > 0 && value == first))
            broken(run, node, "an event that was sent is lost, or comes twice", code);
        first = value;
        sum += value;
    }
    *total = stead_program_mix(*total, sum);
}

/* The child tells first, and what it then answers depends on what it told. */
static int run_talk(struct run *run, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &run->program.nodes[node];
    uint64_t id = stead_program_id(&run->input, node);
    struct begun begun = {.node = node, .total = stead_program_mix(*total, stead_program_event_value(id))};

    begun.task = begin_child(run, node, begun.total, it->first, it->a, id);
    await_told(run, node, 't', total);
    return finish_task(run, &begun, total);
}

/* ---- The tree -------------------------------------------------------------------------------------------------- */

static int run_sequence(struct run *run, uint32_t node, uint64_t *total)
{
    for (uint32_t at = run->program.nodes[node].first; at != 0; at = run->program.nodes[at].next) {
        int code = run_node(run, at, total);
        if (code != 0)
            return code;
    }
    return 0;
}

static int run_catch(struct run *run, uint32_t node, uint64_t *total)
{
    if (run_sequence(run, run->program.nodes[node].first, total) != 0)
        *total = stead_program_mix(*total, stead_program_error_value(run->error));
    return 0;
}

static void run_signal(struct run *run, uint32_t node)
{
    const char *address = stead_printed_for(run->o, "%s/%u", STEAD_PROGRAM_TALLY, run->program.nodes[node].a);
    int code = stead_signal_agent(run->o, address, "note", pack_work(run, node, 0));

    if (code != 0)
        broken(run, node, "cannot signal", code);
}

static void run_status(struct run *run, uint32_t node)
{
    int code = stead_set_status(run->o, stead_packed_for(run->o, "u", stead_program_id(&run->input, node)));

    if (code != 0)
        broken(run, node, "cannot set a status", code);
}

/* Statements that mix in nothing but their id. */
static void run_simple(struct run *run, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &run->program.nodes[node];

    switch (it->type) {
    case STEAD_PROGRAM_FORGET:
        if (begin_task(run, it->first, *total).number == 0)
            broken(run, node, "begins no task", 0);
        break;
    case STEAD_PROGRAM_SIGNAL:
        run_signal(run, node);
        break;
    case STEAD_PROGRAM_LATE:
    case STEAD_PROGRAM_MAYBE:
        run_timed_event(run, node, it->type == STEAD_PROGRAM_MAYBE);
        break;
    case STEAD_PROGRAM_THROW:
        run_throw(run, node);
        break;
    case STEAD_PROGRAM_EFFECT:
        run_effect(run, node);
        break;
    case STEAD_PROGRAM_CHANCE:
        run_chance(run, node);
        break;
    case STEAD_PROGRAM_CLOCK:
        run_clock(run, node);
        break;
    default:
        run_status(run, node);
    }
    *total = stead_program_mix(*total, stead_program_id(&run->input, node));
}

static int run_node(struct run *run, uint32_t node, uint64_t *total)
{
    look_at_clock(run, node);
    switch (run->program.nodes[node].type) {
    case STEAD_PROGRAM_SEQUENCE:
        return run_sequence(run, node, total);
    case STEAD_PROGRAM_ALL:
        return run_all(run, node, total);
    case STEAD_PROGRAM_SURE:
    case STEAD_PROGRAM_RACE:
        return run_any(run, node, total);
    case STEAD_PROGRAM_CATCH:
        return run_catch(run, node, total);
    case STEAD_PROGRAM_LOCK:
        return run_lock(run, node, total);
    case STEAD_PROGRAM_SELF:
        run_self(run, node, total);
        return 0;
    case STEAD_PROGRAM_TALK:
        return run_talk(run, node, total);
    case STEAD_PROGRAM_FAIL:
        run->error = stead_program_error(node);
        return STEAD_EFAILED;
    default:
        if (run->program.nodes[node].type < STEAD_PROGRAM_TASKS)
            return run_task(run, node, total);
        run_simple(run, node, total);
        return 0;
    }
}

/* Half of the failures are told by what the await returned, where that is this failure. */
static int end_failed(struct run *run, int code)
{
    if (run->input.seed % 2 == 0 && strcmp(stead_await_error_name(run->o), run->error) == 0)
        return code;
    return stead_fail_with(run->o, run->error, "round %u of %u fails", run->input.round, run->input.rounds);
}

static int run_program(struct stead_orchestration *o, struct stead_slice input)
{
    struct run *run = stead_keep_bytes(o, sizeof *run);
    struct stead_writer next;

    run->o = o;
    run->error = "";
    run->birth = stead_program_mix((uint64_t)stead_now(o), stead_random_of(o));
    stead_program_hooks.entered(stead_instance_id(o));
    if (stead_is_replaying(o) && stead_parent_id(o)[0] == '\0' && stead_program_hooks.differs(stead_instance_id(o)))
        return stead_await_activity(o, "code.of.tomorrow", input, NULL); /* the history knows none */
    if (stead_program_input_read(input, &run->input) != 0)
        broken(run, 0, "has another input than it was given", 0);
    stead_program_generate(&run->program, run->input.seed);
    uint64_t total = run->input.total;
    if (run->input.talks != 0)
        tell(run, stead_parent_id(o), 't', run->input.talks, 0);
    int code = run_node(run, run->input.root, &total);
    if (code != 0)
        return end_failed(run, code);
    if (run->input.round + 1 == run->input.rounds)
        return stead_complete(o, stead_packed_for(o, "u", total));
    struct stead_program_input further = run->input;
    further.round++;
    further.total = total;
    further.talks = 0;
    stead_writer_init(&next);
    stead_program_input_write(&next, &further);
    code = stead_continue_as_new(o, stead_written(&next));
    stead_writer_deinit(&next);
    return code;
}

const struct stead_orchestrator stead_program_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,
                                                              .struct_size = sizeof(struct stead_orchestrator),
                                                              .name = STEAD_PROGRAM_NAME,
                                                              .help = "a random program of awaits",
                                                              .version = 1,
                                                              .stack_bytes = 256u << 10,
                                                              .run = run_program};
