/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: include/stead/client.h over the client core and its links.
 *
 * A synchronous request is an asynchronous one whose waiter lies on the stack: submit, turn until it has ended. Both
 * ways share the core, so they can be mixed, and completions of asynchronous requests run while a synchronous one
 * waits, as the header says.
 *
 * A completion may submit and tell. Anything that turns the loop is refused with STEAD_ESTATE inside one: the loop is
 * on the stack below it.
 *
 * Answers are borrowed by the user until the next function: the client keeps the last ANSWER (`answer`), its texts, and
 * a merged value.
 */
#include "net/client_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <zmq.h>

#include "runtime/address.h"
#include "runtime/base.h"

#define ENDPOINT_DEFAULT "tcp://127.0.0.1:7400"
#define TIMEOUT_MS_DEFAULT 30000u
#define IN_FLIGHT_DEFAULT 16384u
#define IN_FLIGHT_MAX (1u << 20)
#define SOCKETS_MAX 4096 /* of one client: three for each link */
#define QUEUE_SPARE 1000 /* frames that may wait beyond one for each request: tells, retries */
#define CLOSE_LINGER_MS 1000
#define STALE_NS 1000000ull

/* ---- Opening and closing -------------------------------------------------------------------- */

static bool endpoint_check(const char *endpoint, size_t size)
{
    return size > 6 && size <= STEAD_LINK_ENDPOINT_MAX &&
           (strncmp(endpoint, "tcp://", 6) == 0 || strncmp(endpoint, "ipc://", 6) == 0) &&
           memchr(endpoint, ' ', size) == NULL;
}

/* Splits at commas; false: one of them is no endpoint, or there are too many. */
static bool take_endpoints(struct stead_client *client, const char *text)
{
    while (*text != '\0') {
        size_t size = strcspn(text, ",");

        while (size > 0 && *text == ' ') {
            text++;
            size--;
        }
        if (!endpoint_check(text, size) || client->endpoint_count == STEAD_CLIENT_ENDPOINTS_MAX)
            return false;
        client->endpoints[client->endpoint_count] = stead_alloc_zero(size + 1);
        memcpy(client->endpoints[client->endpoint_count++], text, size);
        text += size;
        text += *text == ',';
    }
    return client->endpoint_count > 0;
}

static void free_client(struct stead_client *client)
{
    stead_client_loop_deinit(client);
    stead_client_core_destroy(&client->core);
    while (client->free_waiters != NULL) {
        struct stead_client_waiter *waiter = client->free_waiters;

        client->free_waiters = waiter->next;
        free(waiter);
    }
    for (uint32_t i = 0; i < client->endpoint_count; i++)
        free(client->endpoints[i]);
    stead_message_destroy(&client->answer);
    stead_writer_deinit(&client->merged);
    while (client->context != NULL && zmq_ctx_term(client->context) != 0 && errno == EINTR)
        continue;
    free(client);
}

static void effect_complete(void *self, void *context, int code, struct stead_message **answer)
{
    struct stead_client_waiter *waiter = context;
    struct stead_client *client = self;

    client->news++;
    waiter->ended(client, waiter, code, answer);
}

static int create_core(struct stead_client *client, const struct stead_client_options *options)
{
    struct stead_client_core_options core = {.timeout_ms = options->timeout_ms,
                                             .retry_ms = options->retry_ms,
                                             .in_flight_max = options->in_flight_max,
                                             .effects = stead_client_loop_effects(client)};

    /* The session's id comes from this: it must differ from every other client's. */
    if (getrandom(&core.seed, sizeof(core.seed), 0) != (ssize_t)sizeof(core.seed))
        return STEAD_EIO;
    core.effects.complete = effect_complete;
    client->core = stead_client_core_create(&core);
    client->timeout_ms = options->timeout_ms == 0 ? TIMEOUT_MS_DEFAULT : options->timeout_ms;
    client->queue_max = (int)(options->in_flight_max == 0 ? IN_FLIGHT_DEFAULT : options->in_flight_max) + QUEUE_SPARE;
    return 0;
}

int stead_client_open(const struct stead_client_options *options, struct stead_client **ret_client)
{
    static const struct stead_client_options defaults = {.endpoints = NULL};
    struct stead_client *client;
    const char *endpoints;

    options = options == NULL ? &defaults : options;
    endpoints = options->endpoints != NULL ? options->endpoints : getenv("STEAD_NODE");
    if (options->in_flight_max > IN_FLIGHT_MAX)
        return STEAD_EARGUMENT;
    client = stead_alloc_zero(sizeof(*client));
    stead_writer_init(&client->merged);
    if (!take_endpoints(client, endpoints == NULL || *endpoints == '\0' ? ENDPOINT_DEFAULT : endpoints)) {
        free_client(client);
        return STEAD_EARGUMENT;
    }
    client->context = zmq_ctx_new();
    if (client->context == NULL || zmq_ctx_set(client->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX) != 0 ||
        create_core(client, options) != 0) {
        free_client(client);
        return STEAD_EIO;
    }
    stead_client_set_now(client);
    *ret_client = client;
    return 0;
}

void stead_client_close(struct stead_client **client)
{
    struct stead_client *it = *client;

    *client = NULL;
    if (it == NULL)
        return;
    STEAD_ASSERT(!it->completing);
    stead_client_core_cancel_all(it->core);
    /* Tells that were sent are still on their way out. */
    for (struct stead_link *link = it->links; link != NULL; link = link->next) {
        (void)stead_link_flush(link);
        if (link->state == STEAD_LINK_UP)
            stead_link_linger(link, CLOSE_LINGER_MS);
    }
    if (it->destroy_extra != NULL)
        it->destroy_extra(it->extra);
    free_client(it);
}

void *stead_client_extra(const struct stead_client *client)
{
    return client->extra;
}

void stead_client_set_extra(struct stead_client *client, void *extra, void (*destroy)(void *extra))
{
    client->extra = extra;
    client->destroy_extra = destroy;
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Copies a text of an error's map, cut to what fits; `otherwise` when it is not there. */
static const char *copy_text(struct stead_slice error, const char *field, const char *otherwise, char *memory,
                             size_t memory_size)
{
    struct stead_slice text;

    if (error.size == 0 || stead_get_str(error, field, &text) != 0)
        text = stead_str(otherwise);
    if (text.size >= memory_size)
        text.size = memory_size - 1;
    if (text.size > 0)
        memcpy(memory, text.data, text.size);
    memory[text.size] = '\0';
    return memory;
}

void stead_client_fill_answer(int code, const struct stead_message *answer, struct stead_client_texts *texts,
                              struct stead_answer *ret_answer)
{
    struct stead_slice payload = answer == NULL ? stead_bytes(NULL, 0) : stead_message_payload(answer);
    uint64_t retry_after_ms = 0;

    *ret_answer =
        (struct stead_answer){.code = code, .error_name = "", .error_sentence = "", .error_agent = "", .error_op = ""};
    if (answer != NULL)
        ret_answer->durability = (enum stead_class)answer->durability;
    if (code == 0) {
        ret_answer->value = payload;
        return;
    }
    ret_answer->error_name = copy_text(payload, "name", stead_error_name(code), texts->name, sizeof(texts->name));
    ret_answer->error_sentence =
        copy_text(payload, "sentence", stead_error_sentence(code), texts->sentence, sizeof(texts->sentence));
    ret_answer->error_agent = copy_text(payload, "agent", "", texts->agent, sizeof(texts->agent));
    ret_answer->error_op = copy_text(payload, "op", "", texts->op, sizeof(texts->op));
    if (payload.size > 0 && stead_get_u64(payload, "retry_after_ms", &retry_after_ms) == 0 &&
        retry_after_ms <= UINT32_MAX)
        ret_answer->retry_after_ms = (uint32_t)retry_after_ms;
}

/* ---- Synchronous requests ------------------------------------------------------------------- */

static void sync_ended(struct stead_client *client, struct stead_client_waiter *waiter, int code,
                       struct stead_message **answer)
{
    (void)client;
    waiter->code = code;
    waiter->answer = *answer;
    waiter->done = true;
    *answer = NULL;
}

void stead_client_waiter_init(struct stead_client_waiter *waiter)
{
    *waiter = (struct stead_client_waiter){.ended = sync_ended};
}

int stead_client_begin(struct stead_client *client)
{
    if (client->completing)
        return STEAD_ESTATE;
    stead_message_destroy(&client->answer);
    stead_writer_reset(&client->merged);
    /* What happened since the last function: a node that has gone away must be known before something is sent to it, or
     * the request would count as sent. */
    if (stead_client_now_ns() - client->watched_ns >= STALE_NS)
        stead_client_turn(client, 0);
    else
        stead_client_set_now(client);
    return 0;
}

int stead_client_ask(struct stead_client *client, struct stead_client_request *request,
                     struct stead_client_waiter *ret_waiter)
{
    int code;

    stead_client_waiter_init(ret_waiter);
    request->context = ret_waiter;
    code = stead_client_core_submit(client->core, request);
    if (code != 0)
        return code;
    while (!ret_waiter->done)
        stead_client_turn(client, STEAD_CLIENT_NEVER);
    return ret_waiter->code;
}

/* 0, or STEAD_EARGUMENT for options that no request can have: what was asked for is in `ret_request` all the same. */
static int make_request(enum stead_message_type type, const char *address, const char *op, struct stead_slice args,
                        const struct stead_request_options *options, struct stead_client_request *ret_request)
{
    *ret_request =
        (struct stead_client_request){.type = type, .address = stead_str(address), .op = stead_str(op), .args = args};
    if (options == NULL)
        return 0;
    ret_request->timeout_ms = options->timeout_ms;
    ret_request->durability = options->durability;
    ret_request->fence = options->fence;
    if (options->idempotency_key != NULL)
        ret_request->key = stead_str(options->idempotency_key);
    if (options->delay_ms > 0)
        ret_request->delay_ms = (uint64_t)options->delay_ms;
    bool empty_key = options->idempotency_key != NULL && ret_request->key.size == 0;
    return empty_key || options->delay_ms < 0 ? STEAD_EARGUMENT : 0;
}

static int ask_agent(struct stead_client *client, enum stead_message_type type, const char *address, const char *op,
                     struct stead_slice args, const struct stead_request_options *options,
                     struct stead_answer *ret_answer)
{
    struct stead_client_request request;
    struct stead_client_waiter waiter = {.answer = NULL};
    int refused = make_request(type, address, op, args, options, &request);
    int code = stead_client_begin(client);

    if (code == 0)
        code = refused;
    if (code == 0)
        code = stead_client_ask(client, &request, &waiter);
    client->answer = waiter.answer;
    if (ret_answer == NULL)
        return code;
    stead_client_fill_answer(code, client->answer, &client->texts, ret_answer);
    if (code != 0 && client->answer == NULL && request.address.size <= STEAD_ADDRESS_MAX &&
        request.op.size <= STEAD_OP_NAME_MAX) {
        ret_answer->error_agent = strcpy(client->texts.agent, address); /* found here: say whom it was for */
        ret_answer->error_op = strcpy(client->texts.op, op);
    }
    return code;
}

int stead_client_call(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                      const struct stead_request_options *options, struct stead_answer *ret_answer)
{
    return ask_agent(client, STEAD_CALL, address, op, args, options, ret_answer);
}

int stead_client_signal(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                        const struct stead_request_options *options, struct stead_answer *ret_answer)
{
    return ask_agent(client, STEAD_SIGNAL, address, op, args, options, ret_answer);
}

/* Waits until some node is connected: a first tell must not vanish because nobody was there. */
static int await_node(struct stead_client *client)
{
    uint64_t lost = client->lost, until_ns = stead_client_now_ns() + (uint64_t)client->timeout_ms * 1000000u;

    while (!stead_client_is_connected(client)) {
        stead_client_want_node(client);
        stead_client_turn(client, until_ns);
        if (client->lost != lost || stead_client_now_ns() >= until_ns)
            return STEAD_EUNAVAILABLE;
    }
    return 0;
}

/* Waits until the tells that wait for their connection are sent, or dropped because it failed. */
static int await_tells(struct stead_client *client)
{
    uint64_t dropped = stead_client_core_counters(client->core)->tells_dropped;
    uint64_t until_ns = stead_client_now_ns() + (uint64_t)client->timeout_ms * 1000000u;

    while (stead_client_core_tells_waiting(client->core) > 0 && stead_client_now_ns() < until_ns)
        stead_client_turn(client, until_ns);
    return stead_client_core_tells_waiting(client->core) > 0 ||
                   stead_client_core_counters(client->core)->tells_dropped > dropped
               ? STEAD_EUNAVAILABLE
               : 0;
}

int stead_client_tell(struct stead_client *client, const char *address, const char *op, struct stead_slice args)
{
    int code;

    if (client->completing)
        return stead_client_core_tell(client->core, stead_str(address), stead_str(op), args);
    code = stead_client_begin(client);
    if (code == 0)
        code = await_node(client);
    if (code == 0)
        code = stead_client_core_tell(client->core, stead_str(address), stead_str(op), args);
    if (code == 0)
        code = await_tells(client);
    stead_client_flush(client);
    return code;
}

/* ---- Where an agent lives ------------------------------------------------------------------- */

/* Waits for the first table. */
static int await_table(struct stead_client *client)
{
    uint64_t until_ns = stead_client_now_ns() + (uint64_t)client->timeout_ms * 1000000u;
    int code = stead_client_core_table(client->core) != NULL ? 0 : await_node(client);

    while (code == 0 && stead_client_core_table(client->core) == NULL) {
        stead_client_turn(client, until_ns);
        if (stead_client_now_ns() >= until_ns)
            code = STEAD_EUNAVAILABLE;
    }
    return code;
}

int stead_client_locate(struct stead_client *client, const char *address, struct stead_location *ret_location)
{
    size_t kind_size;
    int code = stead_address_check(stead_str(address), &kind_size);

    if (code == 0)
        code = stead_client_begin(client);
    if (code == 0)
        code = await_table(client);
    if (code != 0)
        return code;
    const struct stead_table *table = stead_client_core_table(client->core);
    const struct stead_table_kind *kind = stead_table_kind_find(table, address, kind_size);
    if (kind != NULL && kind->durability == STEAD_STATELESS)
        return STEAD_EUNAVAILABLE; /* nobody owns its jobs */
    stead_slot slot = stead_address_slot(stead_str(address), kind == NULL ? STEAD_GROUP_DEFAULT : kind->group);
    const struct stead_table_shard *shard = stead_table_shard_of(table, slot);
    const struct stead_table_node *node = shard == NULL ? NULL : stead_table_node_find(table, shard->node);
    if (node == NULL || shard->reactor >= node->reactor_count)
        return STEAD_EUNAVAILABLE;
    *ret_location =
        (struct stead_location){slot.v, shard->id, shard->reactor, node->name, node->endpoints[shard->reactor]};
    return 0;
}

/* ---- Asynchronous requests ------------------------------------------------------------------ */

static void async_ended(struct stead_client *client, struct stead_client_waiter *waiter, int code,
                        struct stead_message **answer)
{
    stead_completion_fn *completion = waiter->completion;
    void *context = waiter->context;
    struct stead_client_texts texts;
    struct stead_answer it;
    bool outer = client->completing;

    waiter->next = client->free_waiters;
    client->free_waiters = waiter;
    client->completed++;
    if (completion == NULL)
        return;
    stead_client_fill_answer(code, *answer, &texts, &it);
    client->completing = true;
    completion(context, &it);
    client->completing = outer;
}

static int start_agent(struct stead_client *client, const struct stead_client_request *from,
                       stead_completion_fn *completion, void *context)
{
    struct stead_client_request request = *from;
    struct stead_client_waiter *waiter = client->free_waiters;
    int code;

    if (waiter == NULL)
        waiter = stead_alloc(sizeof(*waiter));
    else
        client->free_waiters = waiter->next;
    *waiter = (struct stead_client_waiter){.ended = async_ended, .completion = completion, .context = context};
    request.context = waiter;
    if (!client->completing)
        stead_client_set_now(client);
    code = stead_client_core_submit(client->core, &request);
    if (code != 0) {
        waiter->next = client->free_waiters;
        client->free_waiters = waiter;
    }
    return code;
}

int stead_client_call_async(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                            const struct stead_request_options *options, stead_completion_fn *completion, void *context)
{
    struct stead_client_request request;
    int code = make_request(STEAD_CALL, address, op, args, options, &request);

    return code != 0 ? code : start_agent(client, &request, completion, context);
}

int stead_client_signal_async(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                              const struct stead_request_options *options, stead_completion_fn *completion,
                              void *context)
{
    struct stead_client_request request;
    int code = make_request(STEAD_SIGNAL, address, op, args, options, &request);

    return code != 0 ? code : start_agent(client, &request, completion, context);
}

int stead_client_poll(struct stead_client *client, int timeout_ms)
{
    uint64_t until_ns = timeout_ms < 0 ? STEAD_CLIENT_NEVER : stead_client_now_ns() + (uint64_t)timeout_ms * 1000000u;
    uint32_t before = client->completed;

    if (client->completing)
        return STEAD_ESTATE;
    do {
        stead_client_turn(client, timeout_ms == 0 ? 0 : until_ns);
    } while (client->completed == before && stead_client_now_ns() < until_ns &&
             (timeout_ms >= 0 || stead_client_core_in_flight(client->core) > 0));
    return (int)(client->completed - before);
}

int stead_client_drain(struct stead_client *client, int timeout_ms)
{
    uint64_t until_ns = timeout_ms < 0 ? STEAD_CLIENT_NEVER : stead_client_now_ns() + (uint64_t)timeout_ms * 1000000u;

    if (client->completing)
        return STEAD_ESTATE;
    while (stead_client_core_in_flight(client->core) > 0) {
        stead_client_turn(client, until_ns);
        if (stead_client_core_in_flight(client->core) > 0 && stead_client_now_ns() >= until_ns)
            return STEAD_ETIMEOUT;
    }
    return 0;
}

uint32_t stead_client_in_flight(const struct stead_client *client)
{
    return stead_client_core_in_flight(client->core);
}

uint64_t stead_client_monotonic_ns(void)
{
    return stead_client_now_ns();
}

uint32_t stead_client_timeout_ms(const struct stead_client *client)
{
    return client->timeout_ms;
}

int stead_client_random_id(struct stead_client *client, char ret_text[STEAD_RANDOM_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[STEAD_RANDOM_ID_SIZE / 2];

    (void)client;
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return STEAD_EIO;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[STEAD_RANDOM_ID_SIZE - 1] = '\0';
    return 0;
}
