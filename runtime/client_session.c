/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_session: numbers in flight, in a ring.
 *
 * Numbers are given out one by one and end in nearly the same order, so a ring indexed by the number finds a request
 * with one load. It grows, by doubling, with the span between the oldest number in flight and the newest: one slow call
 * makes it long, which costs four bytes a number; the owner bounds the span.
 */
#include "runtime/client_session.h"

#include <stdlib.h>

#define RING_MIN 64u /* cells */

struct stead_client_session *stead_client_session_create(struct stead_rng *rng, uint64_t mono_ns, uint64_t wall_ms)
{
    struct stead_client_session *session = stead_alloc_zero(sizeof(*session));

    stead_store64(session->id.v, stead_rng_next(rng));
    stead_store64(session->id.v + 8, stead_rng_next(rng));
    session->start_ms = wall_ms;
    session->opened_ns = mono_ns;
    session->next_number = 1;
    session->capacity = RING_MIN;
    session->ring = stead_alloc_zero(RING_MIN * sizeof(*session->ring));
    return session;
}

void stead_client_session_destroy(struct stead_client_session **session)
{
    if (*session == NULL)
        return;
    free((*session)->ring);
    free(*session);
    *session = NULL;
}

uint64_t stead_client_session_span(const struct stead_client_session *session)
{
    return session->next_number - session->mark - 1;
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
    for (uint64_t number = session->mark + 1; number < session->next_number; number++)
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

uint32_t stead_client_session_find(const struct stead_client_session *session, uint64_t number)
{
    uint32_t cell;

    if (number <= session->mark || number >= session->next_number)
        return STEAD_CLIENT_ITEM_NONE;
    cell = *cell_of(session, number);
    return cell == 0 ? STEAD_CLIENT_ITEM_NONE : cell - 1;
}

void stead_client_session_end(struct stead_client_session *session, uint64_t number)
{
    STEAD_ASSERT(stead_client_session_find(session, number) != STEAD_CLIENT_ITEM_NONE);
    *cell_of(session, number) = 0;
    session->in_flight--;
    while (session->mark + 1 < session->next_number && *cell_of(session, session->mark + 1) == 0)
        session->mark++;
}

void stead_client_session_check(const struct stead_client_session *session)
{
    uint32_t found = 0;

    STEAD_ASSERT(session->next_number > session->mark);
    STEAD_ASSERT(stead_client_session_span(session) < session->capacity);
    STEAD_ASSERT((session->capacity & (session->capacity - 1)) == 0);
    for (uint64_t number = session->mark + 1; number < session->next_number; number++)
        found += *cell_of(session, number) != 0;
    STEAD_ASSERT(found == session->in_flight);
    STEAD_ASSERT(session->mark + 1 == session->next_number || *cell_of(session, session->mark + 1) != 0);
}
