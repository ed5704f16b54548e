/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock: a mutex with a fencing number, and the value that it protects. While it is held, everybody else's messages wait
 * in its mailbox, in order: a second `acquire` is answered when the first holder releases. Waiting needs no code; it is
 * the mailbox.
 *
 *     stead call lock/press acquire '"user/anna"'       -> 7, a fencing number, above every earlier one
 *     stead call --fence 7 lock/press write 42       the holder's messages carry it; a broken holder's are refused
 *     stead call --fence 7 lock/press release 7
 *     stead unlock lock/press                        breaks the hold of a holder that is gone
 */
#include "stead/agent.h"

struct lock {
    int64_t value;   /* what is protected */
    uint64_t writes; /* times it was written */
    uint64_t held;   /* times acquired */
};

static const struct stead_field fields[] = {STEAD_FIELD(I64, struct lock, value), STEAD_FIELD(U64, struct lock, writes),
                                            STEAD_FIELD(U64, struct lock, held), STEAD_FIELDS_END};

static int acquire(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct lock *lock = state;
    char holder[STEAD_ADDRESS_MAX + 1];
    uint64_t fence;

    if (stead_get_text(args, NULL, holder, sizeof holder) != 0)
        return stead_fail(turn, "bad_holder", "acquire takes the holder's address, as user/anna");
    int code = stead_hold(turn, holder, &fence);
    if (code == STEAD_EADDRESS)
        return stead_fail(turn, "bad_holder", "acquire takes the holder's address, as user/anna");
    if (code != 0)
        return code;
    lock->held++;
    return stead_reply(turn, stead_packed(turn, "u", fence));
}

static int release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence;

    (void)state;
    if (stead_get_u64(args, NULL, &fence) != 0)
        return stead_fail(turn, "bad_fence", "release takes the fencing number");
    if (stead_release(turn, fence) != 0)
        return stead_fail(turn, "not_held", "nobody holds it under %llu", (unsigned long long)fence);
    return 0;
}

static int write_value(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct lock *lock = state;
    int64_t value;

    if (stead_get_i64(args, NULL, &value) != 0)
        return stead_fail(turn, "bad_value", "write takes an integer");
    lock->value = value;
    lock->writes++;
    return stead_reply(turn, stead_packed(turn, "u", lock->writes));
}

static int read_value(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct lock *lock = state;

    (void)args;
    return stead_reply(
        turn, stead_packed(turn, "{s:l,s:u,s:u}", "value", lock->value, "writes", lock->writes, "held", lock->held));
}

static const struct stead_op ops[] = {
    {"acquire", acquire, NULL, 0, "ADDRESS: holds it for that address once it is free; answers a fencing number"},
    {"release", release, NULL, 0, "FENCE: sent with the fence"},
    {"write", write_value, NULL, 0, "N: while held, only with the fence"},
    {"read", read_value, NULL, STEAD_OP_READ_ONLY, "the value; while held, only with the fence"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind lock_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "lock",
                                            .help = "a mutex with a fencing number, and what it protects",
                                            .state_size = sizeof(struct lock),
                                            .fields = fields,
                                            .ops = ops};
STEAD_MODULE(&lock_kind);
