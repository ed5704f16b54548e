/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errands: calls that may be taken back, that wait for ever, that have limits or a key, and jobs that start before the
 * commit.
 *
 *     client --send--> patron --call--> runner (a job), sprinter (a job that may start early), clerk (durable; answers at once or later; keyed)
 *
 * The client hears at once; the patron writes down how each call ended. What must hold, whoever dies when: a call ends
 * once, by its answer or by its cancel, never by both; one that waits for ever has an answer in the end; a cancel
 * succeeds exactly while the call waits; a clerk does what a key names once; the steps of a chain of early jobs follow
 * each other, each once.
 */
#include "tests/sim/work.h"

#define PATRONS 3u
#define CLERKS 3u
#define KEYS 12u
#define CHAIN 4u

/* What a request is for. */
enum { ERRAND_RUN, ERRAND_SPRINT, ERRAND_LIMITED, ERRAND_KEYED, ERRAND_CHAIN, ERRAND_CANCEL, ERRANDS };

#define ENDED(code) (1 - (int64_t)(code))
#define CANCELLED 1000 /* instead of a code */

/* ---- Patron ------------------------------------------------------------------------------------------- */

/* Whom a request of this number is sent to, and what becomes of its call. */
static const char *callee_of(struct stead_turn *turn, uint64_t id, uint64_t mode)
{
    uint64_t which = mode == ERRAND_CANCEL                           ? id % 3
                     : mode == ERRAND_KEYED                          ? 2
                     : mode == ERRAND_SPRINT || mode == ERRAND_CHAIN ? 1
                                                                     : 0;

    if (which == 2) /* all with one key go to one clerk */
        return stead_printed(turn, "clerk/c%llu", (unsigned long long)(id % KEYS % CLERKS));
    return stead_printed(turn, "%s/%llu", which == 1 ? "sprinter" : "runner", (unsigned long long)id);
}

/* What all calls with the key of this number ask for. */
static uint64_t keyed_of(uint64_t id)
{
    return 100000 + id % KEYS;
}

static int call(struct stead_turn *turn, uint64_t id, uint64_t mode, uint64_t step, struct stead_call_id *ret_call)
{
    const char *to = callee_of(turn, id, mode);
    struct stead_call_options options = {.reply_op = "told",
                                         .timeout_ms = STEAD_TIMEOUT_NEVER,
                                         .ret_call = ret_call,
                                         .context =
                                             stead_packed(turn, "{s:u,s:u,s:u}", "id", id, "mode", mode, "step", step)};

    if (mode == ERRAND_LIMITED) {
        options.start_timeout_ms = id % 3 == 0 ? 2 : 0;
        options.run_timeout_ms = id % 3 == 1 ? 2 : 0;
        options.heartbeat_timeout_ms = id % 3 == 2 ? 2 : 0;
    }
    if (mode == ERRAND_KEYED) {
        options.idempotency_key = stead_printed(turn, "k%llu", (unsigned long long)(id % KEYS));
        return stead_call(turn, to, "serve", stead_packed(turn, "{s:u}", "id", keyed_of(id)), &options);
    }
    return stead_call(turn, to, "serve", stead_packed(turn, "{s:u}", "id", id), &options);
}

static int send(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_id made;
    uint64_t id = 0, mode = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "mode", &mode) != 0)
        return stead_fail(turn, "bad_args", "id and mode are needed");
    stead_kv_set_number(turn, 'a', id, stead_kv_number(turn, 'a', id) + 1);
    int code = call(turn, id, mode, 1, &made);
    if (code == 0 && mode == ERRAND_CANCEL)
        code = stead_timer_after(
            turn, stead_printed(turn, "up%llu", (unsigned long long)id), (int64_t)(id % 8), "give_up",
            stead_packed(turn, "{s:u,s:B}", "id", id, "call", stead_bytes(made.bytes, sizeof made.bytes)));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static void note_end(struct stead_turn *turn, uint64_t id, int64_t how)
{
    int64_t ended = stead_kv_number(turn, 't', id);

    if (ended != 0)
        stead_sim_broken("errand %llu of %s ends with %lld after it has ended with %lld", (unsigned long long)id,
                         stead_self(turn), (long long)how, (long long)ended);
    stead_kv_set_number(turn, 't', id, how);
}

static int told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice context = stead_call_context(turn);
    struct stead_call_id made;
    uint64_t id = 0, mode = 0, step = 0;
    int64_t value = 0;

    (void)state;
    if (stead_get_u64(context, "id", &id) != 0 || stead_get_u64(context, "mode", &mode) != 0 ||
        stead_get_u64(context, "step", &step) != 0)
        stead_sim_broken("%s gets an answer without its context", stead_self(turn));
    uint64_t of = mode == ERRAND_KEYED ? keyed_of(id) : id;
    int code = stead_reply_code(turn);
    if (code == 0 && (stead_get_i64(args, NULL, &value) != 0 || value != (int64_t)(of * of)))
        stead_sim_broken("errand %llu of %s gets the answer of another", (unsigned long long)id, stead_self(turn));
    if (mode == ERRAND_CHAIN && code == 0) {
        if (stead_kv_number(turn, 's', id) != (int64_t)step - 1)
            stead_sim_broken("step %llu of errand %llu comes after %lld", (unsigned long long)step,
                             (unsigned long long)id, (long long)stead_kv_number(turn, 's', id));
        stead_kv_set_number(turn, 's', id, (int64_t)step);
        if (step < CHAIN)
            return call(turn, id, mode, step + 1, &made);
    }
    note_end(turn, id, ENDED(code));
    return 0;
}

static int give_up(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_id made;
    struct stead_slice bytes;
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_bin(args, "call", &bytes) != 0 ||
        bytes.size != sizeof made.bytes)
        stead_sim_broken("a timer of %s rings without its arguments", stead_self(turn));
    memcpy(made.bytes, bytes.data, sizeof made.bytes);
    bool waits = stead_kv_number(turn, 't', id) == 0;
    int code = stead_call_cancel(turn, &made);
    if (code == STEAD_EIO)
        return code;
    if (code != (waits ? 0 : STEAD_ENOTFOUND))
        stead_sim_broken("errand %llu of %s is cancelled, although it has ended, or not although it waits: %s",
                         (unsigned long long)id, stead_self(turn), stead_error_name(code));
    if (waits)
        note_end(turn, id, CANCELLED);
    return 0;
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

static const struct stead_op patron_ops[] = {{.name = "send", .run = send},
                                             {.name = "told", .run = told},
                                             {.name = "give_up", .run = give_up},
                                             {.name = "begun", .run = dump_begun, .flags = STEAD_OP_READ_ONLY},
                                             {.name = "ended", .run = dump_ended, .flags = STEAD_OP_READ_ONLY},
                                             {0}};
static const struct stead_kind patron_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "patron", .ops = patron_ops};

/* ---- Clerk, runner, sprinter ------------------------------------------------------------------------------ */

static int serve(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    uint64_t id = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0)
        return stead_fail(turn, "bad_args", "id is needed");
    stead_kv_set_number(turn, 'b', id, stead_kv_number(turn, 'b', id) + 1);
    if (id % 2 == 0)
        return stead_reply(turn, stead_packed(turn, "l", (int64_t)(id * id)));
    int code = stead_reply_later(turn, &token);
    return code != 0 ? code
                     : stead_timer_after(turn, token.text, (int64_t)(id % 16), "answer",
                                         stead_packed(turn, "{s:u,s:s}", "id", id, "token", token.text));
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

static int dump_served(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'b'));
}

static const struct stead_op clerk_ops[] = {{.name = "serve", .run = serve},
                                            {.name = "answer", .run = answer},
                                            {.name = "served", .run = dump_served, .flags = STEAD_OP_READ_ONLY},
                                            {0}};
static const struct stead_kind clerk_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "clerk", .ops = clerk_ops};

static int serve_job(struct stead_job *job, struct stead_slice args)
{
    uint64_t id = 0;

    if (stead_job_cancelled(job))
        return STEAD_ECANCELLED;
    if (stead_get_u64(args, "id", &id) != 0)
        return stead_job_fail(job, "bad_args", "id is needed");
    return stead_job_reply(job, stead_job_packed(job, "l", (int64_t)(id * id)));
}

static const struct stead_op job_ops[] = {{.name = "serve", .job = serve_job}, {0}};
static const struct stead_kind runner_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "runner",
                                              .durability = STEAD_STATELESS,
                                              .ops = job_ops};
static const struct stead_kind sprinter_kind = {.abi = STEAD_ABI,
                                                .struct_size = sizeof(struct stead_kind),
                                                .name = "sprinter",
                                                .durability = STEAD_STATELESS,
                                                .flags = STEAD_KIND_IDEMPOTENT,
                                                .ops = job_ops};

/* ---- Requests ------------------------------------------------------------------------------------------------- */

static void issue_errand(struct stead_sim *sim, struct stead_sim_client *client)
{
    int mode = (int)stead_world_below(&sim->world, ERRANDS);
    struct stead_sim_op *op =
        stead_sim_op_new(sim, client, &stead_work_errand, mode, (uint32_t)stead_world_below(&sim->world, PATRONS));
    char address[48];

    if (op == NULL)
        return;
    stead_format(address, sizeof address, "patron/p%u", op->agent);
    stead_sim_op_pack(sim, op, STEAD_CALL, address, "send", "{s:l,s:l}", "id", (int64_t)op->number + 1, "mode",
                      (int64_t)mode);
}

static bool end_is_good(int mode, int64_t ended)
{
    return ended == ENDED(0) || (mode == ERRAND_LIMITED && ended == ENDED(STEAD_ETIMEOUT)) ||
           (mode == ERRAND_CANCEL && ended == CANCELLED);
}

static void check_errand(struct stead_sim *sim, const struct stead_sim_op *op, int64_t begun, int64_t ended)
{
    stead_sim_check_once(sim, op, begun, "errand");
    if (begun != 0 && !end_is_good(op->verb, ended))
        stead_world_fail(&sim->world, "errand %u of patron %u, of sort %d, ended with %lld", op->number + 1, op->agent,
                         op->verb, (long long)ended);
    if (begun == 0 && ended != 0)
        stead_world_fail(&sim->world, "errand %u was never begun and ended with %lld", op->number + 1,
                         (long long)ended);
}

/* Whatever a clerk was asked for, it did once: all calls with one key are one. */
static void check_clerks(struct stead_sim *sim)
{
    static struct stead_tally served; /* one run at a time */
    char address[48];

    for (uint32_t clerk = 0; clerk < CLERKS; clerk++) {
        stead_format(address, sizeof address, "clerk/c%u", clerk);
        stead_tally_read(sim, stead_sim_ask(sim, address, "served", (struct stead_slice){0}), &served);
        for (uint32_t i = 0; i < served.count; i++)
            if (served.items[i].count != 1)
                stead_world_fail(&sim->world, "clerk %u served %llu %lld times", clerk,
                                 (unsigned long long)served.items[i].number, (long long)served.items[i].count);
    }
}

static void verify_errand(struct stead_sim *sim)
{
    static struct stead_tally begun, ended; /* one run at a time */
    const struct stead_sim_op *op;
    char address[48];

    for (uint32_t patron = 0; patron < PATRONS; patron++) {
        stead_format(address, sizeof address, "patron/p%u", patron);
        stead_tally_read(sim, stead_sim_ask(sim, address, "begun", (struct stead_slice){0}), &begun);
        stead_tally_read(sim, stead_sim_ask(sim, address, "ended", (struct stead_slice){0}), &ended);
        for (uint32_t at = 0; (op = stead_sim_op_next(sim, &stead_work_errand, &at)) != NULL;)
            if (op->agent == patron)
                check_errand(sim, op, stead_tally_of(&begun, op->number + 1), stead_tally_of(&ended, op->number + 1));
    }
    check_clerks(sim);
}

static const struct stead_kind *const errand_kinds[] = {&patron_kind, &clerk_kind, &runner_kind, &sprinter_kind, NULL};

const struct stead_workload stead_work_errand = {
    .name = "errand", .kinds = errand_kinds, .issue = issue_errand, .verify = verify_errand};
