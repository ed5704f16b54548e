/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier: what brings messages between the members of a group, KIND/GROUP/RANK, so that one protocol runs on both
 * fabrics unchanged.
 *
 *   direct   a message is a tell to the member's address
 *   hub      a message is put into the member's own queue, hub.queue/GROUP/RANK (hub.h), and the member polls it: at a fixed interval, at one that doubles
 *            while nothing comes (back-off), or by long poll (notify). What was dequeued is told to the member's own agents, then deleted. Nobody talks to anybody else.
 *
 * Either way a message comes late, twice, or never: the protocols above live with that. On the hub what a member handed
 * to itself and then deleted is lost with its process, as a tell is.
 *
 * Embedded in the state of a volatile kind, whose op table has STEAD_CARRIER_OPS; called in its turns alone. Errors as
 * stead_tell()'s.
 */
#ifndef STEAD_AGENTS_CARRIER_H
#define STEAD_AGENTS_CARRIER_H

#include "stead/agent.h"

#define STEAD_CARRIER_POLL_MS 250u /* the paper's 4 polls a second */
#define STEAD_CARRIER_POLL_MS_MAX 60000u
#define STEAD_CARRIER_FIRST_MS 50u /* of a back-off, as the hub's own (hub_settings.h) */

enum stead_carrier_way {
    STEAD_CARRIER_DIRECT,
    STEAD_CARRIER_POLL,   /* hub, polled every poll_ms */
    STEAD_CARRIER_NOTIFY, /* hub, long poll */
    /* hub, polled: FIRST_MS after a message, twice as long after each poll that finds nothing, poll_ms at most; each 20
     * % off */
    STEAD_CARRIER_BACKOFF
};

struct stead_carrier {
    uint32_t way;                         /* enum stead_carrier_way */
    uint32_t poll_ms;                     /* between two polls; back-off: at most */
    uint32_t next_ms;                     /* back-off: until the next poll, if this one finds nothing */
    bool running;                         /* polls go on */
    bool polling;                         /* a dequeue is out */
    uint64_t messages;                    /* handed to send(), to other ranks */
    uint64_t enqueues, dequeues, deletes; /* storage operations asked for */
    uint64_t empty;                       /* dequeues that found nothing */
    uint64_t failed;                      /* storage operations that did */
    uint64_t stored, stored_ns;           /* enqueues answered, and how long they took together */
    uint64_t taken, taken_ns;             /* dequeues answered that did not wait, and the same of them */
};

/* Reads `fabric` ("direct", "hub"; absent: direct) `poll_ms` (0: notify; absent: 250) and `backoff` (true: poll_ms is
 * the longest interval of a back-off; absent: false) of a map into way and poll_ms; what was counted stays. Fails the
 * turn's way: the result of stead_fail(). */
int stead_carrier_take(struct stead_turn *turn, struct stead_slice args, struct stead_carrier *carrier) STEAD_MUST_USE;
/* Begins to poll, on the hub, at a random moment of the first interval. Fine when it does already. */
int stead_carrier_start(struct stead_turn *turn, struct stead_carrier *carrier) STEAD_MUST_USE;
/* Ends it; a dequeue that is out still delivers. */
void stead_carrier_stop(struct stead_turn *turn, struct stead_carrier *carrier);
/* Forgets what was counted. */
void stead_carrier_reset(struct stead_carrier *carrier);

/* The address of `rank` of this agent's group (its key is GROUP/RANK) as a `kind`; in the turn's memory. */
const char *stead_carrier_address(struct stead_turn *turn, const char *kind, uint32_t rank);
/* The rank of this agent, from its key; a result of stead_fail() when that is not GROUP/RANK, ranks 1 to `rank_max`. */
int stead_carrier_rank(struct stead_turn *turn, uint32_t rank_max, uint32_t *ret_rank) STEAD_MUST_USE;
/* Sends `op` with `args` to `rank` of a `kind` of the same family (what is before its dot). To `self`, this agent's own
 * rank, it is a tell on both fabrics, and not counted. */
int stead_carrier_send(struct stead_turn *turn, struct stead_carrier *carrier, const char *kind, uint32_t self,
                       uint32_t rank, const char *op, struct stead_slice args) STEAD_MUST_USE;

/* The carrier's own ops, to be forwarded to these three by the kind that embeds it: its timer, and two reply ops. */
#define STEAD_CARRIER_OP_POLL "carrier.poll"
#define STEAD_CARRIER_OP_POLLED "carrier.polled"
#define STEAD_CARRIER_OP_STORED "carrier.stored"
int stead_carrier_poll(struct stead_turn *turn, struct stead_carrier *carrier) STEAD_MUST_USE;
int stead_carrier_polled(struct stead_turn *turn, struct stead_carrier *carrier,
                         struct stead_slice args) STEAD_MUST_USE;
int stead_carrier_stored(struct stead_turn *turn, struct stead_carrier *carrier) STEAD_MUST_USE;
/* Those three as lines of an op table; `forward_*` are the kind's own functions of that name. */
#define STEAD_CARRIER_OPS                                                                                              \
    {STEAD_CARRIER_OP_POLL, forward_poll, NULL, 0, "timer of the carrier: looks into the queue"},                      \
        {STEAD_CARRIER_OP_POLLED, forward_polled, NULL, 0, "reply of the carrier: what was in the queue"},             \
    {                                                                                                                  \
        STEAD_CARRIER_OP_STORED, forward_stored, NULL, 0, "reply of the carrier: a storage operation is done"          \
    }

/* What was counted, as one value: {messages, enqueues, dequeues, deletes, empty, failed, stored, stored_ns, taken,
 * taken_ns}. In the turn's memory. */
struct stead_slice stead_carrier_counters(struct stead_turn *turn, const struct stead_carrier *carrier);

#endif
