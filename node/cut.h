/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut: this node's part in a backup of one moment over several nodes (runtime/hold.h says why that moment is one).
 *
 *     none --begin(token)--> begun: every reactor is told to hold --all do--> stands --copy made--> none
 *                              |____________________________________________________|--time over, or let go--> none
 *
 * A cut is named by the token of who makes the backup, and stands until a moment that is given at its beginning:
 * whoever began it may die. A copy that is made while the token's cut stands, from its beginning to its end, is of the
 * cut; any other is refused. A node that restarts has none.
 *
 * Threads: any. Used by: backup.c, queries.c.
 */
#ifndef STEAD_NODE_CUT_H
#define STEAD_NODE_CUT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/ids.h"

struct stead_cut {
    pthread_mutex_t lock;
    struct stead_id token; /* all 0: none */
    uint64_t until_ns;     /* monotonic */
    bool copying;          /* a backup is being written, of a cut or not */
};

/* No cut. */
void stead_cut_init(struct stead_cut *cut);
/* Nobody uses it any more. */
void stead_cut_deinit(struct stead_cut *cut);
/* 0, also for the token whose cut is there already; STEAD_EBUSY: another's is, or a backup is being written. */
int stead_cut_begin(struct stead_cut *cut, struct stead_id token, uint64_t until_ns, uint64_t now_ns);
/* Until when the cut of the token holds; 0: it does not. */
uint64_t stead_cut_until_ns(struct stead_cut *cut, struct stead_id token, uint64_t now_ns);
/* Somebody's cut holds. */
bool stead_cut_stands(struct stead_cut *cut, uint64_t now_ns);
/* It is over. False: it was not there. */
bool stead_cut_end(struct stead_cut *cut, struct stead_id token);
/* One backup at a time: false when another is being written. */
bool stead_cut_begin_copy(struct stead_cut *cut);
void stead_cut_end_copy(struct stead_cut *cut);

#endif
