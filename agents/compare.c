/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare: the orchestrations that `stead compare` runs on every fabric, with their small activities and agents. A node
 * has them only when the command or the bench starts it (stead node --bench-kinds). One function each, the same on
 * either fabric; compare_data.c has those that carry data.
 *
 *     compare.hello     {count, quick}          so many activities in sequence, each given the number of the step; answers how many said hello. quick: the idempotent one
 *     compare.fanout    {count}                 so many at once; answers the sum of their numbers
 *     compare.count     {key}                   one call to the agent compare.counter/KEY; answers its count
 *     compare.transfer  {from, to, amount}      locks two accounts, looks, moves; answers whether there was enough
 *     compare.serve     {store, words}          a batch of documents: by the model that lives in an agent, or, with `store` (an endpoint), by an activity that fetches it
 *     compare.train     {store, key, blocks, steps}  gradient descent over blocks that live in an agent, or are fetched by an activity in each step
 */
#include "agents/compare.h"

#include <string.h>

#include "agents/agents.h"
#include "agents/bench_flow.h"

#define ADDRESS_SIZE 128
#define HELLOS_MAX 100000
#define FAN_MAX 100000

/* ---- Activities and agents ------------------------------------------------------------------ */

/* {name} -> "Hello NAME!" */
static int say_hello(struct stead_job *job, struct stead_slice args)
{
    char name[64], text[80] = "Hello ";

    int code = stead_get_text(args, "name", name, sizeof name);
    if (code != 0)
        return stead_job_fail(job, "bad_name", "needs a name of at most 63 bytes");
    strcat(strcat(text, name), "!");
    return stead_job_reply(job, stead_job_packed(job, "s", text));
}

/* Answers its argument. */
static int do_nothing(struct stead_job *job, struct stead_slice args)
{
    return stead_job_reply(job, args);
}

#define ACTIVITY(identifier, activity_name, job_function, kind_flags)                                                  \
    static const struct stead_op identifier##_ops[] = {{"run", NULL, job_function, 0, NULL},                           \
                                                       {NULL, NULL, NULL, 0, NULL}};                                   \
    const struct stead_kind identifier = {.abi = STEAD_ABI,                                                            \
                                          .struct_size = sizeof(struct stead_kind),                                    \
                                          .name = (activity_name),                                                     \
                                          .durability = STEAD_STATELESS,                                               \
                                          .flags = (kind_flags),                                                       \
                                          .ops = identifier##_ops,                                                     \
                                          .needs = STEAD_COMPARE_LABEL}
ACTIVITY(stead_compare_hello_kind, "compare.say_hello", say_hello, 0);
ACTIVITY(stead_compare_quick_hello_kind, "compare.say_hello_quick", say_hello, STEAD_KIND_IDEMPOTENT);
ACTIVITY(stead_compare_noop_kind, "compare.noop", do_nothing, 0);

struct balance {
    int64_t amount;
};

static const struct stead_field balance_fields[] = {STEAD_FIELD(I64, struct balance, amount), STEAD_FIELDS_END};

static int add_one(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct balance *counter = state;

    (void)args;
    counter->amount++;
    return stead_reply(turn, stead_packed(turn, "l", counter->amount));
}

static const struct stead_op counter_ops[] = {{"add", add_one, NULL, 0, "counts and answers the count"},
                                              {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_counter_kind = {.abi = STEAD_ABI,
                                                      .struct_size = sizeof(struct stead_kind),
                                                      .name = "compare.counter",
                                                      .help = "durable; counts",
                                                      .state_size = sizeof(struct balance),
                                                      .fields = balance_fields,
                                                      .ops = counter_ops,
                                                      .needs = STEAD_COMPARE_LABEL};

static int look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct balance *)state)->amount));
}

/* Takes a number, which may be below 0. */
static int move(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct balance *account = state;
    int64_t by = 0;

    if (stead_get_i64(args, NULL, &by) != 0)
        return stead_fail(turn, "bad_amount", "needs a number");
    account->amount += by;
    return stead_reply(turn, stead_packed(turn, "l", account->amount));
}

static const struct stead_op account_ops[] = {{"get", look, NULL, STEAD_OP_READ_ONLY, "answers the balance"},
                                              {"move", move, NULL, 0, "adds a number to the balance"},
                                              {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_compare_account_kind = {.abi = STEAD_ABI,
                                                      .struct_size = sizeof(struct stead_kind),
                                                      .name = "compare.account",
                                                      .help = "durable; a balance",
                                                      .state_size = sizeof(struct balance),
                                                      .fields = balance_fields,
                                                      .ops = account_ops,
                                                      .needs = STEAD_COMPARE_LABEL};

/* ---- Orchestrations ------------------------------------------------------------------------- */

static int hello(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, said = 0;
    bool quick = false;

    if (stead_get_i64(input, "count", &count) != 0 || count < 1 || count > HELLOS_MAX ||
        stead_get_bool(input, "quick", &quick) == STEAD_EARGUMENT)
        return stead_fail_with(o, "bad_input", "count is a number from 1 to %d", HELLOS_MAX);
    for (int64_t i = 0; i < count; i++) {
        const char *name = stead_printed_for(o, "city %lld", (long long)i);
        struct stead_slice text = {NULL, 0};
        int code = stead_await_activity(o, quick ? "compare.say_hello_quick" : "compare.say_hello",
                                        stead_packed_for(o, "{s:s}", "name", name), &text);
        if (code != 0)
            return code;
        said += stead_get_str(text, NULL, &text) == 0 && text.size > 6 && memcmp(text.data, "Hello ", 6) == 0;
    }
    return stead_complete(o, stead_packed_for(o, "l", said));
}

static int fanout(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t count = 0, sum = 0;

    if (stead_get_i64(input, "count", &count) != 0 || count < 1 || count > FAN_MAX)
        return stead_fail_with(o, "bad_input", "count is a number from 1 to %d", FAN_MAX);
    struct stead_task *tasks = stead_keep_bytes(o, (size_t)count * sizeof *tasks);
    for (int64_t i = 0; i < count; i++)
        tasks[i] = stead_begin_activity(o, "compare.noop", stead_packed_for(o, "l", i), NULL);
    int code = stead_await_all(o, tasks, (uint32_t)count);
    for (int64_t i = 0; i < count && code == 0; i++) {
        struct stead_slice value;
        int64_t number = 0;
        code = stead_await(o, tasks[i], &value);
        if (code == 0)
            code = stead_get_i64(value, NULL, &number);
        sum += number;
    }
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "l", sum));
}

/* "KIND/KEY" out of the input's text `field`, kept. NULL: there is none. */
static const char *take_address(struct stead_orchestration *o, struct stead_slice input, const char *field,
                                const char *kind)
{
    char key[64];

    if (stead_get_text(input, field, key, sizeof key) != 0)
        return NULL;
    char *address = stead_keep_bytes(o, ADDRESS_SIZE);
    return strcat(strcat(strcpy(address, kind), "/"), key);
}

static int count(struct stead_orchestration *o, struct stead_slice input)
{
    const char *counter = take_address(o, input, "key", "compare.counter");
    struct stead_slice value;

    if (!counter)
        return stead_fail_with(o, "bad_input", "needs a key");
    int code = stead_await_call(o, counter, "add", (struct stead_slice){NULL, 0}, &value);
    return code != 0 ? code : stead_complete(o, value);
}

/* Both ways of a transfer, inside the critical section. */
static int move_money(struct stead_orchestration *o, const char *from, const char *to, int64_t amount, bool *ret_moved)
{
    struct stead_slice value;
    int64_t balance = 0;

    int code = stead_await_call(o, from, "get", (struct stead_slice){NULL, 0}, &value);
    if (code == 0)
        code = stead_get_i64(value, NULL, &balance);
    if (code != 0 || balance < amount)
        return code;
    struct stead_task both[2] = {stead_begin_call(o, from, "move", stead_packed_for(o, "l", -amount), NULL),
                                 stead_begin_call(o, to, "move", stead_packed_for(o, "l", amount), NULL)};
    code = stead_await_all(o, both, 2);
    *ret_moved = code == 0;
    return code;
}

static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    const char *accounts[2] = {take_address(o, input, "from", "compare.account"),
                               take_address(o, input, "to", "compare.account")};
    int64_t amount = 0;
    bool moved = false;

    if (!accounts[0] || !accounts[1] || stead_get_i64(input, "amount", &amount) != 0)
        return stead_fail_with(o, "bad_input", "needs from, to and amount");
    int code = stead_lock(o, accounts, 2);
    if (code == 0)
        code = move_money(o, accounts[0], accounts[1], amount, &moved);
    stead_unlock(o);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "b", (int)moved));
}

static int serve(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice words, store, value;

    if (stead_get_value(input, "words", &words) != 0)
        return stead_fail_with(o, "bad_input", "needs words");
    bool fetched = stead_get_value(input, "store", &store) == 0;
    int code = fetched ? stead_await_activity(o, "compare.predict", input, &value)
                       : stead_await_call(o, "compare.model/one", "predict", words, &value);
    return code != 0 ? code : stead_complete(o, value);
}

static int train(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice store, weights = {NULL, 0}, value = {NULL, 0};
    const char *trainer = take_address(o, input, "key", "compare.trainer");
    int64_t blocks = 0, steps = 0;

    if (!trainer || stead_get_i64(input, "blocks", &blocks) != 0 || stead_get_i64(input, "steps", &steps) != 0)
        return stead_fail_with(o, "bad_input", "needs key, blocks and steps");
    bool fetched = stead_get_value(input, "store", &store) == 0;
    for (int64_t step = 0; step < steps; step++) {
        int code =
            fetched ? stead_await_activity(
                          o, "compare.step",
                          stead_packed_for(o, "{s:v,s:l,s:v}", "store", store, "blocks", blocks, "weights", weights),
                          &value)
                    : stead_await_call(o, trainer, "step",
                                       stead_packed_for(o, "{s:l,s:b}", "blocks", blocks, "first", step == 0), &value);
        if (code == 0 && fetched)
            code = stead_get_value(value, "weights", &weights);
        if (code != 0)
            return code;
        weights = stead_keep(o, weights);
    }
    int code = stead_get_value(value, "loss", &value);
    return code != 0 ? code : stead_complete(o, value);
}

#define ORCHESTRATOR(identifier, orchestrator_name, function)                                                          \
    static const struct stead_orchestrator identifier = {.abi = STEAD_ORCHESTRATION_ABI,                               \
                                                         .struct_size = sizeof(struct stead_orchestrator),             \
                                                         .name = (orchestrator_name),                                  \
                                                         .version = 1,                                                 \
                                                         .run = (function)}
ORCHESTRATOR(hello_orchestrator, "compare.hello", hello);
ORCHESTRATOR(fanout_orchestrator, "compare.fanout", fanout);
ORCHESTRATOR(count_orchestrator, "compare.count", count);
ORCHESTRATOR(transfer_orchestrator, "compare.transfer", transfer);
ORCHESTRATOR(serve_orchestrator, "compare.serve", serve);
ORCHESTRATOR(train_orchestrator, "compare.train", train);

const struct stead_orchestrator *const stead_bench_orchestrators[] = {
    &hello_orchestrator,    &fanout_orchestrator, &count_orchestrator,
    &transfer_orchestrator, &serve_orchestrator,  &train_orchestrator,
    &stead_bench_sleeper,   &stead_bench_ticks,   NULL};
