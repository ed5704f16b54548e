/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold: the freeze of a host's intake, so that copies of several nodes are of one moment.
 *
 *     every node holds: nothing that comes from outside its process is taken
 *       -> all hold -> each copies its store and lets go
 *
 * Why the copies fit together: what node A sends after its copy was made leaves after all nodes held. Node B holds from
 * before that until its own copy is made, so its copy has no effect of it: neither a message that A's copy has not
 * sent, nor an acknowledgement of what A's copy has not taken. What B took before it held had left A when it was synced
 * there, before A's copy. Clients are outside too: what a client asks after it heard an answer that one copy lacks is
 * in no other copy. Within a node one store is copied at one moment, and its log is in order.
 *
 * So each node may let go as soon as its own copy is made; who lets go before that has no copy of that moment (its
 * caller finds out). What is held waits here in order, up to a bound; beyond it clients are told `busy`, and the rest
 * is dropped: its senders keep it, but for tells.
 *
 * Invariant H1: while the host holds, nothing from outside reaches a shard but queries.
 */
#include "runtime/hold.h"

#include "runtime/shard.h"

static void turn_away(struct stead_host *host, struct stead_message *message)
{
    bool wants =
        (message->type == STEAD_CALL || message->type == STEAD_SIGNAL) && (message->groups & STEAD_GROUP_ROUTE);

    if (message->type == STEAD_TELL)
        host->stats.tells_dropped++;
    if (wants) {
        host->stats.refused_busy++;
        stead_host_route(host, stead_message_answer(message, STEAD_EBUSY, NULL, (struct stead_slice){0}));
    }
    stead_message_destroy(&message);
}

void stead_host_admit(struct stead_host *host, struct stead_message **message)
{
    struct stead_message *it = *message;

    if (host->hold_ns == 0 || it->type == STEAD_QUERY) {
        stead_host_deliver(host, message);
        return;
    }
    *message = NULL;
    /* No more than one inbox takes, which is where it goes in the end. */
    if (host->held_back.bytes + it->block_size > stead_host_queue_bytes_max(host))
        turn_away(host, it);
    else
        stead_queue_push(&host->held_back, it);
}

void stead_host_hold(struct stead_host *host, uint64_t until_ns)
{
    if (STEAD_FAULT(&host->settings, copy_without_hold))
        return;
    host->hold_ns = until_ns;
    stead_host_wake_at(host, until_ns);
}

void stead_host_let_go(struct stead_host *host)
{
    struct stead_message *message;

    host->hold_ns = 0;
    while ((message = stead_queue_pop(&host->held_back)) != NULL)
        stead_host_deliver(host, &message);
}

void stead_host_hold_due(struct stead_host *host)
{
    if (host->hold_ns == 0)
        return;
    if (host->now_ns >= host->hold_ns)
        stead_host_let_go(host);
    else
        stead_host_wake_at(host, host->hold_ns);
}
