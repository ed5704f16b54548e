/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine: episodes, live and from the history.
 *
 * There is one way through an episode: inputs are applied, then the code runs once and decides. Live, its decisions are
 * given ids and handed out. In a replay they are held, one by one, against the recorded ones; the code runs when the
 * first recorded decision or the end of the episode is seen, so it has the same inputs as it had. Ids are given in both
 * cases by counting on from the last input: so a decision's id is the same at every replay, and results find their
 * requests.
 *
 * A side effect's value is in the history, and the code needs it before it decides anything further: in a replay the
 * fiber stops there until the recorded event comes.
 *
 * A rewind makes a range of the history void. In it no code runs and no decision counts; results of older requests do,
 * failures make their tasks due again; and the episode of the rewind requests everything that had not succeeded. The
 * range begins with the episode in which the code first saw the failure that ended it: what the code did before cannot
 * depend on it. A critical section that was open there is locked anew first (engine_locks.c): until that is done,
 * perhaps episodes later, nothing is requested and no code runs.
 *
 * Invariants: O1 an episode's decisions lie behind all of its inputs. O2 the code runs at most once in an episode. O3
 * replaying any prefix of whole episodes ends in the state that the engine had there. O4 what is kept follows the open
 * tasks and untaken events, not the history.
 */
#include "agents/engine_internal.h"

#define EVENTS_KEPT 64u /* places for events that outlive an episode */

static const struct stead_slice nothing = {NULL, 0};

/* ---- Life ----------------------------------------------------------------------------------- */

struct stead_engine *stead_engine_create(const struct stead_engine_options *options)
{
    struct stead_engine *engine = stead_engine_alloc(sizeof(*engine));

    engine->orchestrator = options->orchestrator;
    engine->instance = stead_engine_text(stead_str(options->instance));
    engine->parent = stead_engine_text(nothing);
    engine->execution = options->execution;
    engine->fibers = options->fibers;
    engine->say = options->say;
    engine->context = options->context;
    engine->status = STEAD_INSTANCE_RUNNING;
    return engine;
}

static void free_tasks(struct stead_engine *engine)
{
    /* Holds have no number, others no request: both maps, and what is in neither is in a list. */
    while (engine->finished.first != NULL)
        stead_engine_task_free(engine, engine->finished.first);
    while (engine->due.first != NULL)
        stead_engine_task_free(engine, engine->due.first);
    /* A removal may move another one here, and shrink the map: so the place is looked at again. */
    for (uint32_t at = 0; engine->requests.count > 0;) {
        at = at < engine->requests.capacity ? at : 0;
        if (engine->requests.keys[at] != 0)
            stead_engine_task_free(engine, engine->requests.values[at]);
        else
            at++;
    }
}

void stead_engine_destroy(struct stead_engine **engine_pointer)
{
    struct stead_engine *engine = *engine_pointer;

    *engine_pointer = NULL;
    if (engine == NULL)
        return;
    stead_fiber_destroy(&engine->fiber);
    free_tasks(engine);
    stead_engine_events_deinit(engine);
    stead_engine_locks_deinit(engine);
    stead_engine_relocks_deinit(engine);
    while (engine->spare != NULL) {
        struct stead_engine_task *task = engine->spare;
        engine->spare = task->next;
        free(task);
    }
    stead_engine_map_deinit(&engine->tasks);
    stead_engine_map_deinit(&engine->requests);
    stead_engine_arena_deinit(&engine->bytes);
    stead_engine_arena_deinit(&engine->kept);
    stead_engine_arena_deinit(&engine->transient);
    free((void *)(uintptr_t)engine->input.data);
    free((void *)(uintptr_t)engine->read_value.data);
    free(engine->read_name);
    free(engine->stale);
    free(engine->any_numbers);
    free(engine->any_tasks);
    free(engine->events);
    free(engine->voids);
    free(engine->said);
    free(engine->parent);
    free(engine->instance);
    free(engine);
}

void stead_engine_expect_rewind(struct stead_engine *engine, uint64_t from, uint64_t at)
{
    STEAD_ENGINE_ASSERT(engine->last == 0 && from < at);
    /* One that reaches back behind earlier ones holds them. */
    while (engine->void_count > 0 && engine->voids[engine->void_count - 1].from >= from)
        engine->void_count--;
    engine->voids = realloc(engine->voids, (engine->void_count + 1) * sizeof(*engine->voids));
    STEAD_ENGINE_ASSERT(engine->voids != NULL);
    engine->voids[engine->void_count++] = (struct stead_engine_void){.from = from, .at = at};
}

/* ---- Events of the episode ------------------------------------------------------------------ */

static struct stead_history_event *push_event(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_engine_arena *bytes = &engine->bytes;

    if (engine->event_count == engine->event_capacity) {
        engine->event_capacity = engine->event_capacity == 0 ? 6 : engine->event_capacity * 2;
        engine->events = realloc(engine->events, engine->event_capacity * sizeof(*engine->events));
        STEAD_ENGINE_ASSERT(engine->events != NULL);
    }
    struct stead_history_event *copy = &engine->events[engine->event_count++];
    *copy = *event;
    copy->name = stead_engine_arena_copy(bytes, event->name);
    copy->target = stead_engine_arena_copy(bytes, event->target);
    copy->value = stead_engine_arena_copy(bytes, event->value);
    copy->error_name = stead_engine_arena_copy(bytes, event->error_name);
    copy->error_sentence = stead_engine_arena_copy(bytes, event->error_sentence);
    copy->extra = stead_engine_arena_copy(bytes, event->extra);
    copy->time_ms = engine->now_ms;
    return copy;
}

static void drop_events(struct stead_engine *engine)
{
    engine->event_count = 0;
    engine->met = 0;
    stead_engine_arena_reset(&engine->bytes);
    if (engine->event_capacity > EVENTS_KEPT) {
        free(engine->events);
        engine->events = NULL;
        engine->event_capacity = 0;
    }
}

uint64_t stead_engine_decide(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_history_event *copy = push_event(engine, event);

    if (copy->value.size == 1 && *copy->value.data == 0xc0)
        copy->value = nothing; /* nil is stored as nothing: both read alike */
    copy->id = engine->next++;
    return copy->id;
}

/* Both ways: the clock, and where a rewind's range begins and ends. */
static void open_episode(struct stead_engine *engine, uint64_t id, int64_t time_ms)
{
    engine->open = true;
    engine->ran = false;
    engine->last = engine->episode = id;
    engine->now_ms = time_ms > engine->now_ms ? time_ms : engine->now_ms;
    engine->draws = 0;
    if (engine->in_void && engine->voids[engine->void_at].at == id + 1) {
        engine->in_void = false;
        engine->void_at++;
    }
    if (!engine->in_void && engine->void_at < engine->void_count && engine->voids[engine->void_at].from == id)
        engine->in_void = true;
}

static void close_episode(struct stead_engine *engine, uint64_t id)
{
    engine->open = false;
    engine->last = id;
    drop_events(engine);
}

/* ---- Inputs --------------------------------------------------------------------------------- */

static bool is_over(const struct stead_engine *engine)
{
    return engine->status != STEAD_INSTANCE_RUNNING && engine->status != STEAD_INSTANCE_SUSPENDED;
}

static bool start_execution(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (engine->begun)
        return false;
    engine->begun = true;
    engine->input = stead_engine_copy(event->value);
    free(engine->parent);
    engine->parent = stead_engine_text(event->target);
    return true;
}

/* False: it says nothing to this execution. */
static bool apply_input(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (is_over(engine))
        return false;
    switch (event->type) {
    case STEAD_HISTORY_EXECUTION_STARTED:
        return start_execution(engine, event);
    case STEAD_HISTORY_EXECUTION_TERMINATED:
        engine->status = STEAD_INSTANCE_TERMINATED;
        return true;
    case STEAD_HISTORY_EXECUTION_SUSPENDED:
        if (engine->status == STEAD_INSTANCE_SUSPENDED)
            return false;
        engine->status = STEAD_INSTANCE_SUSPENDED;
        return true;
    case STEAD_HISTORY_EXECUTION_RESUMED:
        if (engine->status != STEAD_INSTANCE_SUSPENDED)
            return false;
        engine->status = STEAD_INSTANCE_RUNNING;
        return true;
    case STEAD_HISTORY_EXECUTION_REWOUND:
        engine->rewinding = !engine->in_void;
        return true;
    case STEAD_HISTORY_EVENT_RAISED:
        stead_engine_raise(engine, STEAD_ENGINE_OWN_EVENTS + (event->id != 0 ? event->id : engine->last + 1),
                           event->name, event->value);
        return true;
    default:
        return stead_engine_result(engine, event);
    }
}

/* ---- Running the code ----------------------------------------------------------------------- */

static void run_fiber(void *context)
{
    struct stead_engine *engine = context;

    engine->end_code = engine->orchestrator->run((struct stead_orchestration *)(void *)engine, engine->input);
    engine->stop = STEAD_ENGINE_ENDED;
}

static void lose_fiber(void *context)
{
    struct stead_engine *engine = context;

    engine->fiber = NULL;
    engine->lost = true;
}

void stead_engine_stop(struct stead_engine *engine, enum stead_engine_stop why)
{
    engine->stop = why;
    stead_fiber_stop(engine->fiber);
}

void stead_engine_doom(struct stead_engine *engine, int code)
{
    engine->doom = code;
    for (;;)
        stead_engine_stop(engine, STEAD_ENGINE_ENDED);
}

struct stead_engine_said *stead_engine_say_why(struct stead_engine *engine)
{
    if (engine->said == NULL)
        engine->said = stead_engine_alloc(sizeof(*engine->said));
    return engine->said;
}

/* Where a rewind would begin. */
static uint64_t rewind_point(const struct stead_engine *engine, int code, bool own)
{
    uint64_t point = own ? engine->seen_last : 0;

    if (!own && -code < (int)STEAD_ENGINE_CODES)
        point = engine->seen[-code];
    if (point == 0)
        point = engine->episode;
    return point;
}

/* How it ended, said as the event EXECUTION_FAILED. */
static void decide_failure(struct stead_engine *engine, int code)
{
    struct stead_history_event event = {.type = STEAD_HISTORY_EXECUTION_FAILED, .code = code};
    bool own = engine->doom == 0 && code == STEAD_EFAILED && engine->failure_set;

    if (engine->doom != 0) {
        event.error_name = stead_str(stead_error_name(code));
        event.error_sentence = stead_str("more tasks are open than an instance may have");
    } else if (code > 0) {
        event.code = STEAD_EARGUMENT;
        event.error_name = stead_str(stead_error_name(STEAD_EARGUMENT));
        event.error_sentence = stead_str("the orchestrator's function returned a number above 0");
    } else if (own) {
        event.error_name = stead_str(stead_engine_say_why(engine)->failure_name);
        event.error_sentence = stead_str(stead_engine_say_why(engine)->failure_sentence);
    } else if (engine->read_code == code && engine->read_name != NULL) {
        event.error_name = stead_str(engine->read_name);
        event.error_sentence = stead_str(engine->read_sentence);
    } else {
        event.error_name = stead_str(stead_error_name(code));
        event.error_sentence = stead_str(engine->why_code == code ? engine->why : stead_error_sentence(code));
    }
    engine->rewind_point = rewind_point(engine, event.code, own);
    stead_engine_unlock(engine);
    stead_engine_cancel_open(engine, true);
    (void)stead_engine_decide(engine, &event);
    engine->status = STEAD_INSTANCE_FAILED;
}

/* A rewind could not have a lock that it goes on with: the next one begins where this one did. */
static void fail_relock(struct stead_engine *engine)
{
    const struct stead_engine_task *task = engine->relock;
    bool named = task->error_name != NULL;
    const struct stead_history_event event = {
        .type = STEAD_HISTORY_EXECUTION_FAILED,
        .code = task->code,
        .error_name = stead_str(named ? task->error_name : stead_error_name(task->code)),
        .error_sentence = stead_str(named ? task->error_sentence : stead_error_sentence(task->code))};

    stead_fiber_destroy(&engine->fiber);
    engine->rewind_point = engine->relock_episode;
    stead_engine_unlock(engine);
    stead_engine_cancel_open(engine, true);
    (void)stead_engine_decide(engine, &event);
    engine->status = STEAD_INSTANCE_FAILED;
}

/* The code has ended. */
static void conclude(struct stead_engine *engine)
{
    struct stead_history_event event = {.type = STEAD_HISTORY_EXECUTION_COMPLETED, .value = engine->output};
    int code = engine->doom != 0 ? engine->doom : engine->end_code;

    stead_fiber_destroy(&engine->fiber);
    if (code == STEAD_ENGINE_AGAIN && engine->again_set) {
        stead_engine_unlock(engine);
        stead_engine_cancel_open(engine, false);
        event = (struct stead_history_event){.type = STEAD_HISTORY_CONTINUE_AS_NEW, .value = engine->again};
        (void)stead_engine_decide(engine, &event);
        engine->status = STEAD_INSTANCE_CONTINUED_AS_NEW;
    } else if (code == 0) {
        stead_engine_unlock(engine);
        stead_engine_cancel_open(engine, true);
        (void)stead_engine_decide(engine, &event);
        engine->status = STEAD_INSTANCE_COMPLETED;
    } else {
        decide_failure(engine, code);
    }
}

static void resume(struct stead_engine *engine)
{
    if (engine->fiber == NULL) {
        engine->fiber =
            stead_fiber_create(engine->fibers, engine->orchestrator->stack_bytes, run_fiber, lose_fiber, engine);
        STEAD_ENGINE_ASSERT(engine->fiber != NULL);
    }
    (void)stead_fiber_resume(engine->fiber);
    if (engine->stop == STEAD_ENGINE_ENDED)
        conclude(engine);
}

static bool is_ready(const struct stead_engine *engine)
{
    return engine->stop == STEAD_ENGINE_NOT_BEGUN || (engine->stop == STEAD_ENGINE_WAITS && engine->missing == 0);
}

/* Runs the code of the open episode, which has all its inputs. STEAD_EBUSY: it would have to, and is gone. */
static int run_code(struct stead_engine *engine)
{
    if (engine->lost && engine->status == STEAD_INSTANCE_RUNNING &&
        (is_ready(engine) || engine->due.first != NULL || engine->stale_count > 0 || engine->rewinding))
        return STEAD_EBUSY;
    engine->ran = true; /* O2 */
    engine->next = engine->last + 1;
    if (engine->status == STEAD_INSTANCE_TERMINATED) {
        stead_fiber_destroy(&engine->fiber);
        stead_engine_cancel_open(engine, false);
        stead_engine_unlock(engine);
        return 0;
    }
    if (engine->orchestrator == NULL) {
        STEAD_ENGINE_ASSERT(engine->doom != 0);
        stead_engine_fail_bare(engine);
        return 0;
    }
    if (engine->status != STEAD_INSTANCE_RUNNING || !engine->begun)
        return 0;
    if (engine->rewinding) {
        stead_engine_rewind_locks(engine);
        stead_engine_rewind_tasks(engine);
    }
    engine->rewinding = false;
    int locked = stead_engine_relock(engine);
    if (locked != 0) {
        if (locked != STEAD_ENGINE_WAITS_LOCK)
            fail_relock(engine);
        return 0;
    }
    stead_engine_request_due(engine);
    if (is_ready(engine))
        resume(engine);
    return 0;
}

/* ---- Live ----------------------------------------------------------------------------------- */

void stead_engine_begin(struct stead_engine *engine, int64_t now_ms)
{
    const struct stead_history_event started = {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED};

    STEAD_ENGINE_ASSERT(!engine->open && !engine->broken);
    open_episode(engine, engine->last + 1, now_ms);
    push_event(engine, &started)->id = engine->episode;
}

uint64_t stead_engine_input(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_history_event given = *event;

    STEAD_ENGINE_ASSERT(engine->open && !engine->ran && stead_history_is_input(event->type));
    given.id = engine->last + 1;
    if (!apply_input(engine, &given))
        return 0;
    engine->last = given.id;
    push_event(engine, &given);
    return given.id;
}

bool stead_engine_takes(const struct stead_engine *engine, const struct stead_history_event *event)
{
    switch (event->type) {
    case STEAD_HISTORY_TASK_COMPLETED:
    case STEAD_HISTORY_TASK_FAILED:
    case STEAD_HISTORY_CHILD_COMPLETED:
    case STEAD_HISTORY_CHILD_FAILED:
    case STEAD_HISTORY_TIMER_FIRED:
        return !is_over(engine) && stead_engine_map_get(&engine->requests, event->ref) != NULL;
    default:
        return !is_over(engine);
    }
}

bool stead_engine_is_open(const struct stead_engine *engine)
{
    return engine->open;
}

int stead_engine_run(struct stead_engine *engine, stead_engine_sink_fn *sink, void *context)
{
    const struct stead_history_event completed = {.type = STEAD_HISTORY_ORCHESTRATOR_COMPLETED};

    STEAD_ENGINE_ASSERT(engine->open && !engine->broken);
    int code = engine->ran ? STEAD_ECORRUPT : run_code(engine); /* ran: the replay ended among an episode's decisions */
    if (code != 0) {
        engine->broken = true;
        return code;
    }
    push_event(engine, &completed)->id = engine->next;
    for (uint32_t i = 0; i < engine->event_count; i++)
        sink(context, &engine->events[i]);
    close_episode(engine, engine->next);
    return 0;
}

size_t stead_engine_episode_bytes(const struct stead_engine *engine)
{
    const size_t about = 24; /* numbers, and how long what follows is */
    size_t bytes = 0;

    for (uint32_t i = 0; i < engine->event_count; i++) {
        const struct stead_history_event *event = &engine->events[i];
        bytes += about + event->name.size + event->target.size + event->value.size + event->error_name.size +
                 event->error_sentence.size + event->extra.size;
    }
    return bytes;
}

enum stead_instance_status stead_engine_status(const struct stead_engine *engine)
{
    return engine->status;
}

uint64_t stead_engine_last(const struct stead_engine *engine)
{
    return engine->last;
}

#define FIBER_BYTES 8192u /* of a stack that orchestrators touch */
#define TASK_BYTES 320u   /* of a task, with its names and what the allocator adds */

size_t stead_engine_bytes(const struct stead_engine *engine)
{
    size_t maps = (size_t)engine->tasks.capacity + engine->requests.capacity + engine->names.capacity;
    size_t arenas = engine->bytes.bytes + engine->kept.bytes + engine->transient.bytes;

    return sizeof(*engine) + (engine->fiber != NULL ? FIBER_BYTES : 0) + maps * 16 + arenas +
           engine->event_capacity * sizeof(*engine->events) +
           ((size_t)engine->task_count + engine->spare_count) * TASK_BYTES + (size_t)engine->any_capacity * 16 +
           engine->held_bytes + engine->input.size + engine->read_value.size;
}

bool stead_engine_is_lost(const struct stead_engine *engine)
{
    return engine->lost || engine->broken;
}

uint64_t stead_engine_rewind_point(const struct stead_engine *engine)
{
    return engine->status == STEAD_INSTANCE_FAILED ? engine->rewind_point : 0;
}

/* ---- Replay --------------------------------------------------------------------------------- */

static size_t print(char *buffer, size_t size, const char *format, ...) STEAD_PRINTF(3, 4);
static size_t print(char *buffer, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t used = stead_print_v(buffer, size, format, args);
    va_end(args);
    return used;
}

#define DESCRIBED_MAX 200u /* bytes of an event in a sentence */

static void describe(char *buffer, const struct stead_history_event *event)
{
    const char *type = stead_history_type_name(event->type);
    struct stead_slice name = event->name, target = event->target;
    const int cut = 64; /* of each text */

    if (name.size == 0)
        (void)print(buffer, DESCRIBED_MAX, "%s", type);
    else if (target.size == 0)
        (void)print(buffer, DESCRIBED_MAX, "%s '%.*s'", type, (int)name.size < cut ? (int)name.size : cut,
                    (const char *)name.data);
    else
        (void)print(buffer, DESCRIBED_MAX, "%s '%.*s' to '%.*s'", type, (int)name.size < cut ? (int)name.size : cut,
                    (const char *)name.data, (int)target.size < cut ? (int)target.size : cut,
                    (const char *)target.data);
}

/* The recorded event and what the code wants, which may be nothing. */
static int differ(struct stead_engine *engine, const struct stead_history_event *recorded,
                  const struct stead_history_event *wanted)
{
    char was[DESCRIBED_MAX], wants[DESCRIBED_MAX];
    const char *how = "";
    const struct stead_history_event effect = {.type = STEAD_HISTORY_SIDE_EFFECT};

    char *difference = stead_engine_say_why(engine)->difference;
    engine->broken = true;
    engine->difference_event = recorded->id;
    describe(was, recorded);
    if (wanted == NULL && engine->stop == STEAD_ENGINE_WAITS_VALUE)
        wanted = &effect;
    if (wanted != NULL) {
        describe(wants, wanted);
        if (recorded->type == wanted->type && strcmp(was, wants) == 0)
            how = recorded->type == STEAD_HISTORY_TIMER_CREATED ? " for another time" : " with another value";
        (void)print(difference, STEAD_ENGINE_TEXT_MAX, "event %llu of the history is %s, the code wants %s%s",
                    (unsigned long long)recorded->id, was, wants, how);
    } else {
        (void)print(difference, STEAD_ENGINE_TEXT_MAX, "event %llu of the history is %s, the code %s",
                    (unsigned long long)recorded->id, was, is_over(engine) ? "has ended" : "wants nothing more here");
    }
    return STEAD_ECONFLICT;
}

/* What a cancel is of follows from its ref; how much it tells of it is for who stores it to say. */
static bool is_same(const struct stead_history_event *a, const struct stead_history_event *b)
{
    if (a->type == STEAD_HISTORY_TASK_CANCELED)
        return b->type == a->type && a->ref == b->ref;
    return a->type == b->type && a->ref == b->ref && a->code == b->code && stead_slice_equal(a->name, b->name) &&
           stead_slice_equal(a->target, b->target) && stead_slice_equal(a->value, b->value) &&
           stead_slice_equal(a->error_name, b->error_name) &&
           (a->type != STEAD_HISTORY_TIMER_CREATED || stead_slice_equal(a->extra, b->extra));
}

/* A recorded decision: the code must have decided the same. */
static int meet_decision(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (!engine->ran) {
        int code = run_code(engine);
        if (code != 0)
            return code;
    }
    if (engine->met == engine->event_count && event->type == STEAD_HISTORY_SIDE_EFFECT &&
        engine->stop == STEAD_ENGINE_WAITS_VALUE) {
        if (engine->lost)
            return STEAD_EBUSY;
        engine->effect = stead_engine_arena_copy(&engine->transient, event->value);
        engine->effect_code = event->code;
        engine->next++;
        engine->last = event->id;
        resume(engine);
        return 0;
    }
    if (engine->met == engine->event_count)
        return differ(engine, event, NULL);
    if (!is_same(event, &engine->events[engine->met]))
        return differ(engine, event, &engine->events[engine->met]);
    engine->met++;
    engine->last = event->id;
    return 0;
}

static int end_replayed(struct stead_engine *engine, const struct stead_history_event *event)
{
    int code = engine->ran ? 0 : run_code(engine);

    if (code != 0)
        return code;
    if (engine->met < engine->event_count)
        return differ(engine, event, &engine->events[engine->met]);
    if (engine->stop == STEAD_ENGINE_WAITS_VALUE)
        return differ(engine, event, NULL);
    close_episode(engine, event->id);
    return 0;
}

static int replay_event(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (event->type == STEAD_HISTORY_ORCHESTRATOR_STARTED) {
        if (engine->open)
            return STEAD_ECORRUPT;
        open_episode(engine, event->id, event->time_ms);
        return 0;
    }
    if (!engine->open)
        return STEAD_ECORRUPT;
    if (engine->orchestrator == NULL) {
        stead_engine_follow(engine, event);
        if (event->type == STEAD_HISTORY_ORCHESTRATOR_COMPLETED)
            close_episode(engine, event->id);
        engine->last = event->id;
        return 0;
    }
    if (engine->in_void && !stead_history_is_input(event->type)) {
        if (event->type == STEAD_HISTORY_ORCHESTRATOR_COMPLETED)
            close_episode(engine, event->id);
        engine->last = event->id;
        return 0;
    }
    if (event->type == STEAD_HISTORY_ORCHESTRATOR_COMPLETED)
        return end_replayed(engine, event);
    if (!stead_history_is_input(event->type))
        return meet_decision(engine, event);
    if (engine->ran)
        return STEAD_ECORRUPT; /* O1 */
    (void)apply_input(engine, event);
    engine->last = event->id;
    return 0;
}

/* An event that an earlier execution left untaken: its id is its number. */
static int replay_carried(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (event->id <= engine->carried || event->id >= STEAD_ENGINE_OWN_EVENTS)
        return STEAD_ECORRUPT;
    engine->carried = event->id;
    if (engine->orchestrator != NULL)
        stead_engine_raise(engine, event->id, event->name, event->value);
    return 0;
}

int stead_engine_replay(struct stead_engine *engine, const struct stead_history_event *event)
{
    if (!engine->broken && engine->last == 0 && event->type == STEAD_HISTORY_EVENT_RAISED) {
        int code = replay_carried(engine, event);
        engine->broken = code != 0;
        return code;
    }
    if (engine->broken || event->id != engine->last + 1)
        return STEAD_ECORRUPT;
    engine->replaying = true;
    int code = replay_event(engine, event);
    engine->replaying = false;
    engine->broken = code != 0;
    return code;
}

const char *stead_engine_difference(const struct stead_engine *engine, uint64_t *ret_event)
{
    *ret_event = engine->difference_event;
    return engine->said != NULL ? engine->said->difference : "";
}
