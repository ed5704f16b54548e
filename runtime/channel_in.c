/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_in: the receiving end of a channel.
 *
 * The position is a row, written once a batch however many messages the batch took, in the same entry as their effects
 * (C3). The acknowledgement of that position is an output of the entry, so it leaves when the entry is on disk (C5),
 * one for all messages of the batch. Ends at rest are forgotten when there are many; their rows bring them back.
 */
#include "runtime/shard.h"

#define GAP_EVERY_NS 50000000u /* a gap is reported once in this time: the sender needs it once */
#define ENDS_MAX 65536u        /* kept in memory before those at rest are forgotten */

enum stead_channel_verdict stead_channel_judge(struct stead_seq position, struct stead_seq trimmed,
                                               struct stead_seq previous, struct stead_seq number)
{
    STEAD_ASSERT(stead_seq_compare(previous, number) < 0); /* the decoder refuses anything else */

    if (stead_seq_compare(previous, position) == 0)
        return STEAD_CHANNEL_TAKE;
    if (stead_seq_compare(number, position) <= 0)
        return STEAD_CHANNEL_DUPLICATE;
    if (stead_seq_compare(position, previous) < 0 && stead_seq_compare(position, trimmed) >= 0)
        return STEAD_CHANNEL_GAP;
    /* Neither next, nor old, nor still with the sender: an outbox or a position was rolled back (a lost disk, a
     * restored folder). */
    return stead_seq_compare(position, previous) < 0 ? STEAD_CHANNEL_FORGOTTEN_HERE : STEAD_CHANNEL_FORGOTTEN_THERE;
}

static int read_position(struct stead_shard *shard, struct stead_channel_in *channel)
{
    struct stead_row_key key;
    struct stead_writer row;

    stead_row_begin(&key, channel->slot, STEAD_ROW_CHANNEL_IN);
    stead_row_add_u16(&key, channel->source.v);
    stead_writer_init(&row);
    int code = stead_shard_read(shard, &shard->host->doors, &key, &row);
    if (code == 0 && row.size == 16) {
        channel->position.epoch = stead_load64(row.data);
        channel->position.counter = stead_load64(row.data + 8);
    } else if (code == 0) {
        code = STEAD_ECORRUPT;
    }
    stead_writer_deinit(&row);
    return code == STEAD_ENOTFOUND ? 0 : code;
}

struct stead_channel_in *stead_channel_in_get(struct stead_shard *shard, stead_slot source, stead_slot slot)
{
    uint64_t hash = stead_channel_hash(source, slot);
    struct stead_channel_in *channel;
    uint32_t at;

    for (channel = stead_map_first(&shard->channels_in, hash, &at); channel != NULL;
         channel = stead_map_next(&shard->channels_in, hash, &at))
        if (channel->source.v == source.v && channel->slot.v == slot.v)
            return channel;
    channel = stead_alloc_zero(sizeof(*channel));
    channel->source = source;
    channel->slot = slot;
    int code = read_position(shard, channel);
    if (code != 0) {
        stead_host_fail(shard->host, code, "channel %04x->%04x cannot be read: %s", source.v, slot.v,
                        stead_error_sentence(code));
        free(channel);
        return NULL;
    }
    stead_map_add(&shard->channels_in, hash, channel);
    return channel;
}

void stead_channel_in_advance(struct stead_shard *shard, struct stead_channel_in *channel, struct stead_seq number)
{
    STEAD_ASSERT(stead_seq_compare(channel->position, number) < 0 ||
                 STEAD_FAULT(&shard->host->settings, forget_duplicate_check));
    channel->position = number;
    channel->position_index = shard->next_index;
    stead_shard_dirty(shard, true);
    if (channel->dirty)
        return;
    channel->dirty = true;
    channel->dirty_next = shard->dirty_in;
    shard->dirty_in = channel;
}

void stead_channel_in_renew(struct stead_shard *shard, struct stead_channel_in *channel,
                            enum stead_channel_verdict verdict, const struct stead_message *message)
{
    struct stead_host *host = shard->host;
    bool here = verdict == STEAD_CHANNEL_FORGOTTEN_HERE;
    struct stead_seq from = here ? channel->position : message->channel.previous;
    struct stead_seq to = here ? message->channel.trimmed : channel->position;
    uint64_t records = to.counter > from.counter ? to.counter - from.counter : 0;

    host->stats.history_lost++;
    host->stats.history_lost_records += records;
    stead_host_trace(host, STEAD_TRACE_ERROR,
                     "history lost in channel %04x->%04x: %llu messages up to %llu/%llu are forgotten %s (was a node "
                     "restored alone?); it goes on behind them",
                     channel->source.v, channel->slot.v, (unsigned long long)records, (unsigned long long)to.epoch,
                     (unsigned long long)to.counter, here ? "here" : "by their sender");
    if (here)
        stead_channel_in_advance(shard, channel, to);
    else
        channel->position = from; /* in memory, until the message is taken: its row must not fall */
}

void stead_channel_in_acknowledge(struct stead_shard *shard, struct stead_channel_in *channel, bool gap)
{
    struct stead_host *host = shard->host;

    if (gap && host->now_ns < channel->gap_ns + GAP_EVERY_NS && channel->gap_ns != 0)
        return;
    if (gap)
        channel->gap_ns = host->now_ns;
    if (host->shard_of[channel->source.v] == shard) { /* both ends are here: no need to write to ourselves */
        if (!gap) {
            stead_channel_out_taken_here(shard, channel->source, channel->slot, channel->position);
        } else {
            struct stead_channel_out *out = stead_channel_out_get(shard, channel->source, channel->slot);
            if (out != NULL)
                stead_channel_out_again(shard, out);
        }
        return;
    }
    struct stead_message *ack = stead_message_create(STEAD_ACK, &(struct stead_message_parts){0});
    ack->groups = STEAD_GROUP_CHANNEL;
    ack->flags = gap ? STEAD_FLAG_GAP : 0;
    ack->source_slot = channel->slot;
    ack->slot = channel->source;
    ack->channel.number = channel->position;
    ack->channel.previous = ack->channel.trimmed = (struct stead_seq){0, 0};
    ack->depends_on = STEAD_FAULT(&host->settings, acknowledge_before_sync) ? 0 : channel->position_index;
    stead_shard_emit(shard, ack);
}

void stead_channel_in_batch_end(struct stead_shard *shard)
{
    struct stead_row_key key;
    uint8_t row[16];

    while (shard->dirty_in != NULL) {
        struct stead_channel_in *channel = shard->dirty_in;
        shard->dirty_in = channel->dirty_next;
        channel->dirty = false;
        stead_row_begin(&key, channel->slot, STEAD_ROW_CHANNEL_IN);
        stead_row_add_u16(&key, channel->source.v);
        stead_store64(row, channel->position.epoch);
        stead_store64(row + 8, channel->position.counter);
        stead_shard_put(shard, &key, stead_bytes(row, sizeof(row)), false);
        stead_channel_in_acknowledge(shard, channel, false);
    }
}

/* Removes those ends of a map that `at_rest` allows; frees them. */
static void sweep_map(struct stead_map *map, bool (*at_rest)(const struct stead_shard *, const void *),
                      uint64_t (*hash_of)(const void *), const struct stead_shard *shard)
{
    for (uint32_t i = 0; map->entries != NULL && i <= map->mask;) {
        void *item = stead_map_at(map, i);
        if (item != NULL && at_rest(shard, item)) {
            stead_map_remove(map, hash_of(item), item);
            free(item);
        } else {
            i++;
        }
    }
}

static bool in_at_rest(const struct stead_shard *shard, const void *item)
{
    const struct stead_channel_in *channel = item;
    return !channel->dirty && !channel->blocked && channel->stalled.count == 0 &&
           channel->position_index <= shard->synced;
}

static uint64_t in_hash(const void *item)
{
    const struct stead_channel_in *channel = item;
    return stead_channel_hash(channel->source, channel->slot);
}

static bool out_at_rest(const struct stead_shard *shard, const void *item)
{
    const struct stead_channel_out *channel = item;
    (void)shard;
    return !channel->dirty && !channel->waiting && !channel->pumping;
}

static uint64_t out_hash(const void *item)
{
    const struct stead_channel_out *channel = item;
    return stead_channel_hash(channel->slot, channel->destination);
}

void stead_channels_sweep(struct stead_shard *shard)
{
    if (shard->channels_in.count > ENDS_MAX)
        sweep_map(&shard->channels_in, in_at_rest, in_hash, shard);
    if (shard->channels_out.count > ENDS_MAX)
        sweep_map(&shard->channels_out, out_at_rest, out_hash, shard);
}

void stead_channels_deinit(struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->channels_in.entries != NULL && i <= shard->channels_in.mask; i++) {
        struct stead_channel_in *channel = stead_map_at(&shard->channels_in, i);
        if (channel != NULL)
            stead_queue_clear(&channel->stalled);
        free(channel);
    }
    for (uint32_t i = 0; shard->channels_out.entries != NULL && i <= shard->channels_out.mask; i++)
        free(stead_map_at(&shard->channels_out, i));
    stead_map_deinit(&shard->channels_in);
    stead_map_deinit(&shard->channels_out);
}

void stead_channels_check(const struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->channels_in.entries != NULL && i <= shard->channels_in.mask; i++) {
        const struct stead_channel_in *channel = stead_map_at(&shard->channels_in, i);
        if (channel == NULL)
            continue;
        STEAD_ASSERT(channel->position_index <= shard->next_index);
        STEAD_ASSERT(channel->blocked || channel->stalled.count == 0);
    }
    for (uint32_t i = 0; shard->channels_out.entries != NULL && i <= shard->channels_out.mask; i++) {
        const struct stead_channel_out *channel = stead_map_at(&shard->channels_out, i);
        if (channel == NULL)
            continue;
        STEAD_ASSERT(stead_seq_compare(channel->acknowledged, channel->last) <= 0);
        STEAD_ASSERT(stead_seq_compare(channel->acknowledged, channel->sent) <= 0 &&
                     stead_seq_compare(channel->sent, channel->last) <= 0);
        STEAD_ASSERT(channel->waiting || stead_seq_compare(channel->acknowledged, channel->last) == 0);
        STEAD_ASSERT(channel->mark <= channel->sent.counter);
        STEAD_ASSERT(channel->sent.counter > channel->acknowledged.counter ||
                     channel->bytes_to_mark + channel->bytes_behind == 0);
    }
}
