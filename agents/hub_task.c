/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_task: activities and calls of agents, for a worker of a task hub.
 *
 *     taken --> the job or the agent is called --> its result is put into the queue of who asked --> the message is deleted
 *                   |  renewed again and again meanwhile
 *                   \-- the renewal fails: it was cancelled, or came to somebody else --> the call is cancelled
 *
 * A worker that dies in between loses nothing: the message comes back. An activity then runs again, and whichever
 * result comes first is taken. An agent's call carries the message's id as its idempotency key: it is carried out once,
 * and answered again.
 *
 * The times of a work count from when it was sent, by whoever takes it, and however often it was put back: what is over
 * is answered with a timeout and not run. One that was taken before may have begun: to begin again it has its time from
 * anew, as a whole it has what is left. For what nobody takes its instance has messages of its own (hub_send.c), which
 * are cancelled when the result is stored.
 *
 * A message that goes on to another queue (one that was taken too often, one that nobody can take now) is put there
 * first and deleted then.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/fault.h"
#include "agents/hub_key.h"
#include "agents/hub_worker.h"

#define RENEW_MS_MAX 10000
#define RENEWALS_MAX 1000u /* under way at once: each answer goes on with the next */
#define LOOK_MS 250        /* how soon it is seen that an activity was cancelled: a look writes nothing */
#define UNKNOWN_MS 2000    /* until somebody looks again whether a kind is loaded */

/* ---- Tasks ---------------------------------------------------------------------------------- */

static struct stead_hub_task *make_task(struct stead_hub_worker_state *worker, struct stead_hub_message **message)
{
    struct stead_hub_task *task = stead_hub_alloc(sizeof(*task));

    task->worker = worker;
    task->message = *message;
    *message = NULL;
    task->next = worker->tasks;
    if (worker->tasks != NULL)
        worker->tasks->previous = task;
    worker->tasks = task;
    worker->task_count++;
    return task;
}

static void free_task(struct stead_hub_task *task)
{
    struct stead_hub_worker_state *worker = task->worker;

    if (task->next != NULL)
        task->next->previous = task->previous;
    if (task->previous != NULL)
        task->previous->next = task->next;
    else
        worker->tasks = task->next;
    if (worker->renew_next == task)
        worker->renew_next = task->next;
    worker->task_count--;
    worker->call_count -= task->agent;
    stead_hub_message_destroy(&task->message);
    free(task);
}

void stead_hub_tasks_destroy(struct stead_hub_worker_state *worker)
{
    while (worker->tasks != NULL) {
        struct stead_hub_task *task = worker->tasks;
        worker->tasks = task->next;
        stead_hub_message_destroy(&task->message);
        free(task);
    }
    worker->task_count = 0;
}

/* What can be done now that something has come to its end: the delete, and the task's end. */
static void go_on(struct stead_turn *turn, struct stead_hub_task *task)
{
    struct stead_hub_worker_state *worker = task->worker;

    if (task->stored && !task->renewing && !task->unwanted && task->message != NULL) {
        struct stead_hub_message *message = task->message;
        message->next = NULL;
        task->message = NULL;
        stead_hub_delete(turn, worker, &message);
        task->stored = false;
        task->ended = true;
    }
    if (!task->ended || task->pending > 0)
        return;
    free_task(task);
    stead_hub_poll_all(turn, worker);
}

static int64_t renew_ms(const struct stead_hub_worker_state *worker)
{
    int64_t ms = worker->settings.hide_ms / 4;

    return ms > RENEW_MS_MAX ? RENEW_MS_MAX : ms < 25 ? 25 : ms;
}

static void set_renew_timer(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    if (worker->renew_timer || worker->task_count == 0)
        return;
    worker->renew_timer = stead_timer_after(turn, "renew", renew_ms(worker), "renew", (struct stead_slice){0}) == 0;
}

static void set_look_timer(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    if (!worker->look_timer && worker->task_count > worker->call_count)
        worker->look_timer = stead_timer_after(turn, "look", LOOK_MS, "look", (struct stead_slice){0}) == 0;
}

/* Puts something into a queue; `told` goes on. */
static void put(struct stead_turn *turn, struct stead_hub_task *task, const char *queue, const char *id,
                struct stead_slice body, int64_t delay_ms)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:b,s:b,s:v,s:l}", "id", id, "copy", strchr(id, '#') != NULL, "watch",
               stead_hub_number(body, "start") > 0, "body", body, "delay", delay_ms);
    task->pending++;
    task->worker->counts.enqueues++;
    stead_hub_call(turn, task->worker, queue, "enqueue", stead_written(&args), "told", task);
    stead_writer_deinit(&args);
}

/* ---- Messages that go on --------------------------------------------------------------------- */

/* The id of the next copy of a message: the queue has seen that of this one. */
static const char *copy_of(struct stead_turn *turn, const struct stead_hub_message *it)
{
    struct stead_slice own = stead_hub_own_id(it->id);

    return stead_printed(turn, "%.*s#%llu", (int)own.size, (const char *)own.data, (unsigned long long)it->seq);
}

void stead_hub_poison(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                      struct stead_hub_message **message)
{
    struct stead_hub_task *task = make_task(worker, message);
    const struct stead_hub_message *it = task->message;
    struct stead_hub_part queue = stead_hub_part_queue(&worker->settings, "poison");
    const char *id = copy_of(turn, it);

    worker->counts.poisoned++;
    stead_log(turn, "message %llu of %s was taken %llu times: it is put aside", (unsigned long long)it->seq, it->queue,
              (unsigned long long)it->count);
    struct stead_slice wrapped = stead_packed(turn, "{s:s,s:S,s:u,s:v}", "queue", it->queue, "id",
                                              stead_hub_own_id(it->id), "count", it->count, "body", it->body);
    /* What leaves no room to say where it came from goes as it is: its id and the log tell. */
    put(turn, task, queue.text, id, wrapped.size > STEAD_HUB_BODY_MAX ? it->body : wrapped, 0);
}

void stead_hub_postpone(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                        struct stead_hub_message **message, int64_t delay_ms)
{
    struct stead_hub_task *task = make_task(worker, message);
    const struct stead_hub_message *it = task->message;

    put(turn, task, it->queue, copy_of(turn, it), it->body, delay_ms);
}

/* ---- Calling ------------------------------------------------------------------------------------- */

static int64_t positive(struct stead_slice body, const char *field)
{
    int64_t it = stead_hub_number(body, field);

    return it > 0 ? it : 0;
}

static uint32_t short_ms(int64_t ms)
{
    return ms > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

/* What is left of a time of a message: 0: it has none, below 0: it is over. */
static int64_t left_of(const struct stead_turn *turn, const struct stead_hub_message *message, const char *field)
{
    int64_t limit_ms = positive(message->body, field), at_ms = positive(message->body, "at");
    int64_t passed_ms = at_ms > 0 ? stead_now_ms(turn) - at_ms : 0;

    if (limit_ms == 0 || passed_ms <= 0)
        return limit_ms;
    return passed_ms < limit_ms ? limit_ms - passed_ms : -1;
}

/* The same of the time until it must have begun. */
static int64_t left_to_begin(const struct stead_turn *turn, const struct stead_hub_message *message)
{
    return message->count > 1 ? positive(message->body, "start") : left_of(turn, message, "start");
}

/* 32 hexadecimal digits of a message's id, which may be too long for a key. */
static const char *key_of(struct stead_turn *turn, struct stead_slice id)
{
    uint64_t a = 14695981039346656037u, b = 0x9e3779b97f4a7c15u;

    for (size_t at = 0; at < id.size; at++) {
        a = (a ^ id.data[at]) * 1099511628211u;
        b = (b ^ (a >> 29) ^ id.data[at]) * 0xbf58476d1ce4e5b9u;
    }
    return stead_printed(turn, "%08x%08x%08x%08x", (unsigned)(a >> 32), (unsigned)a, (unsigned)(b >> 32), (unsigned)b);
}

/* Each try has the same key: so an activity that ends its process again and again is known (STEAD_EPOISON). */
static int call_activity(struct stead_turn *turn, struct stead_hub_task *task)
{
    const struct stead_hub_message *message = task->message;
    struct stead_slice body = message->body, name = stead_hub_text(body, "n"), instance = stead_hub_text(body, "i");
    int64_t timeout_ms = left_of(turn, message, "timeout");
    const char *try = stead_printed(turn, "%s %llu %.*s", message->queue, (unsigned long long)message->seq,
                                    (int)message->id.size, (const char *)message->id.data);
    const struct stead_call_options options = {.reply_op = "ran",
                                               .idempotency_key = key_of(turn, stead_str(try)),
                                               .context = stead_packed(turn, "u", (uint64_t)(uintptr_t)task),
                                               .timeout_ms = timeout_ms > 0 ? timeout_ms : STEAD_TIMEOUT_NEVER,
                                               .ret_call = &task->call,
                                               .start_timeout_ms = short_ms(left_to_begin(turn, message)),
                                               .run_timeout_ms = short_ms(positive(body, "run")),
                                               .heartbeat_timeout_ms = short_ms(positive(body, "heartbeat"))};

    return stead_call(turn,
                      stead_printed(turn, "%.*s/%.*s", (int)name.size, (const char *)name.data, (int)instance.size,
                                    (const char *)instance.data),
                      "run", stead_hub_value(body, "v"), &options);
}

static int call_agent(struct stead_turn *turn, struct stead_hub_task *task)
{
    struct stead_slice body = task->message->body, address = stead_hub_text(body, "a"), op = stead_hub_text(body, "n");
    struct stead_slice instance = stead_hub_text(body, "i"), args = stead_hub_value(body, "v");
    int64_t timeout_ms = left_of(turn, task->message, "timeout");
    const struct stead_call_options options = {
        .reply_op = "ran",
        .context = stead_packed(turn, "u", (uint64_t)(uintptr_t)task),
        .timeout_ms = timeout_ms > 0 ? timeout_ms : STEAD_TIMEOUT_NEVER,
        .ret_call = &task->call,
        .idempotency_key = STEAD_AGENT_FAULT(call_without_key) ? NULL : key_of(turn, stead_hub_text(body, "m"))};

    task->agent = true;
    task->worker->call_count++;
    task->holds = stead_slice_equal(op, stead_str(STEAD_OP_HOLD));
    if (task->holds)
        args = stead_packed(turn, "{s:s}", "holder",
                            stead_printed(turn, STEAD_HUB_KIND "/%s/%.*s", task->worker->name, (int)instance.size,
                                          (const char *)instance.data));
    stead_send_with_fence(turn, (uint64_t)positive(body, "f"));
    int code = stead_call(turn, stead_printed(turn, "%.*s", (int)address.size, (const char *)address.data),
                          stead_printed(turn, "%.*s", (int)op.size, (const char *)op.data), args, &options);
    stead_send_with_fence(turn, 0);
    return code;
}

struct outcome {
    int code; /* 0: `value` */
    struct stead_slice value, error_name, error_sentence;
};

/* Who asked is told: an instance, a client by its queue, or nobody. */
static void tell(struct stead_turn *turn, struct stead_hub_task *task, const struct outcome *outcome)
{
    const struct stead_hub_settings *settings = &task->worker->settings;
    struct stead_slice body = task->message->body, instance = stead_hub_text(body, "i"),
                       queue = stead_hub_text(body, "q");
    struct stead_slice message_id = stead_hub_text(body, "m");
    int64_t ref = positive(body, "r"), execution = positive(body, "x");
    uint64_t type = outcome->code == 0 ? STEAD_HISTORY_TASK_COMPLETED : STEAD_HISTORY_TASK_FAILED;
    struct stead_writer result;

    task->told = true;
    stead_writer_init(&result);
    if (queue.size > 0) {
        stead_pack(&result, "{s:S,s:l,s:v,s:S,s:S}", "m", message_id, "c", (int64_t)outcome->code, "v", outcome->value,
                   "en", outcome->error_name, "es", outcome->error_sentence);
        put(turn, task, stead_printed(turn, "%.*s", (int)queue.size, (const char *)queue.data),
            stead_printed(turn, "%.*s:r", (int)message_id.size, (const char *)message_id.data), stead_written(&result),
            0);
    } else if (ref > 0) {
        stead_pack(&result, "{s:s,s:S,s:l,s:l,s:u,s:v,s:l,s:S,s:S,s:S}", "t", "result", "i", instance, "x", execution,
                   "r", ref, "k", type, "v", outcome->value, "c", (int64_t)outcome->code, "en", outcome->error_name,
                   "es", outcome->error_sentence, "h",
                   task->holds && outcome->code == 0 ? stead_hub_text(body, "a") : (struct stead_slice){0});
        struct stead_hub_part control = stead_hub_control(settings, stead_hub_partition(settings, instance));
        put(turn, task, control.text,
            stead_printed(turn, "%.*s>", (int)task->message->id.size, (const char *)task->message->id.data),
            stead_written(&result), 0);
    } else {
        task->stored = true;
    }
    stead_writer_deinit(&result);
}

static const struct outcome not_in_time = {
    .code = STEAD_ETIMEOUT,
    .error_name = {(const uint8_t *)"timeout", 7},
    .error_sentence = {(const uint8_t *)"its time was over before it could be run", 40}};
static const struct outcome not_begun = {.code = STEAD_ETIMEOUT,
                                         .error_name = {(const uint8_t *)"start_timeout", 13},
                                         .error_sentence = {(const uint8_t *)"it had not begun in time", 24}};

/* What it has missed; NULL: nothing. */
static const struct outcome *missed(const struct stead_turn *turn, const struct stead_hub_message *message)
{
    if (left_of(turn, message, "timeout") < 0)
        return &not_in_time;
    return left_to_begin(turn, message) < 0 ? &not_begun : NULL;
}

void stead_hub_task_take(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                         struct stead_hub_message **message)
{
    struct stead_hub_task *task = make_task(worker, message);
    bool is_call = stead_hub_text(task->message->body, "a").size > 0;
    const struct outcome *late = missed(turn, task->message);

    if (late != NULL) {
        tell(turn, task, late);
        go_on(turn, task);
        return;
    }
    int code = is_call ? call_agent(turn, task) : call_activity(turn, task);

    worker->counts.tasks++;
    set_renew_timer(turn, worker);
    set_look_timer(turn, worker);
    if (code == 0) {
        task->calling = true;
        task->pending++;
        return;
    }
    const struct outcome outcome = {.code = code,
                                    .error_name = stead_str(stead_error_name(code)),
                                    .error_sentence = stead_str(stead_error_sentence(code))};
    tell(turn, task, &outcome);
    go_on(turn, task);
}

/* It is looked at again when a time of it is over, at the latest. */
static int64_t until_next_try(const struct stead_turn *turn, const struct stead_hub_message *message)
{
    int64_t whole_ms = left_of(turn, message, "timeout"), start_ms = left_of(turn, message, "start");
    int64_t delay_ms = UNKNOWN_MS;

    delay_ms = whole_ms > 0 && whole_ms < delay_ms ? whole_ms : delay_ms;
    return start_ms > 0 && start_ms < delay_ms ? start_ms : delay_ms;
}

static const struct outcome too_large = {
    .code = STEAD_ETOOLARGE,
    .error_name = {(const uint8_t *)"too_large", 9},
    .error_sentence = {(const uint8_t *)"the result is larger than a payload may be", 42}};

/* Reply: of the job or the agent. */
int stead_hub_task_ran(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_task *task = stead_hub_object(turn);
    int code = stead_reply_code(turn);
    struct outcome outcome = {.code = code,
                              .value = code == 0 ? args : (struct stead_slice){0},
                              .error_name = stead_str(stead_reply_error_name(turn)),
                              .error_sentence = stead_str(stead_reply_error_sentence(turn))};

    if (args.size > STEAD_HUB_VALUE_MAX)
        outcome = too_large;

    (void)state;
    task->pending--;
    task->calling = false;
    if (task->unwanted && !(task->holds && code == 0)) {
        task->ended = true;
        go_on(turn, task);
        return 0;
    }
    task->unwanted = false; /* a hold that was given: its instance sees to it that it ends */
    /* A module that is not loaded yet; an agent whose mailbox is full or that the disk keeps; a session that is over:
     * nothing that the instance should know. What the code itself answers is. */
    bool not_run = stead_reply_not_run(turn) || code == STEAD_ESESSION;
    if (not_run && missed(turn, task->message) != NULL) {
        tell(turn, task, missed(turn, task->message));
    } else if (not_run) {
        struct stead_hub_message *message = task->message;
        task->message = NULL;
        task->ended = true;
        stead_hub_postpone(turn, task->worker, &message, until_next_try(turn, message));
    } else {
        tell(turn, task, &outcome);
    }
    go_on(turn, task);
    return 0;
}

/* Nobody needs any more what would have told the instance of its work's times; or the work that did not begin. */
static void forget_limits(struct stead_turn *turn, struct stead_hub_task *task)
{
    const struct stead_hub_settings *settings = &task->worker->settings;
    struct stead_slice body = task->message->body, id = stead_hub_own_id(task->message->id);
    struct stead_slice work = stead_hub_text(body, "w"), instance = stead_hub_text(body, "i");
    int size = id.size > 0 ? (int)id.size - 1 : 0;
    const char *common = (const char *)id.data;
    struct stead_hub_part control = stead_hub_control(settings, stead_hub_partition(settings, instance));
    const char *whole = stead_printed(turn, "%.*s%s", size, common, STEAD_HUB_WHOLE);

    if (work.size > 0) {
        stead_hub_call(turn, task->worker, stead_hub_part_queue(settings, "work").text, "cancel",
                       stead_packed(turn, "[S]", work), "done", NULL);
        if (size > 0)
            stead_hub_call(turn, task->worker, control.text, "cancel", stead_packed(turn, "[s]", whole), "done", NULL);
    } else if (size > 0 && positive(body, "at") > 0 && stead_hub_text(body, "a").size == 0 &&
               positive(body, "timeout") + positive(body, "start") > 0) {
        stead_hub_call(turn, task->worker, control.text, "cancel",
                       stead_packed(turn, "[s,s]", whole, stead_printed(turn, "%.*s%s", size, common, STEAD_HUB_LATE)),
                       "done", NULL);
    }
}

/* Reply: the result, or the message that went on, is stored. */
int stead_hub_task_told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_task *task = stead_hub_object(turn);
    int code = stead_reply_code(turn);

    (void)state, (void)args;
    stead_hub_asked(turn, task->worker);
    task->pending--;
    if (code == 0) {
        task->stored = true;
        if (task->message != NULL && task->told)
            forget_limits(turn, task);
    } else if ((code == STEAD_EFAILED || code == STEAD_ETOOLARGE) && !task->failed && task->message != NULL) {
        task->failed = true;
        tell(turn, task, &too_large);
    } else {
        task->ended = true; /* it comes back */
    }
    go_on(turn, task);
    return 0;
}

/* ---- What has not begun ---------------------------------------------------------------------------- */

void stead_hub_task_take_late(struct stead_turn *turn, struct stead_hub_worker_state *worker,
                              struct stead_hub_message **message)
{
    struct stead_hub_task *task = make_task(worker, message);

    task->agent = true; /* it takes no room */
    worker->call_count++;
    task->pending++;
    stead_hub_call(turn, worker, stead_hub_part_queue(&worker->settings, "work").text, "untaken",
                   stead_packed(turn, "[S]", stead_hub_text(task->message->body, "w")), "late", task);
}

/* Reply: the work, if nobody has taken it. Who takes it later sees that it is too late. */
int stead_hub_task_late(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_task *task = stead_hub_object(turn);
    struct stead_reader reader = stead_reader(args);
    uint32_t count = 0;

    (void)state;
    stead_hub_asked(turn, task->worker);
    task->pending--;
    if (stead_reply_code(turn) != 0 || stead_read_array(&reader, &count) != 0)
        task->ended = true; /* it comes back */
    else if (count > 0)
        tell(turn, task, &not_begun);
    else
        task->stored = true;
    go_on(turn, task);
    return 0;
}

/* ---- Renewing -------------------------------------------------------------------------------------- */

/* Those that are next in the round under way, if there is one. */
static void renew_some(struct stead_turn *turn, struct stead_hub_worker_state *worker)
{
    while (worker->renew_next != NULL && worker->renewals < RENEWALS_MAX) {
        struct stead_hub_task *task = worker->renew_next;
        worker->renew_next = task->next;
        if (!task->calling || task->renewing || task->unwanted)
            continue;
        task->renewing = true;
        task->pending++;
        worker->renewals++;
        worker->counts.renewals++;
        stead_hub_call(turn, worker, task->message->queue, "renew",
                       stead_packed(turn, "{s:u,s:u,s:l}", "seq", task->message->seq, "receipt", task->message->receipt,
                                    "hide", worker->settings.hide_ms),
                       "renewed", task);
    }
}

/* The timer: a round begins, unless one is under way. */
int stead_hub_task_renew(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = *(struct stead_hub_worker_state **)state;

    (void)args;
    if (worker == NULL)
        return 0;
    worker->renew_timer = false;
    if (worker->renew_next == NULL)
        worker->renew_next = worker->tasks;
    renew_some(turn, worker);
    set_renew_timer(turn, worker);
    return 0;
}

/* Nobody wants its result any more. */
static void give_up(struct stead_turn *turn, struct stead_hub_task *task)
{
    task->unwanted = true;
    if (!task->holds && stead_call_cancel(turn, &task->call) == 0) {
        task->calling = false;
        task->pending--;
        task->ended = true;
    }
}

/* Reply: it is hidden on; or it is gone. */
int stead_hub_task_renewed(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_task *task = stead_hub_object(turn);
    struct stead_hub_worker_state *worker = task->worker;

    (void)state;
    stead_hub_asked(turn, worker);
    worker->renewals--;
    task->pending--;
    task->renewing = false;
    if (stead_reply_code(turn) == 0 && task->message != NULL)
        (void)(stead_get_u64(args, NULL, &task->message->receipt) == 0);
    else if (stead_reply_code(turn) == STEAD_ENOTFOUND && task->calling)
        give_up(turn, task);
    go_on(turn, task);
    renew_some(turn, worker);
    return 0;
}

/* ---- Looking --------------------------------------------------------------------------------------- */

static bool is_looked_for(const struct stead_hub_task *task)
{
    return task->calling && !task->unwanted && !task->agent && task->message->id.size > 0;
}

/* The timer. Calls of agents are seen to by their renewals: what an agent does, it does. */
int stead_hub_task_look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = *(struct stead_hub_worker_state **)state;
    struct stead_writer ids, list;
    uint32_t count = 0;

    (void)args;
    if (worker == NULL)
        return 0;
    stead_writer_init(&ids);
    stead_writer_init(&list);
    for (struct stead_hub_task *task = worker->tasks; task != NULL && count < STEAD_HUB_GONE_MAX; task = task->next) {
        if (!is_looked_for(task))
            continue;
        stead_write_str_slice(&ids, task->message->id);
        count++;
    }
    stead_write_array(&list, count);
    stead_write_raw(&list, ids.data, ids.size);
    struct stead_hub_part queue = stead_hub_part_queue(&worker->settings, "work");
    worker->look_timer = count > 0;
    if (count > 0)
        stead_hub_call(turn, worker, queue.text, "gone", stead_written(&list), "looked", worker);
    stead_writer_deinit(&ids);
    stead_writer_deinit(&list);
    set_look_timer(turn, worker);
    return 0;
}

static struct stead_hub_task *find_task(const struct stead_hub_worker_state *worker, struct stead_slice id)
{
    struct stead_hub_task *task = worker->tasks;

    while (task != NULL &&
           !(is_looked_for(task) && /* NOLINT(clang-analyzer-unix.Malloc): what is freed is in no list */
             stead_slice_equal(task->message->id, id)))
        task = task->next;
    return task;
}

/* Reply: these were cancelled. */
int stead_hub_task_looked(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_hub_worker_state *worker = *(struct stead_hub_worker_state **)state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice id;
    uint32_t count = 0;

    if (worker == NULL)
        return 0;
    stead_hub_asked(turn, worker);
    worker->look_timer = false;
    if (stead_reply_code(turn) == 0 && stead_read_array(&reader, &count) != 0)
        count = 0;
    for (; count > 0 && stead_read_str(&reader, &id) == 0; count--) {
        struct stead_hub_task *task = find_task(worker, id);
        if (task == NULL)
            continue;
        give_up(turn, task);
        go_on(turn, task);
    }
    set_look_timer(turn, worker);
    return 0;
}
