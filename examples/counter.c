/* SPDX-License-Identifier: Apache-2.0 */
/* counter: the smallest durable agent: a number under a name. `counter/alice` exists from its first message. */
#include "stead/agent.h"

struct counter {
    int64_t value; /* the sum of everything added */
};

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct counter, value), STEAD_FIELDS_END};

/* Adds the argument (an integer; none: 1) and answers the new value. */
static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct counter *counter = state;
    int64_t by = 1;

    if (stead_get_i64(args, NULL, &by) == STEAD_EARGUMENT || __builtin_add_overflow(counter->value, by, &by))
        return stead_fail(turn, "bad_by", "add needs an integer that the sum has room for");
    counter->value = by;
    return stead_reply(turn, stead_packed(turn, "l", counter->value));
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct counter *)state)->value));
}

static const struct stead_op ops[] = {{"add", add, NULL, 0, "adds an integer and answers the sum"},
                                      {"get", get, NULL, STEAD_OP_READ_ONLY, "answers the sum"},
                                      {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind counter_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "counter",
                                               .help = "a number under a name",
                                               .state_size = sizeof(struct counter),
                                               .fields = fields,
                                               .ops = ops};
STEAD_MODULE(&counter_kind);
