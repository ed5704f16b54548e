/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger: event sourcing. What is stored is what happened (`posted`, `reversed`), not what came of it; the state is
 * made by `apply`, when the event is emitted and again at every recovery, from the last snapshot on. `stead journal
 * ledger/NAME` shows the events.
 */
#include "stead/agent.h"

#define OPEN_MAX 256 /* postings that can still be reversed */

struct posting {
    uint64_t number;
    int64_t amount;
    bool reversed;
};

struct ledger {
    int64_t balance;               /* sum of what was posted and not reversed */
    uint64_t postings;             /* ever; the number of the newest */
    uint64_t reversals;            /* ever */
    struct posting open[OPEN_MAX]; /* the newest, in order */
    uint32_t open_count;
};

static const struct stead_field posting_fields[] = {STEAD_FIELD(U64, struct posting, number),
                                                    STEAD_FIELD(I64, struct posting, amount),
                                                    STEAD_FIELD(BOOL, struct posting, reversed), STEAD_FIELDS_END};
static const struct stead_field fields[] = {
    STEAD_FIELD(I64, struct ledger, balance), STEAD_FIELD(U64, struct ledger, postings),
    STEAD_FIELD(U64, struct ledger, reversals), STEAD_FIELD_ARRAY(struct ledger, open, open_count, posting_fields),
    STEAD_FIELDS_END};

static struct posting *find(struct ledger *ledger, uint64_t number)
{
    for (uint32_t index = 0; index < ledger->open_count; index++)
        if (ledger->open[index].number == number)
            return &ledger->open[index];
    return NULL;
}

static int apply_posted(struct ledger *ledger, struct stead_slice value)
{
    int64_t amount;

    int code = stead_get_i64(value, "amount", &amount);
    if (code != 0)
        return code;
    if (ledger->open_count == OPEN_MAX)
        __builtin_memmove(ledger->open, ledger->open + 1, (--ledger->open_count) * sizeof(struct posting));
    ledger->open[ledger->open_count++] = (struct posting){.number = ++ledger->postings, .amount = amount};
    ledger->balance += amount;
    return 0;
}

static int apply_reversed(struct ledger *ledger, struct stead_slice value)
{
    uint64_t number;

    int code = stead_get_u64(value, "number", &number);
    if (code != 0)
        return code;
    struct posting *posting = find(ledger, number);
    if (posting == NULL || posting->reversed)
        return STEAD_ECORRUPT;
    posting->reversed = true;
    ledger->balance -= posting->amount;
    ledger->reversals++;
    return 0;
}

static int apply(void *state, const char *event, struct stead_slice value)
{
    if (__builtin_strcmp(event, "posted") == 0)
        return apply_posted(state, value);
    if (__builtin_strcmp(event, "reversed") == 0)
        return apply_reversed(state, value);
    return STEAD_ECORRUPT;
}

static int post(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct ledger *ledger = state;
    struct stead_slice text = stead_str("");
    int64_t amount, sum;

    if (stead_get_i64(args, "amount", &amount) != 0 || stead_get_str(args, "text", &text) == STEAD_EARGUMENT ||
        __builtin_add_overflow(ledger->balance, amount, &sum))
        return stead_fail(turn, "bad_argument", "post takes {amount, text}");
    int code = stead_emit(turn, "posted", stead_packed(turn, "{s:l,s:S}", "amount", amount, "text", text));
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", ledger->postings)) : code;
}

static int reverse(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct ledger *ledger = state;
    uint64_t number;

    if (stead_get_u64(args, NULL, &number) != 0)
        return stead_fail(turn, "bad_argument", "reverse takes the number of a posting");
    const struct posting *posting = find(ledger, number);
    if (posting == NULL || posting->reversed)
        return stead_fail(turn, "not_open", "posting %llu cannot be reversed any more", (unsigned long long)number);
    int code = stead_emit(turn, "reversed", stead_packed(turn, "{s:u}", "number", number));
    return code == 0 ? stead_reply(turn, stead_packed(turn, "l", ledger->balance)) : code;
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct ledger *ledger = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:u,s:u}", "balance", ledger->balance, "postings",
                                          ledger->postings, "reversals", ledger->reversals));
}

static const struct stead_op ops[] = {
    {"post", post, NULL, 0, "{amount, text}: answers the posting's number"},
    {"reverse", reverse, NULL, 0, "NUMBER: takes a posting back; answers the balance"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "balance, postings, reversals"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind ledger_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "ledger",
                                              .help = "a ledger: what happened is stored, what came of it is computed",
                                              .state_size = sizeof(struct ledger),
                                              .snapshot_every = 50,
                                              .fields = fields,
                                              .ops = ops,
                                              .apply = apply};
STEAD_MODULE(&ledger_kind);
