/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_bare: a replay without the code, to end an execution whose code is not at hand: not loaded any more, not like
 * its history any more, or merely not in memory.
 *
 * All that has to be known then is what is open and what is locked, and the recorded events say both. Nothing runs and
 * nothing is compared; what a rewind made void counts too, since it was requested all the same.
 */
#include "agents/engine_internal.h"

/* ---- Replay --------------------------------------------------------------------------------- */

static void follow_request(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_engine_task *task;
    enum stead_engine_kind kind = STEAD_ENGINE_ACTIVITY;

    if (event->type == STEAD_HISTORY_TIMER_CREATED)
        kind = STEAD_ENGINE_TIMER;
    else if (event->type == STEAD_HISTORY_CHILD_CREATED)
        kind = STEAD_ENGINE_CHILD;
    else if (event->target.size > 0)
        kind = stead_slice_equal(event->name, stead_str(STEAD_OP_HOLD)) ? STEAD_ENGINE_HOLD : STEAD_ENGINE_CALL;
    if (kind != STEAD_ENGINE_HOLD && engine->task_count >= STEAD_ENGINE_OPEN_MAX)
        return; /* beyond what an execution can have */
    task = stead_engine_task_new(engine, kind);
    task->request = event->id;
    stead_engine_task_call_it(task, event->name, event->target);
    stead_engine_map_put(&engine->requests, task->request, task);
}

static void follow_result(struct stead_engine *engine, const struct stead_history_event *event)
{
    struct stead_engine_task *task = stead_engine_map_get(&engine->requests, event->ref);
    uint64_t fence = 0;

    if (task == NULL)
        return;
    if (task->kind == STEAD_ENGINE_HOLD && event->type == STEAD_HISTORY_TASK_COMPLETED &&
        engine->lock_count < STEAD_ENGINE_LOCKS_MAX && stead_get_u64(event->value, NULL, &fence) == 0) {
        stead_engine_keep_lock(engine, task->target, fence);
    }
    stead_engine_task_free(engine, task);
}

void stead_engine_follow(struct stead_engine *engine, const struct stead_history_event *event)
{
    switch (event->type) {
    case STEAD_HISTORY_EXECUTION_STARTED:
        engine->begun = true;
        return;
    case STEAD_HISTORY_TASK_SCHEDULED:
    case STEAD_HISTORY_CHILD_CREATED:
    case STEAD_HISTORY_TIMER_CREATED:
        follow_request(engine, event);
        return;
    case STEAD_HISTORY_TASK_COMPLETED:
    case STEAD_HISTORY_TASK_FAILED:
    case STEAD_HISTORY_CHILD_COMPLETED:
    case STEAD_HISTORY_CHILD_FAILED:
    case STEAD_HISTORY_TIMER_FIRED:
    case STEAD_HISTORY_TASK_CANCELED:
        follow_result(engine, event);
        return;
    case STEAD_HISTORY_LOCKS_RELEASED:
        stead_engine_locks_deinit(engine);
        return;
    default:
        return;
    }
}

/* ---- The end -------------------------------------------------------------------------------- */

void stead_engine_condemn(struct stead_engine *engine, int code, const char *sentence)
{
    struct stead_engine_said *said = stead_engine_say_why(engine);
    size_t size = strlen(sentence);

    STEAD_ENGINE_ASSERT(engine->orchestrator == NULL && code < 0 && size < sizeof(said->failure_sentence));
    engine->doom = code;
    memcpy(said->failure_sentence, sentence, size + 1);
}

void stead_engine_fail_bare(struct stead_engine *engine)
{
    const struct stead_history_event failed = {.type = STEAD_HISTORY_EXECUTION_FAILED,
                                               .code = engine->doom,
                                               .error_name = stead_str(stead_error_name(engine->doom)),
                                               .error_sentence =
                                                   stead_str(stead_engine_say_why(engine)->failure_sentence)};

    stead_engine_cancel_open(engine, false);
    stead_engine_unlock(engine);
    (void)stead_engine_decide(engine, &failed);
    engine->status = STEAD_INSTANCE_FAILED;
}
