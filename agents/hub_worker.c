/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_worker: a worker of a task hub: a volatile agent that holds leases of partitions, polls their control queues and
 * the queue of work items, and does what the messages say.
 *
 *     told to wake (by the hub's keeper) --> reads the settings --> leases partitions, every renew_ms
 *     a queue: dequeue --> messages --> dequeue ...
 *                     \--> nothing  --> notify: at once (it waited in the store) | fixed: after the interval | back-off: after ever longer
 *
 * All of its memory is behind one pointer: a turn of it never fails, so that nothing has to be put back. An answer that
 * does not come (the store's node is down) is a failure like any other: the worker asks again later, and what it had
 * taken comes back by itself.
 *
 * Nothing depends on a delete, and what is not deleted in time only comes back and is known again: so messages that
 * have done their work are deleted a few milliseconds later, many with one operation.
 *
 * What is taken again and again is set aside, but not for what others did: when the process has died of one message,
 * all that were taken with it come back. So a worker sets aside only what it has tried itself (Q5); what its code has
 * done to the process is known by the marks of its turns (hub_keep.c).
 *
 * It takes no more than it can hold: SESSIONS_MAX instances, MESSAGES_MAX messages and MESSAGE_BYTES_MAX for all of
 * them, however many come for one that is busy, and so many tasks as the settings say; above that it does not poll.
 */
#include "agents/hub_worker.h"

#include <stdlib.h>
#include <string.h>

#include "agents/agents.h"
#include "agents/hash.h"

#define SESSIONS_MAX 256u
#define MESSAGES_MAX 4096u
#define MESSAGE_BYTES_MAX ((size_t)32 << 20)
#define WAIT_MS 20000        /* of a long poll */
#define CALL_MS 30000        /* for an answer of the store */
#define AGAIN_MS 500         /* after a failure */
#define DELETE_AFTER_MS 5    /* messages that have done their work are deleted together */
#define DELETES_AT_ONCE 256u /* ... or when there are so many */

struct state {
    struct stead_hub_worker_state *worker; /* owned; NULL: not woken yet */
};

/* ---- Memory and calls ------------------------------------------------------------------------- */

void *stead_hub_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        abort();
    return memory;
}

/* A call whose answer has a number as its context. */
static void call_with_number(struct stead_turn *turn, const char *address, const char *op, struct stead_slice args,
                             const char *reply_op, uint32_t number, int64_t timeout_ms)
{
    const struct stead_call_options options = {
        .reply_op = reply_op, .context = stead_packed(turn, "u", (uint64_t)number), .timeout_ms = timeout_ms};

    if (stead_call(turn, address, op, args, &options) != 0)
        stead_log(turn, "%s of %s could not be asked for", op, address);
}

static uint64_t context_of(const struct stead_turn *turn)
{
    uint64_t it = 0;

    return stead_get_u64(stead_call_context(turn), NULL, &it) == 0 ? it : 0;
}

/* ---- Messages ---------------------------------------------------------------------------------- */

void stead_hub_message_destroy(struct stead_hub_message **message)
{
    free(*message);
    *message = NULL;
}

static struct stead_hub_message *make_message(const struct stead_hub_message *like, struct stead_slice id,
                                              struct stead_slice body)
{
    struct stead_hub_message *message = stead_hub_alloc(sizeof(*message) + id.size + body.size + 1);
    uint8_t *bytes = (uint8_t *)(message + 1);

    *message = *like;
    if (id.size > 0)
        memcpy(bytes, id.data, id.size);
    if (body.size > 0)
        memcpy(bytes + id.size, body.data, body.size);
    message->id = stead_bytes(bytes, id.size);
    message->body = stead_bytes(bytes + id.size, body.size);
    return message;
}

/* The next of a dequeue's answer; NULL: it is no message. */
static struct stead_hub_message *read_message(struct stead_reader *reader, const char *queue)
{
    struct stead_hub_message it = {.count = 0};
    struct stead_slice id, body;
    uint64_t missing = 0;
    uint32_t members;

    if (stead_read_array(reader, &members) != 0 || members < 5 || stead_read_u64(reader, &it.seq) != 0 ||
        stead_read_u64(reader, &it.receipt) != 0 || stead_read_u64(reader, &it.count) != 0 ||
        stead_read_str(reader, &id) != 0 || stead_read_value(reader, &body) != 0 ||
        (members > 5 && stead_read_u64(reader, &missing) != 0))
        return NULL;
    it.missing = (size_t)missing;
    memcpy(it.queue, queue, strlen(queue) + 1);
    return make_message(&it, id, body);
}

/* Asks for the delete of all that are of the first one's queue, and frees them. */
static void delete_of_one_queue(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    struct stead_hub_message *first = worker->finished, *taken = NULL;
    struct stead_hub_message **link = &worker->finished;
    struct stead_writer list, args;
    uint32_t count = 0;

    stead_writer_init(&list);
    stead_writer_init(&args);
    while (*link != NULL && count < STEAD_HUB_BATCH_MAX) {
        struct stead_hub_message *it = *link;
        if (it != first && strcmp(it->queue, first->queue) != 0) {
            link = &it->next;
            continue;
        }
        stead_pack(&list, "[u,u]", it->seq, it->receipt);
        *link = it->next;
        it->next = taken;
        taken = it;
        count++;
    }
    stead_write_array(&args, count);
    stead_write_raw(&args, list.data, list.size);
    worker->finished_count -= count;
    worker->counts.deletes++;
    stead_hub_call(turn, worker, first->queue, "retire", stead_written(&args), "done", NULL);
    stead_writer_deinit(&list);
    stead_writer_deinit(&args);
    while (taken != NULL) {
        struct stead_hub_message *it = taken;
        taken = it->next;
        stead_hub_message_destroy(&it);
    }
}

/* The timer. */
static int clear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;

    (void)args;
    while (worker != NULL && worker->finished != NULL)
        delete_of_one_queue(turn, worker);
    return 0;
}

void stead_hub_delete(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                      struct stead_hub_message **messages)
{
    bool first = worker->finished == NULL;

    while (*messages != NULL) {
        struct stead_hub_message *it = *messages;
        *messages = it->next;
        it->next = worker->finished;
        worker->finished = it;
        worker->finished_count++;
    }
    while (worker->finished_count >= DELETES_AT_ONCE)
        delete_of_one_queue(turn, worker);
    if (first && worker->finished != NULL)
        (void)stead_timer_after(turn, "clear", DELETE_AFTER_MS, "clear", (struct stead_slice){0});
}

/* The answer of an operation that nobody waits for. */
static int done(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;

    (void)args;
    if (worker != NULL)
        stead_hub_asked(turn, worker);
    return 0;
}

static void take(struct stead_turn *turn, struct stead_hub_worker_state *worker, struct stead_hub_message *message)
{
    struct stead_slice what = {0}, id = {0};

    if (stead_get_str(message->body, "t", &what) != 0)
        what = (struct stead_slice){0};
    if (stead_slice_equal(what, stead_str("work")) || stead_slice_equal(what, stead_str("call")))
        stead_hub_task_take(turn, worker, &message);
    else if (stead_slice_equal(what, stead_str("late")))
        stead_hub_task_take_late(turn, worker, &message);
    else if (stead_get_str(message->body, "i", &id) == 0 && id.size > 0 && id.size <= STEAD_INSTANCE_ID_MAX)
        stead_hub_session_take(turn, worker, id, &message);
    else
        stead_hub_poison(turn, worker, &message);
}

/* ---- Polling ------------------------------------------------------------------------------------- */

static struct stead_hub_part queue_at(const struct stead_hub_worker_state *worker, uint32_t at)
{
    return at == STEAD_HUB_WORK ? stead_hub_part_queue(&worker->settings, "work")
                                : stead_hub_control(&worker->settings, at);
}

/* What is left of a limit, but no more than this. */
static uint32_t at_most(uint32_t room, uint32_t limit, uint32_t used)
{
    uint32_t left = used < limit ? limit - used : 0;

    return left < room ? left : room;
}

/* How many messages of the queue there is room for. */
static uint32_t room_for(const struct stead_hub_worker_state *worker, uint32_t at)
{
    uint32_t room = STEAD_HUB_BATCH_MAX;

    if (at == STEAD_HUB_WORK)
        return at_most(room, worker->settings.tasks, worker->task_count - worker->call_count);
    if (worker->message_bytes >= MESSAGE_BYTES_MAX)
        return 0;
    room = at_most(room, SESSIONS_MAX, worker->busy_count);
    return at_most(room, MESSAGES_MAX, worker->message_count);
}

static bool is_polled(const struct stead_hub_worker_state *worker, uint32_t at, int64_t now_ms)
{
    if (!worker->settled || worker->stopped)
        return false;
    return at == STEAD_HUB_WORK ||
           (at < worker->settings.partitions && worker->mine[at] && worker->lease_until_ms > now_ms);
}

static void poll_one(struct stead_turn *turn, struct stead_hub_worker_state *worker, uint32_t at)
{
    struct stead_hub_poll *poll = &worker->polls[at];
    uint32_t max = room_for(worker, at);
    int64_t wait_ms = worker->settings.mode == STEAD_HUB_NOTIFY ? WAIT_MS : 0;

    if (poll->asked || poll->rests || max == 0 || !is_polled(worker, at, stead_now_ms(turn)))
        return;
    struct stead_hub_part queue = queue_at(worker, at);
    poll->asked = true;
    worker->counts.dequeues++;
    call_with_number(turn, queue.text, "dequeue",
                     stead_packed(turn, "{s:u,s:l,s:l,s:u}", "max", (uint64_t)max, "hide", worker->settings.hide_ms,
                                  "wait", wait_ms, "who", (uint64_t)worker->number + 1),
                     "got", at, wait_ms + CALL_MS);
}

void stead_hub_poll_all(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    for (uint32_t at = 0; at < STEAD_HUB_QUEUES; at++)
        poll_one(turn, worker, at);
}

static void rest(struct stead_turn *turn, struct stead_hub_worker_state *worker, uint32_t at, int64_t ms)
{
    worker->polls[at].rests = true;
    if (stead_timer_after(turn, stead_printed(turn, "poll-%u", at), ms, "rested",
                          stead_packed(turn, "u", (uint64_t)at)) != 0)
        worker->polls[at].rests = false;
}

/* Nothing was there. */
static void back_off(struct stead_turn *turn, struct stead_hub_worker_state *worker, uint32_t at)
{
    const struct stead_hub_settings *settings = &worker->settings;
    struct stead_hub_poll *poll = &worker->polls[at];

    worker->counts.empty++;
    if (settings->mode == STEAD_HUB_FIXED) {
        rest(turn, worker, at, settings->interval_ms);
    } else if (settings->mode == STEAD_HUB_BACKOFF) {
        if (poll->interval_ms < settings->first_ms)
            poll->interval_ms = settings->first_ms;
        double part = (double)(stead_random(turn) >> 11) / 9007199254740992.0; /* 0 <= part < 1 */
        double ms = (double)poll->interval_ms * (1.0 + settings->jitter * (2.0 * part - 1.0));
        rest(turn, worker, at, ms < 1.0 ? 1 : (int64_t)ms);
        poll->interval_ms = poll->interval_ms * 2 < settings->max_ms ? poll->interval_ms * 2 : settings->max_ms;
    }
}

static int rested(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;
    uint64_t at;

    if (worker == NULL || stead_get_u64(args, NULL, &at) != 0 || at >= STEAD_HUB_QUEUES)
        return 0;
    worker->polls[at].rests = false;
    poll_one(turn, worker, (uint32_t)at);
    return 0;
}

/* Q5: it was taken too often, and not only because processes died of what was taken with it: this worker has tried it
 * too, and is not at it. */
static bool is_given_up(struct stead_hub_worker_state *worker, const struct stead_hub_message *message)
{
    uint64_t hash = stead_hash64(stead_str(message->queue)) ^ message->seq * 0x9e3779b97f4a7c15u;
    uint64_t *tried = &worker->tried[hash % STEAD_HUB_TRIED];

    if (message->count <= STEAD_HUB_TRIES_MAX || stead_hub_session_works(worker, stead_hub_text(message->body, "i")))
        return false;
    bool again = *tried == hash;
    *tried = hash;
    return again;
}

/* What came is looked at in its order; before a message that is too long for an answer the rest waits until it was
 * fetched. */
static void go_through(struct stead_turn *turn, struct stead_hub_worker_state *worker, uint32_t at)
{
    struct stead_hub_poll *poll = &worker->polls[at];

    while (poll->came != NULL) {
        struct stead_hub_message *message = poll->came;
        if (message->missing > 0) {
            call_with_number(turn, message->queue, "body",
                             stead_packed(turn, "{s:u,s:u}", "seq", message->seq, "at", (uint64_t)poll->body.size),
                             "fetched", at, CALL_MS);
            return;
        }
        poll->came = message->next;
        message->next = NULL;
        if (is_given_up(worker, message))
            stead_hub_poison(turn, worker, &message);
        else
            take(turn, worker, message);
    }
    poll->asked = false;
    stead_hub_poll_all(turn, worker);
}

/* Reply: a part of a long body. It is asked for again where there was no room; one that cannot be had comes back when
 * its time is over. */
static int fetched(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;
    uint32_t at = (uint32_t)context_of(turn);
    struct stead_slice bytes = {0};

    if (worker == NULL || at >= STEAD_HUB_QUEUES || worker->polls[at].came == NULL)
        return 0;
    struct stead_hub_poll *poll = &worker->polls[at];
    struct stead_hub_message *message = poll->came;
    bool ok = stead_reply_code(turn) == 0 && stead_get_bin(args, NULL, &bytes) == 0 && bytes.size > 0;
    if (ok)
        stead_write_raw(&poll->body, bytes.data, bytes.size);
    bool busy = stead_reply_code(turn) == STEAD_EBUSY;
    if ((!ok && !busy) || poll->body.size >= message->missing) {
        poll->came = message->next;
        if (ok) {
            struct stead_hub_message *whole = make_message(message, message->id, stead_written(&poll->body));
            whole->missing = 0;
            poll->came = whole;
        }
        stead_writer_reset(&poll->body);
        stead_hub_message_destroy(&message);
    }
    go_through(turn, worker, at);
    return 0;
}

/* Reply: what a queue had. */
static int got(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;
    uint32_t at = (uint32_t)context_of(turn), count = 0;
    struct stead_reader reader = stead_reader(args);

    if (worker == NULL || at >= STEAD_HUB_QUEUES)
        return 0;
    struct stead_hub_poll *poll = &worker->polls[at];
    struct stead_hub_message **last = &poll->came;
    int code = stead_reply_code(turn);
    if (code == STEAD_ETIMEOUT && worker->settings.mode == STEAD_HUB_NOTIFY)
        code = 0; /* the store was restarted under the long poll */
    else if (code == 0)
        code = stead_read_array(&reader, &count);
    if (code != 0) {
        poll->asked = false;
        rest(turn, worker, at, AGAIN_MS);
        return 0;
    }
    if (count == 0)
        back_off(turn, worker, at);
    else
        poll->interval_ms = 0;
    struct stead_hub_part queue = queue_at(worker, at);
    for (; count > 0; count--) {
        *last = read_message(&reader, queue.text);
        if (*last == NULL)
            break;
        last = &(*last)->next;
    }
    go_through(turn, worker, at);
    return 0;
}

/* ---- Waking, leasing ------------------------------------------------------------------------------- */

/* The key is {TAG}NAME/NUMBER. */
static bool parse_key(const char *key, struct stead_hub_worker_state *worker)
{
    const char *name = strchr(key, '}');
    const char *slash = name == NULL ? NULL : strchr(name, '/');

    if (slash == NULL || slash == name + 1 || slash - name - 1 > (int)STEAD_HUB_NAME_MAX || slash[1] == '\0')
        return false;
    memcpy(worker->name, name + 1, (size_t)(slash - name - 1));
    for (const char *at = slash + 1; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || worker->number > STEAD_HUB_WORKERS_MAX)
            return false;
        worker->number = worker->number * 10 + (uint32_t)(*at - '0');
    }
    return true;
}

static void ask_lease(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    struct stead_hub_part hub = stead_hub_itself(worker->name);

    stead_hub_call(turn, worker, hub.text, "lease", stead_packed(turn, "{s:u}", "worker", (uint64_t)worker->number),
                   "leased", worker);
}

static int lease(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;

    (void)args;
    if (worker != NULL && worker->settled && !worker->stopped)
        ask_lease(turn, worker);
    return 0;
}

static int leased(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;
    int64_t renew_ms = AGAIN_MS, lease_ms = 0;
    struct stead_slice list;
    uint64_t partition;
    uint32_t count = 0;

    stead_hub_asked(turn, worker);
    if (stead_reply_code(turn) == 0 && stead_get_value(args, "partitions", &list) == 0 &&
        stead_get_i64(args, "renew_ms", &renew_ms) == 0 && stead_get_i64(args, "lease_ms", &lease_ms) == 0) {
        struct stead_reader reader = stead_reader(list);
        memset(worker->mine, 0, sizeof(worker->mine));
        worker->lease_until_ms = stead_now_ms(turn) + lease_ms - renew_ms / 2;
        if (stead_read_array(&reader, &count) != 0)
            count = 0;
        for (; count > 0 && stead_read_u64(&reader, &partition) == 0; count--)
            if (partition < STEAD_HUB_PARTITIONS_MAX)
                worker->mine[partition] = true;
    } else if (stead_reply_code(turn) == STEAD_ENOTFOUND) {
        return stead_destroy(turn); /* there is no such hub any more */
    }
    (void)stead_timer_after(turn, "lease", renew_ms, "lease", (struct stead_slice){0});
    stead_hub_poll_all(turn, worker);
    return 0;
}

static int settle(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = ((struct state *)state)->worker;

    stead_hub_asked(turn, worker);
    worker->asking = false;
    stead_hub_settings_default(&worker->settings, worker->name);
    worker->settled = stead_reply_code(turn) == 0 && stead_hub_settings_read(&worker->settings, args) == 0 &&
                      worker->number < worker->settings.workers;
    if (worker->settled)
        ask_lease(turn, worker);
    return 0;
}

/* Told by the hub again and again: what is awake stays so. */
static int wake(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct state *it = state;

    (void)args;
    if (it->worker == NULL) {
        struct stead_hub_worker_state *worker = stead_hub_alloc(sizeof(*worker));
        for (uint32_t at = 0; at < STEAD_HUB_QUEUES; at++)
            stead_writer_init(&worker->polls[at].body);
        if (!parse_key(stead_self_key(turn), worker)) {
            free(worker);
            return stead_fail(turn, "bad_key", "a worker's key is {TAG}HUB/NUMBER");
        }
        it->worker = worker;
    }
    if (!it->worker->settled && !it->worker->asking) {
        struct stead_hub_part hub = stead_hub_itself(it->worker->name);
        it->worker->asking = true;
        stead_hub_call(turn, it->worker, hub.text, "settings", (struct stead_slice){0}, "settle", it->worker);
    }
    return 0;
}

static int stop(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

static int status(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_hub_worker_state *worker = ((struct state *)state)->worker;
    static const struct stead_hub_worker_state asleep = {.number = 0};
    const struct stead_hub_counts *counts;
    uint64_t held = 0;

    (void)args;
    worker = worker == NULL ? &asleep : worker;
    counts = &worker->counts;
    for (uint32_t at = 0; at < STEAD_HUB_PARTITIONS_MAX; at++)
        held += worker->mine[at];
    return stead_reply(turn, stead_packed(turn, "{s:b,s:s,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u,s:u}",
                                          "awake", (int)worker->settled, "node", stead_node_name(turn), "partitions",
                                          held, "instances", (uint64_t)worker->session_count, "running",
                                          (uint64_t)worker->task_count, "dequeues", counts->dequeues, "empty",
                                          counts->empty, "enqueues", counts->enqueues, "deletes", counts->deletes,
                                          "renewals", counts->renewals, "reads", counts->reads, "writes",
                                          counts->writes, "episodes", counts->episodes, "tasks", counts->tasks,
                                          "conflicts", counts->conflicts, "poisoned", counts->poisoned));
}

static void free_messages(struct stead_hub_message *messages)
{
    while (messages != NULL) {
        struct stead_hub_message *message = messages;
        messages = message->next;
        stead_hub_message_destroy(&message);
    }
}

static void on_unload(void *state)
{
    struct state *it = state;

    if (it->worker == NULL)
        return;
    stead_hub_sessions_destroy(it->worker);
    stead_hub_tasks_destroy(it->worker);
    stead_hub_asks_destroy(it->worker);
    for (uint32_t at = 0; at < STEAD_HUB_QUEUES; at++) {
        free_messages(it->worker->polls[at].came);
        stead_writer_deinit(&it->worker->polls[at].body);
    }
    free_messages(it->worker->finished);
    free(it->worker);
    it->worker = NULL;
}

static const struct stead_op ops[] = {
    {"wake", wake, NULL, 0, "begins to work for its hub"},
    {"stop", stop, NULL, 0, "ends this worker: what it had taken comes back"},
    {"status", status, NULL, STEAD_OP_READ_ONLY, "what it does and did"},
    {"settle", settle, NULL, 0, "reply: the hub's settings"},
    {"lease", lease, NULL, 0, "timer: renews its leases"},
    {"leased", leased, NULL, 0, "reply: the partitions it holds"},
    {"rested", rested, NULL, 0, "timer: polls a queue again"},
    {"got", got, NULL, 0, "reply: what a queue had"},
    {"fetched", fetched, NULL, 0, "reply: a part of a long message"},
    {"pieced", stead_hub_pieced, NULL, 0, "reply: a piece of a long operation"},
    {"clear", clear, NULL, 0, "timer: deletes messages that have done their work"},
    {"done", done, NULL, 0, "reply: of an operation that nobody waits for"},
    {"read", stead_hub_session_read, NULL, 0, "reply: an instance's history"},
    {"written", stead_hub_session_written, NULL, 0, "reply: an episode is stored"},
    {"due", stead_hub_session_due, NULL, 0, "reply: when an instance begins"},
    {"sent", stead_hub_session_sent, NULL, 0, "reply: something that it decided is stored"},
    {"ran", stead_hub_task_ran, NULL, 0, "reply: of an activity or an agent"},
    {"told", stead_hub_task_told, NULL, 0, "reply: a result is stored"},
    {"renew", stead_hub_task_renew, NULL, 0, "timer: hides what is under way"},
    {"look", stead_hub_task_look, NULL, 0, "timer: was something cancelled that is under way?"},
    {"late", stead_hub_task_late, NULL, 0, "reply: whether somebody has taken what must have begun"},
    {"looked", stead_hub_task_looked, NULL, 0, "reply: what was cancelled"},
    {"renewed", stead_hub_task_renewed, NULL, 0, "reply: it is hidden, or nobody wants it any more"},
    {NULL, NULL, NULL, 0, NULL}};

const struct stead_kind stead_hub_worker_kind = {.abi = STEAD_ABI,
                                                 .struct_size = sizeof(struct stead_kind),
                                                 .name = STEAD_HUB_WORKER_KIND,
                                                 .help = "a worker of a task hub",
                                                 .durability = STEAD_VOLATILE,
                                                 .state_size = sizeof(struct state),
                                                 .ops = ops,
                                                 .on_unload = on_unload};
