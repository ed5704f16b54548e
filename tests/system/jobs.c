/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jobs: an agent that has jobs done, and the jobs.
 *
 *   boss          durable: makes any number of calls in one turn, answers when it has all their answers, with how they ended
 *   toil, quick   stateless; quick is idempotent, so its jobs may start before the commit of the turn that asks for them
 */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "stead/agent.h"

/* ---- toil ----------------------------------------------------------------------------------- */

static int toil_nothing(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return 0;
}

static int toil_abort(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    abort();
}

static int toil_raise(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return raise(SIGSEGV);
}

static int toil_fault(struct stead_job *job, struct stead_slice args)
{
    static int *volatile nowhere = (int *)64; /* in the first page; a sanitizer would have its own words for NULL */

    (void)job, (void)args;
    *nowhere = 1;
    return 0;
}

static void nap(void)
{
    struct timespec pause = {.tv_nsec = 1000000};

    nanosleep(&pause, NULL);
}

/* Runs until it is cancelled. */
static int toil_wait(struct stead_job *job, struct stead_slice args)
{
    (void)args;
    while (!stead_job_cancelled(job))
        nap();
    return STEAD_ECANCELLED;
}

/* Runs until it is cancelled, with signs of life that count. */
static int toil_beat(struct stead_job *job, struct stead_slice args)
{
    int64_t count = 0;

    (void)args;
    while (stead_job_heartbeat(job, stead_job_packed(job, "l", ++count)) == 0)
        nap();
    return STEAD_ECANCELLED;
}

static const struct stead_op toil_ops[] = {{"nothing", NULL, toil_nothing, 0, "nothing"},
                                           {"abort", NULL, toil_abort, 0, "ends the process"},
                                           {"raise", NULL, toil_raise, 0, "the same by a signal"},
                                           {"fault", NULL, toil_fault, 0, "the same by writing where nothing is"},
                                           {"wait", NULL, toil_wait, 0, "until it is cancelled"},
                                           {"beat", NULL, toil_beat, 0, "the same, with signs of life"},
                                           {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind toil_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "toil",
                                            .durability = STEAD_STATELESS,
                                            .ops = toil_ops};

static const struct stead_kind quick_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "quick",
                                             .durability = STEAD_STATELESS,
                                             .flags = STEAD_KIND_IDEMPOTENT,
                                             .ops = toil_ops};

/* ---- boss ----------------------------------------------------------------------------------- */

struct boss {
    int64_t open;                 /* calls without an answer */
    int64_t in_chain;             /* calls to be made one after the other */
    int64_t beats;                /* heartbeats told, and the last one's details */
    int64_t beat;                 /* details of the newest */
    char token[STEAD_TOKEN_SIZE]; /* of whoever waits */
    char callee[64], op[32];
    char last[64];  /* how the last call ended */
    char call[128]; /* its id, in hexadecimal digits */
};

static const struct stead_field boss_fields[] = {
    STEAD_FIELD(I64, struct boss, open),   STEAD_FIELD(I64, struct boss, in_chain),
    STEAD_FIELD(I64, struct boss, beats),  STEAD_FIELD(I64, struct boss, beat),
    STEAD_FIELD(TEXT, struct boss, token), STEAD_FIELD(TEXT, struct boss, callee),
    STEAD_FIELD(TEXT, struct boss, op),    STEAD_FIELD(TEXT, struct boss, last),
    STEAD_FIELD(TEXT, struct boss, call),  STEAD_FIELDS_END};

static void keep_call(struct boss *boss, const struct stead_call_id *call)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof call->bytes; i++) {
        boss->call[2 * i] = digits[call->bytes[i] >> 4];
        boss->call[2 * i + 1] = digits[call->bytes[i] & 15];
    }
    boss->call[2 * sizeof call->bytes] = '\0';
}

static int64_t number_of(struct stead_slice args, const char *name, int64_t otherwise)
{
    int64_t number;

    return stead_get_i64(args, name, &number) == 0 ? number : otherwise;
}

static int call_once(struct stead_turn *turn, struct boss *boss, struct stead_slice args)
{
    struct stead_call_id call;
    struct stead_call_options options = {.reply_op = "done", .timeout_ms = STEAD_TIMEOUT_NEVER, .ret_call = &call};

    options.start_timeout_ms = (uint32_t)number_of(args, "start_ms", 0);
    options.run_timeout_ms = (uint32_t)number_of(args, "run_ms", 0);
    options.heartbeat_timeout_ms = (uint32_t)number_of(args, "heartbeat_ms", 0);
    int code = stead_call(turn, boss->callee, boss->op, (struct stead_slice){0}, &options);
    keep_call(boss, &call);
    boss->open++;
    return code;
}

/* {callee, op, count: calls at once, chain: calls one after the other, start_ms, run_ms, heartbeat_ms}. */
static int boss_begin(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct boss *boss = state;
    int64_t count = number_of(args, "count", 1);

    if (stead_get_text(args, "callee", boss->callee, sizeof boss->callee) != 0 ||
        stead_get_text(args, "op", boss->op, sizeof boss->op) != 0)
        return stead_fail(turn, "bad_args", "callee and op are needed");
    boss->in_chain = number_of(args, "chain", 0);
    boss->token[0] = '\0';
    int code = 0;
    while (code == 0 && count-- > 0)
        code = call_once(turn, boss, args);
    return code;
}

/* The same, and answers how the last call ended. */
static int boss_have_done(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct boss *boss = state;
    struct stead_token token;
    int code = boss_begin(turn, state, args);

    if (code == 0)
        code = stead_reply_later(turn, &token);
    for (size_t i = 0; code == 0 && i < sizeof token.text; i++)
        boss->token[i] = token.text[i];
    return code;
}

static int boss_done(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct boss *boss = state;
    struct stead_token token;
    const char *name = stead_reply_code(turn) == 0 ? "ok" : stead_reply_error_name(turn);

    (void)args;
    size_t size = 0;
    for (; name[size] != '\0' && size < sizeof boss->last - 1; size++)
        boss->last[size] = name[size];
    boss->last[size] = '\0';
    boss->open--;
    if (boss->in_chain > 1) {
        boss->in_chain--;
        return call_once(turn, boss, (struct stead_slice){0});
    }
    if (boss->open > 0 || boss->token[0] == '\0')
        return 0;
    for (size_t i = 0; i < sizeof token.text; i++)
        token.text[i] = boss->token[i];
    return stead_answer(turn, &token, stead_packed(turn, "s", boss->last));
}

static int digit(char letter)
{
    return letter <= '9' ? letter - '0' : letter - 'a' + 10;
}

static int boss_cancel(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct boss *boss = state;
    struct stead_call_id call;

    (void)args;
    for (size_t i = 0; i < sizeof call.bytes; i++)
        call.bytes[i] = (uint8_t)(digit(boss->call[2 * i]) << 4 | digit(boss->call[2 * i + 1]));
    return stead_call_cancel(turn, &call);
}

static int boss_heartbeat(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct boss *boss = state;

    (void)turn;
    boss->beats++;
    return stead_get_i64(args, "details", &boss->beat);
}

static int boss_look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct boss *boss = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l,s:s}", "open", boss->open, "beats", boss->beats, "beat",
                                          boss->beat, "last", boss->last));
}

static const struct stead_op boss_ops[] = {
    {"begin", boss_begin, NULL, 0, "has jobs done"},

    {"have_done", boss_have_done, NULL, 0, "has jobs done, answers how the last ended"},
    {"done", boss_done, NULL, 0, "the answer of a call"},
    {"cancel", boss_cancel, NULL, 0, "cancels the last call"},
    {"heartbeat", boss_heartbeat, NULL, 0, "a job is alive"},
    {"look", boss_look, NULL, STEAD_OP_READ_ONLY, "its state"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind boss_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "boss",
                                            .durability = STEAD_DURABLE,
                                            .state_size = sizeof(struct boss),
                                            .fields = boss_fields,
                                            .ops = boss_ops};

STEAD_MODULE(&boss_kind, &toil_kind, &quick_kind);
