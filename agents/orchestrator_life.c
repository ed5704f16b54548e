/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_life: how executions begin and end.
 *
 *     start ---> Pending (its orchestrator is not loaded here, or it is too early) <---> Running <---> Suspended <---> Pending
 *                                        Completed, Failed, Terminated <-------------------+---> the next execution (continue-as-new)
 *     what never ran, when it is terminated ---> Canceled
 *
 * An id lives through many executions, numbered from 1: by continue-as-new, by a restart, by a start of a finished id.
 * Their histories have the number in their keys, and everything that comes back (answers, timers, children) says it: so
 * nothing of an earlier execution reaches a later one. The rows of earlier ones are swept a page a turn.
 *
 * The end answers everybody who waits, tells the parent, and sets the timer of the retention. A child is started and
 * terminated by signals of one channel, so a termination never overtakes its start; and it names parent, execution and
 * request, so that it meets that child only.
 */
#include "agents/orchestrator.h"

#define LOOK_MS_MIN 250
#define LOOK_MS_MAX 30000
#define EXPIRE_AGAIN_MS 1000
#define END_AGAIN_MS 1000
#define WAITERS_MAX 4096u
#define ANSWER_BYTES_MAX (2u << 20) /* a turn */
#define TOKEN_BYTES (STEAD_TOKEN_SIZE - 1u)

static const struct stead_slice nothing = {NULL, 0};

/* ---- Status --------------------------------------------------------------------------------- */

enum stead_instance_status stead_orchestration_status(const struct stead_orchestration_state *it)
{
    enum stead_instance_status status = STEAD_INSTANCE_PENDING;
    return stead_instance_status_find(stead_str(it->status), &status) == 0 ? status : STEAD_INSTANCE_PENDING;
}

void stead_orchestration_set_status(struct stead_turn *turn, struct stead_orchestration_state *it,
                                    enum stead_instance_status status)
{
    const char *name = stead_instance_status_name(status);

    memset(it->status, 0, sizeof(it->status));
    memcpy(it->status, name, strlen(name));
    it->updated = stead_now_ms(turn);
}

bool stead_orchestration_is_active(const struct stead_orchestration_state *it)
{
    return it->name[0] != '\0' && !stead_instance_is_over(stead_orchestration_status(it));
}

const struct stead_orchestrator *stead_orchestration_find(const struct stead_turn *turn,
                                                          const struct stead_orchestration_state *it)
{
    return stead_orchestrator_find(turn, it->name, it->version);
}

int stead_orchestration_pend(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    int64_t now = stead_now_ms(turn), delay = LOOK_MS_MIN;

    if (now < it->not_before) {
        delay = it->not_before - now;
    } else {
        for (uint32_t i = 0; i < it->looks && delay < LOOK_MS_MAX; i++)
            delay *= 2;
        delay = delay < LOOK_MS_MAX ? delay : LOOK_MS_MAX;
        if (it->looks++ == 0)
            stead_log(turn, "waits for an orchestrator that is not loaded here: %s version %u", it->name, it->version);
    }
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_PENDING);
    return stead_timer_after(turn, "look", delay, "look", nothing);
}

/* ---- Ends ----------------------------------------------------------------------------------- */

static int tell_parent(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    struct stead_slice args, output;
    uint64_t ref = it->parent_ref;

    if (ref == 0)
        return 0;
    int code = stead_orchestration_output(turn, it, &output);
    if (code != 0)
        return code;
    it->parent_ref = 0;
    if (stead_orchestration_status(it) == STEAD_INSTANCE_COMPLETED)
        args = stead_packed(turn, "{s:u,s:u,s:u,s:v}", "life", it->parent_life, "execution",
                            (uint64_t)it->parent_execution, "ref", ref, "value", output);
    else
        args = stead_packed(turn, "{s:u,s:u,s:u,s:l,s:s,s:s}", "life", it->parent_life, "execution",
                            (uint64_t)it->parent_execution, "ref", ref, "code",
                            (int64_t)(it->error_code != 0 ? it->error_code : STEAD_EFAILED), "error_name",
                            it->error_name, "error_sentence", it->error_sentence);
    return stead_signal(turn, stead_printed(turn, STEAD_ORCHESTRATION_KIND "/%s", it->parent), "child_done", args);
}

/* Answers those who wait with this map, until it is so many bytes. */
static int answer_with(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice map,
                       size_t bytes_max)
{
    struct stead_slice waiters = stead_buffer_get(&it->waiters);
    size_t at = 0, bytes = 0;
    int code = 0;

    for (; code == 0 && at + TOKEN_BYTES <= waiters.size && bytes < bytes_max; at += TOKEN_BYTES) {
        struct stead_token token = {.text = ""};
        memcpy(token.text, waiters.data + at, TOKEN_BYTES);
        code = stead_answer(turn, &token, map);
        code = code == STEAD_ENOTFOUND ? 0 : code;
        bytes += map.size + TOKEN_BYTES;
    }
    if (code == 0)
        stead_buffer_set(&it->waiters, (struct stead_slice){waiters.data + at, waiters.size - at});
    return code;
}

/* Answers as many as one turn may; `go_on` answers the rest. */
static int answer_waiters(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    struct stead_slice map;

    if (it->waiters.size == 0)
        return 0;
    int code = stead_orchestration_tell(turn, it, &map);
    if (code == 0)
        code = answer_with(turn, it, map, ANSWER_BYTES_MAX);
    return code == 0 && it->waiters.size > 0 ? stead_orchestration_go_on(turn, it) : code;
}

/* All who still wait for what is over, before something else begins under its id: briefly, so that one turn may. */
static int answer_all(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    return it->waiters.size > 0 ? answer_with(turn, it, stead_orchestration_tell_briefly(turn, it), SIZE_MAX) : 0;
}

/* What cannot be read now is told later. */
static int tell_end(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    int code = answer_waiters(turn, it);

    if (code == 0)
        code = tell_parent(turn, it);
    return stead_orchestration_is_unread(code) ? stead_orchestration_read_again(turn) : code;
}

int stead_orchestration_answer(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    return stead_orchestration_is_active(it) ? 0 : tell_end(turn, it);
}

int stead_orchestration_end(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    const struct stead_orchestrator *orchestrator = stead_orchestration_find(turn, it);
    bool completed = stead_orchestration_status(it) == STEAD_INSTANCE_COMPLETED;
    int64_t keep_ms = 0;

    (void)stead_timer_cancel(turn, "look");
    if (!it->differs)
        it->moving = 0; /* its code will never run */
    int code = tell_end(turn, it);
    if (orchestrator != NULL)
        keep_ms = completed ? orchestrator->keep_completed_ms : orchestrator->keep_failed_ms;
    if (code == 0 && keep_ms > 0)
        code = stead_timer_after(turn, "purge", keep_ms, "expire", nothing);
    return code;
}

/* ---- Begins --------------------------------------------------------------------------------- */

/* The next execution, with nothing in it yet. */
static void next_execution(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    bool done = stead_decisions_done(it);

    stead_orchestration_unload(it);
    (void)stead_timer_cancel(turn, "purge");
    it->execution++;
    it->events = it->end_row = it->rewind_from = 0;
    it->open_ms = 0;
    it->differs = it->begun = false;
    it->carried_first = it->carried_last + 1;
    it->moving = 0;
    it->error_code = 0;
    it->error_name[0] = it->error_sentence[0] = '\0';
    it->looks = 0;
    stead_buffer_set(&it->rewinds, nothing);
    /* Else what is left of the earlier one is carried out first, and then goes on to this one. */
    if (done) {
        it->sweep = it->execution > 1;
        it->send_execution = it->execution;
        it->sent = 0;
        it->send_row = 1;
    }
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_RUNNING);
}

/* EXECUTION_STARTED of this execution. */
static struct stead_history_event started(struct stead_turn *turn, const struct stead_orchestration_state *it,
                                          struct stead_slice input)
{
    return (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_STARTED,
                                        .name = stead_str(it->name),
                                        .target = stead_str(it->parent),
                                        .value = input,
                                        .extra = stead_packed(turn, "{s:u,s:u}", "version", (uint64_t)it->version,
                                                              "execution", (uint64_t)it->execution)};
}

int stead_orchestration_again(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice input,
                              const struct stead_resident *ended)
{
    struct stead_resident *resident = it->resident;

    it->resident = NULL; /* `ended` may be it */
    next_execution(turn, it);
    it->resident = resident;
    struct stead_history_event event = started(turn, it, input);
    int code = stead_orchestration_keep(turn, it, &event);
    if (code != 0 || ended == NULL)
        return code;
    it->begun = true; /* the instance has run: it can be terminated, not canceled */
    return stead_carry_begin(turn, it, ended);
}

struct beginning {
    struct stead_slice name, input;
    uint64_t version;
    int64_t delay_ms;
    struct stead_slice parent; /* its id; empty: none */
    uint64_t parent_life, parent_execution, parent_ref;
    uint64_t resumes; /* it is there, begun by this request of the parent, and shall go on; 0: it begins */
};

static int begin(struct stead_turn *turn, struct stead_orchestration_state *it, const struct beginning *from)
{
    int code = answer_all(turn, it);

    if (code != 0)
        return code;
    next_execution(turn, it);
    memset(it->name, 0, sizeof(it->name));
    memcpy(it->name, from->name.data, from->name.size);
    memset(it->parent, 0, sizeof(it->parent));
    if (from->parent.size > 0)
        memcpy(it->parent, from->parent.data, from->parent.size);
    it->parent_life = from->parent_life;
    it->parent_execution = (uint32_t)from->parent_execution;
    it->parent_ref = it->begun_by = from->parent_ref;
    it->version = (uint32_t)from->version;
    const struct stead_orchestrator *orchestrator = stead_orchestration_find(turn, it);
    if (orchestrator != NULL)
        it->version = orchestrator->version;
    it->created = stead_now_ms(turn);
    it->not_before = from->delay_ms > 0 ? it->created + from->delay_ms : 0;
    stead_buffer_set(&it->custom, nothing);
    struct stead_history_event event = started(turn, it, from->input);
    code = stead_orchestration_give(turn, it, &event);
    if (code == 0 && it->sweep)
        code = stead_orchestration_go_on(turn, it);
    return code;
}

static int read_beginning(struct stead_slice args, struct beginning *ret_from)
{
    struct beginning from = {.delay_ms = 0};
    struct stead_slice parent;

    if (stead_get_str(args, "name", &from.name) != 0 || from.name.size == 0 || from.name.size > STEAD_KIND_NAME_MAX ||
        memchr(from.name.data, 0, from.name.size) != NULL)
        return STEAD_EARGUMENT;
    if (stead_get_u64(args, "version", &from.version) == STEAD_EARGUMENT || from.version > UINT32_MAX ||
        stead_get_i64(args, "delay", &from.delay_ms) == STEAD_EARGUMENT || from.delay_ms < 0 ||
        from.delay_ms > INT64_MAX / 2)
        return STEAD_EARGUMENT;
    if (stead_get_value(args, "input", &from.input) != 0)
        from.input = nothing;
    if (stead_get_value(args, "parent", &parent) == 0 &&
        (stead_get_str(parent, "id", &from.parent) != 0 || stead_instance_id_check(from.parent) != 0 ||
         stead_get_u64(parent, "life", &from.parent_life) != 0 ||
         stead_get_u64(parent, "execution", &from.parent_execution) != 0 ||
         stead_get_u64(parent, "ref", &from.parent_ref) != 0 ||
         stead_get_u64(parent, "resumes", &from.resumes) == STEAD_EARGUMENT))
        return STEAD_EARGUMENT;
    *ret_from = from;
    return 0;
}

/* The last two events of what never ran. */
static int keep_cancellation(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice reason)
{
    const struct stead_history_event asked = {.type = STEAD_HISTORY_EXECUTION_TERMINATED, .error_sentence = reason};
    const struct stead_history_event done = {.type = STEAD_HISTORY_ORCHESTRATOR_COMPLETED};
    int code = stead_orchestration_keep(turn, it, &asked);

    if (code == 0)
        code = stead_orchestration_keep(turn, it, &done);
    it->open_ms = 0;
    return code;
}

/* Terminated with all that it has begun; Canceled when it never ran and so has begun nothing. */
static int terminate_or_cancel(struct stead_turn *turn, struct stead_orchestration_state *it, struct stead_slice reason)
{
    bool differs = it->differs;
    it->differs = false;
    if (it->begun) {
        int code = stead_orchestration_close(turn, it, reason);
        it->differs = differs && stead_orchestration_is_unread(code); /* nothing has happened */
        return code;
    }
    static const char canceled[] = "canceled";
    memcpy(it->error_name, canceled, sizeof(canceled));
    it->error_code = STEAD_ECANCELLED;
    size_t size = reason.size < sizeof(it->error_sentence) ? reason.size : sizeof(it->error_sentence) - 1;
    if (size > 0)
        memcpy(it->error_sentence, reason.data, size);
    it->error_sentence[size] = '\0';
    stead_orchestration_unload(it);
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_CANCELED);
    int code = keep_cancellation(turn, it, reason);
    return code != 0 ? code : stead_orchestration_end(turn, it);
}

/* Active, or it failed by its code's difference, with all that was open still open. */
static bool has_to_be_ended(const struct stead_orchestration_state *it)
{
    return stead_orchestration_is_active(it) || it->differs;
}

/* What has still to be ended before the next execution begins, or the instance is forgotten. */
static int make_room(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    return has_to_be_ended(it) ? terminate_or_cancel(turn, it, stead_str("replaced")) : 0;
}

static int check_id(struct stead_turn *turn)
{
    return stead_instance_id_check(stead_str(stead_self_key(turn)));
}

int stead_orchestration_start(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct beginning from;
    bool replace = false;

    int code = check_id(turn);
    if (code == 0)
        code = read_beginning(args, &from);
    if (code != 0 || stead_get_bool(args, "replace", &replace) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    if (stead_orchestration_is_active(it) && !replace)
        return STEAD_ECONFLICT;
    code = make_room(turn, it);
    if (code == 0)
        code = begin(turn, it, &from);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "{s:s}", "id", stead_self_key(turn)));
}

/* Takes the duty to answer at the end. */
static int wait_for_end(struct stead_turn *turn, struct stead_orchestration_state *it)
{
    struct stead_slice waiters = stead_buffer_get(&it->waiters);
    struct stead_token token;

    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    if (waiters.size >= WAITERS_MAX * TOKEN_BYTES) { /* as a rule the oldest has long given up */
        struct stead_token oldest = {.text = ""};
        memcpy(oldest.text, waiters.data, TOKEN_BYTES);
        waiters = (struct stead_slice){waiters.data + TOKEN_BYTES, waiters.size - TOKEN_BYTES};
        code = stead_answer_error(turn, &oldest, "busy", "too many wait for this instance: ask again");
        if (code != 0 && code != STEAD_ENOTFOUND)
            return code;
    }
    uint8_t *all = stead_turn_alloc(turn, waiters.size + TOKEN_BYTES);
    if (waiters.size > 0)
        memcpy(all, waiters.data, waiters.size);
    memcpy(all + waiters.size, token.text, TOKEN_BYTES);
    stead_buffer_set(&it->waiters, stead_bytes(all, waiters.size + TOKEN_BYTES));
    return 0;
}

int stead_orchestration_run(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct beginning from;
    bool replace = false;

    int code = check_id(turn);
    if (code == 0)
        code = read_beginning(args, &from);
    if (code != 0 || stead_get_bool(args, "replace", &replace) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    if (stead_orchestration_is_active(it) && !replace)
        return STEAD_ECONFLICT;
    code = make_room(turn, it);
    if (code == 0)
        code = begin(turn, it, &from);
    if (code != 0)
        return code;
    if (!stead_orchestration_is_active(it)) /* over in its first episode */
        return stead_orchestration_reply(turn, it);
    return wait_for_end(turn, it);
}

int stead_orchestration_wait(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (!stead_orchestration_is_active(it))
        return stead_orchestration_reply(turn, it);
    return wait_for_end(turn, it);
}

/* ---- Children ------------------------------------------------------------------------------- */

static bool is_child_of(const struct stead_orchestration_state *it, struct stead_slice parent)
{
    return it->parent[0] != '\0' && stead_slice_equal(stead_str(it->parent), parent);
}

/* The parent was rewound: what has failed is rewound with it, what goes on or has completed meanwhile is told to the
 * request that asks now. Not so what somebody ended, or restarted under another parent. */
static bool can_resume(const struct stead_orchestration_state *it, const struct beginning *from)
{
    enum stead_instance_status status = stead_orchestration_status(it);
    bool same = from->resumes != 0 && is_child_of(it, from->parent) && it->parent_life == from->parent_life &&
                it->parent_execution == from->parent_execution && it->begun_by == from->resumes;

    return same && (stead_orchestration_is_active(it) || status == STEAD_INSTANCE_COMPLETED ||
                    (status == STEAD_INSTANCE_FAILED && (it->differs || it->rewind_from != 0)));
}

static int resume_child(struct stead_turn *turn, struct stead_orchestration_state *it, const struct beginning *from)
{
    it->parent_ref = it->begun_by = from->parent_ref;
    if (stead_orchestration_status(it) == STEAD_INSTANCE_FAILED)
        return stead_orchestration_rewind(turn, it, nothing);
    return stead_orchestration_is_active(it) ? 0 : tell_parent(turn, it);
}

/* The parent hears that the child was not begun. */
static int refuse_child(struct stead_turn *turn, const struct beginning *from, int code, const char *why)
{
    return stead_signal(
        turn, stead_printed(turn, STEAD_ORCHESTRATION_KIND "/%.*s", (int)from->parent.size, from->parent.data),
        "child_done",
        stead_packed(turn, "{s:u,s:u,s:u,s:l,s:s,s:s}", "life", from->parent_life, "execution", from->parent_execution,
                     "ref", from->parent_ref, "code", (int64_t)code, "error_name", stead_error_name(code),
                     "error_sentence", why));
}

int stead_orchestration_start_child(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct beginning from;

    int code = read_beginning(args, &from);
    if (code != 0)
        return code;
    if (can_resume(it, &from))
        return resume_child(turn, it, &from);
    if (stead_orchestration_is_active(it) && from.parent.size > 0 && !is_child_of(it, from.parent))
        return refuse_child(turn, &from, STEAD_ECONFLICT, "an instance of the child's id is active");
    code = make_room(turn, it); /* an earlier attempt of the same parent */
    if (stead_orchestration_is_unread(code) && from.parent.size > 0)
        return refuse_child(turn, &from, code, "what was begun before under the child's id cannot be read");
    return code != 0 ? code : begin(turn, it, &from);
}

int stead_orchestration_terminate_child(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct stead_slice parent;
    uint64_t life = 0, execution = 0, ref = 0;

    if (stead_get_str(args, "id", &parent) != 0 || stead_get_u64(args, "life", &life) != 0 ||
        stead_get_u64(args, "execution", &execution) != 0 || stead_get_u64(args, "ref", &ref) != 0)
        return STEAD_EARGUMENT;
    if (!stead_orchestration_is_active(it) || !is_child_of(it, parent) || it->parent_life != life ||
        it->parent_execution != execution || it->parent_ref != ref)
        return 0;
    int code = terminate_or_cancel(turn, it, stead_str("the parent does not want it any more"));
    if (stead_orchestration_is_unread(code)) /* it comes again */
        return stead_signal_after(turn, stead_self(turn), "terminate_child", args, END_AGAIN_MS);
    return code;
}

/* ---- Steering ------------------------------------------------------------------------------- */

int stead_orchestration_terminate(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct stead_slice reason = nothing;

    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (!has_to_be_ended(it))
        return STEAD_ESTATE;
    if (stead_get_str(args, "reason", &reason) != 0)
        reason = nothing;
    return terminate_or_cancel(turn, it, reason);
}

int stead_orchestration_rewind(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct stead_slice rewinds = stead_buffer_get(&it->rewinds);
    uint64_t pair[2] = {it->rewind_from, it->events + 2};

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (stead_orchestration_status(it) != STEAD_INSTANCE_FAILED || (!it->differs && it->rewind_from == 0))
        return STEAD_ESTATE;
    (void)stead_timer_cancel(turn, "purge");
    stead_orchestration_unload(it);
    it->error_code = 0;
    it->error_name[0] = it->error_sentence[0] = '\0';
    stead_orchestration_set_status(turn, it, STEAD_INSTANCE_RUNNING);
    if (it->differs) { /* the history is as it was; the code, one hopes, is not */
        it->differs = false;
        return stead_orchestration_work(turn, it);
    }
    uint8_t *all = stead_turn_alloc(turn, rewinds.size + sizeof(pair));
    if (rewinds.size > 0)
        memcpy(all, rewinds.data, rewinds.size);
    memcpy(all + rewinds.size, pair, sizeof(pair));
    stead_buffer_set(&it->rewinds, stead_bytes(all, rewinds.size + sizeof(pair)));
    const struct stead_history_event event = {.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = pair[0]};
    return stead_orchestration_give(turn, it, &event);
}

int stead_orchestration_restart(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (stead_orchestration_is_active(it))
        return STEAD_ESTATE;
    int code = make_room(turn, it);
    if (code != 0)
        return code;
    struct stead_slice input;
    code = stead_orchestration_input(turn, it, &input);
    if (code == 0)
        code = answer_all(turn, it);
    if (code != 0)
        return code;
    it->created = stead_now_ms(turn);
    it->not_before = 0;
    stead_buffer_set(&it->custom, nothing);
    code = stead_orchestration_again(turn, it, input, NULL);
    return code != 0 ? code : stead_orchestration_work(turn, it);
}

int stead_orchestration_purge(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    if (stead_orchestration_is_active(it))
        return STEAD_ESTATE;
    bool ended = it->differs;
    int code = make_room(turn, it);
    if (code != 0)
        return code;
    /* What it decided has still to be carried out, its end to be told, or a lock to be given back. */
    if (!stead_decisions_done(it) || it->holds > 0 || it->waiters.size > 0 || it->parent_ref != 0)
        return ended ? stead_timer_after(turn, "purge", EXPIRE_AGAIN_MS, "expire", nothing) : STEAD_EBUSY;
    stead_orchestration_unload(it);
    return stead_destroy(turn);
}
