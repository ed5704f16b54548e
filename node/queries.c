/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queries: questions about the whole node (docs/OPERATIONS.md, "Queries").
 *
 *     client -> any reactor -> one copy for each reactor of the node -> parts -> merged by the first -> client
 *
 * A copy's route names the gathering reactor, with a connection number that no client has: GATHER_BIT, the reactor that
 * it is for, the gather. So a part finds its way back, and its place, by the same road as any answer: a host that has
 * to wait for a commit before it may tell what it saw answers later, and from where it likes. `agents` and
 * `deadletters` are answered by each host, `stats` and `status` here from the host's numbers; `hold` is for hold.h; a
 * backup blocks, so it runs on a thread of its own and is answered by that (backup.c).
 *
 * Queries change nothing and may be asked again, so a copy carries no session; the answer carries the client's.
 *
 * Invariant Q1: a gather is in the list until its last part has come; reactors answer every copy, or the node stops.
 */
#include "node/queries_merge.h"
#include "node/reactor_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/backup.h"
#include "runtime/base.h"
#include "stead/stead.h"

#define GATHER_BIT (1ull << 63) /* of a connection number: not a client, a gather of this reactor */
#define PART_SHIFT 48           /* above it: which reactor's part; below: the gather's number */
#define GATHERS_MAX 256u        /* at once; more are refused with STEAD_EBUSY */

static bool is(const struct stead_message *message, const char *query)
{
    return strcmp(message->op, query) == 0;
}

void stead_reactor_answer_value(struct stead_reactor *reactor, const struct stead_message *request,
                                struct stead_slice value)
{
    struct stead_message *answer = stead_message_answer(request, 0, NULL, value);

    stead_transport_answer(reactor->transport, &answer);
}

void stead_reactor_answer_error(struct stead_reactor *reactor, const struct stead_message *request, int code,
                                const char *sentence)
{
    struct stead_answer_error error = {.sentence = sentence};
    struct stead_message *answer = stead_message_answer(request, code, &error, (struct stead_slice){0});

    stead_transport_answer(reactor->transport, &answer);
}

/* ---- Gathering ------------------------------------------------------------------------------ */

static struct stead_message *make_copy(const struct stead_reactor *reactor, const struct stead_gather *gather,
                                       uint32_t part)
{
    struct stead_message *copy = stead_message_copy(gather->request);

    copy->groups = (copy->groups | STEAD_GROUP_ROUTE) & ~(uint32_t)STEAD_GROUP_SESSION;
    copy->route = (struct stead_route){.node = reactor->shell->node,
                                       .reactor = reactor->index,
                                       .connection = GATHER_BIT | (uint64_t)part << PART_SHIFT | gather->number};
    return copy;
}

static void gather(struct stead_reactor *reactor, struct stead_message **request)
{
    uint32_t count = reactor->shell->reactor_count;

    if (reactor->gather_count >= GATHERS_MAX) {
        stead_reactor_answer_error(reactor, *request, STEAD_EBUSY, "too many queries about the node at once");
        stead_message_destroy(request);
        return;
    }
    struct stead_gather *it = stead_alloc_zero(sizeof *it + count * sizeof it->parts[0]);
    it->number = ++reactor->gather_last;
    it->request = *request;
    *request = NULL;
    it->waiting = it->part_count = count;
    it->next = reactor->gathers;
    reactor->gathers = it;
    reactor->gather_count++;
    for (uint32_t i = 0; i < count; i++) {
        struct stead_event event = {.type = STEAD_EVENT_QUERY, .pointer = make_copy(reactor, it, i)};
        stead_reactor_post(reactor->shell->reactors[i], &event);
    }
}

static void gather_destroy(struct stead_gather *gather)
{
    for (uint32_t i = 0; i < gather->part_count; i++)
        stead_message_destroy(&gather->parts[i]);
    stead_message_destroy(&gather->request);
    free(gather);
}

/* The first part that failed fails the whole; its payload says why. */
static const struct stead_message *failed_part(const struct stead_gather *gather)
{
    for (uint32_t i = 0; i < gather->part_count; i++) {
        if (gather->parts[i]->status != 0)
            return gather->parts[i];
    }
    return NULL;
}

static void write_node_head(const struct stead_reactor *reactor, struct stead_writer *value, uint32_t pairs)
{
    const struct stead_shell *shell = reactor->shell;

    stead_write_map(value, 1);
    stead_write_str(value, "nodes");
    stead_write_array(value, 1);
    stead_write_map(value, pairs + 2);
    stead_write_str(value, "name");
    stead_write_str(value, shell->config->name);
    stead_write_str(value, "uptime_ms");
    stead_write_u64(value, (reactor->now_ns - shell->started_ns) / 1000000);
}

static void write_stats(const struct stead_reactor *reactor, const struct stead_gather *gather,
                        struct stead_writer *value)
{
    struct stead_log_writer_stats *writer = stead_alloc_zero(sizeof *writer);

    stead_log_writer_stats(reactor->shell->writer, writer);
    write_node_head(reactor, value, 4);
    stead_write_str(value, "time_ms");
    stead_write_u64(value, stead_shell_wall_ms());
    stead_write_str(value, "reactors");
    stead_write_array(value, gather->part_count);
    for (uint32_t i = 0; i < gather->part_count; i++)
        stead_write_value(value, stead_message_payload(gather->parts[i]));
    stead_write_str(value, "log_writer");
    stead_queries_write_log_writer(writer, value);
    stead_write_str(value, "store");
    stead_pack(value, "{s:u}", "bytes_used", stead_store_bytes(reactor->shell->store));
    free(writer);
}

static void write_texts(struct stead_writer *value, const char *name, const char *const *texts, uint32_t count)
{
    stead_write_str(value, name);
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++)
        stead_write_str(value, texts[i]);
}

static void write_ops(const struct stead_op *ops, struct stead_writer *value)
{
    uint32_t count = 0;

    while (ops && ops[count].name)
        count++;
    stead_write_str(value, "ops");
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++)
        stead_pack(value, "{s:s,s:b,s:s}", "name", ops[i].name, "read_only",
                   (int)((ops[i].flags & STEAD_OP_READ_ONLY) != 0), "help", ops[i].help);
}

static void write_kinds(const struct stead_registry *registry, struct stead_writer *value)
{
    static const char *const durabilities[] = {"durable", "volatile", "stateless"};
    uint32_t count = stead_registry_count(registry);

    stead_write_str(value, "kinds");
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct stead_kind *kind = stead_registry_at(registry, i);
        stead_write_map(value, 5);
        stead_write_str(value, "name");
        stead_write_str(value, kind->name);
        stead_write_str(value, "durability");
        stead_write_str(value, durabilities[kind->durability]);
        stead_pack(value, "s", "help"), stead_pack(value, "s", kind->help);
        stead_pack(value, "s", "needs"), stead_pack(value, "s", kind->needs);
        write_ops(kind->ops, value);
    }
}

static void write_orchestrators(const struct stead_registry *registry, struct stead_writer *value)
{
    uint32_t count = stead_registry_orchestrator_count(registry);

    stead_write_str(value, "orchestrators");
    stead_write_array(value, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct stead_orchestrator *it = stead_registry_orchestrator_at(registry, i);
        stead_pack(value, "{s:s,s:u,s:s}", "name", it->name, "version", (uint64_t)it->version, "help", it->help);
    }
}

static void write_status(const struct stead_reactor *reactor, const struct stead_gather *gather,
                         struct stead_writer *value)
{
    const struct stead_shell *shell = reactor->shell;
    const struct stead_node_config *config = shell->config;
    const char *endpoints[STEAD_REACTORS_MAX];

    for (uint32_t i = 0; i < shell->reactor_count; i++)
        endpoints[i] = stead_reactor_endpoint(shell->reactors[i]);
    write_node_head(reactor, value, 12);
    stead_write_str(value, "id");
    stead_write_u64(value, shell->node);
    stead_write_str(value, "incarnation");
    stead_write_u64(value, shell->incarnation);
    stead_write_str(value, "version");
    stead_write_str(value, STEAD_VERSION);
    stead_write_str(value, "table_version");
    stead_write_u64(value, reactor->table ? reactor->table->version : 0);
    write_texts(value, "labels", config->labels, config->label_count);
    write_texts(value, "endpoints", endpoints, shell->reactor_count);
    write_texts(value, "modules", config->modules, config->module_count);
    write_kinds(shell->registry, value);
    write_orchestrators(shell->registry, value);
    stead_write_str(value, "shards");
    stead_queries_join_arrays(gather->parts, gather->part_count, value);
    stead_write_str(value, "coordinator");
    stead_pack(value, "{s:s}", "endpoint", shell->coordinator);
    stead_write_str(value, "data");
    stead_write_str(value, config->folder);
}

/* Every part is there. */
static void finish(struct stead_reactor *reactor, struct stead_gather *gather)
{
    const struct stead_message *failed = failed_part(gather);
    struct stead_writer value;
    char sentence[256] = "";

    if (failed) {
        int read = stead_get_text(stead_message_payload(failed), "sentence", sentence, sizeof sentence);
        stead_reactor_answer_error(reactor, gather->request, failed->status, read == 0 ? sentence : NULL);
        return;
    }
    stead_writer_init(&value);
    if (is(gather->request, "stats"))
        write_stats(reactor, gather, &value);
    else if (is(gather->request, "status"))
        write_status(reactor, gather, &value);
    else if (is(gather->request, "hold"))
        stead_backup_write_held(reactor->shell, NULL, &value);
    else if (is(gather->request, "agents"))
        stead_queries_merge_agents(gather->parts, gather->part_count, stead_message_payload(gather->request), &value);
    else
        stead_queries_merge_letters(gather->parts, gather->part_count, stead_message_payload(gather->request), &value);
    stead_reactor_answer_value(reactor, gather->request, stead_written(&value));
    stead_writer_deinit(&value);
}

bool stead_reactor_query_gather(struct stead_reactor *reactor, struct stead_message **answer)
{
    struct stead_message *part = *answer;

    if (part->type != STEAD_ANSWER || !(part->groups & STEAD_GROUP_ROUTE) || !(part->route.connection & GATHER_BIT) ||
        part->route.node != reactor->shell->node || part->route.reactor != reactor->index)
        return false;
    *answer = NULL;
    uint64_t number = part->route.connection & ((1ull << PART_SHIFT) - 1);
    uint32_t index = (uint32_t)((part->route.connection & ~GATHER_BIT) >> PART_SHIFT);
    struct stead_gather **at = &reactor->gathers;
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    struct stead_gather *it = *at;
    if (!it || index >= it->part_count || it->parts[index]) {
        stead_message_destroy(&part);
        return true;
    }
    it->parts[index] = part;
    if (--it->waiting == 0) {
        *at = it->next;
        reactor->gather_count--;
        finish(reactor, it);
        gather_destroy(it);
    }
    return true;
}

void stead_reactor_queries_deinit(struct stead_reactor *reactor)
{
    while (reactor->gathers) {
        struct stead_gather *it = reactor->gathers;
        reactor->gathers = it->next;
        gather_destroy(it);
    }
}

/* ---- One reactor's part --------------------------------------------------------------------- */

static void write_shards(const struct stead_reactor *reactor, struct stead_writer *value)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < reactor->shard_count; i++)
        count += stead_table_shard_find(reactor->table, reactor->shards[i]) != NULL;
    stead_write_array(value, count);
    for (uint32_t i = 0; i < reactor->shard_count; i++) {
        const struct stead_table_shard *shard = stead_table_shard_find(reactor->table, reactor->shards[i]);
        uint64_t applied = 0;
        if (!shard)
            continue;
        /* A damaged mark shows as 0 here; recovery is where it counts. */
        if (stead_store_applied(reactor->shell->store, shard->id, &applied) != 0)
            applied = 0;
        stead_pack(value, "{s:u,s:u,s:u,s:u,s:u,s:u}", "id", (uint64_t)shard->id, "epoch", shard->epoch, "reactor",
                   (uint64_t)reactor->index, "group", (uint64_t)shard->group, "next_index",
                   stead_host_next_index(reactor->host, shard->id), "applied", applied);
    }
}

static void write_transport(const struct stead_transport_stats *stats, struct stead_writer *value)
{
    stead_write_str(value, "transport");
    stead_pack(value, "{s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u}", "frames_in", stats->frames_in,
               "frames_out", stats->frames_out, "bytes_in", stats->bytes_in, "bytes_out", stats->bytes_out,
               "records_in", stats->records_in, "records_out", stats->records_out, "records_refused",
               stats->records_refused, "records_strange", stats->records_strange, "dropped_full", stats->dropped_full,
               "dropped_gone", stats->dropped_gone, "connections", stats->connections, "connections_opened",
               stats->connections_opened, "peers_up", stats->peers_up, "queued_bytes", stats->queued_bytes);
}

void stead_reactor_query_part(struct stead_reactor *reactor, struct stead_message **copy)
{
    bool stats = is(*copy, "stats"), hold = is(*copy, "hold");
    struct stead_writer value;

    if (!stats && !hold && !is(*copy, "status")) {
        stead_host_deliver(reactor->host, copy);
        return;
    }
    stead_writer_init(&value);
    if (stats) {
        stead_write_map(&value, 5);
        stead_write_str(&value, "reactor");
        stead_write_u64(&value, reactor->index);
        stead_queries_write_host(stead_host_stats(reactor->host), &value);
        write_transport(stead_transport_stats(reactor->transport), &value);
    } else if (hold) {
        stead_backup_hold_here(reactor, *copy);
        stead_write_nil(&value);
    } else {
        write_shards(reactor, &value);
    }
    struct stead_message *part = stead_message_answer(*copy, 0, NULL, stead_written(&value));
    uint16_t to = (*copy)->route.reactor;
    stead_writer_deinit(&value);
    stead_message_destroy(copy);
    stead_reactor_cross(reactor, to, &part);
}

/* ---- Where a query goes --------------------------------------------------------------------- */

void stead_reactor_query(struct stead_reactor *reactor, struct stead_message **request)
{
    const struct stead_message *it = *request;

    if (is(it, "agents") || is(it, "deadletters") || is(it, "stats") || is(it, "status")) {
        gather(reactor, request);
        return;
    }
    if (is(it, "hold")) {
        if (stead_backup_begin_hold(reactor, *request))
            gather(reactor, request);
        else
            stead_message_destroy(request);
        return;
    }
    if (is(it, "backup")) {
        stead_backup_start(reactor, it);
        stead_message_destroy(request);
        return;
    }
    if (is(it, "show") || is(it, "journal") || is(it, "unlock"))
        stead_reactor_answer_error(reactor, it, STEAD_EARGUMENT, "this query needs the address of an agent");
    else
        stead_reactor_answer_error(reactor, it, STEAD_ENOTFOUND, "there is no query of this name");
    stead_message_destroy(request);
}
