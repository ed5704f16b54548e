/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer: a bank transfer in a critical section: both accounts (examples/account.c) are locked, looked at, and
 * changed; nobody sees the money in between. `account.c` does the same without locks, by a signal that carries the
 * money; this way also works for agents that know nothing of each other.
 *
 *     stead run transfer '{"from": "account/anna", "to": "account/ben", "amount": 30}' --wait
 *     stead locks list                                       who holds what, while it runs
 */
#include <string.h>

#include "stead/orchestration.h"

/* Both changes, under the locks. A deposit that is refused puts the money back. */
static int move(struct stead_orchestration *o, const char *from, const char *to, int64_t amount)
{
    struct stead_slice args = stead_packed_for(o, "{s:l}", "amount", amount), left;
    char why[200] = "";
    int64_t balance;

    int code = stead_await_call(o, from, "withdraw", args, &left);
    if (code != 0)
        return code;
    if (stead_get_i64(left, NULL, &balance) != 0)
        return STEAD_ECORRUPT;
    args = stead_packed_for(o, "{s:l}", "amount", amount);
    code = stead_await_call(o, to, "deposit", args, NULL);
    if (code == 0)
        return stead_complete(o, stead_packed_for(o, "{s:l}", "left", balance));
    strncpy(why, stead_await_error_sentence(o), sizeof why - 1);
    code = stead_await_call(o, from, "deposit", stead_packed_for(o, "{s:l}", "amount", amount), NULL);
    if (code != 0)
        return code;
    return stead_fail_with(o, "refused", "%s did not take it: %s", to, why);
}

static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    char from[STEAD_ADDRESS_MAX + 1], to[STEAD_ADDRESS_MAX + 1];
    int64_t amount;

    if (stead_get_text(input, "from", from, sizeof from) != 0 || stead_get_text(input, "to", to, sizeof to) != 0 ||
        stead_get_i64(input, "amount", &amount) != 0 || strcmp(from, to) == 0)
        return stead_fail_with(o, "bad_transfer", "transfer takes {from, to, amount}, two different accounts");
    const char *const both[] = {from, to};
    int code = stead_lock(
        o, both, 2); /* in the order of the addresses: two transfers the opposite ways cannot wait for each other */
    if (code != 0)
        return code;
    code = move(o, from, to, amount);
    stead_unlock(o);
    return code;
}

static const struct stead_orchestrator transfer_orchestrator = {
    .abi = STEAD_ORCHESTRATION_ABI,
    .struct_size = sizeof(struct stead_orchestrator),
    .name = "transfer",
    .help = "{from, to, amount}: moves money between two locked accounts",
    .version = 1,
    .run = transfer};
STEAD_ORCHESTRATORS(&transfer_orchestrator);
