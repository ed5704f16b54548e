/* SPDX-License-Identifier: Apache-2.0 */
/* disk: see disk.h. */
#include "node/disk.h"

#include <sys/statvfs.h>

#include "node/log.h"
#include "node/reactor.h"

#define RECLAIM_BYTES_MAX (2ull << 30) /* some more than the store writes anew before it lets go of the old */

struct room {
    bool full, is_short, wide;
    bool roomy; /* there is room to write everything anew in, or as much of it as the store does at once */
};

static struct room look(const struct stead_shell *shell)
{
    const struct stead_node_config *config = shell->config;
    uint64_t bytes = stead_store_bytes(shell->store),
             quota = config->disk_bytes_max ? config->disk_bytes_max : UINT64_MAX;
    uint64_t left = UINT64_MAX, reserve = config->disk_reserve_bytes;
    struct statvfs status;

    if (statvfs(config->folder, &status) == 0)
        left = (uint64_t)status.f_bavail * status.f_frsize;
    return (struct room){.full = left < reserve || bytes > quota,
                         .is_short = left < reserve + reserve / 2 || bytes > quota - quota / 8,
                         .wide = left / 2 > reserve && bytes<quota - quota / 4, .roomy = left> reserve &&
                                 left - reserve > (bytes < RECLAIM_BYTES_MAX ? bytes : RECLAIM_BYTES_MAX)};
}

static void post_all(const struct stead_shell *shell, struct stead_event event)
{
    for (uint32_t i = 0; i < shell->reactor_count; i++)
        stead_reactor_post(shell->reactors[i], &event);
}

/* How much the journal keeps from now on; true: less. */
static bool set_journal(struct stead_disk *disk, struct stead_shell *shell, const struct room *room)
{
    uint64_t whole = shell->config->journal_entries, kept = atomic_load(&shell->journal_kept), before = kept;

    if (room->is_short)
        kept /= room->full ? 16 : 2;
    else if (room->wide && kept < whole)
        kept = kept < whole / 2 ? 2 * kept + 1 : whole;
    atomic_store(&shell->journal_kept, kept);
    if (room->is_short && kept < before && !disk->yields)
        stead_log_event(STEAD_TRACE_WARN, "journal_yields", "the disk is nearly full: the journal keeps less", NULL);
    else if (disk->yields && kept == whole)
        stead_log_event(STEAD_TRACE_INFO, "journal_whole", NULL, "entries=%llu", (unsigned long long)whole);
    disk->yields = room->is_short || kept < whole;
    return kept < before;
}

void stead_disk_look(struct stead_disk *disk, struct stead_shell *shell)
{
    const struct room room = look(shell);

    bool less = set_journal(disk, shell, &room);
    if (room.full != disk->full)
        stead_log_event(room.full ? STEAD_TRACE_WARN : STEAD_TRACE_INFO, room.full ? "disk_full" : "disk_free",
                        room.full ? "clients' durable work is refused until there is room" : NULL, NULL);
    if (room.full || disk->full)
        post_all(shell, (struct stead_event){.type = STEAD_EVENT_DISK_FULL, .number = room.full});
    disk->full = room.full;
    if (!room.is_short)
        return;
    /* What the reactors are told now has its effect at one of the next looks. */
    if (less || room.full)
        post_all(shell, (struct stead_event){.type = STEAD_EVENT_TRIM});
    stead_log_writer_settle(shell->writer);
    if (room.roomy)
        stead_reclaim_begin(&disk->reclaim, shell->tasks, shell->writer, shell->store, !room.full);
}
