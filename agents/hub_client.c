/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_client: instances of a task hub from outside.
 *
 * A client does what a client of a storage service would: it writes the instance's row (Pending) and puts the start
 * into the control queue, two operations one after the other; it waits by asking the table. So it does for what it asks
 * of a living instance (suspend, resume, terminate, rewind): the message is stored, and the answer comes when what was
 * asked holds. Where the hub is polled, so is the table: at the fixed interval, or ever more rarely; the store waits in
 * the client's stead until the moment of the next question, which changes neither what is asked nor when.
 */
#include "agents/hub_client.h"

#include <stdlib.h>
#include <string.h>

#include "agents/history.h"
#include "agents/hub_connection.h"
#include "agents/instance.h"

#define WAIT_MS 20000
#define LATE_MS 1000 /* an answer that was asked for at the end of the time may come so much later */
#define LIST_DEFAULT 100u
#define LIST_MAX 10000u
#define REPLACE_TRIES 3u

/* ---- Starting ---------------------------------------------------------------------------------- */

static void pack_create(struct stead_writer *args, const char *id, const char *name, struct stead_slice input,
                        uint32_t version, const char *start)
{
    stead_pack(args, "{s:s,s:s,s:u,s:v,s:s}", "id", id, "name", name, "version", (uint64_t)version, "input", input,
               "start", start);
}

static void pack_start(struct stead_writer *args, const char *id, const char *name, struct stead_slice input,
                       const struct stead_instance_options *options, const char *start)
{
    struct stead_writer body;

    stead_writer_init(&body);
    stead_pack(&body, "{s:s,s:s,s:s,s:v,s:u}", "t", "start", "i", id, "n", name, "v", input, "ver",
               (uint64_t)options->version);
    stead_pack(args, "{s:s,s:l,s:v}", "id", start, "delay", options->delay_ms, "body", stead_written(&body));
    stead_writer_deinit(&body);
}

struct start_id {
    char text[STEAD_INSTANCE_ID_MAX + STEAD_RANDOM_ID_SIZE + 2];
};

static int make_start_id(struct stead_client *client, const char *id, struct start_id *ret_start)
{
    size_t size = strlen(id);
    int code = stead_client_random_id(client, ret_start->text + size + 1);

    if (code != 0)
        return code;
    memcpy(ret_start->text, id, size);
    ret_start->text[size] = ':';
    return 0;
}

static struct stead_hub_part table_of(const struct stead_hub_settings *settings, const char *id)
{
    return stead_hub_table(settings, stead_hub_partition(settings, stead_str(id)));
}

static struct stead_hub_part control_of(const struct stead_hub_settings *settings, const char *id)
{
    return stead_hub_control(settings, stead_hub_partition(settings, stead_str(id)));
}

/* The active one is terminated, and with it all that it has open. */
static int end_active(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                      struct stead_answer *answer)
{
    int code =
        stead_hub_instance_steer(client, id, STEAD_INSTANCE_TERMINATE, "another one takes its place", options, answer);

    return code == STEAD_ESTATE || code == STEAD_ENOTFOUND ? 0 : code;
}

/* Is there room for another one of this id now? What failed by code that does not match its history is ended in any
 * case. */
static bool makes_room(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                       struct stead_answer *answer)
{
    const struct stead_answer conflict = *answer;
    struct stead_answer status;
    bool differs = false;

    if (!options->replace && (stead_hub_instance_status(client, id, options, &status) != 0 ||
                              stead_get_bool(status.value, "differs", &differs) != 0 || !differs)) {
        *answer = conflict;
        return false;
    }
    return end_active(client, id, options, answer) == 0;
}

int stead_hub_instance_start(struct stead_client *client, const char *id, const char *name, struct stead_slice input,
                             const struct stead_instance_options *options, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct stead_answer answer;
    struct start_id start;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, ret_answer);

    if (code == 0 && input.size > STEAD_HUB_VALUE_MAX)
        code = stead_hub_refuse(ret_answer, STEAD_ETOOLARGE, NULL);
    if (code == 0)
        code = make_start_id(client, id, &start);
    if (code != 0)
        return code;
    struct stead_hub_part table = table_of(settings, id), queue = control_of(settings, id);
    for (uint32_t tries = 0; tries < REPLACE_TRIES; tries++) {
        stead_writer_init(&args);
        pack_create(&args, id, name, input, options->version, start.text);
        code = stead_hub_ask(client, table.text, "create", &args, options->timeout_ms, &answer);
        if (code != STEAD_ECONFLICT || !makes_room(client, id, options, &answer))
            break;
    }
    if (code == 0) {
        stead_writer_init(&args);
        pack_start(&args, id, name, input, options, start.text);
        code = stead_hub_ask(client, queue.text, "enqueue", &args, options->timeout_ms, &answer);
    }
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* ---- Waiting ------------------------------------------------------------------------------------- */

/* How a client waits, by the hub's mode. */
struct patience {
    uint64_t until_ns; /* its time is over then */
    int64_t next_ms;   /* back-off: until the next question */
    uint32_t ask_ms;   /* how long the next answer may take */
};

static void begin_wait(struct patience *patience, const struct stead_client *client,
                       const struct stead_hub_settings *settings, uint32_t timeout_ms)
{
    if (timeout_ms == 0)
        timeout_ms = stead_client_timeout_ms(client);
    patience->until_ns = stead_client_monotonic_ns() + timeout_ms * UINT64_C(1000000);
    patience->next_ms = settings->mode == STEAD_HUB_FIXED ? settings->interval_ms : settings->first_ms;
}

/* What is asked for next. False: its time is over. */
static bool pack_wait(struct patience *patience, const struct stead_hub_settings *settings, const char *id,
                      uint64_t etag, struct stead_writer *args)
{
    bool notify = settings->mode == STEAD_HUB_NOTIFY;
    int64_t ms = notify ? WAIT_MS : patience->next_ms;

    uint64_t now_ns = stead_client_monotonic_ns();
    if (now_ns >= patience->until_ns)
        return false;
    int64_t left_ms = (int64_t)((patience->until_ns - now_ns + 999999) / 1000000);
    ms = ms < left_ms ? ms : left_ms;
    patience->ask_ms =
        left_ms < WAIT_MS + STEAD_HUB_ANSWER_MS - LATE_MS ? (uint32_t)left_ms + LATE_MS : WAIT_MS + STEAD_HUB_ANSWER_MS;
    if (settings->mode == STEAD_HUB_BACKOFF)
        patience->next_ms = patience->next_ms * 2 < settings->max_ms ? patience->next_ms * 2 : settings->max_ms;
    stead_writer_init(args);
    stead_pack(args, "{s:s,s:l,s:u}", "id", id, notify ? "wait" : "delay", ms, "etag", etag);
    return true;
}

static bool tells_end(struct stead_slice map)
{
    struct stead_slice name;
    enum stead_instance_status status;

    return stead_get_str(map, "status", &name) == 0 && stead_instance_status_find(name, &status) == 0 &&
           stead_instance_is_over(status);
}

int stead_hub_instance_wait(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                            struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct patience patience;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, ret_answer);

    if (code != 0)
        return code;
    struct stead_hub_part table = table_of(settings, id);
    begin_wait(&patience, client, settings, options->timeout_ms);
    while (pack_wait(&patience, settings, id, 0, &args)) {
        code = stead_hub_ask(client, table.text, "wait", &args, patience.ask_ms, ret_answer);
        if (code != 0 || tells_end(ret_answer->value))
            return code;
    }
    return stead_hub_refuse(ret_answer, STEAD_ETIMEOUT, "the instance did not end in this time; it goes on");
}

static bool tells(struct stead_slice map, const char *flag)
{
    bool it = false;

    return stead_get_bool(map, flag, &it) == 0 && it;
}

/* A start and its wait, pipelined. */
struct run {
    struct stead_client *client; /* borrowed */
    const struct stead_hub_settings *settings;
    struct patience patience;
    bool waiting; /* the start was stored */
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct stead_writer start; /* the args of the enqueue */
    stead_completion_fn *completion;
    void *context;
};

static void end_run(struct run *run, const struct stead_answer *answer)
{
    if (run->completion != NULL)
        run->completion(run->context, answer);
    stead_writer_deinit(&run->start);
    free(run);
}

void stead_hub_name_conflict(struct stead_answer *answer, const char *id)
{
    if (answer->code != STEAD_ECONFLICT)
        return;
    answer->error_sentence = STEAD_INSTANCE_IS_ACTIVE;
    answer->error_agent = id;
    answer->error_op = "start";
}

static void fail_run(struct run *run, int code)
{
    struct stead_answer answer;

    (void)stead_hub_refuse(&answer, code, NULL);
    end_run(run, &answer);
}

static void run_on(void *context, const struct stead_answer *answer)
{
    struct run *run = context;
    struct stead_writer args;

    if (answer->code == STEAD_ECONFLICT && run->start.size > 0) {
        struct stead_answer refused = *answer;
        stead_hub_name_conflict(&refused, run->id);
        end_run(run, &refused);
        return;
    }
    if (answer->code != 0 || (run->waiting && tells_end(answer->value))) {
        end_run(run, answer);
        return;
    }
    if (!run->waiting && run->start.size > 0) {
        struct stead_hub_part queue = control_of(run->settings, run->id);
        int code =
            stead_hub_ask_async(run->client, queue.text, "enqueue", stead_written(&run->start), NULL, run_on, run);
        stead_writer_deinit(&run->start);
        stead_writer_init(&run->start);
        if (code != 0)
            fail_run(run, code);
        return;
    }
    run->waiting = true;
    if (!pack_wait(&run->patience, run->settings, run->id, 0, &args)) {
        fail_run(run, STEAD_ETIMEOUT);
        return;
    }
    const struct stead_request_options request = {.timeout_ms = run->patience.ask_ms};
    struct stead_hub_part table = table_of(run->settings, run->id);
    int code = stead_hub_ask_async(run->client, table.text, "wait", stead_written(&args), &request, run_on, run);
    stead_writer_deinit(&args);
    if (code != 0)
        fail_run(run, code);
}

int stead_hub_instance_run_async(struct stead_client *client, const char *id, const char *name,
                                 struct stead_slice input, const struct stead_instance_options *options,
                                 stead_completion_fn *completion, void *context)
{
    const struct stead_hub_settings *settings;
    struct start_id start;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, NULL);

    if (code == 0 && input.size > STEAD_HUB_VALUE_MAX)
        code = STEAD_ETOOLARGE;
    if (code == 0)
        code = make_start_id(client, id, &start);
    if (code != 0)
        return code;
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return STEAD_ENOMEM;
    run->client = client;
    run->settings = settings;
    run->completion = completion;
    run->context = context;
    memcpy(run->id, id, strlen(id) + 1);
    begin_wait(&run->patience, client, settings, options->timeout_ms);
    stead_writer_init(&run->start);
    pack_start(&run->start, id, name, input, options, start.text);
    stead_writer_init(&args);
    pack_create(&args, id, name, input, options->version, start.text);
    struct stead_hub_part table = table_of(settings, id);
    code = stead_hub_ask_async(client, table.text, "create", stead_written(&args), NULL, run_on, run);
    stead_writer_deinit(&args);
    if (code != 0) {
        stead_writer_deinit(&run->start);
        free(run);
    }
    return code;
}

/* ---- Looking --------------------------------------------------------------------------------------- */

int stead_hub_instance_status(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                              struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, ret_answer);

    if (code != 0)
        return code;
    struct stead_hub_part table = table_of(settings, id);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", id);
    return stead_hub_ask(client, table.text, "status", &args, options->timeout_ms, ret_answer);
}

int stead_hub_instance_history(struct stead_client *client, const char *id, uint64_t after,
                               const struct stead_instance_options *options, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, ret_answer);

    if (code != 0)
        return code;
    struct stead_hub_part table = table_of(settings, id);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "id", id, "after", after);
    return stead_hub_ask(client, table.text, "history", &args, options->timeout_ms, ret_answer);
}

/* ---- Steering ---------------------------------------------------------------------------------------- */

/* Of the instance that is shown: what is asked of it is none of the next one's of its id. */
static int64_t born_at(struct stead_slice map)
{
    int64_t created_ms = 0;

    return stead_get_i64(map, "created", &created_ms) == 0 ? created_ms : 0;
}

static int put_message(struct stead_client *client, const struct stead_hub_settings *settings, const char *id,
                       struct stead_writer *body, const struct stead_instance_options *options,
                       struct stead_answer *ret_answer)
{
    struct stead_hub_part queue = control_of(settings, id);
    struct start_id message;
    struct stead_writer args;
    int code = make_start_id(client, id, &message);

    stead_writer_init(&args);
    if (code == 0)
        stead_pack(&args, "{s:s,s:v}", "id", message.text, "body", stead_written(body));
    stead_writer_deinit(body);
    return code != 0 ? code : stead_hub_ask(client, queue.text, "enqueue", &args, options->timeout_ms, ret_answer);
}

int stead_hub_instance_raise(struct stead_client *client, const char *id, const char *event, struct stead_slice value,
                             const struct stead_instance_options *options, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct stead_answer answer;
    struct stead_writer body;
    int code = stead_hub_instance_status(client, id, options, &answer);
    int64_t born_ms = code == 0 ? born_at(answer.value) : 0;

    if (code == 0 && value.size > STEAD_HUB_VALUE_MAX)
        code = stead_hub_refuse(&answer, STEAD_ETOOLARGE, NULL);
    if (code == 0 && tells_end(answer.value) && !tells(answer.value, "differs"))
        code = stead_hub_refuse(&answer, STEAD_ESTATE, "the instance is over");
    if (code == 0)
        code = stead_hub_open(client, options->hub, &settings, &answer);
    if (code == 0) {
        stead_writer_init(&body);
        stead_pack(&body, "{s:s,s:s,s:s,s:v,s:l}", "t", "raise", "i", id, "n", event, "v", value, "born", born_ms);
        code = put_message(client, settings, id, &body, options, &answer);
    }
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* Whether the action goes with the status. */
static bool goes(enum stead_instance_action action, enum stead_instance_status status, struct stead_slice map)
{
    bool over = stead_instance_is_over(status);

    switch (action) {
    case STEAD_INSTANCE_TERMINATE:
        return !over || tells(map, "differs");
    case STEAD_INSTANCE_SUSPEND:
        return !over && status != STEAD_INSTANCE_SUSPENDED;
    case STEAD_INSTANCE_RESUME:
        return status == STEAD_INSTANCE_SUSPENDED;
    case STEAD_INSTANCE_REWIND:
        return status == STEAD_INSTANCE_FAILED && !tells(map, "final");
    case STEAD_INSTANCE_RESTART:
    case STEAD_INSTANCE_PURGE:
        return over;
    }
    return false;
}

/* Does what was asked hold, now that the instance is as the map says? It was at this etag before. */
static bool holds(enum stead_instance_action action, struct stead_slice map, uint64_t before)
{
    enum stead_instance_status status = STEAD_INSTANCE_RUNNING;
    struct stead_slice name;
    uint64_t etag = 0;

    if (stead_get_str(map, "status", &name) != 0 || stead_instance_status_find(name, &status) != 0 ||
        stead_get_u64(map, "etag", &etag) != 0)
        return true; /* a table of an older stead */
    switch (action) {
    case STEAD_INSTANCE_TERMINATE:
        return stead_instance_is_over(status) && !tells(map, "differs");
    case STEAD_INSTANCE_SUSPEND:
        return stead_instance_is_over(status) || status == STEAD_INSTANCE_SUSPENDED;
    case STEAD_INSTANCE_RESUME:
        return status != STEAD_INSTANCE_SUSPENDED;
    case STEAD_INSTANCE_REWIND:
        return status != STEAD_INSTANCE_FAILED || etag != before;
    case STEAD_INSTANCE_RESTART:
    case STEAD_INSTANCE_PURGE:
        break;
    }
    return true;
}

/* Waits until it holds. One that has not begun takes nothing before its start but its end. */
static int await_holding(struct stead_client *client, const struct stead_hub_settings *settings, const char *id,
                         enum stead_instance_action action, uint64_t before,
                         const struct stead_instance_options *options, struct stead_answer *answer)
{
    struct stead_hub_part table = table_of(settings, id);
    struct patience patience;
    struct stead_writer args;
    uint64_t etag = before;

    begin_wait(&patience, client, settings, options->timeout_ms);
    while (pack_wait(&patience, settings, id, etag, &args)) {
        int code = stead_hub_ask(client, table.text, "wait", &args, patience.ask_ms, answer);
        if (code == STEAD_ENOTFOUND)
            return 0; /* it was purged meanwhile */
        if (code != 0 || holds(action, answer->value, before))
            return code;
        (void)(stead_get_u64(answer->value, "etag", &etag) == 0);
    }
    return stead_hub_refuse(answer, STEAD_ETIMEOUT, "it was asked for, and has not happened in this time");
}

static int restart(struct stead_client *client, const struct stead_instance *instance,
                   const struct stead_instance_options *options, struct stead_answer *answer)
{
    struct stead_instance_options same = {
        .hub = options->hub, .timeout_ms = options->timeout_ms, .version = instance->version};
    struct stead_writer input;

    stead_writer_init(&input); /* what was answered is gone with the next request */
    stead_write_raw(&input, instance->input.data, instance->input.size);
    int code = stead_hub_instance_start(client, instance->id, instance->name, stead_written(&input), &same, answer);
    stead_writer_deinit(&input);
    return code;
}

static int purge(struct stead_client *client, const struct stead_hub_settings *settings, const char *id,
                 const struct stead_instance_options *options, struct stead_answer *answer)
{
    struct stead_hub_part table = table_of(settings, id);
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", id);
    return stead_hub_ask(client, table.text, "purge", &args, options->timeout_ms, answer);
}

int stead_hub_instance_purge_async(struct stead_client *client, const char *id,
                                   const struct stead_instance_options *options, stead_completion_fn *completion,
                                   void *context)
{
    const struct stead_request_options request = {.timeout_ms = options->timeout_ms};
    const struct stead_hub_settings *settings;
    struct stead_writer args;
    int code = stead_hub_open(client, options->hub, &settings, NULL);

    if (code != 0)
        return code;
    struct stead_hub_part table = table_of(settings, id);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", id);
    code = stead_client_call_async(client, table.text, "purge", stead_written(&args), &request, completion, context);
    stead_writer_deinit(&args);
    return code;
}

/* {"asked": true}: it is stored, and has not happened. */
static const uint8_t only_asked[] = {0x81, 0xa5, 'a', 's', 'k', 'e', 'd', 0xc3};

int stead_hub_instance_steer(struct stead_client *client, const char *id, enum stead_instance_action action,
                             const char *reason, const struct stead_instance_options *options,
                             struct stead_answer *ret_answer)
{
    static const uint64_t events[] = {[STEAD_INSTANCE_TERMINATE] = STEAD_HISTORY_EXECUTION_TERMINATED,
                                      [STEAD_INSTANCE_SUSPEND] = STEAD_HISTORY_EXECUTION_SUSPENDED,
                                      [STEAD_INSTANCE_RESUME] = STEAD_HISTORY_EXECUTION_RESUMED,
                                      [STEAD_INSTANCE_REWIND] = STEAD_HISTORY_EXECUTION_REWOUND};
    const struct stead_hub_settings *settings = NULL;
    struct stead_instance instance;
    struct stead_answer answer;
    struct stead_writer body;
    uint64_t etag = 0;
    int code = stead_hub_instance_status(client, id, options, &answer);

    if (code == 0 && tells(answer.value, "differs") &&
        (action == STEAD_INSTANCE_RESTART || action == STEAD_INSTANCE_PURGE)) {
        code = end_active(client, id, options, &answer);
        if (code == 0)
            code = stead_hub_instance_status(client, id, options, &answer);
    }
    if (code == 0)
        code = stead_instance_read(answer.value, &instance);
    if (code == 0 && stead_get_u64(answer.value, "etag", &etag) != 0)
        etag = 0;
    int64_t born_ms = code == 0 ? born_at(answer.value) : 0;
    if (code == 0 && !goes(action, instance.status, answer.value))
        code = stead_hub_refuse(&answer, STEAD_ESTATE, stead_instance_refusal(action));
    if (code == 0)
        code = stead_hub_open(client, options->hub, &settings, &answer);
    if (code == 0 && action == STEAD_INSTANCE_RESTART) {
        code = restart(client, &instance, options, &answer);
    } else if (code == 0 && action == STEAD_INSTANCE_PURGE) {
        code = purge(client, settings, id, options, &answer);
    } else if (code == 0) {
        stead_writer_init(&body);
        stead_pack(&body, "{s:s,s:s,s:u,s:s,s:l}", "t", "steer", "i", id, "k", events[action], "es",
                   reason == NULL ? "" : reason, "born", born_ms);
        code = put_message(client, settings, id, &body, options, &answer);
        bool begun = instance.status != STEAD_INSTANCE_PENDING || instance.events > 0;
        if (code == 0 && etag != 0 && (begun || action == STEAD_INSTANCE_TERMINATE))
            code = await_holding(client, settings, id, action, etag, options, &answer);
        else if (code == 0 && !begun)
            answer.value = stead_bytes(only_asked, sizeof(only_asked));
    }
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* ---- Listing -------------------------------------------------------------------------------------------- */

/* Instances of all partitions, as they came: maps in one buffer. */
struct found {
    struct stead_writer bytes;
    struct item {
        char id[STEAD_INSTANCE_ID_MAX + 1];
        size_t at, size; /* of its map in `bytes` */
    } * items;
    uint32_t count, capacity;
};

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->id, ((const struct item *)b)->id);
}

static int add_instances(struct found *found, struct stead_slice list, uint32_t *ret_count)
{
    struct stead_reader reader = stead_reader(list);
    struct stead_slice map;

    if (stead_read_array(&reader, ret_count) != 0)
        return STEAD_ECORRUPT;
    for (uint32_t at = 0; at < *ret_count; at++) {
        if (found->count == found->capacity) {
            found->capacity = found->capacity == 0 ? 128 : found->capacity * 2;
            found->items = realloc(found->items, found->capacity * sizeof(*found->items));
            if (found->items == NULL)
                abort();
        }
        struct item *item = &found->items[found->count];
        if (stead_read_value(&reader, &map) != 0 || stead_get_text(map, "id", item->id, sizeof(item->id)) != 0)
            return STEAD_ECORRUPT;
        item->at = found->bytes.size;
        item->size = map.size;
        stead_write_raw(&found->bytes, map.data, map.size);
        found->count++;
    }
    return 0;
}

/* Up to `limit` instances of one partition; `ret_more`: there are others behind them. */
static int list_partition(struct stead_client *client, const char *table, const struct stead_instance_filter *filter,
                          uint32_t limit, uint32_t timeout_ms, struct found *found, bool *ret_more,
                          struct stead_answer *answer)
{
    char after[STEAD_INSTANCE_ID_MAX + 1] = "";
    uint32_t count = 0, got = 0;
    struct stead_slice list;

    if (filter->after != NULL)
        memcpy(after, filter->after, strlen(filter->after) + 1);
    do {
        struct stead_writer args;
        stead_writer_init(&args);
        stead_pack(&args, "{s:s,s:s,s:s,s:l,s:l,s:u,s:s}", "status", filter->status, "name", filter->name, "prefix",
                   filter->id_prefix, "from", filter->from_ms, "to", filter->to_ms, "limit",
                   (uint64_t)(limit - got < 1000 ? limit - got : 1000), "after", after);
        int code = stead_hub_ask(client, table, "list", &args, timeout_ms, answer);
        if (code == 0 && (stead_get_value(answer->value, "instances", &list) != 0 ||
                          stead_get_text(answer->value, "next", after, sizeof(after)) != 0 ||
                          add_instances(found, list, &count) != 0))
            code = stead_hub_refuse(answer, STEAD_ECORRUPT, "the table's answer is no page of instances");
        if (code != 0)
            return code;
        got += count;
    } while (after[0] != '\0' && got < limit);
    *ret_more = *ret_more || after[0] != '\0';
    return 0;
}

int stead_hub_instance_list(struct stead_client *client, const struct stead_instance_filter *filter,
                            const struct stead_instance_options *options, stead_instance_fn *visit, void *context,
                            bool *ret_more, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings = NULL;
    uint32_t limit = filter->limit != 0 ? filter->limit : LIST_DEFAULT, seen = 0;
    struct found found = {.count = 0};
    struct stead_answer answer;
    bool more = false, ended = false;
    int code = stead_hub_open(client, options->hub, &settings, &answer);

    stead_writer_init(&found.bytes);
    for (uint32_t at = 0; code == 0 && at < settings->partitions; at++) {
        struct stead_hub_part table = stead_hub_table(settings, at);
        code = list_partition(client, table.text, filter, limit < LIST_MAX ? limit : LIST_MAX, options->timeout_ms,
                              &found, &more, &answer);
    }
    if (code == 0 && found.count > 0)
        qsort(found.items, found.count, sizeof(*found.items), compare_items);
    for (; code == 0 && seen < found.count && seen < limit && !ended; seen++) {
        struct stead_instance instance;
        code = stead_instance_read(stead_bytes(found.bytes.data + found.items[seen].at, found.items[seen].size),
                                   &instance);
        ended = code == 0 && visit(context, &instance) != 0;
    }
    if (code == 0 && ret_more != NULL)
        *ret_more = more || ended || seen < found.count;
    stead_writer_deinit(&found.bytes);
    free(found.items);
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}
