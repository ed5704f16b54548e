/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor_parts: the inside of a reactor, for the files that make it up:
 *   reactor.c   its life and its loop            doors.c     what the core asks of the world, what the network says
 *   recovery.c  how it takes over a shard        queries.c   questions about the whole node
 *   backup.c    holding, copying
 * Everything here is its own thread's, but for the inbox and the consumer's side of its rings.
 */
#ifndef STEAD_NODE_REACTOR_PARTS_H
#define STEAD_NODE_REACTOR_PARTS_H

#include <pthread.h>

#include "net/transport.h"
#include "node/reactor.h"

#define STEAD_REACTOR_ZONES_MAX 64u

/* A time zone's bytes, read once. */
struct stead_reactor_zone {
    char name[64];             /* "" when the entry is free */
    struct stead_writer bytes; /* TZif; empty: there is no such zone */
};

/* A query about the node that waits for the parts of its reactors. */
struct stead_gather {
    struct stead_gather *next;     /* others that wait */
    uint64_t number;               /* names it in the connection number of its copies */
    struct stead_message *request; /* of the client; owned */
    uint32_t waiting;              /* parts that have not come */
    uint32_t part_count;           /* entries of parts */
    struct stead_message *parts[]; /* by reactor: ANSWERs, NULL until they come; owned */
};

struct stead_reactor {
    struct stead_shell *shell; /* borrowed */
    uint16_t index;            /* of this reactor in its node */
    bool stopping;             /* the host was told to stop */
    bool ended;                /* leave the loop */
    pthread_t thread;
    bool thread_started;
    int epoll; /* sockets, bell and timer */
    int timer; /* timerfd on the monotonic clock that counts through a suspend */
    struct stead_inbox inbox;
    struct stead_transport *transport;
    struct stead_host *host;
    struct stead_table *table;        /* newest known; one reference; NULL before the first */
    struct stead_crossing *crossings; /* to each reactor of the node, itself included */
    struct stead_load *loaded;        /* answered from memory, to be delivered in the next round; a list by next */
    struct stead_load *loaded_newest; /* its end */
    struct stead_gather *gathers;     /* queries that wait */
    uint64_t gather_last;             /* number of the last one */
    uint32_t gather_count;            /* in the list */
    uint64_t armed_ns;                /* the host wants to run no later than this; UINT64_MAX: no wish */
    uint64_t timer_ns;                /* what the timer is set to; UINT64_MAX: not set */
    uint64_t tick_ns;            /* when to look at connections and tell the peers; UINT64_MAX: nobody to look at */
    uint64_t now_ns;             /* of this round */
    uint64_t stop_ns;            /* a clean stop ends no later than this */
    struct stead_work_list jobs; /* of this round, not with the job threads yet */
    uint32_t jobs_told;          /* the load that the host knows of this node */
    uint64_t trace_dropped;      /* `dropped` of all crossings when last reported */
    uint32_t shard_count;        /* shards served or in recovery */
    uint32_t shards[STEAD_SHARDS_MAX]; /* their ids */
    struct stead_reactor_zone zones[STEAD_REACTOR_ZONES_MAX];
};

/* ---- doors.c -------------------------------------------------------------------------------- */

/* The doors of this reactor's host, and the events of its transport. */
struct stead_doors stead_reactor_doors(struct stead_reactor *reactor);
struct stead_transport_events stead_reactor_network(struct stead_reactor *reactor);
/* Holds a newer table and tells host and transport; an older one is ignored. Consumed. */
void stead_reactor_take_table(struct stead_reactor *reactor, struct stead_table **table);
/* To a reactor of this node, itself included. Consumed. */
void stead_reactor_cross(struct stead_reactor *reactor, uint16_t to, struct stead_message **message);
/* From another reactor of this node. Consumed. */
void stead_reactor_arrive(struct stead_reactor *reactor, struct stead_message **message);
/* Tells the other nodes how busy this one is. */
void stead_reactor_beat(struct stead_reactor *reactor);
void stead_reactor_zones_deinit(struct stead_reactor *reactor);

/* ---- recovery.c ----------------------------------------------------------------------------- */

/* Recovers a shard from image and log and serves it under `epoch`. What goes wrong is told to the shell. */
void stead_reactor_adopt(struct stead_reactor *reactor, uint32_t shard, uint64_t epoch);

/* ---- queries.c ------------------------------------------------------------------------------ */

/* Answers a query of a client of this reactor (borrowed). */
void stead_reactor_answer_value(struct stead_reactor *reactor, const struct stead_message *request,
                                struct stead_slice value);
void stead_reactor_answer_error(struct stead_reactor *reactor, const struct stead_message *request, int code,
                                const char *sentence);
/* A query about the node, from a client of this reactor. Consumed. */
void stead_reactor_query(struct stead_reactor *reactor, struct stead_message **request);
/* This reactor's copy of a query. Consumed. */
void stead_reactor_query_part(struct stead_reactor *reactor, struct stead_message **copy);
/* True: `answer` was a part of a query that this reactor gathers, and is consumed. */
bool stead_reactor_query_gather(struct stead_reactor *reactor, struct stead_message **answer);
void stead_reactor_queries_deinit(struct stead_reactor *reactor);

#endif
