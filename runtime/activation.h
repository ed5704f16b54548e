/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activation: one agent in memory.
 *
 *             message                 loaded                      idle, or memory is short
 *   (absent) ---------> LOADING ----------------> READY --------------------------------> (absent)
 *                          `--- nothing stored ---^   turns run only here
 *
 * An activation is one block: this struct, the address, the state. What only few agents need (a mailbox with
 * something in it, a lock, volatile timers) hangs off `wait`, so that an idle small agent stays under 512 bytes.
 *
 * The newest committed or uncommitted image of a durable agent is always a row of the overlay or the store, so
 * unloading is forgetting (invariant A1 in docs/INVARIANTS.md).
 *
 * Called by the shard that owns it, on that shard's thread.
 */
#ifndef STEAD_RUNTIME_ACTIVATION_H
#define STEAD_RUNTIME_ACTIVATION_H

#include "runtime/doors.h"
#include "runtime/queue.h"
#include "stead/agent.h"

struct stead_shard;
struct stead_channel_in;
struct stead_vtimer;

enum stead_agent_phase {
    STEAD_AGENT_LOADING_HEAD,   /* its AGENT row is being read; messages wait, as in the next two */
    STEAD_AGENT_LOADING_IMAGE,  /* a large state image has a row of its own */
    STEAD_AGENT_LOADING_EVENTS, /* the events after the image */
    STEAD_AGENT_READY           /* turns can run */
};

enum stead_agent_flags {
    STEAD_AGENT_EXISTS = 1,      /* init has run and was committed (or is in the open batch) */
    STEAD_AGENT_HELD = 2,        /* locked for wait->holder */
    STEAD_AGENT_PARTS = 4,       /* has rows besides its head: destroy must clear them */
    STEAD_AGENT_MAIL = 8,        /* has parked messages */
    STEAD_AGENT_INITED = 16,     /* init has run in this activation, stored or not */
    STEAD_AGENT_SCHEDULED = 32,  /* in the shard's list of agents with waiting work */
    STEAD_AGENT_UNPARKING = 64,  /* its waiting messages are being run: new ones go behind them */
    STEAD_AGENT_BIG_IMAGE = 128, /* its image is a row of its own */
};

/* What only some agents need; made on first use, freed when empty. */
struct stead_agent_wait {
    struct stead_queue mailbox; /* messages that wait in memory */
    struct stead_channel_in
        *blocked; /* channels whose next message is for this agent while it is loading; linked by blocked_next */
    struct stead_vtimer *timers;        /* volatile timers of this agent, linked by agent_next */
    char *holder;                       /* address of the holder while HELD, else NULL; owned */
    uint64_t mail_from;                 /* no message parked with it has a lower sequence (M5); 0: not known */
    uint64_t mail_until;                /* the newest that the pass under way runs; 0: none is, or it is behind them */
    uint64_t mail_newest;               /* the newest parked since this was made */
    uint32_t mailbox_left;              /* messages of the mailbox that the pass under way still runs */
    bool pass_ran;                      /* one of that pass was not deferred, or one came during it */
    struct stead_agent *scheduled_next; /* list of the shard */
};

struct stead_agent {
    struct stead_agent *lru_prev, *lru_next; /* of the host, least recently used last; both NULL while LOADING */
    struct stead_shard *shard;
    const struct stead_kind *kind; /* borrowed from the registry */
    const struct stead_op *op;     /* of its newest turn; NULL: none yet */
    void *state;                   /* inside this block; NULL: a kind without state */
    struct stead_agent_wait *wait; /* owned; NULL: nothing waits */
    uint64_t hash;                 /* of the address */
    uint64_t incarnation;          /* +1 at each destroy, from 1 */
    uint64_t last_index;           /* entry with its newest journaled turn; 0: none */
    uint64_t depends_on;           /* highest entry whose effects it has seen */
    uint64_t new_since;            /* nothing was stored of it before this entry; 0: not known */
    uint64_t event_seq;            /* number of its newest event; 0: none yet */
    uint64_t snapshot_seq;         /* events up to here are in the image */
    uint64_t fence;                /* highest fencing number given out */
    uint64_t used_ms;              /* monotonic ms of the newest turn */
    uint32_t pins;                 /* messages and calls that point here: not unloaded while > 0 */
    uint32_t queued;               /* messages in memory for it: the mailbox limit */
    uint32_t block_size;           /* bytes of this block */
    uint32_t carried;              /* bytes that it keeps beside its state, as it said (stead_carry()) */
    uint32_t buffers;              /* bytes of the buffers of its state, when they were counted last */
    stead_slot slot;
    uint16_t address_size; /* bytes, without the zero */
    uint8_t phase;         /* enum stead_agent_phase */
    uint8_t flags;         /* enum stead_agent_flags */
    char address[];        /* zero-terminated; the state follows, aligned */
};

static inline struct stead_slice stead_agent_address(const struct stead_agent *agent)
{
    return (struct stead_slice){(const uint8_t *)agent->address, agent->address_size};
}
static inline bool stead_agent_durable(const struct stead_agent *agent)
{
    return agent->kind->durability == STEAD_DURABLE;
}
/* Is the image of a kind with events in the agent's own row? A version of the kind that had none has written it there,
 * and the next write of that row must bring it to a row of its own. */
bool stead_agent_image_is_inline(const struct stead_agent *agent);
static inline uint32_t stead_agent_waiting(const struct stead_agent *agent)
{
    return agent->wait == NULL ? 0 : agent->wait->mailbox.count;
}

/* The resident activation of `address`, or NULL. Borrowed. */
struct stead_agent *stead_agent_find(const struct stead_shard *shard, struct stead_slice address, uint64_t hash);
/* The activation of `address`, made if needed: READY at once when nothing can be stored for it or its rows are in the
 * overlay, else LOADING with a load on its way. NULL: what is stored is damaged. `kind` is borrowed from the
 * registry. */
struct stead_agent *stead_agent_activate(struct stead_shard *shard, const struct stead_kind *kind,
                                         struct stead_slice address, uint64_t hash, stead_slot slot);
/* A load came back for an agent (consumed): goes on loading, or makes it READY and sets its waiting work going. */
void stead_agent_loaded(struct stead_shard *shard, struct stead_load **load);
/* What it keeps beside its state from now on: counts against the host's memory. */
void stead_agent_carry(struct stead_agent *agent, uint64_t bytes);
/* Its buffers may have changed: counts them anew, against the host's memory. */
void stead_agent_count_buffers(struct stead_agent *agent);
/* Forgets the activation, with its hook; what is durable is stored already. It must be READY, without pins and nothing
 * waiting. */
void stead_agent_unload(struct stead_agent *agent);
/* Frees it without any hook or check: the host is being destroyed, or the activation holds a failed turn's changes. */
void stead_agent_free(struct stead_agent *agent);
/* Throws the state away and reads it again from overlay and image: after a failed turn. STEAD_EIO, STEAD_ECORRUPT. */
int stead_agent_rebuild(struct stead_agent *agent) STEAD_MUST_USE;

/* The op of its kind; NULL when there is none. Agents often run several turns of one op in a row. */
const struct stead_op *stead_agent_op(const struct stead_agent *agent, const char *name, size_t size);

/* The wait part, made if needed. */
struct stead_agent_wait *stead_agent_need_wait(struct stead_agent *agent);
/* Frees it when nothing is in it. */
void stead_agent_tidy_wait(struct stead_agent *agent);
/* Puts the agent into the shard's list of agents with waiting work. */
void stead_agent_schedule(struct stead_agent *agent);
/* Marks a use: to the front of the least-recently-used list. */
void stead_agent_touch(struct stead_agent *agent);

/* Writes head (and image when `image` is not NULL) rows into the overlay at the open entry. */
void stead_agent_store(struct stead_agent *agent, const struct stead_slice *image);
/* Writes the head again after a flag has changed, at the open entry, whatever the agent has of an image. */
void stead_agent_store_flags(struct stead_agent *agent);
/* The incarnation of an agent, resident or not (1 when it was never there). */
uint64_t stead_agent_incarnation(struct stead_shard *shard, stead_slot slot, struct stead_slice address);
/* The AGENT row of a destroyed agent: its incarnation alone. */
void stead_agent_store_absent(struct stead_agent *agent);

/* The doors to read the parts through that its own turns write (keyed state, timers, calls, promises); NULL: all of
 * them are in the overlay. */
const struct stead_doors *stead_agent_image(const struct stead_agent *agent);

/* Applies a stored event (the value of an EVENT row, borrowed) to a state of that kind. STEAD_ECORRUPT. */
int stead_agent_apply_event(const struct stead_kind *kind, void *state, struct stead_slice row) STEAD_MUST_USE;

/* The AGENT row, decoded: see docs/FORMATS.md, Row values. */
struct stead_agent_row {
    uint8_t flags; /* those of stead_agent_flags that are stored */
    uint64_t incarnation, last_index, event_seq, snapshot_seq, fence;
    struct stead_slice holder; /* borrowed, as the next */
    struct stead_slice image;  /* inline image; empty: none, or a row of its own (BIG_IMAGE) */
};
int stead_agent_row_decode(struct stead_slice value, struct stead_agent_row *ret_row) STEAD_MUST_USE;
void stead_agent_row_encode(const struct stead_agent_row *row, struct stead_writer *writer);

#endif
