/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inbox: what other threads tell a reactor: a queue with many producers and one consumer, and the bell that wakes it.
 *
 * Completions (synced, loaded, job done), new tables and orders of the control thread come in here; messages of other
 * reactors come in rings (node/ring.h). Both are looked at before the reactor sleeps, and the same bell wakes it for
 * both.
 *
 * The bell: a flag and an eventfd. A producer pushes, then rings: it exchanges the flag with 0 and writes to the
 * eventfd only when the flag was 1. The consumer exchanges the flag with 1, then looks at its queues once more, then
 * sleeps. Both exchanges change the same word, so they are ordered: either the producer's came later and finds 1, or
 * the consumer's came later and sees what was pushed before. So nobody sleeps through a message, and a busy consumer
 * costs its producers no system call.
 */
#ifndef STEAD_NODE_INBOX_H
#define STEAD_NODE_INBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "stead/error.h"

struct stead_bell {
    int fd;                    /* eventfd, non-blocking; in the consumer's epoll */
    _Atomic uint32_t sleeping; /* 1: the consumer sleeps or is about to */
};

/* Opens and closes its eventfd. */
int stead_bell_init(struct stead_bell *bell) STEAD_MUST_USE; /* 0 or STEAD_EIO */
void stead_bell_deinit(struct stead_bell *bell);
/* Any thread, after a push. */
void stead_bell_ring(struct stead_bell *bell);
/* Consumer: before the last look at the queues; after it either sleep or stead_bell_wake(). */
void stead_bell_arm(struct stead_bell *bell);
/* Consumer: awake again; `readable`: the eventfd was reported and is emptied. */
void stead_bell_wake(struct stead_bell *bell, bool readable);

enum stead_event_type {
    STEAD_EVENT_SYNCED,       /* shard, number: log index */
    STEAD_EVENT_ROWS_WRITTEN, /* shard */
    STEAD_EVENT_LOADED,       /* pointer: struct stead_load *, owned */
    STEAD_EVENT_JOB_DONE,     /* pointer: struct stead_job *, owned */
    STEAD_EVENT_TABLE,        /* pointer: struct stead_table *, one reference owned */
    STEAD_EVENT_ADOPT,        /* shard, number: epoch: recover and serve it by the reactor's table */
    STEAD_EVENT_QUERY,     /* pointer: struct stead_message *, owned: this reactor's copy of a query about the node */
    STEAD_EVENT_PEER_LOAD, /* shard: node id, number: its jobs */
    STEAD_EVENT_DISK_FULL, /* number: 0 or 1 */
    STEAD_EVENT_TRIM,      /* the journal keeps less than it did */
    STEAD_EVENT_LET_GO,    /* what comes from outside is held back no more */
    STEAD_EVENT_ANSWER,    /* pointer: struct stead_message *, owned: an answer for a connection of this reactor */
    /* pointer: struct stead_message *, owned: a job's sign of life, a TELL for the agent that asked for it */
    STEAD_EVENT_HEARTBEAT,
    STEAD_EVENT_STOP, /* number 0: stop cleanly; 1: at once, saving nothing */
    STEAD_EVENT_TYPES /* one past the last */
};

struct stead_event {
    struct stead_event *next; /* the queue's own */
    enum stead_event_type type;
    uint32_t shard;  /* by type */
    uint64_t number; /* by type */
    void *pointer;   /* by type */
};

struct stead_inbox {
    _Atomic(struct stead_event *) newest; /* a stack of what was pushed and not taken */
    struct stead_bell bell;
};

int stead_inbox_init(struct stead_inbox *inbox) STEAD_MUST_USE; /* 0 or STEAD_EIO */
/* The events inside are freed, not what they point to: take everything before. */
void stead_inbox_deinit(struct stead_inbox *inbox);
/* Any thread: copies `event`, pushes it and rings. */
void stead_inbox_post(struct stead_inbox *inbox, const struct stead_event *event);
/* Consumer: everything, oldest first, as a list by `next`; each is freed with free(). NULL when there is nothing. */
struct stead_event *stead_inbox_take(struct stead_inbox *inbox);
/* Consumer. */
bool stead_inbox_empty(struct stead_inbox *inbox);

#endif
