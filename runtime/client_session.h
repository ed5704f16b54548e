/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session: a session as its client keeps it: its numbers, which of them are in flight, and the low-water mark.
 *
 *     numbers   1 ... mark | mark + 1 ... ended_to      | ended_to + 1 ... next - 1 | next ...
 *               ended      | ended, but the stragglers  | some ended, some not      | not given out
 *
 * A receiver keeps the answers above the mark so that a retry gets the first one; the mark, in every request, lets it
 * forget the rest. So the mark may pass a number only when that number will never be sent again. One call that takes
 * hours keeps it where it is, while thousands of later ones end: so such stragglers are stepped over, and requests tell
 * `ended_to` and them too.
 *
 * Used by client_core. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_SESSION_H
#define STEAD_RUNTIME_CLIENT_SESSION_H

#include "runtime/base.h"
#include "runtime/ids.h"
#include "runtime/message.h"

#define STEAD_CLIENT_ITEM_NONE UINT32_MAX
#define STEAD_CLIENT_STRAGGLERS_MAX STEAD_MESSAGE_OPEN_MAX

/* A number in flight that is stepped over. */
struct stead_client_straggler {
    uint64_t number;
    uint32_t item;
};

struct stead_client_session {
    struct stead_client_session *next; /* older */
    struct stead_id id;                /* random, fixed */
    uint64_t start_ms;                 /* wall clock of its opening; receivers count its age from here */
    uint64_t opened_ns;                /* monotonic time of the same */
    uint64_t next_number;              /* to be given out, from 1 */
    uint64_t mark;                     /* every number up to this one has ended */
    uint32_t in_flight;                /* numbers given out and not ended */
    uint64_t ended_to;                 /* every number up to this one has ended, but the stragglers */
    uint32_t ended_above_max;          /* ended numbers above it: with more, what is in flight becomes a straggler */
    uint32_t capacity;                 /* cells of the ring; a power of two above next_number - ended_to */
    uint32_t *ring;                    /* by number modulo capacity: item + 1; 0: ended, or a straggler */
    struct stead_client_straggler *stragglers; /* by number, ascending; STEAD_CLIENT_STRAGGLERS_MAX; NULL: none ever */
    uint32_t straggler_count;
};

/* Returned. */
struct stead_client_session *stead_client_session_create(struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms,
                                                         uint32_t ended_above_max);
/* Nulls `*session`; NULL is fine. */
void stead_client_session_destroy(struct stead_client_session **session);
/* Numbers from the oldest in flight, stragglers apart, to the newest. */
uint64_t stead_client_session_span(const struct stead_client_session *session);
/* Gives out the next number, to `item`. */
uint64_t stead_client_session_take(struct stead_client_session *session, uint32_t item);
/* The item that has `number` in flight; STEAD_CLIENT_ITEM_NONE for any other number. */
uint32_t stead_client_session_find(const struct stead_client_session *session, uint64_t number);
/* `number` is in flight and ends; moves the mark, and what has ended but for stragglers, as far as they go. */
void stead_client_session_end(struct stead_client_session *session, uint64_t number);
/* A copy of a request that tells what has ended behind the stragglers, but for those that `is_elsewhere` says are no
 * matter of its slot: they are nothing to its receiver. Returned; NULL: there is nothing to tell, or not with this one
 * (they are many). `self` goes to `is_elsewhere`. */
struct stead_message *stead_client_session_tell(const struct stead_client_session *session,
                                                const struct stead_message *request, struct stead_rng *rng,
                                                bool (*is_elsewhere)(const void *self, uint32_t item, stead_slot slot),
                                                const void *self);
/* Asserts the picture above; for tests. Linear in the span. */
void stead_client_session_check(const struct stead_client_session *session);

/* A client's sessions: the newest takes its requests, the others drain. Zero it. */
struct stead_client_sessions {
    struct stead_client_session *newest; /* owned, and those behind it */
    bool open;                           /* the newest takes new requests */
};

/* Frees every session. */
void stead_client_sessions_deinit(struct stead_client_sessions *sessions);
/* The session for a new request: the newest, or one made now when that is closed or `age_ns_max` old. That is half of
 * the age at which receivers end it, so that what was asked in it last can still be asked again for as long. */
struct stead_client_session *stead_client_sessions_for_new(struct stead_client_sessions *sessions,
                                                           struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms,
                                                           uint64_t age_ns_max, uint32_t ended_above_max);
/* Frees those that take no requests any more and have none in flight. */
void stead_client_sessions_drop_drained(struct stead_client_sessions *sessions);
/* The session of this id; NULL. */
struct stead_client_session *stead_client_sessions_find(const struct stead_client_sessions *sessions,
                                                        struct stead_id id);

#endif
