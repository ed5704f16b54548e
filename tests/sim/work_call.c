/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls between agents, and from agents to stateless kinds.
 *
 *     client --ask--> asker --call--> teller (answers at once, fails, or answers later from a timer)
 *            <-answer- asker <-reply-- teller
 *
 * Every third goes on through a herald, who owes the asker as the asker owes the client: a chain of calls, without
 * deadlines, so that an answer that is lost on the way is waited for when all has drained.
 *
 * The asker owes its client the answer (a reply token) until its own call has ended. What must hold: a call ends
 * exactly once, in a turn of its reply op; what the caller is told is what the callee did; the client is told the same.
 */
#include "tests/sim/work.h"

#define ASKERS 3u
#define TELLERS 3u

/* Whether this one goes through a herald. */
#define HERALDED(id) ((id) % 3 == 0)
/* How a call ended, as the asker writes it down: 1 + the negated code. */
#define ENDED(code) (1 - (int64_t)(code))

/* ---- Asker ---------------------------------------------------------------------------------------------- */

static int begin_call(struct stead_turn *turn, struct stead_slice args, const char *address, const char *op,
                      int64_t timeout_ms)
{
    struct stead_call_options options = {.reply_op = "told", .timeout_ms = timeout_ms};
    struct stead_token token;
    uint64_t id = 0;

    if (stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "id is needed");
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    stead_kv_set_number(turn, 'a', id, stead_kv_number(turn, 'a', id) + 1);
    options.context = stead_packed(turn, "{s:u,s:s}", "id", id, "token", token.text);
    return stead_call(turn, address, op, args, &options);
}

static int ask(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0, id = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0 || stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "to and id are needed");
    const char *kind = HERALDED(id) ? "herald/h" : "teller/t";
    return begin_call(turn, args, stead_printed(turn, "%s%llu", kind, (unsigned long long)to), "bump",
                      HERALDED(id) ? STEAD_TIMEOUT_NEVER : 0);
}

static int work(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "to is needed");
    return begin_call(turn, args, stead_printed(turn, "worker/w%llu", (unsigned long long)to), "square", 0);
}

/* Writes down how the call ended and tells the client. */
static int told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice context = stead_call_context(turn);
    struct stead_token token;
    uint64_t id = 0;
    int64_t value = 0;

    (void)state;
    if (stead_get_u64(context, "id", &id) != 0 || stead_get_text(context, "token", token.text, sizeof token.text) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    if (stead_kv_number(turn, 't', id) != 0)
        stead_sim_broken("call %llu of %s ends twice", (unsigned long long)id, stead_self(turn));
    int code = stead_reply_code(turn);
    stead_kv_set_number(turn, 't', id, ENDED(code));
    if (code == 0 && (stead_get_i64(args, NULL, &value) != 0 || value != (int64_t)(id * id)))
        stead_sim_broken("call %llu of %s gets the answer of another", (unsigned long long)id, stead_self(turn));
    code = stead_answer(turn, &token, stead_packed(turn, "l", ENDED(code)));
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int dump_begun(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'a'));
}

static int dump_ended(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 't'));
}

static const struct stead_op asker_ops[] = {{.name = "ask", .run = ask},
                                            {.name = "work", .run = work},
                                            {.name = "told", .run = told},
                                            {.name = "begun", .run = dump_begun, .flags = STEAD_OP_READ_ONLY},
                                            {.name = "ended", .run = dump_ended, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind asker_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "asker", .ops = asker_ops};

/* ---- Herald ------------------------------------------------------------------------------------------------ */

static int herald_bump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t to = 0;

    (void)state;
    if (stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "to is needed");
    return begin_call(turn, args, stead_printed(turn, "teller/t%llu", (unsigned long long)to), "bump",
                      STEAD_TIMEOUT_NEVER);
}

/* Hands on what it was told. */
static int herald_told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)state;
    if (stead_get_text(stead_call_context(turn), "token", token.text, sizeof token.text) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    int code = stead_reply_code(turn) == 0
                   ? stead_answer(turn, &token, args)
                   : stead_answer_error(turn, &token, stead_reply_error_name(turn), "as it was told");
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static const struct stead_op herald_ops[] = {
    {.name = "bump", .run = herald_bump}, {.name = "told", .run = herald_told}, {0}};
static const struct stead_kind herald_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "herald", .ops = herald_ops};

/* ---- Teller ------------------------------------------------------------------------------------------------ */

static int bump(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "id is needed");
    stead_kv_set_number(turn, 'b', id, stead_kv_number(turn, 'b', id) + 1);
    if (id % 5 == 0)
        return stead_fail(turn, "refused", "no numbers that five divides");
    if (id % 4 != 0)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)(id * id)));
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    return stead_timer_after(turn, stead_printed(turn, "answer%llu", (unsigned long long)id), (int64_t)(id % 64),
                             "answer", stead_packed(turn, "{s:u,s:s}", "id", id, "token", token.text));
}

static int answer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_text(args, "token", token.text, sizeof token.text) != 0)
        stead_sim_broken("a timer of %s rings without its arguments", stead_self(turn));
    int code = stead_answer(turn, &token, stead_packed(turn, "l", (int64_t)(id * id)));
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int dump_bumps(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'b'));
}

static const struct stead_op teller_ops[] = {{.name = "bump", .run = bump},
                                             {.name = "answer", .run = answer},
                                             {.name = "bumps", .run = dump_bumps, .flags = STEAD_OP_READ_ONLY},
                                             {0}};
static const struct stead_kind teller_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "teller", .ops = teller_ops};

/* ---- Worker -------------------------------------------------------------------------------------------------- */

static int square(struct stead_job *job, struct stead_slice args)
{
    uint64_t id = 0;

    if (stead_get_u64(args, "id", &id) != 0)
        return stead_job_fail(job, "bad_args", "id is needed");
    if (id % 5 == 0)
        return stead_job_fail(job, "refused", "no numbers that five divides");
    return stead_job_reply(job, stead_job_packed(job, "l", (int64_t)(id * id)));
}

static const struct stead_op worker_ops[] = {{.name = "square", .job = square}, {0}};
static const struct stead_kind worker_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "worker",
                                              .durability = STEAD_STATELESS,
                                              .ops = worker_ops};

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void issue(struct stead_sim *sim, struct stead_sim_client *client, const struct stead_workload *workload,
                  const char *name)
{
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, workload, 0, (uint32_t)stead_world_below(&sim->world, ASKERS));
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "asker/%s%u", workload->name, op->agent);
    op->in[0] = (int64_t)stead_world_below(&sim->world, TELLERS);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, name, "{s:l,s:l}", "to", op->in[0], "id", (int64_t)op->number + 1);
}

static void issue_call(struct stead_sim *sim, struct stead_sim_client *client)
{
    issue(sim, client, &stead_work_call, "ask");
}

static void issue_job(struct stead_sim *sim, struct stead_sim_client *client)
{
    issue(sim, client, &stead_work_job, "work");
}

static void read_call(struct stead_sim *sim, struct stead_sim_op *op, struct stead_slice value)
{
    if (stead_get_i64(value, NULL, &op->out) != 0)
        stead_world_fail(&sim->world, "the answer to request %u is no number", op->number);
}

static void check_call(struct stead_sim *sim, const struct stead_sim_op *op, int64_t begun, int64_t ended,
                       int64_t bumps)
{
    uint64_t id = op->number + 1;

    stead_sim_check_once(sim, op, begun, "call begun");
    if (begun != (ended != 0))
        stead_world_fail(&sim->world, "call %llu of asker %u was begun %lld times and ended with %lld",
                         (unsigned long long)id, op->agent, (long long)begun, (long long)ended);
    if (stead_sim_op_outcome(op) == STEAD_SIM_DONE && op->out != ended)
        stead_world_fail(&sim->world, "call %llu ended with %lld, its client was told %lld", (unsigned long long)id,
                         (long long)ended, (long long)op->out);
    if (ended != 0 && ended != ENDED(0) && ended != ENDED(STEAD_EFAILED) && ended != ENDED(STEAD_ETIMEOUT) &&
        ended != ENDED(STEAD_EEXPIRED))
        stead_world_fail(&sim->world, "call %llu ended with %s", (unsigned long long)id,
                         stead_error_name((int)(1 - ended)));
    if (ended == ENDED(STEAD_EFAILED) && id % 5 != 0)
        stead_world_fail(&sim->world, "call %llu failed and should not have", (unsigned long long)id);
    if (bumps < 0)
        return;
    if (HERALDED(id) && ended != 0 && ended != ENDED(0) && ended != ENDED(STEAD_EFAILED))
        stead_world_fail(&sim->world, "call %llu without a deadline ended with %s", (unsigned long long)id,
                         stead_error_name((int)(1 - ended)));
    if (bumps > 1 || (ended == ENDED(0) && bumps != 1) || (id % 5 == 0 && bumps != 0) || (begun == 0 && bumps != 0))
        stead_world_fail(&sim->world, "call %llu ended with %lld and had its effect %lld times", (unsigned long long)id,
                         (long long)ended, (long long)bumps);
}

static struct stead_tally *ask_tally(struct stead_sim *sim, struct stead_tally *tally, const char *address,
                                     const char *op)
{
    stead_tally_read(sim, stead_sim_ask(sim, address, op, (struct stead_slice){0}), tally);
    return tally;
}

static void verify(struct stead_sim *sim, const struct stead_workload *workload, bool bumped)
{
    static struct stead_tally begun, ended, bumps[TELLERS]; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t teller = 0; teller < TELLERS && bumped; teller++) {
        stead_format(address, sizeof address, "teller/t%u", teller);
        ask_tally(sim, &bumps[teller], address, "bumps");
    }
    for (uint32_t asker = 0; asker < ASKERS; asker++) {
        stead_format(address, sizeof address, "asker/%s%u", workload->name, asker);
        ask_tally(sim, &begun, address, "begun");
        ask_tally(sim, &ended, address, "ended");
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, workload, &at)) != NULL;) {
            uint64_t id = op->number + 1;
            if (op->agent == asker)
                check_call(sim, op, stead_tally_of(&begun, id), stead_tally_of(&ended, id),
                           bumped ? stead_tally_of(&bumps[op->in[0]], id) : -1);
        }
    }
}

static void verify_call(struct stead_sim *sim)
{
    verify(sim, &stead_work_call, true);
}

static void verify_job(struct stead_sim *sim)
{
    verify(sim, &stead_work_job, false);
}

static const struct stead_kind *const call_kinds[] = {&asker_kind, &herald_kind, &teller_kind, NULL};
static const struct stead_kind *const job_kinds[] = {&worker_kind, NULL};
const struct stead_workload stead_work_call = {
    .name = "call", .kinds = call_kinds, .issue = issue_call, .read = read_call, .verify = verify_call};
const struct stead_workload stead_work_job = {
    .name = "job", .kinds = job_kinds, .issue = issue_job, .read = read_call, .verify = verify_job};
