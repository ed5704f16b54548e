/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_out: the sending end of a channel, and its outbox.
 *
 * A record is a row of the outbox in the commit of the turn that sent it. After the commit it is sent if the window is
 * open; otherwise it waits in the outbox until acknowledgements open the window. Everything unacknowledged is sent
 * again, in order, from the acknowledged number: when the receiver reports a gap, when its node is back, and when no
 * acknowledgement came for a while. The outbox, not a queue in memory, is what remembers: a peer that is away for a day
 * costs rows on disk.
 *
 * The window is in records and in bytes: what is on its way fits into the lane to the peer and the receiver's inbox,
 * which drop what is too much, and then all behind it would be sent once more. It is shut when so much is on its way,
 * so one record leaves whatever its size. The bytes are counted in two parts, up to a mark and behind it: once the mark
 * is acknowledged the first part is gone, and the second takes its place. So they are never fewer than there are.
 *
 * What leaves from the outbox is read at the end of a round, by the channels that have room, one after the other, so
 * much a round that the reactor's other work does not wait for it; the next round goes on. A record that is not
 * committed yet leaves with its commit if it was passed on when it was made, else it is read after that.
 *
 * A gap is reported again until what fills it has arrived. About what was just sent again that says nothing: it is
 * looked at once more when an answer to that should have come.
 *
 * Counters go up by one without a gap through all epochs, so between two numbers of one epoch every key is known
 * without a scan.
 *
 * Within one shard the same path holds (a number, a row, a judged message), but the row goes in the entry in which the
 * message is taken; taken in the entry that sent it, it never reaches the log.
 */
#include "runtime/shard.h"

#define BACKOFF_MAX 5u         /* doublings: 1 s becomes 32 s */
#define ROUND_BYTES (4u << 20) /* read from outboxes in one round of a shard, and a record more: milliseconds */
#define ROUND_RECORDS 4096u    /* the same */
#define ANSWERED_PART 4u       /* of the resend interval: an answer has come by then if there is one */

static void outbox_key(struct stead_row_key *key, const struct stead_channel_out *channel, struct stead_seq number)
{
    stead_row_begin(key, channel->slot, STEAD_ROW_OUTBOX);
    stead_row_add_u16(key, channel->destination.v);
    stead_row_add_u64(key, number.epoch);
    stead_row_add_u64(key, number.counter);
}

static int read_row(struct stead_shard *shard, struct stead_channel_out *channel)
{
    struct stead_row_key key;
    struct stead_writer row;

    stead_row_begin(&key, channel->slot, STEAD_ROW_CHANNEL_OUT);
    stead_row_add_u16(&key, channel->destination.v);
    stead_writer_init(&row);
    int code = stead_shard_read(shard, &shard->host->doors, &key, &row);
    if (code == 0 && row.size == 32) {
        channel->last = (struct stead_seq){stead_load64(row.data), stead_load64(row.data + 8)};
        channel->acknowledged = channel->sent =
            (struct stead_seq){stead_load64(row.data + 16), stead_load64(row.data + 24)};
    } else if (code == 0) {
        code = STEAD_ECORRUPT;
    }
    stead_writer_deinit(&row);
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static void watch(struct stead_shard *shard, struct stead_channel_out *channel, uint64_t resend_ns)
{
    if (!channel->waiting) {
        channel->waiting = true;
        channel->waiting_next = shard->waiting_out;
        shard->waiting_out = channel;
        channel->resend_ns = resend_ns;
    }
    if (channel->resend_ns < shard->resend_ns)
        shard->resend_ns = channel->resend_ns;
}

/* Among those in memory, as all that have something to send are; NULL. */
static struct stead_channel_out *find(const struct stead_shard *shard, stead_slot slot, stead_slot destination)
{
    uint64_t hash = stead_channel_hash(slot, destination);
    struct stead_channel_out *channel;
    uint32_t at;

    for (channel = stead_map_first(&shard->channels_out, hash, &at); channel != NULL;
         channel = stead_map_next(&shard->channels_out, hash, &at))
        if (channel->slot.v == slot.v && channel->destination.v == destination.v)
            return channel;
    return NULL;
}

bool stead_channel_out_waits(const struct stead_shard *shard, stead_slot slot, stead_slot destination)
{
    const struct stead_channel_out *channel = find(shard, slot, destination);

    return channel != NULL && stead_seq_compare(channel->acknowledged, channel->last) != 0;
}

struct stead_channel_out *stead_channel_out_get(struct stead_shard *shard, stead_slot slot, stead_slot destination)
{
    struct stead_channel_out *channel = find(shard, slot, destination);

    if (channel != NULL)
        return channel;
    channel = stead_alloc_zero(sizeof(*channel));
    channel->slot = slot;
    channel->destination = destination;
    int code = read_row(shard, channel);
    if (code != 0) {
        stead_host_fail(shard->host, code, "channel %04x->%04x cannot be read: %s", slot.v, destination.v,
                        stead_error_sentence(code));
        free(channel);
        return NULL;
    }
    stead_map_add(&shard->channels_out, stead_channel_hash(slot, destination), channel);
    return channel;
}

static void mark_dirty(struct stead_shard *shard, struct stead_channel_out *channel, bool urgent)
{
    stead_shard_dirty(shard, urgent);
    if (channel->dirty)
        return;
    channel->dirty = true;
    channel->dirty_next = shard->dirty_out;
    shard->dirty_out = channel;
}

/* ---- The window ----------------------------------------------------------------------------------- */

static bool is_here(const struct stead_shard *shard, const struct stead_channel_out *channel)
{
    return shard->host->shard_of[channel->destination.v] == shard;
}

/* One more record may leave. */
static bool has_room(const struct stead_shard *shard, const struct stead_channel_out *channel)
{
    const struct stead_host *host = shard->host;

    return channel->sent.counter - channel->acknowledged.counter < host->settings.channel_window &&
           channel->bytes_to_mark + channel->bytes_behind < stead_host_window_bytes(host);
}

/* The record with this number leaves. */
static void note_sent(const struct stead_shard *shard, struct stead_channel_out *channel, struct stead_seq number,
                      size_t size)
{
    channel->sent = number;
    if (!is_here(shard, channel))
        channel->bytes_behind += size;
}

/* What is on its way is less: `acknowledged` or `sent` has moved. */
static void note_arrived(struct stead_channel_out *channel)
{
    if (channel->acknowledged.counter < channel->mark)
        return;
    channel->bytes_to_mark = channel->sent.counter == channel->acknowledged.counter ? 0 : channel->bytes_behind;
    channel->bytes_behind = 0;
    channel->mark = channel->sent.counter;
}

/* What comes after `sent` is read at the end of the round. */
static void want_pump(struct stead_shard *shard, struct stead_channel_out *channel)
{
    if (channel->pumping || stead_seq_compare(channel->sent, channel->last) == 0)
        return;
    channel->pumping = true;
    channel->pump_next = NULL;
    if (shard->pump_first == NULL)
        shard->pump_first = channel;
    else
        shard->pump_last->pump_next = channel;
    shard->pump_last = channel;
    shard->pump_count++;
}

/* ---- Sending -------------------------------------------------------------------------------------- */

static void give_number(struct stead_shard *shard, struct stead_channel_out *channel, struct stead_message *message)
{
    bool skip = STEAD_FAULT(&shard->host->settings, skip_channel_number) && stead_rng_below(&shard->host->rng, 64) == 0;
    struct stead_seq previous = channel->last;

    if (skip)
        previous.counter++;
    if (STEAD_FAULT(&shard->host->settings, reuse_channel_number) && channel->last.epoch != shard->epoch)
        previous = (struct stead_seq){shard->epoch, 0};
    message->groups |= STEAD_GROUP_CHANNEL | STEAD_GROUP_CLOCK;
    message->channel.previous = previous;
    message->channel.number = (struct stead_seq){shard->epoch, previous.counter + 1};
    message->channel.trimmed = channel->acknowledged;
    message->clock = shard->clock;
    channel->last = message->channel.number;
}

void stead_channel_out_send(struct stead_shard *shard, struct stead_message **consumed)
{
    struct stead_host *host = shard->host;
    struct stead_message *message = *consumed;
    struct stead_channel_out *channel = stead_channel_out_get(shard, message->source_slot, message->slot);
    struct stead_row_key key;

    *consumed = NULL;
    if (channel == NULL) { /* the host has failed: the turn that sends this is never committed */
        stead_message_destroy(&message);
        return;
    }
    bool in_order = stead_seq_compare(channel->sent, channel->last) == 0;
    give_number(shard, channel, message);
    outbox_key(&key, channel, message->channel.number);
    stead_writer_reset(&host->scratch);
    host->doors.encode(message, &host->scratch);
    stead_shard_put(shard, &key, stead_written(&host->scratch), true);
    mark_dirty(shard, channel, true);
    watch(shard, channel, host->now_ns + (uint64_t)host->settings.resend_ms * 1000000u);

    bool here = is_here(shard, channel);
    message->depends_on = STEAD_FAULT(&host->settings, tell_before_commit) ? 0 : shard->next_index;
    if (!in_order || !(here || has_room(shard, channel))) {
        stead_message_destroy(&message); /* the outbox has it; an acknowledgement will fetch it */
        return;
    }
    note_sent(shard, channel, channel->last, host->scratch.size);
    channel->passed_on = channel->last;
    if (here) {
        host->stats.messages_local++;
        stead_queue_push(&shard->local, message);
    } else {
        stead_shard_emit(shard, message);
    }
}

/* ---- Sending again ---------------------------------------------------------------------------------- */

struct pump {
    struct stead_shard *shard;
    struct stead_channel_out *channel;
    uint32_t records; /* that may still leave in this round */
    uint64_t bytes;   /* the same */
    uint64_t awaits;  /* stopped at a record of this entry, which is not committed; 0: did not */
};

static int pump_record(void *context, struct stead_slice key, struct stead_slice record)
{
    struct pump *pump = context;
    struct stead_channel_out *channel = pump->channel;
    struct stead_host *host = pump->shard->host;
    struct stead_message *message;
    struct stead_slice newest;
    uint64_t index;

    if (stead_overlay_get(pump->shard->overlay, key, &newest, &index) == STEAD_OVERLAY_ROW &&
        index > pump->shard->synced) {
        pump->awaits = index;
        return 1;
    }
    int code = host->doors.decode(record, &message);
    if (code != 0) {
        stead_host_trace(host, STEAD_TRACE_ERROR, "outbox record of %04x->%04x is damaged: %s", channel->slot.v,
                         channel->destination.v, stead_error_sentence(code));
        return 1;
    }
    pump->records--;
    pump->bytes -= record.size < pump->bytes ? record.size : pump->bytes;
    message->channel.trimmed = channel->acknowledged;
    message->flags |= STEAD_FLAG_RETRY;
    note_sent(pump->shard, channel, message->channel.number, record.size);
    host->stats.resends++;
    if (is_here(pump->shard, channel))
        stead_queue_push(&pump->shard->local, message);
    else
        stead_host_route(host, message);
    return pump->records == 0 || pump->bytes == 0 || !has_room(pump->shard, channel);
}

/* Sends what comes after `sent`, as far as the window, the round and the commits allow. True: to be called again, when
 * the next round has begun or the entry `channel->awaits` is on disk. */
static bool pump_channel(struct pump *pump, struct stead_channel_out *channel)
{
    const struct stead_shard *shard = pump->shard;
    struct stead_row_key from, to;

    if (stead_seq_compare(channel->sent, channel->last) == 0 || !has_room(shard, channel))
        return false;
    pump->channel = channel;
    pump->awaits = 0;
    outbox_key(&from, channel, (struct stead_seq){channel->sent.epoch, channel->sent.counter + 1});
    outbox_key(&to, channel, (struct stead_seq){channel->last.epoch, channel->last.counter + 1});
    /* What cannot be read now is sent again later, like what got no acknowledgement. */
    (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                    false, pump_record, pump);
    /* What is new was passed on, and so was all up to there; what was made before and is written anew was not. */
    if (pump->awaits != 0 && channel->rewritten <= shard->synced &&
        stead_seq_compare(channel->sent, channel->passed_on) < 0)
        channel->sent = channel->passed_on;
    channel->awaits = pump->awaits;
    return stead_seq_compare(channel->sent, channel->last) != 0 && has_room(shard, channel) &&
           (pump->awaits != 0 || pump->records == 0 || pump->bytes == 0);
}

static void pump_channels(struct stead_shard *shard)
{
    struct pump pump = {.shard = shard, .records = ROUND_RECORDS, .bytes = ROUND_BYTES};
    bool spent = false;

    for (uint32_t left = shard->pump_count; left > 0 && !spent; left--) {
        struct stead_channel_out *channel = shard->pump_first;
        shard->pump_first = channel->pump_next;
        shard->pump_count--;
        channel->pumping = false;
        if (channel->awaits > shard->synced || pump_channel(&pump, channel))
            want_pump(shard, channel);
        spent = pump.records == 0 || pump.bytes == 0;
    }
    shard->pumps_on = spent && shard->pump_first != NULL;
}

void stead_channel_out_again(struct stead_shard *shard, struct stead_channel_out *channel)
{
    channel->sent = channel->acknowledged;
    channel->bytes_to_mark = channel->bytes_behind = 0;
    channel->mark = channel->acknowledged.counter;
    channel->awaits = 0;
    channel->again_ns = shard->host->now_ns;
    channel->again_from = channel->acknowledged.counter;
    want_pump(shard, channel);
}

static void find_due(struct stead_shard *shard)
{
    struct stead_host *host = shard->host;
    struct stead_channel_out **link = &shard->waiting_out;
    uint64_t next = UINT64_MAX;

    while (*link != NULL) {
        struct stead_channel_out *channel = *link;
        if (stead_seq_compare(channel->acknowledged, channel->last) == 0) {
            *link = channel->waiting_next;
            channel->waiting = false;
            continue;
        }
        if (channel->resend_ns <= host->now_ns) {
            stead_channel_out_again(shard, channel);
            channel->resend_ns = host->now_ns + ((uint64_t)host->settings.resend_ms * 1000000u << channel->backoff);
            if (channel->backoff < BACKOFF_MAX)
                channel->backoff++;
        }
        if (channel->resend_ns < next)
            next = channel->resend_ns;
        link = &channel->waiting_next;
    }
    shard->resend_ns = next;
}

uint64_t stead_channel_out_resend_due(struct stead_shard *shard)
{
    if (shard->host->now_ns >= shard->resend_ns)
        find_due(shard);
    if (shard->pump_first != NULL)
        pump_channels(shard);
    return shard->resend_ns;
}

void stead_channel_out_peer_up(struct stead_shard *shard, uint32_t node)
{
    struct stead_host *host = shard->host;

    for (struct stead_channel_out *channel = shard->waiting_out; channel != NULL; channel = channel->waiting_next) {
        const struct stead_table_shard *owner =
            host->table == NULL ? NULL : stead_table_shard_of(host->table, channel->destination);
        if (node != 0 && (owner == NULL || owner->node != node))
            continue;
        channel->backoff = 0;
        channel->resend_ns = host->now_ns;
    }
    shard->resend_ns = host->now_ns;
}

/* ---- Cancelled calls ---------------------------------------------------------------------------------- */

struct search {
    struct stead_shard *shard;
    struct stead_id id;
    uint32_t left;               /* records that may still be looked at */
    struct stead_row_key key;    /* of the call */
    struct stead_message *found; /* owned */
};

static int look_at_record(void *context, struct stead_slice key, struct stead_slice record)
{
    struct search *search = context;
    struct stead_message *message;

    if (search->left-- == 0 || search->shard->host->doors.decode(record, &message) != 0)
        return 1;
    if (message->type != STEAD_CALL || !stead_id_equal(message->id, search->id)) {
        stead_message_destroy(&message);
        return 0;
    }
    memcpy(search->key.data, key.data, key.size);
    search->key.size = (uint16_t)key.size;
    search->found = message;
    return 1;
}

void stead_channel_out_cancel(struct stead_shard *shard, stead_slot slot, stead_slot destination, struct stead_id id)
{
    struct stead_channel_out *channel = stead_channel_out_get(shard, slot, destination);
    struct search search = {.shard = shard, .id = id, .left = shard->host->settings.channel_window};
    struct stead_row_key from, to;

    if (channel == NULL || stead_seq_compare(channel->acknowledged, channel->last) == 0 ||
        shard->host->shard_of[destination.v] == shard)
        return;
    outbox_key(&from, channel, (struct stead_seq){channel->acknowledged.epoch, channel->acknowledged.counter + 1});
    outbox_key(&to, channel, (struct stead_seq){channel->last.epoch, channel->last.counter + 1});
    (void)stead_shard_scan(shard, &from, &to, look_at_record, &search);
    if (search.found == NULL)
        return;
    search.found->deadline_ms = 1; /* its number must arrive, the call need not be run */
    stead_writer_reset(&shard->host->scratch);
    shard->host->doors.encode(search.found, &shard->host->scratch);
    stead_shard_put(shard, &search.key, stead_written(&shard->host->scratch), false);
    channel->rewritten = shard->next_index;
    stead_message_destroy(&search.found);
}

/* ---- Acknowledgements --------------------------------------------------------------------------------- */

struct trimmed {
    struct stead_writer keys; /* u16 size, key */
    struct stead_seq newest;  /* number of the last one */
};

static int delete_record(void *context, struct stead_slice key, struct stead_slice record)
{
    struct trimmed *trimmed = context;
    struct stead_row_parsed parsed;

    (void)record;
    if (stead_row_parse(key, &parsed) != 0)
        return STEAD_ECORRUPT;
    trimmed->newest = parsed.number;
    stead_write_raw(&trimmed->keys, &(uint16_t){(uint16_t)key.size}, 2);
    stead_write_raw(&trimmed->keys, key.data, key.size);
    return 0;
}

/* Deletes the records after `from` up to `to`; the number of the newest one, or `from`. Only of what this folder has
 * sent: `to` may be a number that was given out by a later past of this shard, which a restored folder does not know.
 * Then nobody may hear it as `trimmed`: the records that follow have other predecessors. */
static struct stead_seq trim(struct stead_shard *shard, struct stead_channel_out *channel, struct stead_seq from,
                             struct stead_seq to)
{
    struct stead_row_key key, end;
    struct trimmed trimmed = {.newest = from};

    if (from.epoch == to.epoch && to.epoch == channel->last.epoch) {
        for (uint64_t counter = from.counter + 1; counter <= to.counter; counter++) {
            outbox_key(&key, channel, (struct stead_seq){to.epoch, counter});
            stead_shard_delete(shard, &key);
        }
        return to;
    }
    /* The numbers change their epoch on the way: collect the keys, then delete them. */
    stead_writer_init(&trimmed.keys);
    outbox_key(&key, channel, (struct stead_seq){from.epoch, from.counter + 1});
    outbox_key(&end, channel, (struct stead_seq){to.epoch, to.counter + 1});
    (void)stead_shard_scan(shard, &key, &end, delete_record, &trimmed);
    for (size_t at = 0; at < trimmed.keys.size;) {
        uint16_t size = stead_load16(trimmed.keys.data + at);
        stead_overlay_delete(shard->overlay, shard->next_index, stead_bytes(trimmed.keys.data + at + 2, size));
        at += 2u + size;
    }
    stead_writer_deinit(&trimmed.keys);
    return trimmed.newest;
}

static void acknowledge_up_to(struct stead_shard *shard, struct stead_channel_out *channel, struct stead_seq position,
                              bool urgent)
{
    if (stead_seq_compare(position, channel->acknowledged) <= 0)
        return;
    channel->acknowledged = trim(shard, channel, channel->acknowledged, position);
    if (stead_seq_compare(channel->sent, channel->acknowledged) < 0)
        channel->sent = channel->acknowledged;
    note_arrived(channel);
    channel->backoff = 0;
    channel->resend_ns = shard->host->now_ns + (uint64_t)shard->host->settings.resend_ms * 1000000u;
    mark_dirty(shard, channel, urgent);
}

/* The receiver has taken what this folder has never sent. */
static void tell_of_forgotten(struct stead_shard *shard, struct stead_channel_out *channel, struct stead_seq position)
{
    if (channel->told)
        return;
    channel->told = true;
    shard->host->stats.history_lost++;
    stead_host_trace(shard->host, STEAD_TRACE_ERROR,
                     "history lost in channel %04x->%04x: number %llu/%llu was taken, the newest that is known here is "
                     "%llu/%llu (was this node restored alone?)%s",
                     channel->slot.v, channel->destination.v, (unsigned long long)position.epoch,
                     (unsigned long long)position.counter, (unsigned long long)channel->last.epoch,
                     (unsigned long long)channel->last.counter,
                     position.epoch < shard->epoch ? "; it goes on" : ": the coordinator has forgotten this epoch");
}

/* Behind `acknowledged`. */
static void heard_of_gap(struct stead_shard *shard, struct stead_channel_out *channel)
{
    const struct stead_host *host = shard->host;
    uint64_t answered_ns = channel->again_ns + (uint64_t)host->settings.resend_ms * 1000000u / ANSWERED_PART;

    if (channel->again_ns == 0 || channel->again_from != channel->acknowledged.counter || host->now_ns >= answered_ns) {
        stead_channel_out_again(shard, channel);
        return;
    }
    if (answered_ns < channel->resend_ns)
        channel->resend_ns = answered_ns;
    if (answered_ns < shard->resend_ns)
        shard->resend_ns = answered_ns;
}

void stead_channel_out_acknowledged(struct stead_shard *shard, const struct stead_message *ack)
{
    struct stead_channel_out *channel = stead_channel_out_get(shard, ack->slot, ack->source_slot);
    struct stead_seq position = ack->channel.number;

    if (channel == NULL)
        return;
    if (stead_seq_compare(position, channel->last) > 0) {
        tell_of_forgotten(shard, channel, position);
        /* What was sent before this start is the beginning of what the receiver has taken. What this start has sent has
         * numbers under an epoch that nobody has seen before, unless the coordinator has forgotten too: then it is not
         * known what was taken. */
        if (position.epoch >= shard->epoch)
            return;
        position = channel->last;
    }
    acknowledge_up_to(shard, channel, position, false);
    if (ack->flags & STEAD_FLAG_GAP)
        heard_of_gap(shard, channel);
    want_pump(shard, channel);
}

void stead_channel_out_taken_here(struct stead_shard *shard, stead_slot slot, stead_slot destination,
                                  struct stead_seq number)
{
    struct stead_channel_out *channel = stead_channel_out_get(shard, slot, destination);

    if (channel != NULL && stead_seq_compare(number, channel->last) <= 0)
        acknowledge_up_to(shard, channel, number, true);
}

void stead_channel_out_batch_end(struct stead_shard *shard)
{
    struct stead_row_key key;
    uint8_t row[32];

    while (shard->dirty_out != NULL) {
        struct stead_channel_out *channel = shard->dirty_out;
        shard->dirty_out = channel->dirty_next;
        channel->dirty = false;
        stead_row_begin(&key, channel->slot, STEAD_ROW_CHANNEL_OUT);
        stead_row_add_u16(&key, channel->destination.v);
        stead_store64(row, channel->last.epoch);
        stead_store64(row + 8, channel->last.counter);
        stead_store64(row + 16, channel->acknowledged.epoch);
        stead_store64(row + 24, channel->acknowledged.counter);
        stead_shard_put(shard, &key, stead_bytes(row, sizeof(row)), false);
    }
}

/* ---- Recovery ------------------------------------------------------------------------------------------- */

/* One walk over all outboxes, of each the first record: a range ends there, the next one begins behind its channel. */
struct recovery {
    struct stead_shard *shard;
    uint32_t slot_at;     /* in the shard's slots */
    uint32_t destination; /* the next range begins here; above UINT16_MAX: the slot is over */
    bool found;           /* the last range had a record */
    int code;             /* STEAD_ECORRUPT */
    struct stead_row_key from, to;
};

static int first_destination(void *context, struct stead_slice key, struct stead_slice record)
{
    struct stead_row_parsed parsed;
    struct recovery *it = context;
    struct stead_shard *shard = it->shard;

    (void)record;
    if (stead_row_parse(key, &parsed) != 0) {
        it->code = STEAD_ECORRUPT;
        return 1;
    }
    it->found = true;
    it->destination = parsed.other.v + 1u;
    struct stead_channel_out *channel = stead_channel_out_get(shard, parsed.slot, parsed.other);
    if (channel != NULL && STEAD_FAULT(&shard->host->settings, lose_outbox))
        channel->acknowledged = channel->sent = channel->last;
    if (channel != NULL)
        watch(shard, channel, shard->host->now_ns);
    return 1;
}

static bool next_outbox(void *context, struct stead_slice *ret_from, struct stead_slice *ret_to)
{
    struct recovery *it = context;

    if (!it->found || it->destination > UINT16_MAX) {
        it->slot_at++;
        it->destination = 0;
    }
    if (it->slot_at >= it->shard->slot_count || it->code != 0)
        return false;
    it->found = false;
    stead_row_begin(&it->from, it->shard->slots[it->slot_at], STEAD_ROW_OUTBOX);
    it->to = it->from;
    STEAD_ASSERT(stead_row_after_prefix(&it->to)); /* of a class there is always a next one */
    stead_row_add_u16(&it->from, (uint16_t)it->destination);
    *ret_from = stead_row_slice(&it->from);
    *ret_to = stead_row_slice(&it->to);
    return true;
}

void stead_channel_out_recover(struct stead_shard *shard)
{
    struct stead_host *host = shard->host;
    struct recovery it = {.shard = shard, .found = true};

    shard->resend_ns = UINT64_MAX;
    int code = stead_overlay_scan_ranges(shard->overlay, &host->doors, next_outbox, first_destination, &it);
    if (code == 0)
        code = it.code;
    if (code != 0 && !STEAD_FAULT(&host->settings, read_error_is_nothing))
        stead_host_fail(host, code, "outboxes of shard %u cannot be read: %s", shard->id, stead_error_sentence(code));
}

uint64_t stead_channel_out_records(const struct stead_shard *shard)
{
    uint64_t records = 0;

    for (const struct stead_channel_out *channel = shard->waiting_out; channel != NULL; channel = channel->waiting_next)
        records += channel->last.counter - channel->acknowledged.counter;
    return records;
}
