/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_connection: a client's hubs: making one, what is known of those it has used, and calls of agents over one.
 *
 * What a client knows is kept with it (stead_client_set_extra()): settings do not change while a hub is there. Placing
 * looks at where addresses live: of the shards that are found, every other one is for the store and the rest for
 * workers; `apart`, the nodes are divided instead.
 */
#include "agents/hub_connection.h"

#include <stdlib.h>
#include <string.h>

#include "agents/hash.h"
#include "agents/hub_large.h"

#define CANDIDATES 256u /* tags that are looked at */
#define SHARDS_MAX 256u
#define WORKERS_DEFAULT_MAX 8u
#define WAIT_MS 20000

struct known {
    struct known *next;
    struct stead_hub_settings settings;
    char reply[STEAD_HUB_PART_SIZE]; /* the queue of its own; "": none yet */
    char reply_name[64];
    struct stead_writer value; /* of the newest answer of an agent */
    char error_name[64], error_sentence[512];
};

int stead_hub_refuse(struct stead_answer *ret_answer, int code, const char *sentence)
{
    if (ret_answer != NULL)
        *ret_answer = (struct stead_answer){.code = code,
                                            .error_name = stead_error_name(code),
                                            .error_sentence = sentence != NULL ? sentence : stead_error_sentence(code),
                                            .error_agent = "",
                                            .error_op = ""};
    return code;
}

/* The name of a parcel: chance. */
static int name_parcel(struct stead_client *client, struct stead_hub_key *ret_name)
{
    char text[STEAD_RANDOM_ID_SIZE];
    int code = stead_client_random_id(client, text);

    *ret_name = (struct stead_hub_key){.size = 0};
    stead_hub_key_u64(ret_name, code == 0 ? stead_hash64(stead_str(text)) : 0);
    stead_hub_key_u64(ret_name, code == 0 ? stead_hash64(stead_str(text + 1)) : 0);
    return code;
}

/* The args of one piece. */
static void pack_piece(struct stead_writer *piece, const struct stead_hub_key *name, struct stead_slice args, size_t at)
{
    size_t size = args.size - at < STEAD_HUB_PIECE ? args.size - at : STEAD_HUB_PIECE;

    stead_writer_reset(piece);
    stead_pack(piece, "{s:B,s:u,s:B}", "parcel", stead_hub_key(name), "at", (uint64_t)(at / STEAD_HUB_PIECE), "bytes",
               stead_bytes(args.data + at, size));
}

static void pack_parcel(struct stead_writer *args, const struct stead_hub_key *name, size_t size)
{
    stead_writer_reset(args);
    stead_pack(args, "{s:B,s:u}", "parcel", stead_hub_key(name), "pieces",
               (uint64_t)((size + STEAD_HUB_PIECE - 1) / STEAD_HUB_PIECE));
}

/* What is longer than a payload goes first, in pieces; then `args` say where they are. */
static int send_parcel(struct stead_client *client, const char *address, struct stead_writer *args, uint32_t timeout_ms,
                       struct stead_answer *answer)
{
    const struct stead_request_options options = {.timeout_ms = timeout_ms};
    struct stead_hub_key name;
    struct stead_writer piece;
    size_t size = args->size;
    int code = name_parcel(client, &name);

    stead_writer_init(&piece);
    for (size_t at = 0; at < size && code == 0; at += STEAD_HUB_PIECE) {
        pack_piece(&piece, &name, stead_written(args), at);
        code = stead_client_call(client, address, "piece", stead_written(&piece), &options, answer);
    }
    stead_writer_deinit(&piece);
    pack_parcel(args, &name, size);
    return code;
}

int stead_hub_ask(struct stead_client *client, const char *address, const char *op, struct stead_writer *args,
                  uint32_t timeout_ms, struct stead_answer *ret_answer)
{
    const struct stead_request_options options = {.timeout_ms = timeout_ms};
    struct stead_answer answer;
    int code = 0;

    (void)stead_hub_refuse(&answer, STEAD_EARGUMENT, NULL);
    if (args->size > STEAD_HUB_ARGS_MAX)
        code = send_parcel(client, address, args, timeout_ms, &answer);
    if (code == 0)
        code = stead_client_call(client, address, op, stead_written(args), &options, &answer);
    stead_writer_deinit(args);
    if (code != 0 && answer.code != code)
        (void)stead_hub_refuse(&answer, code, NULL);
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* A piece that is missing is found by the operation behind it. */
static void forget_answer(void *context, const struct stead_answer *answer)
{
    (void)context, (void)answer;
}

int stead_hub_ask_async(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                        const struct stead_request_options *options, stead_completion_fn *completion, void *context)
{
    struct stead_hub_key name;
    struct stead_writer piece;
    int code = 0;

    if (args.size <= STEAD_HUB_ARGS_MAX)
        return stead_client_call_async(client, address, op, args, options, completion, context);
    stead_writer_init(&piece);
    code = name_parcel(client, &name);
    for (size_t at = 0; at < args.size && code == 0; at += STEAD_HUB_PIECE) {
        pack_piece(&piece, &name, args, at);
        code = stead_client_call_async(client, address, "piece", stead_written(&piece), options, forget_answer, NULL);
    }
    pack_parcel(&piece, &name, args.size);
    if (code == 0)
        code = stead_client_call_async(client, address, op, stead_written(&piece), options, completion, context);
    stead_writer_deinit(&piece);
    return code;
}

/* ---- What is known ----------------------------------------------------------------------------- */

static void forget_all(void *extra)
{
    struct known *known = extra;

    while (known != NULL) {
        struct known *it = known;
        known = it->next;
        stead_writer_deinit(&it->value);
        free(it);
    }
}

static struct known *find_known(struct stead_client *client, const char *name)
{
    struct known *it = stead_client_extra(client);

    while (it != NULL && strcmp(it->settings.name, name) != 0)
        it = it->next;
    return it;
}

static struct known *remember(struct stead_client *client, const struct stead_hub_settings *settings)
{
    struct known *known = find_known(client, settings->name);

    if (known == NULL) {
        known = calloc(1, sizeof(*known));
        if (known == NULL)
            abort();
        stead_writer_init(&known->value);
        known->next = stead_client_extra(client);
        stead_client_set_extra(client, known, forget_all);
    }
    known->settings = *settings;
    return known;
}

/* ---- Placing -------------------------------------------------------------------------------------- */

struct place {
    uint32_t shard, reactor;
    char node[64];
    char tag[STEAD_HUB_TAG_MAX + 1]; /* one that lies there */
};

struct places {
    struct place list[SHARDS_MAX];
    uint32_t count;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    int order = strcmp(one->node, other->node);

    if (order != 0)
        return order;
    if (one->reactor != other->reactor)
        return one->reactor < other->reactor ? -1 : 1;
    return one->shard < other->shard ? -1 : one->shard > other->shard;
}

/* Reactor by reactor, each of all nodes: neighbours are on different nodes. */
static int compare_across_nodes(const void *a, const void *b)
{
    const struct place *one = a, *other = b;

    if (one->reactor != other->reactor)
        return one->reactor < other->reactor ? -1 : 1;
    return compare_places(a, b);
}

static void print(char *buffer, size_t size, const char *format, ...) STEAD_PRINTF(3, 4);
static void print(char *buffer, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)stead_print_v(buffer, size, format, args);
    va_end(args);
}

/* Finds a tag for each shard, as far as CANDIDATES reach. */
static int find_places(struct stead_client *client, const char *name, struct places *places)
{
    struct stead_location location;
    char address[STEAD_HUB_PART_SIZE], tag[STEAD_HUB_TAG_MAX + 1];

    places->count = 0;
    for (uint32_t at = 0; at < CANDIDATES && places->count < SHARDS_MAX; at++) {
        bool known = false;
        print(tag, sizeof(tag), "%s.%u", name, at);
        print(address, sizeof(address), STEAD_HUB_QUEUE_KIND "/{%s}%s/", tag, name);
        strcat(address, "x");
        int code = stead_client_locate(client, address, &location);
        if (code != 0)
            return code;
        for (uint32_t other = 0; other < places->count; other++)
            known = known || places->list[other].shard == location.shard;
        if (known)
            continue;
        struct place *place = &places->list[places->count++];
        place->shard = location.shard;
        place->reactor = location.reactor;
        print(place->node, sizeof(place->node), "%s", location.node);
        memcpy(place->tag, tag, sizeof(tag));
    }
    qsort(places->list, places->count, sizeof(places->list[0]), compare_places);
    return 0;
}

/* Divides them into what is for the store and what is for workers. */
static int divide(const struct places *places, bool apart, struct places *store, struct places *workers)
{
    store->count = workers->count = 0;
    if (places->count == 0)
        return STEAD_EUNAVAILABLE;
    for (uint32_t at = 0; at < places->count; at++) {
        const struct place *it = &places->list[at];
        bool stores = apart ? strcmp(it->node, places->list[0].node) == 0 : at % 2 == 0;
        struct places *to = stores ? store : workers;
        to->list[to->count++] = *it;
    }
    if (workers->count == 0 && apart)
        return STEAD_EUNAVAILABLE;
    if (workers->count == 0)
        *workers = *store; /* one shard is all there is */
    return 0;
}

static uint32_t count_reactors(const struct places *places)
{
    uint32_t count = 0;

    for (uint32_t at = 0; at < places->count; at++)
        count += at == 0 || strcmp(places->list[at].node, places->list[at - 1].node) != 0 ||
                 places->list[at].reactor != places->list[at - 1].reactor;
    return count;
}

static bool has(struct stead_slice map, const char *field)
{
    struct stead_slice value;

    return stead_get_value(map, field, &value) == 0;
}

static int choose(struct stead_client *client, struct stead_hub_settings *settings, struct stead_slice asked,
                  bool apart)
{
    struct places *memory = calloc(3, sizeof(*memory));
    struct places *all = memory, *store = memory + 1, *workers = memory + 2;

    if (memory == NULL)
        return STEAD_ENOMEM;
    int code = find_places(client, settings->name, all);
    if (code == 0)
        code = divide(all, apart, store, workers);
    if (code == 0) /* a partition's worker follows from its number: so those of few partitions are on all nodes */
        qsort(workers->list, workers->count, sizeof(workers->list[0]), compare_across_nodes);
    if (code == 0 && !has(asked, "workers")) {
        uint32_t reactors = count_reactors(workers);
        settings->workers = reactors < WORKERS_DEFAULT_MAX ? reactors : WORKERS_DEFAULT_MAX;
    }
    for (uint32_t at = 0; code == 0 && !has(asked, "tags") && at < settings->partitions; at++)
        memcpy(settings->tags[at], store->list[at % store->count].tag, sizeof(settings->tags[at]));
    if (code == 0 && !has(asked, "work"))
        memcpy(settings->work, store->list[settings->partitions % store->count].tag, sizeof(settings->work));
    for (uint32_t at = 0; code == 0 && !has(asked, "worker_tags") && at < settings->workers; at++)
        memcpy(settings->worker_tags[at], workers->list[at * workers->count / settings->workers].tag,
               sizeof(settings->worker_tags[at]));
    free(memory);
    return code;
}

/* ---- Hubs -------------------------------------------------------------------------------------------- */

int stead_hub_create(struct stead_client *client, const char *name, struct stead_slice settings, bool apart,
                     struct stead_hub_settings *ret_settings, struct stead_answer *ret_answer)
{
    struct stead_hub_settings it;
    struct stead_writer args;
    struct stead_answer answer;

    if (!stead_hub_name_check(stead_str(name)))
        return stead_hub_refuse(ret_answer, STEAD_EARGUMENT,
                                "a hub's name has 1 to 48 bytes: small letters, digits, _ . and -");
    stead_hub_settings_default(&it, name);
    if (stead_hub_settings_read(&it, settings) != 0)
        return stead_hub_refuse(ret_answer, STEAD_EARGUMENT, "a setting of the hub is out of its range");
    int code = choose(client, &it, settings, apart);
    if (code != 0)
        return stead_hub_refuse(ret_answer, code, apart ? "the hub and its workers need two nodes to be apart" : NULL);
    struct stead_hub_part hub = stead_hub_itself(name);
    stead_writer_init(&args);
    stead_hub_settings_write(&it, &args);
    code = stead_hub_ask(client, hub.text, "create", &args, 0, &answer);
    if (code == 0)
        code = stead_hub_settings_read(&it, answer.value); /* there may have been one */
    if (code == 0)
        (void)remember(client, &it);
    if (code == 0 && ret_settings != NULL)
        *ret_settings = it;
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

int stead_hub_open(struct stead_client *client, const char *name, const struct stead_hub_settings **ret_settings,
                   struct stead_answer *ret_answer)
{
    struct stead_hub_settings it;
    struct stead_writer args;
    struct stead_answer answer;
    struct known *known = find_known(client, name);

    if (known == NULL) {
        if (!stead_hub_name_check(stead_str(name)))
            return stead_hub_refuse(ret_answer, STEAD_EARGUMENT, "that is no hub's name");
        struct stead_hub_part hub = stead_hub_itself(name);
        stead_writer_init(&args);
        stead_pack(&args, "{}");
        int code = stead_hub_ask(client, hub.text, "settings", &args, 0, &answer);
        stead_hub_settings_default(&it, name);
        if (code == STEAD_ENOTFOUND && strcmp(name, STEAD_HUB_DEFAULT) == 0)
            code = stead_hub_create(client, name, (struct stead_slice){0}, false, &it, &answer);
        else if (code == 0)
            code = stead_hub_settings_read(&it, answer.value);
        if (code == STEAD_ENOTFOUND)
            (void)stead_hub_refuse(&answer, code, "there is no task hub of this name");
        if (ret_answer != NULL)
            *ret_answer = answer;
        if (code != 0)
            return code;
        known = remember(client, &it);
    }
    *ret_settings = &known->settings;
    return 0;
}

int stead_hub_drop(struct stead_client *client, const char *name, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    struct stead_answer answer;
    struct stead_writer args;
    static const char *const queues[] = {"work", "poison"};
    struct stead_hub_part hub = stead_hub_itself(name);

    stead_writer_init(&args);
    stead_pack(&args, "{}");
    int code = stead_hub_ask(client, hub.text, "settings", &args, 0, &answer); /* not made for being dropped */
    if (code == 0)
        code = stead_hub_open(client, name, &settings, &answer);
    if (code == 0) {
        stead_writer_init(&args);
        code = stead_hub_ask(client, hub.text, "drop", &args, 0, &answer);
    }
    for (uint32_t at = 0; code == 0 && at < settings->partitions; at++) {
        struct stead_hub_part queue = stead_hub_control(settings, at), table = stead_hub_table(settings, at);
        stead_writer_init(&args);
        code = stead_hub_ask(client, queue.text, "drop", &args, 0, &answer);
        stead_writer_init(&args);
        if (code == 0)
            code = stead_hub_ask(client, table.text, "drop", &args, 0, &answer);
    }
    for (uint32_t at = 0; code == 0 && at < 2; at++) {
        struct stead_hub_part queue = stead_hub_part_queue(settings, queues[at]);
        stead_writer_init(&args);
        code = stead_hub_ask(client, queue.text, "drop", &args, 0, &answer);
    }
    if (code == 0) { /* the name may be used again */
        struct known *known = find_known(client, name);
        known->settings.name[0] = '\0';
    }
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* ---- Calls of agents ------------------------------------------------------------------------------------ */

int stead_hub_fetch_body(struct stead_client *client, const char *queue, uint64_t seq, uint64_t size,
                         struct stead_writer *ret_body)
{
    struct stead_answer answer;
    struct stead_writer args;
    struct stead_slice bytes;
    int code = 0;

    while (code == 0 && ret_body->size < size) {
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u}", "seq", seq, "at", (uint64_t)ret_body->size);
        code = stead_hub_ask(client, queue, "body", &args, 0, &answer);
        if (code == 0 && (stead_get_bin(answer.value, NULL, &bytes) != 0 || bytes.size == 0))
            code = STEAD_ECORRUPT;
        if (code == 0)
            stead_write_raw(ret_body, bytes.data, bytes.size);
    }
    return code;
}

/* Takes the answer out of the reply queue's: [[seq, receipt, count, id, {m, c, v, en, es}]...]. True: it is there. */
static bool take_reply(struct stead_client *client, struct known *known, struct stead_slice value, const char *message,
                       uint64_t ret_taken[2], struct stead_answer *ret_answer)
{
    struct stead_reader reader = stead_reader(value);
    struct stead_slice id, body, result = {0};
    struct stead_writer whole;
    uint32_t count, members;
    uint64_t times, size = 0;
    int64_t code = STEAD_ECORRUPT;

    if (stead_read_array(&reader, &count) != 0 || count == 0 || stead_read_array(&reader, &members) != 0 ||
        stead_read_u64(&reader, &ret_taken[0]) != 0 || stead_read_u64(&reader, &ret_taken[1]) != 0 ||
        stead_read_u64(&reader, &times) != 0 || stead_read_str(&reader, &id) != 0 ||
        stead_read_value(&reader, &body) != 0 || (members > 5 && stead_read_u64(&reader, &size) != 0))
        return false;
    stead_writer_init(&whole);
    if (size > 0 && stead_hub_fetch_body(client, known->reply, ret_taken[0], size, &whole) == 0)
        body = stead_written(&whole);
    if (stead_get_str(body, "m", &id) != 0 || !stead_slice_equal(id, stead_str(message)) ||
        stead_get_i64(body, "c", &code) != 0) {
        *ret_answer = (struct stead_answer){.code = 1}; /* of an earlier call that was given up */
        stead_writer_deinit(&whole);
        return true;
    }
    known->error_name[0] = known->error_sentence[0] = '\0';
    (void)(stead_get_text(body, "en", known->error_name, sizeof(known->error_name)) == 0);
    (void)(stead_get_text(body, "es", known->error_sentence, sizeof(known->error_sentence)) == 0);
    stead_writer_reset(&known->value);
    if (stead_get_value(body, "v", &result) == 0)
        stead_write_raw(&known->value, result.data, result.size);
    stead_writer_deinit(&whole);
    *ret_answer = (struct stead_answer){.code = (int)code,
                                        .error_name = known->error_name,
                                        .error_sentence = known->error_sentence,
                                        .error_agent = "",
                                        .error_op = "",
                                        .value = stead_written(&known->value),
                                        .durability = STEAD_CLASS_DURABLE};
    return true;
}

static int await_reply(struct stead_client *client, struct known *known, const char *message, int64_t left_ms,
                       struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings = &known->settings;
    bool notify = settings->mode == STEAD_HUB_NOTIFY;
    int64_t pause_ms = settings->mode == STEAD_HUB_FIXED ? settings->interval_ms : settings->first_ms;
    struct stead_answer answer;
    struct stead_writer args;
    uint64_t taken[2];

    while (left_ms > 0) {
        int64_t wait_ms = !notify ? 0 : left_ms < WAIT_MS ? left_ms : WAIT_MS;
        stead_writer_init(&args);
        stead_pack(&args, "{s:l,s:l,s:l}", "max", (int64_t)1, "hide", (int64_t)30000, "wait", wait_ms);
        int code = stead_hub_ask(client, known->reply, "dequeue", &args, WAIT_MS + STEAD_HUB_ANSWER_MS, &answer);
        if (code != 0) {
            *ret_answer = answer;
            return code;
        }
        if (take_reply(client, known, answer.value, message, taken, ret_answer)) {
            stead_writer_init(&args);
            stead_pack(&args, "[[u,u]]", taken[0], taken[1]);
            code = stead_hub_ask(client, known->reply, "delete", &args, 0, NULL);
            if (code != 0 || ret_answer->code <= 0)
                return code != 0 ? stead_hub_refuse(ret_answer, code, NULL) : ret_answer->code;
            continue;
        }
        left_ms -= notify ? wait_ms : pause_ms;
        if (!notify && stead_client_poll(client, (int)pause_ms) < 0)
            break;
        if (settings->mode == STEAD_HUB_BACKOFF)
            pause_ms = pause_ms * 2 < settings->max_ms ? pause_ms * 2 : settings->max_ms;
    }
    return stead_hub_refuse(ret_answer, STEAD_ETIMEOUT, NULL);
}

int stead_hub_call_agent(struct stead_client *client, const char *hub, const char *address, const char *op,
                         struct stead_slice args, uint32_t timeout_ms, struct stead_answer *ret_answer)
{
    const struct stead_hub_settings *settings;
    char message[STEAD_RANDOM_ID_SIZE];
    struct stead_answer answer;
    struct stead_writer body, put;
    int code = stead_hub_open(client, hub, &settings, &answer);

    if (code == 0)
        code = stead_client_random_id(client, message);
    if (code != 0)
        return stead_hub_refuse(ret_answer, code, NULL);
    struct known *known = find_known(client, hub);
    if (known->reply[0] == '\0') {
        print(known->reply_name, sizeof(known->reply_name), "reply-%s", message);
        struct stead_hub_part reply = stead_hub_part_queue(settings, known->reply_name);
        memcpy(known->reply, reply.text, sizeof(reply.text));
    }
    struct stead_hub_part queue = stead_hub_control(settings, stead_hub_partition(settings, stead_str(address)));
    stead_writer_init(&body);
    stead_writer_init(&put);
    stead_pack(&body, "{s:s,s:s,s:s,s:v,s:s,s:s}", "t", "call", "a", address, "n", op, "v", args, "q", known->reply,
               "m", message);
    stead_pack(&put, "{s:s,s:v}", "id", message, "body", stead_written(&body));
    stead_writer_deinit(&body);
    code = stead_hub_ask(client, queue.text, "enqueue", &put, 0, &answer);
    if (code == 0)
        code = await_reply(client, known, message, timeout_ms == 0 ? STEAD_HUB_ANSWER_MS : timeout_ms, &answer);
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}
