/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_query: looking inside: a query to the owner of an agent, or to every node, their answers merged.
 *
 * The nodes asked are those that the table calls alive; one whose connection fails at once, or that does not answer in
 * time, is named in `missing` and does not spoil the answer of the others, and so is one that is down but owns shards.
 * Before a cluster has formed there is no table, and the one node that can be reached is asked.
 */
#include <stdlib.h>

#include "net/client_inside.h"
#include "net/client_merge.h"
#include "runtime/base.h"

#define AGENTS_DEFAULT 1000u /* docs/OPERATIONS.md: agents, `limit` */
#define LETTERS_DEFAULT 100u /* the same of deadletters */

/* One node that is asked. */
struct asked {
    struct stead_client_waiter waiter; /* its answer */
    const char *name;                  /* borrowed from the table; NULL: the only one */
};

/* A round of queries, one for each node. */
struct round {
    struct stead_table *table; /* held while names are borrowed; NULL: none yet */
    struct asked *asked;       /* one for each */
    uint32_t count;            /* of them */
    uint32_t sent;             /* of those, asked at all: the others are known to be down */
};

/* Turns until there is a table with nodes, or some node has said that there is none. */
static int await_table(struct stead_client *client)
{
    uint64_t lost = client->lost, until_ns = stead_client_now_ns() + (uint64_t)client->timeout_ms * 1000000u;

    while (stead_client_core_table(client->core) == NULL && !stead_client_is_connected(client)) {
        stead_client_want_node(client);
        stead_client_turn(client, until_ns);
        if (client->lost != lost || stead_client_now_ns() >= until_ns)
            return STEAD_EUNAVAILABLE;
    }
    return 0;
}

static void submit_to(struct stead_client *client, struct asked *asked, const char *query, struct stead_slice args,
                      uint32_t node)
{
    struct stead_client_request request = {.type = STEAD_QUERY,
                                           .op = stead_str(query),
                                           .args = args,
                                           .node = node,
                                           .fail_fast = node != 0,
                                           .context = &asked->waiter};

    stead_client_waiter_init(&asked->waiter);
    asked->waiter.code = stead_client_core_submit(client->core, &request);
    asked->waiter.done = asked->waiter.code != 0;
}

/* Does anything live there? A node that has left for good owns nothing and is not missed. */
static bool owns_shards(const struct stead_table *table, uint32_t node)
{
    for (uint32_t i = 0; i < table->shard_count; i++)
        if (table->shards[i].node == node)
            return true;
    return false;
}

static void submit_round(struct stead_client *client, struct round *round, const char *query, struct stead_slice args)
{
    struct stead_table *table = stead_client_core_table(client->core);

    round->table = table == NULL ? NULL : stead_table_hold(table);
    round->asked = stead_alloc_zero((table == NULL ? 1 : table->node_count + 1) * sizeof(*round->asked));
    for (uint32_t i = 0; table != NULL && i < table->node_count; i++) {
        const struct stead_table_node *node = &table->nodes[i];
        struct asked *asked = &round->asked[round->count];

        if (node->reactor_count == 0 || (!node->alive && !owns_shards(table, node->id)))
            continue;
        asked->name = node->name;
        round->count++;
        if (node->alive) {
            submit_to(client, asked, query, args, node->id);
            round->sent++;
            continue;
        }
        stead_client_waiter_init(&asked->waiter);
        asked->waiter.code = STEAD_EUNAVAILABLE;
        asked->waiter.done = true;
    }
    if (round->sent == 0)
        submit_to(client, &round->asked[round->count++], query, args, 0);
}

static void await_round(struct stead_client *client, const struct round *round)
{
    for (uint32_t i = 0; i < round->count; i++)
        while (!round->asked[i].waiter.done)
            stead_client_turn(client, STEAD_CLIENT_NEVER);
}

/* Merges what came into client->merged. 0 when at least one node answered well, else the code of the first. */
static int merge_round(struct stead_client *client, struct round *round, const char *query, struct stead_slice args)
{
    struct stead_slice *answers = stead_alloc(round->count * sizeof(*answers));
    const char **missing = stead_alloc(round->count * sizeof(*missing));
    uint32_t answer_count = 0, missing_count = 0;
    bool letters = strcmp(query, "deadletters") == 0;
    uint64_t usual = letters ? LETTERS_DEFAULT : AGENTS_DEFAULT, limit = usual;

    for (uint32_t i = 0; i < round->count; i++) {
        const struct asked *asked = &round->asked[i];

        if (asked->waiter.code == 0 && asked->waiter.answer != NULL)
            answers[answer_count++] = stead_message_payload(asked->waiter.answer);
        else if (asked->name != NULL)
            missing[missing_count++] = asked->name;
    }
    if (args.size > 0 && stead_get_u64(args, "limit", &limit) != 0)
        limit = usual;
    if (answer_count > 0 && letters)
        stead_client_merge_letters(answers, answer_count, missing, missing_count, limit, &client->merged);
    else if (answer_count > 0 && strcmp(query, "agents") == 0)
        stead_client_merge_pages(answers, answer_count, missing, missing_count, limit, &client->merged);
    else if (answer_count > 0)
        stead_client_merge(answers, answer_count, missing, missing_count, &client->merged);
    free(answers);
    free(missing);
    return answer_count > 0 ? 0 : round->asked[0].waiter.code;
}

static void free_round(struct round *round)
{
    for (uint32_t i = 0; i < round->count; i++)
        stead_message_destroy(&round->asked[i].waiter.answer);
    free(round->asked);
    stead_table_release(&round->table);
}

static int ask_nodes(struct stead_client *client, const char *query, struct stead_slice args,
                     struct stead_answer *ret_answer)
{
    struct round round = {.table = NULL};
    int code = await_table(client);

    if (code == 0) {
        submit_round(client, &round, query, args);
        await_round(client, &round);
        code = merge_round(client, &round, query, args);
        if (code != 0) { /* the first node's own words are the best that can be said */
            client->answer = round.asked[0].waiter.answer;
            round.asked[0].waiter.answer = NULL;
        }
        free_round(&round);
    }
    if (ret_answer != NULL) {
        stead_client_fill_answer(code, client->answer, &client->texts, ret_answer);
        if (code == 0)
            ret_answer->value = stead_written(&client->merged);
    }
    return code;
}

static int ask_owner(struct stead_client *client, const char *query, struct stead_slice address,
                     struct stead_slice args, struct stead_answer *ret_answer)
{
    struct stead_client_request request = {
        .type = STEAD_QUERY, .address = address, .op = stead_str(query), .args = args};
    struct stead_client_waiter waiter = {.answer = NULL};
    int code = stead_client_ask(client, &request, &waiter);

    client->answer = waiter.answer;
    if (ret_answer != NULL)
        stead_client_fill_answer(code, client->answer, &client->texts, ret_answer);
    return code;
}

int stead_client_query(struct stead_client *client, const char *query, struct stead_slice args,
                       struct stead_answer *ret_answer)
{
    struct stead_slice address = {.size = 0};
    int code = stead_client_begin(client);

    if (code == 0 && stead_value_check(args) != 0)
        code = STEAD_EARGUMENT;
    if (code != 0) {
        if (ret_answer != NULL)
            stead_client_fill_answer(code, NULL, &client->texts, ret_answer);
        return code;
    }
    if (args.size > 0 && stead_get_str(args, "address", &address) == 0 && address.size > 0)
        return ask_owner(client, query, address, args, ret_answer);
    return ask_nodes(client, query, args, ret_answer);
}
