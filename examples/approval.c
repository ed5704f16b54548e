/* SPDX-License-Identifier: Apache-2.0 */
/*
 * approval: waits for a human being, but not for ever: asks the clerk, after `patience` ms the manager too, and gives
 * up after another `patience`. It may wait for weeks over any number of restarts, and costs no memory meanwhile.
 *
 *     stead run approval '{"amount": 900, "patience": 60000}' --id order-17
 *     stead status order-17                                          "waits for the clerk"
 *     stead raise order-17 approval '{"by": "anna", "ok": true}'
 */
#include "stead/orchestration.h"

#define CLERK_MAX 1000 /* above it the manager is asked at once */

/* The answer to a question put to `who`. */
static int ask(struct stead_orchestration *o, const char *who, int64_t patience_ms, struct stead_slice *ret_answer)
{
    int code = stead_set_status(o, stead_packed_for(o, "s", stead_printed_for(o, "waits for the %s", who)));

    return code != 0 ? code : stead_await_event(o, "approval", patience_ms, ret_answer);
}

static int approval(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice answer, by = {NULL, 0};
    int64_t amount, patience_ms = 60000;
    bool ok = false;

    if (stead_get_i64(input, "amount", &amount) != 0 ||
        stead_get_i64(input, "patience", &patience_ms) == STEAD_EARGUMENT)
        return stead_fail_with(o, "bad_request", "approval takes {amount, patience: ms}");
    int code = amount <= CLERK_MAX ? ask(o, "clerk", patience_ms, &answer) : STEAD_ETIMEOUT;
    if (code == STEAD_ETIMEOUT)
        code = ask(o, "manager", patience_ms, &answer);
    if (code == STEAD_ETIMEOUT)
        return stead_fail_with(o, "nobody_answered", "nobody approved of %lld in time", (long long)amount);
    if (code != 0)
        return code;
    if (stead_get_bool(answer, "ok", &ok) != 0 || stead_get_str(answer, "by", &by) != 0)
        return stead_fail_with(o, "bad_answer", "the event is {by, ok}");
    return stead_complete(o, stead_packed_for(o, "{s:b,s:S,s:l}", "approved", (int)ok, "by", by, "amount", amount));
}

static const struct stead_orchestrator approval_orchestrator = {
    .abi = STEAD_ORCHESTRATION_ABI,
    .struct_size = sizeof(struct stead_orchestrator),
    .name = "approval",
    .help = "{amount, patience}: waits for the event `approval`",
    .version = 1,
    .run = approval};
STEAD_ORCHESTRATORS(&approval_orchestrator);
