/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_session: the episodes of instances, for a worker of a task hub.
 *
 *     messages of an instance --> READING its history --> episode (the engine) --> WRITING it --> SENDING what it decided --> the messages are deleted
 *                                   ^                                                |
 *                                   \---- somebody else has written meanwhile -------/
 *
 * Each step is an operation of the store, or several at once, and begins after the answer of the one before. So a
 * worker may die between any two, and the messages come back (hub_episode.c knows them again).
 *
 * A worker may also die, or lose an answer, between WRITING and SENDING, and another message be the next to come. What
 * the newest episode decided is sent before another one is written: by who does not know that it was sent, again (Q6).
 * So nothing overtakes it, and no episode that throws a history away takes with it what is still to be sent. Queues
 * know ids for a while (stead_hub_id_kept_ms()), so what is older than stead_hub_settle_ms() is not sent again: then
 * the messages that it took are back.
 *
 * Without `extended` the history is read for every episode, as a worker of a storage-backed framework does that keeps
 * nothing; with it the engine stays, as long as no message came twice and nobody else has written. That somebody has is
 * found out at the write: so what an engine that was kept has no use for is not thrown away, but judged by the rows
 * (Q7): its instance may have gone on elsewhere, while the lease was another worker's.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/fault.h"
#include "agents/hash.h"
#include "agents/hub_key.h"
#include "agents/hub_worker.h"

#define SENDS_AT_ONCE 256u
#define PENDING_MS 500 /* a message of an instance whose start has not come: at least, and at most */
#define PENDING_MS_MAX 30000
#define UNKNOWN_MS 2000 /* of one whose orchestrator is not loaded here */
#define CONFLICTS_MAX 3u
#define IDLE_MAX 1000u /* extended: instances in memory */

static const struct stead_slice nothing = {NULL, 0};

/* ---- Sessions ------------------------------------------------------------------------------------ */

static uint32_t bucket_of(struct stead_slice id)
{
    uint32_t hash = stead_hash32(id);
    return (hash ^ hash >> 15) % STEAD_HUB_BUCKETS;
}

static struct stead_hub_session *find(struct stead_hub_worker_state *worker, struct stead_slice id)
{
    struct stead_hub_session *it = worker->sessions[bucket_of(id)];

    while (it != NULL && !stead_slice_equal(stead_str(it->id), id))
        it = it->next;
    return it;
}

bool stead_hub_session_works(struct stead_hub_worker_state *worker, struct stead_slice id)
{
    const struct stead_hub_session *session = find(worker, id);

    return session != NULL && session->phase != STEAD_HUB_IDLE;
}

static void free_messages(struct stead_hub_message **messages)
{
    while (*messages != NULL) {
        struct stead_hub_message *it = *messages;
        *messages = it->next;
        stead_hub_message_destroy(&it);
    }
}

/* These are no longer in memory for their instances. */
static void let_go(struct stead_hub_worker_state *worker, const struct stead_hub_message *messages)
{
    for (; messages != NULL; messages = messages->next) {
        worker->message_count--;
        worker->message_bytes -= messages->body.size;
    }
}

static void free_session(struct stead_hub_session *session)
{
    struct stead_hub_worker_state *worker = session->worker;
    struct stead_hub_session **link = &worker->sessions[bucket_of(stead_str(session->id))];

    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    worker->session_count--;
    worker->busy_count -= session->phase != STEAD_HUB_IDLE;
    stead_engine_destroy(&session->engine);
    stead_writer_deinit(&session->row);
    stead_writer_deinit(&session->rows.bytes);
    stead_hub_sends_clear(&session->sends);
    let_go(worker, session->messages);
    let_go(worker, session->waiting);
    free_messages(&session->messages);
    free_messages(&session->waiting);
    free(session);
}

void stead_hub_sessions_destroy(struct stead_hub_worker_state *worker)
{
    for (uint32_t at = 0; at < STEAD_HUB_BUCKETS; at++)
        while (worker->sessions[at] != NULL)
            free_session(worker->sessions[at]);
}

static bool has_room(const struct stead_hub_session *session)
{
    return session->came_bytes < STEAD_HUB_CAME_BYTES_MAX;
}

static void append_message(struct stead_hub_message **list, struct stead_hub_message *message)
{
    while (*list != NULL)
        list = &(*list)->next;
    message->next = NULL;
    *list = message;
}

static struct stead_hub_part table_of(const struct stead_hub_session *session)
{
    return stead_hub_table(&session->worker->settings, session->partition);
}

static void ask_rows(struct stead_turn *turn, struct stead_hub_session *session, uint64_t from)
{
    struct stead_hub_part table = table_of(session);

    session->worker->counts.reads++;
    stead_hub_call(turn, session->worker, table.text, "read",
                   stead_packed(turn, "{s:s,s:u}", "id", session->id, "from", from), "read", session);
}

static void run_episode(struct stead_turn *turn, struct stead_hub_session *session);

static void read_all(struct stead_turn *turn, struct stead_hub_session *session)
{
    stead_writer_reset(&session->rows.bytes);
    session->rows.count = 0;
    session->kept = false;
    session->phase = STEAD_HUB_READING;
    ask_rows(turn, session, 0);
}

static void set_phase(struct stead_hub_session *session, enum stead_hub_phase phase)
{
    session->worker->busy_count += phase != STEAD_HUB_IDLE;
    session->worker->busy_count -= session->phase != STEAD_HUB_IDLE;
    session->phase = phase;
}

static bool came_twice(const struct stead_hub_message *messages)
{
    for (; messages != NULL; messages = messages->next)
        if (messages->count > 1)
            return true;
    return false;
}

/* A rewind is replayed from the rows; so is what a rewound parent asks for. */
static bool rewinds(const struct stead_hub_message *messages)
{
    uint64_t kind = 0;

    for (; messages != NULL; messages = messages->next)
        if ((stead_get_u64(messages->body, "k", &kind) == 0 && kind == STEAD_HISTORY_EXECUTION_REWOUND) ||
            stead_hub_number(messages->body, "rw") > 0)
            return true;
    return false;
}

/* What waits joins the episode, in its order, as long as it has room. */
static void join(struct stead_hub_session *session)
{
    while (session->waiting != NULL && has_room(session)) {
        struct stead_hub_message *it = session->waiting, *same = session->messages;
        session->waiting = it->next;
        while (same != NULL && (same->seq != it->seq || strcmp(same->queue, it->queue) != 0))
            same = same->next;
        if (same == NULL) {
            session->came_bytes += it->body.size;
            append_message(&session->messages, it);
            continue;
        }
        same->receipt = it->receipt; /* it came again meanwhile: one message, and only the newest receipt deletes it */
        same->count = it->count;
        it->next = NULL;
        let_go(session->worker, it);
        stead_hub_message_destroy(&it);
    }
}

/* What waited becomes the next episode's, as much as one takes. */
static void begin(struct stead_turn *turn, struct stead_hub_session *session)
{
    session->came_bytes = 0;
    join(session);
    set_phase(session, STEAD_HUB_READING);
    if (session->engine != NULL &&
        (came_twice(session->messages) || rewinds(session->messages) || stead_engine_is_lost(session->engine)))
        stead_engine_destroy(&session->engine);
    session->kept = session->engine != NULL;
    if (session->kept)
        run_episode(turn, session);
    else
        read_all(turn, session);
}

/* A timer that is due later than a queue can hide its message; 0: it is due, or none such. */
static int64_t far_off(const struct stead_turn *turn, struct stead_slice body)
{
    int64_t now_ms = stead_now_ms(turn), due_ms = stead_hub_number(body, "due");
    bool far = false;

    if (stead_get_bool(body, "far", &far) != 0 || !far || due_ms <= now_ms)
        return 0;
    return due_ms - now_ms < STEAD_HUB_DELAY_MS_MAX ? due_ms - now_ms : STEAD_HUB_DELAY_MS_MAX;
}

void stead_hub_session_take(struct stead_turn *turn, struct stead_hub_worker_state *worker, struct stead_slice id,
                            struct stead_hub_message **message)
{
    struct stead_hub_session *session = find(worker, id);
    int64_t far_ms = far_off(turn, (*message)->body);

    if (far_ms > 0) {
        stead_hub_postpone(turn, worker, message, far_ms);
        return;
    }
    if (session == NULL) {
        session = stead_hub_alloc(sizeof(*session));
        session->worker = worker;
        memcpy(session->id, id.data, id.size);
        session->partition = stead_hub_partition(&worker->settings, id);
        stead_writer_init(&session->row);
        stead_writer_init(&session->rows.bytes);
        session->next = worker->sessions[bucket_of(id)];
        worker->sessions[bucket_of(id)] = session;
        worker->session_count++;
    }
    worker->message_count++;
    worker->message_bytes += (*message)->body.size;
    append_message(&session->waiting, *message);
    *message = NULL;
    if (session->phase == STEAD_HUB_IDLE)
        begin(turn, session);
}

/* The episode is done with, for good or for bad. */
static void rest(struct stead_turn *turn, struct stead_hub_session *session)
{
    struct stead_hub_worker_state *worker = session->worker;
    bool keep = worker->settings.extended && session->engine != NULL && worker->session_count < IDLE_MAX &&
                !stead_engine_is_lost(session->engine);

    stead_hub_sends_clear(&session->sends);
    if (!keep)
        stead_engine_destroy(&session->engine);
    if (session->waiting != NULL)
        begin(turn, session);
    else if (keep)
        set_phase(session, STEAD_HUB_IDLE);
    else
        free_session(session);
    stead_hub_poll_all(turn, worker);
}

/* Nothing can be done now: the messages come back when their time is over. */
static void abandon(struct stead_turn *turn, struct stead_hub_session *session)
{
    stead_engine_destroy(&session->engine);
    let_go(session->worker, session->messages);
    free_messages(&session->messages);
    rest(turn, session);
}

static void postpone_all(struct stead_turn *turn, struct stead_hub_session *session, int64_t delay_ms)
{
    let_go(session->worker, session->messages);
    while (session->messages != NULL) {
        struct stead_hub_message *it = session->messages;
        session->messages = it->next;
        stead_hub_postpone(turn, session->worker, &it, delay_ms);
    }
    rest(turn, session);
}

/* When its start comes, its control queue may know. */
static void ask_due(struct stead_turn *turn, struct stead_hub_session *session)
{
    struct stead_slice start = stead_hub_own_id(stead_hub_text(stead_written(&session->row), "start"));
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);

    stead_hub_call(turn, session->worker, queue.text, "due", stead_packed(turn, "S", start), "due", session);
}

/* Reply: so its messages come again when it begins, or at times until then: it may end before. A start that is not in
 * the queue comes soon or never (its client died before it had put it in): they come ever more rarely. */
int stead_hub_session_due(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_session *session = stead_hub_object(turn);
    int64_t now_ms = stead_now_ms(turn), due_ms, ms;

    (void)state;
    stead_hub_asked(turn, session->worker);
    if (stead_reply_code(turn) == 0 && stead_get_i64(args, NULL, &due_ms) == 0)
        ms = due_ms - now_ms;
    else
        ms = now_ms - stead_hub_number(stead_written(&session->row), "updated");
    postpone_all(turn, session, ms < PENDING_MS ? PENDING_MS : ms > PENDING_MS_MAX ? PENDING_MS_MAX : ms);
    return 0;
}

/* ---- What was sent ---------------------------------------------------------------------------------- */

static void note_sent(struct stead_hub_session *session)
{
    uint64_t hash = stead_hash64(stead_str(session->id));

    session->worker->sent[hash % STEAD_HUB_SENT] = (struct stead_hub_sent){hash, session->etag};
}

static bool is_sent(const struct stead_turn *turn, const struct stead_hub_session *session)
{
    uint64_t hash = stead_hash64(stead_str(session->id));
    const struct stead_hub_sent *sent = &session->worker->sent[hash % STEAD_HUB_SENT];
    int64_t updated_ms = 0;
    uint64_t etag = 0;

    return !stead_hub_decided(session, &updated_ms, &etag) || (sent->id_hash == hash && sent->etag == etag) ||
           stead_now_ms(turn) - updated_ms > stead_hub_settle_ms(session->worker->settings.hide_ms);
}

static void send_some(struct stead_turn *turn, struct stead_hub_session *session);

/* Q6. */
static void settle(struct stead_turn *turn, struct stead_hub_session *session)
{
    struct stead_slice row = stead_written(&session->row);
    int64_t now_ms = stead_now_ms(turn), updated_ms = stead_hub_number(row, "updated");

    session->failed = false;
    session->settling = true;
    session->execution = (uint32_t)stead_hub_number(row, "execution");
    session->now_ms = now_ms > updated_ms ? now_ms : updated_ms;
    stead_hub_send_newest(session);
    send_some(turn, session);
}

/* ---- Reading -------------------------------------------------------------------------------------- */

/* Reply: a page of rows. */
int stead_hub_session_read(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_session *session = stead_hub_object(turn);
    struct stead_slice row = nothing, rows = nothing, bytes;
    uint64_t next = 0;
    uint32_t count = 0;
    int code = stead_reply_code(turn);

    (void)state;
    stead_hub_asked(turn, session->worker);
    stead_writer_reset(&session->row);
    /* Without a row it is what one left that was purged. */
    session->exists = code == 0 && stead_get_value(args, "row", &row) == 0;
    session->etag = 0;
    if (code == STEAD_EBUSY) {
        postpone_all(turn, session, PENDING_MS);
        return 0;
    }
    if (code != 0 && code != STEAD_ENOTFOUND) {
        abandon(turn, session);
        return 0;
    }
    if (code == 0 && (stead_get_u64(args, "etag", &session->etag) != 0 || stead_get_value(args, "rows", &rows) != 0 ||
                      stead_get_u64(args, "next", &next) != 0)) {
        abandon(turn, session);
        return 0;
    }
    stead_write_raw(&session->row, row.data, row.size);
    struct stead_reader reader = stead_reader(rows);
    for (count = code == 0 && stead_read_array(&reader, &count) == 0 ? count : 0; count > 0; count--) {
        if (stead_read_bin(&reader, &bytes) != 0)
            break;
        stead_hub_add_row(session, bytes);
    }
    if (next > 0)
        ask_rows(turn, session, next);
    else if (is_sent(turn, session))
        run_episode(turn, session);
    else
        settle(turn, session);
    return 0;
}

/* ---- Writing --------------------------------------------------------------------------------------- */

static void delete_messages(struct stead_turn *turn, struct stead_hub_session *session)
{
    let_go(session->worker, session->messages);
    stead_hub_delete(turn, session->worker, &session->messages);
}

/* All that was decided is stored: the messages have done their work. */
static void finish(struct stead_turn *turn, struct stead_hub_session *session)
{
    session->conflicts = 0;
    note_sent(session);
    delete_messages(turn, session);
    rest(turn, session);
}

static void send_some(struct stead_turn *turn, struct stead_hub_session *session)
{
    set_phase(session, STEAD_HUB_SENDING);
    while (session->sends.first != NULL && session->sending < SENDS_AT_ONCE) {
        struct stead_hub_send *send = session->sends.first;
        session->sends.first = send->next;
        if (send->next == NULL)
            session->sends.last = NULL;
        session->sending++;
        session->worker->counts.enqueues++;
        stead_hub_call(turn, session->worker, send->address, send->op, send->args, "sent", session);
        free(send);
    }
    if (session->sending > 0)
        return;
    bool settled = session->settling;
    session->settling = false;
    stead_hub_sends_clear(&session->sends);
    bool crowded = session->crowded;
    session->crowded = false;
    if (session->failed && crowded) { /* there will be room, and what was stored is sent again */
        stead_engine_destroy(&session->engine);
        postpone_all(turn, session, PENDING_MS);
    } else if (session->failed) {
        abandon(turn, session);
    } else if (settled) {
        note_sent(session);
        run_episode(turn, session);
    } else {
        finish(turn, session);
    }
}

/* What came while the history was read joins the episode: fewer of them, and the start of a next execution finds what
 * waits for it. An engine that was kept has read no rows, by which what came twice is known. */
static void join_waiting(struct stead_hub_session *session)
{
    if (session->engine == NULL || (!came_twice(session->waiting) && !rewinds(session->waiting)))
        join(session);
}

static void run_episode(struct stead_turn *turn, struct stead_hub_session *session)
{
    struct stead_hub_part table = table_of(session);
    struct stead_writer args;

    session->failed = false;
    join_waiting(session);
    stead_writer_init(&args);
    switch (stead_hub_episode(turn, session, &args)) {
    case STEAD_HUB_WRITE:
        set_phase(session, STEAD_HUB_WRITING);
        session->worker->counts.writes++;
        if (STEAD_AGENT_FAULT(deleted_before_write))
            delete_messages(turn, session);
        if (STEAD_AGENT_FAULT(sent_before_write))
            for (const struct stead_hub_send *it = session->sends.first; it != NULL; it = it->next)
                stead_hub_call(turn, session->worker, it->address, it->op, it->args, "done", NULL);
        stead_hub_call(turn, session->worker, table.text, "write", stead_written(&args), "written", session);
        break;
    case STEAD_HUB_SEND:
        if (!session->kept || STEAD_AGENT_FAULT(kept_engine_trusted)) {
            send_some(turn, session);
            break;
        }
        stead_engine_destroy(&session->engine); /* Q7 */
        stead_hub_sends_clear(&session->sends);
        read_all(turn, session);
        break;
    case STEAD_HUB_READ_AGAIN:
        read_all(turn, session);
        break;
    case STEAD_HUB_PENDING:
        ask_due(turn, session);
        break;
    case STEAD_HUB_UNKNOWN:
        postpone_all(turn, session, UNKNOWN_MS);
        break;
    case STEAD_HUB_ABANDON:
        abandon(turn, session);
        break;
    }
    stead_writer_deinit(&args);
}

/* Reply: the episode is stored; or somebody else has written since we read, or we have and did not hear of it: what is
 * so is in the history. */
int stead_hub_session_written(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_session *session = stead_hub_object(turn);
    int code = stead_reply_code(turn);

    (void)state;
    stead_hub_asked(turn, session->worker);
    if (code == 0 && stead_get_u64(args, NULL, &session->etag) == 0) {
        session->exists = true;
        send_some(turn, session);
        return 0;
    }
    stead_engine_destroy(&session->engine);
    stead_hub_sends_clear(&session->sends);
    if (code != STEAD_ECONFLICT)
        stead_log(turn, "an episode of %s could not be stored: %s", session->id, stead_reply_error_sentence(turn));
    session->worker->counts.conflicts++;
    if (code == STEAD_EBUSY) { /* nothing has happened, and there will be room */
        postpone_all(turn, session, PENDING_MS);
        return 0;
    }
    if (code == STEAD_EARGUMENT || code == STEAD_EFAILED || ++session->conflicts >= CONFLICTS_MAX) {
        session->conflicts = 0;
        abandon(turn, session);
        return 0;
    }
    for (struct stead_hub_message *it = session->messages; it != NULL; it = it->next)
        it->count += it->count == 1; /* it may be taken already */
    read_all(turn, session);
    return 0;
}

/* Reply: something that the episode decided is stored. */
int stead_hub_session_sent(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_session *session = stead_hub_object(turn);

    (void)state, (void)args;
    stead_hub_asked(turn, session->worker);
    session->sending--;
    session->failed = session->failed || stead_reply_code(turn) != 0;
    session->crowded = session->crowded || stead_reply_code(turn) == STEAD_EBUSY;
    send_some(turn, session);
    return 0;
}
