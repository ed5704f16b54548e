/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_events: external events. Those that came before anybody asked are kept, tasks that asked before one came wait;
 * for each name at most one of the two is there, and both are served in their order. Names are found by a hash; a name
 * for which nothing waits costs nothing.
 */
#include "agents/engine_internal.h"
#include "agents/fault.h"
#include "agents/hash.h"

static uint64_t hash_of(struct stead_slice name)
{
    uint64_t hash = stead_hash64(name);
    return hash != 0 ? hash : 1;
}

static struct stead_engine_name *find_name(struct stead_engine *engine, struct stead_slice text, bool make)
{
    uint64_t hash = hash_of(text);
    struct stead_engine_name *first = stead_engine_map_get(&engine->names, hash), *it = first;

    while (it != NULL && !stead_slice_equal(stead_str(it->text), text))
        it = it->same;
    if (it != NULL || !make)
        return it;
    it = stead_engine_alloc(sizeof(*it));
    it->hash = hash;
    it->text = stead_engine_text(text);
    it->same = first;
    stead_engine_map_put(&engine->names, hash, it);
    return it;
}

/* Nothing waits for it any more? Then it goes. */
static void drop_name(struct stead_engine *engine, struct stead_engine_name *name)
{
    struct stead_engine_name *first = stead_engine_map_get(&engine->names, name->hash);

    if (name->waiting.first != NULL || name->raised != NULL)
        return;
    if (first == name) {
        if (name->same != NULL)
            stead_engine_map_put(&engine->names, name->hash, name->same);
        else
            stead_engine_map_remove(&engine->names, name->hash);
    } else {
        while (first->same != name)
            first = first->same;
        first->same = name->same;
    }
    free(name->text);
    free(name);
}

/* Into the list of its name and that of all, by id: as a rule at the end. */
static void keep_raised(struct stead_engine *engine, struct stead_engine_raised *raised)
{
    struct stead_engine_name *name = raised->name;
    struct stead_engine_raised **at = &name->raised, *before = engine->raised_last;

    if (name->raised_last != NULL && name->raised_last->id < raised->id)
        at = &name->raised_last->next;
    while (*at != NULL && (*at)->id < raised->id)
        at = &(*at)->next;
    raised->next = *at;
    *at = raised;
    if (raised->next == NULL)
        name->raised_last = raised;

    while (before != NULL && before->id > raised->id)
        before = before->earlier;
    raised->earlier = before;
    raised->later = before != NULL ? before->later : engine->raised_first;
    *(before != NULL ? &before->later : &engine->raised_first) = raised;
    *(raised->later != NULL ? &raised->later->earlier : &engine->raised_last) = raised;
}

/* Takes the first of a name out of both lists and frees it but for its value. */
static struct stead_slice take_raised(struct stead_engine *engine, struct stead_engine_name *name, uint64_t *ret_id)
{
    struct stead_engine_raised *raised = name->raised;
    struct stead_slice value = raised->value;

    *ret_id = raised->id;
    engine->held_bytes -= raised->value.size;
    name->raised = raised->next;
    if (name->raised == NULL)
        name->raised_last = NULL;
    *(raised->earlier != NULL ? &raised->earlier->later : &engine->raised_first) = raised->later;
    *(raised->later != NULL ? &raised->later->earlier : &engine->raised_last) = raised->earlier;
    free(raised);
    return value;
}

static void deliver(struct stead_engine *engine, struct stead_engine_task *task, uint64_t id, struct stead_slice value)
{
    const struct stead_slice none = {NULL, 0};

    task->event = id;
    stead_engine_finish(engine, task, 0, value, none, none);
}

void stead_engine_raise(struct stead_engine *engine, uint64_t id, struct stead_slice text, struct stead_slice value)
{
    struct stead_engine_name *name = find_name(engine, text, true);
    struct stead_engine_task *task = name->waiting.first;

    if (task != NULL) {
        stead_engine_event_leave(engine, task);
        deliver(engine, task, id, value);
        return;
    }
    struct stead_engine_raised *raised = stead_engine_alloc(sizeof(*raised));
    raised->id = id;
    raised->value = stead_engine_copy(value);
    engine->held_bytes += value.size;
    raised->name = name;
    keep_raised(engine, raised);
}

void stead_engine_event_leave(struct stead_engine *engine, struct stead_engine_task *task)
{
    struct stead_engine_name *name = task->waits;

    if (name == NULL)
        return;
    stead_engine_list_remove(&name->waiting, task);
    task->waits = NULL;
    drop_name(engine, name);
}

void stead_engine_event_give_back(struct stead_engine *engine, struct stead_engine_task *task)
{
    stead_engine_raise(engine, task->event, stead_str(task->name), task->value);
}

struct stead_task stead_begin_event(struct stead_orchestration *o, const char *name_text)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *task = stead_engine_task_new(engine, STEAD_ENGINE_EVENT);
    const struct stead_task handle = {.number = task->number};
    const struct stead_slice none = {NULL, 0}, text = stead_str(name_text);

    task->name = stead_engine_text(text);
    if (text.size == 0 || text.size > STEAD_EVENT_NAME_MAX) {
        stead_engine_finish(engine, task, STEAD_EARGUMENT, none, none, none);
        return handle;
    }
    struct stead_engine_name *name = find_name(engine, text, true);
    if (name->raised != NULL) {
        uint64_t id = 0;
        struct stead_slice value = take_raised(engine, name, &id);
        deliver(engine, task, id, value);
        if (STEAD_AGENT_FAULT(event_taken_twice))
            stead_engine_raise(engine, id, text, value);
        free((void *)(uintptr_t)value.data);
        drop_name(engine, name);
    } else {
        task->phase = STEAD_ENGINE_WAITING;
        task->waits = name;
        stead_engine_list_append(&name->waiting, task);
    }
    return handle;
}

/* Those that were given to tasks that the code has not read have not been taken either. */
void stead_engine_untaken(const struct stead_engine *engine, stead_engine_sink_fn *visit, void *context)
{
    const struct stead_engine_raised *raised = engine->raised_first;
    const struct stead_engine_task *task = engine->finished.first;

    while (!STEAD_AGENT_FAULT(events_not_carried)) {
        while (task != NULL && (task->kind != STEAD_ENGINE_EVENT || task->code != 0))
            task = task->next;
        if (task == NULL && raised == NULL)
            return;
        bool given = raised == NULL || (task != NULL && task->event < raised->id);
        struct stead_history_event event = {.type = STEAD_HISTORY_EVENT_RAISED,
                                            .name = stead_str(given ? task->name : raised->name->text),
                                            .value = given ? task->value : raised->value};
        uint64_t id = given ? task->event : raised->id;
        if (id >= STEAD_ENGINE_OWN_EVENTS)
            event.id = id - STEAD_ENGINE_OWN_EVENTS;
        else
            event.ref = id;
        if (given)
            task = task->next;
        else
            raised = raised->later;
        visit(context, &event);
    }
}

static void free_name(struct stead_engine *engine, struct stead_engine_name *name)
{
    uint64_t id = 0;

    while (name->raised != NULL)
        free((void *)(uintptr_t)take_raised(engine, name, &id).data);
    while (name->waiting.first != NULL) {
        struct stead_engine_task *task = name->waiting.first;
        stead_engine_list_remove(&name->waiting, task);
        task->waits = NULL;
        stead_engine_task_free(engine, task);
    }
    free(name->text);
    free(name);
}

void stead_engine_events_deinit(struct stead_engine *engine)
{
    for (uint32_t at = 0; at < engine->names.capacity; at++) {
        struct stead_engine_name *name = engine->names.keys[at] != 0 ? engine->names.values[at] : NULL;
        while (name != NULL) {
            struct stead_engine_name *same = name->same;
            free_name(engine, name);
            name = same;
        }
    }
    stead_engine_map_deinit(&engine->names);
}
