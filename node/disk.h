/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk: the watch over the room on the disk, and who makes way when it gets short.
 *
 *     wide ---- 3/4 ---- roomy ---- 7/8 ---- short ---- quota ---- full
 *
 * of the quota; the reserve is looked at in the same way. Short: the journal keeps half as many log entries at each
 * look, and what it gives up leaves the disk. Full: a sixteenth; clients' durable work is refused, and what was deleted
 * leaves the disk at once. Wide: the journal keeps more again. So nobody is refused for the sake of the journal.
 */
#ifndef STEAD_NODE_DISK_H
#define STEAD_NODE_DISK_H

#include "node/reclaim.h"
#include "node/shell.h"

struct stead_disk {
    bool full;                    /* as the reactors were told */
    bool yields;                  /* the journal keeps less than it was told to, and the log says so */
    struct stead_reclaim reclaim; /* of room */
};

/* Once a second, on the control thread, while the reactors run. Zeroed is ready. */
void stead_disk_look(struct stead_disk *disk, struct stead_shell *shell);

#endif
