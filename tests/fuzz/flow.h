/* SPDX-License-Identifier: Apache-2.0 */
/* flow: the orchestrator of the history target: whatever its history says, it awaits a bit of everything. Shared with
 * the seeds. */
#ifndef STEAD_FUZZ_FLOW_H
#define STEAD_FUZZ_FLOW_H

#include "agents/engine.h"

static void fuzz_side_effect(void *context, struct stead_writer *writer)
{
    (void)context;
    stead_write_i64(writer, 7);
}

static int fuzz_section(struct stead_orchestration *o)
{
    static const char *const rooms[] = {"room/b", "room/a"};
    int code = stead_lock(o, rooms, 2);

    if (code == 0)
        code = stead_await_call(o, "room/a", "enter", (struct stead_slice){NULL, 0}, NULL);
    stead_unlock(o);
    return code;
}

static int fuzz_flow_run(struct stead_orchestration *o, struct stead_slice input)
{
    static const struct stead_task_options options = {.retry = {.first_ms = 10, .attempts_max = 3, .coefficient = 2}};
    struct stead_task tasks[4];
    struct stead_slice value;
    char uuid[STEAD_UUID_SIZE];
    uint32_t first;

    int code = stead_await_activity(o, "one", input, &value);
    if (code != 0)
        return code;
    stead_uuid(o, uuid);
    (void)stead_set_status(o, stead_packed_for(o, "s", uuid));
    tasks[0] = stead_begin_activity(o, "two", stead_keep(o, value), &options);
    tasks[1] = stead_begin_timer(o, 1000);
    tasks[2] = stead_begin_event(o, "go");
    tasks[3] = stead_begin_child(o, "small", (struct stead_slice){NULL, 0}, NULL);
    code = stead_await_any(o, tasks, 3, &first);
    if (code == 0 && first != 1)
        stead_task_cancel(o, tasks[1]);
    code = stead_side_effect(o, fuzz_side_effect, NULL, &value);
    if (code == 0)
        code = stead_await_all(o, &tasks[3], 1);
    if (code == 0)
        code = fuzz_section(o);
    if (code != 0)
        return code;
    (void)stead_signal_agent(o, "room/c", "knock", (struct stead_slice){NULL, 0});
    if (stead_await_event(o, "again", 50, &value) == 0)
        return stead_continue_as_new(o, value);
    return stead_complete(o, stead_packed_for(o, "u", (uint64_t)first));
}

static const struct stead_orchestrator fuzz_flow = {.abi = STEAD_ORCHESTRATION_ABI,
                                                    .struct_size = sizeof(struct stead_orchestrator),
                                                    .name = "flow",
                                                    .version = 1,
                                                    .run = fuzz_flow_run};

/* An engine for it. Returned. */
static inline struct stead_engine *fuzz_engine(struct stead_fibers *fibers)
{
    struct stead_engine_options options = {
        .orchestrator = &fuzz_flow, .instance = "fuzz", .execution = 1, .fibers = fibers};

    return stead_engine_create(&options);
}

#endif
