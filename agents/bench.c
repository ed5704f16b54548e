/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: the kinds that `stead bench` measures with. They are not in the list of built-in kinds: a node has them only
 * when the bench starts it (stead node --bench-kinds).
 *
 *     bench.echo     volatile   echo: answers its argument                       resident: a small state, nothing else
 *     bench.counter  durable    add: counts and answers the count; note: counts a signal
 *     bench.pair     volatile   one talks to another, and the client gets its answer when all is said:
 *
 *         client --call pour {to, count, size, burst, window}--> source --tell drop (size bytes)--> sink
 *                                                                source <--tell more--------------- sink, after each burst
 *         client --call chain {to, count, size}--> source --call echo--> sink, one after the other
 *
 * A turn reads no clock, so the client takes the time around the whole. Invariant B1: a source has at most `window`
 * bursts on their way, which is below every limit of a mailbox, so no tell is dropped and every count comes to its end.
 */
#include "agents/agents.h"
#include "agents/compare.h"

#define BURST_MAX 4096
#define TO_SIZE                                                                                                        \
    64 /* bytes of an address with its zero: the bench's own are short, and a turn keeps a copy of the state */
#define SIZE_MAX_BENCH 65536

/* ---- bench.echo ----------------------------------------------------------------------------- */

struct echo {
    int64_t calls; /* what makes it a small agent with a state */
};

static const struct stead_field echo_fields[] = {STEAD_FIELD(I64, struct echo, calls), STEAD_FIELDS_END};

static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    ((struct echo *)state)->calls++;
    return stead_reply(turn, args);
}

static const struct stead_op echo_ops[] = {{"echo", echo, NULL, 0, "answers its argument"},
                                           {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind echo_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "bench.echo",
                                            .help = "volatile; answers",
                                            .durability = STEAD_VOLATILE,
                                            .state_size = sizeof(struct echo),
                                            .fields = echo_fields,
                                            .ops = echo_ops};

/* ---- bench.counter -------------------------------------------------------------------------- */

struct counter {
    int64_t count; /* calls and signals taken */
};

static const struct stead_field counter_fields[] = {STEAD_FIELD(I64, struct counter, count), STEAD_FIELDS_END};

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *counter = state;

    (void)args;
    counter->count++;
    return stead_reply(turn, stead_packed(turn, "l", counter->count));
}

static int note(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)args;
    ((struct counter *)state)->count++;
    return 0;
}

static const struct stead_op counter_ops[] = {{"add", add, NULL, 0, "counts and answers the count"},
                                              {"note", note, NULL, 0, "counts"},
                                              {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind counter_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "bench.counter",
                                               .help = "durable; counts",
                                               .state_size = sizeof(struct counter),
                                               .fields = counter_fields,
                                               .ops = counter_ops};

/* ---- bench.pair ----------------------------------------------------------------------------- */

struct pair {
    char to[TO_SIZE];         /* source: the other one */
    struct stead_token token; /* source: of the client's call */
    int64_t left;             /* source: messages, or calls, still to be sent */
    int64_t unseen;           /* source: messages not confirmed by a `more` */
    int64_t burst;            /* messages between two `more`; the sink is told */
    int64_t size;             /* bytes of a message's payload */
    int64_t seen;             /* sink: messages since the last `more` */
};

/* A payload of `size` bytes: one byte of it is a header, or three. Zeros; until the turn ends. */
static struct stead_slice payload(struct stead_turn *turn, int64_t size)
{
    uint8_t *bytes = stead_turn_alloc(turn, (size_t)size);

    if (size < 2)
        return stead_bytes(bytes, (size_t)size); /* the number 0, or nil */
    if (size < 258) {
        bytes[0] = 0xc4; /* bin 8 */
        bytes[1] = (uint8_t)(size - 2);
    } else {
        bytes[0] = 0xc5; /* bin 16 */
        bytes[1] = (uint8_t)((size - 3) >> 8);
        bytes[2] = (uint8_t)(size - 3);
    }
    return stead_bytes(bytes, (size_t)size);
}

static int send_burst(struct stead_turn *turn, struct pair *pair)
{
    struct stead_slice args = payload(turn, pair->size);
    int code = 0;

    for (int64_t i = 0; i < pair->burst && pair->left > 0 && code == 0; i++, pair->left--)
        code = stead_tell(turn, pair->to, "drop", args);
    return code;
}

/* What both ways of talking begin with. */
static int begin(struct stead_turn *turn, struct pair *pair, struct stead_slice args)
{
    pair->burst = 1;
    if (stead_get_text(args, "to", pair->to, sizeof(pair->to)) != 0 || stead_get_i64(args, "count", &pair->left) != 0 ||
        stead_get_i64(args, "size", &pair->size) != 0 || pair->left < 1 || pair->size < 0 ||
        pair->size >= SIZE_MAX_BENCH)
        return stead_fail(turn, "bad_argument", "needs to, count and size");
    return stead_reply_later(turn, &pair->token);
}

static int pour(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct pair *pair = state;
    int64_t burst = 0, window = 0;
    int code = begin(turn, pair, args);

    if (code != 0)
        return code;
    if (stead_get_i64(args, "burst", &burst) != 0 || stead_get_i64(args, "window", &window) != 0 || burst < 1 ||
        burst > BURST_MAX || window < 1 || pair->left % burst != 0)
        return stead_fail(turn, "bad_argument", "needs burst, a divisor of count, and window");
    pair->burst = burst;
    pair->unseen = pair->left;
    code = stead_tell(turn, pair->to, "begin", stead_packed(turn, "l", burst));
    for (int64_t i = 0; i < window && code == 0; i++)
        code = send_burst(turn, pair);
    return code;
}

/* Sink: forgets an earlier run. */
static int begin_sink(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct pair *pair = state;

    (void)turn;
    pair->seen = 0;
    return stead_get_i64(args, NULL, &pair->burst);
}

static int drop(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct pair *pair = state;

    (void)args;
    if (++pair->seen < pair->burst)
        return 0;
    pair->seen = 0;
    return stead_tell(turn, stead_sender(turn), "more", (struct stead_slice){0});
}

static int more(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct pair *pair = state;

    (void)args;
    pair->unseen -= pair->burst;
    if (pair->unseen > 0)
        return send_burst(turn, pair);
    return stead_answer(turn, &pair->token, (struct stead_slice){0});
}

static int call_next(struct stead_turn *turn, struct pair *pair)
{
    static const struct stead_call_options options = {.reply_op = "next"};

    pair->left--;
    return stead_call(turn, pair->to, "echo", payload(turn, pair->size), &options);
}

static int chain(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = begin(turn, state, args);

    return code != 0 ? code : call_next(turn, state);
}

static int next(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct pair *pair = state;

    (void)args;
    if (stead_reply_code(turn) != 0)
        return stead_answer_error(turn, &pair->token, stead_reply_error_name(turn), stead_reply_error_sentence(turn));
    return pair->left > 0 ? call_next(turn, pair) : stead_answer(turn, &pair->token, (struct stead_slice){0});
}

static int pair_echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_reply(turn, args);
}

static const struct stead_op pair_ops[] = {{"pour", pour, NULL, 0, "tells `to` so many messages, then answers"},
                                           {"chain", chain, NULL, 0, "calls `to` so often, one by one, then answers"},
                                           {"begin", begin_sink, NULL, 0, "a sink's start"},
                                           {"drop", drop, NULL, 0, "a sink's message"},
                                           {"more", more, NULL, 0, "a burst has arrived"},
                                           {"next", next, NULL, 0, "an answer of the chain"},
                                           {"echo", pair_echo, NULL, 0, "answers its argument"},
                                           {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind pair_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "bench.pair",
                                            .help = "volatile; talks to another",
                                            .durability = STEAD_VOLATILE,
                                            .state_size = sizeof(struct pair),
                                            .ops = pair_ops};

const struct stead_kind *const stead_bench_kinds[] = {&echo_kind,
                                                      &counter_kind,
                                                      &pair_kind,
                                                      &stead_compare_hello_kind,
                                                      &stead_compare_quick_hello_kind,
                                                      &stead_compare_noop_kind,
                                                      &stead_compare_counter_kind,
                                                      &stead_compare_account_kind,
                                                      &stead_compare_store_kind,
                                                      &stead_compare_model_kind,
                                                      &stead_compare_trainer_kind,
                                                      &stead_compare_predict_kind,
                                                      &stead_compare_step_kind,
                                                      NULL};
