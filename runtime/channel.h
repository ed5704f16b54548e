/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: both ends of a channel (source slot -> destination slot), the way messages of durable agents are made
 * exactly-once in effect.
 *
 * Sender: a number = (epoch of assignment, counter) and the number before it; the record is in the outbox in the commit
 * of the turn that sent it, is sent again until acknowledged, and `trimmed` in every record is the highest number
 * deleted as acknowledged.
 *
 * Receiver: taken strictly in order.
 *
 *   previous == position     number <= position      trimmed <= position < previous
 *   ---------------------    --------------------    ------------------------------
 *   TAKE                     DUPLICATE               GAP
 *   position := number       acknowledge again       drop, answer with the position
 *
 * Nothing else happens while both ends keep what they have synced. An end whose folder was put back to an earlier
 * moment (one node of several restored, a disk that lost synced data) has forgotten what the other remembers; what it
 * forgot cannot be had again, and the channel goes on behind it. Each such loss is counted and told once (C6):
 *
 *   position < trimmed                                previous < position < number
 *   ----------------------------------------------    ---------------------------------------------------------------------------
 *   FORGOTTEN_HERE: taken here once, acknowledged,    FORGOTTEN_THERE: the sender has no trace of what was taken from it between
 *   deleted there, and the effect is gone             previous and position, under an epoch before that of number
 *   position := trimmed, then judged again            position := number: what is behind previous in its log now is next
 *
 * Invariants (docs/INVARIANTS.md): C1 a number is given out once; C2 a message is taken exactly when its previous
 * number is the position; C3 the position moves only in the entry that holds the effect; C4 an outbox row goes only
 * after an acknowledgement whose position covers it; C5 an acknowledgement follows the commit of its position; C6 a
 * channel whose ends disagree about the past goes on behind what was forgotten, which is told once; C7 what is on its
 * way is bounded in records and bytes, and does not wait for a resend to go on.
 *
 * Called by the shard that owns the slot, on its thread.
 */
#ifndef STEAD_RUNTIME_CHANNEL_H
#define STEAD_RUNTIME_CHANNEL_H

#include "runtime/queue.h"

struct stead_shard;
struct stead_agent;

enum stead_channel_verdict {
    STEAD_CHANNEL_TAKE,
    STEAD_CHANNEL_DUPLICATE,
    STEAD_CHANNEL_GAP,
    STEAD_CHANNEL_FORGOTTEN_HERE,
    STEAD_CHANNEL_FORGOTTEN_THERE
};

/* Of the two slots of a channel, in its direction: where its ends are found in their tables. */
static inline uint64_t stead_channel_hash(stead_slot source, stead_slot destination)
{
    uint64_t it = ((uint64_t)source.v << 16 | destination.v) * 0x9E3779B97F4A7C15u;
    return it ^ it >> 29;
}

/* Decides about a message. Pure: changes nothing. */
enum stead_channel_verdict stead_channel_judge(struct stead_seq position, struct stead_seq trimmed,
                                               struct stead_seq previous, struct stead_seq number);

/* ---- Receiving end -------------------------------------------------------------------------- */

struct stead_channel_in {
    stead_slot source, slot;               /* fixed */
    struct stead_seq position;             /* last number taken */
    uint64_t position_index;               /* entry that holds the position; 0: stored long ago */
    uint64_t gap_ns;                       /* monotonic time of the last GAP answer: one per 50 ms */
    bool dirty;                            /* position moved in the open batch */
    bool blocked;                          /* its next message waits for an agent to load */
    struct stead_queue stalled;            /* messages behind that one, in order */
    struct stead_channel_in *dirty_next;   /* list of the shard */
    struct stead_channel_in *blocked_next; /* list of the agent it waits for */
};

/* The end for `source` -> `slot`, read from the rows if it is not in memory. NULL: the host has failed. */
struct stead_channel_in *stead_channel_in_get(struct stead_shard *shard, stead_slot source, stead_slot slot);
/* The message `number` of this channel takes effect in the open batch. */
void stead_channel_in_advance(struct stead_shard *shard, struct stead_channel_in *channel, struct stead_seq number);
/* The ends disagree about the past: `verdict`, one of the last two, on `message` (borrowed). Tells and counts what is
 * lost, and moves the position so that the message is next or behind a gap. */
void stead_channel_in_renew(struct stead_shard *shard, struct stead_channel_in *channel,
                            enum stead_channel_verdict verdict, const struct stead_message *message);
/* Acknowledges the position, once it is committed; `gap` asks to send again. */
void stead_channel_in_acknowledge(struct stead_shard *shard, struct stead_channel_in *channel, bool gap);
/* At the end of a batch: rows of moved positions, and their acknowledgements. */
void stead_channel_in_batch_end(struct stead_shard *shard);

/* ---- Sending end ---------------------------------------------------------------------------- */

struct stead_channel_out {
    stead_slot slot, destination;         /* fixed */
    struct stead_seq last;                /* last number given out */
    struct stead_seq acknowledged;        /* highest number acknowledged: outbox rows up to it are gone */
    struct stead_seq sent;                /* highest number handed to the network since the last resend */
    struct stead_seq passed_on;           /* highest number that was handed on when it was made */
    uint64_t mark;                        /* a counter up to `sent`, fixed when the one before was acknowledged */
    uint64_t bytes_to_mark, bytes_behind; /* of the records on their way: those up to it, and those behind */
    uint64_t again_ns;                    /* monotonic time of the last resend; 0: none */
    uint64_t again_from;                  /* counter that it began behind */
    uint64_t awaits;                      /* entry that the record after `sent` waits for; 0: none known */
    uint64_t rewritten;                   /* newest entry in which a record that may have left before is changed */
    uint64_t resend_ns;                   /* monotonic time when the oldest record is sent again */
    uint32_t backoff;                     /* doublings of the resend interval, at most 5 */
    bool dirty;                           /* last or acknowledged changed in the open batch */
    bool told;                            /* that the receiver has taken what this folder never sent: once is enough */
    struct stead_channel_out *dirty_next; /* list of the shard */
    struct stead_channel_out *waiting_next; /* list of the shard: channels with unacknowledged records */
    bool waiting;
    bool pumping;                        /* what comes after `sent` is to be read: in the list of pump_next */
    struct stead_channel_out *pump_next; /* list of the shard */
};

/* The end for `slot` -> `destination`, read from the rows if it is not in memory. NULL: the store failed, or the row is
 * damaged. Borrowed. */
struct stead_channel_out *stead_channel_out_get(struct stead_shard *shard, stead_slot slot, stead_slot destination);
/* It has records that are not acknowledged: what must not overtake them goes behind them. */
bool stead_channel_out_waits(const struct stead_shard *shard, stead_slot slot, stead_slot destination);
/* Numbers `message` (source_slot and slot are set), stores its record in the outbox at the open entry, and passes it
 * on: to this shard, or to be sent after the commit if the window is open. Consumed. */
void stead_channel_out_send(struct stead_shard *shard, struct stead_message **message);
/* An ACK came. Borrowed. */
void stead_channel_out_acknowledged(struct stead_shard *shard, const struct stead_message *ack);
/* The message of a channel within this shard was taken in the open batch. */
void stead_channel_out_taken_here(struct stead_shard *shard, stead_slot slot, stead_slot destination,
                                  struct stead_seq number);
/* A call that may still wait in this channel's outbox, for a receiver that is away, is not run when it gets there: its
 * record says that its deadline is over. Looks at no more records than a window has. */
void stead_channel_out_cancel(struct stead_shard *shard, stead_slot slot, stead_slot destination, struct stead_id id);
/* All behind the acknowledged number is sent again, as the window allows: at the end of the round and later. */
void stead_channel_out_again(struct stead_shard *shard, struct stead_channel_out *channel);
/* Sends committed records: again, from the acknowledged number, where the resend time has come, and where the window
 * has opened; no more than a round may. Next resend time, or UINT64_MAX. */
uint64_t stead_channel_out_resend_due(struct stead_shard *shard);
/* The peer that owns these destinations is back: send everything unacknowledged again. `node` 0: all. */
void stead_channel_out_peer_up(struct stead_shard *shard, uint32_t node);
/* At the end of a batch: rows of changed ends. */
void stead_channel_out_batch_end(struct stead_shard *shard);
/* At start: finds the channels with records in their outboxes. */
void stead_channel_out_recover(struct stead_shard *shard);
/* Forgets ends that rest, when there are many: their rows say all. */
void stead_channels_sweep(struct stead_shard *shard);
/* Records in outboxes without acknowledgement. */
uint64_t stead_channel_out_records(const struct stead_shard *shard);

/* Frees every end in memory; their rows stay. */
void stead_channels_deinit(struct stead_shard *shard);
/* Asserts what holds of every end in memory between events. */
void stead_channels_check(const struct stead_shard *shard);

#endif
