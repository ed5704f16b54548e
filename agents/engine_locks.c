/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_locks: critical sections.
 *
 * Agents are locked one after the other in the order of their addresses, the same for all instances: so no two wait for
 * each other. Each is a call of the op `stead.hold`, whose answer is the fence; the calls inside carry it, and an agent
 * that is no longer held refuses them. What was locked is released by one decision, LOCKS_RELEASED, which holds the
 * addresses with their fences: at stead_unlock(), and at any end of the execution. A hold that was asked for and not
 * awaited any more (the execution was terminated) is cancelled; whoever carries it out releases what it may still be
 * given.
 *
 * A rewind of an instance that failed behind such a section's begin finds it open in the history and released in truth:
 * by the end of the execution, or by code that the rewind has made void. So before anything goes on it is locked anew,
 * in the same order, by requests of the engine itself (O9), and what is requested behind that carries the new fences.
 */
#include "agents/engine_internal.h"
#include "agents/fault.h"
#include "agents/instance.h"

static const struct stead_slice nothing = {NULL, 0};

uint64_t stead_engine_fence(const struct stead_engine *engine, const char *address)
{
    for (uint32_t i = 0; i < engine->lock_count; i++)
        if (strcmp(engine->locks[i].address, address) == 0)
            return engine->locks[i].fence;
    return 0;
}

void stead_engine_locks_deinit(struct stead_engine *engine)
{
    for (uint32_t i = 0; i < engine->lock_count; i++)
        free(engine->locks[i].address);
    engine->lock_count = 0;
    free(engine->locks);
    engine->locks = NULL;
}

void stead_engine_keep_lock(struct stead_engine *engine, const char *address, uint64_t fence)
{
    if (engine->locks == NULL)
        engine->locks = stead_engine_alloc(STEAD_ENGINE_LOCKS_MAX * sizeof(*engine->locks));
    engine->locks[engine->lock_count++] =
        (struct stead_engine_lock){.address = stead_engine_text(stead_str(address)), .fence = fence};
}

/* A lock that was given while the code did not run (it was suspended) and never will: it is released with the
 * others. */
static void take_unread_holds(struct stead_engine *engine)
{
    struct stead_engine_task *task = engine->finished.first, *next;

    for (; task != NULL; task = next) {
        uint64_t fence = 0;
        next = task->next;
        if (task->kind != STEAD_ENGINE_HOLD || task->code != 0 || engine->lock_count == STEAD_ENGINE_LOCKS_MAX ||
            stead_get_u64(task->value, NULL, &fence) != 0)
            continue;
        if (task == engine->relock)
            engine->relock = NULL;
        stead_engine_keep_lock(engine, task->target, fence);
        stead_engine_task_free(engine, task);
    }
}

bool stead_engine_holds(const struct stead_engine *engine, struct stead_slice address, uint64_t fence)
{
    uint64_t given = 0;

    for (uint32_t i = 0; i < engine->lock_count; i++)
        if (engine->locks[i].fence == fence && stead_slice_equal(stead_str(engine->locks[i].address), address))
            return true;
    for (const struct stead_engine_task *task = engine->finished.first; task != NULL; task = task->next)
        if (task->kind == STEAD_ENGINE_HOLD && task->code == 0 && stead_slice_equal(stead_str(task->target), address) &&
            stead_get_u64(task->value, NULL, &given) == 0 && given == fence)
            return true;
    return false;
}

void stead_engine_unlock(struct stead_engine *engine)
{
    struct stead_writer value;

    if (engine->status == STEAD_INSTANCE_TERMINATED)
        take_unread_holds(engine);
    if (engine->lock_count == 0)
        return;
    stead_writer_init(&value);
    stead_write_array(&value, engine->lock_count);
    for (uint32_t i = 0; i < engine->lock_count; i++)
        stead_pack(&value, "[s,u]", engine->locks[i].address, engine->locks[i].fence);
    const struct stead_history_event event = {.type = STEAD_HISTORY_LOCKS_RELEASED, .value = stead_written(&value)};
    (void)stead_engine_decide(engine, &event);
    stead_writer_deinit(&value);
    stead_engine_locks_deinit(engine);
}

static struct stead_engine_task *ask_for(struct stead_engine *engine, const char *address)
{
    struct stead_engine_task *task = stead_engine_task_new(engine, STEAD_ENGINE_HOLD);

    stead_engine_request(engine, task, stead_str(STEAD_OP_HOLD), stead_str(address), nothing, nothing);
    return task;
}

/* ---- Anew ----------------------------------------------------------------------------------- */

void stead_engine_relocks_deinit(struct stead_engine *engine)
{
    for (uint32_t i = 0; engine->relocks != NULL && i < engine->relock_count; i++)
        free(engine->relocks[i].address);
    free(engine->relocks);
    engine->relocks = NULL;
    engine->relock_count = engine->relock_at = 0;
}

void stead_engine_rewind_locks(struct stead_engine *engine)
{
    engine->relock_episode = engine->episode;
    if (engine->relocks != NULL) { /* the rewind before got its last lock where this one goes on from */
        for (uint32_t i = 0; i < engine->lock_count; i++)
            engine->relocks[i].fence = engine->locks[i].fence;
        stead_engine_locks_deinit(engine);
        if (engine->relock != NULL)
            stead_engine_task_free(engine, engine->relock);
        engine->relock = NULL;
        engine->relock_at = 0;
    }
    if (engine->lock_count == 0)
        return;
    engine->relocks = engine->locks;
    engine->relock_count = engine->lock_count;
    engine->relock_at = 0;
    engine->locks = NULL;
    engine->lock_count = 0;
}

int stead_engine_relock(struct stead_engine *engine)
{
    while (engine->relocks != NULL) {
        const struct stead_engine_lock *lock = &engine->relocks[engine->relock_at];
        uint64_t fence = 0;
        if (engine->relock == NULL)
            engine->relock = ask_for(engine, lock->address);
        struct stead_engine_task *task = engine->relock;
        if (task->phase != STEAD_ENGINE_FINISHED)
            return STEAD_ENGINE_WAITS_LOCK;
        if (task->code == 0 && stead_get_u64(task->value, NULL, &fence) != 0)
            task->code = STEAD_ECORRUPT;
        if (task->code != 0)
            return task->code;
        engine->relock = NULL;
        stead_engine_task_free(engine, task);
        stead_engine_keep_lock(engine, lock->address, fence);
        stead_engine_refence(engine, lock->address, lock->fence, fence);
        if (++engine->relock_at == engine->relock_count)
            stead_engine_relocks_deinit(engine);
    }
    return 0;
}

/* ---- Sections ------------------------------------------------------------------------------- */

/* Asks for one and waits until it is held. */
static int hold(struct stead_engine *engine, const char *address, uint64_t *ret_fence)
{
    struct stead_engine_task *task = ask_for(engine, address);
    struct stead_slice value = nothing;

    stead_engine_wait_for(engine, task);
    int code = stead_engine_read(engine, task, &value);
    if (code == 0 && stead_get_u64(value, NULL, ret_fence) != 0)
        code = STEAD_ECORRUPT;
    return code;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Copies, in order, each once; the memory lasts as long as the execution. */
static uint32_t sort_addresses(struct stead_orchestration *o, const char *const *addresses, uint32_t count,
                               const char **ret_sorted)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        size_t size = strlen(addresses[i]) + 1;
        char *copy = stead_keep_bytes(o, size);
        memcpy(copy, addresses[i], size);
        ret_sorted[i] = copy;
    }
    qsort(ret_sorted, count, sizeof(*ret_sorted), compare_texts);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(ret_sorted[kept - 1], ret_sorted[i]) != 0)
            ret_sorted[kept++] = ret_sorted[i];
    return kept;
}

/* The agent that the instance itself is, on the direct fabric. */
static bool is_itself(const struct stead_orchestration *o, const char *address)
{
    size_t kind_size = strlen(STEAD_ORCHESTRATION_KIND "/");

    return strncmp(address, STEAD_ORCHESTRATION_KIND "/", kind_size) == 0 &&
           strcmp(address + kind_size, stead_instance_id(o)) == 0;
}

int stead_lock(struct stead_orchestration *o, const char *const *addresses, uint32_t count)
{
    struct stead_engine *engine = stead_engine_of(o);
    const char *sorted[STEAD_ENGINE_LOCKS_MAX];

    if (engine->lock_count > 0)
        return stead_engine_refuse_await(engine,
                                         "a section is open already: sections do not nest, name all agents at once");
    if (count == 0 || count > STEAD_ENGINE_LOCKS_MAX)
        return STEAD_EARGUMENT;
    for (uint32_t i = 0; i < count; i++)
        if (!stead_engine_is_address(stead_str(addresses[i])))
            return STEAD_EADDRESS;
    for (uint32_t i = 0; i < count; i++)
        if (is_itself(o, addresses[i]))
            return stead_engine_refuse_await(engine, "an instance cannot lock itself: no answer would reach it");
    count = sort_addresses(o, addresses, count, sorted);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t fence = engine->episode;
        int code = STEAD_AGENT_FAULT(lock_not_taken) && i > 0 ? 0 : hold(engine, sorted[i], &fence);
        if (code != 0) {
            stead_engine_unlock(engine);
            return code;
        }
        stead_engine_keep_lock(engine, sorted[i], fence);
    }
    return 0;
}

void stead_unlock(struct stead_orchestration *o)
{
    stead_engine_unlock(stead_engine_of(o));
}

uint64_t stead_lock_fence(const struct stead_orchestration *o, const char *address)
{
    return stead_engine_fence(stead_engine_of(o), address);
}
