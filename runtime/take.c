/* SPDX-License-Identifier: Apache-2.0 */
/*
 * take: a message's way from the shard's door to a turn.
 *
 *   message --judge (channel, session, key)--> deliver --> READY: turn now
 *                |                                |------> LOADING: waits in memory (its channel stops there)
 *                `--> answered again / gap / ...  |------> held, or others wait before it: parked on disk, or in the mailbox
 *                                                 `------> cannot run at all: answered, or a dead letter
 *
 * Taking is one commit that either runs the turn or parks the message, so a channel is always taken in order, and an
 * agent that does not run stops nobody but itself. Sessions and plain messages wait in memory, bounded; clients are
 * told `busy`.
 *
 * Invariants: M1 a message is in exactly one place: an outbox, a queue, a mailbox, a parked row or history; M2 in one
 * channel or session messages run in order; M3 an agent's mailbox holds at most mailbox_messages_max.
 */
#include "runtime/address.h"
#include "runtime/hold_again.h"
#include "runtime/lock_waits.h"
#include "runtime/shard.h"

#define DELAY_MS_MAX (100ull * 366u * 24u * 3600u * 1000u) /* a century: beyond it is a mistake */
#define CLOCK_AHEAD_MS_MAX 1000u
#define WAITING_PER_ROUND 64u /* waiting messages of one agent run in one go */
#define CANCEL_ROWS_MAX 256u  /* parked messages of an agent among which a cancelled call is looked for */

void stead_shard_mark_taken(struct stead_shard *shard, const struct stead_message *message)
{
    if (!(message->groups & STEAD_GROUP_CHANNEL))
        return;
    struct stead_channel_in *channel = stead_channel_in_get(shard, message->source_slot, message->slot);
    STEAD_ASSERT(channel != NULL); /* it was there when the message was judged */
    stead_channel_in_advance(shard, channel, message->channel.number);
    if (shard->host->shard_of[message->source_slot.v] == shard)
        stead_channel_out_taken_here(shard, message->source_slot, message->slot, message->channel.number);
}

/* ---- Dead letters and parking ------------------------------------------------------------------------------ */

static uint64_t next_mail_seq(struct stead_shard *shard)
{
    uint64_t first = shard->next_index << 20;

    shard->mail_seq = shard->mail_seq < first ? first : shard->mail_seq + 1;
    return shard->mail_seq;
}

void stead_shard_dead_letter(struct stead_shard *shard, const struct stead_message *message, int status,
                             const char *name, const char *sentence)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_row_key key;
    struct stead_slice address = stead_bytes(message->address, message->address_size);

    /* status i32, time u64, u16 name, u16 sentence, then both, then the record */
    uint8_t head[16];
    size_t name_size = name == NULL ? 0 : strlen(name), sentence_size = sentence == NULL ? 0 : strlen(sentence);
    if (sentence_size > 4096)
        sentence_size = 4096;
    stead_store32(head, (uint32_t)status);
    stead_store64(head + 4, shard->host->now_ms);
    stead_store16(head + 12, (uint16_t)name_size);
    stead_store16(head + 14, (uint16_t)sentence_size);
    stead_writer_reset(writer);
    stead_write_raw(writer, head, sizeof(head));
    stead_write_raw(writer, name, name_size);
    stead_write_raw(writer, sentence, sentence_size);
    shard->host->doors.encode(message, writer);
    stead_row_part(&key, message->slot, address, 0, STEAD_PART_DEAD, (struct stead_slice){0});
    stead_row_add_u64(&key, next_mail_seq(shard));
    stead_shard_put(shard, &key, stead_written(writer), true);
    stead_shard_dirty(shard, true);
    shard->host->stats.dead_letters++;
}

void stead_shard_park(struct stead_shard *shard, const struct stead_message *message, bool no_kind, bool taken)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_row_key key;
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    uint8_t seq_bytes[8];
    uint64_t seq = next_mail_seq(shard);

    if (!taken)
        stead_shard_mark_taken(shard, message);
    stead_writer_reset(writer);
    shard->host->doors.encode(message, writer);
    stead_row_part(&key, message->slot, address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    stead_row_add_u64(&key, seq);
    stead_shard_put(shard, &key, stead_written(writer), true);
    for (int i = 0; i < 8; i++)
        seq_bytes[i] = (uint8_t)(seq >> (56 - 8 * i));
    if (no_kind) /* the next start with this kind finds it through its due row */
        stead_timers_add_due(shard, message->slot, address, 0, STEAD_PART_MAIL, stead_bytes(seq_bytes, 8));
    stead_shard_dirty(shard, true);
    shard->host->stats.parked++;
}

/* The agent has mail from now on, or no more: its head says so to whoever loads it, and a due row to the next start,
 * since nobody else might ever load it. */
static void set_mail(struct stead_agent *agent, bool has_mail)
{
    struct stead_slice address = stead_agent_address(agent), nothing = {0};

    if (((agent->flags & STEAD_AGENT_MAIL) != 0) == has_mail)
        return;
    if (has_mail)
        stead_timers_add_due(agent->shard, agent->slot, address, 0, STEAD_PART_MAIL, nothing);
    else
        stead_timers_delete_due(agent->shard, agent->slot, address, 0, STEAD_PART_MAIL, nothing);
    agent->flags = (uint8_t)(has_mail ? agent->flags | STEAD_AGENT_MAIL : agent->flags & ~STEAD_AGENT_MAIL);
    if (stead_agent_durable(agent))
        stead_agent_store_flags(agent);
    stead_shard_dirty(agent->shard, true);
}

/* Parks a message of a resident agent, whose head then says that there is mail. The head of one that is still being
 * read is not known yet: there the message has a due row of its own, which is looked at when the agent is there, or at
 * the next start. */
static void park_with(struct stead_agent *agent, struct stead_message *message, bool taken)
{
    struct stead_shard *shard = agent->shard;
    bool reading = agent->phase != STEAD_AGENT_READY;

    stead_shard_park(shard, message, reading, taken);
    if (reading)
        stead_timers_look(shard, agent->slot, 0);
    else
        set_mail(agent, true);
    stead_message_destroy(&message);
}

void stead_shard_has_mail(struct stead_agent *agent)
{
    agent->flags |= STEAD_AGENT_MAIL;
    /* While it is held the very hold may be asked for again: that alone is looked for, and a release passes. */
    if (!(agent->flags & STEAD_AGENT_HELD))
        agent->flags |= STEAD_AGENT_UNPARKING;
    stead_agent_schedule(agent);
}

/* ---- Waiting in memory --------------------------------------------------------------------------------------- */

static void unpin(struct stead_message *message)
{
    struct stead_agent *agent = message->target;

    if (agent == NULL)
        return;
    agent->pins--;
    agent->queued--;
    message->target = NULL;
}

static void refuse_busy(struct stead_shard *shard, struct stead_message *message)
{
    if (message->type == STEAD_TELL) {
        shard->host->stats.tells_dropped++;
    } else {
        shard->host->stats.refused_busy++;
        stead_shard_refuse(shard, message, STEAD_EBUSY, NULL, NULL, false, 0);
    }
    stead_message_destroy(&message);
}

/* Into the mailbox in memory: everything but what came through a channel. */
static void wait_in_memory(struct stead_agent *agent, struct stead_message *message)
{
    struct stead_shard *shard = agent->shard;
    struct stead_host *host = shard->host;
    struct stead_session *session = stead_session_of(shard, message);
    bool unheard =
        message->type == STEAD_SIGNAL && session == NULL; /* of a volatile agent here: nobody could be told */

    if (message->type != STEAD_ANSWER && !unheard &&
        (agent->queued >= host->settings.mailbox_messages_max ||
         host->message_bytes > host->settings.memory_bytes_max / 4)) {
        refuse_busy(shard, message);
        return;
    }
    if (session != NULL)
        stead_session_running(shard, session, message);
    message->target = agent;
    agent->pins++;
    agent->queued++;
    host->message_bytes += message->block_size;
    stead_queue_push(&stead_agent_need_wait(agent)->mailbox, message);
}

/* The channel stops at this message until the agent is loaded. */
static void wait_for_load(struct stead_agent *agent, struct stead_message *message)
{
    struct stead_channel_in *channel = stead_channel_in_get(agent->shard, message->source_slot, message->slot);
    struct stead_agent_wait *wait = stead_agent_need_wait(agent);

    STEAD_ASSERT(channel != NULL && !channel->blocked);
    channel->blocked = true;
    channel->blocked_next = wait->blocked;
    wait->blocked = channel;
    stead_queue_push_front(&channel->stalled, message);
}

/* ---- Delivery --------------------------------------------------------------------------------------------------- */

/* Does the hold let it through? What ends a hold, and who looks, always. */
static bool is_let_in(const struct stead_agent *agent, const struct stead_message *message)
{
    if (message->source_size > 0 && strcmp(message->source, agent->wait->holder) == 0)
        return true;
    if (message->type == STEAD_ANSWER)
        return false;
    return message->type == STEAD_QUERY || ((message->groups & STEAD_GROUP_FENCE) && message->fence == agent->fence) ||
           stead_registry_op(agent->shard->host->registry, agent->kind, message->op, message->op_size) ==
               STEAD_LOCK_OP_RELEASE;
}

/* May this message run now, or do others go first? */
static bool must_wait(const struct stead_agent *agent, const struct stead_message *message)
{
    return (agent->flags & STEAD_AGENT_UNPARKING) != 0 ||
           ((agent->flags & STEAD_AGENT_HELD) && !is_let_in(agent, message));
}

static void run_message(struct stead_agent *agent, struct stead_message *message, const struct stead_op *op, bool taken)
{
    struct stead_shard *shard = agent->shard;
    struct stead_turn_input input = {.op = op, .cause = STEAD_CAUSE_MESSAGE, .taken = taken};
    bool sequenced = (message->groups & STEAD_GROUP_CHANNEL) && !taken;
    int status = stead_turn_run(agent, message, &input);

    if (status == STEAD_TURN_DEFERRED && (taken || (message->groups & STEAD_GROUP_CHANNEL))) {
        park_with(agent, message, taken);
        return;
    }
    if (status == STEAD_TURN_DEFERRED) {
        wait_in_memory(agent, message);
        return;
    }
    if (sequenced)
        stead_shard_mark_taken(shard, message);
    if (STEAD_FAULT(&shard->host->settings, apply_twice) && sequenced && stead_rng_below(&shard->host->rng, 64) == 0)
        (void)stead_turn_run(agent, message, &input);
    stead_message_destroy_in(&shard->host->pool, &message);
}

void stead_shard_turn_done(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;

    if (shard->waiting_agent == agent) {
        shard->waiting_ran = true;
        return;
    }
    bool waits = (agent->wait != NULL && agent->wait->mailbox.count > 0) || (agent->flags & STEAD_AGENT_MAIL);
    if (waits && !(agent->flags & STEAD_AGENT_HELD)) {
        agent->flags |= STEAD_AGENT_UNPARKING;
        stead_agent_schedule(agent);
    }
}

/* A request that no turn can be run for: its answer, or a dead letter, is its effect. */
static void conclude(struct stead_shard *shard, struct stead_message *message, bool durable, bool taken, int status,
                     const char *sentence)
{
    bool sequenced = (message->groups & STEAD_GROUP_CHANNEL) != 0;
    bool poison = status == STEAD_EPOISON && message->type != STEAD_TELL;
    bool stored = durable && (sequenced || taken || poison);

    if (sequenced && !taken)
        stead_shard_mark_taken(shard, message);
    if (stored && (message->type == STEAD_SIGNAL || poison))
        stead_shard_dead_letter(shard, message, status, stead_error_name(status),
                                sentence == NULL ? stead_error_sentence(status) : sentence);
    stead_shard_refuse(shard, message, status, NULL, sentence, stored && (message->type == STEAD_CALL || poison),
                       stored ? shard->next_index : 0);
    stead_message_destroy(&message);
}

/* A delayed signal is taken now and runs later. */
static void store_delayed(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_row_key key;
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    uint64_t now_ms = shard->host->now_ms;
    uint64_t due_ms = message->delay_ms < INT64_MAX - now_ms ? now_ms + message->delay_ms : INT64_MAX;
    uint64_t incarnation = stead_agent_incarnation(shard, message->slot, address);
    struct stead_id id = stead_host_new_id(shard->host);
    struct stead_slice name = stead_bytes(id.v, sizeof(id.v));
    uint8_t due[8];

    stead_shard_mark_taken(shard, message);
    /* Its sender is answered now: when it runs, nobody waits for it any more. */
    struct stead_message bare = *message;
    bare.groups &= ~(uint32_t)(STEAD_GROUP_DELAY | STEAD_GROUP_SESSION | STEAD_GROUP_ROUTE | STEAD_GROUP_KEY);
    bare.key_size = 0;
    bare.deadline_ms = 0; /* it was for the taking */
    stead_writer_reset(writer);
    stead_store64(due, due_ms);
    stead_write_raw(writer, due, sizeof(due));
    shard->host->doors.encode(&bare, writer);
    stead_row_part(&key, message->slot, address, incarnation, STEAD_PART_DELAYED, name);
    stead_shard_put(shard, &key, stead_written(writer), true);
    stead_timers_add_due(shard, message->slot, address, due_ms, STEAD_PART_DELAYED, name);
    stead_shard_dirty(shard, true);
    if (message->groups & STEAD_GROUP_SESSION) {
        struct stead_message *answer = stead_message_answer(message, 0, NULL, (struct stead_slice){0});
        answer->durability = STEAD_CLASS_DURABLE;
        stead_shard_reply(shard, message, answer, true, shard->next_index);
    }
    stead_message_destroy(&message);
}

/* Reasons for which a request is not run at all; 0: none. */
static int refusal(struct stead_shard *shard, const struct stead_kind *kind, const struct stead_message *message,
                   bool taken, const struct stead_op **ret_op)
{
    struct stead_host *host = shard->host;
    const struct stead_agent *agent = message->target;

    *ret_op = agent != NULL ? stead_agent_op(agent, message->op, message->op_size)
                            : stead_registry_op(host->registry, kind, message->op, message->op_size);
    if (*ret_op == NULL)
        return STEAD_EOP;
    if ((message->groups & STEAD_GROUP_DELAY) && message->delay_ms > DELAY_MS_MAX)
        return STEAD_EARGUMENT;
    if (message->deadline_ms != 0 && message->deadline_ms <= host->now_ms) {
        host->stats.expired++;
        return STEAD_EEXPIRED;
    }
    if (stead_host_sets_aside(host, kind, message->id))
        return STEAD_EPOISON;
    if (!host->disk_full || kind->durability != STEAD_DURABLE)
        return 0;
    if ((*ret_op)->flags & STEAD_OP_FREES)
        host->freed = true;
    else if ((message->groups & STEAD_GROUP_SESSION) && message->source_size == 0 && !taken &&
             ((*ret_op)->flags & STEAD_OP_READ_ONLY) == 0)
        return STEAD_EDISKFULL;
    return 0;
}

static struct stead_agent *agent_of(struct stead_shard *shard, const struct stead_kind *kind,
                                    struct stead_message *message)
{
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    struct stead_agent *agent = message->target;

    if (agent != NULL) {
        unpin(message);
        return agent;
    }
    uint64_t hash = message->address_hash != 0 ? message->address_hash : stead_hash(address.data, address.size);
    agent = stead_agent_find(shard, address, hash);
    return agent != NULL ? agent : stead_agent_activate(shard, kind, address, hash, message->slot);
}

void stead_shard_let_wait(struct stead_agent *agent, struct stead_message *message, bool taken)
{
    bool sequenced = (message->groups & STEAD_GROUP_CHANNEL) != 0;

    if (agent->phase != STEAD_AGENT_READY && sequenced && !taken)
        wait_for_load(agent, message);
    else if (sequenced || taken)
        park_with(agent, message, taken);
    else
        wait_in_memory(agent, message);
}

/* It carries the fence of a hold that is over: released, or broken and perhaps somebody else's now. */
static bool is_fenced_off(const struct stead_agent *agent, const struct stead_message *message)
{
    return (message->groups & STEAD_GROUP_FENCE) && message->fence != 0 && agent->phase == STEAD_AGENT_READY &&
           (!(agent->flags & STEAD_AGENT_HELD) || message->fence != agent->fence);
}

/* The key of a request that runs now is already answered, or owed an answer. A client's was judged when it came: again
 * only if it has waited since. */
static bool is_known_by_key(struct stead_agent *agent, struct stead_message *message, bool taken)
{
    struct stead_shard *shard = agent->shard;
    bool judged = (message->groups & STEAD_GROUP_SESSION) && shard->waiting_agent == NULL && !taken;

    if (STEAD_FAULT(&shard->host->settings, forget_call_key) && !(message->groups & STEAD_GROUP_SESSION))
        return false;
    if (message->key_size == 0 || judged || !stead_key_known(shard, message))
        return false;
    if (!taken)
        stead_shard_mark_taken(shard, message);
    stead_message_destroy(&message);
    return true;
}

static void deliver_to_agent(struct stead_agent *agent, struct stead_message *message, const struct stead_op *op,
                             bool taken)
{
    if (is_fenced_off(agent, message) && op != STEAD_LOCK_OP_RELEASE) {
        conclude(agent->shard, message, agent->kind->durability == STEAD_DURABLE, taken, STEAD_ELOCKED,
                 "the hold that this fencing number was given for is over");
        return;
    }
    if (op == STEAD_LOCK_OP_HOLD && agent->phase == STEAD_AGENT_READY && (agent->flags & STEAD_AGENT_HELD) &&
        must_wait(agent, message)) {
        /* The hold that it asks for may be the one it waits for: asked again by who never heard of it. */
        if (is_known_by_key(agent, message, taken))
            return;
        stead_lock_waits_add(agent, message);
    }
    if (agent->phase != STEAD_AGENT_READY || must_wait(agent, message))
        stead_shard_let_wait(agent, message, taken);
    else if (!is_known_by_key(agent, message, taken))
        run_message(agent, message, op, taken);
}

static const struct stead_kind *kind_of(const struct stead_host *host, const struct stead_message *message)
{
    size_t size = (size_t)(strchr(message->address, '/') - message->address);
    return stead_registry_find(host->registry, message->address, size);
}

void stead_shard_deliver(struct stead_shard *shard, struct stead_message *message, bool taken)
{
    struct stead_host *host = shard->host;
    struct stead_agent *target = message->target;
    const struct stead_kind *kind = target != NULL ? target->kind : kind_of(host, message);

    if (kind == NULL && ((message->groups & STEAD_GROUP_CHANNEL) || taken)) {
        stead_shard_park(shard, message, true, taken);
        stead_message_destroy(&message);
        return;
    }
    if (kind == NULL) {
        unpin(message);
        conclude(shard, message, false, taken, STEAD_EKIND, NULL);
        return;
    }
    if (kind->durability == STEAD_STATELESS) {
        stead_placement_place(host, kind, message);
        return;
    }
    const struct stead_op *op;
    int reason = refusal(shard, kind, message, taken, &op);
    if (reason != 0) {
        unpin(message);
        conclude(shard, message, kind->durability == STEAD_DURABLE, taken, reason, NULL);
        return;
    }
    if ((message->groups & STEAD_GROUP_DELAY) && !taken) {
        unpin(message);
        store_delayed(shard, message);
        return;
    }
    struct stead_agent *agent = agent_of(shard, kind, message);
    if (agent == NULL)
        conclude(shard, message, false, taken, STEAD_ECORRUPT,
                 NULL); /* what is stored of it cannot be read: the log says more */
    else
        deliver_to_agent(agent, message, op, taken);
}

/* ---- Judging -------------------------------------------------------------------------------- */

/* The shard's clock runs behind no message it has seen (Kulkarni et al. 2014, hybrid logical clocks), but follows
 * nobody who is far ahead. */
static void merge_clock(struct stead_shard *shard, const struct stead_message *message)
{
    uint64_t limit = (shard->host->now_ms + CLOCK_AHEAD_MS_MAX) << 16;

    if ((message->groups & STEAD_GROUP_CLOCK) && message->clock > shard->clock && message->clock <= limit)
        shard->clock = message->clock;
}

static void take_sequenced(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_host *host = shard->host;
    struct stead_channel_in *channel = stead_channel_in_get(shard, message->source_slot, message->slot);

    if (channel == NULL) {
        stead_message_destroy(&message);
        return;
    }
    if (channel->blocked) {
        if (channel->stalled.count < host->settings.channel_window)
            stead_queue_push(&channel->stalled, message);
        else
            stead_message_destroy(&message); /* it is in its sender's outbox */
        return;
    }
    enum stead_channel_verdict verdict = stead_channel_judge(channel->position, message->channel.trimmed,
                                                             message->channel.previous, message->channel.number);
    if (verdict == STEAD_CHANNEL_DUPLICATE && STEAD_FAULT(&host->settings, forget_duplicate_check))
        verdict = STEAD_CHANNEL_TAKE;
    merge_clock(shard, message);
    if (verdict == STEAD_CHANNEL_FORGOTTEN_HERE || verdict == STEAD_CHANNEL_FORGOTTEN_THERE) {
        stead_channel_in_renew(shard, channel, verdict, message);
        verdict = stead_channel_judge(channel->position, message->channel.trimmed, message->channel.previous,
                                      message->channel.number);
    }
    switch (verdict) {
    case STEAD_CHANNEL_TAKE:
        if (message->type == STEAD_ANSWER)
            stead_calls_answer(shard, message, false);
        else
            stead_shard_deliver(shard, message, false);
        return;
    case STEAD_CHANNEL_DUPLICATE:
        host->stats.duplicates++;
        stead_channel_in_acknowledge(shard, channel, false);
        break;
    case STEAD_CHANNEL_GAP:
        host->stats.gaps++;
        stead_channel_in_acknowledge(shard, channel, true);
        break;
    case STEAD_CHANNEL_FORGOTTEN_HERE:
    case STEAD_CHANNEL_FORGOTTEN_THERE:
        stead_assert_failed("a renewed channel is not disputed", __FILE__, __LINE__);
    }
    stead_message_destroy(&message);
}

static void take_of_session(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_session *session;

    if (stead_session_judge(shard, message, &session) != STEAD_SESSION_NEW) {
        stead_message_destroy(&message);
        return;
    }
    if (message->key_size > 0 && stead_key_judge(shard, &message))
        return;
    stead_shard_deliver(shard, message, false);
}

/* ---- Cancelling ----------------------------------------------------------------------------- */

/* Is it this call that is taken back, by who may? A client only takes back what it asked itself. */
static bool cancels(const struct stead_message *cancel, const struct stead_message *call)
{
    return call->type == STEAD_CALL && stead_id_equal(call->id, cancel->id) &&
           stead_message_may_cancel(cancel, stead_message_client(call));
}

struct parked_call {
    struct stead_shard *shard;
    const struct stead_message *cancel;
    uint32_t left; /* rows that may still be looked at */
    struct stead_row_key key;
    struct stead_message *found; /* owned */
};

static int look_at_parked(void *context, struct stead_slice key, struct stead_slice record)
{
    struct parked_call *search = context;
    struct stead_message *message;

    if (search->left-- == 0 || search->shard->host->doors.decode(record, &message) != 0)
        return 1;
    if (!cancels(search->cancel, message)) {
        stead_message_destroy(&message);
        return 0;
    }
    memcpy(search->key.data, key.data, key.size);
    search->key.size = (uint16_t)key.size;
    search->found = message;
    return 1;
}

static void cancel_parked(struct stead_agent *agent, const struct stead_message *cancel)
{
    struct stead_shard *shard = agent->shard;
    struct parked_call search = {.shard = shard, .cancel = cancel, .left = CANCEL_ROWS_MAX};
    struct stead_row_key from, to;

    stead_row_part(&from, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                    false, look_at_parked, &search);
    if (search.found == NULL)
        return;
    stead_lock_waits_remove(agent, stead_bytes(search.found->source, search.found->source_size));
    stead_mail_delete(agent, &search.key);
    conclude(shard, search.found, stead_agent_durable(agent), true, STEAD_ECANCELLED, NULL);
}

/* A call that still waits for its agent, in memory or parked, is not run: it is answered with `cancelled`. */
static void cancel_waiting(struct stead_shard *shard, const struct stead_message *cancel)
{
    struct stead_slice address = stead_bytes(cancel->address, cancel->address_size);
    struct stead_agent *agent =
        address.size == 0 ? NULL : stead_agent_find(shard, address, stead_hash(address.data, address.size));

    for (uint32_t left = agent == NULL ? 0 : stead_agent_waiting(agent); left > 0; left--) {
        struct stead_message *message = stead_queue_pop(&agent->wait->mailbox);
        if (!cancels(cancel, message)) {
            stead_queue_push(&agent->wait->mailbox, message);
            continue;
        }
        unpin(message);
        stead_lock_waits_remove(agent, stead_bytes(message->source, message->source_size));
        shard->host->message_bytes -= message->block_size;
        conclude(shard, message, false, false, STEAD_ECANCELLED, NULL);
    }
    if (agent != NULL)
        stead_agent_tidy_wait(agent);
    if (agent != NULL && (agent->flags & STEAD_AGENT_MAIL) && agent->phase == STEAD_AGENT_READY)
        cancel_parked(agent, cancel);
}

void stead_shard_take(struct stead_shard *shard, struct stead_message *message)
{
    switch (message->type) {
    case STEAD_TELL:
    case STEAD_SIGNAL:
    case STEAD_CALL:
        if (message->groups & STEAD_GROUP_CHANNEL)
            take_sequenced(shard, message);
        else if (message->groups & STEAD_GROUP_SESSION)
            take_of_session(shard, message);
        else if ((message->flags & STEAD_FLAG_UNSEQUENCED) && stead_seen_judge(shard, message))
            stead_message_destroy(&message);
        else
            stead_shard_deliver(shard, message, false);
        break;
    case STEAD_ANSWER:
        if (message->groups & STEAD_GROUP_CHANNEL)
            take_sequenced(shard, message);
        else
            stead_calls_answer(shard, message, false);
        break;
    case STEAD_ACK:
        stead_channel_out_acknowledged(shard, message);
        stead_message_destroy(&message);
        break;
    case STEAD_QUERY:
        stead_query(shard, message);
        break;
    case STEAD_CANCEL:
        cancel_waiting(shard, message);
        stead_message_destroy(&message);
        break;
    default:
        stead_message_destroy(&message);
        break;
    }
}

/* ---- Waiting work --------------------------------------------------------------------------- */

struct next_mail {
    struct stead_row_key key;
    struct stead_writer record;
};

static int first_mail(void *context, struct stead_slice key, struct stead_slice record)
{
    struct next_mail *mail = context;

    memcpy(mail->key.data, key.data, key.size);
    mail->key.size = (uint16_t)key.size;
    stead_write_raw(&mail->record, record.data, record.size);
    return 1;
}

/* Runs the oldest parked message up to `last`. False: there is none. */
static bool run_parked(struct stead_agent *agent, uint64_t last)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key from, to;
    struct next_mail mail = {.key.size = 0};
    struct stead_message *message;

    stead_row_part(&from, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    to = from;
    stead_row_add_u64(&to, last + 1);
    stead_writer_init(&mail.record);
    int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, first_mail, &mail);
    if (code == 1) {
        stead_mail_delete(agent, &mail.key);
        if (shard->host->doors.decode(stead_written(&mail.record), &message) != 0)
            stead_host_trace(shard->host, STEAD_TRACE_ERROR, "a parked message of %s is damaged", agent->address);
        else if (message->type == STEAD_ANSWER)
            stead_calls_answer(shard, message, true);
        else
            stead_shard_deliver(shard, message, true);
    }
    stead_writer_deinit(&mail.record);
    return code == 1;
}

/* Runs parked messages, oldest first, within the budget; those that are parked again wait for the next round. */
static void run_mail(struct stead_agent *agent, uint32_t *budget)
{
    struct stead_shard *shard = agent->shard;
    uint64_t last = shard->mail_seq > shard->next_index << 20 ? shard->mail_seq : shard->next_index << 20;

    while (*budget > 0 && !(agent->flags & STEAD_AGENT_HELD) && run_parked(agent, last))
        (*budget)--;
    if (*budget > 0 && !(agent->flags & STEAD_AGENT_HELD) && shard->mail_seq <= last)
        set_mail(agent, false);
}

static void run_waiting(struct stead_shard *shard, struct stead_message *message)
{
    unpin(message);
    shard->host->message_bytes -= message->block_size;
    if (message->type == STEAD_ANSWER)
        stead_calls_answer(shard, message, false);
    else if (message->type == STEAD_QUERY)
        stead_query(shard, message);
    else
        stead_shard_deliver(shard, message, false);
}

/* An agent that is held has waiting messages which its hold lets in when they came while it was being loaded. A request
 * for that very hold, under its key, by who never heard of it, is answered: a release that it would wait for comes
 * after its answer. The others keep their places. */
static void run_let_in(struct stead_agent *agent)
{
    for (uint32_t left = stead_agent_waiting(agent); left > 0 && stead_agent_waiting(agent) > 0; left--) {
        struct stead_message *message = stead_queue_pop(&agent->wait->mailbox);
        if ((agent->flags & STEAD_AGENT_HELD) && is_let_in(agent, message)) {
            run_waiting(agent->shard, message);
        } else if ((agent->flags & STEAD_AGENT_HELD) && stead_hold_is_known(agent, message)) {
            unpin(message);
            agent->shard->host->message_bytes -= message->block_size;
            stead_message_destroy(&message);
        } else {
            stead_queue_push(&agent->wait->mailbox, message);
        }
    }
}

static void run_mailbox(struct stead_agent *agent, uint32_t *budget)
{
    uint32_t count = stead_agent_waiting(agent);

    while (*budget > 0 && count > 0 && !(agent->flags & STEAD_AGENT_HELD) && agent->wait->mailbox.count > 0) {
        count--;
        (*budget)--;
        run_waiting(agent->shard, stead_queue_pop(&agent->wait->mailbox));
    }
}

/* Ends what has waited in the mailbox beyond its deadline. */
static void expire_mailbox(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    struct stead_queue *mailbox = &agent->wait->mailbox;

    for (uint32_t left = mailbox->count; left > 0; left--) {
        struct stead_message *message = stead_queue_pop(mailbox);
        if (message->type == STEAD_ANSWER || message->deadline_ms == 0 || message->deadline_ms > shard->host->now_ms) {
            stead_queue_push(mailbox, message);
            continue;
        }
        unpin(message);
        shard->host->message_bytes -= message->block_size;
        shard->host->stats.expired++;
        conclude(shard, message, false, false, STEAD_EEXPIRED, NULL);
    }
    stead_agent_tidy_wait(agent);
}

void stead_shard_expire_waiting(struct stead_shard *shard, uint32_t places)
{
    for (; places > 0 && shard->agents.count > 0; places--) {
        struct stead_agent *agent = stead_map_at(&shard->agents, shard->expire_at++ & shard->agents.mask);
        if (agent != NULL && stead_agent_waiting(agent) > 0)
            expire_mailbox(agent);
    }
}

bool stead_shard_run_waiting(struct stead_shard *shard, struct stead_agent *agent)
{
    uint32_t budget = WAITING_PER_ROUND;

    /* While waiting messages run, the flag is down so that they pass; what is deferred again goes to the end. */
    agent->flags &= (uint8_t)~STEAD_AGENT_UNPARKING;
    agent->pins++;
    shard->waiting_agent = agent;
    shard->waiting_ran = false;
    if (agent->flags & STEAD_AGENT_HELD)
        run_let_in(agent);
    if (agent->flags & STEAD_AGENT_MAIL)
        run_mail(agent, &budget);
    run_mailbox(agent, &budget);
    if ((agent->flags & STEAD_AGENT_HELD) && (agent->flags & STEAD_AGENT_MAIL))
        stead_holds_answer_parked(agent);
    shard->waiting_agent = NULL;
    agent->pins--;
    bool left = (agent->flags & STEAD_AGENT_MAIL) || stead_agent_waiting(agent) > 0;
    bool more = left && !(agent->flags & STEAD_AGENT_HELD) && (budget == 0 || shard->waiting_ran);
    if (more)
        agent->flags |= STEAD_AGENT_UNPARKING;
    return more;
}
