/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flows: orchestrations for test_orchestrations.py, whose activities leave traces in files, so that the test can count
 * what really ran.
 *
 *   hello       [text...]: greets one after the other; the greetings
 *   steps       {count, log}: `count` activities one after the other, each of which writes its number into the file; the sum of the squares
 *   fan         {count, log, hold}: the same all at once; with `hold` it then waits for the event `go`
 *   approve     {timeout}: waits for the event `approved`; its value. Says what it waits for
 *   gated       {gate, log, hold}: an activity, then one that fails until the file `gate` is there, then one more; with `hold` it waits for the event `go` before that
 *   parent      any: runs `approve` as a child CHILD of its own id, and waits
 *   locked      [address...]: holds the agents until the event `go`, and puts one into each; their answers
 *   putter      address: puts one into the agent; its answer
 *   rounds      number: begins anew until it is 0; "done"
 *   crash       any: one activity that kills its process the first two times
 *   works       {log}: an activity that says how far it is, and fails once
 *   tardy       {name, start, timeout}: an activity that must begin, and end, so soon (ms, 0: at any time)
 *   bomb        {at, fuse}: waits for a thing of that sort, and faults behind it (at mine: in it) while the file `fuse` is there; "lives"
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stead/stead.h"

#define STEPS_MAX 10000

/* ---- Activities ----------------------------------------------------------------------------- */

/* One line in one write: concurrent jobs do not mix. */
static int write_line(struct stead_slice args, const char *line)
{
    char path[512];

    if (stead_get_text(args, "log", path, sizeof path) != 0)
        return STEAD_EARGUMENT;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return STEAD_EIO;
    int code = write(file, line, strlen(line)) == (ssize_t)strlen(line) ? 0 : STEAD_EIO;
    close(file);
    return code;
}

static int greet(struct stead_job *job, struct stead_slice args)
{
    char name[100], text[120];

    if (stead_get_text(args, NULL, name, sizeof name) != 0)
        return stead_job_fail(job, "bad_name", "greet takes a text");
    snprintf(text, sizeof text, "hello, %s", name);
    return stead_job_reply(job, stead_job_packed(job, "s", text));
}

/* {number, log}: its square. */
static int step(struct stead_job *job, struct stead_slice args)
{
    int64_t number = 0;
    char line[40];

    if (stead_get_i64(args, "number", &number) != 0)
        return stead_job_fail(job, "bad_number", "step takes a number");
    snprintf(line, sizeof line, "%lld\n", (long long)number);
    int code = write_line(args, line);
    return code == 0 ? stead_job_reply(job, stead_job_packed(job, "l", number * number)) : code;
}

/* {gate, log} */
static int pass_gate(struct stead_job *job, struct stead_slice args)
{
    char path[512];

    if (stead_get_text(args, "gate", path, sizeof path) != 0)
        return STEAD_EARGUMENT;
    if (access(path, F_OK) != 0)
        return stead_job_fail(job, "gate_closed", "nobody has opened the gate");
    return write_line(args, "gate\n");
}

/* {log}: the third of them lives. */
static int kill_process(struct stead_job *job, struct stead_slice args)
{
    char path[512], lines[16];
    int code = write_line(args, "x\n");

    if (code != 0 || stead_get_text(args, "log", path, sizeof path) != 0)
        return STEAD_EARGUMENT;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = file < 0 ? 0 : read(file, lines, sizeof lines);
    if (file >= 0)
        close(file);
    if (size < 6)
        (void)raise(SIGKILL);
    return stead_job_reply(job, stead_job_packed(job, "l", (int64_t)(size / 2)));
}

/* {fuse}: faults while that file is there. */
static int step_on_mine(struct stead_job *job, struct stead_slice args)
{
    char fuse[512];

    if (stead_get_text(args, "fuse", fuse, sizeof fuse) != 0)
        return STEAD_EARGUMENT;
    if (access(fuse, F_OK) == 0)
        (void)raise(SIGSEGV);
    return stead_job_reply(job, args);
}

/* {log}: says how far it is until it is cancelled; the first attempt fails at 3. */
static int labour(struct stead_job *job, struct stead_slice args)
{
    char path[512];
    int64_t count = 0;

    if (stead_get_text(args, "log", path, sizeof path) != 0)
        return STEAD_EARGUMENT;
    bool first = access(path, F_OK) != 0;
    int code = write_line(args, "x\n");
    while (code == 0 && !(first && count == 3)) {
        code = stead_job_heartbeat(job, stead_job_packed(job, "{s:l}", "done", ++count));
        (void)usleep(1000);
    }
    return code == 0 ? stead_job_fail(job, "tired", "too much for one day") : code;
}

STEAD_ACTIVITY(labour_activity, "flows.labour", labour, 0);
STEAD_ACTIVITY(greet_activity, "flows.greet", greet, 0);
STEAD_ACTIVITY(step_activity, "flows.step", step, 0);
STEAD_ACTIVITY(gate_activity, "flows.gate", pass_gate, 0);
STEAD_ACTIVITY(kill_activity, "flows.kill", kill_process, 0);
STEAD_ACTIVITY(mine_activity, "flows.mine", step_on_mine, 0);

/* ---- An agent ------------------------------------------------------------------------------- */

struct box {
    int64_t count;
};
static const struct stead_field box_fields[] = {STEAD_FIELD(I64, struct box, count), STEAD_FIELDS_END};

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct box *box = state;

    (void)args;
    box->count++;
    return stead_reply(turn, stead_packed(turn, "l", box->count));
}

static const struct stead_op box_ops[] = {{"put", put, NULL, 0, "one more; how many"}, {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind box_kind = {.abi = STEAD_ABI,
                                           .struct_size = sizeof(struct stead_kind),
                                           .name = "box",
                                           .state_size = sizeof(struct box),
                                           .fields = box_fields,
                                           .ops = box_ops};
STEAD_MODULE(&greet_activity, &step_activity, &gate_activity, &kill_activity, &mine_activity, &labour_activity,
             &box_kind);

/* ---- Orchestrators -------------------------------------------------------------------------- */

static int hello(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice name, greeting, texts[16];
    struct stead_reader reader = stead_reader(input);
    uint32_t count = 0;
    int code = stead_read_array(&reader, &count) == 0 && count <= 16 ? 0 : STEAD_EARGUMENT;

    for (uint32_t i = 0; code == 0 && i < count; i++) {
        code = stead_read_value(&reader, &name);
        if (code == 0)
            code = stead_await_activity(o, "flows.greet", name, &greeting);
        texts[i] = code == 0 ? stead_keep(o, greeting) : name;
    }
    if (code != 0)
        return code;
    struct stead_writer list;
    stead_writer_init(&list);
    stead_write_array(&list, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_value(&list, texts[i]);
    code = stead_complete(o, stead_written(&list));
    stead_writer_deinit(&list);
    return code;
}

/* {count, log} */
static int read_steps(struct stead_slice input, int64_t *ret_count, struct stead_slice *ret_log)
{
    return stead_get_i64(input, "count", ret_count) == 0 && stead_get_value(input, "log", ret_log) == 0 &&
                   *ret_count >= 0 && *ret_count <= STEPS_MAX
               ? 0
               : STEAD_EARGUMENT;
}

static struct stead_slice step_args(struct stead_orchestration *o, int64_t number, struct stead_slice log)
{
    return stead_packed_for(o, "{s:l,s:v}", "number", number, "log", log);
}

static int steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice log, square;
    int64_t count = 0, sum = 0, value = 0;
    int code = read_steps(input, &count, &log);

    for (int64_t i = 1; code == 0 && i <= count; i++) {
        code = stead_await_activity(o, "flows.step", step_args(o, i, log), &square);
        if (code == 0)
            code = stead_get_i64(square, NULL, &value);
        sum += value;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int fan(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice log, square;
    int64_t count = 0, sum = 0, value = 0;
    bool hold = false;
    int code = read_steps(input, &count, &log);
    struct stead_task *tasks = stead_keep_bytes(o, ((size_t)count + 1) * sizeof *tasks);

    for (int64_t i = 0; code == 0 && i < count; i++)
        tasks[i] = stead_begin_activity(o, "flows.step", step_args(o, i + 1, log), NULL);
    if (code == 0)
        code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await(o, tasks[i], &square);
        if (code == 0)
            code = stead_get_i64(square, NULL, &value);
        sum += value;
    }
    if (code == 0 && stead_get_bool(input, "hold", &hold) == 0 && hold)
        code = stead_await_event(o, "go", -1, NULL);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int approve(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t timeout_ms = -1;

    if (stead_get_i64(input, "timeout", &timeout_ms) == STEAD_EARGUMENT)
        timeout_ms = -1;
    int code = stead_set_status(o, stead_packed_for(o, "s", "waits for approval"));
    if (code == 0)
        code = stead_await_event(o, "approved", timeout_ms, &value);
    if (code == STEAD_ETIMEOUT)
        return stead_fail_with(o, "not_approved", "nobody said yes in %lld ms", (long long)timeout_ms);
    return code != 0 ? code : stead_complete(o, value);
}

static int gated(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice log;
    bool hold = false;
    int code = stead_get_value(input, "log", &log);

    if (code == 0)
        code = stead_await_activity(o, "flows.step", step_args(o, 1, log), NULL);
    if (code == 0)
        code = stead_await_activity(o, "flows.gate", input, NULL);
    if (code == 0 && stead_get_bool(input, "hold", &hold) == 0 && hold)
        code = stead_await_event(o, "go", -1, NULL);
    if (code == 0)
        code = stead_await_activity(o, "flows.step", step_args(o, 2, log), NULL);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "s", "through"));
}

static int parent(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.instance_id = stead_printed_for(o, "%s CHILD", stead_instance_id(o))};
    struct stead_slice value;
    int code = stead_await(o, stead_begin_child(o, "approve", input, &options), &value);

    return code != 0 ? code : stead_complete(o, value);
}

static int locked(struct stead_orchestration *o, struct stead_slice input)
{
    char texts[4][100];
    const char *addresses[4];
    struct stead_reader reader = stead_reader(input);
    struct stead_slice text, answer;
    uint32_t count = 0;
    int64_t sum = 0, value = 0;

    if (stead_read_array(&reader, &count) != 0 || count > 4)
        return STEAD_EARGUMENT;
    for (uint32_t i = 0; i < count; i++) {
        if (stead_read_value(&reader, &text) != 0 || stead_get_text(text, NULL, texts[i], sizeof texts[i]) != 0)
            return STEAD_EARGUMENT;
        addresses[i] = texts[i];
    }
    int code = stead_lock(o, addresses, count);
    if (code == 0)
        code = stead_set_status(o, stead_packed_for(o, "s", "holds"));
    if (code == 0)
        code = stead_await_event(o, "go", -1, NULL);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        code = stead_await_call(o, texts[i], "put", (struct stead_slice){NULL, 0}, &answer);
        if (code == 0)
            code = stead_get_i64(answer, NULL, &value);
        sum += value;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

static int call_put(struct stead_orchestration *o, const char *text, struct stead_slice *ret_answer)
{
    return stead_await_call(o, text, "put", (struct stead_slice){NULL, 0}, ret_answer);
}

static int putter(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice answer;
    char text[100];
    int code = stead_get_text(input, NULL, text, sizeof text);

    if (code == 0)
        code = call_put(o, text, &answer);
    return code != 0 ? code : stead_complete(o, answer);
}

static int rounds(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t left = 0;
    int code = stead_get_i64(input, NULL, &left);

    if (code == 0)
        code = stead_await_timer(o, 1);
    if (code != 0)
        return code;
    return left > 0 ? stead_continue_as_new(o, stead_packed_for(o, "l", left - 1))
                    : stead_complete(o, stead_packed_for(o, "s", "done"));
}

/* {count, sum}: one event in each execution, and their sum when there are no more to come. */
static int adding(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t count = 0, sum = 0, it = 0;
    int code = stead_get_i64(input, "count", &count);

    if (code == 0)
        code = stead_get_i64(input, "sum", &sum);
    if (code == 0)
        code = stead_await_event(o, "number", -1, &value);
    if (code == 0)
        code = stead_get_i64(value, NULL, &it);
    if (code != 0)
        return code;
    struct stead_slice next = stead_packed_for(o, "{s:l,s:l}", "count", count - 1, "sum", sum + it);
    return count > 1 ? stead_continue_as_new(o, next) : stead_complete(o, next);
}

/* Nothing but new executions. */
static int reborn(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t left = 0;
    int code = stead_get_i64(input, NULL, &left);

    if (code != 0)
        return code;
    return left > 0 ? stead_continue_as_new(o, stead_packed_for(o, "l", left - 1)) : stead_complete(o, input);
}

static int tardy(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task_options options = {.version = 0};
    char name[64];

    if (stead_get_text(input, "name", name, sizeof name) != 0 ||
        stead_get_i64(input, "start", &options.start_timeout_ms) != 0 ||
        stead_get_i64(input, "timeout", &options.timeout_ms) != 0)
        return stead_fail_with(o, "bad_input", "tardy takes {name, start, timeout}");
    return stead_await(o, stead_begin_activity(o, name, stead_packed_for(o, "s", "Ada"), &options), NULL);
}

static int works(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.retry = {.first_ms = 1, .attempts_max = 2}};
    return stead_await(o, stead_begin_activity(o, "flows.labour", input, &options), NULL);
}

static int crash(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice lives;
    int code = stead_await_activity(o, "flows.kill", input, &lives);

    return code != 0 ? code : stead_complete(o, lives);
}

static int wait_at(struct stead_orchestration *o, const char *at, struct stead_slice input)
{
    static const char *const boxes[] = {"box/bomb"};
    struct stead_slice value;

    if (strcmp(at, "timer") == 0)
        return stead_await_timer(o, 1);
    if (strcmp(at, "event") == 0)
        return stead_await_event(o, "go", -1, &value);
    if (strcmp(at, "activity") == 0)
        return stead_await_activity(o, "flows.greet", stead_packed_for(o, "s", "Ada"), &value);
    if (strcmp(at, "mine") == 0)
        return stead_await_activity(o, "flows.mine", input, &value);
    if (strcmp(at, "child") == 0)
        return stead_await_child(o, "hello", stead_packed_for(o, "[s]", "Ada"), &value);
    if (strcmp(at, "call") == 0)
        return stead_await_call(o, "box/called", "put", (struct stead_slice){NULL, 0}, &value);
    if (strcmp(at, "lock") == 0)
        return stead_lock(o, boxes, 1);
    if (strcmp(at, "mother") != 0)
        return 0;
    struct stead_slice fuse;
    const struct stead_task_options options = {.instance_id = "daughter"};
    int code = stead_get_str(input, "fuse", &fuse);
    return code != 0
               ? code
               : stead_await(o,
                             stead_begin_child(o, "bomb", stead_packed_for(o, "{s:s,s:S}", "at", "start", "fuse", fuse),
                                               &options),
                             &value);
}

static int bomb(struct stead_orchestration *o, struct stead_slice input)
{
    char at[16], fuse[512];

    if (stead_get_text(input, "at", at, sizeof at) != 0 || stead_get_text(input, "fuse", fuse, sizeof fuse) != 0)
        return STEAD_EARGUMENT;
    int code = wait_at(o, at, input);
    if (code != 0)
        return code;
    if (access(fuse, F_OK) == 0)
        (void)raise(SIGSEGV);
    return stead_complete(o, stead_packed_for(o, "s", "lives"));
}

#define ORCHESTRATOR(function)                                                                                         \
    static const struct stead_orchestrator function##_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,                  \
                                                                      .struct_size =                                   \
                                                                          sizeof(struct stead_orchestrator),           \
                                                                      .name = #function,                               \
                                                                      .version = 1,                                    \
                                                                      .run = function}
ORCHESTRATOR(hello);
ORCHESTRATOR(steps);
ORCHESTRATOR(fan);
ORCHESTRATOR(approve);
ORCHESTRATOR(gated);
ORCHESTRATOR(parent);
ORCHESTRATOR(locked);
ORCHESTRATOR(putter);
ORCHESTRATOR(rounds);
ORCHESTRATOR(adding);
ORCHESTRATOR(reborn);
ORCHESTRATOR(crash);
ORCHESTRATOR(bomb);
ORCHESTRATOR(works);
ORCHESTRATOR(tardy);
STEAD_ORCHESTRATORS(&hello_orchestrator, &steps_orchestrator, &fan_orchestrator, &approve_orchestrator,
                    &gated_orchestrator, &parent_orchestrator, &locked_orchestrator, &putter_orchestrator,
                    &rounds_orchestrator, &reborn_orchestrator, &adding_orchestrator, &crash_orchestrator,
                    &bomb_orchestrator, &works_orchestrator, &tardy_orchestrator);
