/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session: numbers in flight, in a ring.
 *
 * Numbers are given out one by one and end in nearly the same order, so a ring indexed by the number finds a request
 * with one load. It grows, by doubling, with the span between the oldest number in flight and the newest, stragglers
 * apart; the owner bounds the span.
 *
 * A number becomes a straggler when more than `ended_above_max` later ones have ended: what is merely overtaken by a
 * few does not. Stragglers are few and end from the front, so they are an array.
 */
#include "runtime/client_session.h"

#include <stdlib.h>

#define RING_MIN 64u            /* cells */
#define STRAGGLERS_PER_TELL 16u /* are told with each request, on average */

struct stead_client_session *stead_client_session_create(struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms,
                                                         uint32_t ended_above_max)
{
    struct stead_client_session *session = stead_alloc_zero(sizeof(*session));

    stead_store64(session->id.v, stead_rng_next(rng));
    stead_store64(session->id.v + 8, stead_rng_next(rng));
    session->start_ms = wall_ms;
    session->opened_ns = mono_ns;
    session->next_number = 1;
    session->ended_above_max = ended_above_max;
    session->capacity = RING_MIN;
    session->ring = stead_alloc_zero(RING_MIN * sizeof(*session->ring));
    return session;
}

void stead_client_session_destroy(struct stead_client_session **session)
{
    if (*session == NULL)
        return;
    free((*session)->ring);
    free((*session)->stragglers);
    free(*session);
    *session = NULL;
}

uint64_t stead_client_session_span(const struct stead_client_session *session)
{
    return session->next_number - session->ended_to - 1;
}

static uint32_t *cell_of(const struct stead_client_session *session, uint64_t number)
{
    return &session->ring[number & (session->capacity - 1)];
}

static void grow_ring(struct stead_client_session *session)
{
    uint32_t *old = session->ring, mask = session->capacity - 1;

    session->capacity *= 2;
    session->ring = stead_alloc_zero(session->capacity * sizeof(*session->ring));
    for (uint64_t number = session->ended_to + 1; number < session->next_number; number++)
        *cell_of(session, number) = old[number & mask];
    free(old);
}

uint64_t stead_client_session_take(struct stead_client_session *session, uint32_t item)
{
    if (stead_client_session_span(session) + 1 >= session->capacity)
        grow_ring(session);
    *cell_of(session, session->next_number) = item + 1;
    session->in_flight++;
    return session->next_number++;
}

/* Position of the first straggler whose number is >= `number`. */
static uint32_t lower_bound(const struct stead_client_session *session, uint64_t number)
{
    uint32_t low = 0, high = session->straggler_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (session->stragglers[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t stead_client_session_find(const struct stead_client_session *session, uint64_t number)
{
    if (number <= session->mark || number >= session->next_number)
        return STEAD_CLIENT_ITEM_NONE;
    if (number <= session->ended_to) {
        uint32_t at = lower_bound(session, number);
        bool here = at < session->straggler_count && session->stragglers[at].number == number;
        return here ? session->stragglers[at].item : STEAD_CLIENT_ITEM_NONE;
    }
    uint32_t cell = *cell_of(session, number);
    return cell == 0 ? STEAD_CLIENT_ITEM_NONE : cell - 1;
}

/* Ended numbers above `ended_to`. */
static uint64_t ended_above(const struct stead_client_session *session)
{
    return stead_client_session_span(session) - (session->in_flight - session->straggler_count);
}

static void add_straggler(struct stead_client_session *session, uint64_t number, uint32_t item)
{
    if (session->stragglers == NULL)
        session->stragglers = stead_alloc(STEAD_CLIENT_STRAGGLERS_MAX * sizeof(*session->stragglers));
    session->stragglers[session->straggler_count++] = (struct stead_client_straggler){number, item};
}

/* Passes what has ended, and what holds up too many that have. */
static void step_over(struct stead_client_session *session)
{
    while (session->ended_to + 1 < session->next_number) {
        uint64_t number = session->ended_to + 1;
        uint32_t *cell = cell_of(session, number);
        if (*cell != 0) {
            if (session->straggler_count == STEAD_CLIENT_STRAGGLERS_MAX ||
                ended_above(session) <= session->ended_above_max)
                break;
            add_straggler(session, number, *cell - 1);
            *cell = 0;
        }
        session->ended_to = number;
    }
    session->mark = session->straggler_count > 0 ? session->stragglers[0].number - 1 : session->ended_to;
}

void stead_client_session_end(struct stead_client_session *session, uint64_t number)
{
    STEAD_ASSERT(stead_client_session_find(session, number) != STEAD_CLIENT_ITEM_NONE);
    if (number > session->ended_to) {
        *cell_of(session, number) = 0;
    } else {
        struct stead_client_straggler *at = session->stragglers + lower_bound(session, number);
        session->straggler_count--;
        memmove(at, at + 1, (size_t)(session->stragglers + session->straggler_count - at) * sizeof(*at));
    }
    session->in_flight--;
    step_over(session);
}

struct stead_message *stead_client_session_tell(const struct stead_client_session *session,
                                                const struct stead_message *request, struct stead_rng *rng,
                                                bool (*is_elsewhere)(const void *self, uint32_t item, stead_slot slot),
                                                const void *self)
{
    uint8_t ended[8 * (1 + STEAD_CLIENT_STRAGGLERS_MAX)];
    size_t size = 8;

    if (request->type == STEAD_QUERY || session->straggler_count == 0 ||
        stead_rng_below(rng, 1 + session->straggler_count / STRAGGLERS_PER_TELL) != 0)
        return NULL;
    stead_store64(ended, session->ended_to);
    for (uint32_t i = 0; i < session->straggler_count; i++) {
        if (is_elsewhere(self, session->stragglers[i].item, request->slot))
            continue;
        stead_store64(ended + size, session->stragglers[i].number);
        size += 8;
    }
    return stead_message_copy_ended(request, stead_bytes(ended, size));
}

void stead_client_session_check(const struct stead_client_session *session)
{
    uint32_t found = session->straggler_count;
    uint64_t mark = found > 0 ? session->stragglers[0].number - 1 : session->ended_to;

    STEAD_ASSERT(session->next_number > session->ended_to && session->mark == mark);
    STEAD_ASSERT(stead_client_session_span(session) < session->capacity);
    STEAD_ASSERT((session->capacity & (session->capacity - 1)) == 0);
    for (uint32_t i = 0; i < session->straggler_count; i++)
        STEAD_ASSERT(session->stragglers[i].number <= session->ended_to &&
                     (i == 0 || session->stragglers[i].number > session->stragglers[i - 1].number));
    for (uint64_t number = session->ended_to + 1; number < session->next_number; number++)
        found += *cell_of(session, number) != 0;
    STEAD_ASSERT(found == session->in_flight);
    STEAD_ASSERT(session->straggler_count == STEAD_CLIENT_STRAGGLERS_MAX ||
                 ended_above(session) <= session->ended_above_max);
}

/* ---- All of a client ---------------------------------------------------------------------------------- */

void stead_client_sessions_deinit(struct stead_client_sessions *sessions)
{
    while (sessions->newest != NULL) {
        struct stead_client_session *session = sessions->newest;
        sessions->newest = session->next;
        stead_client_session_destroy(&session);
    }
}

struct stead_client_session *stead_client_sessions_for_new(struct stead_client_sessions *sessions,
                                                           struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms,
                                                           uint64_t age_ns_max, uint32_t ended_above_max)
{
    struct stead_client_session *session = sessions->newest;

    if (sessions->open && mono_ns - session->opened_ns < age_ns_max)
        return session;
    sessions->open = false;
    stead_client_sessions_drop_drained(sessions);
    session = stead_client_session_create(rng, mono_ns, wall_ms, ended_above_max);
    session->next = sessions->newest;
    sessions->newest = session;
    sessions->open = true;
    return session;
}

void stead_client_sessions_drop_drained(struct stead_client_sessions *sessions)
{
    struct stead_client_session **at = &sessions->newest;

    if (sessions->open)
        at = &(*at)->next;
    while (*at != NULL) {
        struct stead_client_session *session = *at;
        if (session->in_flight > 0) {
            at = &session->next;
            continue;
        }
        *at = session->next;
        stead_client_session_destroy(&session);
    }
}

struct stead_client_session *stead_client_sessions_find(const struct stead_client_sessions *sessions,
                                                        struct stead_id id)
{
    struct stead_client_session *session = sessions->newest;

    while (session != NULL && !stead_id_equal(session->id, id))
        session = session->next;
    return session;
}
