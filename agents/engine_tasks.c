/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_tasks: what was begun and has not been read: requests, results, retries, cancellation.
 *
 * A result finds its task by the id of the request, in one map that has the timers beside tasks too. A failure with
 * attempts left makes the task due; the next run requests it again, at once or behind a timer. A task keeps what it
 * needs for that only if it has a policy, or while a rewind lies ahead in the replay. A child's attempt has its time
 * from a timer of the engine; what bounds activities and calls is carried out by whoever carries them out (`extra`).
 */
#include "agents/engine_internal.h"
#include "agents/fault.h"

#define SPARE_MAX 64u /* tasks kept for the next ones */

static const struct stead_slice nothing = {NULL, 0};

/* ---- Lists ---------------------------------------------------------------------------------- */

void stead_engine_list_append(struct stead_engine_tasks *list, struct stead_engine_task *task)
{
    task->previous = list->last;
    task->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = task;
    list->last = task;
}

void stead_engine_list_remove(struct stead_engine_tasks *list, struct stead_engine_task *task)
{
    *(task->previous != NULL ? &task->previous->next : &list->first) = task->next;
    *(task->next != NULL ? &task->next->previous : &list->last) = task->previous;
    task->next = task->previous = NULL;
}

/* ---- Life ----------------------------------------------------------------------------------- */

struct stead_engine_task *stead_engine_task_new(struct stead_engine *engine, enum stead_engine_kind kind)
{
    struct stead_engine_task *task = engine->spare;

    if (kind != STEAD_ENGINE_HOLD && engine->task_count >= STEAD_ENGINE_OPEN_MAX)
        stead_engine_doom(engine, STEAD_ELIMIT);
    if (task != NULL) {
        engine->spare = task->next;
        engine->spare_count--;
        *task = (struct stead_engine_task){.kind = (uint8_t)kind};
    } else {
        task = stead_engine_alloc(sizeof(*task));
        task->kind = (uint8_t)kind;
    }
    if (kind != STEAD_ENGINE_HOLD) {
        task->number = ++engine->numbers;
        engine->task_count++;
        stead_engine_map_put(&engine->tasks, task->number, task);
    }
    return task;
}

static void free_again(struct stead_engine_task *task)
{
    if (task->again == NULL)
        return;
    free((void *)(uintptr_t)task->again->value.data);
    free((void *)(uintptr_t)task->again->extra.data);
    free(task->again);
    task->again = NULL;
}

void stead_engine_task_free(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->phase == STEAD_ENGINE_FINISHED)
        stead_engine_list_remove(&engine->finished, task);
    if (task->phase == STEAD_ENGINE_DUE)
        stead_engine_list_remove(&engine->due, task);
    stead_engine_event_leave(engine, task);
    stead_engine_map_remove(&engine->requests, task->request);
    stead_engine_map_remove(&engine->requests, task->timer);
    stead_engine_any_forget(engine, task);
    if (task->number != 0) {
        engine->task_count--;
        stead_engine_map_remove(&engine->tasks, task->number);
    }
    free_again(task);
    engine->held_bytes -= task->value.size;
    free(task->name);
    free(task->error_name);
    free((void *)(uintptr_t)task->value.data);
    if (engine->spare_count < SPARE_MAX) {
        task->next = engine->spare;
        engine->spare = task;
        engine->spare_count++;
    } else {
        free(task);
    }
}

void stead_engine_finish(struct stead_engine *engine, struct stead_engine_task *task, int code,
                         struct stead_slice value, struct stead_slice error_name, struct stead_slice error_sentence)
{
    if (task->phase == STEAD_ENGINE_DUE)
        stead_engine_list_remove(&engine->due, task);
    task->phase = STEAD_ENGINE_FINISHED;
    task->code = code;
    task->value = stead_engine_copy(value);
    engine->held_bytes += value.size;
    if (code != 0 && error_name.size + error_sentence.size > 0) {
        task->error_name = stead_engine_alloc(error_name.size + error_sentence.size + 2);
        task->error_sentence = task->error_name + error_name.size + 1;
        if (error_name.size > 0)
            memcpy(task->error_name, error_name.data, error_name.size);
        if (error_sentence.size > 0)
            memcpy(task->error_sentence, error_sentence.data, error_sentence.size);
    }
    stead_engine_list_append(&engine->finished, task);
    stead_engine_wake(engine, task);
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* Says the request with what the task keeps, and waits for it under its id. */
static void decide_request(struct stead_engine *engine, struct stead_engine_task *task, struct stead_slice value,
                           struct stead_slice extra)
{
    struct stead_history_event event = {.type = STEAD_HISTORY_TASK_SCHEDULED,
                                        .name = stead_str(task->name),
                                        .target = stead_str(task->target),
                                        .value = value,
                                        .extra = extra};

    if (task->kind == STEAD_ENGINE_CHILD)
        event.type = STEAD_HISTORY_CHILD_CREATED;
    if (task->kind == STEAD_ENGINE_TIMER)
        event.type = STEAD_HISTORY_TIMER_CREATED;
    task->phase = STEAD_ENGINE_REQUESTED;
    task->request = stead_engine_decide(engine, &event);
    if (task->again != NULL)
        task->again->asked = task->request;
    if (task->kind != STEAD_ENGINE_TIMER || !engine->replaying || !STEAD_AGENT_FAULT(timer_lost_at_replay))
        stead_engine_map_put(&engine->requests, task->request, task);
}

/* A timer beside the task. */
static void decide_timer(struct stead_engine *engine, struct stead_engine_task *task, int64_t due_ms)
{
    struct stead_history_event event = {.type = STEAD_HISTORY_TIMER_CREATED, .ref = task->request};
    uint8_t memory[32];
    struct stead_writer extra;

    stead_writer_init_fixed(&extra, memory, sizeof(memory));
    stead_pack(&extra, "{s:l}", "due", due_ms);
    event.extra = stead_written(&extra);
    task->due_ms = due_ms;
    task->timer = stead_engine_decide(engine, &event);
    stead_engine_map_put(&engine->requests, task->timer, task);
    stead_writer_deinit(&extra);
}

static int64_t add_time(int64_t time_ms, int64_t more_ms)
{
    return more_ms > INT64_MAX - time_ms ? INT64_MAX : time_ms + more_ms;
}

static void start_child_timer(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->kind == STEAD_ENGINE_CHILD && task->timeout_ms > 0)
        decide_timer(engine, task, add_time(engine->now_ms, task->timeout_ms));
}

void stead_engine_task_call_it(struct stead_engine_task *task, struct stead_slice name, struct stead_slice target)
{
    task->name = stead_engine_alloc(name.size + target.size + 2);
    task->target = task->name + name.size + 1;
    if (name.size > 0)
        memcpy(task->name, name.data, name.size);
    if (target.size > 0)
        memcpy(task->target, target.data, target.size);
}

void stead_engine_request(struct stead_engine *engine, struct stead_engine_task *task, struct stead_slice name,
                          struct stead_slice target, struct stead_slice value, struct stead_slice extra)
{
    stead_engine_task_call_it(task, name, target);
    if (task->again == NULL && engine->void_at < engine->void_count)
        task->again = stead_engine_alloc(sizeof(*task->again)); /* a rewind lies ahead */
    if (task->again != NULL) {
        task->again->value = stead_engine_copy(value);
        task->again->extra = stead_engine_copy(extra);
        task->again->began_ms = engine->now_ms;
        task->again->attempts = 1;
    }
    decide_request(engine, task, value, extra);
    start_child_timer(engine, task);
}

/* ---- Retries -------------------------------------------------------------------------------- */

/* min(first x coefficient^n, maximum), n from 0. */
static int64_t retry_delay(const struct stead_retry *retry, uint32_t n)
{
    const double most = 3e17; /* ms: ten million years */
    double maximum = retry->interval_max_ms > 0 ? (double)retry->interval_max_ms : most;
    double coefficient = retry->coefficient > 0 ? retry->coefficient : 1;
    double delay = retry->first_ms > 0 ? (double)retry->first_ms : 0;

    maximum = maximum < most ? maximum : most;
    for (uint32_t i = 0; i < n && coefficient != 1 && delay < maximum && delay >= 0.5; i++)
        delay *= coefficient;
    return (int64_t)(delay < maximum ? delay : maximum);
}

/* Its next attempt is due at the returned time; below 0: there is none. */
static int64_t next_attempt(const struct stead_engine *engine, const struct stead_engine_task *task, int code,
                            struct stead_slice error_name)
{
    const struct stead_engine_again *again = task->again;

    if (again == NULL || again->attempts >= again->retry.attempts_max)
        return -1;
    int64_t due = add_time(engine->now_ms, retry_delay(&again->retry, again->attempts - 1));
    if (again->retry.timeout_ms > 0 && due > add_time(again->began_ms, again->retry.timeout_ms))
        return -1;
    if (again->retry.retryable == NULL)
        return code == STEAD_ECANCELLED ? -1 : due;
    char *name = stead_engine_text(error_name.size > 0 ? error_name : stead_str(stead_error_name(code)));
    bool wanted = again->retry.retryable(code, name);
    free(name);
    return wanted ? due : -1;
}

static void make_due(struct stead_engine *engine, struct stead_engine_task *task, int64_t due_ms)
{
    task->due_ms = due_ms;
    task->phase = STEAD_ENGINE_DUE;
    stead_engine_list_append(&engine->due, task);
}

/* An attempt has failed; its request is no longer open. */
static void fail_attempt(struct stead_engine *engine, struct stead_engine_task *task, int code,
                         struct stead_slice error_name, struct stead_slice error_sentence)
{
    if (task->fenced && code == STEAD_ELOCKED) {
        code = STEAD_ESTATE; /* the lock was broken */
        error_name = stead_str(stead_error_name(code));
        error_sentence = stead_str("the lock was broken: the agent is not held by this instance any more");
    }
    int64_t due = engine->in_void ? 0 : next_attempt(engine, task, code, error_name);
    if (due >= 0)
        make_due(engine, task, due);
    else
        stead_engine_finish(engine, task, code, nothing, error_name, error_sentence);
}

static void decide_cancel(struct stead_engine *engine, uint64_t ref, struct stead_slice name, struct stead_slice target)
{
    const struct stead_history_event event = {
        .type = STEAD_HISTORY_TASK_CANCELED, .ref = ref, .name = name, .target = target};

    (void)stead_engine_decide(engine, &event);
}

/* Its open request is not wanted any more; nor is the one that this resumes, which the child may still be known by. */
static void cancel_request(struct stead_engine *engine, const struct stead_engine_task *task)
{
    struct stead_slice name = stead_str(task->name), target = stead_str(task->target);

    decide_cancel(engine, task->request, name, target);
    if (task->again != NULL && task->again->resumed != 0)
        decide_cancel(engine, task->again->resumed, name, target);
}

/* Decides that its request and its timer are not wanted any more. */
static void decide_cancels(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->request != 0 && task->kind == STEAD_ENGINE_TIMER)
        decide_cancel(engine, task->request, nothing, nothing);
    else if (task->request != 0)
        cancel_request(engine, task);
    if (task->timer != 0)
        decide_cancel(engine, task->timer, nothing, nothing);
}

/* No longer waits under this id. */
static void drop_request(struct stead_engine *engine, uint64_t *id)
{
    stead_engine_map_remove(&engine->requests, *id);
    *id = 0;
}

/* A child whose time was up. */
static void expire(struct stead_engine *engine, struct stead_engine_task *task)
{
    cancel_request(engine, task);
    task->request = 0;
    stead_engine_list_remove(&engine->due, task);
    task->phase = STEAD_ENGINE_REQUESTED;
    fail_attempt(engine, task, STEAD_ETIMEOUT, stead_str(stead_error_name(STEAD_ETIMEOUT)),
                 stead_str("the child did not end in time"));
}

/* `extra` with this member set, one more or in the place of an old one; owned by the writer. */
static struct stead_slice set_number(struct stead_writer *writer, struct stead_slice extra, const char *name,
                                     uint64_t number)
{
    struct stead_reader reader = stead_reader(extra);
    struct stead_slice member, value;
    uint32_t members = 0;
    uint64_t old = 0;

    if (extra.size > 0 && stead_read_map(&reader, &members) != 0)
        return extra;
    stead_write_map(writer, members + (stead_get_u64(extra, name, &old) != 0));
    for (; members > 0 && stead_read_str(&reader, &member) == 0 && stead_read_value(&reader, &value) == 0; members--) {
        if (stead_slice_equal(member, stead_str(name)))
            continue;
        stead_write_str_slice(writer, member);
        stead_write_value(writer, value);
    }
    stead_write_str(writer, name);
    stead_write_u64(writer, number);
    return stead_written(writer);
}

/* A child that a rewind resumes is named by the request it was begun by: once, later attempts begin anew. */
static void request_again(struct stead_engine *engine, struct stead_engine_task *task)
{
    struct stead_engine_again *again = task->again;
    struct stead_slice extra = again->extra;
    struct stead_writer writer;

    stead_writer_init(&writer);
    if (again->resumes != 0)
        extra = set_number(&writer, extra, "resumes", again->resumes);
    again->resumed = again->resumes;
    again->resumes = 0;
    decide_request(engine, task, again->value, extra);
    stead_writer_deinit(&writer);
}

void stead_engine_request_due(struct stead_engine *engine)
{
    for (uint32_t i = 0; i < engine->stale_count; i++)
        decide_cancel(engine, engine->stale[i], nothing, nothing);
    engine->stale_count = 0;
    while (engine->due.first != NULL) {
        struct stead_engine_task *task = engine->due.first;
        if (task->request != 0) {
            expire(engine, task);
            continue;
        }
        stead_engine_list_remove(&engine->due, task);
        if (task->kind != STEAD_ENGINE_TIMER && task->due_ms > engine->now_ms) {
            task->phase = STEAD_ENGINE_DELAYED;
            decide_timer(engine, task, task->due_ms);
            continue;
        }
        if (!engine->replaying || !STEAD_AGENT_FAULT(retry_counted_wrong))
            task->again->attempts++;
        request_again(engine, task);
        start_child_timer(engine, task);
    }
}

/* ---- Results -------------------------------------------------------------------------------- */

/* A child that ended in time needs its timer no more; the next run says so. */
static void forget_timer(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (engine->stale_count == engine->stale_capacity) {
        engine->stale_capacity = engine->stale_capacity == 0 ? 8 : engine->stale_capacity * 2;
        engine->stale = realloc(engine->stale, engine->stale_capacity * sizeof(*engine->stale));
        STEAD_ENGINE_ASSERT(engine->stale != NULL);
    }
    engine->stale[engine->stale_count++] = task->timer;
    drop_request(engine, &task->timer);
}

static void fire(struct stead_engine *engine, struct stead_engine_task *task, uint64_t id)
{
    if (task->timer != id) {
        drop_request(engine, &task->request);
        stead_engine_finish(engine, task, 0, nothing, nothing, nothing);
        return;
    }
    drop_request(engine, &task->timer);
    if (task->phase == STEAD_ENGINE_REQUESTED) /* a child's: its result is not taken any more */
        stead_engine_map_remove(&engine->requests, task->request);
    make_due(engine, task, 0);
}

bool stead_engine_result(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_engine_task *task = stead_engine_map_get(&engine->requests, event->ref);

    if (task == NULL)
        return false;
    if (event->type == STEAD_HISTORY_TIMER_FIRED) {
        if (task->timer != event->ref && task->kind != STEAD_ENGINE_TIMER)
            return false;
        if (task->due_ms > engine->now_ms) /* it joined an episode that was opened before its time */
            engine->now_ms = task->due_ms;
        fire(engine, task, event->ref);
        return true;
    }
    bool child = event->type == STEAD_HISTORY_CHILD_COMPLETED || event->type == STEAD_HISTORY_CHILD_FAILED;
    if (task->request != event->ref || child != (task->kind == STEAD_ENGINE_CHILD) || task->kind == STEAD_ENGINE_TIMER)
        return false;
    drop_request(engine, &task->request);
    if (task->timer != 0)
        forget_timer(engine, task);
    bool failed = event->type == STEAD_HISTORY_TASK_FAILED || event->type == STEAD_HISTORY_CHILD_FAILED;
    if (failed)
        fail_attempt(engine, task, event->code != 0 ? event->code : STEAD_EFAILED, event->error_name,
                     event->error_sentence);
    else
        stead_engine_finish(engine, task, 0, event->value, nothing, nothing);
    return true;
}

/* ---- Cancellation --------------------------------------------------------------------------- */

void stead_task_cancel(struct stead_orchestration *o, struct stead_task handle)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, handle.number);

    if (task == NULL)
        return;
    if (task->phase != STEAD_ENGINE_FINISHED)
        decide_cancels(engine, task);
    else if (task->kind == STEAD_ENGINE_EVENT && task->code == 0)
        stead_engine_event_give_back(engine, task);
    stead_engine_task_free(engine, task);
}

struct open_request {
    uint64_t id;
    const struct stead_engine_task *task;
};

static int compare_open(const void *a, const void *b)
{
    uint64_t left = ((const struct open_request *)a)->id, right = ((const struct open_request *)b)->id;
    return (left > right) - (left < right);
}

/* Every id under which something waits, in order; free() it. */
static struct open_request *list_open(const struct stead_engine *engine, uint32_t *ret_count)
{
    struct open_request *open = stead_engine_alloc(engine->requests.count * sizeof(*open));
    uint32_t count = 0;

    for (uint32_t i = 0; i < engine->requests.capacity; i++)
        if (engine->requests.keys[i] != 0)
            open[count++] = (struct open_request){engine->requests.keys[i], engine->requests.values[i]};
    qsort(open, count, sizeof(*open), compare_open);
    *ret_count = count;
    return open;
}

static bool is_timer(const struct open_request *open)
{
    return open->task->kind == STEAD_ENGINE_TIMER || open->task->timer == open->id;
}

void stead_engine_cancel_open(struct stead_engine *engine, bool timers_only)
{
    uint32_t count = 0;
    struct open_request *open = list_open(engine, &count);

    for (uint32_t i = 0; i < count; i++) {
        const struct stead_engine_task *task = open[i].task;
        if (is_timer(&open[i]))
            decide_cancel(engine, open[i].id, nothing, nothing);
        else if (!timers_only)
            cancel_request(engine, task);
    }
    free(open);
    /* Children that still run: their time was up while the code could not run, or a rewind is to resume them. */
    for (const struct stead_engine_task *task = engine->due.first; task != NULL && !timers_only; task = task->next)
        if (task->request != 0)
            cancel_request(engine, task);
        else if (task->again != NULL && task->again->resumes != 0)
            decide_cancel(engine, task->again->resumes, stead_str(task->name), stead_str(task->target));
}

void stead_engine_open(const struct stead_engine *engine, stead_engine_sink_fn *visit, void *context)
{
    uint32_t count = 0;
    struct open_request *open = list_open(engine, &count);

    for (uint32_t i = 0; i < count; i++) {
        const struct stead_engine_task *task = open[i].task;
        struct stead_history_event event = {.type = STEAD_HISTORY_TIMER_CREATED, .id = open[i].id};
        if (!is_timer(&open[i])) {
            event.type = task->kind == STEAD_ENGINE_CHILD ? STEAD_HISTORY_CHILD_CREATED : STEAD_HISTORY_TASK_SCHEDULED;
            event.name = stead_str(task->name);
            event.target = stead_str(task->target);
        }
        visit(context, &event);
    }
    free(open);
}

/* ---- Rewind --------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = (*(struct stead_engine_task *const *)a)->number;
    uint32_t right = (*(struct stead_engine_task *const *)b)->number;
    return (left > right) - (left < right);
}

/* Back to before it failed: the await that counted it counts on it again. */
static void unfinish(struct stead_engine *engine, struct stead_engine_task *task)
{
    stead_engine_list_remove(&engine->finished, task);
    task->phase = STEAD_ENGINE_REQUESTED;
    task->code = 0;
    free(task->error_name);
    task->error_name = task->error_sentence = NULL;
    engine->held_bytes -= task->value.size; /* the fence of a hold that was given */
    free((void *)(uintptr_t)task->value.data);
    task->value = nothing;
    if (engine->waits_any)
        engine->missing = !stead_engine_any_is_done(engine);
    else if (task->wait_round == engine->wait_round)
        engine->missing++;
}

/* A hold that the code waits for, given or refused: that was released, or is asked for again. */
static void rewind_holds(struct stead_engine *engine)
{
    struct stead_engine_task *next;

    for (struct stead_engine_task *task = engine->finished.first; task != NULL; task = next) {
        next = task->next;
        if (task->kind != STEAD_ENGINE_HOLD || task->again == NULL)
            continue;
        unfinish(engine, task);
        make_due(engine, task, 0);
    }
}

/* A child is resumed, whatever became of it, unless its time was up. */
static void rewind_task(struct stead_engine *engine, struct stead_engine_task *task)
{
    bool expired = task->phase == STEAD_ENGINE_DUE && task->request != 0;

    if (task->phase == STEAD_ENGINE_FINISHED)
        unfinish(engine, task);
    if (task->phase == STEAD_ENGINE_DUE)
        stead_engine_list_remove(&engine->due, task);
    if (task->kind == STEAD_ENGINE_CHILD && !expired) {
        drop_request(engine, &task->request);
        task->again->resumes = task->again->asked;
    }
    decide_cancels(engine, task);
    drop_request(engine, &task->request);
    drop_request(engine, &task->timer);
    task->again->attempts = 0;
    task->again->began_ms = engine->now_ms;
    make_due(engine, task, 0);
}

void stead_engine_rewind_tasks(struct stead_engine *engine)
{
    struct stead_engine_task **tasks = stead_engine_alloc(engine->tasks.count * sizeof(struct stead_engine_task *));
    uint32_t count = 0;

    rewind_holds(engine);
    for (uint32_t i = 0; i < engine->tasks.capacity; i++) {
        struct stead_engine_task *task = engine->tasks.keys[i] != 0 ? engine->tasks.values[i] : NULL;
        if (task != NULL && task->again != NULL && !(task->phase == STEAD_ENGINE_FINISHED && task->code == 0))
            tasks[count++] = task;
    }
    qsort(tasks, count, sizeof(struct stead_engine_task *), compare_numbers);
    for (uint32_t i = 0; i < count; i++)
        rewind_task(engine, tasks[i]);
    free(tasks);
}

void stead_engine_refence(struct stead_engine *engine, const char *address, uint64_t old, uint64_t fence)
{
    for (uint32_t i = 0; i < engine->tasks.capacity; i++) {
        const struct stead_engine_task *task = engine->tasks.keys[i] != 0 ? engine->tasks.values[i] : NULL;
        struct stead_engine_again *again = task != NULL && task->fenced ? task->again : NULL;
        uint64_t carried = 0;
        if (again == NULL || strcmp(task->target, address) != 0 ||
            stead_get_u64(again->extra, "fence", &carried) != 0 || carried != old)
            continue;
        struct stead_writer writer;
        stead_writer_init(&writer);
        struct stead_slice extra = stead_engine_copy(set_number(&writer, again->extra, "fence", fence));
        stead_writer_deinit(&writer);
        free((void *)(uintptr_t)again->extra.data);
        again->extra = extra;
    }
}
