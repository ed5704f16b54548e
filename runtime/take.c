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
#include "runtime/lock_waits.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define CLOCK_AHEAD_MS_MAX 1000u

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

/* ---- Delivery --------------------------------------------------------------------------------------------------- */

/* May this message run now, or do others go first? */
static bool must_wait(const struct stead_agent *agent, const struct stead_message *message)
{
    return (agent->flags & STEAD_AGENT_UNPARKING) != 0 ||
           ((agent->flags & STEAD_AGENT_HELD) && !stead_agent_lets_in(agent, message));
}

static void run_message(struct stead_agent *agent, struct stead_message *message, const struct stead_op *op, bool taken)
{
    struct stead_shard *shard = agent->shard;
    struct stead_turn_input input = {.op = op, .cause = STEAD_CAUSE_MESSAGE, .taken = taken};

    if (stead_message_of_timer(message)) /* its one run, which waited: under the timer's own id */
        input.known_as = &message->id;
    bool sequenced = (message->groups & STEAD_GROUP_CHANNEL) && !taken;
    int status = stead_turn_run(agent, message, &input);

    if (status == STEAD_TURN_DEFERRED) {
        stead_shard_let_wait(agent, message, taken);
        return;
    }
    if (sequenced)
        stead_shard_mark_taken(shard, message);
    if (STEAD_FAULT(&shard->host->settings, apply_twice) && sequenced && stead_rng_below(&shard->host->rng, 64) == 0)
        (void)stead_turn_run(agent, message, &input);
    stead_message_destroy_in(&shard->host->pool, &message);
}

void stead_shard_conclude(struct stead_shard *shard, struct stead_message *message, bool durable, bool taken,
                          int status, const char *sentence)
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
    if ((message->groups & STEAD_GROUP_DELAY) && message->delay_ms > STEAD_DELAY_MS_MAX)
        return STEAD_EARGUMENT;
    if (message->deadline_ms != 0 && message->deadline_ms <= host->wall_ms) {
        host->stats.expired++;
        return STEAD_EEXPIRED;
    }
    if (stead_host_sets_aside(host, kind, message->id))
        return STEAD_EPOISON;
    if (!host->disk_full || kind->durability != STEAD_DURABLE)
        return 0;
    if ((message->groups & STEAD_GROUP_SESSION) && message->source_size == 0 && !taken &&
        ((*ret_op)->flags & (STEAD_OP_READ_ONLY | STEAD_OP_FREES)) == 0)
        return STEAD_EDISKFULL;
    return 0;
}

static struct stead_agent *agent_of(struct stead_shard *shard, const struct stead_kind *kind,
                                    struct stead_message *message)
{
    struct stead_slice address = stead_bytes(message->address, message->address_size);
    struct stead_agent *agent = message->target;

    if (agent != NULL) {
        stead_message_unpin(message);
        return agent;
    }
    uint64_t hash = message->address_hash != 0 ? message->address_hash : stead_hash(address.data, address.size);
    agent = stead_agent_find(shard, address, hash);
    return agent != NULL ? agent : stead_agent_activate(shard, kind, address, hash, message->slot);
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
        stead_shard_conclude(agent->shard, message, agent->kind->durability == STEAD_DURABLE, taken, STEAD_ELOCKED,
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

void stead_shard_unreadable(struct stead_shard *shard, struct stead_message *message, bool taken, int code)
{
    bool stored = taken || (message->groups & STEAD_GROUP_CHANNEL);
    if (code == STEAD_EIO && stored && !taken) {
        stead_message_destroy(&message); /* the sender has it and sends it again */
        return;
    }
    bool heard = message->type != STEAD_SIGNAL && message->type != STEAD_ANSWER;

    if (heard || (message->type == STEAD_SIGNAL && !stored)) {
        const char *why = shard->host->load_why;
        stead_shard_conclude(shard, message, true, taken, code, why[0] != '\0' ? why : NULL);
        return;
    }
    bool forgets = STEAD_FAULT(&shard->host->settings, drop_unreadable_mail);
    if (stored && !forgets)
        stead_shard_park(shard, message, true, taken);
    else if (stored && !taken)
        stead_shard_mark_taken(shard, message);
    stead_message_destroy(&message);
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
        stead_message_unpin(message);
        stead_shard_conclude(shard, message, false, taken, STEAD_EKIND, NULL);
        return;
    }
    if (kind->durability == STEAD_STATELESS) {
        stead_placement_place(host, kind, kind->needs, message);
        return;
    }
    const struct stead_op *op;
    int reason = refusal(shard, kind, message, taken, &op);
    if (reason != 0) {
        stead_message_unpin(message);
        stead_shard_conclude(shard, message, kind->durability == STEAD_DURABLE, taken, reason, NULL);
        return;
    }
    if ((message->groups & STEAD_GROUP_DELAY) && !taken) {
        stead_message_unpin(message);
        store_delayed(shard, message);
        return;
    }
    struct stead_agent *agent = agent_of(shard, kind, message);
    if (agent == NULL)
        stead_shard_unreadable(shard, message, taken, host->load_code);
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

/* What it has changed is in the log, and that it has been run with it. */
static bool changes_something(const struct stead_shard *shard, const struct stead_message *message)
{
    const struct stead_kind *kind = kind_of(shard->host, message);
    const struct stead_op *op =
        kind == NULL ? NULL : stead_registry_op(shard->host->registry, kind, message->op, message->op_size);

    return op != NULL && kind->durability == STEAD_DURABLE && (op->flags & (STEAD_OP_READ_ONLY | STEAD_OP_QUIET)) == 0;
}

static void take_of_session(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_session *session;
    enum stead_session_verdict verdict = stead_session_judge(shard, message, &session);

    if (verdict == STEAD_SESSION_LATE && changes_something(shard, message)) {
        stead_shard_conclude(shard, message, false, false, STEAD_EEXPIRED,
                             "its client's later requests have been taken");
        return;
    }
    if (verdict != STEAD_SESSION_NEW && verdict != STEAD_SESSION_LATE) {
        stead_message_destroy(&message);
        return;
    }
    if (message->key_size > 0 && stead_key_judge(shard, &message))
        return;
    stead_shard_deliver(shard, message, false);
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
        stead_shard_cancel_waiting(shard, message);
        stead_message_destroy(&message);
        break;
    default:
        stead_message_destroy(&message);
        break;
    }
}
