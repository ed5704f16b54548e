/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_wait: what the code waits for.
 *
 * An await says how many results are missing, each result takes one off, and the fiber is resumed at none: a fan-in of
 * 10,000 costs as much for each result as for the last one, and the fiber sleeps through all of them. await_any is
 * called again and again with a list that has lost one: so the newest list is kept, and only places that differ from it
 * are looked up; the one that finished first is found along the list of what has finished and has not been read. A
 * rewind unfinishes tasks: so an await marks all that it is for, and counts anew those that are asked for again.
 *
 * Tasks of a list that were read before are passed over by await_all and await_any.
 */
#include "agents/engine_internal.h"

static const struct stead_slice nothing = {NULL, 0};

/* ---- Waiting -------------------------------------------------------------------------------- */

void stead_engine_wake(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->wait_round == engine->wait_round && !engine->waits_any)
        engine->missing--;
    else if (engine->waits_any && task->any_round == engine->any_round)
        engine->missing = 0;
}

/* Stops until the marked tasks of this round have finished. */
static void wait_round(struct stead_engine *engine)
{
    stead_engine_stop(engine, STEAD_ENGINE_WAITS);
    engine->waits_any = false;
    engine->wait_round++;
}

/* Every await begins with this: what lasts until the next one goes. */
static void begin_await(struct stead_engine *engine)
{
    free((void *)(uintptr_t)engine->read_value.data);
    free(engine->read_name);
    engine->read_value = nothing;
    engine->read_name = engine->read_sentence = NULL;
    engine->read_code = engine->why_code = 0;
    stead_engine_arena_reset(&engine->transient);
    engine->wait_round++;
    engine->missing = 0;
}

/* Counts on it, once: also on one that has finished, for a rewind may ask for it again. */
static void count_on(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->wait_round == engine->wait_round)
        return;
    task->wait_round = engine->wait_round;
    engine->missing += task->phase != STEAD_ENGINE_FINISHED;
}

void stead_engine_wait_for(struct stead_engine *engine, struct stead_engine_task *task)
{
    begin_await(engine);
    count_on(engine, task);
    if (engine->missing > 0)
        wait_round(engine);
}

/* ---- Outcomes ------------------------------------------------------------------------------- */

void stead_engine_observe(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->code == 0)
        return;
    if (task->observed == 0)
        task->observed = engine->episode;
    engine->seen_last = task->observed;
    if (-task->code < (int)STEAD_ENGINE_CODES)
        engine->seen[-task->code] = task->observed;
}

int stead_engine_refuse(struct stead_engine *engine, const char *why)
{
    engine->why_code = STEAD_ESTATE;
    engine->why = why;
    return STEAD_ESTATE;
}

int stead_engine_refuse_await(struct stead_engine *engine, const char *why)
{
    begin_await(engine);
    engine->read_code = stead_engine_refuse(engine, why);
    return STEAD_ESTATE;
}

/* The failure that the last await returned. */
static int fail_await(struct stead_engine *engine, int code)
{
    engine->read_code = code;
    return code;
}

int stead_engine_read(struct stead_engine *engine, struct stead_engine_task *task, struct stead_slice *ret_value)
{
    stead_engine_observe(engine, task);
    engine->read_value = task->value;
    engine->read_name = task->error_name;
    engine->read_sentence = task->error_sentence;
    engine->read_code = task->code;
    engine->held_bytes -= task->value.size;
    task->value = nothing;
    task->error_name = task->error_sentence = NULL;
    if (ret_value != NULL && engine->read_code == 0)
        *ret_value = engine->read_value;
    stead_engine_task_free(engine, task);
    return engine->read_code;
}

int stead_await(struct stead_orchestration *o, struct stead_task handle, struct stead_slice *ret_value)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, handle.number);

    if (task == NULL)
        return stead_engine_refuse_await(engine, "a task is read once: this one was read before, or cancelled");
    stead_engine_wait_for(engine, task);
    return stead_engine_read(engine, task, ret_value);
}

bool stead_is_done(const struct stead_orchestration *o, struct stead_task handle)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, handle.number);

    if (task != NULL && task->phase == STEAD_ENGINE_FINISHED)
        stead_engine_observe(engine, task);
    return handle.number != 0 && handle.number <= engine->numbers &&
           (task == NULL || task->phase == STEAD_ENGINE_FINISHED);
}

/* ---- All ------------------------------------------------------------------------------------ */

int stead_await_all(struct stead_orchestration *o, const struct stead_task *tasks, uint32_t count)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *failed = NULL;

    begin_await(engine);
    for (uint32_t i = 0; i < count; i++) {
        struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, tasks[i].number);
        if (task != NULL)
            count_on(engine, task);
    }
    if (engine->missing > 0)
        wait_round(engine);
    for (uint32_t i = 0; i < count; i++) {
        struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, tasks[i].number);
        if (task == NULL || task->code == 0)
            continue;
        stead_engine_observe(engine, task);
        failed = failed == NULL ? task : failed;
    }
    if (failed == NULL)
        return 0;
    if (failed->error_name != NULL) { /* the task keeps its own */
        struct stead_slice name = stead_str(failed->error_name), sentence = stead_str(failed->error_sentence);
        engine->read_name = stead_engine_alloc(name.size + sentence.size + 2);
        engine->read_sentence = engine->read_name + name.size + 1;
        memcpy(engine->read_name, name.data, name.size);
        memcpy(engine->read_sentence, sentence.data, sentence.size);
    }
    return fail_await(engine, failed->code);
}

/* ---- Any ------------------------------------------------------------------------------------ */

static void any_grow(struct stead_engine *engine, uint32_t count)
{
    if (count <= engine->any_capacity)
        return;
    engine->any_numbers = realloc(engine->any_numbers, count * sizeof(*engine->any_numbers));
    engine->any_tasks = realloc(engine->any_tasks, count * sizeof(struct stead_engine_task *));
    STEAD_ENGINE_ASSERT(engine->any_numbers != NULL && engine->any_tasks != NULL);
    engine->any_capacity = count;
}

/* The task at this place leaves it, and the list unless it has another place by now. */
static void any_leave(struct stead_engine *engine, uint32_t at)
{
    struct stead_engine_task *task = engine->any_tasks[at];

    if (task == NULL)
        return;
    engine->any_tasks[at] = NULL;
    engine->any_live--;
    if (task->any_round == engine->any_round && task->any_index == at)
        task->any_round = 0;
}

/* False: it has a place already. */
static bool any_enter(struct stead_engine *engine, uint32_t at, uint32_t number, uint32_t count)
{
    struct stead_engine_task *task = stead_engine_map_get(&engine->tasks, number);

    engine->any_numbers[at] = number;
    engine->any_tasks[at] = NULL;
    if (task == NULL)
        return true;
    uint32_t place = task->any_index;
    if (task->any_round == engine->any_round && place < count && place != at && place < at)
        return false;
    engine->any_tasks[at] = task;
    engine->any_live++;
    task->any_round = engine->any_round;
    task->any_index = at;
    return true;
}

/* Makes the kept list this one; true when a task is in it twice, so that it can not be kept. */
static bool any_register(struct stead_engine *engine, const struct stead_task *tasks, uint32_t count)
{
    uint32_t kept = engine->any_count < count ? engine->any_count : count;
    bool twice = false;

    if (engine->any_count == 0) {
        engine->any_round++;
        engine->any_live = 0;
    }
    any_grow(engine, count);
    for (uint32_t i = 0; i < kept; i++) {
        if (engine->any_numbers[i] == tasks[i].number)
            continue;
        any_leave(engine, i);
        twice |= !any_enter(engine, i, tasks[i].number, count);
    }
    for (uint32_t i = kept; i < count; i++)
        twice |= !any_enter(engine, i, tasks[i].number, count);
    for (uint32_t i = count; i < engine->any_count; i++)
        any_leave(engine, i);
    engine->any_count = count;
    return twice;
}

void stead_engine_any_forget(struct stead_engine *engine, struct stead_engine_task *task)
{
    if (task->any_round != 0 && task->any_round == engine->any_round && task->any_index < engine->any_count &&
        engine->any_tasks[task->any_index] == task) {
        engine->any_tasks[task->any_index] = NULL;
        engine->any_live--;
    }
    task->any_round = 0;
}

/* The first of the list that has finished; NULL: none. */
static struct stead_engine_task *any_finished(const struct stead_engine *engine)
{
    struct stead_engine_task *task = engine->finished.first;

    while (task != NULL && task->any_round != engine->any_round)
        task = task->next;
    return task;
}

bool stead_engine_any_is_done(const struct stead_engine *engine)
{
    return any_finished(engine) != NULL;
}

int stead_await_any(struct stead_orchestration *o, const struct stead_task *tasks, uint32_t count, uint32_t *ret_index)
{
    struct stead_engine *engine = stead_engine_of(o);

    begin_await(engine);
    bool twice = count > 0 && any_register(engine, tasks, count);
    if (count == 0 || engine->any_live == 0)
        return stead_engine_refuse_await(engine, "none of the tasks is left to wait for: all were read or cancelled");
    struct stead_engine_task *first = any_finished(engine);
    if (first == NULL) {
        engine->waits_any = true;
        engine->missing = 1;
        wait_round(engine);
        first = any_finished(engine);
    }
    stead_engine_observe(engine, first);
    *ret_index = first->any_index;
    if (twice)
        engine->any_count = 0;
    return 0;
}
