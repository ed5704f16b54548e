/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session: a session as its client keeps it: its numbers, which of them are in flight, and the low-water mark.
 *
 *     numbers   1 ... mark | mark + 1 ... next - 1 | next ...
 *               ended      | some ended, some not  | not given out
 *
 * A receiver keeps the answers above the mark so that a retry gets the first one; the mark, in every request, lets it
 * forget the rest. So the mark may pass a number only when that number will never be sent again.
 *
 * Used by client_core. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_SESSION_H
#define STEAD_RUNTIME_CLIENT_SESSION_H

#include "runtime/base.h"
#include "runtime/ids.h"

#define STEAD_CLIENT_ITEM_NONE UINT32_MAX

struct stead_client_session {
    struct stead_client_session *next; /* the owner's list */
    struct stead_id id;                /* random, fixed */
    uint64_t start_ms;                 /* wall clock of its opening; receivers count its age from here */
    uint64_t opened_ns;                /* monotonic time of the same */
    uint64_t next_number;              /* to be given out, from 1 */
    uint64_t mark;                     /* every number up to this one has ended */
    uint32_t in_flight;                /* numbers given out and not ended */
    uint32_t capacity;                 /* cells of the ring; a power of two above next_number - mark */
    uint32_t *ring;                    /* by number modulo capacity: item + 1; 0: ended */
};

/* Returned. */
struct stead_client_session *stead_client_session_create(struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms);
/* Nulls `*session`; NULL is fine. */
void stead_client_session_destroy(struct stead_client_session **session);
/* Numbers from the oldest in flight to the newest. */
uint64_t stead_client_session_span(const struct stead_client_session *session);
/* Gives out the next number, to `item`. */
uint64_t stead_client_session_take(struct stead_client_session *session, uint32_t item);
/* The item that has `number` in flight; STEAD_CLIENT_ITEM_NONE for any other number. */
uint32_t stead_client_session_find(const struct stead_client_session *session, uint64_t number);
/* `number` is in flight and ends; moves the mark as far as it goes. */
void stead_client_session_end(struct stead_client_session *session, uint64_t number);
/* Asserts the picture above; for tests. Linear in the span. */
void stead_client_session_check(const struct stead_client_session *session);

#endif
