/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub: the storage-mediated task hub, as agents. Nobody talks to anybody: clients, orchestrations, entities and
 * activities put messages into durable queues, and workers poll them. It stands for a storage service, so it gives what
 * such a service gives and no more: every operation is a turn of its own, answered after its sync; who depends on an
 * operation makes the next one after that answer. Operations of different callers share a sync, as everywhere.
 *
 *     hub/NAME                          the hub's settings and leases, its workers' keeper  (durable,  hub.c)
 *     hub.queue/{TAG}NAME/QUEUE         one queue: control-0 .. control-N, work, poison, ...  (durable,  hub_queue.c)
 *     hub.table/{TAG}NAME/PARTITION     history and instances tables of one partition       (durable,  hub_table.c)
 *     hub.worker/{TAG}NAME/W            polls, runs code, writes, deletes                   (volatile, hub_worker.c)
 *
 * Tags choose shards: the hub's settings hold those of its partitions, of the queues `work` and `poison`, and of its
 * workers; whoever creates the hub chooses them so that queues and tables lie on shards that run no workers. A queue
 * alone is fine too, under any key.
 *
 * Ops of `hub.queue`, all calls:
 *   enqueue  {id, body, delay, copy}  id: a text, "" for none: a message whose id is in the queue, or was deleted from it in the last 10 minutes (longer where `hide` is above five: that and five more), is not put in again;
 *                                    no id has a '#', but with `copy` true: ID#SEQ is message SEQ put back, which a cancel of ID reaches too;
 *                                    delay: ms until it can be seen, 0 to STEAD_HUB_DELAY_MS_MAX. Answers {seq, new}: its number, and whether it was put in.
 *   piece    {parcel, at, bytes}     a part of the args of an operation that follows as {parcel, pieces}: enqueue, and a table's create and write (hub_large.h)
 *   body     {seq, at}               read-only: some bytes of a body from there on
 *   dequeue  {max, hide, wait, who}  at most `max` (1 to 32) of the messages that can be seen, in order, hidden for `hide` ms (1 to 3,600,000); with `wait` > 0 and
 *                                    nothing to be seen the answer comes with the next message, or empty after so many ms (notify; at most 64 wait). Answers
 *                                    [[seq, receipt, count, id, body]...]; count: how often it was taken; a body that is too long for the answer is nil, with its size as
 *                                    a sixth member, and is got by `body`. An empty answer writes nothing. `who`, a number of the caller's (0: none): it
 *                                    waits here once, and an older wait of the same number, perhaps of a life before, ends empty. Several long messages may need several
 *                                    dequeues. Asked again after a crash, it may take further messages: what it took before comes back when its time is over.
 *   delete   [[seq, receipt]...]     answers how many were deleted; one whose receipt is not the newest any more is left alone. What `peek` has found can be
 *                                    deleted too: its `seen from` is the receipt.
 *   retire   [[seq, receipt]...]     the same, without haste: stored and answered with what the queue's shard stores next, 20 ms later at most
 *   renew    {seq, receipt, hide}    hides it on, never shorter than it was; answers the new receipt; STEAD_ENOTFOUND when it was taken by another, deleted or cancelled.
 *   cancel   [id...]                 messages of these ids go when they are next taken or renewed, or at once when they came with a delay, or are watched, and nobody has taken them;
 *                                    answers how many there are.
 *   gone     [id...]                 read-only: those of them (up to 1000) that were cancelled: whoever works at one can stop
 *   status   {}                      read-only: {depth, hidden, oldest, enqueued, dequeued, empty, deleted, renewed, duplicates, dequeues, deletes, waiting}; oldest: ms since 1970
 *                                    of the first message, 0: none; hidden: those that cannot be seen now (counted to 10,000); enqueued, dequeued, deleted are messages, dequeues and deletes
 *                                    the operations that took or deleted some; empty counts from when the queue was last loaded
 *   peek     {max, from_ms, from_seq}  read-only: [[seq, seen from, count, came, id, body]...], hidden ones too, in the order in which they can be seen, from that one on; fewer than
 *                                    `max` where they are long: what is told last is followed by (seen from, seq + 1)
 *   drop     {}                      forgets the queue and all that is in it
 *
 * Ops of `hub.table`, all calls. An instance's row is what `status` answers, in two pieces (what is small, what is
 * not); its etag grows with each write:
 *   create   {id, name, version, input, start}   a Pending row; start: the id of the message that starts it. Answers {new}: false for one of the same `start` that is there.
 *                                    STEAD_ECONFLICT: the id is active.
 *   read     {id, from}              read-only: {etag, row, rows: [bytes...], next}: the rows of its history from the number `from` on; next: the number to go on with, 0: that is all.
 *   write    {id, etag, row, input, output, custom, clear, keep, rows, purge}  the new row, and history rows behind those there (instead of them: clear; then output and custom go
 *                                    too, but with `keep` the custom status stays). Values that are nil stay as they are.
 *                                    STEAD_ECONFLICT: another etag. Answers the new one.
 *   status   {id}                    read-only: the map of stead_instance_read(); STEAD_ENOTFOUND
 *   wait     {id, wait, delay, etag}  the same: when it is over (with an etag, which status tells: as soon as it has another one) or after `wait` ms; or, with a delay, after so many
 *                                    ms whatever it is then (a poll)
 *   history  {id, after}             read-only: {events: [map...], more, execution}
 *   list     {status, name, prefix, from, to, limit, after}  read-only: {instances: [map...], next}
 *   purge    {id}                    STEAD_ESTATE unless it is over. What it has taken and sent is known for a while
 *   counts   {}                      read-only: {creates, reads, writes, polls, purges, instances}
 *   drop     {}
 */
#ifndef STEAD_AGENTS_HUB_H
#define STEAD_AGENTS_HUB_H

#include "stead/orchestration_client.h"

#define STEAD_HUB_KIND "hub"
#define STEAD_HUB_QUEUE_KIND "hub.queue"
#define STEAD_HUB_TABLE_KIND "hub.table"
#define STEAD_HUB_WORKER_KIND "hub.worker"
#define STEAD_HUB_VALUE_MAX (1u << 20) /* bytes of an input, event or result: a payload, as on the direct fabric */
#define STEAD_HUB_BODY_MAX ((1u << 20) + 65536u) /* of a message: a payload, and what a hub says of it */
#define STEAD_HUB_BATCH_MAX 32u                  /* messages of one dequeue */
#define STEAD_HUB_HIDE_MS 300000                 /* visibility timeout, the usual */
#define STEAD_HUB_DELAY_MS_MAX (INT64_C(100) * 366 * 24 * 3600 * 1000) /* of a message: about a century */
#define STEAD_HUB_GONE_MAX 1000u                                       /* ids that `gone` is asked for at once */
#define STEAD_HUB_PARTITIONS_MAX 16u
#define STEAD_HUB_WORKERS_MAX 64u
#define STEAD_HUB_TASKS_MAX 4096u /* that a worker runs at once */
/* A message that was taken more often, by this same worker too, goes to the queue `poison`. */
#define STEAD_HUB_TRIES_MAX 10u

/* Up to which age (ms) what an episode decided is sent again, where messages are hidden for so long: by then those that
 * it took are back. */
static inline int64_t stead_hub_settle_ms(int64_t hide_ms)
{
    return (hide_ms > STEAD_HUB_HIDE_MS ? hide_ms : STEAD_HUB_HIDE_MS) + 180000;
}

/* For how long (ms) a queue knows the id of a message that was deleted: beyond the last time that it is sent again. */
static inline int64_t stead_hub_id_kept_ms(int64_t hide_ms)
{
    return stead_hub_settle_ms(hide_ms) + 120000;
}

#endif
