/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator: the durable kind `orchestration`; the agent `orchestration/ID` is the instance ID of the direct fabric.
 * Everything is a turn: a start, an answer, a timer, an event. A turn is one episode of the engine (engine.h), stored
 * as one row of the history in the same commit as the messages that the episode decided. So a turn costs what it adds,
 * however long the history is.
 *
 * Ops for clients, all with maps; STEAD_ENOTFOUND: nobody ever started this id; STEAD_ESTATE: not in the status that it
 * is in:
 *   start {name, version, input, replace, delay}   answers {id} when the start is committed; STEAD_ECONFLICT: active
 *   run   the same                                 answers as `wait`, in the same call
 *   wait  {}                                       answers what `status` does, when it is over
 *   status {}          read-only: {id, name, version, execution, status, created, updated, events, parent, input, output, custom, error_name, error_sentence, dropped}
 *   history {after, limit}      read-only: {execution, status, more, events: [stead_history_write_map()...]}
 *   raw_history {first, part}   read-only: {name, version, execution, status, events, rewinds, next: [first, part] or nil, rows: [[first, part, bytes]...]}, parts as orchestrator_rows.c
 *                               cuts them, first the carried events', then the history's with 2^62 added to `first`; rewinds: pairs of uint64, little-endian: from, at
 *   tasks {}           read-only: {known, count, tasks: [{id, type, name, target, attempt, beat, details}...]}: what is open, the first 100; `beat`: when the activity last gave a sign of
 *                      life, ms since 1970, 0: never; not known of an active instance that is not in memory
 *   raise {name, value}, terminate {reason}, suspend {reason}, resume {}, rewind {}, restart {}, purge {}
 * Between agents, signals: start_child {name, version, input, parent: {id, life, execution, ref, resumes}},
 * terminate_child {id, life, execution, ref}, child_done {life, execution, ref, value | code, error_name,
 * error_sentence}, event {name, value}; `life` is the parent's incarnation, which a purge ends; `resumes`: of a rewound
 * parent, the request that the child was begun by, 0: it begins; of activities: heartbeat; to itself: go_on, refused;
 * timers: timer, look, expire; answers: done.
 *
 * The engine lives beside the state, as long as the agent is in memory: unloading it frees the fiber, so a million
 * instances that wait cost no stacks.
 */
#include "agents/fault.h"
#include "agents/orchestrator.h"

typedef struct stead_orchestration_state instance;

static const struct stead_field fields[] = {STEAD_FIELD(TEXT, instance, name),
                                            STEAD_FIELD(TEXT, instance, status),
                                            STEAD_FIELD(TEXT, instance, parent),
                                            STEAD_FIELD(U32, instance, version),
                                            STEAD_FIELD(U32, instance, execution),
                                            STEAD_FIELD(I64, instance, created),
                                            STEAD_FIELD(I64, instance, updated),
                                            STEAD_FIELD(I64, instance, clock_ms),
                                            STEAD_FIELD(U64, instance, events),
                                            STEAD_FIELD(U64, instance, parent_life),
                                            STEAD_FIELD(U32, instance, parent_execution),
                                            STEAD_FIELD(U64, instance, parent_ref),
                                            STEAD_FIELD(U64, instance, begun_by),
                                            STEAD_FIELD(I64, instance, open_ms),
                                            STEAD_FIELD(U32, instance, send_execution),
                                            STEAD_FIELD(U64, instance, sent),
                                            STEAD_FIELD(U64, instance, send_row),
                                            STEAD_FIELD(BOOL, instance, begun),
                                            STEAD_FIELD(BOOL, instance, going),
                                            STEAD_FIELD(BOOL, instance, sweep),
                                            STEAD_FIELD(U32, instance, swept),
                                            STEAD_FIELD(U64, instance, carried_first),
                                            STEAD_FIELD(U64, instance, carried_last),
                                            STEAD_FIELD(U64, instance, carried_swept),
                                            STEAD_FIELD(U32, instance, moving),
                                            STEAD_FIELD(U64, instance, moved),
                                            STEAD_FIELD(U64, instance, cleared),
                                            STEAD_FIELD(BOOL, instance, differs),
                                            STEAD_FIELD(U32, instance, looks),
                                            STEAD_FIELD(I64, instance, not_before),
                                            STEAD_FIELD(U64, instance, rewind_from),
                                            STEAD_FIELD(U64, instance, end_row),
                                            STEAD_FIELD(I32, instance, error_code),
                                            STEAD_FIELD(TEXT, instance, error_name),
                                            STEAD_FIELD(TEXT, instance, error_sentence),
                                            STEAD_FIELD(U32, instance, holds),
                                            STEAD_FIELD(U64, instance, dropped),
                                            STEAD_FIELD(BUFFER, instance, custom),
                                            STEAD_FIELD(BUFFER, instance, waiters),
                                            STEAD_FIELD(BUFFER, instance, rewinds),
                                            STEAD_FIELDS_END};

static const struct stead_slice nothing = {NULL, 0};

static void unload(void *state)
{
    stead_orchestration_unload(state);
}

/* ---- What comes back ------------------------------------------------------------------------ */

static struct stead_slice text_in(struct stead_slice map, const char *field)
{
    struct stead_slice text;
    return stead_get_str(map, field, &text) == 0 ? text : nothing;
}

/* An answer to what was called; its context says for which request. */
static int done(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;
    struct stead_reader reader = stead_reader(stead_call_context(turn));
    struct stead_slice address = nothing;
    uint32_t members = 0;
    uint64_t execution = 0, ref = 0, before = it->dropped;
    int failure = stead_reply_code(turn);

    if (stead_read_array(&reader, &members) != 0 || stead_read_u64(&reader, &execution) != 0 ||
        stead_read_u64(&reader, &ref) != 0 || (members > 2 && stead_read_str(&reader, &address) != 0))
        return STEAD_ECORRUPT;
    bool hold = address.size > 0;
    it->holds -= hold && it->holds > 0;
    struct stead_history_event event = {.type = STEAD_HISTORY_TASK_COMPLETED, .ref = ref, .value = args};
    if (failure != 0)
        event = (struct stead_history_event){.type = STEAD_HISTORY_TASK_FAILED,
                                             .ref = ref,
                                             .code = failure,
                                             .error_name = stead_str(stead_reply_error_name(turn)),
                                             .error_sentence = stead_str(stead_reply_error_sentence(turn))};
    else if (args.size > STEAD_ENGINE_VALUE_MAX)
        event = (struct stead_history_event){.type = STEAD_HISTORY_TASK_FAILED,
                                             .ref = ref,
                                             .code = STEAD_ETOOLARGE,
                                             .error_name = stead_str(stead_error_name(STEAD_ETOOLARGE)),
                                             .error_sentence = stead_str("the result is larger than a payload may be")};
    int code = 0;
    if (execution == it->execution)
        code = stead_orchestration_give(turn, it, &event);
    else
        it->dropped++;
    if (code == 0 && hold && failure == 0 && it->dropped != before && !STEAD_AGENT_FAULT(lock_not_given_back))
        code = stead_hold_give_back(turn, stead_printed(turn, "%.*s", (int)address.size, (const char *)address.data),
                                    args);
    return code;
}

/* A child's end, or a request that could not be sent: a failure when there is a code. */
static int take_result(struct stead_turn *turn, instance *it, struct stead_slice args, uint8_t completed,
                       uint8_t failed)
{
    uint64_t life = 0, execution = 0, ref = 0;
    int64_t failure = 0;
    struct stead_slice value = nothing;

    if (stead_get_u64(args, "life", &life) != 0 || stead_get_u64(args, "execution", &execution) != 0 ||
        stead_get_u64(args, "ref", &ref) != 0 || stead_get_i64(args, "code", &failure) == STEAD_EARGUMENT ||
        failure > 0 || failure < INT32_MIN)
        return STEAD_EARGUMENT;
    if (life != stead_incarnation(turn) || execution != it->execution) {
        it->dropped++;
        return 0;
    }
    if (stead_get_value(args, "value", &value) != 0)
        value = nothing;
    struct stead_history_event event = {.type = completed, .ref = ref, .value = value};
    if (failure != 0)
        event = (struct stead_history_event){.type = failed,
                                             .ref = ref,
                                             .code = (int32_t)failure,
                                             .error_name = text_in(args, "error_name"),
                                             .error_sentence = text_in(args, "error_sentence")};
    return stead_orchestration_give(turn, it, &event);
}

static int child_done(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return take_result(turn, state, args, STEAD_HISTORY_CHILD_COMPLETED, STEAD_HISTORY_CHILD_FAILED);
}

static int refused(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return take_result(turn, state, args, STEAD_HISTORY_TASK_COMPLETED, STEAD_HISTORY_TASK_FAILED);
}

static int timer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_history_event event = {.type = STEAD_HISTORY_TIMER_FIRED};
    uint32_t members = 0;
    uint64_t execution = 0;

    if (stead_read_array(&reader, &members) != 0 || stead_read_u64(&reader, &execution) != 0 ||
        stead_read_u64(&reader, &event.ref) != 0)
        return STEAD_ECORRUPT;
    return execution == it->execution ? stead_orchestration_give(turn, it, &event) : 0;
}

/* ---- Events and steering -------------------------------------------------------------------- */

static int raise_event(struct stead_turn *turn, instance *it, struct stead_slice args)
{
    struct stead_history_event event = {.type = STEAD_HISTORY_EVENT_RAISED};

    if (stead_get_str(args, "name", &event.name) != 0 || event.name.size == 0 || event.name.size > STEAD_EVENT_NAME_MAX)
        return STEAD_EARGUMENT;
    if (stead_get_value(args, "value", &event.value) != 0)
        event.value = nothing;
    return stead_orchestration_give(turn, it, &event);
}

static int raise(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;

    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    return stead_orchestration_is_active(it) || it->differs ? raise_event(turn, it, args) : STEAD_ESTATE;
}

/* From another instance: what nobody is there to take is dropped. */
static int event(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;
    return it->name[0] != '\0' ? raise_event(turn, it, args) : 0;
}

/* Gives an input that turns one status into another. */
static int steer(struct stead_turn *turn, instance *it, uint8_t type, bool allowed, struct stead_slice args)
{
    const struct stead_history_event event = {.type = type, .error_sentence = text_in(args, "reason")};

    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    return allowed ? stead_orchestration_give(turn, it, &event) : STEAD_ESTATE;
}

static int suspend(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;
    enum stead_instance_status status = stead_orchestration_status(it);

    return steer(turn, it, STEAD_HISTORY_EXECUTION_SUSPENDED,
                 status == STEAD_INSTANCE_RUNNING || status == STEAD_INSTANCE_PENDING, args);
}

static int resume(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;

    return steer(turn, it, STEAD_HISTORY_EXECUTION_RESUMED, stead_orchestration_status(it) == STEAD_INSTANCE_SUSPENDED,
                 args);
}

/* ---- To itself ------------------------------------------------------------------------------ */

static int go_on(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;

    (void)args;
    it->going = false;
    return it->name[0] != '\0' ? stead_orchestration_work(turn, it) : 0;
}

static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    instance *it = state;

    (void)args;
    return it->name[0] != '\0' ? stead_orchestration_work(turn, it) : 0;
}

/* The retention is over. What has still to be carried out goes first. */
static int expire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const int64_t again_ms = 1000;
    int code = stead_orchestration_purge(turn, state, args);

    if (code == STEAD_EBUSY || stead_orchestration_is_unread(code))
        return stead_timer_after(turn, "purge", again_ms, "expire", nothing);
    return code == STEAD_ESTATE || code == STEAD_ENOTFOUND ? 0 : code;
}

static const struct stead_op ops[] = {
    {"start", stead_orchestration_start, NULL, 0, "starts an execution"},
    {"run", stead_orchestration_run, NULL, 0, "starts an execution and answers when it is over"},
    {"wait", stead_orchestration_wait, NULL, 0, "answers when it is over"},
    {"status", stead_orchestration_op_status, NULL, STEAD_OP_READ_ONLY, "what there is to say about the instance"},
    {"history", stead_orchestration_op_history, NULL, STEAD_OP_READ_ONLY, "a page of its events"},
    {"raw_history", stead_orchestration_op_raw_history, NULL, STEAD_OP_READ_ONLY, "a page of its history as stored"},
    {"tasks", stead_orchestration_op_tasks, NULL, STEAD_OP_READ_ONLY, "what is open, with signs of life"},
    {"heartbeat", stead_orchestration_op_heartbeat, NULL, STEAD_OP_READ_ONLY, "a sign of life of an activity"},
    {"raise", raise, NULL, 0, "an external event"},
    {"terminate", stead_orchestration_terminate, NULL, 0, "ends it with its children and activities"},
    {"suspend", suspend, NULL, 0, "its code does not run until it is resumed"},
    {"resume", resume, NULL, 0, "ends a suspension"},
    {"rewind", stead_orchestration_rewind, NULL, 0, "Failed: tries again what had failed"},
    {"restart", stead_orchestration_restart, NULL, 0, "over: begins anew with the same input"},
    {"purge", stead_orchestration_purge, NULL, STEAD_OP_FREES, "over: forgets it"},
    {"start_child", stead_orchestration_start_child, NULL, 0, "from its parent"},
    {"terminate_child", stead_orchestration_terminate_child, NULL, 0, "from its parent"},
    {"child_done", child_done, NULL, 0, "from a child"},
    {"event", event, NULL, 0, "an external event from another instance"},
    {"done", done, NULL, 0, "an answer"},
    {"refused", refused, NULL, 0, "to itself: a request that could not be sent"},
    {"timer", timer, NULL, 0, "a timer of the code"},
    {"look", look, NULL, 0, "a timer: looks for its orchestrator again"},
    {"expire", expire, NULL, 0, "a timer: the retention"},
    {"go_on", go_on, NULL, 0, "to itself: goes on with what one turn could not finish"},
    {NULL, NULL, NULL, 0, NULL},
};

const struct stead_kind stead_orchestration_kind = {
    .abi = STEAD_ABI,
    .struct_size = sizeof(struct stead_kind),
    .name = STEAD_ORCHESTRATION_KIND,
    .help = "one instance of an orchestration",
    .durability = STEAD_DURABLE,
    .flags = STEAD_KIND_TAKES_POISON | STEAD_KIND_TAKES_UNREAD,
    .state_size = sizeof(instance),
    .fields = fields,
    .ops = ops,
    .on_unload = unload,
};
