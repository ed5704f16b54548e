/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents whose state is more than one struct: an event-sourced ledger, a stock in keyed state, and effects under
 * idempotency keys.
 *
 * The ledger takes a snapshot every third event, so its state is nearly always made of a snapshot and events; its total
 * says which events it is made of. The stock keeps a total beside its rows: a scan that misses a row, or sees one
 * twice, shows at once.
 */
#include "tests/sim/work.h"

#define AGENTS 3u
#define SKUS 4u

static void read_number(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

/* ---- Ledger -------------------------------------------------------------------------------------------- */

struct ledger {
    int64_t total;
    int64_t posts;
};

static int apply_post(void *state, const char *event, struct stead_slice value)
{
    struct ledger *ledger = state;
    int64_t amount = 0;

    if (strcmp(event, "posted") != 0 || stead_get_i64(value, NULL, &amount) != 0)
        return STEAD_EARGUMENT;
    ledger->total += amount;
    ledger->posts++;
    return 0;
}

/* Two events for odd amounts: a turn's events stay together. */
static int post(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t amount = 0;
    int code;

    if (stead_get_i64(args, NULL, &amount) != 0)
        return stead_fail(turn, "bad_amount", "the amount must be an integer");
    if ((amount & 1) != 0 && (code = stead_emit(turn, "posted", stead_packed(turn, "l", (int64_t)1))) != 0)
        return code;
    code = stead_emit(turn, "posted", stead_packed(turn, "l", amount & ~(int64_t)1));
    if (code != 0)
        return code;
    return stead_reply(turn, stead_packed(turn, "l", ((struct ledger *)state)->total));
}

static int total(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct ledger *)state)->total));
}

static const struct stead_field ledger_fields[] = {STEAD_FIELD(I64, struct ledger, total),
                                                   STEAD_FIELD(I64, struct ledger, posts), STEAD_FIELDS_END};
static const struct stead_op ledger_ops[] = {
    {.name = "post", .run = post}, {.name = "total", .run = total, .flags = STEAD_OP_READ_ONLY}, {0}};
static const struct stead_kind ledger_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "ledger",
                                              .state_size = sizeof(struct ledger),
                                              .snapshot_every = 3,
                                              .fields = ledger_fields,
                                              .ops = ledger_ops,
                                              .apply = apply_post};

static const char *ledger_address(uint32_t agent, char *text)
{
    stead_format(text, 48, "ledger/{book%u}:main", agent);
    return text;
}

static void issue_ledger(struct stead_sim *sim, struct stead_sim_client *client)
{
    int verb = stead_world_chance(&sim->world, 700) ? STEAD_LIN_COUNTER_ADD : STEAD_LIN_COUNTER_GET;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_ledger, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    op->in[0] = 2 + (int64_t)stead_world_below(&sim->world, 1u << 30);
    stead_sim_op_pack(sim, op, STEAD_CALL, ledger_address(op->agent, address),
                      verb == STEAD_LIN_COUNTER_ADD ? "post" : "total", "l", op->in[0]);
}

static bool is_of_agent(const struct stead_sim_op *op, uint32_t agent, struct stead_lin_op *ret_op)
{
    (void)ret_op;
    return op->agent == agent;
}

static void verify_ledger(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++)
        stead_sim_ask_history(sim, &stead_work_ledger, STEAD_LIN_COUNTER_GET, agent, ledger_address(agent, address),
                              "total");
    stead_sim_check_histories(sim, &stead_work_ledger, &stead_lin_counter, AGENTS, is_of_agent);
}

static const struct stead_kind *const ledger_kinds[] = {&ledger_kind, NULL};
const struct stead_workload stead_work_ledger = {
    .name = "ledger", .kinds = ledger_kinds, .issue = issue_ledger, .read = read_number, .verify = verify_ledger};

/* ---- Stock ---------------------------------------------------------------------------------------------- */

enum { STOCK_SUM = 10, STOCK_CLEAR = 11 };

struct stock {
    int64_t total;
};

static int change(struct stead_turn *turn, struct stock *stock, struct stead_slice args, int sign)
{
    uint64_t sku = 0;
    int64_t amount = 0;

    if (stead_get_u64(args, "sku", &sku) != 0 || stead_get_i64(args, "amount", &amount) != 0)
        return stead_fail(turn, "bad_args", "sku and amount must be integers");
    int64_t now = stead_kv_number(turn, 's', sku);
    if (sign < 0 && now < amount)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)-1));
    now += sign * amount;
    stock->total += sign * amount;
    if (now != 0)
        stead_kv_set_number(turn, 's', sku, now);
    else if (stead_kv_delete(turn, stead_str(stead_printed(turn, "s%016llx", (unsigned long long)sku))) != 0)
        stead_sim_broken("a row of keyed state cannot be deleted");
    return stead_reply(turn, stead_packed(turn, "l", stead_kv_number(turn, 's', sku)));
}

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return change(turn, state, args, 1);
}

static int remove_some(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return change(turn, state, args, -1);
}

static int count_sku(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t sku = 0;

    (void)state;
    if (stead_get_u64(args, "sku", &sku) != 0)
        return stead_fail(turn, "bad_args", "sku must be an integer");
    return stead_reply(turn, stead_packed(turn, "l", stead_kv_number(turn, 's', sku)));
}

static int add_row(void *context, struct stead_slice key, struct stead_slice value)
{
    int64_t amount = 0;

    if (key.size != 17 || stead_get_i64(value, NULL, &amount) != 0)
        stead_sim_broken("a scan of the stock visits what nobody wrote");
    *(int64_t *)context += amount;
    return 0;
}

static int sum(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t seen = 0;

    (void)args;
    int code = stead_kv_scan(turn, stead_str("s"), (struct stead_slice){0}, 1000, add_row, &seen);
    if (code != 0)
        return code;
    if (seen != ((struct stock *)state)->total)
        stead_sim_broken("%s: its rows hold %lld, its total says %lld", stead_self(turn), (long long)seen,
                         (long long)((struct stock *)state)->total);
    return stead_reply(turn, stead_packed(turn, "l", seen));
}

/* Withdraws everything of the upper half of the rows, as one range. */
static int clear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stock *stock = state;
    int64_t upper = 0;
    uint32_t deleted = 0;
    struct stead_slice from = stead_str(stead_printed(turn, "s%016llx", (unsigned long long)(SKUS / 2)));

    (void)args;
    int code = stead_kv_scan(turn, from, stead_str("t"), 1000, add_row, &upper);
    if (code != 0)
        return code;
    code = stead_kv_delete_range(turn, from, stead_str("t"), 1000, &deleted);
    if (code != 0)
        return code;
    stock->total -= upper;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)deleted));
}

static const struct stead_field stock_fields[] = {STEAD_FIELD(I64, struct stock, total), STEAD_FIELDS_END};
static const struct stead_op stock_ops[] = {{.name = "put", .run = put},
                                            {.name = "take", .run = remove_some},
                                            {.name = "count", .run = count_sku, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "sum", .run = sum, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "clear", .run = clear},
                                            {0}};
static const struct stead_kind stock_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "stock",
                                             .state_size = sizeof(struct stock),
                                             .fields = stock_fields,
                                             .ops = stock_ops};

static const char *stock_address(uint32_t agent, char *text)
{
    stead_format(text, 48, "stock/k%u", agent);
    return text;
}

static void issue_stock(struct stead_sim *sim, struct stead_sim_client *client)
{
    static const char *const names[] = {"put", "take", "count"};
    uint64_t luck = stead_world_below(&sim->world, 12);
    int verb = luck < 10 ? (int)(luck % 3) : luck == 10 ? STOCK_SUM : STOCK_CLEAR;
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_stock, verb, (uint32_t)stead_world_below(&sim->world, AGENTS));
    char address[48];

    if (op == NULL)
        return;
    stock_address(op->agent, address);
    op->in[0] = 1 + (int64_t)stead_world_below(&sim->world, 50);
    op->in[1] = (int64_t)stead_world_below(&sim->world, SKUS);
    if (luck < 10)
        stead_sim_op_pack(sim, op, STEAD_CALL, address, names[verb], "{s:l,s:l}", "sku", op->in[1], "amount",
                          op->in[0]);
    else
        stead_sim_op_pack(sim, op, STEAD_CALL, address, verb == STOCK_SUM ? "sum" : "clear", "n");
}

/* Rows below the range that `clear` deletes are accounts of their own. */
static bool is_of_row(const struct stead_sim_op *op, uint32_t row, struct stead_lin_op *ret_op)
{
    (void)ret_op;
    return op->verb < STOCK_SUM && op->agent == row / SKUS && op->in[1] == (int64_t)(row % SKUS) &&
           row % SKUS < SKUS / 2;
}

static void verify_stock(struct stead_sim *sim)
{
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++)
        stead_sim_ask_i64(sim, stock_address(agent, address), "sum");
    stead_sim_check_histories(sim, &stead_work_stock, &stead_lin_account, AGENTS * SKUS, is_of_row);
}

static const struct stead_kind *const stock_kinds[] = {&stock_kind, NULL};
const struct stead_workload stead_work_stock = {
    .name = "stock", .kinds = stock_kinds, .issue = issue_stock, .read = read_number, .verify = verify_stock};

/* ---- Idempotency keys --------------------------------------------------------------------------------------- */

#define KEYS 12u

/* Counts how often the effect of each key took place. */
static int effect(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t number = 0;

    (void)state;
    if (stead_get_u64(args, NULL, &number) != 0)
        return stead_fail(turn, "bad_args", "the number of the key is missing");
    int64_t times = stead_kv_number(turn, 'k', number) + 1;
    stead_kv_set_number(turn, 'k', number, times);
    return stead_reply(turn, stead_packed(turn, "l", times));
}

static int dump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'k'));
}

static const struct stead_op keyed_ops[] = {
    {.name = "effect", .run = effect}, {.name = "dump", .run = dump, .flags = STEAD_OP_READ_ONLY}, {0}};
static const struct stead_kind keyed_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "keyed", .ops = keyed_ops};

static void issue_keyed(struct stead_sim *sim, struct stead_sim_client *client)
{
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_keyed, 0, (uint32_t)stead_world_below(&sim->world, AGENTS));
    struct stead_writer args;
    char address[48], key[24];

    if (op == NULL)
        return;
    op->in[0] = (int64_t)stead_world_below(&sim->world, KEYS);
    stead_format(address, sizeof address, "keyed/a%u", op->agent);
    stead_format(key, sizeof key, "key-%lld", (long long)op->in[0]);
    stead_writer_init(&args);
    stead_write_i64(&args, op->in[0]);
    const struct stead_sim_request request = {
        .type = STEAD_CALL, .address = address, .op = "effect", .args = stead_written(&args), .key = key};
    stead_sim_op_submit(sim, op, &request);
    stead_writer_deinit(&args);
}

static void verify_keyed(struct stead_sim *sim)
{
    static struct stead_tally tally; /* one run at a time */
    char address[48];

    for (uint32_t agent = 0; agent < AGENTS; agent++) {
        const struct stead_sim_op *op;
        uint32_t at = 0;
        stead_format(address, sizeof address, "keyed/a%u", agent);
        stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
        while ((op = stead_sim_op_next(sim, &stead_work_keyed, &at)) != NULL) {
            if (op->agent != agent)
                continue;
            stead_sim_check_once(sim, op, stead_tally_of(&tally, (uint64_t)op->in[0]), "idempotency key");
            if (stead_sim_op_outcome(op) == STEAD_SIM_DONE && op->out != 1)
                stead_world_fail(&sim->world, "request %u does not get the first answer of its key", op->number);
        }
    }
}

static const struct stead_kind *const keyed_kinds[] = {&keyed_kind, NULL};
const struct stead_workload stead_work_keyed = {
    .name = "keyed", .kinds = keyed_kinds, .issue = issue_keyed, .read = read_number, .verify = verify_keyed};
