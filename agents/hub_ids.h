/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_ids: the ids of a queue's messages: which are in it, which were lately, and which nobody wants any more.
 *
 *     i (id)               (ms: deleted, 0: in the queue) (number), and eight bytes more when it was cancelled; of a message that
 *                          is watched, or came with a delay, 16 more: 1 when it was cancelled, else 0, and the moment it can be seen from until it is taken
 *     x (ms) (id)          an id that was deleted then, to be forgotten
 *
 * A message that is put back goes on as another one, ID#SEQ (stead_hub_own_id()). It has a row of its own, so that it
 * is put back once, and that of its own id is about the newest copy: who repeats or cancels the message knows no other.
 *
 * In a turn of the queue. Codes are those of keyed state.
 */
#ifndef STEAD_AGENTS_HUB_IDS_H
#define STEAD_AGENTS_HUB_IDS_H

#include "agents/hub_key.h"
#include "stead/agent.h"

#define STEAD_HUB_ID_SIZE_MAX 400u /* bytes of an id */

/* Is a message of this id in the queue, or was it deleted after that time? STEAD_ENOTFOUND. */
int stead_hub_ids_find(struct stead_turn *turn, struct stead_slice id, int64_t known_since_ms, uint64_t *ret_seq);
/* A message comes in. `watched_ms`: when it can be seen first, of one that `untaken` is asked about, or that goes at
 * once when it is cancelled; else 0. */
int stead_hub_ids_enter(struct stead_turn *turn, struct stead_slice id, uint64_t seq, int64_t watched_ms);
/* It is deleted. `cancelled` counts those in the queue that were cancelled. */
int stead_hub_ids_leave(struct stead_turn *turn, struct stead_slice id, uint64_t seq, int64_t clock_ms,
                        int64_t *cancelled);
/* Nobody wants it any more, or any copy of it. `ret_found`: it is in the queue. `ret_untaken`: the key of its newest
 * copy unless that was taken; as it was where that is not known. */
int stead_hub_ids_cancel(struct stead_turn *turn, struct stead_slice id, int64_t *cancelled, bool *ret_found,
                         struct stead_hub_key *ret_untaken);
bool stead_hub_ids_unwanted(struct stead_turn *turn, struct stead_slice id);
/* Forgets a few of the ids that were deleted up to that time; `forget_ms`: how far that has come. */
int stead_hub_ids_forget(struct stead_turn *turn, int64_t known_since_ms, int64_t *forget_ms);
/* The op `gone`: [id...] in, those that were cancelled out. */
int stead_hub_queue_gone(struct stead_turn *turn, void *state, struct stead_slice args);
/* The op `untaken`: [id...] of watched messages in, those of them out that are wanted, and whose newest copy nobody has
 * taken. */
int stead_hub_queue_untaken(struct stead_turn *turn, void *state, struct stead_slice args);
/* The op `due`: the id of a message in; when it can be seen first out, of one that came with a delay or is watched, or
 * 0: it could be already, or was taken. STEAD_ENOTFOUND: it is not in the queue, or nobody wants it. */
int stead_hub_queue_due(struct stead_turn *turn, void *state, struct stead_slice args);

#endif
