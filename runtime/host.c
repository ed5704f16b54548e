/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: the pure part of a reactor: finds the shard of every message, gives each shard its turn, keeps the memory
 * budget, and drains effects.
 *
 *     deliver ---> shard of this host: its inbox
 *        |-------> a session: the client's connection, here or at the reactor it came in at
 *        |-------> a stateless kind: placement.c
 *        `-------> another shard: its owner by the table, by effect
 *
 * A message for a shard that nobody owns right now is dropped, or answered with `unavailable` where a client waits:
 * whoever must have it delivered keeps it in an outbox, a session or a CALL row, and sends it again.
 */
#include "runtime/host.h"

#include "runtime/address.h"
#include "runtime/fields.h"
#include "runtime/hold.h"
#include "runtime/lock_waits.h"
#include "runtime/query_slow.h"
#include "runtime/shard.h"
#include "runtime/turn.h"
#include "stead/fiber.h"

#define TURNS_PER_ROUND 1024u         /* of one shard, before the next shard and the sockets are looked at */
#define EXPIRE_PLACES 4096u           /* of each shard looked at in one tick */
#define EXPIRE_MESSAGES 65536u        /* waiting there; the last mailbox to its end */
#define TICK_NS 1000000000u           /* idle agents, sessions */
#define SESSIONS_TICK_NS 60000000000u /* where there is nothing else: sessions leave memory after minutes */
#define WARY_NS 10000000000u          /* after a start that knows messages which killed the process */
#define UNLOADS_PER_ROUND 4096u
#define CLOCK_STEP_MS 1000u /* a step back of more is told */

void stead_settings_default(struct stead_settings *ret_settings)
{
    *ret_settings = (struct stead_settings){
        .payload_bytes_max = 1u << 20,
        .image_bytes_max = 16u << 20,
        .kv_key_bytes_max = 512,
        .kv_value_bytes_max = 1u << 20,
        .turn_effects_max = 10000,
        .turn_bytes_max = 32u << 20,
        .mailbox_messages_max = 10000,
        .call_depth_max = 64,
        .session_answers_max = 65536,
        .session_age_ms_max = 24u * 3600u * 1000u,
        .idempotency_ms = 24u * 3600u * 1000u,
        .call_timeout_ms = 30000,
        .resend_ms = 1000,
        .channel_window = 1024,
        .batch_turns_max = 4096,
        .batch_bytes_max = 1u << 20,
        .checkpoint_bytes = 16u << 20,
        .memory_bytes_max = 512u << 20,
        .idle_ms_max = 60000,
        .poison_kills_max = 3,
        .turn_ms_warn = 100,
    };
}

struct stead_host *stead_host_create(const struct stead_host_options *options)
{
    struct stead_host *host = stead_alloc_zero(sizeof(*host));

    host->options = *options;
    host->options.node_name = stead_text_copy(options->node_name);
    host->settings = *options->settings;
    host->doors = *options->doors;
    host->registry = options->registry;
    for (uint32_t i = 0; i < stead_registry_count(host->registry); i++)
        host->registry_has_stateless =
            host->registry_has_stateless || stead_registry_at(host->registry, i)->durability == STEAD_STATELESS;
    host->options.settings = &host->settings;
    host->options.doors = &host->doors;
    stead_rng_seed(&host->rng, options->seed);
    host->id_prefix = stead_rng_next(&host->rng);
    host->effects.deadline_ns = UINT64_MAX;
    stead_writer_init(&host->scratch);
    host->resolved = stead_alloc_zero(STEAD_RESOLVED_CACHE * sizeof(*host->resolved));
    host->shard_of = stead_alloc_zero(STEAD_SLOTS * sizeof(struct stead_shard *));
    stead_histogram_reset(&host->stats.turn_ns);
    stead_histogram_reset(&host->stats.commit_ns);
    stead_histogram_reset(&host->stats.batch_turns);
    stead_histogram_reset(&host->stats.queue_depth);
    return host;
}

void stead_host_destroy(struct stead_host **consumed)
{
    struct stead_host *host = *consumed;

    *consumed = NULL;
    if (host == NULL)
        return;
    for (uint32_t i = 0; i < host->shard_count; i++)
        stead_shard_destroy(host->shards[i]);
    stead_fibers_destroy(&host->fibers); /* behind the agents, whose hooks may own fibers */
    stead_lock_waits_deinit(host);
    stead_queries_deinit(host);
    stead_placement_deinit(host);
    stead_queue_clear(&host->held_back);
    stead_effects_deinit(&host->effects);
    stead_writer_deinit(&host->scratch);
    stead_arena_deinit(&host->arena);
    stead_message_pool_deinit(&host->pool);
    stead_table_release(&host->table);
    free(host->shard_of);
    free(host->resolved);
    free(host->suspects);
    free((void *)(uintptr_t)host->options.node_name);
    free(host);
}

void stead_host_set_now(struct stead_host *host, uint64_t mono_ns, uint64_t wall_ms)
{
    uint64_t passed_ns = mono_ns > host->now_ns ? mono_ns - host->now_ns : 0;

    if (wall_ms + CLOCK_STEP_MS < host->wall_ms)
        stead_host_trace(host, STEAD_TRACE_WARN, "the wall clock was set back by %llu ms",
                         (unsigned long long)(host->wall_ms - wall_ms));
    host->now_ns += passed_ns;
    host->wall_ms = wall_ms;
    if (wall_ms >= host->now_ms) {
        host->now_ms = wall_ms;
        host->ahead_ns = 0;
        return;
    }
    host->ahead_ns += passed_ns - passed_ns / 4;
    host->now_ms += host->ahead_ns / 1000000u;
    host->ahead_ns %= 1000000u;
}

void stead_host_trace(struct stead_host *host, int level, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    stead_format_v(line, sizeof(line), format, args);
    va_end(args);
    host->doors.trace(host->doors.self, level, line);
}

void stead_host_fail(struct stead_host *host, int code, const char *format, ...)
{
    va_list args;

    if (host->failed != 0)
        return;
    host->failed = code;
    va_start(args, format);
    stead_format_v(host->why, sizeof(host->why), format, args);
    va_end(args);
}

int stead_host_failed(const struct stead_host *host, const char **ret_why)
{
    if (host->failed != 0 && ret_why != NULL)
        *ret_why = host->why;
    return host->failed;
}

void stead_host_wake_at(struct stead_host *host, uint64_t deadline_ns)
{
    if (deadline_ns < host->effects.deadline_ns)
        host->effects.deadline_ns = deadline_ns;
}

struct stead_id stead_host_new_id(struct stead_host *host)
{
    struct stead_id id;

    stead_store64(id.v, host->id_prefix);
    stead_store64(id.v + 8, (++host->id_counter) * 0x9E3779B97F4A7C15u ^ host->id_prefix >> 7);
    return id;
}

/* ---- Shards ------------------------------------------------------------------------------------------ */

static struct stead_shard *find_shard(const struct stead_host *host, uint32_t id)
{
    for (uint32_t i = 0; i < host->shard_count; i++)
        if (host->shards[i]->id == id)
            return host->shards[i];
    stead_assert_failed("the shard was added before", __FILE__, __LINE__);
}

void stead_host_add_shard(struct stead_host *host, uint32_t shard, uint64_t applied)
{
    STEAD_ASSERT(host->shard_count < STEAD_SHARDS_PER_HOST_MAX);
    host->shards[host->shard_count++] = stead_shard_create(host, shard, applied);
}

int stead_host_replay(struct stead_host *host, uint32_t shard, uint64_t index, struct stead_slice entry)
{
    return stead_shard_replay(find_shard(host, shard), index, entry);
}

void stead_host_start_shard(struct stead_host *host, uint32_t shard, uint64_t epoch, const stead_slot *slots,
                            uint32_t slot_count)
{
    stead_shard_start(find_shard(host, shard), epoch, slots, slot_count);
}

uint64_t stead_host_next_index(const struct stead_host *host, uint32_t shard)
{
    return find_shard(host, shard)->next_index;
}

void stead_host_synced(struct stead_host *host, uint32_t shard, uint64_t index)
{
    stead_shard_synced(find_shard(host, shard), index);
}

void stead_host_rows_written(struct stead_host *host, uint32_t shard)
{
    stead_shard_rows_written(find_shard(host, shard));
}

void stead_host_loaded(struct stead_host *host, struct stead_load **load)
{
    stead_agent_loaded(find_shard(host, (*load)->shard), load);
}

/* ---- Routing ------------------------------------------------------------------------------------------- */

static int resolve(struct stead_host *host, struct stead_slice address, struct stead_resolved *ret_resolved)
{
    const struct stead_table_kind *known = NULL;
    const char *text = (const char *)address.data;
    size_t kind_size;

    if (stead_address_check(address, &kind_size) != 0)
        return STEAD_EADDRESS;
    if (host->table != NULL)
        known = stead_table_kind_find(host->table, text, kind_size);
    const struct stead_kind *kind = stead_registry_find(host->registry, text, kind_size);
    ret_resolved->kind = kind;
    ret_resolved->durability = kind != NULL    ? (uint8_t)kind->durability
                               : known != NULL ? known->durability
                                               : (uint8_t)STEAD_DURABLE;
    ret_resolved->hash = stead_hash(address.data, address.size);
    ret_resolved->slot = stead_address_slot(address, known != NULL ? known->group : STEAD_GROUP_DEFAULT);
    return 0;
}

int stead_host_resolve(struct stead_host *host, struct stead_slice address, struct stead_resolved *ret_resolved)
{
    if (address.size < sizeof(uint64_t) || address.size > STEAD_RESOLVED_ADDRESS_MAX)
        return resolve(host, address, ret_resolved);
    /* Keys differ at their ends. */
    uint64_t end = stead_load64(address.data + address.size - sizeof(end)) * 0x9E3779B97F4A7C15u;
    struct stead_resolved_entry *entry = &host->resolved[(end >> 32) % STEAD_RESOLVED_CACHE];
    if (entry->size != address.size || memcmp(entry->address, address.data, address.size) != 0) {
        entry->size = 0;
        int code = resolve(host, address, &entry->it);
        if (code != 0)
            return code;
        memcpy(entry->address, address.data, address.size);
        entry->size = (uint8_t)address.size;
    }
    *ret_resolved = entry->it;
    return 0;
}

/* Nobody serves this slot now. Clients are told; others keep what must arrive and send it again. */
static void unowned(struct stead_host *host, struct stead_message *message)
{
    bool wants = (message->type == STEAD_CALL || message->type == STEAD_SIGNAL || message->type == STEAD_QUERY) &&
                 (message->groups & STEAD_GROUP_ROUTE);

    if (wants) {
        struct stead_message *answer = stead_message_answer(message, STEAD_EUNAVAILABLE, NULL, (struct stead_slice){0});
        stead_host_route(host, answer);
    }
    stead_message_destroy(&message);
}

static void route_answer(struct stead_host *host, struct stead_message *answer)
{
    if (!(answer->groups & STEAD_GROUP_ROUTE) || answer->route.node == 0) {
        stead_message_destroy(&answer); /* its connection is not known any more: the client will ask again */
        return;
    }
    stead_placement_answered(host, answer);
    if (answer->route.node == host->options.node && answer->route.reactor == host->options.reactor)
        stead_queue_push(&host->effects.answers, answer);
    else
        STEAD_EFFECT_ADD(&host->effects.sends,
                         (struct stead_effect_send){answer->route.node, answer->route.reactor, answer});
}

/* Is it a request to a stateless kind, loaded here or known to be loaded somewhere? Then it was placed (consumed). */
static bool is_placed(struct stead_host *host, struct stead_message *message)
{
    if (message->type > STEAD_CALL || message->address_size == 0)
        return false;
    const char *slash = memchr(message->address, '/', message->address_size);
    size_t size = slash == NULL ? 0 : (size_t)(slash - message->address);
    const struct stead_kind *kind = stead_registry_find(host->registry, message->address, size);
    if (kind != NULL) {
        if (kind->durability == STEAD_STATELESS)
            stead_placement_place(host, kind, kind->needs, message);
        return kind->durability == STEAD_STATELESS;
    }
    /* Few messages are neither in a channel nor in a session: the table is looked through for those alone. */
    const struct stead_table_kind *known = (message->flags & STEAD_FLAG_UNSEQUENCED) == 0 || host->table == NULL
                                               ? NULL
                                               : stead_table_kind_find(host->table, message->address, size);
    if (known == NULL || known->durability != STEAD_STATELESS)
        return false;
    stead_placement_place(host, NULL, known->needs, message);
    return true;
}

void stead_host_route(struct stead_host *host, struct stead_message *message)
{
    struct stead_shard *shard = host->shard_of[message->slot.v];

    if (message->type == STEAD_CANCEL && stead_placement_cancel(host, message)) {
        stead_message_destroy(&message); /* of a job that this host has placed */
        return;
    }
    if (stead_slot_group(message->slot) == STEAD_GROUP_ENDPOINTS) {
        if (message->type == STEAD_ANSWER)
            route_answer(host, message);
        else if (message->type == STEAD_QUERY)
            stead_query_host(host, message);
        else
            stead_message_destroy(&message);
        return;
    }
    if ((host->registry_has_stateless || (message->flags & STEAD_FLAG_UNSEQUENCED)) && is_placed(host, message))
        return;
    if (message->type == STEAD_ANSWER)
        stead_placement_answered(host, message);
    if (shard != NULL) {
        stead_shard_offer(shard, message);
        return;
    }
    const struct stead_table_shard *owner =
        host->table == NULL ? NULL : stead_table_shard_of(host->table, message->slot);
    bool self = owner != NULL && owner->node == host->options.node && owner->reactor == host->options.reactor;
    if (owner == NULL || owner->node == 0 || self) {
        unowned(host, message);
        return;
    }
    host->stats.messages_out++;
    STEAD_EFFECT_ADD(&host->effects.sends, (struct stead_effect_send){owner->node, owner->reactor, message});
}

void stead_host_deliver(struct stead_host *host, struct stead_message **message)
{
    struct stead_message *it = *message;

    *message = NULL;
    it->depends_on = 0;
    it->target = NULL;
    it->received_ns = host->now_ns;
    host->stats.messages_in++;
    stead_host_route(host, it);
}

/* ---- The cluster ----------------------------------------------------------------------------------------- */

void stead_host_set_table(struct stead_host *host, struct stead_table *table)
{
    if (host->table != NULL && host->table->version >= table->version)
        return;
    stead_table_release(&host->table);
    host->table = stead_table_hold(table);
    memset(host->resolved, 0, STEAD_RESOLVED_CACHE * sizeof(*host->resolved));
}

static struct stead_peer *need_peer(struct stead_host *host, uint32_t node)
{
    for (uint32_t i = 0; i < host->peer_count; i++)
        if (host->peers[i].node == node)
            return &host->peers[i];
    STEAD_ASSERT(host->peer_count < STEAD_NODES_MAX);
    host->peers[host->peer_count] = (struct stead_peer){.node = node};
    return &host->peers[host->peer_count++];
}

void stead_host_peer_up(struct stead_host *host, uint32_t node, uint64_t incarnation)
{
    need_peer(host, node)->incarnation = incarnation;
    for (uint32_t i = 0; i < host->shard_count; i++)
        if (host->shards[i]->phase == STEAD_SHARD_SERVING)
            stead_channel_out_peer_up(host->shards[i], node);
}

void stead_host_peer_load(struct stead_host *host, uint32_t node, uint32_t jobs_in_progress)
{
    need_peer(host, node)->load = jobs_in_progress;
}

void stead_host_suspect(struct stead_host *host, struct stead_id message, uint32_t kills)
{
    host->suspects = stead_realloc(host->suspects, (host->suspect_count + 1) * sizeof(*host->suspects));
    host->suspects[host->suspect_count++] = (struct stead_suspect){message, kills, false};
    host->wary_until_ns = host->now_ns + WARY_NS;
}

uint32_t stead_host_kills(const struct stead_host *host, struct stead_id id)
{
    for (uint32_t i = 0; i < host->suspect_count; i++)
        if (stead_id_equal(host->suspects[i].id, id))
            return host->suspects[i].kills;
    return 0;
}

bool stead_host_sets_aside(const struct stead_host *host, const struct stead_kind *kind, struct stead_id id)
{
    uint32_t times = (kind->flags & STEAD_KIND_TAKES_POISON) != 0 ? 2 : 1;
    return host->suspect_count > 0 && stead_host_kills(host, id) / times >= host->settings.poison_kills_max;
}

bool stead_host_tells(struct stead_host *host, struct stead_id id)
{
    for (uint32_t i = 0; i < host->suspect_count; i++)
        if (stead_id_equal(host->suspects[i].id, id)) {
            bool first = !host->suspects[i].told;
            host->suspects[i].told = true;
            return first;
        }
    return false;
}

void stead_host_set_disk_full(struct stead_host *host, bool full)
{
    host->disk_full = full;
}

void stead_host_trim(struct stead_host *host)
{
    for (uint32_t i = 0; i < host->shard_count; i++) {
        const struct stead_shard *shard = host->shards[i];
        if (shard->phase == STEAD_SHARD_SERVING && shard->applied > 0)
            STEAD_EFFECT_ADD(&host->effects.trims, (struct stead_effect_trim){shard->id, shard->applied});
    }
    host->checkpoint_soon = true;
}

/* A shard whose checkpoint is under way, and may lack what was deleted since, has another one behind that. */
static void checkpoint_soon(struct stead_host *host)
{
    host->checkpoint_soon = false;
    for (uint32_t i = 0; i < host->shard_count; i++) {
        struct stead_shard *shard = host->shards[i];
        if (shard->phase != STEAD_SHARD_SERVING)
            continue;
        host->checkpoint_soon = host->checkpoint_soon || shard->checkpoint_index != 0 || shard->forget_due;
        stead_shard_checkpoint(shard, true);
    }
}

uint32_t stead_host_jobs(const struct stead_host *host)
{
    return host->job_count;
}

/* ---- Memory ------------------------------------------------------------------------------------------------ */

/* In the middle of work that its unloading would begin again. */
static bool is_at_work(const struct stead_host *host, const struct stead_agent *agent)
{
    return agent == host->at_work && host->now_ns < host->at_work_until_ns;
}

static bool may_unload(const struct stead_agent *agent)
{
    bool keeps = !stead_agent_durable(agent) &&
                 (!(agent->kind->flags & STEAD_KIND_FORGETTABLE) || (agent->flags & STEAD_AGENT_MAIL));
    bool timers = agent->wait != NULL && agent->wait->timers != NULL;
    return !keeps && !timers && agent->pins == 0 && stead_agent_waiting(agent) == 0 &&
           !(agent->flags & (STEAD_AGENT_SCHEDULED | STEAD_AGENT_UNPARKING));
}

/* Of the memory budget. */
static uint64_t memory_used(const struct stead_host *host)
{
    uint64_t sessions_max = stead_host_session_bytes_max(host);

    return host->agent_bytes + host->message_bytes + host->vrequest_bytes + host->overlay_bytes +
           (host->session_bytes < sessions_max ? host->session_bytes : sessions_max);
}

enum unload_why {
    UNLOAD_IDLE,  /* looks on past agents that may idle for longer than others */
    UNLOAD_TIGHT, /* stops where neither age nor memory asks for more */
    UNLOAD_ALL
};

/* Unloads from the least recently used end, while memory is short or an agent has idled long enough. An agent that must
 * stay goes to the other end, so that it is not looked at each time. */
static void unload_some(struct stead_host *host, enum unload_why why)
{
    bool everything = why == UNLOAD_ALL;
    uint64_t now_ms = host->now_ns / 1000000u;
    struct stead_agent *agent = host->lru_last;

    for (uint32_t i = 0; i < UNLOADS_PER_ROUND && agent != NULL; i++) {
        struct stead_agent *newer = agent->lru_prev;
        uint32_t idle_ms = agent->kind->idle_ms_max != 0 ? agent->kind->idle_ms_max : host->settings.idle_ms_max;
        bool idle = now_ms >= agent->used_ms + idle_ms;
        bool tight = memory_used(host) > host->settings.memory_bytes_max;
        if (!idle && !tight && why == UNLOAD_TIGHT)
            return;
        if (!idle && !tight && why == UNLOAD_IDLE) {
            agent = newer;
            continue;
        }
        if ((may_unload(agent) && (idle || !is_at_work(host, agent))) ||
            (everything && agent->pins == 0 && stead_agent_waiting(agent) == 0 &&
             !(agent->flags & STEAD_AGENT_SCHEDULED)))
            stead_agent_unload(agent);
        else if (!everything)
            stead_agent_touch(agent);
        agent = newer;
    }
}

static void tick(struct stead_host *host)
{
    host->tick_ns = host->now_ns + TICK_NS;
    unload_some(host, UNLOAD_IDLE);
    stead_placement_sweep(host);
    for (uint32_t i = 0; i < host->shard_count; i++) {
        if (host->shards[i]->phase != STEAD_SHARD_SERVING)
            continue;
        if (host->message_bytes > 0) {
            stead_shard_expire_waiting(host->shards[i], EXPIRE_PLACES, EXPIRE_MESSAGES);
            stead_keys_expire(host->shards[i], EXPIRE_PLACES);
        }
        stead_session_sweep(host->shards[i]);
        stead_seen_sweep(host->shards[i]);
        stead_channels_sweep(host->shards[i]);
    }
}

/* ---- A round ----------------------------------------------------------------------------------------------- */

static uint64_t queued_messages(const struct stead_host *host)
{
    uint64_t queued = 0;

    for (uint32_t i = 0; i < host->shard_count; i++)
        queued += host->shards[i]->inbox.count + host->shards[i]->local.count;
    return queued;
}

bool stead_host_run(struct stead_host *host)
{
    uint64_t overlay_bytes = 0, row_bytes = 0, queued = queued_messages(host);
    uint64_t started_ns = host->doors.clock == NULL ? 0 : host->doors.clock(host->doors.self);
    bool more = false;

    if (host->failed != 0)
        return false;
    if (queued > 0)
        stead_histogram_add(&host->stats.queue_depth, queued);
    host->round_turns = host->stats.turns;
    host->effects.deadline_ns = UINT64_MAX;
    stead_host_hold_due(host);
    if (host->now_ns >= host->tick_ns &&
        host->tick_armed) { /* before the shards: what it changes joins their batches */
        host->tick_armed = false;
        tick(host);
    }
    for (uint32_t i = 0; i < host->shard_count; i++) {
        struct stead_shard *shard = host->shards[(host->rotate_at + i) % host->shard_count];
        more = stead_shard_run(shard, TURNS_PER_ROUND) || more;
        overlay_bytes += stead_overlay_bytes(shard->overlay);
        row_bytes += stead_overlay_row_bytes(shard->overlay);
    }
    if (host->stats.turns != host->round_turns && host->doors.clock != NULL)
        stead_turn_note_round(host, host->doors.clock(host->doors.self) - started_ns);
    host->rotate_at++;
    host->overlay_bytes = overlay_bytes;
    host->overflows = row_bytes > stead_host_row_bytes_max(host);
    if (row_bytes > stead_host_row_bytes_max(host) / 2)
        for (uint32_t i = 0; i < host->shard_count; i++)
            if (host->shards[i]->phase == STEAD_SHARD_SERVING)
                stead_shard_checkpoint(host->shards[i], true);
    if (host->checkpoint_soon)
        checkpoint_soon(host);
    if (memory_used(host) > host->settings.memory_bytes_max)
        unload_some(host, UNLOAD_TIGHT);
    /* The tick follows activity: a host at rest needs no waking. */
    bool active = host->stats.turns != host->round_turns || host->message_bytes > 0 || /* what waits may expire */
                  host->session_bytes > stead_host_session_bytes_max(host);            /* idle ones leave early */
    uint64_t idle_ns = (uint64_t)host->settings.idle_ms_max * 1000000u;
    uint64_t rest_ns = host->lru_last != NULL ? idle_ns : SESSIONS_TICK_NS;
    uint64_t next_tick_ns = host->now_ns + (active || rest_ns < TICK_NS ? TICK_NS : rest_ns);
    if ((active || host->lru_last != NULL || host->session_bytes > 0) &&
        (!host->tick_armed || next_tick_ns < host->tick_ns)) {
        host->tick_armed = true;
        host->tick_ns = next_tick_ns;
    }
    if (host->tick_armed)
        stead_host_wake_at(host, host->tick_ns);
    for (uint32_t i = 0; i < host->shard_count; i++) /* a later shard may have sent to an earlier one */
        more = more || stead_shard_ready(host->shards[i]);
    if (host->failed != 0) /* what was taken for an answer of the disk may be in any of it (L6) */
        return false;
    stead_drain(&host->effects, &host->doors);
    if (host->queries != NULL) { /* nobody's answer waits for this */
        more = stead_queries_run(host) || more;
        stead_drain(&host->effects, &host->doors);
    }
    return more;
}

void stead_host_stop(struct stead_host *host)
{
    host->stopping = true;
    host->hold_ns = 0;
    stead_queue_clear(&host->held_back); /* unanswered, as what waits in inboxes */
    stead_queries_refuse(host);
    for (uint32_t i = 0; i < host->shard_count; i++) {
        struct stead_shard *shard = host->shards[i];
        stead_queue_clear(&shard->inbox); /* unanswered: their senders keep them */
        shard->phase = shard->phase == STEAD_SHARD_SERVING ? STEAD_SHARD_STOPPING : shard->phase;
    }
    while (host->lru_last != NULL) {
        uint64_t count = host->agent_count;
        unload_some(host, UNLOAD_ALL);
        if (host->agent_count == count)
            break; /* what is left waits for something that will not come any more */
    }
}

bool stead_host_idle(const struct stead_host *host)
{
    for (uint32_t i = 0; i < host->shard_count; i++)
        if (host->shards[i]->phase != STEAD_SHARD_RECOVERING && !stead_shard_idle(host->shards[i]))
            return false;
    return stead_effects_empty(&host->effects) && host->job_count == 0 && host->queries == NULL &&
           host->held_back.count == 0;
}

struct stead_message_pool *stead_host_message_pool(struct stead_host *host)
{
    return &host->pool;
}

const struct stead_stats *stead_host_stats(const struct stead_host *const_host)
{
    struct stead_host *host = (struct stead_host *)(uintptr_t)const_host;
    struct stead_stats *stats = &host->stats;
    uint64_t rows = 0, held = 0, records = 0, sessions = 0, waiting = 0;

    for (uint32_t i = 0; i < host->shard_count; i++) {
        const struct stead_shard *shard = host->shards[i];
        rows += stead_overlay_rows(shard->overlay);
        held += shard->held.count + shard->held_open.count;
        records += stead_channel_out_records(shard);
        sessions += shard->sessions.count;
        waiting += shard->inbox.count + shard->local.count;
    }
    stats->agents_resident = host->agent_count;
    stats->memory_bytes =
        host->agent_bytes + host->message_bytes + host->vrequest_bytes + host->session_bytes + host->overlay_bytes;
    stats->overlay_rows = rows;
    stats->mailbox_messages = waiting;
    stats->outputs_held = held;
    stats->outbox_records = records;
    stats->sessions = sessions;
    stats->fibers = host->fibers != NULL ? stead_fibers_count(host->fibers) : 0;
    return stats;
}

/* Messages between agents of a shard that are still on their way: none after a round, unless the shard may run no turns
 * now. */
static uint32_t on_their_way(const struct stead_shard *shard)
{
    uint32_t count = 0;

    for (const struct stead_message *m = shard->local.head; m != NULL; m = m->next)
        count += m->target != NULL;
    return count;
}

/* Bytes of the messages that wait for the agents of a shard; each waits for the agent it is meant for. */
static uint64_t check_mailboxes(const struct stead_shard *shard)
{
    uint64_t bytes = 0;
    uint32_t volatile_agents = 0, coming = 0;

    for (uint32_t i = 0; shard->agents.entries != NULL && i <= shard->agents.mask; i++) {
        const struct stead_agent *agent = stead_map_at(&shard->agents, i);
        if (agent == NULL)
            continue;
        volatile_agents += !stead_agent_durable(agent);
        STEAD_ASSERT(agent->queued >= stead_agent_waiting(agent) && agent->pins >= agent->queued);
        coming += agent->queued - stead_agent_waiting(agent);
        STEAD_ASSERT(!(agent->flags & STEAD_AGENT_HELD) || (agent->wait != NULL && agent->wait->holder != NULL));
        for (const struct stead_message *m = agent->wait == NULL ? NULL : agent->wait->mailbox.head; m != NULL;
             m = m->next) {
            STEAD_ASSERT(m->target == agent);
            bytes += m->block_size;
        }
    }
    STEAD_ASSERT(volatile_agents == shard->volatile_agents);
    STEAD_ASSERT(coming == on_their_way(shard));
    return bytes;
}

static bool counts_its_buffers(const struct stead_agent *agent)
{
    const struct stead_field *fields = agent->kind->fields;
    uint64_t bytes = fields == NULL ? 0 : stead_fields_bytes(fields, agent->state);

    return agent->buffers == (bytes < UINT32_MAX ? bytes : UINT32_MAX);
}

void stead_host_check(const struct stead_host *host)
{
    uint64_t count = 0, in_list = 0, waiting_bytes = 0, session_bytes = 0, vrequest_bytes = 0;

    for (uint32_t i = 0; i < host->shard_count; i++) {
        stead_shard_check(host->shards[i]);
        count += host->shards[i]->agents.count;
        waiting_bytes += check_mailboxes(host->shards[i]) + stead_keys_check(host->shards[i]);
        session_bytes += stead_sessions_check(host->shards[i]) + stead_seen_check(host->shards[i]);
        vrequest_bytes += stead_vrequest_check(host->shards[i]);
    }
    STEAD_ASSERT(count == host->agent_count);
    STEAD_ASSERT(waiting_bytes == host->message_bytes);
    STEAD_ASSERT(session_bytes == host->session_bytes);
    STEAD_ASSERT(vrequest_bytes == host->vrequest_bytes);
    for (const struct stead_agent *agent = host->lru_first; agent != NULL; agent = agent->lru_next) {
        STEAD_ASSERT(agent->phase == STEAD_AGENT_READY && counts_its_buffers(agent));
        STEAD_ASSERT(agent->lru_next == NULL || agent->lru_next->lru_prev == agent);
        in_list++;
    }
    STEAD_ASSERT(in_list <= count);
}
