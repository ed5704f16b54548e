/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bank: a program on the client API: a pipeline of transfers between many accounts (account.c), and at the end an
 * audit.
 *
 *     bank --node tcp://127.0.0.1:7400 --accounts 100 --seconds 5
 *
 * Nodes may be killed meanwhile: the client reconnects and asks again under the same request number, so a transfer
 * happens once however often it was asked for. Each has one of three ends: acknowledged (it happened once), refused (it
 * did not happen), unknown (no answer in time: once, or not at all). The audit asks every account:
 *
 *     acknowledged <= transfers that left an account <= acknowledged + unknown
 *     all that left arrived, and the sum of all balances is what was paid in
 *
 * Prints one line, or an object with --json; exits with 1 when the audit finds anything else.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "stead/agent.h"
#include "stead/client.h"

#define ACCOUNTS_MAX 100000u
#define IN_FLIGHT 128u    /* transfers under way */
#define PAID_IN 1000      /* to each account */
#define TIMEOUT_MS 60000u /* of a request: longer than a node takes to come back */
#define SETTLE_S 30       /* until all money has arrived */
#define PROGRESS_MS 200

struct bank {
    struct stead_client *client;
    char name[24]; /* accounts are account/NAME-0 and so on: a run has its own */
    uint32_t accounts;
    uint64_t acknowledged, refused, unknown; /* ends of transfers */
    uint64_t failed;                         /* requests of the setup or of the audit without an answer */
    int64_t balance, sent, received;         /* sums of the audit */
    uint64_t seed;                           /* of the next choice */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint32_t draw(struct bank *bank, uint32_t below)
{
    bank->seed = bank->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(bank->seed >> 33) % below;
}

static const char *address_of(const struct bank *bank, uint32_t number, char *buffer, size_t size)
{
    snprintf(buffer, size, "account/%s-%" PRIu32, bank->name, number);
    return buffer;
}

static void count_failure(void *context, const struct stead_answer *answer)
{
    ((struct bank *)context)->failed += answer->code != 0;
}

/* Calls `op` of every account, IN_FLIGHT at once. 0, or a negative code. */
static int call_all(struct bank *bank, const char *op, struct stead_slice args, stead_completion_fn *completion)
{
    const struct stead_request_options options = {.timeout_ms = TIMEOUT_MS};
    char address[STEAD_ADDRESS_MAX + 1];
    int code = 0;

    bank->failed = 0;
    for (uint32_t number = 0; code >= 0 && number < bank->accounts; number++) {
        code = stead_client_call_async(bank->client, address_of(bank, number, address, sizeof address), op, args,
                                       &options, completion, bank);
        while (code >= 0 && stead_client_in_flight(bank->client) >= IN_FLIGHT)
            code = stead_client_poll(bank->client, PROGRESS_MS);
    }
    if (code >= 0)
        code = stead_client_drain(bank->client, (int)TIMEOUT_MS);
    return code < 0 ? code : bank->failed > 0 ? STEAD_ETIMEOUT : 0;
}

/* ---- Transfers ------------------------------------------------------------------------------ */

static void transferred(void *context, const struct stead_answer *answer)
{
    struct bank *bank = context;

    if (answer->code == 0)
        bank->acknowledged++;
    else if (answer->code == STEAD_EFAILED)
        bank->refused++; /* too little money: the turn left nothing */
    else
        bank->unknown++;
}

static int start_transfer(struct bank *bank)
{
    const struct stead_request_options options = {.timeout_ms = TIMEOUT_MS};
    char from[STEAD_ADDRESS_MAX + 1], to[STEAD_ADDRESS_MAX + 1];
    struct stead_writer args;

    address_of(bank, draw(bank, bank->accounts), from, sizeof from);
    address_of(bank, draw(bank, bank->accounts), to, sizeof to);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:d}", "to", to, "amount", 1);
    int code =
        stead_client_call_async(bank->client, from, "transfer", stead_written(&args), &options, transferred, bank);
    stead_writer_deinit(&args);
    return code;
}

static int transfer_for(struct bank *bank, int64_t ms)
{
    int64_t end = now_ms() + ms;
    int code = 0;

    while (code >= 0 && now_ms() < end) {
        while (code >= 0 && stead_client_in_flight(bank->client) < IN_FLIGHT)
            code = start_transfer(bank);
        if (code >= 0)
            code = stead_client_poll(bank->client, PROGRESS_MS);
    }
    return code < 0 ? code : stead_client_drain(bank->client, (int)TIMEOUT_MS + 1000);
}

/* ---- The audit ------------------------------------------------------------------------------ */

static void audited(void *context, const struct stead_answer *answer)
{
    struct bank *bank = context;
    int64_t balance, sent, received;

    if (answer->code != 0 || stead_get_i64(answer->value, "balance", &balance) != 0 ||
        stead_get_i64(answer->value, "sent", &sent) != 0 || stead_get_i64(answer->value, "received", &received) != 0) {
        bank->failed++;
        return;
    }
    bank->balance += balance;
    bank->sent += sent;
    bank->received += received;
}

/* Asks until all money that left has arrived. */
static int audit(struct bank *bank)
{
    int64_t end = now_ms() + SETTLE_S * 1000;
    int code;

    do {
        bank->balance = bank->sent = bank->received = 0;
        code = call_all(bank, "get", (struct stead_slice){NULL, 0}, audited);
    } while (code == 0 && bank->sent != bank->received && now_ms() < end);
    return code;
}

static bool is_right(const struct bank *bank)
{
    uint64_t left = (uint64_t)bank->sent;

    return bank->acknowledged <= left && left <= bank->acknowledged + bank->unknown && bank->sent == bank->received &&
           bank->balance == (int64_t)bank->accounts * PAID_IN;
}

static void tell(const struct bank *bank, bool json)
{
    const char *format = json ? "{\"acknowledged\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unknown\":%" PRIu64
                                ",\"left\":%" PRId64 ",\"arrived\":%" PRId64 ",\"balance\":%" PRId64
                                ",\"paid_in\":%" PRId64 ",\"right\":%s}\n"
                              : "%" PRIu64 " transfers acknowledged, %" PRIu64 " refused, %" PRIu64 " unknown; %" PRId64
                                " left, %" PRId64 " arrived; all balances: %" PRId64 " of %" PRId64 " paid in: %s\n";

    printf(format, bank->acknowledged, bank->refused, bank->unknown, bank->sent, bank->received, bank->balance,
           (int64_t)bank->accounts * PAID_IN,
           json             ? is_right(bank) ? "true" : "false"
           : is_right(bank) ? "right"
                            : "WRONG");
}

static int run(struct bank *bank, int64_t ms, bool json)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:d}", "amount", PAID_IN);
    int code = call_all(bank, "deposit", stead_written(&args), count_failure);
    stead_writer_deinit(&args);
    if (code == 0)
        code = transfer_for(bank, ms);
    if (code == 0)
        code = audit(bank);
    if (code != 0) {
        fprintf(stderr, "bank: %s: %s\n", stead_error_name(code), stead_error_sentence(code));
        return 1;
    }
    tell(bank, json);
    return is_right(bank) ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"node", required_argument, NULL, 'n'},    {"accounts", required_argument, NULL, 'a'},
        {"seconds", required_argument, NULL, 's'}, {"name", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},          {NULL, 0, NULL, 0}};
    struct stead_client_options client = {.retry_ms = 250};
    struct bank bank = {.accounts = 100, .seed = (uint64_t)now_ms() ^ (uint64_t)getpid()};
    double seconds = 5;
    bool json = false, right = true;

    snprintf(bank.name, sizeof bank.name, "%" PRIx64, bank.seed);
    for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (key == 'n')
            client.endpoints = optarg;
        else if (key == 'a')
            bank.accounts = (uint32_t)strtoul(optarg, NULL, 10);
        else if (key == 's')
            seconds = strtod(optarg, NULL);
        else if (key == 'm')
            snprintf(bank.name, sizeof bank.name, "%s", optarg);
        else
            json = right = key == 'j';
    }
    if (!right || optind != argc || bank.accounts < 2 || bank.accounts > ACCOUNTS_MAX ||
        !(seconds > 0 && seconds < 86400)) {
        fputs("usage: bank [--node ENDPOINT] [--accounts N] [--seconds S] [--name NAME] [--json]\n", stderr);
        return 2;
    }
    if (stead_client_open(&client, &bank.client) != 0) {
        fputs("bank: no such endpoint\n", stderr);
        return 2;
    }
    int status = run(&bank, (int64_t)(seconds * 1000), json);
    stead_client_close(&bank.client);
    return status;
}
