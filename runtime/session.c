/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: requests of clients, once in effect.
 *
 * The state of a session in a slot is one row, written once a batch whatever number of its requests the batch answered;
 * in memory it is an array ordered by number, because numbers come nearly in order and leave from the front as the mark
 * moves. What a client tells beyond the mark (stead_message_ended()) leaves the open numbers in front and takes the
 * rest. Answers too large for the row have rows of their own, so that a session with one large answer is not rewritten
 * with it each time.
 *
 * Answers of volatile agents are remembered in memory alone, until two minutes after the session was used last. What is
 * left then is that they were given (forgotten.h): a request that is asked again is not run again, its outcome is
 * unknown. The same where sessions take so much of the memory budget that an answer is not kept in the first place.
 */
#include "runtime/session.h"

#include "runtime/address.h"
#include "runtime/session_row.h"
#include "runtime/shard.h"

#define IDLE_MS 60000u           /* a session without requests leaves memory; its row stays */
#define IDLE_MS_VOLATILE 120000u /* one with answers of volatile agents */
#define TRIM_MS 20u              /* between looks at a bound of places for those that are over: up to a millisecond */
#define IDLE_MS_TIGHT 10000u     /* any, when sessions take too much: whoever waits asks again within 8 s */

static uint64_t hash_session(stead_slot slot, struct stead_id id)
{
    return stead_load64(id.v) ^ (stead_load64(id.v + 8) + slot.v) * 0x9E3779B97F4A7C15u;
}

static void session_key(struct stead_row_key *key, stead_slot slot, struct stead_id id)
{
    stead_row_begin(key, slot, STEAD_ROW_SESSION);
    stead_row_add(key, stead_bytes(id.v, sizeof(id.v)));
}

static void answer_key(struct stead_row_key *key, const struct stead_session *session, uint64_t number)
{
    stead_row_begin(key, session->slot, STEAD_ROW_ANSWER);
    stead_row_add(key, stead_bytes(session->id.v, sizeof(session->id.v)));
    stead_row_add_u64(key, number);
}

/* ---- Requests of a session ------------------------------------------------------------------------ */

/* What the session takes, after a change. */
static void count_bytes(struct stead_shard *shard, struct stead_session *session)
{
    uint64_t bytes = sizeof(*session) + session->capacity * sizeof(*session->requests) +
                     session->open_count * sizeof(*session->open) + session->value_bytes +
                     session->order.capacity * sizeof(*session->order.places);

    shard->host->session_bytes += bytes - session->bytes;
    session->bytes = bytes;
}

static void free_value(struct stead_session *session, struct stead_request *request)
{
    if (request->value == NULL)
        return;
    session->value_bytes -= request->size;
    free(request->value);
    request->value = NULL;
}

static void mark_dirty(struct stead_shard *shard, struct stead_session *session, bool urgent)
{
    stead_shard_dirty(shard, urgent);
    if (session->dirty)
        return;
    session->dirty = true;
    session->dirty_next = shard->dirty_sessions;
    shard->dirty_sessions = session;
}

/* Forgets the requests that have ended; those that have not stay in front of what is above `ended_to`. */
static void forget_ended(struct stead_shard *shard, struct stead_session *session)
{
    uint32_t end = stead_session_bound(session, session->ended_to + 1), kept = end;
    struct stead_row_key key;
    bool stored = false;

    for (uint32_t i = end; i > session->first; i--) {
        struct stead_request *request = &session->requests[i - 1];
        if (!stead_session_has_ended(session, request->number) && !STEAD_FAULT(&shard->host->settings, forget_open)) {
            session->requests[--kept] = *request;
            continue;
        }
        if (request->own_row) {
            answer_key(&key, session, request->number);
            stead_shard_delete(shard, &key);
        }
        stored = stored || request->stored;
        free_value(session, request);
    }
    session->count -= kept - session->first;
    session->first = session->count == 0 ? 0 : kept;
    if (stored)
        mark_dirty(shard, session, false);
}

/* Takes over what a request tells beyond the mark. Requests may come out of order: what has ended once has ended, so an
 * older list ends no less than a newer one says. */
static void take_open(struct stead_session *session, struct stead_slice ended)
{
    uint64_t ended_to = stead_load64(ended.data);
    uint32_t count = 0;

    if (ended_to < session->ended_to)
        return;
    uint64_t *open = stead_alloc(ended.size);
    for (size_t at = 8; at < ended.size; at += 8) {
        uint64_t number = stead_load64(ended.data + at);
        if (!stead_session_has_ended(session, number))
            open[count++] = number;
    }
    free(session->open);
    session->open = open;
    session->open_count = count;
    session->ended_to = ended_to;
}

/* What the request tells of the session is known to the client: forget it. */
static void take_ended(struct stead_shard *shard, struct stead_session *session, const struct stead_message *request)
{
    struct stead_slice ended = stead_message_ended(request);
    uint64_t mark = session->mark, ended_to = session->ended_to;
    uint32_t open_count = session->open_count;

    if (ended.size > 0)
        take_open(session, ended);
    if (request->session.mark > session->mark) {
        uint32_t passed = stead_session_open_bound(session, request->session.mark + 1);
        session->mark = request->session.mark;
        session->open_count -= passed;
        if (passed > 0)
            memmove(session->open, session->open + passed, session->open_count * sizeof(*session->open));
    }
    session->ended_to = session->ended_to > session->mark ? session->ended_to : session->mark;
    if (session->mark != mark || session->ended_to != ended_to || session->open_count != open_count)
        forget_ended(shard, session);
    count_bytes(shard, session);
}

static void free_session(struct stead_shard *shard, struct stead_session *session)
{
    for (uint32_t i = session->first; i < session->first + session->count; i++)
        free(session->requests[i].value);
    shard->host->session_bytes -= session->bytes;
    free(session->requests);
    free(session->open);
    stead_order_deinit(&session->order);
    stead_map_remove(&shard->sessions, session->hash, session);
    free(session);
}

static struct stead_session *find_session(const struct stead_shard *shard, stead_slot slot, struct stead_id id,
                                          uint64_t hash)
{
    struct stead_session *session;
    uint32_t at;

    for (session = stead_map_first(&shard->sessions, hash, &at); session != NULL;
         session = stead_map_next(&shard->sessions, hash, &at))
        if (session->slot.v == slot.v && stead_id_equal(session->id, id))
            return session;
    return NULL;
}

/* The session of a request, read from its row or made. NULL: the store failed, or the row is damaged. */
static struct stead_session *get_session(struct stead_shard *shard, const struct stead_message *request)
{
    struct stead_host *host = shard->host;
    uint64_t hash = hash_session(request->slot, request->session.id);
    struct stead_session *session = find_session(shard, request->slot, request->session.id, hash);
    struct stead_row_key key;
    struct stead_writer row;

    if (session != NULL)
        return session;
    session = stead_alloc_zero(sizeof(*session));
    session->id = request->session.id;
    session->slot = request->slot;
    session->hash = hash;
    session->start_ms = request->session.start_ms;
    stead_map_add(&shard->sessions, hash, session);
    session_key(&key, session->slot, session->id);
    stead_writer_init(&row);
    int code = stead_shard_read(shard, &host->doors, &key, &row);
    if (code == 0 && !STEAD_FAULT(&host->settings, forget_session))
        code = stead_session_row_read(session, stead_written(&row));
    session->has_row = code == 0;
    session->forgotten_to = stead_forgotten_number(&shard->forgotten, session->slot, session->id, hash);
    count_bytes(shard, session);
    stead_writer_deinit(&row);
    if (code == 0 || code == STEAD_ENOTFOUND)
        return session;
    stead_host_trace(host, STEAD_TRACE_ERROR, "a session of slot %04x cannot be read: %s", request->slot.v,
                     stead_error_sentence(code));
    free_session(shard, session);
    return NULL;
}

/* ---- Judging ------------------------------------------------------------------------------------------ */

/* Sends the first answer again. */
static void answer_again(struct stead_shard *shard, const struct stead_session *session,
                         const struct stead_request *known, const struct stead_message *request)
{
    struct stead_row_key key;
    struct stead_writer row;
    struct stead_slice value = {known->value, known->value == NULL ? 0 : known->size};

    stead_writer_init(&row);
    if (known->own_row) {
        answer_key(&key, session, known->number);
        if (stead_shard_read(shard, &shard->host->doors, &key, &row) == 0)
            value = stead_written(&row);
    }
    struct stead_message *answer = stead_message_answer(request, 0, NULL, value);
    answer->status = known->status;
    answer->durability = known->durability;
    /* A durable kind's answer of the volatile class never waits; a volatile kind's waits for what its agent had
     * seen. */
    answer->depends_on = known->stored && known->durability == STEAD_CLASS_VOLATILE ? 0 : known->index;
    stead_writer_deinit(&row);
    stead_shard_emit(shard, answer);
}

static bool is_volatile(const struct stead_shard *shard, const struct stead_message *request)
{
    const struct stead_kind *kind = stead_registry_find(shard->host->registry, request->address,
                                                        (size_t)(strchr(request->address, '/') - request->address));
    return kind != NULL && kind->durability == STEAD_VOLATILE;
}

static enum stead_session_verdict refuse(struct stead_shard *shard, const struct stead_message *request, int code)
{
    if (code == STEAD_EBUSY)
        shard->host->stats.refused_busy++;
    stead_shard_turn_away(shard, request, code);
    return STEAD_SESSION_REFUSED;
}

/* It goes again when what is before it has gone. */
static enum stead_session_verdict refuse_early(struct stead_shard *shard, const struct stead_message *request)
{
    struct stead_message *answer = stead_message_answer(request, STEAD_EBUSY, NULL, (struct stead_slice){0});

    answer->durability = STEAD_CLASS_VOLATILE;
    answer->flags |= STEAD_FLAG_NOT_RUN | STEAD_FLAG_EARLY;
    shard->host->stats.refused_busy++;
    stead_shard_emit(shard, answer);
    return STEAD_SESSION_REFUSED;
}

/* What it names as before it has been taken, or has ended. */
static bool is_its_turn(const struct stead_shard *shard, const struct stead_session *session,
                        const struct stead_message *request, uint64_t taken)
{
    uint64_t after = request->after;

    return after <= taken || stead_session_has_ended(session, after) || stead_session_find(session, after) != NULL ||
           (after <= session->forgotten_to && is_volatile(shard, request));
}

/* Whoever holds its agent is let in, and what waits for the release must not keep it out. */
static bool is_release(const struct stead_message *request)
{
    return stead_slice_equal(stead_bytes(request->op, request->op_size), stead_str(STEAD_OP_RELEASE));
}

/* S5: places are no more than answers may be. A request that leaves no answer has one too, until it has ended. As
 * there, the open ones and the oldest behind them are always let in. */
static bool has_place(struct stead_shard *shard, struct stead_session *session, uint64_t number)
{
    uint32_t max = shard->host->settings.session_answers_max;
    uint64_t now_ms = shard->host->now_ns / 1000000u;

    if (session->order.count < max || number <= session->ended_to + 1)
        return true;
    if (now_ms < session->trimmed_ms + TRIM_MS)
        return false;
    session->trimmed_ms = now_ms;
    stead_order_trim(&session->order, stead_session_is_over, session);
    count_bytes(shard, session);
    return session->order.count < max;
}

/* A request that is not known, in its place among those to its agent. */
static enum stead_session_verdict judge_place(struct stead_shard *shard, struct stead_session *session,
                                              struct stead_message *request)
{
    uint64_t who = stead_order_who(request), number = request->session.number;
    struct stead_order_place place = stead_order_get(&session->order, who);
    bool overtakes = STEAD_FAULT(&shard->host->settings, overtake_refused);

    request->placed = false;
    if (is_release(request))
        return STEAD_SESSION_NEW;
    if (number <= place.closed && request->key_size == 0 && !overtakes) /* a key says itself whether it has run */
        return STEAD_SESSION_LATE;
    if (!is_its_turn(shard, session, request, place.number) && !overtakes)
        return refuse_early(shard, request);
    if (!has_place(shard, session, number))
        return refuse(shard, request, STEAD_EBUSY);
    stead_order_take(&session->order, who, number, request->after, stead_session_is_over, session);
    request->placed = number > place.closed;
    count_bytes(shard, session);
    return STEAD_SESSION_NEW;
}

enum stead_session_verdict stead_session_judge(struct stead_shard *shard, struct stead_message *request,
                                               struct stead_session **ret_session)
{
    struct stead_host *host = shard->host;

    uint64_t age_ms_max = host->settings.session_age_ms_max;
    if (request->session.start_ms > host->now_ms + age_ms_max) /* it would never end: somebody's clock is wrong */
        return refuse(shard, request, STEAD_EARGUMENT);
    if (host->now_ms >= request->session.start_ms + age_ms_max)
        return refuse(shard, request, STEAD_ESESSION);
    struct stead_session *session = get_session(shard, request);
    if (session == NULL)
        return refuse(shard, request, STEAD_EIO);
    session->used_ms = host->now_ns / 1000000u;
    if (request->address_hash == 0)
        request->address_hash = stead_hash(request->address, request->address_size);
    take_ended(shard, session, request);
    request->ended_size = 0;
    if (stead_session_has_ended(session, request->session.number))
        return STEAD_SESSION_STALE;
    struct stead_request *known = stead_session_find(session, request->session.number);
    if (known != NULL) {
        host->stats.duplicates++;
        if (known->gone)
            return refuse(shard, request, STEAD_ESESSION);
        if (known->state == STEAD_REQUEST_ANSWERED) {
            answer_again(shard, session, known, request);
            return STEAD_SESSION_ANSWERED;
        }
        known->route = request->groups & STEAD_GROUP_ROUTE ? request->route : (struct stead_route){0};
        if (known->state == STEAD_REQUEST_OWED)
            stead_owed_attach(shard, request, known->token);
        return STEAD_SESSION_ATTACHED;
    }
    if (request->session.number <= session->forgotten_to && is_volatile(shard, request))
        return refuse(shard, request, STEAD_ESESSION); /* it may have run: its outcome is unknown */
    /* The open ones and the oldest behind them are always let in: only their answers make room. */
    if (session->count >= host->settings.session_answers_max && request->session.number > session->ended_to + 1)
        return refuse(shard, request, STEAD_EBUSY);
    *ret_session = session;
    return judge_place(shard, session, request);
}

void stead_session_turned_away(struct stead_session *session, const struct stead_message *request)
{
    if (request->placed) /* a late one leaves closed what was closed behind it */
        stead_order_turn_back(&session->order, stead_order_who(request), request->session.number);
}

struct stead_session *stead_session_of(struct stead_shard *shard, const struct stead_message *request)
{
    if (!(request->groups & STEAD_GROUP_SESSION) || request->type == STEAD_ANSWER)
        return NULL;
    return find_session(shard, request->slot, request->session.id, hash_session(request->slot, request->session.id));
}

struct stead_session *stead_session_load(struct stead_shard *shard, const struct stead_message *request)
{
    if (!(request->groups & STEAD_GROUP_SESSION) || request->type == STEAD_ANSWER)
        return NULL;
    return get_session(shard, request);
}

/* ---- What becomes of a request -------------------------------------------------------------------------- */

void stead_session_running(struct stead_shard *shard, struct stead_session *session,
                           const struct stead_message *request)
{
    struct stead_request *it = stead_session_need(session, request->session.number);

    count_bytes(shard, session);
    it->state = STEAD_REQUEST_RUNNING;
    if (it->number < session->running_from)
        session->running_from = it->number;
    it->route = request->groups & STEAD_GROUP_ROUTE ? request->route : (struct stead_route){0};
}

/* The lowest number that waits; UINT64_MAX: none does. */
static uint64_t lowest_running(struct stead_session *session)
{
    uint32_t at = stead_session_bound(session, session->running_from), end = session->first + session->count;

    while (at < end && session->requests[at].state != STEAD_REQUEST_RUNNING)
        at++;
    session->running_from = at < end ? session->requests[at].number : UINT64_MAX;
    return session->running_from;
}

/* A request's effect is in the open batch: what it names is closed for good, but for what waits, in memory alone, and
 * was passed by it: deferred, held out, or behind a delay or a key. */
static void note_stored(struct stead_session *session, const struct stead_message *request)
{
    uint64_t waits = request->after == 0 || is_release(request) ? 0 : lowest_running(session);

    if (waits > 0)
        stead_order_store(&session->order, stead_order_who(request),
                          request->after < waits ? request->after : waits - 1);
}

void stead_session_owed(struct stead_shard *shard, struct stead_session *session, const struct stead_message *request,
                        struct stead_id token)
{
    uint64_t number = request->session.number;

    if (stead_session_has_ended(session, number))
        return; /* the client gave up on it while it waited */
    struct stead_request *it = stead_session_need(session, number);
    it->state = STEAD_REQUEST_OWED;
    it->token = token;
    it->stored = true;
    it->index = shard->next_index;
    note_stored(session, request);
    count_bytes(shard, session);
    mark_dirty(shard, session, true);
}

/* An answer that is in no row is kept while sessions take no more than their part of the memory budget. */
static bool has_room(const struct stead_host *host, uint32_t size)
{
    return host->session_bytes + size <= stead_host_session_bytes_max(host);
}

void stead_session_answered(struct stead_shard *shard, struct stead_session *session,
                            const struct stead_message *request, const struct stead_message *answer, bool stored)
{
    struct stead_row_key key;

    if (stead_session_has_ended(session, answer->session.number))
        return; /* the client gave up on it meanwhile */
    struct stead_request *it = stead_session_need(session, answer->session.number);
    free_value(session, it);
    it->state = STEAD_REQUEST_ANSWERED;
    it->status = answer->status;
    it->durability = answer->durability;
    it->stored = it->stored || stored;
    it->size = answer->payload_size;
    it->index = it->stored ? shard->next_index : answer->depends_on;
    if (it->stored && answer->payload_size > STEAD_SESSION_INLINE_MAX) {
        it->own_row = true;
        answer_key(&key, session, answer->session.number);
        stead_shard_put(shard, &key, stead_message_payload(answer), true);
    } else if (!it->stored && answer->payload_size > 0 && !has_room(shard->host, answer->payload_size)) {
        it->gone = true;
    } else if (answer->payload_size > 0) {
        it->value = stead_alloc(answer->payload_size);
        memcpy(it->value, answer->payload, answer->payload_size);
        session->value_bytes += answer->payload_size;
    }
    count_bytes(shard, session);
    if (!it->stored)
        return;
    note_stored(session, request);
    mark_dirty(shard, session, true);
}

bool stead_session_route(const struct stead_session *session, uint64_t number, struct stead_route *ret_route)
{
    const struct stead_request *it = stead_session_find(session, number);

    if (it == NULL || it->route.node == 0)
        return false;
    *ret_route = it->route;
    return true;
}

void stead_session_forget(struct stead_session *session, uint64_t number)
{
    uint32_t at = stead_session_bound(session, number);
    uint32_t end = session->first + session->count;

    if (at == end || session->requests[at].number != number || session->requests[at].stored)
        return;
    free_value(session, &session->requests[at]);
    memmove(session->requests + at, session->requests + at + 1, (end - at - 1) * sizeof(*session->requests));
    session->count--;
}

void stead_session_batch_end(struct stead_shard *shard)
{
    struct stead_row_key key;

    while (shard->dirty_sessions != NULL) {
        struct stead_session *session = shard->dirty_sessions;
        shard->dirty_sessions = session->dirty_next;
        session->dirty = false;
        session->has_row = true;
        session_key(&key, session->slot, session->id);
        stead_session_row_write(session, &shard->host->scratch);
        stead_shard_put(shard, &key, stead_written(&shard->host->scratch), false);
    }
}

/* ---- Their end -------------------------------------------------------------------------------------------- */

static void delete_session_rows(struct stead_shard *shard, stead_slot slot, struct stead_id id)
{
    struct stead_row_key from, to;

    session_key(&from, slot, id);
    stead_shard_delete(shard, &from);
    stead_row_begin(&from, slot, STEAD_ROW_ANSWER);
    stead_row_add(&from, stead_bytes(id.v, sizeof(id.v)));
    to = from;
    if (stead_row_after_prefix(&to))
        stead_overlay_delete_range(shard->overlay, shard->next_index, stead_row_slice(&from), stead_row_slice(&to));
    stead_shard_dirty(shard, false);
}

/* Idle, and nothing of it is being run. */
static bool leaves_memory(const struct stead_shard *shard, const struct stead_session *session)
{
    const struct stead_host *host = shard->host;
    bool tight = host->session_bytes > stead_host_session_bytes_max(host);
    uint64_t idle_ms = IDLE_MS;

    for (uint32_t i = session->first; i < session->first + session->count; i++) {
        const struct stead_request *request = &session->requests[i];
        if (request->state == STEAD_REQUEST_RUNNING)
            return false;
        if (!request->stored)
            idle_ms = IDLE_MS_VOLATILE;
    }
    return !session->dirty && host->now_ns / 1000000u >= session->used_ms + (tight ? IDLE_MS_TIGHT : idle_ms);
}

/* It leaves memory with answers of volatile agents, or did so before: up to which number. */
static void remember_forgotten(struct stead_shard *shard, const struct stead_session *session)
{
    struct stead_forgotten forgotten = {
        .id = session->id, .slot = session->slot, .hash = session->hash, .number = session->forgotten_to};
    struct stead_host *host = shard->host;

    for (uint32_t i = session->first; i < session->first + session->count; i++)
        if (!session->requests[i].stored && session->requests[i].number > forgotten.number)
            forgotten.number = session->requests[i].number;
    if (forgotten.number <= session->mark)
        return;
    forgotten.until_ms = session->start_ms + host->settings.session_age_ms_max;
    host->session_bytes -= stead_forgotten_bytes(&shard->forgotten);
    stead_forgotten_put(&shard->forgotten, &forgotten);
    host->session_bytes += stead_forgotten_bytes(&shard->forgotten);
}

struct aged {
    struct stead_shard *shard;
    struct stead_writer ids; /* of sessions past their age */
};

static int visit_row(void *context, struct stead_slice key, struct stead_slice row)
{
    struct aged *aged = context;
    struct stead_host *host = aged->shard->host;
    struct stead_row_parsed parsed;

    if (stead_row_parse(key, &parsed) == 0 && row.size >= STEAD_SESSION_ROW_HEAD &&
        stead_load64(row.data + 1) + host->settings.session_age_ms_max <= host->now_ms)
        stead_write_raw(&aged->ids, parsed.session.v, sizeof(parsed.session.v));
    return 0;
}

/* Ends the over-aged sessions of one slot, those of which only the row is left included. */
static void end_aged(struct stead_shard *shard, stead_slot slot)
{
    struct aged aged = {.shard = shard};
    struct stead_row_key from, to;
    struct stead_id id;

    stead_row_begin(&from, slot, STEAD_ROW_SESSION);
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    stead_writer_init(&aged.ids);
    /* What cannot be read now is seen by a later sweep. */
    (void)stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from), stead_row_slice(&to),
                                    false, visit_row, &aged);
    for (size_t at = 0; at < aged.ids.size; at += sizeof(id.v)) {
        memcpy(id.v, aged.ids.data + at, sizeof(id.v));
        struct stead_session *session = find_session(shard, slot, id, hash_session(slot, id));
        if (session != NULL && session->dirty)
            continue; /* the next round will find it clean */
        if (session != NULL)
            free_session(shard, session);
        delete_session_rows(shard, slot, id);
    }
    stead_writer_deinit(&aged.ids);
}

void stead_session_sweep(struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->sessions.entries != NULL && i <= shard->sessions.mask;) {
        struct stead_session *session = stead_map_at(&shard->sessions, i);
        if (session == NULL || !leaves_memory(shard, session)) {
            i++;
            continue;
        }
        remember_forgotten(shard, session);
        free_session(shard, session);
    }
    shard->host->session_bytes -= stead_forgotten_bytes(&shard->forgotten);
    stead_forgotten_sweep(&shard->forgotten, shard->host->now_ms);
    shard->host->session_bytes += stead_forgotten_bytes(&shard->forgotten);
    if (shard->slot_count > 0) {
        stead_slot slot = shard->slots[shard->sweep_at++ % shard->slot_count];
        end_aged(shard, slot);
        stead_keys_sweep(shard);
    }
}

uint64_t stead_sessions_check(const struct stead_shard *shard)
{
    uint64_t bytes = stead_forgotten_bytes(&shard->forgotten);

    for (uint32_t i = 0; shard->sessions.entries != NULL && i <= shard->sessions.mask; i++) {
        const struct stead_session *session = stead_map_at(&shard->sessions, i);
        uint64_t value_bytes = 0;
        if (session == NULL)
            continue;
        for (uint32_t at = session->first; at < session->first + session->count; at++)
            value_bytes += session->requests[at].value == NULL ? 0 : session->requests[at].size;
        STEAD_ASSERT(value_bytes == session->value_bytes && session->mark <= session->ended_to);
        STEAD_ASSERT(stead_order_live(&session->order, stead_session_is_over, session) <=
                     shard->host->settings.session_answers_max + STEAD_MESSAGE_OPEN_MAX + 1);
        bytes += session->bytes;
    }
    return bytes;
}

void stead_sessions_deinit(struct stead_shard *shard)
{
    for (uint32_t i = 0; shard->sessions.entries != NULL && i <= shard->sessions.mask;) {
        struct stead_session *session = stead_map_at(&shard->sessions, i);
        if (session != NULL)
            free_session(shard, session);
        else
            i++;
    }
    stead_map_deinit(&shard->sessions);
    shard->host->session_bytes -= stead_forgotten_bytes(&shard->forgotten);
    stead_forgotten_deinit(&shard->forgotten);
}
