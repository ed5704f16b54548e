/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_send: decisions are carried out.
 *
 * A turn has limits, an episode has none: so decisions are stored first, and carried out in order, as many as one turn
 * may, by the turn that stored them and by further ones (`go_on`). How far that has come is a number in the state,
 * (`send_execution`, `sent`): a decision is sent by the commit that moves the number over it, so exactly once, whatever
 * dies when. What a turn carries out right away has its call's id in its event; what a later one does, in a row of its
 * own ('c', execution, event's id). A cancel that a later turn carries out has its call's id with it, if that lies in
 * the request's event: the engine, which knows it, may be gone by then.
 *
 * What cannot be sent (too large with what goes around it, an address that is none) comes back as the failure of its
 * task, by a signal to itself.
 */
#include "agents/fault.h"
#include "agents/orchestrator.h"

/* ---- Calls' ids ----------------------------------------------------------------------------- */

void stead_resident_keep_call(struct stead_resident *resident, uint64_t request, const struct stead_call_id *call)
{
    struct stead_call_id *copy = stead_engine_alloc(sizeof(*copy));

    *copy = *call;
    stead_engine_map_put(&resident->calls, request, copy);
}

void stead_resident_drop_call(struct stead_resident *resident, uint64_t request)
{
    struct stead_call_id *call = stead_engine_map_get(&resident->calls, request);

    if (call != NULL)
        stead_resident_drop_beat(resident, call);
    free(call);
    stead_engine_map_remove(&resident->calls, request);
}

/* The id of the call that this event cancels. STEAD_ENOTFOUND: there is none. */
static int find_call(struct stead_turn *turn, struct stead_orchestration_state *it, uint32_t execution,
                     const struct stead_history_event *cancel, struct stead_call_id *ret_call)
{
    uint8_t memory[STEAD_ROW_KEY_MAX];
    struct stead_slice value;
    const struct stead_call_id *kept =
        it->resident != NULL ? stead_engine_map_get(&it->resident->calls, cancel->ref) : NULL;

    if (cancel->extra.size > 0 && stead_get_bin(cancel->extra, "call", &value) == 0 &&
        value.size == sizeof(*ret_call)) {
        memcpy(ret_call, value.data, sizeof(*ret_call));
        return 0;
    }
    if (kept != NULL && execution == it->execution) {
        *ret_call = *kept;
        stead_resident_drop_call(it->resident, cancel->ref);
        return 0;
    }
    int code = stead_kv_get(turn, stead_row_key_of(memory, 'c', execution, cancel->ref), &value);
    if (code == 0 && value.size != sizeof(*ret_call))
        code = STEAD_ENOTFOUND;
    if (code == 0)
        memcpy(ret_call, value.data, sizeof(*ret_call));
    return code;
}

/* ---- One decision --------------------------------------------------------------------------- */

static int64_t option(struct stead_slice extra, const char *name)
{
    int64_t ms = 0;
    return stead_get_i64(extra, name, &ms) == 0 && ms > 0 ? ms : 0;
}

static uint32_t option_ms(struct stead_slice extra, const char *name)
{
    int64_t ms = option(extra, name);
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static const char *text_of(struct stead_turn *turn, struct stead_slice text)
{
    return stead_printed(turn, "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
}

static bool is_hold(struct stead_slice name, struct stead_slice target)
{
    return target.size > 0 && stead_slice_equal(name, stead_str(STEAD_OP_HOLD));
}

/* An activity, or a call of an agent. */
static int send_call(struct stead_turn *turn, uint32_t execution, const struct stead_history_event *event,
                     struct stead_call_id *ret_call)
{
    int64_t timeout_ms = option(event->extra, "timeout");
    bool hold = is_hold(event->name, event->target);
    struct stead_call_options options = {.reply_op = "done",
                                         .timeout_ms = timeout_ms > 0 ? timeout_ms : STEAD_TIMEOUT_NEVER,
                                         .ret_call = ret_call,
                                         .start_timeout_ms = option_ms(event->extra, "start"),
                                         .run_timeout_ms = option_ms(event->extra, "run"),
                                         .heartbeat_timeout_ms = option_ms(event->extra, "heartbeat")};
    uint64_t fence = (uint64_t)option(event->extra, "fence");
    int code;

    options.context = hold ? stead_packed(turn, "[u,u,S]", (uint64_t)execution, event->id, event->target)
                           : stead_packed(turn, "[u,u]", (uint64_t)execution, event->id);
    if (event->target.size == 0)
        return stead_call(turn, stead_printed(turn, "%s/%s", text_of(turn, event->name), stead_self_key(turn)), "run",
                          event->value, &options);
    stead_send_with_fence(turn, fence);
    code = stead_call(turn, text_of(turn, event->target), text_of(turn, event->name), event->value, &options);
    stead_send_with_fence(turn, 0);
    return code;
}

static const char *instance_address(struct stead_turn *turn, struct stead_slice id)
{
    return stead_printed(turn, STEAD_ORCHESTRATION_KIND "/%s", text_of(turn, id));
}

static int send_child(struct stead_turn *turn, uint32_t execution, const struct stead_history_event *event)
{
    struct stead_slice args =
        stead_packed(turn, "{s:S,s:u,s:v,s:{s:s,s:u,s:u,s:u,s:u}}", "name", event->name, "version",
                     (uint64_t)option(event->extra, "version"), "input", event->value, "parent", "id",
                     stead_self_key(turn), "life", stead_incarnation(turn), "execution", (uint64_t)execution, "ref",
                     event->id, "resumes", (uint64_t)option(event->extra, "resumes"));
    if (STEAD_AGENT_FAULT(child_started_twice))
        (void)stead_signal(turn, instance_address(turn, event->target), "start_child", args);
    return stead_signal(turn, instance_address(turn, event->target), "start_child", args);
}

static const char *timer_name(struct stead_turn *turn, uint32_t execution, uint64_t id)
{
    return stead_printed(turn, "t%u.%llu", execution, (unsigned long long)id);
}

static int send_timer(struct stead_turn *turn, uint32_t execution, const struct stead_history_event *event)
{
    int64_t due = option(event->extra, "due"), now = stead_now_ms(turn);

    return stead_timer_after(turn, timer_name(turn, execution, event->id), due > now ? due - now : 0, "timer",
                             stead_packed(turn, "[u,u]", (uint64_t)execution, event->id));
}

static int send_event(struct stead_turn *turn, const struct stead_history_event *event)
{
    bool agent = memchr(event->target.data, '/', event->target.size) != NULL;

    if (agent)
        return stead_signal(turn, text_of(turn, event->target), text_of(turn, event->name), event->value);
    return stead_signal(turn, instance_address(turn, event->target), "event",
                        stead_packed(turn, "{s:S,s:v}", "name", event->name, "value", event->value));
}

static bool is_child(struct stead_slice target)
{
    return target.size > 0 && memchr(target.data, '/', target.size) == NULL;
}

/* What it was is told by its name and target (history.h). */
static int send_cancel(struct stead_turn *turn, struct stead_orchestration_state *it, uint32_t execution,
                       const struct stead_history_event *event)
{
    struct stead_call_id call;
    int code;

    if (is_child(event->target) && STEAD_AGENT_FAULT(child_not_terminated))
        return 0;
    if (is_child(event->target))
        return stead_signal(turn, instance_address(turn, event->target), "terminate_child",
                            stead_packed(turn, "{s:s,s:u,s:u,s:u}", "id", stead_self_key(turn), "life",
                                         stead_incarnation(turn), "execution", (uint64_t)execution, "ref", event->ref));
    if (event->name.size == 0) {
        code = stead_timer_cancel(turn, timer_name(turn, execution, event->ref));
        return code == STEAD_ENOTFOUND ? 0 : code;
    }
    if (is_hold(event->name, event->target)) /* it may have been given already: its answer is waited for */
        return 0;
    code = find_call(turn, it, execution, event, &call);
    if (code == 0)
        code = stead_call_cancel(turn, &call);
    return code == STEAD_ENOTFOUND ? 0 : code;
}

void stead_cancel_shorten(struct stead_history_event *cancel)
{
    if (is_child(cancel->target))
        cancel->name = (struct stead_slice){NULL, 0};
    else if (!is_hold(cancel->name, cancel->target))
        cancel->target = (struct stead_slice){NULL, 0};
}

int stead_hold_give_back(struct stead_turn *turn, const char *address, struct stead_slice fence)
{
    uint64_t number = 0;

    if (stead_get_u64(fence, NULL, &number) != 0)
        return 0;
    return stead_signal(turn, address, STEAD_OP_RELEASE, stead_packed(turn, "{s:u}", "fence", number));
}

static int send_releases(struct stead_turn *turn, const struct stead_history_event *event)
{
    struct stead_reader reader = stead_reader(event->value);
    struct stead_slice address, fence;
    uint32_t count = 0, two = 0;
    int code = stead_read_array(&reader, &count);

    for (uint32_t i = 0; code == 0 && i < count; i++) {
        code = stead_read_array(&reader, &two);
        if (code == 0)
            code = stead_read_str(&reader, &address);
        if (code == 0)
            code = stead_read_value(&reader, &fence);
        if (code == 0)
            code = stead_hold_give_back(turn, text_of(turn, address), fence);
    }
    return code;
}

/* It cannot be sent: its task has failed. */
static int refuse(struct stead_turn *turn, uint32_t execution, const struct stead_history_event *event, int code)
{
    bool child = event->type == STEAD_HISTORY_CHILD_CREATED;

    if (event->type != STEAD_HISTORY_TASK_SCHEDULED && !child) {
        stead_log(turn, "event %llu could not be sent: %s", (unsigned long long)event->id, stead_error_sentence(code));
        return 0;
    }
    return stead_signal(turn, stead_self(turn), child ? "child_done" : "refused",
                        stead_packed(turn, "{s:u,s:u,s:u,s:l,s:s,s:s}", "life", stead_incarnation(turn), "execution",
                                     (uint64_t)execution, "ref", event->id, "code", (int64_t)code, "error_name",
                                     stead_error_name(code), "error_sentence", stead_error_sentence(code)));
}

int stead_decision_send(struct stead_turn *turn, struct stead_orchestration_state *it, uint32_t execution,
                        const struct stead_history_event *event, struct stead_call_id *ret_call, bool *ret_called)
{
    int code = 0;

    switch (event->type) {
    case STEAD_HISTORY_TASK_SCHEDULED:
        code = send_call(turn, execution, event, ret_call);
        *ret_called = code == 0;
        it->holds += code == 0 && is_hold(event->name, event->target);
        break;
    case STEAD_HISTORY_CHILD_CREATED:
        code = send_child(turn, execution, event);
        break;
    case STEAD_HISTORY_TIMER_CREATED:
        code = send_timer(turn, execution, event);
        break;
    case STEAD_HISTORY_EVENT_SENT:
        code = send_event(turn, event);
        break;
    case STEAD_HISTORY_TASK_CANCELED:
        code = send_cancel(turn, it, execution, event);
        break;
    case STEAD_HISTORY_LOCKS_RELEASED:
        code = send_releases(turn, event);
        break;
    default:
        break;
    }
    if (code == STEAD_ETOOLARGE || code == STEAD_EADDRESS || code == STEAD_EARGUMENT)
        code = refuse(turn, execution, event, code);
    return code;
}

/* ---- What was left over --------------------------------------------------------------------- */

bool stead_decisions_done(const struct stead_orchestration_state *it)
{
    return it->send_execution == it->execution && it->sent == it->events;
}

/* Decisions of the next turns, copied out of the scan: a visit may not write. */
struct batch {
    struct stead_history_event *events; /* slices are in `rows` */
    uint32_t count, capacity;
    struct stead_engine_arena rows;
    size_t bytes;
    uint64_t after, last; /* the last id before, and the last seen */
    uint64_t row;         /* the last row seen */
    bool full;
    int code;
};

static int visit_row(void *context, uint64_t first, struct stead_slice row)
{
    struct batch *batch = context;
    struct stead_history_row reader;
    struct stead_history_event event;
    struct stead_slice copy = stead_engine_arena_copy(&batch->rows, row);

    batch->row = first;
    batch->code = stead_history_row_begin(copy, &reader);
    while (batch->code == 0 && !batch->full) {
        batch->code = stead_history_row_next(&reader, &event);
        if (batch->code == STEAD_ENOTFOUND)
            break;
        if (batch->code != 0 || event.id <= batch->after)
            continue;
        if (!stead_history_is_input(event.type)) {
            if (batch->count == batch->capacity) {
                batch->capacity = batch->capacity == 0 ? 64 : batch->capacity * 2;
                batch->events = realloc(batch->events, batch->capacity * sizeof(*batch->events));
                STEAD_ENGINE_ASSERT(batch->events != NULL);
            }
            batch->events[batch->count++] = event;
            batch->bytes += event.value.size;
        }
        batch->last = event.id;
        batch->full = batch->count >= STEAD_SEND_MAX || batch->bytes >= STEAD_SEND_BYTES_MAX;
    }
    if (batch->code == STEAD_ENOTFOUND)
        batch->code = 0;
    return batch->full || batch->code != 0;
}

/* `ret_sent`: up to this event all is. */
static int send_batch(struct stead_turn *turn, struct stead_orchestration_state *it, const struct batch *batch,
                      uint64_t *ret_sent)
{
    uint8_t memory[STEAD_ROW_KEY_MAX];
    int code = 0;

    *ret_sent = batch->last;
    for (uint32_t i = 0; code == 0 && i < batch->count; i++) {
        const struct stead_history_event *event = &batch->events[i];
        struct stead_call_id call;
        bool called = false;
        code = stead_decision_send(turn, it, it->send_execution, event, &call, &called);
        if (code == 0 && called)
            code = stead_kv_put(turn, stead_row_key_of(memory, 'c', it->send_execution, event->id),
                                stead_bytes(&call, sizeof(call)));
        if (code != 0)
            *ret_sent = event->id - 1;
    }
    return code;
}

int stead_decisions_send(struct stead_turn *turn, struct stead_orchestration_state *it, bool *ret_more)
{
    struct batch batch = {.after = it->sent, .last = it->sent};
    uint64_t sent = it->sent;

    *ret_more = false;
    if (stead_decisions_done(it))
        return 0;
    int code = stead_rows_visit(turn, it->send_execution, it->send_row, visit_row, &batch);
    code = code != 0 ? code : batch.code;
    if (code == 0)
        code = send_batch(turn, it, &batch, &sent);
    if (stead_orchestration_is_unread(code)) {
        it->sent = sent;
        code = stead_orchestration_read_again(turn);
    } else if (code == 0) {
        it->sent = batch.last;
        it->send_row = batch.full ? batch.row : batch.last + 1;
        if (!batch.full && it->send_execution < it->execution) {
            it->send_execution++;
            it->sent = 0;
            it->send_row = 1;
            it->sweep = true;
        }
        *ret_more = !stead_decisions_done(it);
    }
    free(batch.events);
    stead_engine_arena_deinit(&batch.rows);
    return code;
}
