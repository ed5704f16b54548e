/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_send: what an episode decided, as operations of the store. Ids of messages follow from the instance, its
 * execution and the event that asks: who repeats them because a predecessor died between the write and the delete puts
 * nothing in twice. An execution is known by its number, the message that started it and the time its instance was
 * created: when an instance was purged the next one of its id has the same numbers, perhaps the same time (clocks are
 * set back), and queues still know the messages of the one before.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/hash.h"
#include "agents/hub_episode.h"
#include "agents/hub_key.h"

#define EXECUTION_BITS 20u
#define WAKE_MS 2000                                        /* until somebody looks again whether the code is loaded */
#define ROOM_MS 500                                         /* an earlier attempt ends within */
#define LIMIT_MS_MAX (INT64_C(10) * 366 * 24 * 3600 * 1000) /* nobody waits for a longer one to be over */
#define LIFE_MAX INT64_MAX                                  /* messages carry it as a number with a sign */

static const struct stead_slice nothing = {NULL, 0};

/* ---- Ids ---------------------------------------------------------------------------------------- */

struct message_id {
    char text[STEAD_HUB_MESSAGE_ID_MAX];
};

static void print(char *buffer, size_t size, const char *format, ...) STEAD_PRINTF(3, 4);
static void print(char *buffer, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)stead_print_v(buffer, size, format, args);
    va_end(args);
}

uint64_t stead_hub_life(const struct stead_hub_session *session)
{
    struct stead_slice row = stead_written(&session->row);
    uint64_t born = stead_hash64(stead_hub_text(row, "start")) ^
                    (uint64_t)stead_hub_number(row, "created") * 0x9e3779b97f4a7c15u; /* odd: no two times meet */

    return (born << EXECUTION_BITS | (session->execution & ((1u << EXECUTION_BITS) - 1))) & LIFE_MAX;
}

static struct message_id id_of(const struct stead_hub_session *session, uint64_t event, const char *what)
{
    struct message_id id;

    print(id.text, sizeof(id.text), "%s:%llx:%llu:%s", session->id, (unsigned long long)stead_hub_life(session),
          (unsigned long long)event, what);
    return id;
}

/* ---- The list ------------------------------------------------------------------------------------ */

static void add(struct stead_hub_session *session, const char *address, const char *op, struct stead_slice args)
{
    struct stead_hub_send *send = stead_hub_alloc(sizeof(*send) + args.size + 1);
    uint8_t *bytes = (uint8_t *)(send + 1);

    memcpy(bytes, args.data, args.size);
    memcpy(send->address, address, strlen(address) + 1);
    send->op = op;
    send->args = stead_bytes(bytes, args.size);
    if (session->sends.last != NULL)
        session->sends.last->next = send;
    else
        session->sends.first = send;
    session->sends.last = send;
    session->sends.count++;
}

void stead_hub_send_again(struct stead_hub_session *session, struct stead_slice address, const char *op,
                          struct stead_slice args)
{
    struct stead_hub_part part;

    if (address.size >= sizeof(part.text))
        return;
    memcpy(part.text, address.data, address.size);
    part.text[address.size] = '\0';
    add(session, part.text, op, args);
}

void stead_hub_sends_clear(struct stead_hub_sends *sends)
{
    while (sends->first != NULL) {
        struct stead_hub_send *it = sends->first;
        sends->first = it->next;
        free(it);
    }
    *sends = (struct stead_hub_sends){NULL, NULL, 0};
}

static void enqueue(struct stead_hub_session *session, const char *queue, const char *id, int64_t delay_ms,
                    struct stead_slice body)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:b,s:b,s:l,s:v}", "id", id, "copy", strchr(id, '#') != NULL, "watch",
               stead_hub_number(body, "start") > 0, "delay", delay_ms, "body", body);
    add(session, queue, "enqueue", stead_written(&args));
    stead_writer_deinit(&args);
}

/* The messages that tell of an activity's times, if it has some. */
static void cancel_limits(struct stead_hub_session *session, uint64_t ref)
{
    struct stead_hub_part own = stead_hub_control(&session->worker->settings, session->partition);
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "[s,s]", id_of(session, ref, STEAD_HUB_WHOLE).text, id_of(session, ref, STEAD_HUB_LATE).text);
    add(session, own.text, "cancel", stead_written(&args));
    stead_writer_deinit(&args);
}

static void cancel(struct stead_hub_session *session, const char *queue, const char *id)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "[s]", id);
    add(session, queue, "cancel", stead_written(&args));
    stead_writer_deinit(&args);
}

void stead_hub_send_start_cancel(struct stead_hub_session *session)
{
    struct stead_hub_part own = stead_hub_control(&session->worker->settings, session->partition);
    char id[STEAD_HUB_MESSAGE_ID_MAX];

    if (stead_get_text(stead_written(&session->row), "start", id, sizeof(id)) == 0 && id[0] != '\0')
        cancel(session, own.text, id);
}

static struct stead_hub_part control_of(const struct stead_hub_session *session, struct stead_slice id)
{
    const struct stead_hub_settings *settings = &session->worker->settings;

    return stead_hub_control(settings, stead_hub_partition(settings, id));
}

static struct stead_hub_part work_queue(const struct stead_hub_session *session)
{
    return stead_hub_part_queue(&session->worker->settings, "work");
}

static bool is_agent(struct stead_slice target)
{
    return target.size > 0 && memchr(target.data, '/', target.size) != NULL;
}

/* ---- Requests -------------------------------------------------------------------------------------- */

static int64_t option(const struct stead_history_event *event, const char *name)
{
    int64_t it = 0;

    return stead_get_i64(event->extra, name, &it) == 0 && it > 0 ? it : 0;
}

/* When its time is over, its instance hears of it, whoever has the work then: at the latest as a whole; and when nobody
 * has taken it when it must have begun. */
static void send_limits(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);
    int64_t whole_ms = option(event, "timeout"), start_ms = option(event, "start");
    struct stead_writer body;

    stead_writer_init(&body);
    if (whole_ms > 0 && whole_ms <= LIMIT_MS_MAX) {
        stead_pack(&body, "{s:s,s:s,s:u,s:u,s:u,s:l,s:s,s:s}", "t", "result", "i", session->id, "x",
                   stead_hub_life(session), "r", event->id, "k", (uint64_t)STEAD_HISTORY_TASK_FAILED, "c",
                   (int64_t)STEAD_ETIMEOUT, "en", stead_error_name(STEAD_ETIMEOUT), "es",
                   stead_error_sentence(STEAD_ETIMEOUT));
        enqueue(session, queue.text, id_of(session, event->id, STEAD_HUB_WHOLE).text, whole_ms, stead_written(&body));
    }
    if (start_ms > 0 && start_ms <= LIMIT_MS_MAX && (whole_ms == 0 || start_ms < whole_ms)) {
        stead_writer_reset(&body);
        stead_pack(&body, "{s:s,s:s,s:u,s:u,s:s}", "t", "late", "i", session->id, "x", stead_hub_life(session), "r",
                   event->id, "w", id_of(session, event->id, "w").text);
        enqueue(session, queue.text, id_of(session, event->id, STEAD_HUB_LATE).text, start_ms, stead_written(&body));
    }
    stead_writer_deinit(&body);
}

static void send_work(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part queue = work_queue(session);
    struct message_id id = id_of(session, event->id, "w");
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:u,s:u,s:S,s:v,s:l,s:l,s:l,s:l,s:l}", "t", "work", "i", session->id, "x",
               stead_hub_life(session), "r", event->id, "n", event->name, "v", event->value, "at", session->now_ms,
               "timeout", option(event, "timeout"), "start", option(event, "start"), "run", option(event, "run"),
               "heartbeat", option(event, "heartbeat"));
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
    send_limits(session, event);
}

/* A call of an agent, or with `ref` 0 a signal: nobody gets the answer. */
static void send_call(struct stead_hub_session *session, const struct stead_history_event *event, uint64_t ref,
                      struct message_id id, uint64_t fence)
{
    struct stead_hub_part queue = control_of(session, event->target);
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:S,s:S,s:v,s:u,s:l,s:l,s:s,s:u,s:u,s:s}", "t", "call", "a", event->target, "n",
               event->name, "v", event->value, "f", fence, "at", session->now_ms, "timeout", option(event, "timeout"),
               "i", session->id, "x", stead_hub_life(session), "r", ref, "m", id.text);
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
}

static void send_task(struct stead_hub_session *session, const struct stead_history_event *event)
{
    uint64_t fence = 0;

    if (event->target.size == 0) {
        send_work(session, event);
        return;
    }
    if (stead_get_u64(event->extra, "fence", &fence) != 0)
        fence = 0;
    send_call(session, event, event->id, id_of(session, event->id, "c"), fence);
}

static void send_child(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part queue = control_of(session, event->target);
    struct message_id id = id_of(session, event->id, "s");
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:S,s:S,s:v,s:l,s:s,s:u,s:u,s:l}", "t", "start", "i", event->target, "n", event->name, "v",
               event->value, "ver", option(event, "version"), "p", session->id, "px", stead_hub_life(session), "pr",
               event->id, "rw", option(event, "resumes"));
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
}

static void send_timer(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);
    struct message_id id = id_of(session, event->id, "t");
    int64_t delay_ms = option(event, "due") - session->now_ms;
    bool far = delay_ms > STEAD_HUB_DELAY_MS_MAX;
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:u,s:u,s:u,s:l,s:b}", "t", "result", "i", session->id, "x", stead_hub_life(session),
               "r", event->id, "k", (uint64_t)STEAD_HISTORY_TIMER_FIRED, "due", option(event, "due"), "far", (int)far);
    delay_ms = far ? STEAD_HUB_DELAY_MS_MAX : delay_ms;
    enqueue(session, queue.text, id.text, delay_ms > 0 ? delay_ms : 0, stead_written(&body));
    stead_writer_deinit(&body);
}

static void send_one_way(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part queue = control_of(session, event->target);
    struct message_id id = id_of(session, event->id, "e");
    struct stead_writer body;

    if (is_agent(event->target)) {
        send_call(session, event, 0, id, 0);
        return;
    }
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:S,s:S,s:v}", "t", "raise", "i", event->target, "n", event->name, "v", event->value);
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
}

/* The request `ref` is not wanted any more. */
static void send_cancel(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_hub_part own = stead_hub_control(&session->worker->settings, session->partition);
    struct stead_hub_part work = work_queue(session), other = control_of(session, event->target);
    struct stead_writer body;

    if (event->name.size == 0) {
        cancel(session, own.text, id_of(session, event->ref, "t").text);
    } else if (event->target.size == 0) {
        cancel(session, work.text, id_of(session, event->ref, "w").text);
        cancel_limits(session, event->ref);
    } else if (is_agent(event->target)) {
        /* A hold that was asked for may be given even after its worker's death: its message stays, so that somebody
         * hears of it and releases it. */
        if (!stead_slice_equal(event->name, stead_str(STEAD_OP_HOLD)))
            cancel(session, other.text, id_of(session, event->ref, "c").text);
    } else {
        struct message_id id = id_of(session, event->id, "x");
        cancel(session, other.text,
               id_of(session, event->ref, "s").text); /* its start may be behind this: hidden by a worker that died */
        stead_writer_init(&body);
        stead_pack(&body, "{s:s,s:S,s:u,s:s,s:s,s:u,s:u}", "t", "steer", "i", event->target, "k",
                   (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "its parent was terminated, or wants it no more",
                   "p", session->id, "px", stead_hub_life(session), "pr", event->ref);
        enqueue(session, other.text, id.text, 0, stead_written(&body));
        stead_writer_deinit(&body);
    }
}

static void send_releases(struct stead_hub_session *session, const struct stead_history_event *event)
{
    struct stead_reader reader = stead_reader(event->value);
    struct stead_slice address;
    uint64_t fence;
    uint32_t count, two;

    if (stead_read_array(&reader, &count) != 0)
        return;
    for (; count > 0; count--) {
        if (stead_read_array(&reader, &two) != 0 || two != 2 || stead_read_str(&reader, &address) != 0 ||
            stead_read_u64(&reader, &fence) != 0)
            return;
        stead_hub_send_release(session, address, fence, event->id);
    }
}

void stead_hub_send_release(struct stead_hub_session *session, struct stead_slice address, uint64_t fence, uint64_t ref)
{
    struct stead_history_event event = {.name = stead_str(STEAD_OP_RELEASE), .target = address};
    struct message_id id;
    struct stead_writer value;
    uint64_t hash = stead_hash64(address); /* agents of one section may have the same fence, and lie in one partition */

    print(id.text, sizeof(id.text), "%s:%llx:%llu:u%llu.%llx", session->id, (unsigned long long)stead_hub_life(session),
          (unsigned long long)ref, (unsigned long long)fence, (unsigned long long)hash);
    stead_writer_init(&value);
    stead_pack(&value, "{s:u}", "fence", fence);
    event.value = stead_written(&value);
    send_call(session, &event, 0, id, fence);
    stead_writer_deinit(&value);
}

void stead_hub_send_event(struct stead_hub_session *session, const struct stead_history_event *event)
{
    switch (event->type) {
    case STEAD_HISTORY_TASK_SCHEDULED:
        send_task(session, event);
        break;
    case STEAD_HISTORY_CHILD_CREATED:
        send_child(session, event);
        break;
    case STEAD_HISTORY_TIMER_CREATED:
        send_timer(session, event);
        break;
    case STEAD_HISTORY_EVENT_SENT:
        send_one_way(session, event);
        break;
    case STEAD_HISTORY_TASK_CANCELED:
        send_cancel(session, event);
        break;
    case STEAD_HISTORY_LOCKS_RELEASED:
        send_releases(session, event);
        break;
    default:
        break;
    }
}

void stead_hub_send_end(struct stead_hub_session *session, const struct stead_history_event *end)
{
    struct stead_slice parent = {0}, row = stead_written(&session->row);
    struct stead_writer body;
    uint64_t execution = 0, ref = 0;
    bool ok = end->type == STEAD_HISTORY_EXECUTION_COMPLETED;

    if (stead_get_str(row, "parent", &parent) != 0 || parent.size == 0 || stead_get_u64(row, "px", &execution) != 0 ||
        stead_get_u64(row, "pr", &ref) != 0)
        return;
    struct stead_hub_part queue = control_of(session, parent);
    struct message_id id;
    char done[32];
    bool terminated = end->type == STEAD_HISTORY_EXECUTION_TERMINATED;
    print(done, sizeof(done), "%llu:d", (unsigned long long)ref); /* each request of the parent is told once */
    id = id_of(session, end->id, done);
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:S,s:u,s:u,s:u,s:v,s:l,s:S,s:S}", "t", "result", "i", parent, "x", execution, "r", ref,
               "k", (uint64_t)(ok ? STEAD_HISTORY_CHILD_COMPLETED : STEAD_HISTORY_CHILD_FAILED), "v",
               ok ? end->value : nothing, "c",
               (int64_t)(ok           ? 0
                         : terminated ? STEAD_ECANCELLED
                                      : end->code),
               "en", terminated ? stead_str("terminated") : end->error_name, "es", end->error_sentence);
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
}

/* An earlier attempt of the same parent, which nobody wants any more, ends; its successor comes again a little
 * later. */
static void make_room(struct stead_hub_session *session, const struct stead_hub_message *start)
{
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);
    struct stead_slice row = stead_written(&session->row);
    struct message_id id;
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:u,s:s,s:S,s:l,s:l}", "t", "steer", "i", session->id, "k",
               (uint64_t)STEAD_HISTORY_EXECUTION_TERMINATED, "es", "its parent began anew", "p",
               stead_hub_text(row, "parent"), "px", stead_hub_number(row, "px"), "pr", stead_hub_number(row, "pr"));
    print(id.text, sizeof(id.text), "%s:%llx:room", session->id, (unsigned long long)stead_hub_life(session));
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    struct stead_slice own = stead_hub_own_id(start->id);
    print(id.text, sizeof(id.text), "%.*s#%llu", (int)own.size, (const char *)own.data, (unsigned long long)start->seq);
    enqueue(session, queue.text, id.text, ROOM_MS, start->body);
    stead_writer_deinit(&body);
}

void stead_hub_send_refusal(struct stead_hub_session *session, const struct stead_hub_message *start)
{
    struct stead_slice row = stead_written(&session->row);
    int64_t ref = stead_hub_number(start->body, "pr"), known = stead_hub_number(row, "pr");

    if (!stead_slice_equal(stead_hub_text(row, "parent"), stead_hub_text(start->body, "p")))
        stead_hub_send_conflict(session, start);
    else if (stead_hub_number(row, "px") != stead_hub_number(start->body, "px") || ref > known)
        make_room(session, start);
    else if (ref < known)
        stead_hub_send_conflict(session, start);
}

void stead_hub_send_conflict(struct stead_hub_session *session, const struct stead_hub_message *start)
{
    struct stead_slice parent = stead_hub_text(start->body, "p");
    int64_t execution = stead_hub_number(start->body, "px"), ref = stead_hub_number(start->body, "pr");
    struct message_id id;
    struct stead_writer body;

    if (parent.size == 0 || parent.size > STEAD_INSTANCE_ID_MAX)
        return;
    struct stead_hub_part queue = control_of(session, parent);
    print(id.text, sizeof(id.text), "%.*s:%llx:%llu:n", (int)parent.size, (const char *)parent.data,
          (unsigned long long)execution, (unsigned long long)ref);
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:S,s:l,s:l,s:u,s:l,s:s,s:s}", "t", "result", "i", parent, "x", execution, "r", ref, "k",
               (uint64_t)STEAD_HISTORY_CHILD_FAILED, "c", (int64_t)STEAD_ECONFLICT, "en",
               stead_error_name(STEAD_ECONFLICT), "es", "an instance of the child's id is active");
    enqueue(session, queue.text, id.text, 0, stead_written(&body));
    stead_writer_deinit(&body);
}

void stead_hub_send_wake(struct stead_hub_session *session, const struct stead_hub_message *again)
{
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);
    uint64_t event = (uint64_t)stead_hub_number(stead_written(&session->row), "events");
    struct message_id id = id_of(session, event, "k");
    struct stead_writer body;

    if (again != NULL) {
        struct stead_slice own = stead_hub_own_id(again->id);
        print(id.text, sizeof(id.text), "%.*s#%llu", (int)own.size, (const char *)own.data,
              (unsigned long long)again->seq);
    }
    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:u,s:u}", "t", "wake", "i", session->id, "x", stead_hub_life(session), "r", event);
    enqueue(session, queue.text, id.text, WAKE_MS, stead_written(&body));
    stead_writer_deinit(&body);
}

/* ---- Again ---------------------------------------------------------------------------------------- */

/* Sends again what the episode of this row decided. A timer is due when it was: what is left of its delay is counted
 * from now. */
static void send_again(struct stead_hub_session *session, struct stead_slice events)
{
    struct stead_history_row row;
    struct stead_history_event event;

    if (stead_history_row_begin(events, &row) != 0)
        return;
    while (stead_history_row_next(&row, &event) == 0) {
        if (event.type == STEAD_HISTORY_EXECUTION_COMPLETED || event.type == STEAD_HISTORY_EXECUTION_FAILED ||
            event.type == STEAD_HISTORY_EXECUTION_TERMINATED)
            stead_hub_send_end(session, &event);
        stead_hub_send_event(session, &event);
    }
}

static void send_again_list(struct stead_hub_session *session, struct stead_slice out)
{
    static const char *const ops[] = {"enqueue", "cancel"};
    struct stead_reader reader = stead_reader(out);
    struct stead_slice address, args;
    uint64_t op;
    uint32_t count, three;

    if (out.size == 0 || stead_read_array(&reader, &count) != 0)
        return;
    for (; count > 0; count--) {
        if (stead_read_array(&reader, &three) != 0 || three != 3 || stead_read_str(&reader, &address) != 0 ||
            stead_read_u64(&reader, &op) != 0 || op > 1 || stead_read_value(&reader, &args) != 0)
            return;
        stead_hub_send_again(session, address, ops[op], args);
    }
}

static bool begins_episode(struct stead_slice events)
{
    struct stead_history_row row;
    struct stead_history_event event;

    return stead_history_row_begin(events, &row) == 0 && stead_history_row_next(&row, &event) == 0 &&
           event.type == STEAD_HISTORY_ORCHESTRATOR_STARTED;
}

/* It failed by its code: no event says so, but its row. */
static void send_failure_again(struct stead_hub_session *session)
{
    struct stead_slice row = stead_written(&session->row), name = stead_hub_text(row, "error_name");
    bool poison = stead_slice_equal(name, stead_str(stead_error_name(STEAD_EPOISON)));
    const struct stead_history_event end = {.type = STEAD_HISTORY_EXECUTION_FAILED,
                                            .code = poison ? STEAD_EPOISON : STEAD_EFAILED,
                                            .error_name = name,
                                            .error_sentence = stead_hub_text(row, "error_sentence")};

    if (stead_hub_differs(session))
        stead_hub_send_end(session, &end);
}

static void send_newest(struct stead_hub_session *session)
{
    struct stead_hub_walk walk = {.at = 0}, newest = {.at = 0}, before = {.at = 0};
    struct stead_slice out = nothing;
    uint32_t episodes = 0;

    send_failure_again(session);
    while (stead_hub_next_row(session, &walk)) {
        out = walk.out.size > 0 ? walk.out : out;
        if (begins_episode(walk.events)) {
            newest = before;
            episodes++;
        }
        before = walk;
    }
    if (out.size > 0 && episodes <= 1) { /* it threw a history away */
        send_again_list(session, out);
        return;
    }
    while (stead_hub_next_row(session, &newest))
        send_again(session, newest.events);
}

/* What the last episode of the instance decided that had the id before: by its own row and rows. */
static void send_past(struct stead_hub_session *session, struct stead_slice past)
{
    struct stead_writer row = session->row;
    struct stead_hub_rows rows = session->rows;
    uint32_t execution = session->execution, count = 0;
    bool exists = session->exists;
    struct stead_reader reader = stead_reader(past);
    struct stead_slice map, bytes;

    if (stead_read_array(&reader, &count) != 0 || stead_read_skip(&reader) != 0 || stead_read_skip(&reader) != 0 ||
        stead_read_value(&reader, &map) != 0 || stead_read_array(&reader, &count) != 0)
        return;
    stead_writer_init(&session->row);
    stead_write_raw(&session->row, map.data, map.size);
    session->rows = (struct stead_hub_rows){.count = 0};
    stead_writer_init(&session->rows.bytes);
    for (; count > 0 && stead_read_bin(&reader, &bytes) == 0; count--)
        stead_hub_add_row(session, bytes);
    session->execution = (uint32_t)stead_hub_number(map, "execution");
    session->exists = true;
    send_newest(session);
    stead_writer_deinit(&session->row);
    stead_writer_deinit(&session->rows.bytes);
    session->row = row;
    session->rows = rows;
    session->execution = execution;
    session->exists = exists;
}

void stead_hub_send_newest(struct stead_hub_session *session)
{
    struct stead_hub_walk first = {.at = 0}, second;
    bool found = stead_hub_next_row(session, &first);

    second = first;
    if (found && first.past.size > 0 && !stead_hub_next_row(session, &second))
        send_past(session, first.past);
    else
        send_newest(session);
}

/* Of the messages that came again, is it the first in this list? The other ones may be of other episodes. */
static bool is_first_of(const struct stead_hub_session *session, const struct stead_hub_message *message,
                        struct stead_slice taken)
{
    const struct stead_hub_message *it = session->messages;

    while (it != message && (it->count <= 1 || !stead_hub_is_listed(taken, it->seq)))
        it = it->next;
    return it == message;
}

bool stead_hub_was_taken(struct stead_hub_session *session, const struct stead_hub_message *message)
{
    struct stead_hub_walk walk = {.at = 0};
    uint32_t episodes = 0;
    bool found = false, listed = false; /* the sends of the first episode are in a list */

    if (message->count <= 1)
        return false;
    while (stead_hub_next_row(session, &walk)) {
        listed = listed || walk.out.size > 0;
        episodes += begins_episode(walk.events);
        if (!stead_hub_is_listed(walk.taken, message->seq))
            continue;
        if (is_first_of(session, message, walk.taken) && walk.out.size > 0)
            send_again_list(session, walk.out);
        else if (is_first_of(session, message, walk.taken) && (!listed || episodes > 1))
            send_again(session, walk.events);
        found = true;
    }
    return found;
}
