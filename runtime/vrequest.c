/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vrequest: signals and calls of volatile agents that leave their shard, and repeats seen by volatile receivers.
 *
 * A volatile agent has no outbox. Its requests carry the shard's own session (random at each start) and are kept here
 * until they are answered, in the order of their next sending. There is a bound to what is
 * unanswered: beyond it they are told `busy` where they ask. The low-water mark is below the oldest unanswered number
 * among those to the same slot, whose receiver keeps its own list of answers: a long poll of one agent must not make
 * another keep, and write again with each batch, what it answered since. Nor must it in its own slot: calls whose
 * caller is more patient than usual go in sessions beside the usual one, by their address. They last as long as the
 * process does: once while the sender lives.
 *
 * The other way round, a durable agent's request to a volatile agent may come twice (its sender asks until it has an
 * answer): the shard remembers the requests of the last minutes, so that within one life of the receiver each runs
 * once.
 */
#include "runtime/shard.h"

#define SEEN_MS 120000u /* how long an unsequenced request is remembered */
#define SEEN_MAX 65536u
#define SESSIONS 65u /* of a shard, which differ in the first byte of their ids */

/* ---- Requests ------------------------------------------------------------------------------------------- */

static uint64_t number_hash(uint64_t number)
{
    return number * 0x9E3779B97F4A7C15u;
}

static void append(struct stead_shard *shard, struct stead_vrequest *request)
{
    request->next = NULL;
    request->prev = shard->vrequest_tail;
    if (shard->vrequest_tail != NULL)
        shard->vrequest_tail->next = request;
    else
        shard->vrequest_head = request;
    shard->vrequest_tail = request;
}

static void unlink_request(struct stead_shard *shard, struct stead_vrequest *request)
{
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        shard->vrequest_head = request->next;
    if (request->next != NULL)
        request->next->prev = request->prev;
    else
        shard->vrequest_tail = request->prev;
}

static struct stead_vrequest *find_request(struct stead_shard *shard, uint64_t number)
{
    struct stead_vrequest *request;
    uint32_t at;

    for (request = stead_map_first(&shard->vrequests, number_hash(number), &at); request != NULL;
         request = stead_map_next(&shard->vrequests, number_hash(number), &at))
        if (request->number == number)
            return request;
    return NULL;
}

static uint64_t ring_hash(stead_slot slot, uint32_t lane)
{
    return number_hash((uint64_t)slot.v * SESSIONS + lane);
}

/* To the same slot in the same session: those share a mark. */
static struct stead_vrequest *oldest_of_ring(const struct stead_shard *shard, stead_slot slot, uint32_t lane)
{
    uint64_t hash = ring_hash(slot, lane);
    struct stead_vrequest *request;
    uint32_t at;

    for (request = stead_map_first(&shard->vslots, hash, &at); request != NULL;
         request = stead_map_next(&shard->vslots, hash, &at))
        if (request->slot.v == slot.v && request->lane == lane)
            return request;
    return NULL;
}

static struct stead_vrequest *oldest_of(const struct stead_shard *shard, const struct stead_vrequest *request)
{
    return oldest_of_ring(shard, request->slot, request->lane);
}

static void join_ring(struct stead_shard *shard, struct stead_vrequest *request)
{
    struct stead_vrequest *oldest = oldest_of(shard, request);

    if (oldest == NULL) {
        request->slot_next = request->slot_prev = request;
        stead_map_add(&shard->vslots, ring_hash(request->slot, request->lane), request);
        return;
    }
    request->slot_next = oldest;
    request->slot_prev = oldest->slot_prev;
    request->slot_prev->slot_next = request;
    oldest->slot_prev = request;
}

static void leave_ring(struct stead_shard *shard, struct stead_vrequest *request)
{
    uint64_t hash = ring_hash(request->slot, request->lane);

    const struct stead_vrequest *oldest = oldest_of(shard, request);

    request->slot_prev->slot_next = request->slot_next;
    request->slot_next->slot_prev = request->slot_prev;
    if (oldest != request)
        return;
    stead_map_remove(&shard->vslots, hash, request);
    if (request->slot_next != request)
        stead_map_add(&shard->vslots, hash, request->slot_next);
}

static bool is_for_the_same(const struct stead_message *a, const struct stead_message *b)
{
    return stead_id_equal(a->session.id, b->session.id) &&
           stead_slice_equal(stead_bytes(a->address, a->address_size), stead_bytes(b->address, b->address_size)) &&
           stead_slice_equal(stead_bytes(a->source, a->source_size), stead_bytes(b->source, b->source_size));
}

/* Behind all others of its sender to its agent (order.h). */
static void join_order(struct stead_shard *shard, struct stead_vrequest *request)
{
    struct stead_vrequest *newest;
    uint32_t at;

    request->who = stead_order_who(request->message) ^ number_hash(request->lane);
    for (newest = stead_map_first(&shard->vorder, request->who, &at); newest != NULL;
         newest = stead_map_next(&shard->vorder, request->who, &at))
        if (is_for_the_same(newest->message, request->message))
            break;
    if (newest != NULL) {
        stead_map_remove(&shard->vorder, request->who, newest);
        newest->after = request;
    }
    request->before = newest;
    stead_map_add(&shard->vorder, request->who, request);
}

static void leave_order(struct stead_shard *shard, struct stead_vrequest *request)
{
    if (request->before != NULL)
        request->before->after = request->after;
    if (request->after != NULL) {
        request->after->before = request->before;
        return;
    }
    stead_map_remove(&shard->vorder, request->who, request);
    if (request->before != NULL)
        stead_map_add(&shard->vorder, request->who, request->before);
}

static uint64_t number_before(const struct stead_vrequest *request)
{
    return request->before == NULL ? 0 : request->before->number;
}

/* The session that a request goes in: 0, or, for what is a long poll as a rule, another one. */
static uint32_t lane_of(const struct stead_host *host, const struct stead_message *message)
{
    bool patient = message->type == STEAD_CALL &&
                   (message->deadline_ms == 0 || message->deadline_ms > host->now_ms + host->settings.call_timeout_ms);

    return patient ? 1 + (uint32_t)(message->address_hash >> 32) % (SESSIONS - 1) : 0;
}

void stead_vrequest_open_sessions(struct stead_shard *shard)
{
    struct stead_host *host = shard->host;

    for (uint32_t i = 0; i < sizeof(shard->session_id.v); i++)
        shard->session_id.v[i] = (uint8_t)stead_rng_next(&host->rng);
    shard->session_start_ms = host->now_ms;
}

bool stead_vrequest_has_room(const struct stead_shard *shard)
{
    return shard->vrequests.count < STEAD_VREQUESTS_MAX && !stead_host_vrequests_full(shard->host);
}

uint64_t stead_vrequest_check(const struct stead_shard *shard)
{
    uint64_t bytes = 0;

    for (const struct stead_vrequest *request = shard->vrequest_head; request != NULL; request = request->next)
        bytes += request->message->block_size;
    return bytes;
}

uint64_t stead_vrequest_send(struct stead_shard *shard, struct stead_message *message)
{
    struct stead_host *host = shard->host;
    struct stead_vrequest *request = stead_alloc_zero(sizeof(*request));

    /* What is still unanswered ends in the old session, whose id its messages carry. */
    if (host->now_ms > shard->session_start_ms + host->settings.session_age_ms_max / 2)
        stead_vrequest_open_sessions(shard);
    request->number = ++shard->session_number;
    message->groups |= STEAD_GROUP_SESSION;
    request->lane = lane_of(host, message);
    message->session.id = shard->session_id;
    message->session.id.v[0] ^= (uint8_t)request->lane;
    message->session.start_ms = shard->session_start_ms;
    message->session.number = request->number;
    request->message = NULL;
    stead_map_add(&shard->vrequests, number_hash(request->number), request);
    request->slot = message->slot;
    join_ring(shard, request);
    message->session.mark = oldest_of(shard, request)->number - 1;
    request->message = stead_message_copy(message);
    host->vrequest_bytes += request->message->block_size;
    join_order(shard, request);
    message->after = number_before(request);
    request->resend_ns = host->now_ns + (uint64_t)host->settings.resend_ms * 1000000u;
    append(shard, request);
    stead_shard_emit(shard, message);
    return request->number;
}

/* What it waited for has gone: it need not wait for its time. */
static void hurry(struct stead_shard *shard, struct stead_vrequest *request)
{
    unlink_request(shard, request);
    request->resend_ns = shard->host->now_ns;
    request->prev = NULL;
    request->next = shard->vrequest_head;
    if (shard->vrequest_head != NULL)
        shard->vrequest_head->prev = request;
    else
        shard->vrequest_tail = request;
    shard->vrequest_head = request;
}

static void free_request(struct stead_shard *shard, struct stead_vrequest *request)
{
    struct stead_vrequest *next = request->after;

    if (next != NULL && next->early)
        hurry(shard, next);
    unlink_request(shard, request);
    leave_order(shard, request);
    leave_ring(shard, request);
    stead_map_remove(&shard->vrequests, number_hash(request->number), request);
    shard->host->vrequest_bytes -= request->message->block_size;
    stead_message_destroy(&request->message);
    free(request);
}

bool stead_vrequest_answered(struct stead_shard *shard, const struct stead_message *answer)
{
    struct stead_vrequest *request = find_request(shard, answer->session.number);
    bool later = answer->status == STEAD_EBUSY || answer->status == STEAD_EUNAVAILABLE;

    if (request == NULL || !stead_id_equal(request->message->session.id, answer->session.id))
        return false; /* of an earlier life of this shard */
    request->early = (answer->flags & STEAD_FLAG_EARLY) != 0;
    if (request->early && request->before == NULL) /* that has gone meanwhile */
        hurry(shard, request);
    /* A call hears that there is no room for it; nobody would hear of a signal: it is sent again until it is taken. */
    request->refused = request->early || (later && request->message->type == STEAD_SIGNAL);
    if (request->refused)
        return true;
    free_request(shard, request);
    return false;
}

void stead_vrequest_drop(struct stead_shard *shard, uint64_t number)
{
    struct stead_vrequest *request = find_request(shard, number);

    if (request != NULL)
        free_request(shard, request);
}

/* Of those that are due: before any other the one that its agent takes first. */
static struct stead_vrequest *first_due(const struct stead_shard *shard)
{
    uint64_t now_ns = shard->host->now_ns;
    struct stead_vrequest *first = shard->vrequest_head;

    if (first == NULL || first->resend_ns > now_ns)
        return NULL;
    while (first->before != NULL && first->before->resend_ns <= now_ns)
        first = first->before;
    return first;
}

uint64_t stead_vrequest_resend_due(struct stead_shard *shard)
{
    struct stead_host *host = shard->host;
    struct stead_vrequest *request;

    while ((request = first_due(shard)) != NULL) {
        bool over = request->message->deadline_ms != 0 && request->message->deadline_ms <= host->now_ms;
        if (over) { /* the caller's own deadline has told it */
            free_request(shard, request);
            continue;
        }
        unlink_request(shard, request);
        request->resend_ns = host->now_ns + (uint64_t)host->settings.resend_ms * 1000000u;
        append(shard, request);
        if (request->before != NULL && request->before->refused) {
            /* It would be refused, too, and take the room that what is before it needs. */
            request->early = request->refused = true;
            continue;
        }
        request->refused = false;
        struct stead_message *again = stead_message_copy(request->message);
        again->session.mark = oldest_of(shard, request)->number - 1;
        again->after = number_before(request);
        request->early = false;
        again->flags |= STEAD_FLAG_RETRY;
        host->stats.resends++;
        stead_shard_emit(shard, again);
    }
    return shard->vrequest_head == NULL ? UINT64_MAX : shard->vrequest_head->resend_ns;
}

/* ---- Seen ------------------------------------------------------------------------------------------------- */

static struct stead_seen *find_seen(struct stead_shard *shard, struct stead_id id)
{
    struct stead_seen *seen;
    uint32_t at;

    for (seen = stead_map_first(&shard->seen, stead_load64(id.v + 8), &at); seen != NULL;
         seen = stead_map_next(&shard->seen, stead_load64(id.v + 8), &at))
        if (stead_id_equal(seen->id, id))
            return seen;
    return NULL;
}

static void forget_oldest(struct stead_shard *shard)
{
    struct stead_seen *seen = shard->seen_head;

    shard->seen_head = seen->next;
    if (shard->seen_head == NULL)
        shard->seen_tail = NULL;
    stead_map_remove(&shard->seen, seen->hash, seen);
    if (seen->answer != NULL)
        shard->host->session_bytes -= seen->answer->block_size;
    stead_message_destroy(&seen->answer);
    free(seen);
}

bool stead_seen_judge(struct stead_shard *shard, const struct stead_message *request)
{
    struct stead_host *host = shard->host;
    const char *slash = strchr(request->address, '/');
    const struct stead_kind *kind =
        stead_registry_find(host->registry, request->address, (size_t)(slash - request->address));

    if (kind == NULL || kind->durability != STEAD_VOLATILE)
        return false;
    while (shard->seen_head != NULL && (shard->seen_head->until_ms <= host->now_ms || shard->seen.count >= SEEN_MAX))
        forget_oldest(shard);
    struct stead_seen *seen = find_seen(shard, request->id);
    if (seen != NULL) {
        host->stats.duplicates++;
        if (seen->answer != NULL)
            stead_shard_emit(shard, stead_message_copy(seen->answer));
        return true;
    }
    seen = stead_alloc_zero(sizeof(*seen));
    seen->id = request->id;
    seen->hash = stead_load64(request->id.v + 8);
    seen->until_ms = host->now_ms + SEEN_MS;
    stead_map_add(&shard->seen, seen->hash, seen);
    if (shard->seen_tail != NULL)
        shard->seen_tail->next = seen;
    else
        shard->seen_head = seen;
    shard->seen_tail = seen;
    return false;
}

void stead_seen_answered(struct stead_shard *shard, const struct stead_message *answer)
{
    struct stead_seen *seen = find_seen(shard, answer->id);

    if (seen == NULL || seen->answer != NULL)
        return;
    seen->answer = stead_message_copy(answer);
    shard->host->session_bytes += seen->answer->block_size;
}

void stead_seen_sweep(struct stead_shard *shard)
{
    while (shard->seen_head != NULL && shard->seen_head->until_ms <= shard->host->now_ms)
        forget_oldest(shard);
}

uint64_t stead_seen_check(const struct stead_shard *shard)
{
    uint64_t bytes = 0;

    for (const struct stead_seen *seen = shard->seen_head; seen != NULL; seen = seen->next)
        bytes += seen->answer == NULL ? 0 : seen->answer->block_size;
    return bytes;
}

void stead_calls_deinit(struct stead_shard *shard)
{
    while (shard->vrequest_head != NULL)
        free_request(shard, shard->vrequest_head); /* NOLINT(clang-analyzer-unix.Malloc): the head has no prev */
    while (shard->seen_head != NULL)
        forget_oldest(shard);
    for (uint32_t i = 0; shard->vcalls.entries != NULL && i <= shard->vcalls.mask; i++) {
        free(stead_map_at(&shard->vcalls, i));
    }
    for (uint32_t i = 0; shard->vowed.entries != NULL && i <= shard->vowed.mask; i++) {
        struct stead_vowed *owed = stead_map_at(&shard->vowed, i);
        if (owed != NULL)
            stead_message_destroy(&owed->request);
        free(owed);
    }
    stead_map_deinit(&shard->vowed);
    stead_map_deinit(&shard->vcalls);
    stead_map_deinit(&shard->vrequests);
    stead_map_deinit(&shard->vslots);
    stead_map_deinit(&shard->vorder);
    stead_map_deinit(&shard->seen);
}
