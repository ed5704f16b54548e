/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragile: agents of which one op ends the process, as a wild pointer would, whoever asks for it: a client, another
 * agent, a timer, an answer. Or it ends when they are loaded, or unloaded. With FRAGILE_MENDED in the environment they
 * are as mended code.
 */
#include "stead/agent.h"

#include <stdlib.h>
#include <string.h>

struct fragile {
    int64_t marks;  /* times `mark` had its effect */
    char wired[16]; /* the hook that ends the process */
};

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct fragile, marks),
                                            STEAD_FIELD(TEXT, struct fragile, wired), STEAD_FIELDS_END};

static void end_process(void)
{
    if (getenv("FRAGILE_MENDED") == NULL)
        __builtin_trap();
}

static void on_load(void *state)
{
    if (strcmp(((const struct fragile *)state)->wired, "load") == 0)
        end_process();
}

static void on_unload(void *state)
{
    if (strcmp(((const struct fragile *)state)->wired, "unload") == 0)
        end_process();
}

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
    end_process();
    return 0;
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

/* The same every so many ms. */
static int beat(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t every_ms = 0;

    (void)state;
    if (stead_get_i64(args, NULL, &every_ms) != 0)
        return stead_fail(turn, "bad_time", "beat takes ms");
    return stead_timer_every(turn, "strike", every_ms, "strike", (struct stead_slice){0});
}

/* "load" or "unload": that ends the process from now on. */
static int wire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct fragile *fragile = state;

    if (stead_get_text(args, NULL, fragile->wired, sizeof fragile->wired) != 0)
        return stead_fail(turn, "bad_hook", "wire takes a hook");
    return 0;
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
                                      {"beat", beat, NULL, 0, "ms: a timer that strikes again and again"},
                                      {"wire", wire, NULL, 0, "load, unload: what ends the process"},
                                      {"ask", ask, NULL, 0, "an address: calls mark there; the answer strikes"},
                                      {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind fragile_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "fragile",
                                               .help = "has an op and hooks that end the process",
                                               .state_size = sizeof(struct fragile),
                                               .fields = fields,
                                               .on_load = on_load,
                                               .on_unload = on_unload,
                                               .ops = ops};

STEAD_MODULE(&fragile_kind);
