/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account: a bank account. A transfer is two turns of two agents and yet no money is ever made or lost: the debit and
 * the signal that carries the money are one commit, and the signal takes effect exactly once, whatever crashes. An
 * account that cannot take it sends it back the same way. In between the money is on its way: `sent` of all accounts
 * minus `received` and `refunded` of all.
 *
 * A signal, not a call: a call that timed out would leave open whether the money arrived.
 */
#include "stead/agent.h"

#define PREFIX "account/"

struct account {
    int64_t balance;  /* cents; never below 0 */
    int64_t sent;     /* of all transfers out */
    int64_t received; /* of all transfers in */
    int64_t refunded; /* of transfers out that came back */
    bool closed;      /* takes no money any more */
};

static const struct stead_field fields[] = {
    STEAD_FIELD(I64, struct account, balance),  STEAD_FIELD(I64, struct account, sent),
    STEAD_FIELD(I64, struct account, received), STEAD_FIELD(I64, struct account, refunded),
    STEAD_FIELD(BOOL, struct account, closed),  STEAD_FIELDS_END};

/* An amount above 0 that `base` has room for. */
static int take_amount(struct stead_turn *turn, struct stead_slice args, int64_t base, int64_t *ret_amount)
{
    int64_t amount = 0, sum;

    if (stead_get_i64(args, "amount", &amount) != 0 || amount <= 0)
        return stead_fail(turn, "bad_amount", "amount is an integer above 0");
    if (__builtin_add_overflow(base, amount, &sum))
        return stead_fail(turn, "too_much", "the account has no room for %lld", (long long)amount);
    *ret_amount = amount;
    return 0;
}

static int reply_balance(struct stead_turn *turn, const struct account *account)
{
    return stead_reply(turn, stead_packed(turn, "l", account->balance));
}

static int deposit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    int64_t amount = 0;

    int code = take_amount(turn, args, account->balance, &amount);
    if (code != 0)
        return code;
    if (account->closed)
        return stead_fail(turn, "closed", "%s is closed", stead_self(turn));
    account->balance += amount;
    return reply_balance(turn, account);
}

static int withdraw(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    int64_t amount = 0;

    int code = take_amount(turn, args, 0, &amount);
    if (code != 0)
        return code;
    if (amount > account->balance)
        return stead_fail(turn, "too_little", "%s has only %lld", stead_self(turn), (long long)account->balance);
    account->balance -= amount;
    return reply_balance(turn, account);
}

static int transfer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    char to[STEAD_ADDRESS_MAX + 1];
    int64_t amount = 0;

    int code = take_amount(turn, args, account->sent, &amount);
    if (code != 0)
        return code;
    if (stead_get_text(args, "to", to, sizeof to) != 0 || __builtin_strncmp(to, PREFIX, sizeof PREFIX - 1) != 0)
        return stead_fail(turn, "bad_to", "to is the address of an account, as account/alice");
    if (amount > account->balance)
        return stead_fail(turn, "too_little", "%s has only %lld", stead_self(turn), (long long)account->balance);
    account->balance -= amount;
    account->sent += amount;
    code = stead_signal(turn, to, "credit", stead_packed(turn, "{s:l}", "amount", amount));
    return code == 0 ? reply_balance(turn, account) : code;
}

/* From another account: the money is here now, so an error is no answer: what cannot be taken goes back. */
static int credit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    int64_t amount = 0, balance, received;

    if (__builtin_strncmp(stead_sender(turn), PREFIX, sizeof PREFIX - 1) != 0)
        return stead_fail(turn, "not_an_account", "credit is for accounts; deposit money");
    if (stead_get_i64(args, "amount", &amount) != 0 || amount <= 0)
        return stead_fail(turn, "bad_amount", "amount is an integer above 0");
    if (account->closed || __builtin_add_overflow(account->balance, amount, &balance) ||
        __builtin_add_overflow(account->received, amount, &received))
        return stead_signal(turn, stead_sender(turn), "refund", args);
    account->balance = balance;
    account->received = received;
    return 0;
}

/* Money that was sent comes back; a closed account takes its own. */
static int refund(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;
    int64_t amount = 0;

    int code = take_amount(turn, args, account->balance, &amount);
    if (code != 0)
        return code;
    if (__builtin_strncmp(stead_sender(turn), PREFIX, sizeof PREFIX - 1) != 0)
        return stead_fail(turn, "not_an_account", "refund is for accounts");
    account->balance += amount;
    account->refunded += amount;
    return 0;
}

static int close_account(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct account *account = state;

    (void)args;
    account->closed = true;
    return reply_balance(turn, account);
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct account *account = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l,s:l,s:b}", "balance", account->balance, "sent",
                                          account->sent, "received", account->received, "refunded", account->refunded,
                                          "closed", account->closed));
}

static const struct stead_op ops[] = {
    {"deposit", deposit, NULL, 0, "{amount}: puts money in, answers the balance"},
    {"withdraw", withdraw, NULL, 0, "{amount}: takes money out, answers the balance"},
    {"transfer", transfer, NULL, 0, "{to, amount}: sends money to another account, answers the balance"},
    {"credit", credit, NULL, 0, "{amount}: money from another account"},
    {"refund", refund, NULL, 0, "{amount}: money that could not be taken comes back"},
    {"close", close_account, NULL, 0, "takes no money any more"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "balance, and what went out, came in and came back"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind account_kind = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "account",
                                               .help = "a bank account; money is never made or lost",
                                               .state_size = sizeof(struct account),
                                               .fields = fields,
                                               .ops = ops};
STEAD_MODULE(&account_kind);
