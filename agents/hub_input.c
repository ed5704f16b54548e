/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_input: what goes into an episode of an instance on a task hub: its messages, without those that were taken before
 * or are meant for another instance, as inputs of the engine.
 */
#include "agents/hub_episode.h"
#include "agents/hub_key.h"
#include "agents/instance.h"

static bool is(const struct stead_hub_message *message, const char *what)
{
    return stead_slice_equal(stead_hub_text(message->body, "t"), stead_str(what));
}

bool stead_hub_put_input(struct stead_hub_episode *episode, const struct stead_history_event *event)
{
    struct stead_engine *engine = episode->session->engine;
    struct stead_history_event kept = *event;

    if (!episode->keeping)
        return stead_engine_input(engine, event) != 0;
    if (!stead_engine_takes(engine, event))
        return false;
    kept.id = stead_engine_last(engine) + 1;
    if (stead_engine_replay(engine, &kept) != 0)
        return false;
    stead_hub_store_event(episode, &kept);
    return true;
}

void stead_hub_give_start(struct stead_hub_episode *episode, struct stead_slice body, struct stead_history_event *event)
{
    struct stead_writer extra;

    stead_writer_init(&extra);
    stead_pack(&extra, "{s:u}", "version", (uint64_t)episode->orchestrator->version);
    *event = (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_STARTED,
                                          .name = stead_hub_text(body, "n"),
                                          .value = stead_hub_value(body, "v"),
                                          .target = stead_hub_text(body, "p"),
                                          .extra = stead_written(&extra)};
    episode->inputs += stead_hub_put_input(episode, event);
    stead_writer_deinit(&extra);
}

/* What came of a request; of an execution that is over nobody wants it. A hold that nobody takes is given back, unless
 * it is the one that this instance has: its request was carried out again (its message came twice, or went on under
 * another id and came as well) and was answered with the same fence. */
static void give_result(struct stead_hub_episode *episode, struct stead_slice body)
{
    struct stead_hub_session *session = episode->session;
    int64_t type = stead_hub_number(body, "k");
    struct stead_history_event event = {.type = (uint8_t)type,
                                        .ref = (uint64_t)stead_hub_number(body, "r"),
                                        .code = (int32_t)stead_hub_number(body, "c"),
                                        .value = stead_hub_value(body, "v"),
                                        .error_name = stead_hub_text(body, "en"),
                                        .error_sentence = stead_hub_text(body, "es")};
    struct stead_slice held = stead_hub_text(body, "h");
    bool fits = type == STEAD_HISTORY_TASK_COMPLETED || type == STEAD_HISTORY_TASK_FAILED ||
                type == STEAD_HISTORY_CHILD_COMPLETED || type == STEAD_HISTORY_CHILD_FAILED ||
                type == STEAD_HISTORY_TIMER_FIRED;
    bool taken = fits && session->engine != NULL && (uint64_t)stead_hub_number(body, "x") == stead_hub_life(session) &&
                 stead_hub_put_input(episode, &event);
    uint64_t fence = 0;

    episode->inputs += taken;
    if (!taken && held.size > 0 && stead_get_u64(event.value, NULL, &fence) == 0 &&
        (session->engine == NULL || !stead_engine_holds(session->engine, held, fence)))
        stead_hub_send_release(session, held, fence, event.ref);
}

void stead_hub_give(struct stead_hub_episode *episode, const struct stead_hub_message *message)
{
    struct stead_engine *engine = episode->session->engine;
    struct stead_slice body = message->body;
    struct stead_history_event event;
    int64_t type = stead_hub_number(body, "k");

    if (is(message, "result")) {
        give_result(episode, body);
        return;
    }
    if (engine == NULL || (message->resumes && episode->rewind_from == 0))
        return;
    if (message->resumes)
        type = STEAD_HISTORY_EXECUTION_REWOUND;
    if (is(message, "start") && !message->resumes) {
        stead_hub_give_start(episode, body, &event);
    } else if (is(message, "raise")) {
        event = (struct stead_history_event){
            .type = STEAD_HISTORY_EVENT_RAISED, .name = stead_hub_text(body, "n"), .value = stead_hub_value(body, "v")};
        episode->inputs += stead_hub_put_input(episode, &event);
    } else if (is(message, message->resumes ? "start" : "steer") &&
               ((type == STEAD_HISTORY_EXECUTION_TERMINATED && !episode->keeping) ||
                type == STEAD_HISTORY_EXECUTION_SUSPENDED || type == STEAD_HISTORY_EXECUTION_RESUMED ||
                type == STEAD_HISTORY_EXECUTION_REWOUND)) {
        event = (struct stead_history_event){.type = (uint8_t)type, .error_sentence = stead_hub_text(body, "es")};
        if (type == STEAD_HISTORY_EXECUTION_REWOUND)
            event.ref = episode->rewind_from;
        if (type != STEAD_HISTORY_EXECUTION_REWOUND || episode->rewind_from > 0)
            episode->inputs += stead_hub_put_input(episode, &event);
        if (type == STEAD_HISTORY_EXECUTION_REWOUND)
            episode->rewind_from = 0; /* another one in the batch finds it running */
    }
}

enum stead_instance_status stead_hub_status_of(const struct stead_hub_session *session)
{
    uint64_t status = STEAD_INSTANCE_RUNNING;

    if (stead_get_u64(stead_written(&session->row), "status", &status) != 0 || status > STEAD_INSTANCE_SUSPENDED)
        status = STEAD_INSTANCE_RUNNING;
    return stead_hub_pends(session) > 0 ? STEAD_INSTANCE_RUNNING : (enum stead_instance_status)status;
}

uint64_t stead_hub_pends(const struct stead_hub_session *session)
{
    struct stead_slice row = stead_written(&session->row);

    if (!session->exists || stead_hub_number(row, "status") != STEAD_INSTANCE_PENDING)
        return 0;
    return (uint64_t)stead_hub_number(row, "events");
}

/* It says that the code may be loaded by now, and it is the newest that does. */
static bool wakes(const struct stead_hub_session *session, const struct stead_hub_message *message)
{
    uint64_t pends = stead_hub_pends(session);

    return is(message, "wake") && pends > 0 && (uint64_t)stead_hub_number(message->body, "r") == pends &&
           (uint64_t)stead_hub_number(message->body, "x") == stead_hub_life(session);
}

const struct stead_hub_message *stead_hub_find_wake(const struct stead_hub_session *session)
{
    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next)
        if (!it->dropped && is(it, "wake"))
            return it;
    return NULL;
}

/* The present execution was begun by this start. */
static bool starts_with(const struct stead_hub_session *session, const struct stead_hub_message *message)
{
    return stead_slice_equal(stead_hub_text(stead_written(&session->row), "start"), stead_hub_own_id(message->id));
}

/* An earlier request of the parent that this instance is the child of: it was hidden when a later one, by which its
 * parent asked again, began the instance. */
static bool is_earlier(const struct stead_hub_session *session, const struct stead_hub_message *message)
{
    struct stead_slice row = stead_written(&session->row), parent = stead_hub_text(message->body, "p");

    return session->exists && parent.size > 0 && stead_slice_equal(parent, stead_hub_text(row, "parent")) &&
           stead_hub_number(message->body, "px") == stead_hub_number(row, "px") &&
           stead_hub_number(message->body, "pr") < stead_hub_number(row, "pr");
}

/* A start that begins an execution; any other one is a repetition, or comes too late. Only a child's makes the row that
 * it begins: a client's, and that of a next execution, follow theirs, and begin what still waits for them. */
static bool starts_now(const struct stead_hub_session *session, const struct stead_hub_message *message)
{
    enum stead_instance_status status = stead_hub_status_of(session);
    bool same = starts_with(session, message), child = stead_hub_text(message->body, "p").size > 0;

    if (!session->exists)
        return child;
    if (status == STEAD_INSTANCE_PENDING || status == STEAD_INSTANCE_CONTINUED_AS_NEW)
        return same;
    return child && stead_instance_is_over(status) && !same && !is_earlier(session, message);
}

/* The start of a child that this instance is, repeated by a rewound parent; not of one that was ended. */
static bool resumes(const struct stead_hub_session *session, const struct stead_hub_message *message)
{
    struct stead_slice row = stead_written(&session->row), body = message->body;
    enum stead_instance_status status = stead_hub_status_of(session);
    int64_t known = stead_hub_number(row, "pr"), asked = stead_hub_number(body, "pr");
    bool final = false;

    if (!session->exists || !is(message, "start") || stead_hub_number(body, "rw") <= 0 ||
        !stead_slice_equal(stead_hub_text(row, "parent"), stead_hub_text(body, "p")) ||
        stead_hub_number(row, "px") != stead_hub_number(body, "px"))
        return false;
    if (status == STEAD_INSTANCE_FAILED && stead_get_bool(row, "final", &final) == 0 && final)
        return false;
    if (known < stead_hub_number(body, "rw") && (!stead_instance_is_over(status) || status == STEAD_INSTANCE_FAILED))
        known = stead_hub_number(body, "rw"); /* which repeated the known one, and has not come yet */
    return (known == stead_hub_number(body, "rw") || (known == asked && !starts_with(session, message))) &&
           status != STEAD_INSTANCE_TERMINATED && status != STEAD_INSTANCE_CANCELED;
}

/* From now on the parent is told under the new request. */
static void resume(struct stead_hub_episode *episode, const struct stead_hub_message *message)
{
    struct stead_hub_session *session = episode->session;
    struct stead_reader reader = stead_reader(stead_written(&session->row));
    struct stead_slice member, value;
    struct stead_writer row;
    uint32_t members = 0;

    stead_writer_init(&row);
    if (stead_read_map(&reader, &members) == 0)
        stead_write_map(&row, members);
    for (; members > 0 && stead_read_str(&reader, &member) == 0 && stead_read_value(&reader, &value) == 0; members--) {
        stead_write_str_slice(&row, member);
        if (stead_slice_equal(member, stead_str("pr")))
            stead_write_i64(&row, stead_hub_number(message->body, "pr"));
        else
            stead_write_value(&row, value);
    }
    stead_hub_set_row(session, stead_written(&row));
    stead_writer_deinit(&row);
    episode->resumed = true;
}

/* It comes from a parent, for the child of one of its requests, and this instance is another one: of a later life of
 * the parent, or of somebody else. */
static bool is_for_another(const struct stead_hub_episode *episode, const struct stead_hub_message *message)
{
    struct stead_slice parent = stead_hub_text(message->body, "p");
    struct stead_slice row = episode->start != NULL ? episode->start->body : stead_written(&episode->session->row);
    struct stead_slice own = stead_hub_text(row, episode->start != NULL ? "p" : "parent");

    return parent.size > 0 &&
           (!stead_slice_equal(parent, own) || stead_hub_number(message->body, "px") != stead_hub_number(row, "px") ||
            stead_hub_number(message->body, "pr") != stead_hub_number(row, "pr"));
}

/* A client asked it of the instance that it saw: not of one that has the id since. */
static bool is_of_another_life(const struct stead_hub_episode *episode, const struct stead_hub_message *message)
{
    const struct stead_hub_session *session = episode->session;
    int64_t born_ms = stead_hub_number(message->body, "born");
    bool begins = episode->start != NULL && stead_instance_is_over(stead_hub_status_of(session));

    return born_ms != 0 &&
           (!session->exists || begins || born_ms != stead_hub_number(stead_written(&session->row), "created"));
}

/* Another start of this batch is an earlier request of the same parent, which asks again by this one. */
static bool replaces(const struct stead_hub_message *message, const struct stead_hub_message *earlier)
{
    struct stead_slice parent = stead_hub_text(message->body, "p");

    return parent.size > 0 && stead_slice_equal(parent, stead_hub_text(earlier->body, "p")) &&
           stead_hub_number(message->body, "px") == stead_hub_number(earlier->body, "px") &&
           stead_hub_number(message->body, "pr") > stead_hub_number(earlier->body, "pr");
}

static bool is_active(const struct stead_hub_session *session)
{
    return session->exists && !stead_instance_is_over(stead_hub_status_of(session));
}

/* Sorts out what was taken before, and finds the start. True: there is something left. */
bool stead_hub_sort(struct stead_hub_episode *episode)
{
    bool goes_on = stead_hub_status_of(episode->session) == STEAD_INSTANCE_CONTINUED_AS_NEW, left = false;

    for (struct stead_hub_message *it = episode->session->messages; it != NULL; it = it->next) {
        it->dropped = stead_hub_was_taken(episode->session, it);
        it->refused = false;
        it->resumes = !it->dropped && (episode->start == NULL || goes_on) && resumes(episode->session, it);
        if (it->resumes) {
            resume(episode, it);
        } else if (!it->dropped && is(it, "start")) {
            bool now = starts_now(episode->session, it);
            if (now && episode->start != NULL && replaces(it, episode->start)) {
                episode->start->dropped = episode->start->refused = true;
                episode->start = NULL;
            }
            it->dropped = !now || episode->start != NULL;
            it->refused = it->dropped && is_for_another(episode, it) &&
                          (now || is_active(episode->session) || is_earlier(episode->session, it));
            if (!it->dropped)
                episode->start = it;
        }
    }
    for (struct stead_hub_message *it = episode->session->messages; it != NULL; it = it->next) {
        it->dropped = it->dropped || (is(it, "steer") && is_for_another(episode, it)) ||
                      is_of_another_life(episode, it) || (is(it, "wake") && !wakes(episode->session, it));
        left = left || !it->dropped;
    }
    return left;
}

static bool asks_for(const struct stead_hub_message *message, int64_t type)
{
    return (is(message, "steer") && stead_hub_number(message->body, "k") == type) ||
           (message->resumes && type == STEAD_HISTORY_EXECUTION_REWOUND);
}

/* Not noted as taken: one that comes back, since its worker died before it sent this, is refused again. */
void stead_hub_refuse_starts(const struct stead_hub_episode *episode)
{
    for (const struct stead_hub_message *it = episode->session->messages; it != NULL; it = it->next)
        if (it->refused)
            stead_hub_send_refusal(episode->session, it);
}

/* The message that asks for this; NULL: none does. */
const struct stead_hub_message *stead_hub_find_steer(const struct stead_hub_session *session, int64_t type)
{
    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next)
        if (!it->dropped && asks_for(it, type))
            return it;
    return NULL;
}

/* It is over, and nobody wants what comes; what a message holds is released. */
static void give_to_nobody(struct stead_hub_episode *episode, const struct stead_hub_message *message)
{
    struct stead_engine *engine = episode->session->engine;

    episode->session->engine = NULL;
    stead_hub_give(episode, message);
    episode->session->engine = engine;
}

bool stead_hub_differs(const struct stead_hub_session *session)
{
    bool differs = false;

    return session->exists && stead_get_bool(stead_written(&session->row), "differs", &differs) == 0 && differs;
}

/* Until its rewind an instance that has failed is over, for messages of the same batch too; unless it keeps what
 * comes. */
void stead_hub_give_all(struct stead_hub_episode *episode)
{
    bool over = episode->start == NULL && stead_hub_status_of(episode->session) == STEAD_INSTANCE_FAILED &&
                !stead_hub_differs(episode->session);

    for (const struct stead_hub_message *it = episode->session->messages; it != NULL; it = it->next) {
        if (it->dropped)
            continue;
        over = over && !asks_for(it, STEAD_HISTORY_EXECUTION_REWOUND);
        if (over)
            give_to_nobody(episode, it);
        else
            stead_hub_give(episode, it);
    }
}

/* Clocks of nodes differ: an instance's time never falls from one worker to the next, and no timer fires before its
 * time because its queue's clock is ahead of ours. */
int64_t stead_hub_time_of(const struct stead_turn *turn, const struct stead_hub_session *session)
{
    int64_t now_ms = stead_now_ms(turn), updated_ms = stead_hub_number(stead_written(&session->row), "updated");

    if (session->exists && updated_ms > now_ms)
        now_ms = updated_ms;
    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next) {
        int64_t due_ms = stead_hub_number(it->body, "due");
        if (is(it, "result") && due_ms > now_ms)
            now_ms = due_ms;
    }
    return now_ms;
}
