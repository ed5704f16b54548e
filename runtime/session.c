/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: requests of clients, once in effect.
 *
 * The state of a session in a slot is one row, written once a batch whatever number of its requests the batch answered;
 * in memory it is an array ordered by number, because numbers come nearly in order and leave from the front as the mark
 * moves. Answers too large for the row have rows of their own, so that a session with one large answer is not rewritten
 * with it each time.
 *
 * Answers of volatile agents are remembered in memory alone: they are gone with the agent.
 */
#include "runtime/session.h"

#include "runtime/shard.h"

#define ROW_VERSION 1u
#define ROW_HEAD 21u     /* bytes: version, start, mark, count */
#define REQUEST_HEAD 19u /* bytes: number, state, class, own_row, status, size */
#define IDLE_MS 60000u   /* a session without requests leaves memory; its row stays */

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

/* Position of the first request whose number is >= `number`. */
static uint32_t lower_bound(const struct stead_session *session, uint64_t number)
{
    uint32_t low = session->first, high = session->first + session->count;

    if (session->count > 0 && session->requests[high - 1].number < number)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (session->requests[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct stead_request *find_request(const struct stead_session *session, uint64_t number)
{
    uint32_t at = lower_bound(session, number);
    bool here = at < session->first + session->count && session->requests[at].number == number;
    return here ? &session->requests[at] : NULL;
}

static struct stead_request *add_request(struct stead_session *session, uint64_t number)
{
    uint32_t end = session->first + session->count;

    if (end == session->capacity && session->first > session->capacity / 2) {
        memmove(session->requests, session->requests + session->first, session->count * sizeof(*session->requests));
        session->first = 0;
    } else if (end == session->capacity) {
        session->capacity = session->capacity == 0 ? 4 : session->capacity * 2;
        session->requests = stead_realloc(session->requests, session->capacity * sizeof(*session->requests));
    }
    uint32_t at = lower_bound(session, number);
    end = session->first + session->count;
    memmove(session->requests + at + 1, session->requests + at, (end - at) * sizeof(*session->requests));
    session->requests[at] = (struct stead_request){.number = number};
    session->count++;
    return &session->requests[at];
}

static struct stead_request *need_request(struct stead_session *session, uint64_t number)
{
    struct stead_request *request = find_request(session, number);
    return request != NULL ? request : add_request(session, number);
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

/* Everything up to the mark is known to the client: forget it. */
static void move_mark(struct stead_shard *shard, struct stead_session *session, uint64_t mark)
{
    struct stead_row_key key;
    bool stored = false;

    if (mark <= session->mark)
        return;
    session->mark = mark;
    while (session->count > 0 && session->requests[session->first].number <= mark) {
        struct stead_request *request = &session->requests[session->first];
        if (request->own_row) {
            answer_key(&key, session, request->number);
            stead_shard_delete(shard, &key);
        }
        stored = stored || request->stored;
        free(request->value);
        session->first++;
        session->count--;
    }
    if (session->count == 0)
        session->first = 0;
    if (stored)
        mark_dirty(shard, session, false);
}

/* ---- The row ---------------------------------------------------------------------------------------- */

static void write_row(struct stead_shard *shard, const struct stead_session *session)
{
    struct stead_writer *writer = &shard->host->scratch;
    struct stead_row_key key;
    uint8_t head[ROW_HEAD];
    uint32_t stored = 0;

    stead_writer_reset(writer);
    head[0] = ROW_VERSION;
    stead_store64(head + 1, session->start_ms);
    stead_store64(head + 9, session->mark);
    stead_write_raw(writer, head, sizeof(head));
    for (uint32_t i = session->first; i < session->first + session->count; i++) {
        const struct stead_request *request = &session->requests[i];
        uint8_t line[REQUEST_HEAD];
        if (!request->stored)
            continue;
        stored++;
        stead_store64(line, request->number);
        line[8] = request->state;
        line[9] = request->durability;
        line[10] = request->own_row;
        stead_store32(line + 11, (uint32_t)request->status);
        stead_store32(line + 15, request->size);
        stead_write_raw(writer, line, sizeof(line));
        if (request->state == STEAD_REQUEST_OWED)
            stead_write_raw(writer, request->token.v, sizeof(request->token.v));
        else if (!request->own_row)
            stead_write_raw(writer, request->value, request->size);
    }
    stead_store32(writer->data + 17, stored);
    session_key(&key, session->slot, session->id);
    stead_shard_put(shard, &key, stead_written(writer), false);
}

static int read_request(struct stead_session *session, struct stead_slice *row)
{
    const uint8_t *at = row->data;

    if (row->size < REQUEST_HEAD)
        return STEAD_ECORRUPT;
    uint64_t number = stead_load64(at);
    uint32_t size = stead_load32(at + 15);
    bool owed = at[8] == STEAD_REQUEST_OWED;
    size_t follows = owed ? sizeof(struct stead_id) : at[10] ? 0 : size;
    if (row->size - REQUEST_HEAD < follows || number <= session->mark || find_request(session, number) != NULL)
        return STEAD_ECORRUPT;
    struct stead_request *request = add_request(session, number);
    request->state = at[8];
    request->durability = at[9];
    request->own_row = at[10] != 0;
    request->status = (int32_t)stead_load32(at + 11);
    request->size = size;
    request->stored = true;
    if (owed) {
        memcpy(request->token.v, at + REQUEST_HEAD, sizeof(request->token.v));
    } else if (!request->own_row && size > 0) {
        request->value = stead_alloc(size);
        memcpy(request->value, at + REQUEST_HEAD, size);
    }
    row->data += REQUEST_HEAD + follows;
    row->size -= REQUEST_HEAD + follows;
    return 0;
}

static int read_row(struct stead_session *session, struct stead_slice row)
{
    if (row.size < ROW_HEAD || row.data[0] != ROW_VERSION)
        return STEAD_ECORRUPT;
    session->start_ms = stead_load64(row.data + 1);
    session->mark = stead_load64(row.data + 9);
    uint32_t count = stead_load32(row.data + 17);
    struct stead_slice rest = {row.data + ROW_HEAD, row.size - ROW_HEAD};
    for (uint32_t i = 0; i < count; i++) {
        int code = read_request(session, &rest);
        if (code != 0)
            return code;
    }
    return rest.size == 0 ? 0 : STEAD_ECORRUPT;
}

static void free_session(struct stead_shard *shard, struct stead_session *session)
{
    for (uint32_t i = session->first; i < session->first + session->count; i++)
        free(session->requests[i].value);
    free(session->requests);
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
        code = read_row(session, stead_written(&row));
    session->has_row = code == 0;
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

static enum stead_session_verdict refuse(struct stead_shard *shard, const struct stead_message *request, int code)
{
    if (code == STEAD_EBUSY)
        shard->host->stats.refused_busy++;
    stead_shard_turn_away(shard, request, code);
    return STEAD_SESSION_REFUSED;
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
    move_mark(shard, session, request->session.mark);
    if (request->session.number <= session->mark)
        return STEAD_SESSION_STALE;
    struct stead_request *known = find_request(session, request->session.number);
    if (known != NULL) {
        host->stats.duplicates++;
        if (known->state == STEAD_REQUEST_ANSWERED) {
            answer_again(shard, session, known, request);
            return STEAD_SESSION_ANSWERED;
        }
        known->route = request->groups & STEAD_GROUP_ROUTE ? request->route : (struct stead_route){0};
        if (known->state == STEAD_REQUEST_OWED)
            stead_owed_attach(shard, request, known->token);
        return STEAD_SESSION_ATTACHED;
    }
    /* The oldest request that has no answer is always let in: only its answer can move the mark, and so make room. */
    if (session->count >= host->settings.session_answers_max && request->session.number != session->mark + 1)
        return refuse(shard, request, STEAD_EBUSY);
    *ret_session = session;
    return STEAD_SESSION_NEW;
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
    struct stead_request *it = need_request(session, request->session.number);

    (void)shard;
    it->state = STEAD_REQUEST_RUNNING;
    it->route = request->groups & STEAD_GROUP_ROUTE ? request->route : (struct stead_route){0};
}

void stead_session_owed(struct stead_shard *shard, struct stead_session *session, uint64_t number,
                        struct stead_id token)
{
    struct stead_request *it = need_request(session, number);

    it->state = STEAD_REQUEST_OWED;
    it->token = token;
    it->stored = true;
    it->index = shard->next_index;
    mark_dirty(shard, session, true);
}

void stead_session_answered(struct stead_shard *shard, struct stead_session *session,
                            const struct stead_message *answer, bool stored)
{
    struct stead_row_key key;

    if (answer->session.number <= session->mark)
        return; /* the client gave up on it meanwhile */
    struct stead_request *it = need_request(session, answer->session.number);
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
    } else if (answer->payload_size > 0) {
        it->value = stead_realloc(it->value, answer->payload_size);
        memcpy(it->value, answer->payload, answer->payload_size);
    }
    if (it->stored)
        mark_dirty(shard, session, true);
}

bool stead_session_route(const struct stead_session *session, uint64_t number, struct stead_route *ret_route)
{
    const struct stead_request *it = find_request(session, number);

    if (it == NULL || it->route.node == 0)
        return false;
    *ret_route = it->route;
    return true;
}

void stead_session_forget(struct stead_session *session, uint64_t number)
{
    uint32_t at = lower_bound(session, number);
    uint32_t end = session->first + session->count;

    if (at == end || session->requests[at].number != number || session->requests[at].stored)
        return;
    free(session->requests[at].value);
    memmove(session->requests + at, session->requests + at + 1, (end - at - 1) * sizeof(*session->requests));
    session->count--;
}

void stead_session_batch_end(struct stead_shard *shard)
{
    while (shard->dirty_sessions != NULL) {
        struct stead_session *session = shard->dirty_sessions;
        shard->dirty_sessions = session->dirty_next;
        session->dirty = false;
        session->has_row = true;
        write_row(shard, session);
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

/* Idle, with everything in its row; answers of volatile agents, which are in no row, keep it until its end. */
static bool leaves_memory(const struct stead_shard *shard, const struct stead_session *session)
{
    const struct stead_host *host = shard->host;
    bool over = host->now_ms >= session->start_ms + host->settings.session_age_ms_max;

    if (session->dirty || host->now_ns / 1000000u < session->used_ms + IDLE_MS)
        return false;
    for (uint32_t i = session->first; i < session->first + session->count; i++) {
        const struct stead_request *request = &session->requests[i];
        if (!request->stored && !(over && request->state == STEAD_REQUEST_ANSWERED))
            return false;
    }
    return true;
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

    if (stead_row_parse(key, &parsed) == 0 && row.size >= ROW_HEAD &&
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
        if (session != NULL && leaves_memory(shard, session))
            free_session(shard, session);
        else
            i++;
    }
    if (shard->slot_count > 0) {
        stead_slot slot = shard->slots[shard->sweep_at++ % shard->slot_count];
        end_aged(shard, slot);
        stead_keys_sweep(shard, slot);
    }
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
}
