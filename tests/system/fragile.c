/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragile: agents of which one op ends the process, as a wild pointer would, whoever asks for it: a client, another
 * agent, a timer, an answer.
 */
#include "stead/agent.h"

struct fragile {
    int64_t marks; /* times `mark` had its effect */
};

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct fragile, marks), STEAD_FIELDS_END};

static int mark(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct fragile *fragile = state;

    (void)args;
    fragile->marks++;
    return stead_reply(turn, stead_packed(turn, "l", fragile->marks));
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct fragile *)state)->marks));
}

static int strike(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct fragile *)state)->marks += 1000; /* what dies with the turn */
    __builtin_trap();
}

/* An address: has that agent marked, struck and marked again, by signals. */
static int upset(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char to[STEAD_ADDRESS_MAX + 1];

    (void)state;
    if (stead_get_text(args, NULL, to, sizeof to) != 0)
        return stead_fail(turn, "bad_address", "upset takes an address");
    int code = stead_signal(turn, to, "mark", args);
    if (code == 0)
        code = stead_signal(turn, to, "strike", args);
    return code == 0 ? stead_signal(turn, to, "mark", args) : code;
}

/* Has itself struck by a timer, in so many ms. */
static int arm(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t after_ms = 0;

    (void)state;
    if (stead_get_i64(args, NULL, &after_ms) != 0)
        return stead_fail(turn, "bad_time", "arm takes ms");
    return stead_timer_after(turn, "strike", after_ms, "strike", (struct stead_slice){0});
}

/* An address: has it marked, and is struck by the answer. */
static int ask(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_call_options options = {.reply_op = "strike"};
    char to[STEAD_ADDRESS_MAX + 1];

    (void)state;
    if (stead_get_text(args, NULL, to, sizeof to) != 0)
        return stead_fail(turn, "bad_address", "ask takes an address");
    return stead_call(turn, to, "mark", (struct stead_slice){0}, &options);
}

static const struct stead_op ops[] = {{"mark", mark, NULL, 0, "counts"},
                                      {"get", get, NULL, STEAD_OP_READ_ONLY, "how often it was marked"},
                                      {"strike", strike, NULL, 0, "ends the process"},
                                      {"upset", upset, NULL, 0, "an address: signals mark, strike, mark to it"},
                                      {"arm", arm, NULL, 0, "ms: a timer that strikes"},
                                      {"ask", ask, NULL, 0, "an address: calls mark there; the answer strikes"},
                                      {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind fragile_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "fragile",
                                               .help = "has an op that ends the process",
                                               .state_size = sizeof(struct fragile),
                                               .fields = fields,
                                               .ops = ops};

STEAD_MODULE(&fragile_kind);
