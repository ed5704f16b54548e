/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_episode: one episode of an instance on a task hub: its messages and what was read of its history go in, the write
 * of what it decided and the operations that follow come out.
 *
 * A worker may have died between any two steps, and the messages come back. What they are then is in the history: each
 * of its rows names the messages that its episode took (a list of their numbers beside the events). One that is found
 * there is not taken again; what its episode decided is sent again, under the same ids. A history that was thrown away
 * by continue-as-new leaves the same in the first row of the next one (hub_rows.c).
 *
 * Code that does not match its history fails the instance; what came is stored behind the history all the same
 * (hub_keep.c), and a rewind with mended code goes on with it.
 */
#include <stdlib.h>
#include <string.h>

#include "agents/hub_episode.h"
#include "agents/hub_key.h"
#include "agents/instance.h"

#define CHUNK_BYTES (256u << 10)      /* of a history row */
#ifndef EPISODE_BYTES_MAX             /* a test makes it smaller */
#define EPISODE_BYTES_MAX (20u << 20) /* of what an episode decides, as on the direct fabric */
#endif
#define LEFT_BYTES_MAX (12u << 20) /* ... where what was sent goes into it too */
#define AGAIN_BYTES_MAX (4u << 20) /* ... with more no further execution joins them */
#define CARRIED_MAX 256u           /* numbers of messages that outlive their history */
#define EXECUTIONS_MAX 16u         /* of one episode that continues as new again and again */

static const struct stead_slice nothing = {NULL, 0};

/* ---- The engine ------------------------------------------------------------------------------------- */

static void init_episode(struct stead_hub_episode *episode, struct stead_turn *turn, struct stead_hub_session *session)
{
    memset(episode, 0, sizeof(*episode));
    episode->turn = turn;
    episode->session = session;
    stead_writer_init(&episode->list);
    stead_writer_init(&episode->events);
    stead_writer_init(&episode->taken);
    stead_writer_init(&episode->output);
    stead_writer_init(&episode->custom);
    stead_writer_init(&episode->again);
    stead_writer_init(&episode->raised);
}

static void deinit_episode(struct stead_hub_episode *episode)
{
    stead_writer_deinit(&episode->list);
    stead_writer_deinit(&episode->events);
    stead_writer_deinit(&episode->taken);
    stead_writer_deinit(&episode->output);
    stead_writer_deinit(&episode->custom);
    stead_writer_deinit(&episode->again);
    stead_writer_deinit(&episode->raised);
}

static void cut_row(struct stead_hub_episode *episode)
{
    struct stead_writer row, stored;

    if (episode->event_count == 0)
        return;
    stead_writer_init(&row);
    stead_writer_init(&stored);
    stead_history_row_write(&row, episode->first, episode->time_ms, episode->event_count,
                            stead_written(&episode->events));
    stead_write_array(&stored, 2);
    stead_write_array(&stored, episode->taken_count);
    stead_write_raw(&stored, episode->taken.data, episode->taken.size);
    stead_write_bin(&stored, stead_written(&row));
    stead_write_bin(&episode->list, stead_written(&stored));
    episode->row_count++;
    episode->event_count = 0;
    stead_writer_reset(&episode->events);
    stead_writer_deinit(&row);
    stead_writer_deinit(&stored);
}

static void copy_text(char *to, size_t size, struct stead_slice text)
{
    size_t kept = text.size < size ? text.size : size - 1;

    if (kept > 0)
        memcpy(to, text.data, kept);
    to[kept] = '\0';
}

static void set_value(struct stead_writer *writer, struct stead_slice value)
{
    stead_writer_reset(writer);
    stead_write_value(writer, value);
}

/* What an event says of the instance as a whole. */
static void note_event(struct stead_hub_episode *episode, const struct stead_history_event *event)
{
    switch (event->type) {
    case STEAD_HISTORY_EXECUTION_COMPLETED:
        set_value(&episode->output, event->value);
        stead_hub_send_end(episode->session, event);
        break;
    case STEAD_HISTORY_EXECUTION_FAILED:
    case STEAD_HISTORY_EXECUTION_TERMINATED:
        copy_text(episode->error_name, sizeof(episode->error_name),
                  event->type == STEAD_HISTORY_EXECUTION_TERMINATED ? stead_str("terminated") : event->error_name);
        copy_text(episode->error_sentence, sizeof(episode->error_sentence), event->error_sentence);
        stead_hub_send_end(episode->session, event);
        break;
    case STEAD_HISTORY_STATUS_SET:
        set_value(&episode->custom, event->value);
        break;
    case STEAD_HISTORY_CONTINUE_AS_NEW:
        set_value(&episode->again, event->value);
        break;
    default:
        break;
    }
}

void stead_hub_store_event(struct stead_hub_episode *episode, const struct stead_history_event *event)
{
    if (episode->event_count > 0 && episode->events.size + event->value.size > CHUNK_BYTES)
        cut_row(episode); /* a large one has a row of its own */
    if (episode->event_count == 0)
        episode->first = event->id;
    stead_history_write(&episode->events, event);
    episode->event_count++;
    episode->last = event->id;
    if (episode->events.size >= CHUNK_BYTES)
        cut_row(episode);
}

void stead_hub_take_event(void *context, const struct stead_history_event *event)
{
    struct stead_hub_episode *episode = context;
    size_t came = episode->session->came_bytes; /* in inputs, which are among the events */

    if (!episode->sized && episode->session->engine != NULL) {
        episode->sized = true;
        episode->bytes += stead_engine_episode_bytes(episode->session->engine);
        episode->too_large = episode->bytes > (episode->left ? LEFT_BYTES_MAX : EPISODE_BYTES_MAX + came);
    }
    if (episode->too_large)
        return;
    stead_hub_store_event(episode, event);
    note_event(episode, event);
    stead_hub_send_event(episode->session, event);
}

void stead_hub_note_failure(struct stead_hub_episode *episode, const struct stead_history_event *end)
{
    stead_log(episode->turn, "%s failed: %.*s", episode->session->id, (int)end->error_sentence.size,
              (const char *)end->error_sentence.data);
    note_event(episode, end);
}

static void say(void *context, const char *line)
{
    struct stead_hub_session *session = context;

    if (session->turn != NULL)
        stead_log(session->turn, "%s: %s", session->id, line);
}

/* False: its orchestrator is not loaded here. */
static bool create_engine(struct stead_hub_episode *episode, struct stead_slice name, int64_t version)
{
    struct stead_hub_session *session = episode->session;
    const char *text = stead_printed(episode->turn, "%.*s", (int)name.size, (const char *)name.data);

    episode->orchestrator = stead_orchestrator_find(episode->turn, text, (uint32_t)version);
    if (episode->orchestrator == NULL)
        return false;
    const struct stead_engine_options options = {.orchestrator = episode->orchestrator,
                                                 .instance = session->id,
                                                 .execution = session->execution,
                                                 .fibers = stead_turn_fibers(episode->turn),
                                                 .say = say,
                                                 .context = session};
    session->engine = stead_engine_create(&options);
    return true;
}

/* ---- What an episode begins with --------------------------------------------------------------------- */

void stead_hub_set_row(struct stead_hub_session *session, struct stead_slice map)
{
    struct stead_writer row;

    stead_writer_init(&row);
    stead_write_raw(&row, map.data, map.size);
    stead_writer_deinit(&session->row);
    session->row = row;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

struct numbers {
    uint64_t *items; /* owned */
    uint32_t count, capacity;
};

static void add_number(struct numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->capacity) {
        numbers->capacity = numbers->capacity == 0 ? 2 * STEAD_HUB_RECENT : numbers->capacity * 2;
        uint64_t *items = stead_hub_alloc(numbers->capacity * sizeof(*items));
        if (numbers->count > 0)
            memcpy(items, numbers->items, numbers->count * sizeof(*items));
        free(numbers->items);
        numbers->items = items;
    }
    numbers->items[numbers->count++] = number;
}

/* The newest messages that the history took which is thrown away here: nothing waits for a delete, so they may come
 * once more, to the next execution. */
static void carry_taken(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    struct stead_hub_walk walk = {.at = 0};
    struct numbers numbers = {.count = 0};
    uint64_t number;
    uint32_t listed, kept = 0;

    while (stead_hub_next_row(session, &walk)) {
        struct stead_reader reader = stead_reader(walk.taken);
        if (stead_read_array(&reader, &listed) != 0)
            continue;
        for (; listed > 0 && stead_read_u64(&reader, &number) == 0; listed--)
            add_number(&numbers, number);
    }
    for (uint64_t at = 0; at < session->recent_count && at < STEAD_HUB_RECENT; at++)
        add_number(&numbers, session->recent[at]);
    if (numbers.count > 0)
        qsort(numbers.items, numbers.count, sizeof(*numbers.items), compare_numbers);
    for (uint32_t at = 0; at < numbers.count && kept < CARRIED_MAX; at++) {
        if (at > 0 && numbers.items[at] == numbers.items[at - 1])
            continue;
        stead_write_u64(&episode->taken, numbers.items[at]);
        kept++;
    }
    episode->taken_count += kept;
    free(numbers.items);
}

void stead_hub_note_taken(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;

    for (const struct stead_hub_message *it = session->messages; it != NULL; it = it->next) {
        if (it->refused)
            continue;
        stead_write_u64(&episode->taken, it->seq);
        episode->taken_count++;
        session->recent[session->recent_count++ % STEAD_HUB_RECENT] = it->seq;
    }
}

/* An execution begins: its number, its engine, and in the row who wants to hear of its end. */
static bool begin_fresh(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice body = episode->start->body, row = stead_written(&session->row);
    enum stead_instance_status status = stead_hub_status_of(session);
    int64_t execution = stead_hub_number(row, "execution"), created = stead_hub_number(row, "created");
    bool again = session->exists && status != STEAD_INSTANCE_PENDING;
    bool same_life = session->exists && status == STEAD_INSTANCE_CONTINUED_AS_NEW;

    session->execution = (uint32_t)(again ? execution + 1 : execution > 0 ? execution : 1);
    episode->fresh = true;
    episode->other = !same_life;
    episode->clear = again;
    if (again)
        carry_taken(episode);
    stead_engine_destroy(&session->engine);
    if (!create_engine(episode, stead_hub_text(body, "n"), stead_hub_number(body, "ver")))
        return false;
    stead_hub_set_row(session,
                      stead_packed(episode->turn, "{s:S,s:l,s:S,s:S,s:l,s:l}", "name", stead_hub_text(body, "n"),
                                   "created", session->exists && (!again || same_life) ? created : session->now_ms,
                                   "start", stead_hub_own_id(episode->start->id), "parent", stead_hub_text(body, "p"),
                                   "px", stead_hub_number(body, "px"), "pr",
                                   stead_hub_number(same_life ? row : body, "pr"))); /* a rewound parent asks anew */
    session->version = episode->orchestrator->version;
    return true;
}

/* The code does something else than its history says. */
static void fail_by_difference(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    uint64_t event = 0;
    const char *sentence = stead_engine_difference(session->engine, &event);
    const struct stead_history_event end = {.type = STEAD_HISTORY_EXECUTION_FAILED,
                                            .code = STEAD_EFAILED,
                                            .error_name = stead_str("nondeterminism"),
                                            .error_sentence = stead_str(sentence)};

    stead_hub_note_failure(episode, &end);
    stead_engine_destroy(&session->engine);
    episode->mended = false;
}

/* Makes the engine of an execution that was begun before. */
static enum stead_hub_verdict begin_again(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice row = stead_written(&session->row);
    bool rewind = stead_hub_status_of(session) == STEAD_INSTANCE_FAILED;
    int code = 0;

    session->execution = (uint32_t)stead_hub_number(row, "execution");
    session->version = (uint32_t)stead_hub_number(row, "version");
    episode->orchestrator =
        stead_orchestrator_find(episode->turn,
                                stead_printed(episode->turn, "%.*s", (int)stead_hub_text(row, "name").size,
                                              (const char *)stead_hub_text(row, "name").data),
                                session->version);
    if (session->engine == NULL) {
        if (!create_engine(episode, stead_hub_text(row, "name"), session->version))
            return STEAD_HUB_UNKNOWN;
        code = stead_hub_replay(session, session->engine, 0);
    }
    if (code == 0 && rewind) {
        episode->rewind_from = stead_engine_rewind_point(session->engine);
        episode->mended = episode->rewind_from == 0;
        if (episode->rewind_from > 0) {
            stead_engine_destroy(&session->engine);
            (void)create_engine(episode, stead_hub_text(row, "name"), session->version);
            code = stead_hub_replay(session, session->engine, episode->rewind_from);
        }
    }
    if (code == STEAD_ECONFLICT) {
        fail_by_difference(episode);
        return STEAD_HUB_WRITE;
    }
    if (code == STEAD_EBUSY) { /* its fiber was taken away meanwhile */
        stead_engine_destroy(&session->engine);
        return STEAD_HUB_READ_AGAIN;
    }
    return code == 0 ? STEAD_HUB_WRITE : STEAD_HUB_ABANDON;
}

/* ---- What it ends with --------------------------------------------------------------------------------- */

static void keep_untaken(void *context, const struct stead_history_event *event)
{
    struct stead_hub_episode *episode = context;

    stead_pack(&episode->raised, "[S,v]", event->name, event->value);
    episode->raised_count++;
}

/* The code asks to begin anew: the next execution runs in the same episode. */
static int run_next_execution(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice name = stead_hub_text(stead_written(&session->row), "name"), text, value;
    struct stead_reader reader;
    uint32_t two;

    stead_writer_reset(&episode->raised);
    episode->raised_count = 0;
    stead_engine_untaken(session->engine, keep_untaken, episode);
    stead_engine_destroy(&session->engine);
    session->execution++;
    if (!episode->clear)
        carry_taken(episode);
    episode->clear = episode->left = true;
    stead_writer_reset(&episode->list);
    stead_writer_reset(&episode->events);
    episode->row_count = episode->event_count = 0;
    (void)create_engine(episode, name, session->version);
    episode->time_ms = session->now_ms; /* not that of an episode which was open */
    stead_engine_begin(session->engine, episode->time_ms);
    struct stead_writer start;
    stead_writer_init(&start);
    stead_pack(&start, "{s:S,s:v,s:S}", "n", name, "v", stead_written(&episode->again), "p",
               stead_hub_text(stead_written(&session->row), "parent"));
    struct stead_history_event event;
    stead_hub_give_start(episode, stead_written(&start), &event);
    stead_writer_deinit(&start);
    reader = stead_reader(stead_written(&episode->raised));
    for (uint32_t at = 0; at < episode->raised_count; at++) {
        if (stead_read_array(&reader, &two) != 0 || stead_read_str(&reader, &text) != 0 ||
            stead_read_value(&reader, &value) != 0)
            break;
        event = (struct stead_history_event){.type = STEAD_HISTORY_EVENT_RAISED, .name = text, .value = value};
        (void)stead_engine_input(session->engine, &event);
    }
    episode->sized = false;
    return stead_engine_run(session->engine, stead_hub_take_event, episode);
}

/* STEAD_ETOOLARGE: more than a write may be; with `session->alone` set, it is the next execution that is, which shall
 * have an episode of its own. */
static int run(struct stead_hub_episode *episode)
{
    struct stead_hub_session *session = episode->session;
    int code = stead_engine_run(session->engine, stead_hub_take_event, episode);

    for (uint32_t times = 0;
         code == 0 && !episode->too_large && !session->alone && times < EXECUTIONS_MAX &&
         episode->bytes < AGAIN_BYTES_MAX && stead_engine_status(session->engine) == STEAD_INSTANCE_CONTINUED_AS_NEW;
         times++) {
        code = run_next_execution(episode);
        session->alone = episode->too_large;
    }
    return code == 0 && episode->too_large ? STEAD_ETOOLARGE : code;
}

/* It continues as new without end: the next execution begins with a message to itself. */
static void start_later(struct stead_hub_episode *episode, struct stead_writer *start_id)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice row = stead_written(&session->row);
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(start_id, "s",
               stead_printed(episode->turn, "%s:%llx:again", session->id, (unsigned long long)stead_hub_life(session)));
    stead_pack(&body, "{s:s,s:s,s:S,s:v,s:u,s:S,s:l,s:l}", "t", "start", "i", session->id, "n",
               stead_hub_text(row, "name"), "v", stead_written(&episode->again), "ver", (uint64_t)session->version, "p",
               stead_hub_text(row, "parent"), "px", stead_hub_number(row, "px"), "pr", stead_hub_number(row, "pr"));
    struct stead_hub_part queue = stead_hub_control(&session->worker->settings, session->partition);
    struct stead_writer args;
    stead_writer_init(&args);
    stead_pack(&args, "{s:v,s:v}", "id", stead_written(start_id), "body", stead_written(&body));
    stead_hub_send_again(session, stead_str(queue.text), "enqueue", stead_written(&args));
    stead_writer_reset(&episode->raised); /* what an execution of this episode was given, it has taken or has still */
    episode->raised_count = 0;
    stead_engine_untaken(session->engine, keep_untaken, episode);
    struct stead_reader reader = stead_reader(stead_written(&episode->raised));
    for (uint32_t at = 0; at < episode->raised_count; at++) {
        struct stead_slice text, value;
        uint32_t two;
        if (stead_read_array(&reader, &two) != 0 || stead_read_str(&reader, &text) != 0 ||
            stead_read_value(&reader, &value) != 0)
            break;
        stead_writer_reset(&args);
        stead_writer_reset(&body);
        stead_pack(&body, "{s:s,s:s,s:S,s:v}", "t", "raise", "i", session->id, "n", text, "v", value);
        stead_pack(&args, "{s:s,s:v}", "id",
                   stead_printed(episode->turn, "%s:%llx:again%u", session->id,
                                 (unsigned long long)stead_hub_life(session), at),
                   "body", stead_written(&body));
        stead_hub_send_again(session, stead_str(queue.text), "enqueue", stead_written(&args));
    }
    stead_writer_deinit(&args);
    stead_writer_deinit(&body);
}

/* A row with what the episode sends: the history that would tell it is thrown away. */
static void write_out(const struct stead_hub_episode *episode, struct stead_writer *rows)
{
    struct stead_writer row;

    stead_writer_init(&row);
    stead_write_array(&row, 3);
    stead_write_array(&row, episode->taken_count);
    stead_write_raw(&row, episode->taken.data, episode->taken.size);
    stead_write_bin(&row, nothing);
    stead_write_array(&row, episode->session->sends.count);
    for (const struct stead_hub_send *it = episode->session->sends.first; it != NULL; it = it->next)
        stead_pack(&row, "[s,u,v]", it->address, (uint64_t)(strcmp(it->op, "cancel") == 0), it->args);
    stead_write_bin(rows, stead_written(&row));
    stead_writer_deinit(&row);
}

/* The instance's row as it is now. */
static void write_row(struct stead_hub_episode *episode, enum stead_instance_status status, struct stead_slice start_id,
                      struct stead_writer *row)
{
    struct stead_hub_session *session = episode->session;
    struct stead_slice old = stead_written(&session->row);
    int64_t hide_ms = session->worker->settings.hide_ms;

    stead_write_map(row, 15 + (hide_ms > STEAD_HUB_HIDE_MS));
    stead_pack(row, "s", "name");
    stead_write_str_slice(row, stead_hub_text(old, "name"));
    stead_write_str(row, "version");
    stead_write_u64(row, session->version);
    stead_write_str(row, "execution");
    stead_write_u64(row, session->execution);
    stead_write_str(row, "status");
    stead_write_u64(row, (uint64_t)status);
    stead_write_str(row, "created");
    stead_write_i64(row, stead_hub_number(old, "created"));
    stead_write_str(row, "updated");
    stead_write_i64(row, session->now_ms);
    stead_write_str(row, "events");
    stead_write_u64(row, episode->last > 0 ? episode->last : (uint64_t)stead_hub_number(old, "events"));
    stead_write_str(row, "parent");
    stead_write_str_slice(row, stead_hub_text(old, "parent"));
    stead_write_str(row, "px");
    stead_write_i64(row, stead_hub_number(old, "px"));
    stead_write_str(row, "pr");
    stead_write_i64(row, stead_hub_number(old, "pr"));
    stead_write_str(row, "error_name");
    stead_write_str(row, episode->error_name);
    stead_write_str(row, "error_sentence");
    stead_write_str(row, episode->error_sentence);
    stead_write_str(row, "start");
    stead_write_str_slice(row, start_id.size > 0 ? start_id : stead_hub_text(old, "start"));
    stead_write_str(row, "differs");
    stead_write_bool(row, episode->differs);
    stead_write_str(row, "final");
    stead_write_bool(row, episode->final);
    if (hide_ms > STEAD_HUB_HIDE_MS) {
        stead_write_str(row, "hide");
        stead_write_i64(row, hide_ms);
    }
}

/* The next execution begins in another episode: of this one's history nothing is needed any more but what the row of
 * write_out() says. */
static void leave_history(struct stead_hub_episode *episode)
{
    if (!episode->clear)
        carry_taken(episode);
    episode->clear = episode->left = true;
    if (episode->list.size > CHUNK_BYTES) {
        stead_writer_reset(&episode->list);
        episode->row_count = 0;
    }
}

static int64_t purge_time(const struct stead_hub_episode *episode, enum stead_instance_status status)
{
    const struct stead_orchestrator *it = episode->orchestrator;
    int64_t keep_ms;

    if (it == NULL || !stead_instance_is_over(status) || episode->differs) /* what that has open must be ended first */
        return 0;
    keep_ms = status == STEAD_INSTANCE_COMPLETED ? it->keep_completed_ms : it->keep_failed_ms;
    return keep_ms > 0 ? episode->session->now_ms + keep_ms : 0;
}

void stead_hub_write_episode(struct stead_hub_episode *episode, enum stead_instance_status status,
                             struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    struct stead_writer start_id, row;
    struct stead_slice input = nothing, start = nothing;
    uint8_t nil = 0xc0;

    stead_writer_init(&start_id);
    stead_writer_init(&row);
    if (status == STEAD_INSTANCE_CONTINUED_AS_NEW) {
        start_later(episode, &start_id);
        (void)(stead_get_str(stead_written(&start_id), NULL, &start) == 0);
    }
    cut_row(episode);
    if (status == STEAD_INSTANCE_CONTINUED_AS_NEW)
        leave_history(episode);
    write_row(episode, status, start, &row);
    if (episode->again.size > 0)
        input = stead_written(&episode->again);
    else if (episode->fresh && episode->start != NULL)
        input = stead_hub_value(episode->start->body, "v");
    stead_write_map(args, 10);
    stead_pack(args, "s", "id");
    stead_write_str(args, session->id);
    stead_write_str(args, "etag");
    stead_write_u64(args, session->etag);
    stead_write_str(args, "clear");
    stead_write_bool(args, episode->clear);
    stead_write_str(args, "keep");
    stead_write_bool(args, !episode->other);
    stead_write_str(args, "purge");
    stead_write_i64(args, purge_time(episode, status));
    stead_write_str(args, "row");
    stead_write_value(args, stead_written(&row));
    stead_write_str(args, "input");
    stead_write_value(args, input);
    stead_write_str(args, "output");
    stead_write_value(args, stead_written(&episode->output));
    stead_write_str(args, "custom");
    stead_write_value(args, episode->custom.size > 0 ? stead_written(&episode->custom) : stead_bytes(&nil, 1));
    stead_write_str(args, "rows");
    stead_write_array(args, episode->row_count + episode->left);
    if (episode->left)
        write_out(episode, args);
    stead_write_raw(args, episode->list.data, episode->list.size);
    stead_hub_set_row(session, stead_written(&row));
    stead_writer_deinit(&start_id);
    stead_writer_deinit(&row);
}

/* ---- One episode ------------------------------------------------------------------------------------------ */

/* Nothing of what the episode decided is stored or sent. */
static void forget_decisions(struct stead_hub_episode *episode)
{
    stead_engine_destroy(&episode->session->engine);
    stead_hub_sends_clear(&episode->session->sends);
    stead_writer_reset(&episode->list);
    stead_writer_reset(&episode->events);
    stead_writer_reset(&episode->taken);
    stead_writer_reset(&episode->output);
    stead_writer_reset(&episode->custom);
    stead_writer_reset(&episode->again);
    episode->row_count = episode->event_count = episode->taken_count = 0;
    episode->last = 0;
    episode->inputs = 0;
    episode->too_large = false;
}

static enum stead_hub_verdict run_it(struct stead_hub_episode *episode, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;

    stead_hub_note_taken(episode);
    episode->woken = stead_hub_pends(session) > 0;
    if (stead_engine_is_open(session->engine))
        episode->time_ms = session->last_ms;
    else
        stead_engine_begin(session->engine, session->now_ms);
    stead_hub_give_all(episode);
    if (episode->inputs == 0 && !episode->mended && !episode->woken && !episode->resumed) {
        stead_engine_destroy(&session->engine); /* it has an open episode */
        return STEAD_HUB_SEND;
    }
    session->worker->counts.episodes++;
    int code = run(episode);
    if (code == STEAD_ETOOLARGE && !session->alone) {
        bool ends = stead_engine_status(session->engine) == STEAD_INSTANCE_TERMINATED;
        forget_decisions(episode);
        return stead_hub_end_bare(episode, ends ? STEAD_INSTANCE_TERMINATED : STEAD_INSTANCE_FAILED, args);
    }
    if (code != 0) {
        stead_hub_sends_clear(&session->sends);
        stead_engine_destroy(&session->engine);
        return STEAD_HUB_READ_AGAIN;
    }
    session->alone = false;
    stead_hub_write_episode(episode, stead_engine_status(session->engine), args);
    return STEAD_HUB_WRITE;
}

/* Terminated before it has begun, it is Canceled, and its start goes; one that comes all the same begins nothing. Its
 * history is this episode alone. */
static enum stead_hub_verdict end_unbegun(struct stead_hub_episode *episode, struct stead_writer *args)
{
    const struct stead_hub_message *message =
        stead_hub_find_steer(episode->session, STEAD_HISTORY_EXECUTION_TERMINATED);
    const struct stead_history_event events[] = {
        {.type = STEAD_HISTORY_ORCHESTRATOR_STARTED, .id = 1},
        {.type = STEAD_HISTORY_EXECUTION_TERMINATED, .id = 2, .error_sentence = stead_hub_text(message->body, "es")},
        {.type = STEAD_HISTORY_ORCHESTRATOR_COMPLETED, .id = 3}};

    stead_hub_note_taken(episode);
    episode->session->version = (uint32_t)stead_hub_number(stead_written(&episode->session->row), "version");
    for (size_t at = 0; at < sizeof(events) / sizeof(events[0]); at++)
        stead_hub_take_event(episode, &events[at]);
    copy_text(episode->error_name, sizeof(episode->error_name), stead_str("canceled"));
    stead_hub_send_start_cancel(episode->session);
    stead_hub_write_episode(episode, STEAD_INSTANCE_CANCELED, args);
    return STEAD_HUB_WRITE;
}

/* One that is over and stays so. */
static bool is_past(const struct stead_hub_session *session, enum stead_instance_status status)
{
    bool final = false;

    if (!stead_instance_is_over(status))
        return false;
    if (stead_get_bool(stead_written(&session->row), "final", &final) != 0)
        final = false;
    return !stead_hub_differs(session) && (final || status != STEAD_INSTANCE_FAILED ||
                                           stead_hub_find_steer(session, STEAD_HISTORY_EXECUTION_REWOUND) == NULL);
}

static enum stead_hub_verdict begin_and_run(struct stead_hub_episode *episode, struct stead_writer *args)
{
    struct stead_hub_session *session = episode->session;
    enum stead_instance_status status = stead_hub_status_of(session);
    enum stead_hub_verdict verdict;

    if (session->exists)
        session->execution = (uint32_t)stead_hub_number(stead_written(&session->row), "execution");
    if (!stead_hub_sort(episode)) {
        if (stead_hub_pends(session) > 0) /* who has written that may have died before it sent this */
            stead_hub_send_wake(session, NULL);
        return STEAD_HUB_SEND;
    }
    if (session->exists && status == STEAD_INSTANCE_PENDING &&
        stead_hub_find_steer(session, STEAD_HISTORY_EXECUTION_TERMINATED) != NULL)
        return end_unbegun(episode, args);
    uint32_t kills = stead_hub_accuse(episode);
    if (episode->start != NULL) {
        if (!begin_fresh(episode))
            return STEAD_HUB_UNKNOWN;
        return kills > 0 ? stead_hub_condemn(episode, kills, args) : run_it(episode, args);
    }
    if (session->exists && (status == STEAD_INSTANCE_PENDING || status == STEAD_INSTANCE_CONTINUED_AS_NEW))
        return STEAD_HUB_PENDING;
    if (!session->exists || is_past(session, status))
        return episode->resumed ? stead_hub_tell_again(episode, args) : stead_hub_give_back(episode);
    bool ends = stead_hub_find_steer(session, STEAD_HISTORY_EXECUTION_TERMINATED) != NULL;
    bool rewinds = stead_hub_find_steer(session, STEAD_HISTORY_EXECUTION_REWOUND) != NULL;
    if (stead_hub_differs(session) && !rewinds)
        return ends ? stead_hub_end_bare(episode, STEAD_INSTANCE_TERMINATED, args) : stead_hub_keep(episode, args);
    if (kills > 0 && !ends)
        return stead_hub_condemn(episode, kills, args);
    verdict = kills > 0 ? STEAD_HUB_UNKNOWN : begin_again(episode);
    if (verdict == STEAD_HUB_UNKNOWN && ends)
        return stead_hub_end_bare(episode, STEAD_INSTANCE_TERMINATED, args);
    if (verdict == STEAD_HUB_UNKNOWN && status != STEAD_INSTANCE_FAILED)
        return stead_hub_keep_unknown(episode, args);
    if (verdict != STEAD_HUB_WRITE)
        return verdict;
    if (session->engine != NULL)
        return run_it(episode, args);
    if (status == STEAD_INSTANCE_FAILED &&
        !stead_hub_differs(session)) /* it was over, and stays so: to be rewound with its own code */
        return stead_hub_stay_failed(episode, args);
    if (!ends)
        return stead_hub_keep(episode, args);
    stead_hub_sends_clear(&session->sends);
    return stead_hub_end_bare(episode, STEAD_INSTANCE_TERMINATED, args);
}

enum stead_hub_verdict stead_hub_episode(struct stead_turn *turn, struct stead_hub_session *session,
                                         struct stead_writer *ret_args)
{
    struct stead_hub_episode episode;

    init_episode(&episode, turn, session);
    session->now_ms = stead_hub_time_of(turn, session);
    session->turn = turn;
    episode.time_ms = session->now_ms;
    enum stead_hub_verdict verdict = begin_and_run(&episode, ret_args);
    if (verdict == STEAD_HUB_WRITE || verdict == STEAD_HUB_SEND)
        stead_hub_refuse_starts(&episode);
    if (episode.accused)
        stead_blame(turn, nothing);
    session->turn = NULL;
    deinit_episode(&episode);
    return verdict;
}
