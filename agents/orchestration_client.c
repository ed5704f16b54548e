/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestration_client: include/stead/orchestration_client.h. On the direct fabric an instance is the agent
 * `orchestration/ID`, and each function here is one call of an op of it; what concerns many instances is the query
 * `agents` with a filter over the agent's fields. With a hub in the options the functions of hub_client.h do the work.
 *
 * Whatever can be known to be wrong is refused before anything is sent, with a sentence of its own. The client repeats
 * a request under its number, so that a start that is asked for twice starts once; a random id is drawn once per
 * function, before the first sending.
 */
#include "stead/orchestration_client.h"

#include <string.h>

#include "agents/hub_client.h"
#include "agents/instance.h"

#define PREFIX STEAD_ORCHESTRATION_KIND "/"
#define LIST_DEFAULT 100u /* instances of a page */
#define LIST_MAX 10000u

static const struct stead_instance_options no_options = {.hub = NULL};

/* ---- What all of them need ------------------------------------------------------------------ */

/* A failure that is found here: fills the answer as the node would have. Returns `code`. */
static int refuse(struct stead_answer *ret_answer, int code, const char *sentence)
{
    if (ret_answer != NULL)
        *ret_answer = (struct stead_answer){.code = code,
                                            .error_name = stead_error_name(code),
                                            .error_sentence = sentence != NULL ? sentence : stead_error_sentence(code),
                                            .error_agent = "",
                                            .error_op = ""};
    return code;
}

/* The address of an instance. */
struct address {
    char text[sizeof(PREFIX) + STEAD_INSTANCE_ID_MAX];
};

static int address_of(const char *id, struct address *ret_address, struct stead_answer *ret_answer)
{
    struct stead_slice slice = stead_str(id != NULL ? id : "");

    if (stead_instance_id_check(slice) != 0)
        return refuse(ret_answer, STEAD_EARGUMENT,
                      "an instance's id has 1 to 256 bytes of UTF-8, does not begin with @, and has no / \\ # ? or "
                      "control character");
    memcpy(ret_address->text, PREFIX, sizeof(PREFIX) - 1);
    memcpy(ret_address->text + sizeof(PREFIX) - 1, slice.data, slice.size);
    ret_address->text[sizeof(PREFIX) - 1 + slice.size] = '\0';
    return 0;
}

/* Calls an op of an instance and takes what it was packed with. */
static int call(struct stead_client *client, const struct address *address, const char *op, struct stead_writer *args,
                const struct stead_instance_options *options, struct stead_answer *ret_answer)
{
    const struct stead_request_options request = {.timeout_ms = options->timeout_ms};
    struct stead_answer answer;

    /* As long as the client says nothing else: what it refuses by itself leaves the answer alone. */
    (void)refuse(&answer, STEAD_EARGUMENT, NULL);
    int code = stead_client_call(client, address->text, op, stead_written(args), &request, &answer);
    stead_writer_deinit(args);
    if (code != 0 && answer.code != code)
        (void)refuse(&answer, code, NULL);
    if (ret_answer != NULL)
        *ret_answer = answer;
    return code;
}

/* What a call ended with, and the map it was answered with. */
static int take_instance(int code, const struct stead_answer *answer, struct stead_instance *ret_instance,
                         struct stead_answer *ret_answer)
{
    struct stead_instance instance;

    if (code == 0 && stead_instance_read(answer->value, &instance) != 0)
        return refuse(ret_answer, STEAD_ECORRUPT, "the node's answer does not tell of an instance");
    if (code == 0 && ret_instance != NULL)
        *ret_instance = instance;
    if (ret_answer != NULL)
        *ret_answer = *answer;
    return code;
}

/* ---- Starting ------------------------------------------------------------------------------- */

/* The id that was asked for, or a random one, with its address. */
static int choose_id(struct stead_client *client, const struct stead_instance_options *options, char *ret_id,
                     struct address *ret_address, struct stead_answer *ret_answer)
{
    char random[STEAD_RANDOM_ID_SIZE];
    int code = options->id == NULL ? stead_client_random_id(client, random) : 0;

    if (code != 0)
        return refuse(ret_answer, code, "there are no random numbers to be had");
    const char *id = options->id != NULL ? options->id : random;
    code = address_of(id, ret_address, ret_answer);
    if (code == 0)
        memcpy(ret_id, id, strlen(id) + 1);
    return code;
}

/* What `start` and `run` are given. */
static int pack_start(const char *name, struct stead_slice input, const struct stead_instance_options *options,
                      struct stead_writer *ret_args, struct stead_answer *ret_answer)
{
    if (!stead_orchestrator_name_check(name))
        return refuse(ret_answer, STEAD_EARGUMENT,
                      "an orchestrator's name has 1 to 63 bytes: small letters, digits, _ . and -, a letter first");
    if (options->delay_ms < 0)
        return refuse(ret_answer, STEAD_EARGUMENT, "the delay is below 0");
    if (options->hub != NULL && options->delay_ms > STEAD_HUB_DELAY_MS_MAX)
        return refuse(ret_answer, STEAD_EARGUMENT, "a hub delays a start for a century at most");
    if (stead_value_check(input) != 0)
        return refuse(ret_answer, STEAD_EARGUMENT, "the input is not one value");
    stead_writer_init(ret_args);
    stead_pack(ret_args, "{s:s,s:u,s:v,s:b,s:l}", "name", name, "version", (uint64_t)options->version, "input", input,
               "replace", (int)options->replace, "delay", options->delay_ms);
    return 0;
}

/* An instance says more with this code than the code's own words; `answer` may be NULL. */
static void explain(struct stead_answer *answer, int code, int of, const char *sentence)
{
    if (code == of && answer != NULL && strcmp(answer->error_sentence, stead_error_sentence(of)) == 0)
        answer->error_sentence = sentence;
}

int stead_instance_start(struct stead_client *client, const char *name, struct stead_slice input,
                         const struct stead_instance_options *options, char ret_id[STEAD_INSTANCE_ID_MAX + 1],
                         struct stead_answer *ret_answer)
{
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct address address;
    struct stead_writer args;

    options = options != NULL ? options : &no_options;
    int code = choose_id(client, options, id, &address, ret_answer);
    if (code == 0)
        code = pack_start(name, input, options, &args, ret_answer);
    if (code != 0)
        return code;
    if (options->hub != NULL) {
        stead_writer_deinit(&args);
        code = stead_hub_instance_start(client, id, name, input, options, ret_answer);
        if (ret_answer != NULL)
            stead_hub_name_conflict(ret_answer, options->id != NULL ? options->id : "");
    } else {
        code = call(client, &address, "start", &args, options, ret_answer);
        explain(ret_answer, code, STEAD_ECONFLICT, STEAD_INSTANCE_IS_ACTIVE);
    }
    if (code == 0)
        memcpy(ret_id, id, strlen(id) + 1);
    return code;
}

int stead_instance_run(struct stead_client *client, const char *name, struct stead_slice input,
                       const struct stead_instance_options *options, struct stead_instance *ret_instance,
                       struct stead_answer *ret_answer)
{
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct address address;
    struct stead_writer args;
    struct stead_answer answer = {.error_name = ""};

    options = options != NULL ? options : &no_options;
    if (options->hub != NULL) { /* a store answers nobody later: start, then ask */
        int started = stead_instance_start(client, name, input, options, id, ret_answer);
        return started != 0 ? started : stead_instance_wait(client, id, options, ret_instance, ret_answer);
    }
    int code = choose_id(client, options, id, &address, ret_answer);
    if (code == 0)
        code = pack_start(name, input, options, &args, ret_answer);
    if (code != 0)
        return code;
    code = call(client, &address, "run", &args, options, &answer);
    explain(&answer, code, STEAD_ECONFLICT, STEAD_INSTANCE_IS_ACTIVE);
    return take_instance(code, &answer, ret_instance, ret_answer);
}

int stead_instance_run_async(struct stead_client *client, const char *name, struct stead_slice input,
                             const struct stead_instance_options *options, stead_completion_fn *completion,
                             void *context)
{
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct address address;
    struct stead_writer args;

    options = options != NULL ? options : &no_options;
    const struct stead_request_options request = {.timeout_ms = options->timeout_ms};
    int code = choose_id(client, options, id, &address, NULL);
    if (code == 0)
        code = pack_start(name, input, options, &args, NULL);
    if (code != 0)
        return code;
    if (options->hub != NULL)
        code = stead_hub_instance_run_async(client, id, name, input, options, completion, context);
    else
        code =
            stead_client_call_async(client, address.text, "run", stead_written(&args), &request, completion, context);
    stead_writer_deinit(&args);
    return code;
}

/* ---- Looking -------------------------------------------------------------------------------- */

/* Asks for an instance's map by an op without arguments. */
static int ask_instance(struct stead_client *client, const char *id, const char *op,
                        const struct stead_instance_options *options, struct stead_instance *ret_instance,
                        struct stead_answer *ret_answer)
{
    struct address address;
    struct stead_writer args;
    struct stead_answer answer;

    int code = address_of(id, &address, ret_answer);
    if (code != 0)
        return code;
    stead_writer_init(&args);
    stead_pack(&args, "{}");
    return take_instance(call(client, &address, op, &args, options, &answer), &answer, ret_instance, ret_answer);
}

typedef int hub_ask_fn(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                       struct stead_answer *ret_answer);

/* The same of an instance on a hub. */
static int ask_hub(struct stead_client *client, const char *id, hub_ask_fn *ask,
                   const struct stead_instance_options *options, struct stead_instance *ret_instance,
                   struct stead_answer *ret_answer)
{
    struct address address;
    struct stead_answer answer;
    int code = address_of(id, &address, ret_answer);

    if (code != 0)
        return code;
    (void)refuse(&answer, STEAD_EARGUMENT, NULL);
    return take_instance(ask(client, id, options, &answer), &answer, ret_instance, ret_answer);
}

int stead_instance_wait(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                        struct stead_instance *ret_instance, struct stead_answer *ret_answer)
{
    options = options != NULL ? options : &no_options;
    if (options->hub != NULL)
        return ask_hub(client, id, stead_hub_instance_wait, options, ret_instance, ret_answer);
    return ask_instance(client, id, "wait", options, ret_instance, ret_answer);
}

int stead_instance_status_of(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                             struct stead_instance *ret_instance, struct stead_answer *ret_answer)
{
    options = options != NULL ? options : &no_options;
    if (options->hub != NULL)
        return ask_hub(client, id, stead_hub_instance_status, options, ret_instance, ret_answer);
    return ask_instance(client, id, "status", options, ret_instance, ret_answer);
}

/* A visit that is under way over pages. */
struct visiting {
    stead_instance_event_fn *visit;
    void *context;
    uint64_t last;      /* the last id seen */
    uint64_t execution; /* of the first page; 0: not known yet */
    bool ended;         /* by the visit */
};

/* Visits the events of one page. STEAD_ECORRUPT: it is none, or its ids do not rise (asking for the next page would
 * never end). */
static int visit_page(struct stead_slice page, struct visiting *visiting)
{
    struct stead_slice events;
    uint32_t count = 0;

    if (stead_get_value(page, "events", &events) != 0)
        return STEAD_ECORRUPT;
    struct stead_reader reader = stead_reader(events);
    if (stead_read_array(&reader, &count) != 0)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < count && !visiting->ended; i++) {
        struct stead_instance_event event = {.id = 0};
        char type[STEAD_EVENT_NAME_MAX + 1];
        if (stead_read_value(&reader, &event.map) != 0 || stead_get_u64(event.map, "id", &event.id) != 0 ||
            event.id <= visiting->last || stead_get_text(event.map, "type", type, sizeof(type)) != 0)
            return STEAD_ECORRUPT;
        event.type = type;
        if (stead_get_i64(event.map, "time", &event.time_ms) == STEAD_EARGUMENT)
            return STEAD_ECORRUPT;
        visiting->last = event.id;
        visiting->ended = visiting->visit(visiting->context, &event) != 0;
    }
    return 0;
}

/* One page of the history; `ret_more`: there is another one. */
static int ask_page(struct stead_client *client, const struct address *address,
                    const struct stead_instance_options *options, struct visiting *visiting, bool *ret_more,
                    struct stead_answer *ret_answer)
{
    struct stead_writer args;
    struct stead_answer answer;
    uint64_t before = visiting->last, execution = 0;

    int code;
    if (options->hub != NULL) {
        code = stead_hub_instance_history(client, address->text + sizeof(PREFIX) - 1, visiting->last, options, &answer);
    } else {
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "after", visiting->last);
        code = call(client, address, "history", &args, options, &answer);
    }
    if (ret_answer != NULL)
        *ret_answer = answer;
    if (code != 0)
        return code;
    if (stead_get_u64(answer.value, "execution", &execution) == 0 && visiting->execution != 0 &&
        execution != visiting->execution)
        return 0; /* ids begin at 1 again: what it was is over */
    visiting->execution = execution;
    if (stead_get_bool(answer.value, "more", ret_more) == STEAD_EARGUMENT || visit_page(answer.value, visiting) != 0)
        return refuse(ret_answer, STEAD_ECORRUPT, "the node's answer is not a page of a history");
    *ret_more = *ret_more && !visiting->ended && visiting->last > before;
    return 0;
}

int stead_instance_history(struct stead_client *client, const char *id, uint64_t after,
                           const struct stead_instance_options *options, stead_instance_event_fn *visit, void *context,
                           uint64_t *ret_last, struct stead_answer *ret_answer)
{
    struct visiting visiting = {.visit = visit, .context = context, .last = after};
    struct address address;
    bool more = true;

    options = options != NULL ? options : &no_options;
    int code = address_of(id, &address, ret_answer);
    while (code == 0 && more) {
        more = false;
        code = ask_page(client, &address, options, &visiting, &more, ret_answer);
    }
    if (code == 0 && ret_last != NULL)
        *ret_last = visiting.last;
    return code;
}

/* ---- Steering ------------------------------------------------------------------------------- */

int stead_instance_raise(struct stead_client *client, const char *id, const char *event, struct stead_slice value,
                         const struct stead_instance_options *options, struct stead_answer *ret_answer)
{
    struct address address;
    struct stead_writer args;
    size_t size = event != NULL ? strlen(event) : 0;

    options = options != NULL ? options : &no_options;
    int code = address_of(id, &address, ret_answer);
    if (code != 0)
        return code;
    if (size == 0 || size > STEAD_EVENT_NAME_MAX)
        return refuse(ret_answer, STEAD_EARGUMENT, "an event's name has 1 to 255 bytes");
    if (stead_value_check(value) != 0)
        return refuse(ret_answer, STEAD_EARGUMENT, "the event's value is not one value");
    if (options->hub != NULL)
        return stead_hub_instance_raise(client, id, event, value, options, ret_answer);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:v}", "name", event, "value", value);
    code = call(client, &address, "raise", &args, options, ret_answer);
    if (code == STEAD_ESTATE && ret_answer != NULL)
        ret_answer->error_sentence = "the instance is over";
    return code;
}

/* What steering is given: the op, and its argument in `ret_args`, which is the caller's to deinit when 0 is
 * returned. */
static int pack_steer(const char *id, enum stead_instance_action action, const char *reason,
                      struct address *ret_address, const char **ret_op, struct stead_writer *ret_args,
                      struct stead_answer *ret_answer)
{
    static const char *const ops[] = {
        [STEAD_INSTANCE_TERMINATE] = "terminate", [STEAD_INSTANCE_SUSPEND] = "suspend",
        [STEAD_INSTANCE_RESUME] = "resume",       [STEAD_INSTANCE_REWIND] = "rewind",
        [STEAD_INSTANCE_RESTART] = "restart",     [STEAD_INSTANCE_PURGE] = "purge",
    };

    int code = address_of(id, ret_address, ret_answer);
    if (code != 0)
        return code;
    if ((size_t)action >= sizeof(ops) / sizeof(*ops))
        return refuse(ret_answer, STEAD_EARGUMENT, "there is no such action");
    *ret_op = ops[action];
    stead_writer_init(ret_args);
    stead_pack(ret_args, "{s:s}", "reason", reason);
    return 0;
}

int stead_instance_steer(struct stead_client *client, const char *id, enum stead_instance_action action,
                         const char *reason, const struct stead_instance_options *options,
                         struct stead_answer *ret_answer)
{
    struct address address;
    struct stead_writer args;
    const char *op;

    options = options != NULL ? options : &no_options;
    int code = pack_steer(id, action, reason, &address, &op, &args, ret_answer);
    if (code != 0)
        return code;
    if (options->hub == NULL) {
        code = call(client, &address, op, &args, options, ret_answer);
        explain(ret_answer, code, STEAD_ESTATE, stead_instance_refusal(action));
        return code;
    }
    stead_writer_deinit(&args);
    return stead_hub_instance_steer(client, id, action, reason, options, ret_answer);
}

int stead_instance_steer_async(struct stead_client *client, const char *id, enum stead_instance_action action,
                               const char *reason, const struct stead_instance_options *options,
                               stead_completion_fn *completion, void *context)
{
    struct address address;
    struct stead_writer args;
    const char *op;

    options = options != NULL ? options : &no_options;
    const struct stead_request_options request = {.timeout_ms = options->timeout_ms};
    if (options->hub != NULL && action != STEAD_INSTANCE_PURGE)
        return STEAD_ESTATE;
    int code = pack_steer(id, action, reason, &address, &op, &args, NULL);
    if (code != 0)
        return code;
    if (options->hub != NULL) {
        stead_writer_deinit(&args);
        return stead_hub_instance_purge_async(client, id, options, completion, context);
    }
    code = stead_client_call_async(client, address.text, op, stead_written(&args), &request, completion, context);
    stead_writer_deinit(&args);
    return code;
}

/* ---- Listing -------------------------------------------------------------------------------- */

/* What a list asks the query for. */
struct listing {
    const struct stead_instance_filter *filter;
    char prefix[sizeof(PREFIX) + STEAD_INSTANCE_ID_MAX]; /* of the addresses */
    char after[STEAD_ADDRESS_MAX + 1]; /* address behind which the next page begins; "" from the first */
    uint32_t left;                     /* instances still to visit */
    bool ended;                        /* by the visit */
    stead_instance_fn *visit;
    void *context;
};

/* Appends `created: {from, below}`. */
static void write_created(struct stead_writer *args, int64_t from_ms, int64_t to_ms)
{
    stead_write_str(args, "created");
    stead_write_map(args, (uint32_t)(from_ms != 0) + (uint32_t)(to_ms != 0));
    if (from_ms != 0) {
        stead_write_str(args, "from");
        stead_write_i64(args, from_ms);
    }
    if (to_ms != 0) {
        stead_write_str(args, "below");
        stead_write_i64(args, to_ms);
    }
}

static void write_query(struct stead_writer *args, const struct listing *listing)
{
    const struct stead_instance_filter *filter = listing->filter;
    bool timed = filter->from_ms != 0 || filter->to_ms != 0;

    stead_write_map(args, 6);
    stead_write_str(args, "kind");
    stead_write_str(args, STEAD_ORCHESTRATION_KIND);
    stead_write_str(args, "prefix");
    stead_write_str(args, listing->prefix);
    stead_write_str(args, "limit");
    stead_write_u64(args, listing->left);
    stead_write_str(args, "after");
    stead_write_str(args, listing->after);
    stead_write_str(args, "fields");
    stead_pack(args, "[s,s,s,s,s,s,s,s]", "name", "version", "execution", "status", "created", "updated", "events",
               "parent");
    stead_write_str(args, "where");
    stead_write_map(args, (uint32_t)(filter->status != NULL) + (uint32_t)(filter->name != NULL) + (uint32_t)timed);
    if (filter->status != NULL) {
        stead_write_str(args, "status");
        stead_write_str(args, filter->status);
    }
    if (filter->name != NULL) {
        stead_write_str(args, "name");
        stead_write_str(args, filter->name);
    }
    if (timed)
        write_created(args, filter->from_ms, filter->to_ms);
}

/* Visits one agent of a page. An agent without a status has been addressed and never started: it is passed over. */
static int visit_agent(struct stead_slice agent, struct listing *listing)
{
    struct stead_instance instance;
    struct stead_slice fields, address;

    if (stead_get_str(agent, "address", &address) != 0 || address.size <= sizeof(PREFIX) - 1 ||
        address.size > sizeof(PREFIX) - 1 + STEAD_INSTANCE_ID_MAX)
        return STEAD_ECORRUPT;
    if (stead_get_value(agent, "fields", &fields) != 0 || stead_instance_read_members(fields, &instance) != 0)
        return 0;
    address.data += sizeof(PREFIX) - 1;
    address.size -= sizeof(PREFIX) - 1;
    memcpy(instance.id, address.data, address.size);
    instance.id[address.size] = '\0';
    listing->left--;
    listing->ended = listing->visit(listing->context, &instance) != 0;
    return 0;
}

/* Visits a page; `listing->after` becomes the place behind it, "" when there is no further one. */
static int visit_agents(struct stead_slice page, struct listing *listing)
{
    struct stead_slice agents;
    uint32_t count = 0;
    int code = 0;

    if (stead_get_value(page, "agents", &agents) != 0)
        return STEAD_ECORRUPT;
    struct stead_reader reader = stead_reader(agents);
    if (stead_read_array(&reader, &count) != 0 || count > listing->left)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; code == 0 && i < count && !listing->ended; i++) {
        struct stead_slice agent;
        code = stead_read_value(&reader, &agent);
        if (code == 0)
            code = visit_agent(agent, listing);
    }
    listing->after[0] = '\0';
    if (code == 0 && stead_get_text(page, "next", listing->after, sizeof(listing->after)) == STEAD_EARGUMENT)
        code = STEAD_ECORRUPT;
    return code;
}

/* Asks for a page and visits it. */
static int list_page(struct stead_client *client, struct listing *listing, struct stead_answer *ret_answer)
{
    struct stead_writer args;
    struct stead_answer answer;

    (void)refuse(&answer, STEAD_EARGUMENT, NULL);
    stead_writer_init(&args);
    write_query(&args, listing);
    int code = stead_client_query(client, "agents", stead_written(&args), &answer);
    stead_writer_deinit(&args);
    if (code != 0 && answer.code != code)
        (void)refuse(&answer, code, NULL);
    if (ret_answer != NULL)
        *ret_answer = answer;
    if (code == 0 && visit_agents(answer.value, listing) != 0)
        code = refuse(ret_answer, STEAD_ECORRUPT, "the node's answer is not a page of instances");
    return code;
}

/* What can be known to be wrong about a filter. */
static int check_filter(const struct stead_instance_filter *filter, struct listing *listing,
                        struct stead_answer *ret_answer)
{
    size_t prefix_size = filter->id_prefix != NULL ? strlen(filter->id_prefix) : 0;
    size_t after_size = filter->after != NULL ? strlen(filter->after) : 0;
    enum stead_instance_status status;

    if (filter->status != NULL && stead_instance_status_find(stead_str(filter->status), &status) != 0)
        return refuse(ret_answer, STEAD_EARGUMENT, "there is no status of this name");
    if (prefix_size > STEAD_INSTANCE_ID_MAX || after_size > STEAD_INSTANCE_ID_MAX || filter->limit > LIST_MAX)
        return refuse(ret_answer, STEAD_EARGUMENT, "a prefix has at most 256 bytes, a page at most 10,000 instances");
    memcpy(listing->prefix, PREFIX, sizeof(PREFIX));
    if (prefix_size > 0)
        memcpy(listing->prefix + sizeof(PREFIX) - 1, filter->id_prefix, prefix_size + 1);
    if (after_size > 0) {
        memcpy(listing->after, PREFIX, sizeof(PREFIX));
        memcpy(listing->after + sizeof(PREFIX) - 1, filter->after, after_size + 1);
    }
    return 0;
}

int stead_instance_list(struct stead_client *client, const struct stead_instance_filter *filter,
                        const struct stead_instance_options *options, stead_instance_fn *visit, void *context,
                        bool *ret_more, struct stead_answer *ret_answer)
{
    static const struct stead_instance_filter no_filter = {.status = NULL};
    struct listing listing = {.visit = visit, .context = context};

    options = options != NULL ? options : &no_options;
    filter = filter != NULL ? filter : &no_filter;
    listing.filter = filter;
    listing.left = filter->limit != 0 ? filter->limit : LIST_DEFAULT;
    int code = check_filter(filter, &listing, ret_answer);
    if (code == 0 && options->hub != NULL)
        return stead_hub_instance_list(client, filter, options, visit, context, ret_more, ret_answer);
    /* A page may be shorter than asked for: the query looks at so many agents and no further. */
    bool more = true;
    while (code == 0 && more && listing.left > 0 && !listing.ended) {
        code = list_page(client, &listing, ret_answer);
        more = listing.after[0] != '\0';
    }
    if (code == 0 && ret_more != NULL)
        *ret_more = more || listing.ended;
    return code;
}
