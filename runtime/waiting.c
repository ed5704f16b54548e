/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting: messages that an agent cannot take now, and what becomes of them.
 *
 * What came through a channel, or was taken before, is parked: a row of its own (MAIL), in the commit that takes it.
 * Everything else waits in the agent's mailbox in memory. An agent that is still being read stops the channel instead.
 * When it can take them, parked ones run first, oldest first, then the mailbox; a little at a time. What cannot wait
 * for ever ends here too: cancelled, expired, or a dead letter.
 */
#include "runtime/waiting.h"

#include "runtime/address.h"
#include "runtime/hold_again.h"
#include "runtime/lock_waits.h"

#define WAITING_PER_ROUND 64u     /* waiting messages of one agent run in one go */
#define MAIL_BYTES_MAX (1u << 20) /* of them read in one go */
#define MAIL_HEAD 12u             /* bytes before a parked record, while it is in memory */
#define CANCEL_ROWS_MAX 256u      /* parked messages of an agent among which a cancelled call is looked for */

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
    if (agent->wait != NULL)
        agent->wait->mail_newest = shard->mail_seq;
    if (stead_message_of_timer(message) && !reading)
        stead_timer_run_moved(agent, message->id, shard->mail_seq);
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

void stead_shard_found_mail(struct stead_agent *agent)
{
    set_mail(agent, true);
    stead_shard_has_mail(agent);
    stead_shard_dirty(agent->shard, true);
}

/* ---- Waiting in memory --------------------------------------------------------------------------------------- */

void stead_message_unpin(struct stead_message *message)
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

bool stead_shard_may_signal(const struct stead_shard *shard, const struct stead_message *signal)
{
    const struct stead_host *host = shard->host;
    struct stead_slice address = stead_bytes(signal->address, signal->address_size);
    const struct stead_agent *agent = stead_agent_find(shard, address, signal->address_hash);
    bool ready = agent != NULL && agent->phase == STEAD_AGENT_READY, held = ready && (agent->flags & STEAD_AGENT_HELD);

    if (held && stead_agent_lets_in(agent, signal))
        return true;
    if (agent != NULL && agent->queued >= host->settings.mailbox_messages_max)
        return false;
    return (ready && !held && stead_agent_waiting(agent) == 0) || !stead_host_mailboxes_full(host);
}

/* Into the mailbox in memory: everything but what came through a channel. */
static void wait_in_memory(struct stead_agent *agent, struct stead_message *message)
{
    struct stead_shard *shard = agent->shard;
    struct stead_host *host = shard->host;
    struct stead_session *session = stead_session_of(shard, message);
    /* Of a volatile agent here, who was told before it said it (stead_shard_may_signal()); or of a volatile timer. */
    bool unheard = message->type == STEAD_SIGNAL && session == NULL;

    if (message->type != STEAD_ANSWER && !unheard &&
        (agent->queued >= host->settings.mailbox_messages_max || stead_host_mailboxes_full(host))) {
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

void stead_shard_let_wait(struct stead_agent *agent, struct stead_message *message, bool taken)
{
    bool sequenced = (message->groups & STEAD_GROUP_CHANNEL) != 0;

    if (agent->wait != NULL && (agent->flags & STEAD_AGENT_UNPARKING) && agent->shard->waiting_agent != agent)
        agent->wait->pass_ran = true; /* it has not been deferred yet: after this pass there is another one for it */
    if (agent->phase != STEAD_AGENT_READY && sequenced && !taken)
        wait_for_load(agent, message);
    else if (sequenced || taken)
        park_with(agent, message, taken);
    else
        wait_in_memory(agent, message);
}

bool stead_agent_lets_in(const struct stead_agent *agent, const struct stead_message *message)
{
    if (message->source_size > 0 && strcmp(message->source, agent->wait->holder) == 0)
        return true;
    if (message->type == STEAD_ANSWER)
        return false;
    return message->type == STEAD_QUERY || ((message->groups & STEAD_GROUP_FENCE) && message->fence == agent->fence) ||
           stead_registry_op(agent->shard->host->registry, agent->kind, message->op, message->op_size) ==
               STEAD_LOCK_OP_RELEASE;
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

/* ---- Cancelling ----------------------------------------------------------------------------- */

bool stead_message_cancels(const struct stead_message *cancel, const struct stead_message *call)
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
    if (!stead_message_cancels(search->cancel, message)) {
        stead_message_destroy(&message);
        return 0;
    }
    memcpy(search->key.data, key.data, key.size);
    search->key.size = (uint16_t)key.size;
    search->found = message;
    return 1;
}

/* `agent` NULL: its kind is not loaded here, and its messages wait for a start with it. */
static void cancel_parked(struct stead_shard *shard, struct stead_agent *agent, const struct stead_message *cancel)
{
    struct parked_call search = {.shard = shard, .cancel = cancel, .left = CANCEL_ROWS_MAX};
    struct stead_slice address = stead_bytes(cancel->address, cancel->address_size);
    struct stead_row_key from, to;

    stead_row_part(&to, cancel->slot, address, 0, STEAD_PART_MAIL, (struct stead_slice){0});
    from = to;
    if (agent != NULL)
        stead_mail_begin(agent, &from);
    if (!stead_row_after_prefix(&to))
        return;
    (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                    false, look_at_parked, &search); /* what cannot be read is not found */
    if (search.found == NULL)
        return;
    if (agent != NULL) {
        stead_lock_waits_remove(agent, stead_bytes(search.found->source, search.found->source_size));
        stead_mail_delete(agent, &search.key);
    } else {
        stead_shard_delete(shard, &search.key);
        stead_timers_delete_due(shard, cancel->slot, address, 0, STEAD_PART_MAIL,
                                stead_bytes(search.key.data + search.key.size - 8, 8));
        stead_shard_dirty(shard, true);
    }
    stead_shard_conclude(shard, search.found, agent == NULL || stead_agent_durable(agent), true, STEAD_ECANCELLED,
                         NULL);
}

void stead_shard_cancel_waiting(struct stead_shard *shard, const struct stead_message *cancel)
{
    struct stead_slice address = stead_bytes(cancel->address, cancel->address_size);
    struct stead_agent *agent =
        address.size == 0 ? NULL : stead_agent_find(shard, address, stead_hash(address.data, address.size));

    for (uint32_t left = agent == NULL ? 0 : stead_agent_waiting(agent); left > 0; left--) {
        struct stead_message *message = stead_queue_pop(&agent->wait->mailbox);
        if (!stead_message_cancels(cancel, message)) {
            stead_queue_push(&agent->wait->mailbox, message);
            continue;
        }
        stead_message_unpin(message);
        stead_lock_waits_remove(agent, stead_bytes(message->source, message->source_size));
        shard->host->message_bytes -= message->block_size;
        stead_shard_conclude(shard, message, false, false, STEAD_ECANCELLED, NULL);
    }
    if (agent != NULL)
        stead_agent_tidy_wait(agent);
    stead_keys_cancel(shard, cancel);
    const uint8_t *slash = address.size == 0 ? NULL : memchr(address.data, '/', address.size);
    bool unknown = agent == NULL && slash != NULL &&
                   stead_registry_find(shard->host->registry, cancel->address, (size_t)(slash - address.data)) == NULL;
    if (unknown || (agent != NULL && (agent->flags & STEAD_AGENT_MAIL) && agent->phase == STEAD_AGENT_READY))
        cancel_parked(shard, agent, cancel);
}

/* ---- Waiting work --------------------------------------------------------------------------- */

/* Of the end of a MAIL row's key: big-endian. */
static uint64_t sequence_of(struct stead_slice sub)
{
    uint64_t sequence = 0;

    for (size_t i = 0; i < sub.size; i++)
        sequence = sequence << 8 | sub.data[i];
    return sequence;
}

struct mail {
    struct stead_writer rows; /* (u64 sequence, u32 size, record)*, oldest first */
    uint64_t last;            /* the sequence of the newest of them */
    uint32_t left;            /* rows that may still be taken */
};

static int take_row(void *context, struct stead_slice key, struct stead_slice record)
{
    struct mail *mail = context;
    struct stead_row_parsed row;
    uint8_t head[MAIL_HEAD];

    if (stead_row_parse(key, &row) != 0 || row.sub.size != sizeof(uint64_t))
        return STEAD_ECORRUPT;
    mail->last = sequence_of(row.sub);
    stead_store64(head, mail->last);
    stead_store32(head + 8, (uint32_t)record.size);
    stead_write_raw(&mail->rows, head, sizeof(head));
    stead_write_raw(&mail->rows, record.data, record.size);
    return --mail->left == 0 || mail->rows.size >= MAIL_BYTES_MAX;
}

void stead_mail_begin(const struct stead_agent *agent, struct stead_row_key *ret_key)
{
    stead_row_part(ret_key, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    if (agent->wait != NULL && agent->wait->mail_from != 0)
        stead_row_add_u64(ret_key, agent->wait->mail_from);
}

/* Runs one that was read: as taken. */
static void run_parked(struct stead_agent *agent, uint64_t sequence, struct stead_slice record)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key key;
    struct stead_message *message;

    stead_row_part(&key, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    stead_row_add_u64(&key, sequence);
    stead_mail_delete(agent, &key);
    if (shard->host->doors.decode(record, &message) != 0) {
        stead_host_trace(shard->host, STEAD_TRACE_ERROR, "a parked message of %s is damaged", agent->address);
        return;
    }
    if (stead_timer_run_is_past(agent, message)) {
        stead_message_destroy(&message);
        return;
    }
    if (message->type == STEAD_ANSWER) {
        stead_calls_answer(shard, message, true);
        return;
    }
    struct stead_id id = message->id;
    bool of_timer = stead_message_of_timer(message);
    stead_shard_deliver(shard, message, true);
    if (of_timer)
        stead_timer_run_over(agent, id, sequence);
}

/* Everything that has been parked in this shard has a sequence up to this, and what will be has a later one. */
static uint64_t newest_parked(const struct stead_shard *shard)
{
    uint64_t before = (shard->next_index << 20) - 1;

    return shard->mail_seq > before ? shard->mail_seq : before;
}

/* Runs parked messages, oldest first, within the budget; those that are parked again wait for the next pass. False:
 * they cannot be read now. `ret_more`: this pass has more of them. */
static bool run_mail(struct stead_agent *agent, uint32_t *budget, bool *ret_more)
{
    struct stead_shard *shard = agent->shard;
    struct stead_agent_wait *wait = agent->wait;
    struct mail mail = {.left = *budget};
    struct stead_row_key from, to;

    if (wait->mail_until == 0)
        wait->mail_until = newest_parked(shard);
    stead_mail_begin(agent, &from);
    stead_row_part(&to, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    stead_row_add_u64(&to, wait->mail_until + 1);
    stead_writer_init(&mail.rows);
    int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                         stead_row_slice(&to), false, take_row, &mail);
    for (size_t at = 0; code >= 0 && at < mail.rows.size && !(agent->flags & STEAD_AGENT_HELD);) {
        uint64_t sequence = stead_load64(mail.rows.data + at);
        uint32_t size = stead_load32(mail.rows.data + at + 8);
        wait->mail_from = sequence + 1;
        run_parked(agent, sequence, stead_bytes(mail.rows.data + at + MAIL_HEAD, size));
        at += MAIL_HEAD + size;
        (*budget)--;
    }
    stead_writer_deinit(&mail.rows);
    *ret_more = code > 0 && !(agent->flags & STEAD_AGENT_HELD);
    if (code < 0)
        stead_timers_look_again(shard, agent->slot);
    if (code == 0 && !(agent->flags & STEAD_AGENT_HELD) && wait->mail_newest <= wait->mail_until)
        set_mail(agent, false);
    if (!*ret_more)
        wait->mail_until = 0;
    return code >= 0;
}

static void run_waiting(struct stead_agent *agent, struct stead_message *message)
{
    struct stead_shard *shard = agent->shard;

    stead_message_unpin(message);
    shard->host->message_bytes -= message->block_size;
    if (stead_timer_run_is_past(agent, message))
        stead_message_destroy(&message);
    else if (message->type == STEAD_ANSWER)
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
        if ((agent->flags & STEAD_AGENT_HELD) && stead_agent_lets_in(agent, message)) {
            run_waiting(agent, message);
        } else if ((agent->flags & STEAD_AGENT_HELD) && stead_hold_is_known(agent, message)) {
            stead_message_unpin(message);
            agent->shard->host->message_bytes -= message->block_size;
            stead_message_destroy(&message);
        } else {
            stead_queue_push(&agent->wait->mailbox, message);
        }
    }
}

/* The same of those in memory. */
static void run_mailbox(struct stead_agent *agent, uint32_t *budget, bool *ret_more)
{
    struct stead_agent_wait *wait = agent->wait;

    if (wait->mailbox_left == 0 || wait->mailbox_left > wait->mailbox.count)
        wait->mailbox_left = wait->mailbox.count;
    while (*budget > 0 && wait->mailbox_left > 0 && !(agent->flags & STEAD_AGENT_HELD) && wait->mailbox.count > 0) {
        wait->mailbox_left--;
        (*budget)--;
        run_waiting(agent, stead_queue_pop(&wait->mailbox));
    }
    *ret_more = wait->mailbox_left > 0 && !(agent->flags & STEAD_AGENT_HELD);
    if (!*ret_more)
        wait->mailbox_left = 0;
}

/* Ends what has waited in the mailbox beyond its deadline. */
static void expire_mailbox(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    struct stead_queue *mailbox = &agent->wait->mailbox;

    for (uint32_t left = mailbox->count; left > 0; left--) {
        struct stead_message *message = stead_queue_pop(mailbox);
        if (message->type == STEAD_ANSWER || message->deadline_ms == 0 || message->deadline_ms > shard->host->wall_ms) {
            stead_queue_push(mailbox, message);
            continue;
        }
        stead_message_unpin(message);
        shard->host->message_bytes -= message->block_size;
        shard->host->stats.expired++;
        stead_shard_conclude(shard, message, false, false, STEAD_EEXPIRED, NULL);
    }
    stead_agent_tidy_wait(agent);
}

void stead_shard_expire_waiting(struct stead_shard *shard, uint32_t places, uint32_t messages)
{
    if (shard->agents.count == 0)
        return;
    if (places > shard->agents.mask)
        places = shard->agents.mask + 1;
    for (; places > 0 && messages > 0; places--) {
        struct stead_agent *agent = stead_map_at(&shard->agents, shard->expire_at++ & shard->agents.mask);
        uint32_t waiting = agent == NULL ? 0 : stead_agent_waiting(agent);
        if (waiting > 0)
            expire_mailbox(agent);
        messages -= waiting < messages ? waiting : messages;
    }
}

/* Runs the messages of a pass, as far as the budget goes: those that are parked when it begins, then those in the
 * mailbox. What is deferred waits for the next pass, and that for a turn that is not. False: parked ones cannot be read
 * now, and the others wait behind them. */
static bool run_pass(struct stead_agent *agent, bool *ret_more)
{
    uint32_t budget = WAITING_PER_ROUND;
    bool readable = true;

    *ret_more = false;
    if ((agent->flags & STEAD_AGENT_MAIL) && agent->wait->mailbox_left == 0)
        readable = run_mail(agent, &budget, ret_more);
    if (readable && !*ret_more)
        run_mailbox(agent, &budget, ret_more);
    return readable;
}

bool stead_shard_run_waiting(struct stead_shard *shard, struct stead_agent *agent)
{
    bool unfinished;

    /* While waiting messages run, the flag is down so that they pass; what is deferred again goes to the end. */
    agent->flags &= (uint8_t)~STEAD_AGENT_UNPARKING;
    agent->pins++;
    shard->waiting_agent = agent;
    shard->waiting_ran = false;
    if (agent->flags & STEAD_AGENT_HELD)
        run_let_in(agent);
    bool readable = run_pass(agent, &unfinished);
    if (readable && (agent->flags & STEAD_AGENT_HELD) && (agent->flags & STEAD_AGENT_MAIL))
        stead_holds_answer_parked(agent);
    shard->waiting_agent = NULL;
    agent->pins--;
    bool left = (agent->flags & STEAD_AGENT_MAIL) || stead_agent_waiting(agent) > 0;
    bool ran = shard->waiting_ran || agent->wait->pass_ran;
    bool more = readable && left && !(agent->flags & STEAD_AGENT_HELD) && (unfinished || ran);
    agent->wait->pass_ran = unfinished && ran;
    if (more || (!readable && !(agent->flags & STEAD_AGENT_HELD))) /* what comes now waits behind what cannot be read */
        agent->flags |= STEAD_AGENT_UNPARKING;
    return more;
}
