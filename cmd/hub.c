/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead hub: makes task hubs, shows what is in them, and deals with messages that were set aside. Everything it shows
 * it asks from the hub's own parts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents/hub_connection.h"
#include "agents/hub_key.h"
#include "cmd/connect.h"
#include "cmd/json.h"
#include "cmd/near.h"
#include "cmd/parse.h"
#include "cmd/print.h"

#define PAGE 1000u /* messages of one look */

enum hub_word { WORD_STATUS, WORD_CREATE, WORD_DELETE, WORD_POISON };
enum poison_word { POISON_LIST, POISON_RETRY, POISON_DROP };

struct hub_options {
    struct stead_connect connect;
    int word;                                              /* enum hub_word; -1: not seen yet */
    int poison;                                            /* enum poison_word; -1: not seen yet */
    const char *name;                                      /* NULL: main */
    const char *mode;                                      /* --poll: NULL, notify, backoff, or an interval */
    uint64_t interval_ms;                                  /* of --poll */
    uint64_t partitions, workers, hide_ms, keep_ms, tasks; /* 0: the default */
    bool extended, apart, force;
    uint64_t message; /* --message; 0: all */
};

static const char doc[] =
    "Makes a task hub, shows what is in it, deletes it; or deals with messages that were set aside.\n"
    "\n"
    "A hub keeps the settings that it was made with: to create one that is there, with others, is refused. "
    "`status` shows the queues' depths and oldest messages, leases and workers. A message that was taken more than 10 "
    "times, in vain, lies in the queue `poison`: `poison list` shows it, `poison retry` puts it back where it was, "
    "`poison drop` forgets it. NAME is main unless it is given.\v"
    "Examples:\n"
    "  stead hub create batch --poll 250ms --partitions 8\n"
    "  stead hub status\n"
    "  stead hub poison retry main --message 17\n"
    "  stead hub delete batch";

enum {
    OPTION_POLL = 256,
    OPTION_PARTITIONS,
    OPTION_WORKERS,
    OPTION_HIDE,
    OPTION_TASKS,
    OPTION_KEEP,
    OPTION_EXTENDED,
    OPTION_APART,
    OPTION_FORCE,
    OPTION_MESSAGE
};

static const struct argp_option options[] = {
    {"poll", OPTION_POLL, "HOW", 0, "notify, backoff, or an interval as 250ms. Default: notify", 10},
    {"partitions", OPTION_PARTITIONS, "COUNT", 0, "Control queues, 1 to 16. Default: 4", 10},
    {"workers", OPTION_WORKERS, "COUNT", 0, "1 to 64. Default: one a reactor", 10},
    {"tasks", OPTION_TASKS, "COUNT", 0, "Activities that a worker runs at once, to 4096. Default: 64", 10},
    {"hide", OPTION_HIDE, "TIME", 0, "How long a message that was taken is hidden. Default: 5m", 10},
    {"keep", OPTION_KEEP, "TIME", 0,
     "How often the hub wakes its workers: after the death of all nodes they work again so much later. Default: 2s",
     10},
    {"extended", OPTION_EXTENDED, NULL, 0, "Workers keep instances in memory between episodes", 10},
    {"apart", OPTION_APART, NULL, 0, "Queues and tables on a node that runs no workers", 10},
    {"force", OPTION_FORCE, NULL, 0, "delete: with the instances that live on it", 10},
    {"message", OPTION_MESSAGE, "NUMBER", 0, "poison: only this one. Default: all", 10},
    {0}};

/* ---- The command line --------------------------------------------------------------------------- */

static int find_word(const char *word, const char *const *words, struct argp_state *state)
{
    for (int at = 0; words[at] != NULL; at++)
        if (strcmp(words[at], word) == 0)
            return at;
    const char *near = stead_near_find(word, words);
    argp_error(state, "\"%s\": %s%s%s", word, near ? "did you mean \"" : "there is no such word", near ? near : "",
               near ? "\"?" : "");
    return -1;
}

static void take_word(struct hub_options *o, const char *arg, struct argp_state *state)
{
    static const char *const words[] = {"status", "create", "delete", "poison", NULL};
    static const char *const poison[] = {"list", "retry", "drop", NULL};

    if (o->word < 0)
        o->word = find_word(arg, words, state);
    else if (o->word == WORD_POISON && o->poison < 0)
        o->poison = find_word(arg, poison, state);
    else if (o->name == NULL)
        o->name = arg;
    else
        argp_error(state, "too many words: one NAME");
}

static void take_number(uint64_t *it, const char *name, const char *arg, uint64_t most, struct argp_state *state)
{
    if (!stead_parse_number(arg, 1, most, it))
        argp_error(state, "--%s %s: a number from 1 to %llu", name, arg, (unsigned long long)most);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct hub_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->connect;
        return 0;
    case OPTION_POLL:
        o->mode = arg;
        if (strcmp(arg, "notify") != 0 && strcmp(arg, "backoff") != 0) {
            o->mode = "fixed";
            if (!stead_parse_duration(arg, 3600000, &o->interval_ms) || o->interval_ms == 0)
                argp_error(state, "--poll %s: notify, backoff, or an interval as 250ms", arg);
        }
        return 0;
    case OPTION_PARTITIONS:
        take_number(&o->partitions, "partitions", arg, STEAD_HUB_PARTITIONS_MAX, state);
        return 0;
    case OPTION_WORKERS:
        take_number(&o->workers, "workers", arg, STEAD_HUB_WORKERS_MAX, state);
        return 0;
    case OPTION_TASKS:
        take_number(&o->tasks, "tasks", arg, STEAD_HUB_TASKS_MAX, state);
        return 0;
    case OPTION_HIDE:
        if (!stead_parse_duration(arg, 3600000, &o->hide_ms) || o->hide_ms < 100)
            argp_error(state, "--hide %s: a time from 100ms to 1h", arg);
        return 0;
    case OPTION_KEEP:
        if (!stead_parse_duration(arg, 3600000, &o->keep_ms) || o->keep_ms < 100)
            argp_error(state, "--keep %s: a time from 100ms to 1h", arg);
        return 0;
    case OPTION_EXTENDED:
        o->extended = true;
        return 0;
    case OPTION_APART:
        o->apart = true;
        return 0;
    case OPTION_FORCE:
        o->force = true;
        return 0;
    case OPTION_MESSAGE:
        take_number(&o->message, "message", arg, UINT64_MAX, state);
        return 0;
    case ARGP_KEY_ARG:
        take_word(o, arg, state);
        return 0;
    case ARGP_KEY_END:
        if (o->word < 0)
            argp_error(state, "write status, create, delete or poison");
        if (o->word == WORD_POISON && o->poison < 0)
            argp_error(state, "poison what? Write list, retry or drop");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- Asking ---------------------------------------------------------------------------------------- */

/* Asks a part of the hub; the answer as a tree (returned), NULL after complaining. */
static json_t *ask(const struct hub_options *o, struct stead_client *client, const char *address, const char *op,
                   struct stead_slice args)
{
    struct stead_answer answer = stead_connect_no_answer();
    int code = stead_client_call(client, address, op, args, NULL, &answer);

    if (code == 0)
        return stead_json_from_value(answer.value);
    (void)stead_connect_failed(&o->connect, code, &answer);
    return NULL;
}

static int open_hub(const struct hub_options *o, struct stead_client *client,
                    const struct stead_hub_settings **ret_settings)
{
    struct stead_answer answer = stead_connect_no_answer();
    int code = stead_hub_open(client, o->name, ret_settings, &answer);

    return code == 0 ? STEAD_EXIT_DONE : stead_connect_failed(&o->connect, code, &answer);
}

/* ---- create, delete ---------------------------------------------------------------------------------- */

static void add_number(struct stead_writer *map, uint32_t *count, const char *name, uint64_t it)
{
    if (it == 0)
        return;
    stead_write_str(map, name);
    stead_write_u64(map, it);
    (*count)++;
}

struct differences {
    char text[512]; /* "; 4 partitions, not 8" and so on */
};

static void differ(struct differences *it, const char *what, const char *is, const char *asked)
{
    size_t size = strlen(it->text);

    if (strcmp(is, asked) != 0)
        snprintf(it->text + size, sizeof(it->text) - size, "%s%s %s, not %s", size > 0 ? "; " : "", what, is, asked);
}

/* `asked` 0: it was not. */
static void differ_number(struct differences *it, const char *what, uint64_t is, uint64_t asked)
{
    char is_text[24], asked_text[24];

    snprintf(is_text, sizeof(is_text), "%llu", (unsigned long long)is);
    snprintf(asked_text, sizeof(asked_text), "%llu", (unsigned long long)asked);
    differ(it, what, is_text, asked == 0 ? is_text : asked_text);
}

static void differ_time(struct differences *it, const char *what, uint64_t is_ms, uint64_t asked_ms)
{
    char is_text[STEAD_PRINT_SIZE], asked_text[STEAD_PRINT_SIZE];

    if (asked_ms != 0)
        differ(it, what, stead_print_duration(is_ms * 1000000u, is_text),
               stead_print_duration(asked_ms * 1000000u, asked_text));
}

/* What was asked for and is not so, because the hub was there before. */
static struct differences compare_settings(const struct hub_options *o, const struct stead_hub_settings *is)
{
    struct differences it = {""};

    differ_number(&it, "partitions", is->partitions, o->partitions);
    differ_number(&it, "workers", is->workers, o->workers);
    differ_number(&it, "tasks", is->tasks, o->tasks);
    differ_time(&it, "hide", (uint64_t)is->hide_ms, o->hide_ms);
    differ_time(&it, "keep", (uint64_t)is->keep_ms, o->keep_ms);
    if (o->extended && !is->extended)
        differ(&it, "extended", "no", "yes");
    if (o->mode != NULL)
        differ(&it, "poll", stead_hub_mode_name(is->mode), o->mode);
    if (is->mode == STEAD_HUB_FIXED)
        differ_time(&it, "poll", (uint64_t)is->interval_ms, o->interval_ms);
    return it;
}

/* A hub stays as it was made: whoever asked for another one must hear of it. */
static int refuse_other(const struct hub_options *o, const char *differences)
{
    char sentence[600];
    struct stead_answer answer = stead_connect_no_answer();

    snprintf(sentence, sizeof(sentence), "hub %s is there already, with other settings: %s", o->name, differences);
    answer.code = STEAD_ECONFLICT;
    answer.error_sentence = sentence;
    return stead_connect_failed(&o->connect, STEAD_ECONFLICT, &answer);
}

static int create(const struct hub_options *o, struct stead_client *client)
{
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_hub_settings made;
    struct stead_writer members, map;
    struct differences differences = {""};
    uint32_t count = 0;

    stead_writer_init(&members);
    stead_writer_init(&map);
    add_number(&members, &count, "partitions", o->partitions);
    add_number(&members, &count, "workers", o->workers);
    add_number(&members, &count, "hide_ms", o->hide_ms);
    add_number(&members, &count, "keep_ms", o->keep_ms);
    add_number(&members, &count, "tasks", o->tasks);
    if (o->extended) {
        stead_pack(&members, "s", "extended");
        stead_write_bool(&members, true);
        count++;
    }
    if (o->mode != NULL) {
        stead_pack(&members, "s", "poll");
        stead_pack(&members, "{s:s,s:u}", "mode", o->mode, "interval", o->interval_ms > 0 ? o->interval_ms : 250);
        count++;
    }
    stead_write_map(&map, count);
    stead_write_raw(&map, members.data, members.size);
    int code = stead_hub_create(client, o->name, stead_written(&map), o->apart, &made, &answer);
    stead_writer_reset(&map);
    if (code == 0) {
        stead_hub_settings_write(&made, &map);
        differences = compare_settings(o, &made);
    }
    if (differences.text[0] != '\0') {
        code = STEAD_ECONFLICT;
    } else if (code == 0 && o->connect.json) {
        json_t *tree = stead_json_from_value(stead_written(&map));
        stead_json_print(tree, 0);
        json_decref(tree);
    } else if (code == 0) {
        printf("hub %s: %u partitions, %u workers, %s\n", made.name, made.partitions, made.workers,
               stead_hub_mode_name(made.mode));
    }
    stead_writer_deinit(&members);
    stead_writer_deinit(&map);
    if (differences.text[0] != '\0')
        return refuse_other(o, differences.text);
    return code == 0 ? STEAD_EXIT_DONE : stead_connect_failed(&o->connect, code, &answer);
}

static int keep_id(void *context, const struct stead_instance *instance)
{
    snprintf(context, STEAD_INSTANCE_ID_MAX + 1, "%s", instance->id);
    return 0;
}

/* An instance that is not over; "": there is none. */
static int find_live(struct stead_client *client, const char *hub, char *ret_id, struct stead_answer *ret_answer)
{
    const struct stead_instance_options where = {.hub = hub};
    bool more;
    int code = 0;

    ret_id[0] = '\0';
    for (int status = 0; code == 0 && ret_id[0] == '\0' && status <= STEAD_INSTANCE_SUSPENDED; status++) {
        if (stead_instance_is_over((enum stead_instance_status)status))
            continue;
        const struct stead_instance_filter live = {
            .status = stead_instance_status_name((enum stead_instance_status)status), .limit = 1};
        code = stead_instance_list(client, &live, &where, keep_id, ret_id, &more, ret_answer);
    }
    return code;
}

static int delete_hub(const struct hub_options *o, struct stead_client *client)
{
    struct stead_answer answer = stead_connect_no_answer();
    char live[STEAD_INSTANCE_ID_MAX + 1] = "";

    int code = o->force ? 0 : find_live(client, o->name, live, &answer);
    if (code == 0 && live[0] != '\0') {
        stead_complain(
            "%s is not over: terminate what lives on hub %s, or --force, which leaves the locks that it holds", live,
            o->name);
        return STEAD_EXIT_FAILED;
    }
    if (code == 0)
        code = stead_hub_drop(client, o->name, &answer);
    if (code != 0)
        return stead_connect_failed(&o->connect, code, &answer);
    printf(o->connect.json ? "{\"deleted\": true}\n" : "deleted: hub %s\n", o->name);
    return STEAD_EXIT_DONE;
}

/* ---- status ----------------------------------------------------------------------------------------------- */

/* Asks one more part for what is shown; of one that does not answer it complains: it is null, and `ret_whole` false. */
static json_t *ask_part(struct stead_client *client, struct stead_hub_part part, const char *op, bool *ret_whole)
{
    struct stead_answer answer = stead_connect_no_answer();
    int code = stead_client_call(client, part.text, op, (struct stead_slice){NULL, 0}, NULL, &answer);

    if (code == 0)
        return stead_json_from_value(answer.value);
    stead_complain("%s: %s", part.text,
                   answer.error_sentence[0] != '\0' ? answer.error_sentence : stead_error_sentence(code));
    *ret_whole = false;
    return json_null();
}

/* Everything that is shown, as one tree: {hub, queues, tables, workers}. `ret_whole`: all parts have answered. */
static json_t *collect(struct stead_client *client, const struct stead_hub_settings *settings, bool *ret_whole)
{
    json_t *all = json_object(), *queues = json_object(), *tables = json_array(), *workers = json_array();

    *ret_whole = true;
    json_object_set_new(all, "hub", ask_part(client, stead_hub_itself(settings->name), "status", ret_whole));
    json_object_set_new(all, "queues", queues);
    json_object_set_new(all, "tables", tables);
    json_object_set_new(all, "workers", workers);
    for (uint32_t at = 0; at < settings->partitions; at++) {
        char name[32];
        snprintf(name, sizeof(name), "control-%u", at);
        json_object_set_new(queues, name, ask_part(client, stead_hub_control(settings, at), "status", ret_whole));
        json_array_append_new(tables, ask_part(client, stead_hub_table(settings, at), "counts", ret_whole));
    }
    json_object_set_new(queues, "work", ask_part(client, stead_hub_part_queue(settings, "work"), "status", ret_whole));
    json_object_set_new(queues, "poison",
                        ask_part(client, stead_hub_part_queue(settings, "poison"), "status", ret_whole));
    for (uint32_t at = 0; at < settings->workers; at++)
        json_array_append_new(workers, ask_part(client, stead_hub_worker(settings, at), "status", ret_whole));
    return all;
}

/* A number of a part, "-" when the part has not answered. */
static void add_member(struct stead_columns *columns, const json_t *part, const char *name)
{
    if (json_is_null(part))
        stead_columns_add(columns, "-");
    else
        stead_columns_add(columns, "%lld", (long long)stead_json_member_int(part, name));
}

static void print_age(struct stead_columns *columns, int64_t since_ms, int64_t now_ms)
{
    char text[STEAD_PRINT_SIZE];

    stead_columns_add(columns, "%s",
                      since_ms <= 0 || since_ms > now_ms
                          ? "-"
                          : stead_print_duration((uint64_t)(now_ms - since_ms) * 1000000u, text));
}

static void print_queues(const json_t *queues, int64_t now_ms)
{
    static const char *const titles[] = {"QUEUE",     ">DEPTH",    ">HIDDEN",  ">OLDEST",
                                         ">ENQUEUED", ">DEQUEUED", ">DELETED", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    const char *name;
    json_t *queue;

    json_object_foreach((json_t *)(uintptr_t)queues, name, queue)
    {
        stead_columns_add(columns, "%s", name);
        add_member(columns, queue, "depth");
        add_member(columns, queue, "hidden");
        print_age(columns, stead_json_member_int(queue, "oldest"), now_ms);
        add_member(columns, queue, "enqueued");
        add_member(columns, queue, "dequeued");
        add_member(columns, queue, "deleted");
    }
    stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    stead_columns_destroy(&columns);
}

static void print_workers(const json_t *all, int64_t now_ms)
{
    static const char *const titles[] = {"WORKER",   "NODE",      "PARTITIONS", ">SEEN",   ">INSTANCES",
                                         ">RUNNING", ">EPISODES", ">READS",     ">WRITES", NULL};
    struct stead_columns *columns = stead_columns_create(titles);
    const json_t *hub = json_object_get(all, "hub");
    size_t at, lease_at;
    json_t *worker, *lease;

    json_array_foreach(json_object_get(all, "workers"), at, worker)
    {
        char held[128] = "";
        json_array_foreach(json_object_get(hub, "leases"), lease_at, lease)
        {
            if (stead_json_member_int(lease, "worker") == (int64_t)at && stead_json_member_int(lease, "until") > now_ms)
                snprintf(held + strlen(held), sizeof(held) - strlen(held), "%s%zu", held[0] ? " " : "", lease_at);
        }
        stead_columns_add(columns, "%zu", at);
        stead_columns_add(columns, "%s", json_is_null(worker) ? "-" : stead_json_member_text(worker, "node"));
        stead_columns_add(columns, "%s", held[0] ? held : "-");
        print_age(columns, stead_json_member_int(json_array_get(json_object_get(hub, "workers"), at), "seen"), now_ms);
        add_member(columns, worker, "instances");
        add_member(columns, worker, "running");
        add_member(columns, worker, "episodes");
        add_member(columns, worker, "reads");
        add_member(columns, worker, "writes");
    }
    stead_columns_print(columns, stdout, stead_print_is_fancy(stdout));
    stead_columns_destroy(&columns);
}

static int show(const struct hub_options *o, struct stead_client *client, const struct stead_hub_settings *settings)
{
    bool whole;
    json_t *all = collect(client, settings, &whole);
    int64_t now_ms = stead_parse_now_ms();

    if (o->connect.json) {
        stead_json_print(all, 0);
    } else {
        printf("hub %s: %s, messages hidden for %lld ms%s\n\n", settings->name, stead_hub_mode_name(settings->mode),
               (long long)settings->hide_ms, settings->extended ? ", extended" : "");
        print_queues(json_object_get(all, "queues"), now_ms);
        printf("\n");
        print_workers(all, now_ms);
    }
    json_decref(all);
    return whole ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;
}

/* ---- poison ------------------------------------------------------------------------------------------------ */

/* A message that was set aside, as `peek` tells of it: [seq, seen from, count, came, id, {queue, id, count, body}]. */
static int list_one(const struct hub_options *o, const struct stead_slice *message, uint64_t seq, int64_t came_ms)
{
    struct stead_slice queue = {0}, body = {0};
    uint64_t count = 0;
    char time[STEAD_PRINT_SIZE];

    if (stead_get_str(*message, "queue", &queue) != 0 || stead_get_u64(*message, "count", &count) != 0 ||
        stead_get_value(*message, "body", &body) != 0)
        return STEAD_EXIT_DONE;
    json_t *tree = stead_json_from_value(body);
    char *text = stead_json_text(tree, 0), *from = stead_print_safe(queue);
    if (o->connect.json)
        printf("{\"message\": %llu, \"queue\": \"%s\", \"count\": %llu, \"since\": %lld, \"body\": %s}\n",
               (unsigned long long)seq, from, (unsigned long long)count, (long long)came_ms, text);
    else
        printf("%llu  %s  %s  taken %llu times\n    %s\n", (unsigned long long)seq,
               stead_print_time((uint64_t)came_ms, time), from, (unsigned long long)count, text);
    free(text);
    free(from);
    json_decref(tree);
    return STEAD_EXIT_DONE;
}

static int put_back(const struct hub_options *o, struct stead_client *client, const struct stead_slice *message,
                    uint64_t seq)
{
    struct stead_slice queue, id = {0}, body = {0};
    struct stead_writer args;
    char address[STEAD_ADDRESS_MAX + 1], name[512];

    if (stead_get_text(*message, "queue", address, sizeof(address)) != 0 ||
        stead_get_str(*message, "queue", &queue) != 0 || stead_get_value(*message, "body", &body) != 0)
        return STEAD_EXIT_FAILED;
    (void)(stead_get_str(*message, "id", &id) == 0);
    id = stead_hub_own_id(id);
    snprintf(name, sizeof(name), "%.*s#%llur", (int)(id.size < 450 ? id.size : 450), (const char *)id.data,
             (unsigned long long)seq);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:b,s:v}", "id", name, "copy", 1, "body", body);
    struct stead_answer answer;
    int code = stead_hub_ask(client, address, "enqueue", &args, 0, &answer);
    return code == 0 ? STEAD_EXIT_DONE : stead_connect_failed(&o->connect, code, &answer);
}

static int forget(const struct hub_options *o, struct stead_client *client, const char *queue, uint64_t seq,
                  uint64_t receipt)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "[[u,u]]", seq, receipt);
    json_t *answer = ask(o, client, queue, "delete", stead_written(&args));
    stead_writer_deinit(&args);
    bool done = answer != NULL;
    json_decref(answer);
    return done ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;
}

/* How far a walk through the queue has come. */
struct walk {
    uint64_t from_ms, from_seq; /* of the next message, at least */
    uint64_t last;              /* the newest number when it began: what is retried may be back at once */
    uint64_t dealt;
    uint32_t page; /* messages of the last look */
};

static int deal(const struct hub_options *o, struct stead_client *client, const char *queue,
                struct stead_reader *reader, struct walk *walk)
{
    struct stead_slice id, message;
    struct stead_writer whole;
    uint64_t seq, receipt, count, size = 0;
    int64_t came_ms;
    uint32_t members;
    int status = STEAD_EXIT_DONE;

    if (stead_read_array(reader, &members) != 0 || members < 6 || stead_read_u64(reader, &seq) != 0 ||
        stead_read_u64(reader, &receipt) != 0 || stead_read_u64(reader, &count) != 0 ||
        stead_read_i64(reader, &came_ms) != 0 || stead_read_str(reader, &id) != 0 ||
        stead_read_value(reader, &message) != 0 || (members > 6 && stead_read_u64(reader, &size) != 0))
        return STEAD_EXIT_FAILED;
    walk->from_ms = receipt;
    walk->from_seq = seq + 1;
    if (seq > walk->last || (o->message != 0 && o->message != seq))
        return STEAD_EXIT_DONE;
    walk->dealt++;
    stead_writer_init(&whole);
    if (size > 0 && o->poison != POISON_DROP && stead_hub_fetch_body(client, queue, seq, size, &whole) == 0)
        message = stead_written(&whole);
    if (o->poison == POISON_LIST)
        status = list_one(o, &message, seq, came_ms);
    else if (o->poison == POISON_RETRY)
        status = put_back(o, client, &message, seq);
    stead_writer_deinit(&whole);
    if (o->poison == POISON_LIST)
        return status;
    return status != STEAD_EXIT_DONE ? status : forget(o, client, queue, seq, receipt);
}

/* As many as one look shows. */
static int deal_with_page(const struct hub_options *o, struct stead_client *client, const char *queue,
                          struct walk *walk)
{
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_writer args, list;
    int status = STEAD_EXIT_DONE;

    stead_writer_init(&args);
    stead_writer_init(&list);
    stead_pack(&args, "{s:u,s:u,s:u}", "max", (uint64_t)PAGE, "from_ms", walk->from_ms, "from_seq", walk->from_seq);
    int code = stead_client_call(client, queue, "peek", stead_written(&args), NULL, &answer);
    stead_writer_deinit(&args);
    walk->page = 0;
    if (code != 0)
        return stead_connect_failed(&o->connect, code, &answer);
    stead_write_raw(&list, answer.value.data, answer.value.size); /* what comes next forgets the answer */
    struct stead_reader reader = stead_reader(stead_written(&list));
    if (stead_read_array(&reader, &walk->page) != 0)
        walk->page = 0;
    for (uint32_t left = walk->page; left > 0 && status == STEAD_EXIT_DONE; left--)
        status = deal(o, client, queue, &reader, walk);
    stead_writer_deinit(&list);
    return status;
}

static int deal_with_poison(const struct hub_options *o, struct stead_client *client,
                            const struct stead_hub_settings *settings)
{
    struct stead_hub_part queue = stead_hub_part_queue(settings, "poison");
    json_t *begin = ask(o, client, queue.text, "status", (struct stead_slice){NULL, 0});
    struct walk walk = {.last = (uint64_t)stead_json_member_int(begin, "enqueued"), .page = begin != NULL};
    int status = begin != NULL ? STEAD_EXIT_DONE : STEAD_EXIT_FAILED;

    json_decref(begin);
    while (status == STEAD_EXIT_DONE && walk.page > 0)
        status = deal_with_page(o, client, queue.text, &walk);
    if (status == STEAD_EXIT_DONE && o->poison != POISON_LIST)
        printf(o->connect.json ? "{\"%s\": %llu}\n" : "%s: %llu\n", o->poison == POISON_RETRY ? "retried" : "dropped",
               (unsigned long long)walk.dealt);
    if (status == STEAD_EXIT_DONE && o->message != 0 && walk.dealt == 0) {
        fprintf(stderr, "stead hub: there is no message %llu in the queue poison\n", (unsigned long long)o->message);
        status = STEAD_EXIT_FAILED;
    }
    return status;
}

int stead_cmd_hub(int argc, char **argv)
{
    static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {
        options, parse, "status|create|delete [NAME]\npoison list|retry|drop [NAME]", doc, children, NULL, NULL};
    struct hub_options o = {.word = -1, .poison = -1};
    const struct stead_hub_settings *settings = NULL;
    struct stead_client *client = NULL;

    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return STEAD_EXIT_USAGE;
    o.name = o.name != NULL ? o.name : STEAD_HUB_DEFAULT;
    int status = stead_connect_open(&o.connect, &client);
    if (status == STEAD_EXIT_DONE && o.word == WORD_CREATE)
        status = create(&o, client);
    else if (status == STEAD_EXIT_DONE && o.word == WORD_DELETE)
        status = delete_hub(&o, client);
    else if (status == STEAD_EXIT_DONE)
        status = open_hub(&o, client, &settings);
    if (status == STEAD_EXIT_DONE && o.word == WORD_STATUS)
        status = show(&o, client, settings);
    else if (status == STEAD_EXIT_DONE && o.word == WORD_POISON)
        status = deal_with_poison(&o, client, settings);
    stead_client_close(&client);
    return status;
}
