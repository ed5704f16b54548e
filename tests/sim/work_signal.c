/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals between agents: sources that signal sinks, at once and delayed, and accounts that move money.
 *
 * A source numbers what it sends to each sink; the sink expects each number once, in order (a channel keeps the order
 * of one slot to another) and counts what it was given under the number of the client's request. A transfer debits here
 * and credits there, by signal or by call; a call that is refused is refunded. Money is never made or lost: at the end
 * the balances add up to what the accounts were born with.
 */
#include "tests/sim/work.h"

#define SOURCES 3u
#define ACCOUNTS 5u
#define BIRTH_BALANCE 1000

/* ---- Sources and sinks ------------------------------------------------------------------------------------ */

static int emit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0, id = 0, padding = 0, times = 0;
    static const uint8_t zeroes[4096];
    char sink[48];
    int code = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0 || stead_get_text(args, "sink", sink, sizeof sink) != 0 ||
        stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "times", &times) != 0 ||
        stead_get_u64(args, "padding", &padding) != 0 || padding > sizeof zeroes)
        return stead_fail(turn, "bad_args", "to, sink, id, times and padding are needed");
    int64_t number = stead_kv_number(turn, 'n', to);
    for (uint64_t n = 1; n <= times && code == 0; n++)
        code = stead_signal(turn, sink, "put",
                            stead_packed(turn, "{s:s,s:l,s:u,s:b,s:B}", "from", stead_self_key(turn), "number",
                                         ++number, "id", id, "last", (int)(n == times), "padding",
                                         (struct stead_slice){zeroes, (size_t)padding}));
    stead_kv_set_number(turn, 'n', to, number);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", number));
}

static int later(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;
    int64_t delay = 0;
    char sink[48];

    (void)state;
    if (stead_get_text(args, "sink", sink, sizeof sink) != 0 || stead_get_u64(args, "id", &id) != 0 ||
        stead_get_i64(args, "delay", &delay) != 0)
        return stead_fail(turn, "bad_args", "sink, id and delay are needed");
    int code = stead_signal_after(turn, sink, "late", stead_packed(turn, "u", id), delay);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int dump_sent(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'n'));
}

static const struct stead_op source_ops[] = {{.name = "emit", .run = emit},
                                             {.name = "later", .run = later},
                                             {.name = "dump", .run = dump_sent, .flags = STEAD_OP_READ_ONLY},
                                             {0}};
static const struct stead_kind source_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "source", .ops = source_ops};

int stead_sink_put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0, source = 0;
    int64_t number = 0;
    bool last_of_request = false;
    char from[16];

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_i64(args, "number", &number) != 0 ||
        stead_get_text(args, "from", from, sizeof from) != 0 || stead_get_bool(args, "last", &last_of_request) != 0)
        return stead_fail(turn, "bad_args", "from, number, id and last are needed");
    source = (uint64_t)(from[1] - '0');
    if (strcmp(stead_sender(turn), stead_printed(turn, "source/%s", from)) != 0)
        stead_sim_broken("%s has the sender %s, sent by source/%s", stead_self(turn), stead_sender(turn), from);
    int64_t last = stead_kv_number(turn, 'l', source);
    if (number != last + 1)
        stead_sim_broken("%s takes number %lld of %s after number %lld", stead_self(turn), (long long)number, from,
                         (long long)last);
    stead_kv_set_number(turn, 'l', source, number);
    if (last_of_request)
        stead_kv_set_number(turn, 'i', id, stead_kv_number(turn, 'i', id) + 1);
    return 0;
}

int stead_sink_late(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &id) != 0)
        return stead_fail(turn, "bad_args", "the id is missing");
    stead_kv_set_number(turn, 'i', id, stead_kv_number(turn, 'i', id) + 1);
    return 0;
}

int stead_sink_taken(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'i'));
}

int stead_sink_last(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'l'));
}

static const struct stead_op sink_ops[] = {{.name = "put", .run = stead_sink_put},
                                           {.name = "late", .run = stead_sink_late},
                                           {.name = "taken", .run = stead_sink_taken, .flags = STEAD_OP_READ_ONLY},
                                           {.name = "last", .run = stead_sink_last, .flags = STEAD_OP_READ_ONLY},
                                           {0}};
static const struct stead_kind sink_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "sink", .ops = sink_ops};

void stead_sim_send(struct stead_sim *sim, struct stead_sim_client *client, const struct stead_sim_sources *sources,
                    uint64_t times, int64_t delay_ms)
{
    int verb = times > 0 ? STEAD_SIM_EMIT : STEAD_SIM_LATER;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, sources->workload, verb, (uint32_t)stead_world_below(&sim->world, SOURCES));
    enum stead_message_type type = stead_world_chance(&sim->world, 500) ? STEAD_SIGNAL : STEAD_CALL;
    char address[48], sink[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "source/%c%u", sources->letter, op->agent);
    op->in[0] = (int64_t)stead_world_below(&sim->world, STEAD_SIM_SINKS);
    op->in[1] = stead_world_chance(&sim->world, 100) ? (int64_t)stead_world_below(&sim->world, 4096 / (times + 1)) : 0;
    stead_format(sink, sizeof sink, "%s/{%c%u}", sources->sinks, sources->letter, (unsigned)op->in[0]);
    if (verb == STEAD_SIM_EMIT)
        stead_sim_op_pack(sim, op, type, address, "emit", "{s:l,s:s,s:l,s:u,s:l}", "to", op->in[0], "sink", sink, "id",
                          (int64_t)op->number, "times", times, "padding", op->in[1]);
    else
        stead_sim_op_pack(sim, op, type, address, "later", "{s:s,s:l,s:l}", "sink", sink, "id", (int64_t)op->number,
                          "delay", delay_ms);
}

void stead_sim_check_sinks(struct stead_sim *sim, const struct stead_sim_sources *sources)
{
    static struct stead_tally tally, sent[SOURCES]; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t source = 0; source < SOURCES; source++) {
        stead_format(address, sizeof address, "source/%c%u", sources->letter, source);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &sent[source]);
    }
    for (uint32_t sink = 0; sink < STEAD_SIM_SINKS; sink++) {
        stead_format(address, sizeof address, "%s/{%c%u}", sources->sinks, sources->letter, sink);
        stead_tally_read(sim, stead_sim_ask(sim, address, "taken", (struct stead_slice){0}), &tally);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, sources->workload, &at)) != NULL;)
            if (op->verb <= STEAD_SIM_LATER && op->in[0] == (int64_t)sink)
                stead_sim_check_once(sim, op, stead_tally_of(&tally, op->number), sources->workload->name);
        stead_tally_read(sim, stead_sim_ask(sim, address, "last", (struct stead_slice){0}), &tally);
        for (uint32_t source = 0; source < SOURCES; source++)
            if (stead_tally_of(&tally, source) != stead_tally_of(&sent[source], sink))
                stead_world_fail(&sim->world, "source/%c%u has sent %lld signals to %s, which has taken %lld",
                                 sources->letter, source, (long long)stead_tally_of(&sent[source], sink), address,
                                 (long long)stead_tally_of(&tally, source));
    }
}

static const struct stead_sim_sources sources = {&stead_work_signal, "sink", 's'};

static void issue_signal(struct stead_sim *sim, struct stead_sim_client *client)
{
    bool later = !stead_world_chance(&sim->world, 850);

    stead_sim_send(sim, client, &sources, !later, later ? (int64_t)stead_world_below(&sim->world, 200) : 0);
}

static void verify_signal(struct stead_sim *sim)
{
    stead_sim_check_sinks(sim, &sources);
}

static const struct stead_kind *const signal_kinds[] = {&source_kind, &sink_kind, NULL};
const struct stead_workload stead_work_signal = {
    .name = "signal", .kinds = signal_kinds, .issue = issue_signal, .verify = verify_signal};

/* ---- Bank ------------------------------------------------------------------------------------------------------ */

struct account {
    int64_t balance;
};

static int open_account(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct account *)state)->balance = BIRTH_BALANCE;
    return 0;
}

/* Debits and sends the money on its way; -1: not enough. */
static int transfer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    const struct stead_call_options options = {.reply_op = "credited", .context = args, .timeout_ms = 3600000};
    int64_t amount = 0;
    uint64_t to = 0;
    bool by_call = false;

    if (stead_get_i64(args, "amount", &amount) != 0 || stead_get_u64(args, "to", &to) != 0 ||
        stead_get_bool(args, "call", &by_call) != 0)
        return stead_fail(turn, "bad_args", "to, amount and call are needed");
    if (account->balance < amount)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)-1));
    account->balance -= amount;
    const char *address = stead_printed(turn, "bank/a%llu", (unsigned long long)to);
    int code = by_call ? stead_call(turn, address, "credit_or_not", args, &options)
                       : stead_signal(turn, address, "credit", args);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", account->balance));
}

static int credit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t amount = 0;

    if (stead_get_i64(args, "amount", &amount) != 0)
        return stead_fail(turn, "bad_args", "amount is needed");
    ((struct account *)state)->balance += amount;
    return 0;
}

/* Refuses every third amount, after it has changed its state: the failed turn leaves nothing. */
static int credit_or_not(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t amount = 0;
    int code = credit(turn, state, args);

    if (code != 0)
        return code;
    if (stead_get_i64(args, "amount", &amount) != 0 || amount % 3 == 0)
        return stead_fail(turn, "refused", "no amounts that three divides");
    return 0;
}

/* The context is the transfer's arguments. */
static int credited(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice context = stead_call_context(turn);
    int64_t amount = 0;

    (void)args;
    if (stead_get_i64(context, "amount", &amount) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    if (stead_reply_code(turn) == 0)
        return 0;
    if (stead_reply_code(turn) != STEAD_EFAILED || strcmp(stead_reply_error_name(turn), "refused") != 0)
        stead_sim_broken("%s: its transfer ends with %s (%s)", stead_self(turn),
                         stead_error_name(stead_reply_code(turn)), stead_reply_error_name(turn));
    ((struct account *)state)->balance += amount;
    return 0;
}

static int balance(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct account *)state)->balance));
}

static const struct stead_field account_fields[] = {STEAD_FIELD(I64, struct account, balance), STEAD_FIELDS_END};
static const struct stead_op bank_ops[] = {{.name = "transfer", .run = transfer},
                                           {.name = "credit", .run = credit},
                                           {.name = "credit_or_not", .run = credit_or_not},
                                           {.name = "credited", .run = credited},
                                           {.name = "balance", .run = balance, .flags = STEAD_OP_READ_ONLY},
                                           {0}};
static const struct stead_kind bank_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "bank",
                                            .state_size = sizeof(struct account),
                                            .fields = account_fields,
                                            .ops = bank_ops,
                                            .init = open_account};

static void issue_bank(struct stead_sim *sim, struct stead_sim_client *client)
{
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_bank, 0, (uint32_t)stead_world_below(&sim->world, ACCOUNTS));
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "bank/a%u", op->agent);
    op->in[0] = (int64_t)stead_world_below(&sim->world, ACCOUNTS);
    op->in[1] = 1 + (int64_t)stead_world_below(&sim->world, 300);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "transfer", "{s:l,s:l,s:b}", "to", op->in[0], "amount", op->in[1],
                      "call", (int)stead_world_chance(&sim->world, 400));
}

static void verify_bank(struct stead_sim *sim)
{
    int64_t sum = 0;
    char address[48];

    for (uint32_t account = 0; account < ACCOUNTS; account++) {
        stead_format(address, sizeof address, "bank/a%u", account);
        int64_t it = stead_sim_ask_i64(sim, address, "balance");
        if (it < 0)
            stead_world_fail(&sim->world, "%s is overdrawn", address);
        sum += it;
    }
    if (sum != (int64_t)ACCOUNTS * BIRTH_BALANCE)
        stead_world_fail(&sim->world, "the accounts were born with %d and hold %lld", (int)ACCOUNTS * BIRTH_BALANCE,
                         (long long)sum);
}

static const struct stead_kind *const bank_kinds[] = {&bank_kind, NULL};
const struct stead_workload stead_work_bank = {
    .name = "bank", .kinds = bank_kinds, .issue = issue_bank, .verify = verify_bank};
