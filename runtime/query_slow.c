/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_slow: queries that look at all agents of a host, a slice in each round, between turns.
 *
 *     query --> asked --(a slice a round, in turns)--> over: answered
 *
 * A slice ends by its count of work, not by a clock, so that the same events give the same effects. What it looked at
 * before is not looked at again when turns change it meanwhile: an answer has everything that was there all the time,
 * and of the rest each agent as it was at some moment in between.
 */
#include "runtime/query_slow.h"

#include "runtime/shard.h"

void stead_query_slow_begin(struct stead_host *host, struct stead_query_slow *it)
{
    it->next = NULL;
    if (host->queries_tail != NULL)
        host->queries_tail->next = it;
    else
        host->queries = it;
    host->queries_tail = it;
}

static struct stead_query_slow *take_first(struct stead_host *host)
{
    struct stead_query_slow *it = host->queries;

    host->queries = it->next;
    if (host->queries == NULL)
        host->queries_tail = NULL;
    return it;
}

static void end(struct stead_host *host, struct stead_query_slow *it, int status)
{
    struct stead_slice none = {0};
    struct stead_writer out;

    stead_writer_init(&out);
    if (status == 0)
        it->write(it, &out);
    stead_host_route(host, stead_message_answer(it->query, status, NULL, status == 0 ? stead_written(&out) : none));
    stead_writer_deinit(&out);
    stead_message_destroy(&it->query);
    it->destroy(it);
}

bool stead_queries_run(struct stead_host *host)
{
    if (host->queries == NULL)
        return false;
    struct stead_query_slow *it = take_first(host);
    int code = it->step(it);
    if (code == STEAD_QUERY_MORE)
        stead_query_slow_begin(host, it); /* behind the others */
    else
        end(host, it, code);
    return host->queries != NULL;
}

void stead_queries_refuse(struct stead_host *host)
{
    while (host->queries != NULL)
        end(host, take_first(host), STEAD_EUNAVAILABLE);
}

void stead_queries_deinit(struct stead_host *host)
{
    while (host->queries != NULL) {
        struct stead_query_slow *it = take_first(host);
        stead_message_destroy(&it->query);
        it->destroy(it);
    }
}
