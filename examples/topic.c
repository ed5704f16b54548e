/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topic: a chat room. Its messages and its subscribers are keyed state, so a room may have more of both than fit in
 * memory. A publish stores the message, signals every subscriber, and answers those who wait for it, in one commit.
 *
 *     keyed state   m/NUMBER    text          the last KEPT messages; NUMBER in 16 hexadecimal digits, so that they sort
 *                   s/ADDRESS   op            subscribers
 *                   w/NUMBER    token         readers who wait for the next message (a long poll), oldest first
 *
 * `inbox` is a subscriber to start with: it counts what it is sent and keeps the last text.
 */
#include "stead/agent.h"

#define KEPT 1000
#define TEXT_MAX 65536       /* bytes of a message */
#define PAGE_MAX 1000        /* messages in an answer */
#define SUBSCRIBERS_MAX 5000 /* one publish is one turn: its signals are bounded */
#define WAITERS_MAX 1000

struct topic {
    uint64_t last;                 /* number of the newest message */
    uint32_t subscribers, waiters; /* keys of these sorts */
    uint64_t next_waiter;          /* numbers the waiters */
};

static const struct stead_field topic_fields[] = {
    STEAD_FIELD(U64, struct topic, last), STEAD_FIELD(U32, struct topic, subscribers),
    STEAD_FIELD(U32, struct topic, waiters), STEAD_FIELD(U64, struct topic, next_waiter), STEAD_FIELDS_END};

static struct stead_slice numbered(struct stead_turn *turn, char sort, uint64_t number)
{
    return stead_str(stead_printed(turn, "%c/%016llx", sort, (unsigned long long)number));
}

/* ---- Publishing ----------------------------------------------------------------------------- */

struct fan_out {
    struct stead_turn *turn;
    struct stead_slice value; /* what is sent */
    int code;                 /* of the first send that failed */
};

/* `key` is s/ADDRESS, `value` the op. */
static int signal_one(void *context, struct stead_slice key, struct stead_slice value)
{
    struct fan_out *fan = context;
    struct stead_slice op;

    if (stead_get_str(value, NULL, &op) != 0)
        return 0;
    fan->code = stead_signal(fan->turn, stead_printed(fan->turn, "%.*s", (int)key.size - 2, (const char *)key.data + 2),
                             stead_printed(fan->turn, "%.*s", (int)op.size, (const char *)op.data), fan->value);
    return fan->code;
}

/* `value` is the token of a reader who waits. One who gave up is no error. */
static int answer_one(void *context, struct stead_slice key, struct stead_slice value)
{
    struct fan_out *fan = context;
    struct stead_token token;

    (void)key;
    if (stead_get_text(value, NULL, token.text, sizeof token.text) == 0)
        (void)stead_answer(fan->turn, &token, fan->value);
    return 0;
}

static int publish(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct topic *topic = state;
    struct stead_slice text;
    uint32_t deleted;

    if (stead_get_str(args, NULL, &text) != 0 || text.size > TEXT_MAX)
        return stead_fail(turn, "bad_text", "publish takes a text of at most %d bytes", TEXT_MAX);
    topic->last++;
    struct fan_out fan = {.turn = turn};
    int code = stead_kv_put(turn, numbered(turn, 'm', topic->last), args);
    if (code == 0 && topic->last > KEPT)
        code = stead_kv_delete(turn, numbered(turn, 'm', topic->last - KEPT));
    fan.value = stead_packed(turn, "{s:s,s:u,s:S}", "topic", stead_self(turn), "number", topic->last, "text", text);
    if (code == 0)
        code = stead_kv_scan(turn, stead_str("s/"), stead_str("s0"), SUBSCRIBERS_MAX, signal_one, &fan);
    if (fan.code != 0)
        return fan.code;
    fan.value = stead_packed(turn, "{s:[[u,S]],s:u}", "messages", topic->last, text, "last", topic->last);
    if (code == 0)
        code = stead_kv_scan(turn, stead_str("w/"), stead_str("w0"), WAITERS_MAX, answer_one, &fan);
    if (code == 0)
        code = stead_kv_delete_range(turn, stead_str("w/"), stead_str("w0"), WAITERS_MAX, &deleted);
    topic->waiters = 0;
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", topic->last)) : code;
}

/* ---- Reading -------------------------------------------------------------------------------- */

struct page {
    struct stead_writer writer; /* [[number, text]...] without its header */
    uint32_t count;
    uint64_t number; /* of the first */
};

static int collect(void *context, struct stead_slice key, struct stead_slice value)
{
    struct page *page = context;

    (void)key;
    stead_write_array(&page->writer, 2);
    stead_write_u64(&page->writer, page->number + page->count++);
    stead_write_value(&page->writer, value);
    return 0;
}

static int wait_for_next(struct stead_turn *turn, struct topic *topic)
{
    struct stead_token token;

    if (topic->waiters == WAITERS_MAX)
        return stead_fail(turn, "too_many", "%d readers wait already", WAITERS_MAX);
    int code = stead_reply_later(turn, &token);
    if (code != 0)
        return code;
    topic->waiters++;
    return stead_kv_put(turn, numbered(turn, 'w', ++topic->next_waiter), stead_packed(turn, "s", token.text));
}

static int read_messages(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct topic *topic = state;
    struct page page = {.count = 0};
    struct stead_writer answer;
    uint64_t after = 0;
    int64_t limit = 100;
    bool wait = false;

    if (stead_get_u64(args, "after", &after) == STEAD_EARGUMENT ||
        stead_get_i64(args, "limit", &limit) == STEAD_EARGUMENT || limit < 1 || limit > PAGE_MAX ||
        stead_get_bool(args, "wait", &wait) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_argument", "read takes {after, limit, wait}; limit is from 1 to %d", PAGE_MAX);
    if (wait && after >= topic->last)
        return wait_for_next(turn, topic);
    if (topic->last > KEPT && after < topic->last - KEPT)
        after = topic->last - KEPT;
    page.number = after + 1;
    stead_writer_init(&page.writer);
    int code = stead_kv_scan(turn, numbered(turn, 'm', page.number), stead_str("m0"), (uint32_t)limit, collect, &page);
    stead_writer_init(&answer);
    stead_write_map(&answer, 2);
    stead_write_str(&answer, "messages");
    stead_write_array(&answer, page.count);
    stead_write_raw(&answer, page.writer.data, page.writer.size);
    stead_write_str(&answer, "last");
    stead_write_u64(&answer, topic->last);
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&answer);
    stead_writer_deinit(&page.writer);
    return code;
}

/* ---- Subscribing ---------------------------------------------------------------------------- */

static int subscribe(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct topic *topic = state;
    char address[STEAD_ADDRESS_MAX + 1], op[STEAD_OP_NAME_MAX + 1] = "message";
    struct stead_slice old;

    int code = stead_get_text(args, "op", op, sizeof op);
    if ((code != 0 && code != STEAD_ENOTFOUND) || stead_get_text(args, "address", address, sizeof address) != 0)
        return stead_fail(turn, "bad_argument", "subscribe takes {address, op}");
    struct stead_slice key = stead_str(stead_printed(turn, "s/%s", address));
    if (key.size > STEAD_KEY_MAX)
        return stead_fail(turn, "bad_argument", "an address of at most %d bytes", STEAD_KEY_MAX - 2);
    if (stead_kv_get(turn, key, &old) == STEAD_ENOTFOUND && topic->subscribers++ == SUBSCRIBERS_MAX)
        return stead_fail(turn, "too_many", "a room has at most %d subscribers", SUBSCRIBERS_MAX);
    code = stead_kv_put(turn, key, stead_packed(turn, "s", op));
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", (uint64_t)topic->subscribers)) : code;
}

static int unsubscribe(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct topic *topic = state;
    char address[STEAD_ADDRESS_MAX + 1];
    struct stead_slice old;

    if (stead_get_text(args, "address", address, sizeof address) != 0)
        return stead_fail(turn, "bad_argument", "unsubscribe takes {address}");
    struct stead_slice key = stead_str(stead_printed(turn, "s/%s", address));
    if (key.size > STEAD_KEY_MAX || stead_kv_get(turn, key, &old) != 0)
        return stead_fail(turn, "not_subscribed", "%s is no subscriber", address);
    topic->subscribers--;
    int code = stead_kv_delete(turn, key);
    return code == 0 ? stead_reply(turn, stead_packed(turn, "u", (uint64_t)topic->subscribers)) : code;
}

static const struct stead_op topic_ops[] = {
    {"publish", publish, NULL, 0, "TEXT: to all subscribers and waiting readers; answers its number"},
    {"read", read_messages, NULL, 0, "{after, limit, wait}: messages behind a number; waits for the next if asked to"},
    {"subscribe", subscribe, NULL, 0, "{address, op}: signals op {topic, number, text} there from now on"},
    {"unsubscribe", unsubscribe, NULL, 0, "{address}"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind topic_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "topic",
                                             .help = "a chat room: messages to subscribers and to waiting readers",
                                             .state_size = sizeof(struct topic),
                                             .fields = topic_fields,
                                             .ops = topic_ops};

/* ---- A subscriber --------------------------------------------------------------------------- */

struct inbox {
    uint64_t count;           /* messages taken */
    uint64_t last;            /* number of the newest */
    bool broken;              /* one came twice, or out of order: must never be */
    struct stead_buffer text; /* of the newest */
};

static const struct stead_field inbox_fields[] = {
    STEAD_FIELD(U64, struct inbox, count), STEAD_FIELD(U64, struct inbox, last),
    STEAD_FIELD(BOOL, struct inbox, broken), STEAD_FIELD(BUFFER, struct inbox, text), STEAD_FIELDS_END};

static int message(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct inbox *inbox = state;
    struct stead_slice text;
    uint64_t number;

    if (stead_get_u64(args, "number", &number) != 0 || stead_get_str(args, "text", &text) != 0)
        return stead_fail(turn, "bad_argument", "message takes {topic, number, text}");
    inbox->broken = inbox->broken || number <= inbox->last;
    inbox->last = number;
    inbox->count++;
    stead_buffer_set(&inbox->text, text);
    return 0;
}

static int inbox_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct inbox *inbox = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:b,s:S}", "count", inbox->count, "last", inbox->last,
                                          "broken", inbox->broken, "text", stead_buffer_get(&inbox->text)));
}

static const struct stead_op inbox_ops[] = {{"message", message, NULL, 0, "{topic, number, text}: from a topic"},
                                            {"get", inbox_get, NULL, STEAD_OP_READ_ONLY, "count, last number and text"},
                                            {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind inbox_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "inbox",
                                             .help = "a subscriber that keeps the last message",
                                             .state_size = sizeof(struct inbox),
                                             .fields = inbox_fields,
                                             .ops = inbox_ops};
STEAD_MODULE(&topic_kind, &inbox_kind);
