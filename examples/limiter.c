/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limiter: a token bucket per name (`limiter/user-17`). Volatile, so an answer costs no disk; forgettable, because a
 * bucket that nobody asks for is full anyway: unloading it loses nothing.
 *
 * Tokens are counted in thousandths, so that a bucket filled at each millisecond needs no fractions: rate per second =
 * thousandths per ms.
 */
#include "stead/agent.h"

#define RATE 10  /* defaults: tokens a second */
#define BURST 20 /* tokens in a full bucket */
#define TOKENS_MAX 1000000

struct limiter {
    int64_t spent_milli; /* thousandths of tokens missing to a full bucket */
    int64_t at_ms;       /* when that was so */
    int64_t refused;     /* for `get` */
};

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct limiter, spent_milli),
                                            STEAD_FIELD(I64, struct limiter, at_ms),
                                            STEAD_FIELD(I64, struct limiter, refused), STEAD_FIELDS_END};

/* An optional number from 1 to TOKENS_MAX. */
static int take_number(struct stead_turn *turn, struct stead_slice args, const char *field, int64_t *ret_number)
{
    if (stead_get_i64(args, field, ret_number) == STEAD_EARGUMENT || *ret_number < 1 || *ret_number > TOKENS_MAX)
        return stead_fail(turn, "bad_argument", "%s is from 1 to %d", field, TOKENS_MAX);
    return 0;
}

/* The limits come with each request: a limiter has nothing to configure, and nothing to lose. */
static int take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct limiter *limiter = state;
    int64_t tokens = 1, rate = RATE, burst = BURST, now = stead_now_ms(turn);

    int code = take_number(turn, args, "tokens", &tokens);
    if (code == 0)
        code = take_number(turn, args, "rate", &rate);
    if (code == 0)
        code = take_number(turn, args, "burst", &burst);
    if (code != 0)
        return code;
    int64_t elapsed_ms = now > limiter->at_ms ? now - limiter->at_ms : 0;
    int64_t full_ms = limiter->spent_milli / rate + 1; /* bounds the product below */
    int64_t spent = elapsed_ms >= full_ms ? 0 : limiter->spent_milli - elapsed_ms * rate;
    int64_t missing = spent + tokens * 1000 - burst * 1000;
    if (missing <= 0)
        spent += tokens * 1000;
    else
        limiter->refused++;
    limiter->spent_milli = spent > 0 ? spent : 0;
    limiter->at_ms = now;
    return stead_reply(turn, stead_packed(turn, "{s:b,s:l,s:l}", "allowed", missing <= 0, "left",
                                          (burst * 1000 - limiter->spent_milli) / 1000, "retry_after_ms",
                                          missing <= 0     ? (int64_t)0
                                          : tokens > burst ? (int64_t)-1 /* never: more than a full bucket */
                                                           : (missing + rate - 1) / rate));
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l}", "refused", ((struct limiter *)state)->refused));
}

static const struct stead_op ops[] = {
    {"take", take, NULL, 0, "{tokens, rate, burst}: asks for tokens; allowed, left, retry_after_ms"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "how many requests were refused"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind limiter_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "limiter",
                                               .help = "a rate limiter: a token bucket under a name",
                                               .durability = STEAD_VOLATILE,
                                               .flags = STEAD_KIND_FORGETTABLE,
                                               .state_size = sizeof(struct limiter),
                                               .idle_ms_max = 60000,
                                               .fields = fields,
                                               .ops = ops};
STEAD_MODULE(&limiter_kind);
