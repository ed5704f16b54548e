/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup_desk: who waits for the backup that this node is making, so that a request which comes twice makes one backup.
 *
 * A client asks again for what it has no answer to after a second, or on a new connection; a backup takes longer. The
 * same request again joins the one that runs, and its way back is the newest one's; asked again after the end it is
 * answered as the first was. One backup at a time.
 *
 * Threads: any. Used by: backup.c.
 */
#ifndef STEAD_NODE_BACKUP_DESK_H
#define STEAD_NODE_BACKUP_DESK_H

#include <pthread.h>

#include "node/inbox.h"
#include "runtime/message.h"

struct stead_backup_desk {
    pthread_mutex_t lock;
    struct stead_message *request; /* the one that runs, or ran last: in its newest copy; owned; NULL: none yet */
    struct stead_inbox *inbox;     /* where its answer goes; borrowed */
    bool runs;                     /* else it has ended, with what follows */
    int code;
    char sentence[512];
    struct stead_writer value;
};

/* Nothing runs. */
void stead_backup_desk_init(struct stead_backup_desk *desk);
/* Nobody uses it any more. */
void stead_backup_desk_deinit(struct stead_backup_desk *desk);

/* A request came; it is borrowed. 0: it is new, and the caller makes the backup. STEAD_EINUSE: it is the one that runs,
 * or ran last: it is answered here, when that has ended. STEAD_EBUSY: another one runs. `inbox`: of the reactor that it
 * came to; borrowed for the life of the node. */
int stead_backup_desk_take(struct stead_backup_desk *desk, const struct stead_message *request,
                           struct stead_inbox *inbox) STEAD_MUST_USE;
/* The backup has ended: whoever waits is answered. */
void stead_backup_desk_end(struct stead_backup_desk *desk, int code, const char *sentence, struct stead_slice value);

#endif
