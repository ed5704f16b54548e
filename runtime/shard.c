/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard: the open batch, the log and what waits for it.
 *
 *   turns ... -> [ open batch: dirty rows of the overlay + turn records ] --close--> entry --append--> disk --synced--> held outputs leave
 *
 * A batch closes at the end of every round in which something urgent joined it, so an entry holds all that one round
 * did, and rounds grow with the load while the disk is busy: group commit without a timer. What is not urgent (a
 * trimmed outbox, a mark that moved) rides on the next entry, or makes one of its own after LAZY_NS; what a patient op
 * did (STEAD_OP_PATIENT), after PATIENT_NS.
 *
 * Invariants (docs/INVARIANTS.md): L1 an output with depends_on d leaves only when d <= synced; L2 indexes have no gap;
 * L3 the image never holds a row of an entry above synced; L4 an entry is closed by the epoch that serves, and epochs
 * never fall; L5 replay applies absolute changes, so doing it twice, or over newer rows, changes nothing.
 */
#include "runtime/hook.h"
#include "runtime/shard.h"

#define AHEAD_MS_MAX 86400000u /* a due row is looked for again after a day at most */
#define LAZY_NS 500000000u     /* how long a batch that nobody waits for may stay open */
#define PATIENT_NS 20000000u   /* ... and one that only patient ones wait for */
#define SCHEDULED_TURNS 256u   /* of messages that have waited, in one round: whoever has many keeps nobody else */
#define SCHEDULED_BYTES (256u << 10) /* on their way to the disk: one round of those until it has it */
#define TURNS_BETWEEN_QUEUES 64u     /* messages of the shard itself, then as many from outside */
#define SWEEP_ROWS 256u              /* forgotten rows whose memory a round gives back */

struct stead_shard *stead_shard_create(struct stead_host *host, uint32_t id, uint64_t applied)
{
    struct stead_shard *shard = stead_alloc_zero(sizeof(*shard));

    shard->host = host;
    shard->id = id;
    shard->phase = STEAD_SHARD_RECOVERING;
    shard->overlay = stead_overlay_create();
    shard->next_index = applied + 1;
    shard->synced = shard->applied = applied;
    shard->due_ms = UINT64_MAX;
    stead_writer_init(&shard->turns);
    return shard;
}

void stead_shard_destroy(struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->agents.entries != NULL && i <= shard->agents.mask;) {
        struct stead_agent *agent = stead_map_at(&shard->agents, i);
        if (agent == NULL) {
            i++;
            continue;
        }
        if (agent->phase == STEAD_AGENT_READY && (agent->flags & STEAD_AGENT_INITED))
            stead_hook_unload(agent);
        stead_agent_free(agent); /* shifts others back: look at the same place again */
    }
    stead_map_deinit(&shard->agents);
    stead_channels_deinit(shard);
    stead_sessions_deinit(shard);
    stead_calls_deinit(shard);
    stead_keys_deinit(shard);
    stead_queue_clear(&shard->inbox);
    stead_queue_clear(&shard->local);
    stead_queue_clear(&shard->held);
    stead_queue_clear(&shard->held_open);
    stead_writer_deinit(&shard->turns);
    stead_overlay_destroy(&shard->overlay);
    free(shard->unsynced);
    free(shard->slots);
    free(shard->slot_at);
    for (uint32_t i = 0; shard->slot_due != NULL && i < shard->slot_count; i++)
        stead_writer_deinit(&shard->slot_due[i].from);
    free(shard->slot_due);
    free(shard->unreadable);
    free(shard->vtimers);
    free(shard);
}

/* ---- Recovery ----------------------------------------------------------------------------------- */

int stead_shard_replay(struct stead_shard *shard, uint64_t index, struct stead_slice bytes)
{
    struct stead_entry entry;
    struct stead_mutation mutation;
    int code = stead_entry_decode(bytes, &entry);

    STEAD_ASSERT(shard->phase == STEAD_SHARD_RECOVERING);
    if (code != 0)
        return code;
    if (index != shard->next_index || entry.header.index != index || entry.header.shard != shard->id ||
        entry.header.epoch < shard->epoch)
        return STEAD_ECORRUPT;
    while ((code = stead_entry_next_mutation(&entry.mutations, &mutation)) > 0) {
        if (mutation.type == STEAD_MUTATION_PUT)
            stead_overlay_put(shard->overlay, index, mutation.key, mutation.value, false);
        else if (mutation.type == STEAD_MUTATION_DELETE)
            stead_overlay_delete(shard->overlay, index, mutation.key);
        else
            stead_overlay_delete_range(shard->overlay, index, mutation.key, mutation.value);
    }
    if (code < 0)
        return code;
    stead_overlay_batch_end(shard->overlay, NULL); /* what replay puts is logged already */
    shard->epoch = entry.header.epoch;
    shard->clock = entry.header.clock;
    shard->log_bytes += bytes.size;
    shard->synced = index;
    shard->next_index = index + 1;
    return 0;
}

void stead_shard_start(struct stead_shard *shard, uint64_t epoch, const stead_slot *slots, uint32_t slot_count)
{
    struct stead_host *host = shard->host;

    STEAD_ASSERT(shard->phase == STEAD_SHARD_RECOVERING && epoch > shard->epoch);
    shard->epoch = epoch;
    shard->slots = stead_alloc(slot_count * sizeof(*slots) + 1);
    memcpy(shard->slots, slots, slot_count * sizeof(*slots));
    shard->slot_count = slot_count;
    shard->slot_at = stead_alloc_zero(STEAD_SLOTS * sizeof(*shard->slot_at));
    shard->slot_due = stead_alloc_zero((slot_count + 1) * sizeof(*shard->slot_due));
    for (uint32_t i = 0; i < slot_count; i++) {
        STEAD_ASSERT(host->shard_of[slots[i].v] == NULL && (i == 0 || slots[i].v > slots[i - 1].v));
        host->shard_of[slots[i].v] = shard;
        shard->slot_at[slots[i].v] = (uint16_t)(i + 1);
        shard->slot_due[i].first_ms = shard->slot_due[i].again_ms = UINT64_MAX;
        stead_writer_init(&shard->slot_due[i].from);
    }
    stead_vrequest_open_sessions(shard);
    shard->phase = STEAD_SHARD_SERVING;
    stead_timers_recover(shard);
    stead_channel_out_recover(shard);
}

/* ---- Rows and the open batch ---------------------------------------------------------------------- */

void stead_shard_dirty(struct stead_shard *shard, bool urgent)
{
    uint64_t until_ns = shard->host->now_ns + (shard->patient ? PATIENT_NS : LAZY_NS);

    if (urgent && !shard->patient)
        shard->urgent = true;
    else if (shard->lazy_until_ns == 0 || until_ns < shard->lazy_until_ns)
        shard->lazy_until_ns = until_ns;
}

void stead_shard_put(struct stead_shard *shard, const struct stead_row_key *key, struct stead_slice value, bool fresh)
{
    stead_overlay_put(shard->overlay, shard->next_index, stead_row_slice(key), value, fresh);
}

void stead_shard_delete(struct stead_shard *shard, const struct stead_row_key *key)
{
    stead_overlay_delete(shard->overlay, shard->next_index, stead_row_slice(key));
}

/* A read of own rows has failed. `key`: of the row, or of the first one. */
static int cannot_read(struct stead_shard *shard, const struct stead_row_key *key, int code)
{
    unsigned slot = (unsigned)key->data[0] << 8 | key->data[1];

    stead_host_fail(shard->host, code, "rows of class %02x of slot %04x cannot be read: %s", (unsigned)key->data[2],
                    slot, stead_error_sentence(code));
    return code;
}

int stead_shard_read(struct stead_shard *shard, const struct stead_doors *image, const struct stead_row_key *key,
                     struct stead_writer *ret_value)
{
    int code = stead_overlay_get_merged(shard->overlay, image, stead_row_slice(key), ret_value);

    if (code == 0 || code == STEAD_ENOTFOUND)
        return code;
    return STEAD_FAULT(&shard->host->settings, read_error_is_nothing) ? STEAD_ENOTFOUND : cannot_read(shard, key, code);
}

int stead_shard_scan(struct stead_shard *shard, const struct stead_row_key *from, const struct stead_row_key *to,
                     stead_row_visit_fn *visit, void *context)
{
    int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(from),
                                         stead_row_slice(to), false, visit, context);

    if (code >= 0)
        return code;
    return STEAD_FAULT(&shard->host->settings, read_error_is_nothing) ? 0 : cannot_read(shard, from, code);
}

static void remember_unsynced(struct stead_shard *shard, uint64_t index, size_t bytes)
{
    if (shard->unsynced_count == shard->unsynced_capacity) {
        uint32_t capacity = shard->unsynced_capacity == 0 ? 16 : shard->unsynced_capacity * 2;
        struct stead_unsynced *ring = stead_alloc(capacity * sizeof(*ring));
        for (uint32_t i = 0; i < shard->unsynced_count; i++)
            ring[i] = shard->unsynced[(shard->unsynced_first + i) % shard->unsynced_capacity];
        free(shard->unsynced);
        shard->unsynced = ring;
        shard->unsynced_first = 0;
        shard->unsynced_capacity = capacity;
    }
    uint32_t at = (shard->unsynced_first + shard->unsynced_count++) % shard->unsynced_capacity;
    shard->unsynced[at] = (struct stead_unsynced){index, shard->host->now_ns, (uint32_t)bytes};
    shard->unsynced_bytes += bytes;
}

static uint64_t next_clock(struct stead_shard *shard)
{
    uint64_t now = shard->host->now_ms << 16;

    shard->clock = now > shard->clock ? now : shard->clock + 1;
    return shard->clock;
}

void stead_shard_batch_close(struct stead_shard *shard, bool all)
{
    struct stead_host *host = shard->host;
    struct stead_writer entry;

    if (!shard->urgent && !(all && (shard->lazy_until_ns != 0 || stead_overlay_batch_rows(shard->overlay) > 0)))
        return;
    stead_session_batch_end(shard);
    stead_channel_in_batch_end(shard);
    stead_channel_out_batch_end(shard);
    shard->urgent = false;
    shard->lazy_until_ns = 0;
    uint32_t rows = stead_overlay_batch_rows(shard->overlay);
    if (rows == 0 && shard->turn_count == 0 && !shard->awaited)
        return;
    shard->awaited = false;

    struct stead_entry_header header = {
        .shard = shard->id, .epoch = shard->epoch, .index = shard->next_index, .clock = next_clock(shard)};
    stead_writer_init(&entry);
    stead_entry_begin(&entry, &header);
    stead_overlay_batch_end(shard->overlay, &entry);
    stead_entry_turns_begin(&entry, rows);
    stead_write_raw(&entry, shard->turns.data, shard->turns.size);
    stead_entry_end(&entry, shard->turn_count);
    stead_histogram_add(&host->stats.batch_turns, shard->batch_turns);
    host->stats.entries++;
    host->stats.entry_bytes += entry.size;
    shard->log_bytes += entry.size;
    remember_unsynced(shard, shard->next_index, entry.size);
    STEAD_EFFECT_ADD(&host->effects.appends, (struct stead_effect_append){shard->id, shard->next_index, entry});
    stead_writer_reset(&shard->turns);
    shard->turn_count = 0;
    shard->batch_turns = 0;
    shard->next_index++;
    stead_queue_prepend(&shard->held_open, &shard->held);
    shard->held = shard->held_open;
    shard->held_open = (struct stead_queue){0};
}

/* ---- What waits for the log ------------------------------------------------------------------------ */

void stead_shard_emit(struct stead_shard *shard, struct stead_message *message)
{
    if (message->depends_on <= shard->synced) {
        message->depends_on = 0; /* of this shard's log: means nothing elsewhere */
        stead_host_route(shard->host, message);
    } else {
        bool open = message->depends_on == shard->next_index;
        if (open) {
            shard->awaited = true;
            stead_shard_dirty(shard, true);
        }
        stead_queue_push(open ? &shard->held_open : &shard->held, message);
    }
}

void stead_shard_synced(struct stead_shard *shard, uint64_t index)
{
    struct stead_host *host = shard->host;

    STEAD_ASSERT(index < shard->next_index);
    if (index <= shard->synced)
        return;
    shard->synced = index;
    while (shard->unsynced_count > 0 && shard->unsynced[shard->unsynced_first].index <= index) {
        struct stead_unsynced *oldest = &shard->unsynced[shard->unsynced_first];
        stead_histogram_add(&host->stats.commit_ns, host->now_ns - oldest->appended_ns);
        host->stats.entries_synced++;
        shard->unsynced_bytes -= oldest->bytes;
        shard->unsynced_first = (shard->unsynced_first + 1) % shard->unsynced_capacity;
        shard->unsynced_count--;
    }
    while (shard->held.head != NULL && shard->held.head->depends_on <= shard->synced)
        stead_shard_emit(shard, stead_queue_pop(&shard->held));
    if (shard->checkpoint_index != 0)
        stead_shard_checkpoint(shard, false);
}

/* ---- A round ---------------------------------------------------------------------------------------- */

static bool batch_full(const struct stead_shard *shard)
{
    const struct stead_settings *settings = &shard->host->settings;
    return shard->batch_turns >= settings->batch_turns_max ||
           stead_overlay_batch_bytes(shard->overlay) >= settings->batch_bytes_max;
}

/* The disk, or the image, is: no turns until it has taken what there is. */
static bool is_behind(const struct stead_shard *shard)
{
    return shard->unsynced_bytes > STEAD_UNSYNCED_BYTES_MAX || shard->host->overflows ||
           stead_overlay_row_bytes(shard->overlay) > stead_host_row_bytes_max(shard->host);
}

static void close_full_batch(struct stead_shard *shard, bool all)
{
    if (!batch_full(shard))
        return;
    stead_shard_batch_close(shard, all);
    shard->paused |= is_behind(shard);
}

/* Takes up to `count` messages of a queue; those left. */
static uint32_t take_from(struct stead_shard *shard, struct stead_queue *queue, uint32_t count)
{
    struct stead_message *message;

    while (count > 0 && !shard->paused && shard->host->failed == 0 && (message = stead_queue_pop(queue)) != NULL) {
        stead_shard_take(shard, message);
        count--;
        close_full_batch(shard, true);
    }
    return count;
}

/* What has waited can wait for the disk, which would keep those that come now waiting for it: while that is behind, a
 * round of it goes to the disk at a time. synced() wakes us. */
static bool may_run_scheduled(const struct stead_shard *shard)
{
    return shard->scheduled != NULL &&
           (shard->unsynced_bytes <= SCHEDULED_BYTES || shard->scheduled_index <= shard->synced);
}

static void run_scheduled(struct stead_shard *shard, uint32_t *budget)
{
    struct stead_agent *last = shard->scheduled_tail;
    const struct stead_host *host = shard->host;
    uint64_t first = host->stats.turns;

    if (!may_run_scheduled(shard))
        return;
    shard->scheduled_index = shard->next_index;
    while (shard->scheduled != NULL && *budget > 0 && host->stats.turns - first < SCHEDULED_TURNS && !shard->paused &&
           host->failed == 0) {
        struct stead_agent *agent = shard->scheduled;
        shard->scheduled = agent->wait->scheduled_next;
        if (shard->scheduled == NULL)
            shard->scheduled_tail = NULL;
        agent->flags &= (uint8_t)~STEAD_AGENT_SCHEDULED;
        bool was_last = agent == last;
        (*budget)--;
        if (stead_shard_run_waiting(shard, agent))
            stead_agent_schedule(agent);
        else
            stead_agent_tidy_wait(agent);
        close_full_batch(shard, false);
        if (was_last)
            break;
    }
}

void stead_shard_offer(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_host *host = shard->host;
    bool full = shard->inbox.count >= STEAD_INBOX_MESSAGES_MAX || shard->inbox.bytes > stead_host_queue_bytes_max(host);

    if (!full || message->type > STEAD_CALL) { /* answers and acknowledgements make room */
        stead_queue_push(&shard->inbox, message);
        return;
    }
    if (message->type == STEAD_TELL) {
        host->stats.tells_dropped++;
    } else if (message->groups & STEAD_GROUP_SESSION) {
        host->stats.refused_busy++;
        stead_shard_turn_away(shard, message, STEAD_EBUSY);
    }
    stead_message_destroy(&message);
}

/* What this node died of may be the work of a turn that died with it, unsynced: a message to an agent of the same
 * shard, or a timer that is due at once. At each start that would come again as another one, and never be known as
 * poison. So after such a death what one turn begets is run only when it is synced, for a while. */
static bool is_wary(const struct stead_shard *shard)
{
    return shard->host->suspect_count > 0 && shard->host->now_ns < shard->host->wary_until_ns;
}

/* No turns now: synced() wakes us. */
static bool is_stalled(const struct stead_shard *shard)
{
    if (is_wary(shard) && (shard->unsynced_count > 0 || stead_overlay_batch_rows(shard->overlay) > 0))
        return true;
    return is_behind(shard);
}

bool stead_shard_ready(const struct stead_shard *shard)
{
    return shard->phase == STEAD_SHARD_SERVING && !is_stalled(shard) &&
           (shard->stalled || shard->pumps_on || shard->local.count > 0 || shard->inbox.count > 0 ||
            may_run_scheduled(shard));
}

/* By the wall clock. What is further away than AHEAD_MS_MAX is looked for again then: a moment may lie behind the end
 * of any clock. */
static void wake_at_ms(struct stead_host *host, uint64_t due_ms)
{
    uint64_t ahead_ms = due_ms > host->now_ms ? due_ms - host->now_ms : 0;

    stead_host_wake_at(host, host->now_ns + (ahead_ms < AHEAD_MS_MAX ? ahead_ms : AHEAD_MS_MAX) * 1000000u);
}

/* Jobs were started before the commit of this batch, nothing that leaves awaits it, and their answers may join it. */
static bool waits_for_early_jobs(const struct stead_shard *shard)
{
    return shard->early_jobs > 0 && !shard->awaited && shard->early_index == shard->next_index &&
           shard->host->now_ns < shard->early_until_ns && shard->phase == STEAD_SHARD_SERVING;
}

/* What is there; what comes of it here waits for the next run. */
static void take_what_is_there(struct stead_shard *shard, uint32_t budget)
{
    uint32_t local = shard->local.count < budget ? shard->local.count : budget;

    (void)take_from(shard, &shard->local, local);
    (void)take_from(shard, &shard->inbox, budget - local);
}

bool stead_shard_run(struct stead_shard *shard, uint32_t budget)
{
    struct stead_host *host = shard->host;
    uint64_t next_due_ms = UINT64_MAX;
    bool more = false, wary = is_wary(shard);

    if (shard->phase == STEAD_SHARD_RECOVERING)
        return false;
    shard->stalled = is_stalled(shard);
    if (!shard->stalled && shard->phase == STEAD_SHARD_SERVING) {
        shard->paused = false;
        more = stead_timers_run(shard, &next_due_ms);
        run_scheduled(shard, &budget);
        if (wary && !shard->paused)
            take_what_is_there(shard, budget);
        while (!wary && budget > 0 && !shard->paused && host->failed == 0 &&
               (shard->local.count > 0 || shard->inbox.count > 0)) {
            uint32_t part = budget < TURNS_BETWEEN_QUEUES ? budget : TURNS_BETWEEN_QUEUES;
            budget -= part - take_from(shard, &shard->local, part);
            bool paused = shard->paused; /* what goes on here must not keep out what comes from outside */
            shard->paused = false;
            part = budget < TURNS_BETWEEN_QUEUES ? budget : TURNS_BETWEEN_QUEUES;
            budget -= part - take_from(shard, &shard->inbox, part);
            shard->paused |= paused;
        }
        if (next_due_ms != UINT64_MAX)
            wake_at_ms(host, next_due_ms);
        stead_host_wake_at(host, stead_channel_out_resend_due(shard));
        stead_host_wake_at(host, stead_vrequest_resend_due(shard));
    }
    bool lazy_due = shard->lazy_until_ns != 0 && host->now_ns >= shard->lazy_until_ns;
    if (waits_for_early_jobs(shard))
        stead_host_wake_at(host, shard->early_until_ns);
    else
        stead_shard_batch_close(shard, lazy_due || wary || shard->phase == STEAD_SHARD_STOPPING);
    if (shard->lazy_until_ns != 0)
        stead_host_wake_at(host, shard->lazy_until_ns);
    stead_shard_checkpoint(shard, false);
    return stead_overlay_sweep(shard->overlay, SWEEP_ROWS) || more;
}

bool stead_shard_idle(const struct stead_shard *shard)
{
    bool quiet = shard->inbox.count == 0 && shard->local.count == 0 && shard->held.count == 0 &&
                 shard->held_open.count == 0 && shard->unsynced_count == 0 && shard->scheduled == NULL &&
                 shard->loads == 0 && stead_overlay_batch_rows(shard->overlay) == 0 && shard->checkpoint_chunks == 0;
    if (shard->phase == STEAD_SHARD_STOPPING) /* a clean stop ends with a checkpoint of everything */
        return shard->unsynced_count == 0 && shard->held.count == 0 && shard->held_open.count == 0 &&
               shard->checkpoint_chunks == 0 && stead_overlay_rows(shard->overlay) == 0;
    return quiet;
}

void stead_shard_check(const struct stead_shard *shard)
{
    STEAD_ASSERT(shard->synced < shard->next_index);
    STEAD_ASSERT(shard->applied <= shard->synced);
    STEAD_ASSERT(shard->unsynced_count == shard->next_index - 1 - shard->synced);
    STEAD_ASSERT(shard->checkpoint_index < shard->next_index);
    STEAD_ASSERT(shard->held.head == NULL || shard->held.head->depends_on > shard->synced);
    for (const struct stead_message *m = shard->held.head; m != NULL; m = m->next)
        STEAD_ASSERT(m->depends_on < shard->next_index);
    for (const struct stead_message *m = shard->held_open.head; m != NULL; m = m->next)
        STEAD_ASSERT(m->depends_on == shard->next_index);
    stead_channels_check(shard);
    stead_overlay_check(shard->overlay);
}
