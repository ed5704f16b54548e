/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recovery: how a shard comes back: the store image as it is, then the log after it, entry by entry.
 *
 * Nothing is run and nothing is sent before the whole log was replayed: entries hold absolute changes, so replaying one
 * that the image already contains changes nothing. The epoch under which the shard is served was swapped at the
 * coordinator before (R9 in docs/INVARIANTS.md), so whoever served it before can no longer be believed.
 *
 * A gap in the log or an entry that does not decode stops the node: a shard that lost a committed entry has broken
 * promises, and serving the rest of it would only spread them. `stead check` says what is there.
 *
 * A node that is told to stop leaves what it recovers: nothing was served, and the next start reads it again.
 */
#include "node/reactor_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/log.h"
#include "runtime/base.h"

/* A shard while its log is read. */
struct replay {
    struct stead_reactor *reactor;
    uint64_t next;    /* index of the next entry */
    uint64_t entries; /* replayed */
    uint64_t bytes;
};

static int visit_entry(void *context, uint32_t shard, uint64_t index, struct stead_slice entry)
{
    struct replay *replay = context;

    if (atomic_load_explicit(&replay->reactor->shell->stopping, memory_order_relaxed))
        return STEAD_ECANCELLED;
    if (index != replay->next)
        return STEAD_ECORRUPT;
    int code = stead_host_replay(replay->reactor->host, shard, index, entry);
    if (code != 0)
        return code;
    replay->next++;
    replay->entries++;
    replay->bytes += entry.size;
    return 0;
}

static void start_shard(struct stead_reactor *reactor, uint32_t shard, uint64_t epoch)
{
    stead_slot *slots = stead_alloc(STEAD_SLOTS * sizeof *slots);
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < STEAD_SLOTS; slot++) {
        uint16_t owner = reactor->table->slots[slot];
        if (owner && reactor->table->shards[owner - 1].id == shard)
            slots[count++] = (stead_slot){(uint16_t)slot};
    }
    stead_host_start_shard(reactor->host, shard, epoch, slots, count);
    free(slots);
}

static void fail(struct stead_reactor *reactor, const struct replay *replay, uint32_t shard, int code)
{
    char why[STEAD_SHELL_WHY_SIZE];
    char detail[STEAD_STORE_SENTENCE_MAX] = "";

    if (code == STEAD_EIO)
        stead_store_explain(reactor->shell->store, detail, sizeof detail);
    snprintf(why, sizeof why, "shard %u cannot be served: log entry %llu: %s%s%s (`stead check` says more)", shard,
             (unsigned long long)replay->next, stead_error_sentence(code), detail[0] ? ": " : "", detail);
    stead_shell_fail(reactor->shell, code, why);
}

void stead_reactor_adopt(struct stead_reactor *reactor, uint32_t shard, uint64_t epoch)
{
    struct stead_shell *shell = reactor->shell;
    struct replay replay = {.reactor = reactor};
    uint64_t started_ns = stead_shell_mono_ns();
    uint64_t applied = 0;

    STEAD_ASSERT(reactor->table && reactor->shard_count < STEAD_SHARDS_MAX);
    if (atomic_load(&shell->stopping))
        return;
    int code = stead_store_applied(shell->store, shard, &applied);
    replay.next = applied + 1;
    if (code == 0) {
        reactor->shards[reactor->shard_count++] = shard;
        stead_host_add_shard(reactor->host, shard, applied);
        code = stead_store_log_read(shell->store, shard, applied + 1, visit_entry, &replay);
    }
    if (code == STEAD_ECANCELLED)
        return;
    if (code != 0) {
        fail(reactor, &replay, shard, code);
        return;
    }
    start_shard(reactor, shard, epoch);
    if (stead_host_failed(reactor->host, NULL) != 0)
        return; /* the end of this round says so */
    stead_log_event(STEAD_TRACE_DEBUG, "shard_served", NULL,
                    "shard=%u reactor=%u epoch=%llu applied=%llu replayed=%llu bytes=%llu us=%llu", shard,
                    reactor->index, (unsigned long long)epoch, (unsigned long long)applied,
                    (unsigned long long)replay.entries, (unsigned long long)replay.bytes,
                    (unsigned long long)((stead_shell_mono_ns() - started_ns) / 1000));
    atomic_fetch_sub(&shell->adopting, 1);
    stead_bell_ring(&shell->bell);
}
