/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_ops: `stead.hold` and `stead.release`, which every kind with agents has: critical sections over agents whose
 * kinds know nothing of it.
 *
 * They are written against the public API. Whoever holds already and asks again is given a new number: it may have
 * forgotten why it asked first (an orchestration that was terminated and restarted), and what it then gives back under
 * the old number must not end the new hold. Who must wait, and that a release always comes through, is decided where
 * messages are delivered (take.c).
 */
#include "runtime/registry.h"
#include "runtime/shard.h"

static int hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const char *holder = stead_sender(turn);
    struct stead_slice named;
    uint64_t fence = 0;

    (void)state;
    if (stead_get_str(args, "holder", &named) == 0)
        holder = stead_printed(turn, "%.*s", (int)named.size, (const char *)named.data);
    if (holder[0] == '\0')
        return stead_fail(turn, "no_holder", "only an agent can hold %s: a client has no address", stead_self(turn));
    int code = stead_hold(turn, holder, &fence);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "u", fence));
}

static int release(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence = 0;

    (void)state;
    if (stead_get_u64(args, "fence", &fence) != 0)
        return stead_fail(turn, "bad_fence", STEAD_OP_RELEASE " takes the fence");
    int code = stead_release(turn, fence);
    return code == STEAD_ESTATE ? 0 : code;
}

const struct stead_op stead_lock_ops[] = {
    {.name = STEAD_OP_HOLD, .run = hold, .help = "holds the agent for the sender; answers the fencing number"},
    {.name = STEAD_OP_RELEASE, .run = release, .help = "ends the hold with this fence"},
    {0}};
