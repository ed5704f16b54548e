/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak: orchestrations for test_orchestration_scale.py and test_orchestration_kill.py. Each has an output that follows
 * from its input alone, however often its node dies.
 *
 *   chain    {count, gate?}: `count` activities one after the other; the sum of the squares. With `gate` it waits for the event `go` after them, then for one more activity
 *   crowd    {count, gate?}: the same all at once, awaited together
 *   naps     {count}: `count` timers of random length at once and one after the other; how many rang
 *   ticks    {count}: the sum of so many events `tick`
 *   tree     {levels, width, wait?}: children that have children; the number of leaves. With `wait` the leaves wait for an event that nobody raises
 *   transfer {from, to, amount, record, number}: locks two purses, reads both, sets both, notes the number in an agent `record` of kinds.c; what was moved
 *   laps     {left, sum}: an activity, then begins anew; the sum
 *   echo     any: through an activity and back as it came
 *   sleeper  any: waits for the event `wake`; its value
 *   large    {what, size}: a value of `size` bytes as an activity's input or result, as an event's value (`big`), or as the output; how many bytes came, or the name of the failure
 *   wide     {count, size, fat}: `count` activities at once, each with `size` bytes as its input and its result (fat: as its result alone); how many bytes came back
 *
 *   purse    durable {balance}: get, set. Nothing but a lock keeps two transfers apart
 */
#include <string.h>
#include <time.h>

#include "stead/stead.h"

#define COUNT_MAX 100000
#define NAP_MS 20
#define LARGE_MAX (3 << 20)

/* One value of `size` bytes, which is more than 64 KiB. */
static void write_bytes(struct stead_writer *writer, uint32_t size)
{
    static const uint8_t zeros[LARGE_MAX];

    stead_write_bin(writer, stead_bytes(zeros, size - 5));
}

/* ---- Activities ----------------------------------------------------------------------------- */

static int square(struct stead_job *job, struct stead_slice args)
{
    int64_t number = 0;

    if (stead_get_i64(args, NULL, &number) != 0)
        return stead_job_fail(job, "bad_number", "square takes a number");
    return stead_job_reply(job, stead_job_packed(job, "l", number * number));
}

static int same(struct stead_job *job, struct stead_slice args)
{
    return stead_job_reply(job, args);
}

/* {size}: a value of so many bytes. */
static int fat(struct stead_job *job, struct stead_slice args)
{
    struct stead_writer value;
    int64_t size = 0;

    if (stead_get_i64(args, NULL, &size) != 0 || size < 5 || size > LARGE_MAX)
        return stead_job_fail(job, "bad_size", "fat takes a size");
    stead_writer_init(&value);
    write_bytes(&value, (uint32_t)size);
    int code = stead_job_reply(job, stead_written(&value));
    stead_writer_deinit(&value);
    return code;
}

/* Takes its time, so that kills find it at work. */
static int slow_square(struct stead_job *job, struct stead_slice args)
{
    const struct timespec work = {.tv_nsec = 3000000};

    nanosleep(&work, NULL);
    return square(job, args);
}

STEAD_ACTIVITY(square_activity, "soak.square", square, 0);
STEAD_ACTIVITY(slow_activity, "soak.slow", slow_square, STEAD_KIND_IDEMPOTENT);
STEAD_ACTIVITY(same_activity, "soak.same", same, 0);
STEAD_ACTIVITY(fat_activity, "soak.fat", fat, 0);

/* ---- Agents --------------------------------------------------------------------------------- */

struct purse {
    int64_t balance;
};
static const struct stead_field purse_fields[] = {STEAD_FIELD(I64, struct purse, balance), STEAD_FIELDS_END};

static int purse_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct purse *)state)->balance));
}

static int purse_set(struct stead_turn *turn, void *state, struct stead_slice args)
{
    if (stead_get_i64(args, NULL, &((struct purse *)state)->balance) != 0)
        return stead_fail(turn, "bad_number", "set takes a number");
    return stead_reply(turn, args);
}

static const struct stead_op purse_ops[] = {{"get", purse_get, NULL, 0, "the balance"},
                                            {"set", purse_set, NULL, 0, "another balance"},
                                            {NULL, NULL, NULL, 0, NULL}};
static const struct stead_kind purse_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "purse",
                                             .state_size = sizeof(struct purse),
                                             .fields = purse_fields,
                                             .ops = purse_ops};
STEAD_MODULE(&square_activity, &slow_activity, &same_activity, &fat_activity, &purse_kind);

/* ---- Orchestrators -------------------------------------------------------------------------- */

static struct stead_slice number_for(struct stead_orchestration *o, int64_t number)
{
    return stead_packed_for(o, "l", number);
}

static int read_count(struct stead_slice input, int64_t *ret_count)
{
    int code = stead_get_i64(input, "count", ret_count);

    return code != 0 || *ret_count < 0 || *ret_count > COUNT_MAX ? STEAD_EARGUMENT : 0;
}

static bool is_set(struct stead_slice input, const char *field)
{
    bool value = false;

    return stead_get_bool(input, field, &value) == 0 && value;
}

static int add_square(struct stead_orchestration *o, const char *activity, int64_t number, int64_t *sum)
{
    struct stead_slice value;
    int64_t result = 0;
    int code = stead_await_activity(o, activity, number_for(o, number), &value);

    if (code == 0)
        code = stead_get_i64(value, NULL, &result);
    *sum += result;
    return code;
}

/* Waits where a test wants it to, and does a little more. */
static int pass_gate(struct stead_orchestration *o, struct stead_slice input, int64_t *sum)
{
    if (!is_set(input, "gate"))
        return 0;
    int code = stead_set_status(o, stead_packed_for(o, "s", "at the gate"));
    if (code == 0)
        code = stead_await_event(o, "go", -1, NULL);
    return code == 0 ? add_square(o, "soak.square", 1, sum) : code;
}

static int chain(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0;
    int code = read_count(input, &count);

    for (int64_t i = 1; code == 0 && i <= count; i++)
        code = add_square(o, "soak.square", i, &sum);
    if (code == 0)
        code = pass_gate(o, input, &sum);
    return code != 0 ? code : stead_complete(o, number_for(o, sum));
}

static int crowd(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0, result = 0;
    struct stead_slice value;
    int code = read_count(input, &count);

    if (code != 0)
        return code;
    struct stead_task *tasks = stead_keep_bytes(o, ((size_t)count + 1) * sizeof *tasks);
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "soak.square", number_for(o, i + 1), NULL);
    code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await(o, tasks[i], &value);
        if (code == 0)
            code = stead_get_i64(value, NULL, &result);
        sum += result;
    }
    if (code == 0)
        code = pass_gate(o, input, &sum);
    return code != 0 ? code : stead_complete(o, number_for(o, sum));
}

static int naps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task tasks[64];
    int64_t count = 0, rung = 0;
    int code = read_count(input, &count);

    if (code != 0 || count > 64)
        return STEAD_EARGUMENT;
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_timer(o, (int64_t)(stead_random_of(o) % NAP_MS));
    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await(o, tasks[i], NULL);
        rung += code == 0;
    }
    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await_timer(o, (int64_t)(stead_random_of(o) % NAP_MS));
        rung += code == 0;
    }
    return code != 0 ? code : stead_complete(o, number_for(o, rung));
}

static int ticks(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0, number = 0;
    struct stead_slice value;
    int code = read_count(input, &count);

    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await_event(o, "tick", -1, &value);
        if (code == 0)
            code = stead_get_i64(value, NULL, &number);
        sum += number;
    }
    return code != 0 ? code : stead_complete(o, number_for(o, sum));
}

static int tree(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task children[64];
    int64_t levels = 0, width = 0, leaves = 0, number = 0;
    bool wait = is_set(input, "wait");
    struct stead_slice value;
    int code = 0;

    if (stead_get_i64(input, "levels", &levels) != 0 || stead_get_i64(input, "width", &width) != 0 || width < 1 ||
        width > 64)
        return STEAD_EARGUMENT;
    if (levels <= 0) {
        if (wait)
            code = stead_await_event(o, "never", -1, NULL);
        else
            code = add_square(o, "soak.slow", 1, &leaves);
        return code != 0 ? code : stead_complete(o, number_for(o, 1));
    }
    for (int64_t i = 0; i < width; i++) {
        const struct stead_task_options options = {
            .instance_id = stead_printed_for(o, "%s.%lld", stead_instance_id(o), (long long)i)};
        children[i] = stead_begin_child(
            o, "tree", stead_packed_for(o, "{s:l,s:l,s:b}", "levels", levels - 1, "width", width, "wait", (int)wait),
            &options);
    }
    for (int64_t i = 0; code == 0 && i < width; i++) {
        code = stead_await(o, children[i], &value);
        if (code == 0)
            code = stead_get_i64(value, NULL, &number);
        leaves += number;
    }
    return code != 0 ? code : stead_complete(o, number_for(o, leaves));
}

/* One call that answers a number. */
static int call_number(struct stead_orchestration *o, const char *address, const char *op, struct stead_slice args,
                       int64_t *ret_number)
{
    struct stead_slice value;
    int code = stead_await_call(o, address, op, args, &value);

    return code != 0 ? code : stead_get_i64(value, NULL, ret_number);
}

static int move_money(struct stead_orchestration *o, const char *from, const char *to, int64_t amount)
{
    int64_t there = 0, here = 0, set = 0;
    int code = call_number(o, from, "get", number_for(o, 0), &here);

    if (code == 0)
        code = call_number(o, to, "get", number_for(o, 0), &there);
    if (code == 0)
        code = call_number(o, from, "set", number_for(o, here - amount), &set);
    if (code == 0)
        code = call_number(o, to, "set", number_for(o, there + amount), &set);
    return code;
}

static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    char from[STEAD_KEY_MAX], to[STEAD_KEY_MAX], record[STEAD_KEY_MAX];
    int64_t amount = 0, number = 0, count = 0;

    if (stead_get_text(input, "from", from, sizeof from) != 0 || stead_get_text(input, "to", to, sizeof to) != 0 ||
        stead_get_text(input, "record", record, sizeof record) != 0 || stead_get_i64(input, "amount", &amount) != 0 ||
        stead_get_i64(input, "number", &number) != 0)
        return STEAD_EARGUMENT;
    const char *const both[] = {from, to};
    int code = stead_lock(o, both, 2);
    if (code == 0)
        code = move_money(o, from, to, amount);
    stead_unlock(o);
    if (code == 0)
        code = call_number(o, record, "add", number_for(o, number), &count);
    return code != 0 ? code : stead_complete(o, number_for(o, amount));
}

static int laps(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t left = 0, sum = 0;
    int code = stead_get_i64(input, "left", &left) == 0 && stead_get_i64(input, "sum", &sum) == 0 ? 0 : STEAD_EARGUMENT;

    if (code == 0)
        code = add_square(o, "soak.slow", left, &sum);
    if (code != 0)
        return code;
    return left > 0 ? stead_continue_as_new(o, stead_packed_for(o, "{s:l,s:l}", "left", left - 1, "sum", sum))
                    : stead_complete(o, number_for(o, sum));
}

static int echo(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_activity(o, "soak.same", input, &value);

    return code != 0 ? code : stead_complete(o, value);
}

static int sleeper(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_event(o, "wake", -1, &value);

    (void)input;
    return code != 0 ? code : stead_complete(o, value);
}

static int carry_large(struct stead_orchestration *o, const char *what, struct stead_slice bytes, int64_t size,
                       struct stead_slice *ret_value)
{
    if (strcmp(what, "input") == 0)
        return stead_await_activity(o, "soak.same", bytes, ret_value);
    if (strcmp(what, "result") == 0)
        return stead_await_activity(o, "soak.fat", number_for(o, size), ret_value);
    return stead_await_event(o, "big", -1, ret_value);
}

static int large(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value = {NULL, 0};
    struct stead_writer bytes;
    char what[16];
    int64_t size = 0;

    if (stead_get_text(input, "what", what, sizeof what) != 0 || stead_get_i64(input, "size", &size) != 0 || size < 5 ||
        size > LARGE_MAX)
        return STEAD_EARGUMENT;
    stead_writer_init(&bytes);
    write_bytes(&bytes, (uint32_t)size);
    struct stead_slice kept = stead_keep(o, stead_written(&bytes));
    stead_writer_deinit(&bytes);
    if (strcmp(what, "output") == 0) {
        int code = stead_complete(o, kept);
        return code == 0 ? 0 : stead_complete(o, stead_packed_for(o, "s", stead_error_name(code)));
    }
    int code = carry_large(o, what, kept, size, &value);
    return stead_complete(o, code == 0 ? number_for(o, (int64_t)value.size)
                                       : stead_packed_for(o, "s", stead_await_error_name(o)));
}

static int wide(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    struct stead_writer bytes;
    int64_t count = 0, size = 0, sum = 0;
    bool fat = false;
    int code = 0;

    if (stead_get_i64(input, "count", &count) != 0 || stead_get_i64(input, "size", &size) != 0 || size < 5 ||
        size > LARGE_MAX || count < 0 || count > COUNT_MAX || stead_get_bool(input, "fat", &fat) == STEAD_EARGUMENT)
        return STEAD_EARGUMENT;
    struct stead_task *tasks = stead_keep_bytes(o, ((size_t)count + 1) * sizeof *tasks);
    stead_writer_init(&bytes);
    write_bytes(&bytes, (uint32_t)size);
    for (int64_t i = 0; i < count; i++)
        tasks[i] = fat ? stead_begin_activity(o, "soak.fat", number_for(o, size), NULL)
                       : stead_begin_activity(o, "soak.same", stead_written(&bytes), NULL);
    stead_writer_deinit(&bytes);
    for (int64_t i = 0; code == 0 && i < count; i++) {
        code = stead_await(o, tasks[i], &value);
        sum += (int64_t)value.size;
    }
    return code != 0 ? code : stead_complete(o, number_for(o, sum));
}

#define ORCHESTRATOR(function)                                                                                         \
    static const struct stead_orchestrator function##_orchestrator = {.abi = STEAD_ORCHESTRATION_ABI,                  \
                                                                      .struct_size =                                   \
                                                                          sizeof(struct stead_orchestrator),           \
                                                                      .name = #function,                               \
                                                                      .version = 1,                                    \
                                                                      .run = (function)}
ORCHESTRATOR(chain);
ORCHESTRATOR(crowd);
ORCHESTRATOR(naps);
ORCHESTRATOR(ticks);
ORCHESTRATOR(tree);
ORCHESTRATOR(transfer);
ORCHESTRATOR(laps);
ORCHESTRATOR(echo);
ORCHESTRATOR(sleeper);
ORCHESTRATOR(large);
ORCHESTRATOR(wide);
STEAD_ORCHESTRATORS(&chain_orchestrator, &crowd_orchestrator, &naps_orchestrator, &ticks_orchestrator,
                    &tree_orchestrator, &transfer_orchestrator, &laps_orchestrator, &echo_orchestrator,
                    &sleeper_orchestrator, &large_orchestrator, &wide_orchestrator);
