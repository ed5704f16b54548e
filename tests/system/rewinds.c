/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewinds: orchestrations for test_rewind.py, which fail until a file is there, with agents that count.
 *
 *   transfer    {from, to, gate}: puts one into `from` and, through the gate, into `to`, both locked; unlocks, and then fails
 *   inside      {from, to, gate, log}: the same, and what fails is an activity, in the section
 *   holder      address: holds the agent until the event `go`
 *   steps       {gate, log}: writes `step`, and `gate` when it is open
 *   family      {gate, log}: `steps` as the child KID of its own id
 *   asks        {log}: `changing` as the child KID of its own id; how it ended: [code, error's name]
 *   changing    {log}: writes `step`, or, compiled with CHANGED, `gate`; then waits for the event `go`
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "stead/stead.h"

#ifdef CHANGED
#define FIRST "rewinds.gate"
#else
#define FIRST "rewinds.step"
#endif

/* ---- Activities and agents ------------------------------------------------------------------ */

static bool is_open(struct stead_slice args)
{
    char path[512];

    return stead_get_text(args, "gate", path, sizeof path) == 0 && access(path, F_OK) == 0;
}

static int write_line(struct stead_job *job, struct stead_slice args, const char *line)
{
    char path[512];

    if (stead_get_text(args, "log", path, sizeof path) != 0)
        return stead_job_fail(job, "bad_log", "there is no log");
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return STEAD_EIO;
    int code = write(file, line, strlen(line)) == (ssize_t)strlen(line) ? 0 : STEAD_EIO;
    close(file);
    return code;
}

static int step(struct stead_job *job, struct stead_slice args)
{
    return write_line(job, args, "step\n");
}

static int gate(struct stead_job *job, struct stead_slice args)
{
    return is_open(args) ? write_line(job, args, "gate\n") : stead_job_fail(job, "gate_closed", "nobody has opened it");
}

struct till {
    int64_t count;
};

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct till *till = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ++till->count));
}

static int pass(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return is_open(args) ? put(turn, state, args) : stead_fail(turn, "gate_closed", "nobody has opened it");
}

static const struct stead_field till_fields[] = {STEAD_FIELD(I64, struct till, count), STEAD_FIELDS_END};
static const struct stead_op till_ops[] = {{.name = "put", .run = put}, {.name = "pass", .run = pass}, {.name = NULL}};
static const struct stead_kind till = {.abi = STEAD_ABI,
                                       .struct_size = sizeof(struct stead_kind),
                                       .name = "till",
                                       .state_size = sizeof(struct till),
                                       .fields = till_fields,
                                       .ops = till_ops};
STEAD_ACTIVITY(step_activity, "rewinds.step", step, 0);
STEAD_ACTIVITY(gate_activity, "rewinds.gate", gate, 0);
STEAD_MODULE(&step_activity, &gate_activity, &till);

/* ---- Orchestrations ------------------------------------------------------------------------- */

static int lock_both(struct stead_orchestration *o, struct stead_slice input, char from[100], char to[100])
{
    if (stead_get_text(input, "from", from, 100) != 0 || stead_get_text(input, "to", to, 100) != 0)
        return STEAD_EARGUMENT;
    const char *both[] = {to, from};
    return stead_lock(o, both, 2);
}

static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    char from[100], to[100];
    int code = lock_both(o, input, from, to);

    if (code == 0)
        code = stead_await_call(o, from, "put", (struct stead_slice){0}, NULL);
    if (code == 0)
        code = stead_await_call(o, to, "pass", input, NULL);
    stead_unlock(o);
    return code;
}

static int inside(struct stead_orchestration *o, struct stead_slice input)
{
    char from[100], to[100];
    int code = lock_both(o, input, from, to);

    if (code == 0)
        code = stead_await_call(o, from, "put", (struct stead_slice){0}, NULL);
    if (code == 0)
        code = stead_await_activity(o, "rewinds.gate", input, NULL);
    if (code == 0)
        code = stead_await_call(o, to, "put", (struct stead_slice){0}, NULL);
    return code;
}

static int holder(struct stead_orchestration *o, struct stead_slice input)
{
    char text[100];
    const char *one[] = {text};
    int code = stead_get_text(input, NULL, text, sizeof text);

    if (code == 0)
        code = stead_lock(o, one, 1);
    return code != 0 ? code : stead_await_event(o, "go", -1, NULL);
}

static int steps(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_activity(o, "rewinds.step", input, NULL);

    if (code == 0)
        code = stead_await_activity(o, "rewinds.gate", input, NULL);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "s", "through"));
}

static int await_kid(struct stead_orchestration *o, const char *name, struct stead_slice input,
                     struct stead_slice *ret_value)
{
    const struct stead_task_options options = {.instance_id = stead_printed_for(o, "%s KID", stead_instance_id(o))};
    return stead_await(o, stead_begin_child(o, name, input, &options), ret_value);
}

static int family(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = await_kid(o, "steps", input, &value);

    return code != 0 ? code : stead_complete(o, value);
}

static int asks(struct stead_orchestration *o, struct stead_slice input)
{
    int code = await_kid(o, "changing", input, NULL);

    return stead_complete(o, stead_packed_for(o, "[l,s]", (int64_t)code, stead_await_error_name(o)));
}

static int changing(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_activity(o, FIRST, input, NULL);

    return code != 0 ? code : stead_await_event(o, "go", -1, NULL);
}

#define ORCHESTRATOR(function)                                                                                         \
    static const struct stead_orchestrator function##_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,                  \
                                                                      .struct_size =                                   \
                                                                          sizeof(struct stead_orchestrator),           \
                                                                      .name = #function,                               \
                                                                      .version = 1,                                    \
                                                                      .run = function}
ORCHESTRATOR(transfer);
ORCHESTRATOR(inside);
ORCHESTRATOR(holder);
ORCHESTRATOR(steps);
ORCHESTRATOR(family);
ORCHESTRATOR(asks);
ORCHESTRATOR(changing);
STEAD_ORCHESTRATORS(&transfer_orchestrator, &inside_orchestrator, &holder_orchestrator, &steps_orchestrator,
                    &family_orchestrator, &asks_orchestrator, &changing_orchestrator);
