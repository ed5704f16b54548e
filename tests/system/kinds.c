/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinds: agents that remember everything that happened to them, so that a test can compare it with what its clients
 * were told.
 *
 *   record  durable: every number added, and how often: one more than once is an effect that happened twice, one below another came late
 *   hoard   durable: a buffer of any size in its state
 *   events  durable: events of any size
 *   post    durable: numbered letters and calls between agents: one lost, repeated or out of order is counted where it arrives
 *   alarm   durable: timers, each of which rings once
 *   where, where-gpu   stateless: the node that ran the job; the second only where the label gpu is
 */
#include "stead/agent.h"

#include <string.h>
#include <time.h>

#define PAGE_MAX 20000u /* numbers in one answer */

/* ---- record --------------------------------------------------------------------------------- */

struct record {
    int64_t count; /* adds that had an effect, repeated ones included */
    int64_t twice; /* adds of a number that was there */
    int64_t late;  /* adds of a number below one that was there */
    int64_t newest;
};

static const struct stead_field record_fields[] = {
    STEAD_FIELD(I64, struct record, count), STEAD_FIELD(I64, struct record, twice),
    STEAD_FIELD(I64, struct record, late), STEAD_FIELD(I64, struct record, newest), STEAD_FIELDS_END};

/* A number as a key: big-endian, so that a scan is in its order. */
static struct stead_slice key_of(struct stead_turn *turn, uint64_t number)
{
    uint8_t *key = stead_turn_alloc(turn, 8);

    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(number >> (56 - 8 * i));
    return stead_bytes(key, 8);
}

static int record_add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct record *record = state;
    struct stead_slice key, there;
    uint64_t number;

    if (stead_get_u64(args, NULL, &number) != 0)
        return stead_fail(turn, "bad_number", "add takes a number");
    key = key_of(turn, number);
    record->twice += stead_kv_get(turn, key, &there) == 0;
    record->count++;
    record->late += (int64_t)number < record->newest;
    if ((int64_t)number > record->newest)
        record->newest = (int64_t)number;
    int code = stead_kv_put(turn, key, stead_bytes("", 0));
    return code == 0 ? stead_reply(turn, stead_packed(turn, "l", record->count)) : code;
}

static int write_number(void *context, struct stead_slice key, struct stead_slice value)
{
    uint64_t number = 0;

    (void)value;
    for (size_t i = 0; i < key.size; i++)
        number = number << 8 | key.data[i];
    stead_write_u64(context, number);
    return 0;
}

static int count_number(void *context, struct stead_slice key, struct stead_slice value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)context;
    return 0;
}

/* {from}: the numbers from there on, at most PAGE_MAX. */
static int record_list(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t from = 0;
    uint32_t count = 0;
    struct stead_writer numbers;

    (void)state;
    if (stead_get_u64(args, "from", &from) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_from", "from is a number");
    struct stead_slice start = key_of(turn, from);
    int code = stead_kv_scan(turn, start, stead_bytes(NULL, 0), PAGE_MAX, count_number, &count);
    if (code != 0)
        return code;
    stead_writer_init(&numbers);
    stead_write_array(&numbers, count);
    code = stead_kv_scan(turn, start, stead_bytes(NULL, 0), PAGE_MAX, write_number, &numbers);
    if (code == 0)
        code = stead_reply(turn, stead_written(&numbers));
    stead_writer_deinit(&numbers);
    return code;
}

static int record_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct record *record = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l}", "count", record->count, "twice", record->twice, "late",
                                          record->late));
}

/* {size}: one value of so many bytes, beside the numbers. */
static int record_fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t size;

    (void)state;
    if (stead_get_u64(args, NULL, &size) != 0 || size > 1000000)
        return stead_fail(turn, "bad_size", "fill takes a size");
    return stead_kv_put(turn, stead_str("bulk"), stead_bytes(stead_turn_alloc(turn, size), size));
}

static int record_forget(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}

/* {ms}: a turn that takes so long. */
static int record_toil(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct timespec from, now;
    uint64_t ms;

    (void)turn, (void)state;
    if (stead_get_u64(args, NULL, &ms) != 0 || ms > 60000)
        return STEAD_EARGUMENT;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((uint64_t)(now.tv_sec - from.tv_sec) * 1000 + (uint64_t)now.tv_nsec / 1000000 <
           ms + (uint64_t)from.tv_nsec / 1000000);
    return 0;
}

static const struct stead_op record_ops[] = {
    {"toil", record_toil, NULL, 0, "a number of milliseconds: computes for so long"},
    {"fill", record_fill, NULL, 0, "a size: holds so many bytes"},
    {"forget", record_forget, NULL, STEAD_OP_FREES, "destroys it"},
    {"add", record_add, NULL, 0, "a number: remembers it, answers how many there were"},
    {"list", record_list, NULL, STEAD_OP_READ_ONLY, "{from}: the numbers in order, a page of them"},
    {"get", record_get, NULL, STEAD_OP_READ_ONLY, "{count, twice, late}"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind record_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "record",
                                              .help = "remembers every number it was given",
                                              .state_size = sizeof(struct record),
                                              .fields = record_fields,
                                              .ops = record_ops};

/* ---- hoard ---------------------------------------------------------------------------------- */

struct hoard {
    struct stead_buffer bytes;
};

static const struct stead_field hoard_fields[] = {STEAD_FIELD(BUFFER, struct hoard, bytes), STEAD_FIELDS_END};

/* {size} */
static int hoard_keep(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct hoard *hoard = state;
    uint64_t size;

    if (stead_get_u64(args, NULL, &size) != 0 || size > 10000000)
        return stead_fail(turn, "bad_size", "keep takes a size");
    stead_buffer_set(&hoard->bytes, stead_bytes(stead_turn_alloc(turn, size), size));
    return 0;
}

static int hoard_size(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct hoard *hoard = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", (int64_t)stead_buffer_get(&hoard->bytes).size));
}

static const struct stead_op hoard_ops[] = {{"keep", hoard_keep, NULL, 0, "a size: holds so many bytes"},
                                            {"size", hoard_size, NULL, STEAD_OP_READ_ONLY, "how many it holds"},
                                            {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind hoard_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "hoard",
                                             .help = "a state of any size",
                                             .state_size = sizeof(struct hoard),
                                             .fields = hoard_fields,
                                             .ops = hoard_ops};

/* ---- events --------------------------------------------------------------------------------- */

struct events {
    int64_t count;
};

static const struct stead_field events_fields[] = {STEAD_FIELD(I64, struct events, count), STEAD_FIELDS_END};

static int events_apply(void *state, const char *event, struct stead_slice value)
{
    (void)event, (void)value;
    ((struct events *)state)->count++;
    return 0;
}

/* {count, size}: so many events of so many bytes. */
static int events_emit(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t count, size;
    struct stead_writer value;
    int code = 0;

    (void)state;
    if (stead_get_u64(args, "count", &count) != 0 || stead_get_u64(args, "size", &size) != 0 || size > 1000000)
        return stead_fail(turn, "bad_size", "emit takes a count and a size");
    stead_writer_init(&value);
    stead_write_bin(&value, stead_bytes(stead_turn_alloc(turn, size), size));
    for (; count > 0 && code == 0; count--)
        code = stead_emit(turn, "added", stead_written(&value));
    stead_writer_deinit(&value);
    return code;
}

static const struct stead_op events_ops[] = {{"emit", events_emit, NULL, 0, "events"}, {0}};

static const struct stead_kind events_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "events",
                                              .help = "has events",
                                              .state_size = sizeof(struct events),
                                              .fields = events_fields,
                                              .apply = events_apply,
                                              .ops = events_ops};

/* ---- post ----------------------------------------------------------------------------------- */

struct post {
    int64_t sent;     /* letters sent, to all */
    int64_t taken;    /* letters that came, from all */
    int64_t disorder; /* letters whose number was not one more than the sender's last */
    int64_t asked;    /* calls made by `chat`, each with a number among the letters */
    int64_t answered; /* answers to these */
    int64_t failed;   /* of these, not with the number that was asked */
    int64_t delayed;  /* delayed letters sent */
    int64_t late;     /* delayed letters that came */
    int64_t twice;    /* of these, for the second time or more */
    bool storms;      /* each answer is followed by the next letter and call */
};

static const struct stead_field post_fields[] = {
    STEAD_FIELD(I64, struct post, sent),     STEAD_FIELD(I64, struct post, taken),
    STEAD_FIELD(I64, struct post, disorder), STEAD_FIELD(I64, struct post, asked),
    STEAD_FIELD(I64, struct post, answered), STEAD_FIELD(I64, struct post, failed),
    STEAD_FIELD(I64, struct post, delayed),  STEAD_FIELD(I64, struct post, late),
    STEAD_FIELD(I64, struct post, twice),    STEAD_FIELDS_END};

/* The next number of the row `row` "from" or "to" an agent: one more than it was. */
static int count_up(struct stead_turn *turn, const char *row, int64_t *ret_number)
{
    struct stead_slice value;
    int64_t number = 0;

    int code = stead_kv_get(turn, stead_str(row), &value);
    if (code == 0)
        code = stead_get_i64(value, NULL, &number);
    if (code != 0 && code != STEAD_ENOTFOUND)
        return code;
    *ret_number = number + 1;
    return stead_kv_put(turn, stead_str(row), stead_packed(turn, "l", number + 1));
}

/* {to, ?size}: sends the next letter there, on so many bytes of paper. */
static int post_send(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct post *post = state;
    char to[STEAD_ADDRESS_MAX + 1];
    int64_t number;
    uint64_t size = 0;

    if (stead_get_text(args, "to", to, sizeof to) != 0)
        return stead_fail(turn, "bad_to", "to is an address");
    (void)!stead_get_u64(args, "size", &size);
    int code = count_up(turn, stead_printed(turn, "to %.500s", to), &number);
    void *paper = stead_turn_alloc(turn, size);
    memset(paper, 'p', size);
    if (code == 0)
        code = stead_signal(
            turn, to, "take",
            size == 0 ? stead_packed(turn, "l", number)
                      : stead_packed(turn, "{s:l,s:B}", "number", number, "paper", stead_bytes(paper, (size_t)size)));
    if (code != 0)
        return code;
    post->sent++;
    return stead_reply(turn, stead_packed(turn, "l", number));
}

static int post_take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct post *post = state;
    const char *row = stead_printed(turn, "from %.500s", stead_sender(turn));
    int64_t number = 0, expected;

    int code = count_up(turn, row, &expected);
    if (code != 0 || (stead_get_i64(args, NULL, &number) != 0 && stead_get_i64(args, "number", &number) != 0))
        return code != 0 ? code : stead_fail(turn, "bad_letter", "a letter has a number");
    post->taken++;
    if (number == expected)
        return 0;
    post->disorder++; /* and what follows it is in order again */
    return stead_kv_put(turn, stead_str(row), stead_packed(turn, "l", number));
}

/* A letter and a call, and now and then a letter that waits there. */
static int write_and_call(struct stead_turn *turn, struct post *post, const char *to)
{
    int64_t number;

    int code = count_up(turn, stead_printed(turn, "to %.500s", to), &number);
    if (code == 0)
        code = stead_signal(turn, to, "take", stead_packed(turn, "l", number));
    if (code == 0)
        code = count_up(turn, stead_printed(turn, "to %.500s", to), &number);
    if (code != 0)
        return code;
    post->sent++;
    post->asked++;
    struct stead_slice letter = stead_packed(turn, "l", number);
    const struct stead_call_options options = {
        .reply_op = "heard", .context = stead_packed(turn, "s", to), .timeout_ms = STEAD_TIMEOUT_NEVER};
    code = stead_call(turn, to, "hear", letter, &options);
    if (code != 0 || post->asked % 4 != 0)
        return code;
    post->delayed++;
    return stead_signal_after(turn, to, "late", letter, number * 37 % 2000);
}

static int post_chat(struct stead_turn *turn, void *state, struct stead_slice args)
{
    char to[STEAD_ADDRESS_MAX + 1];

    if (stead_get_text(args, "to", to, sizeof to) != 0)
        return stead_fail(turn, "bad_to", "to is an address");
    int code = write_and_call(turn, state, to);
    return code == 0 ? stead_reply(turn, stead_packed(turn, "l", ((struct post *)state)->asked)) : code;
}

static int post_storm(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct post *post = state;

    if (stead_get_bool(args, NULL, &post->storms) != 0)
        return stead_fail(turn, "bad_storm", "storm is true or false");
    return stead_reply(turn, stead_packed(turn, "l", post->asked));
}

static int post_hear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = post_take(turn, state, args);

    return code == 0 ? stead_reply(turn, args) : code;
}

static int post_heard(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct post *post = state;
    char to[STEAD_ADDRESS_MAX + 1];
    int64_t number;

    post->answered++;
    post->failed += stead_reply_code(turn) != 0 || stead_get_i64(args, NULL, &number) != 0;
    if (!post->storms || stead_get_text(stead_call_context(turn), NULL, to, sizeof to) != 0)
        return 0;
    return write_and_call(turn, post, to);
}

static int post_late(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct post *post = state;
    struct stead_slice there;
    int64_t number = 0;

    if (stead_get_i64(args, NULL, &number) != 0)
        return stead_fail(turn, "bad_letter", "a letter is a number");
    struct stead_slice row = stead_str(stead_printed(turn, "late %lld %.500s", (long long)number, stead_sender(turn)));
    post->late++;
    post->twice += stead_kv_get(turn, row, &there) == 0;
    return stead_kv_put(turn, row, stead_bytes("", 0));
}

static int post_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct post *post = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l}", "sent", post->sent, "taken", post->taken, "disorder",
                                          post->disorder));
}

static int post_count(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct post *post = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l,s:l,s:l,s:l,s:l,s:l,s:l}", "sent", post->sent, "taken",
                                          post->taken, "disorder", post->disorder, "asked", post->asked, "answered",
                                          post->answered, "failed", post->failed, "delayed", post->delayed, "late",
                                          post->late, "twice", post->twice));
}

static const struct stead_op post_ops[] = {
    {"send", post_send, NULL, 0, "{to}: sends the next letter, answers its number"},
    {"take", post_take, NULL, 0, "a letter from another one"},
    {"chat", post_chat, NULL, 0, "{to}: a letter and a call, and at times a delayed letter"},
    {"storm", post_storm, NULL, 0, "true or false: whether each answer is followed by the next letter and call"},
    {"hear", post_hear, NULL, 0, "a letter that is answered"},
    {"heard", post_heard, NULL, 0, "the answer"},
    {"late", post_late, NULL, 0, "a delayed letter"},
    {"get", post_get, NULL, STEAD_OP_READ_ONLY, "{sent, taken, disorder}"},
    {"count", post_count, NULL, STEAD_OP_READ_ONLY, "that, and what `chat` has counted"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind post_kind = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "post",
                                            .help = "numbered letters between agents",
                                            .state_size = sizeof(struct post),
                                            .fields = post_fields,
                                            .ops = post_ops};

/* ---- alarm ---------------------------------------------------------------------------------- */

struct alarm {
    int64_t armed; /* timers set */
    int64_t rung;  /* timers that ran */
    int64_t twice; /* of these, for the second time or more */
    int64_t early; /* of these, before their time */
};

static const struct stead_field alarm_fields[] = {
    STEAD_FIELD(I64, struct alarm, armed), STEAD_FIELD(I64, struct alarm, rung), STEAD_FIELD(I64, struct alarm, twice),
    STEAD_FIELD(I64, struct alarm, early), STEAD_FIELDS_END};

/* {name, after_ms}: sets a timer of its own name. */
static int alarm_arm(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct alarm *alarm = state;
    int64_t after_ms = 0;
    char name[STEAD_TIMER_NAME_MAX + 1];

    if (stead_get_i64(args, "after_ms", &after_ms) != 0 || stead_get_text(args, "name", name, sizeof name) != 0)
        return stead_fail(turn, "bad_alarm", "arm takes {name, after_ms}");
    alarm->armed++;
    return stead_timer_after(turn, name, after_ms, "ring",
                             stead_packed(turn, "{s:s,s:l}", "name", name, "due", stead_now_ms(turn) + after_ms));
}

static int alarm_ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct alarm *alarm = state;
    struct stead_slice name, there;
    int64_t due;

    if (stead_get_str(args, "name", &name) != 0 || stead_get_i64(args, "due", &due) != 0)
        return stead_fail(turn, "bad_ring", "ring is for timers");
    alarm->rung++;
    alarm->early += stead_now_ms(turn) < due;
    alarm->twice += stead_kv_get(turn, name, &there) == 0;
    return stead_kv_put(turn, name, stead_bytes("", 0));
}

static int alarm_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct alarm *alarm = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:l,s:l,s:l,s:l}", "armed", alarm->armed, "rung", alarm->rung,
                                          "twice", alarm->twice, "early", alarm->early));
}

static const struct stead_op alarm_ops[] = {{"arm", alarm_arm, NULL, 0, "{name, after_ms}: sets a timer"},
                                            {"ring", alarm_ring, NULL, 0, "a timer is due"},
                                            {"get", alarm_get, NULL, STEAD_OP_READ_ONLY, "{armed, rung, twice, early}"},
                                            {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind alarm_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "alarm",
                                             .help = "timers that ring once",
                                             .state_size = sizeof(struct alarm),
                                             .fields = alarm_fields,
                                             .ops = alarm_ops};

/* ---- where ---------------------------------------------------------------------------------- */

static int where_am_i(struct stead_job *job, struct stead_slice args)
{
    (void)args;
    return stead_job_reply(job, stead_job_packed(job, "s", stead_job_node_name(job)));
}

static const struct stead_op where_ops[] = {{"ask", NULL, where_am_i, 0, "the name of the node that ran the job"},
                                            {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind where_kind = {.abi = STEAD_ABI,
                                             .struct_size = sizeof(struct stead_kind),
                                             .name = "where",
                                             .help = "tells which node ran it",
                                             .durability = STEAD_STATELESS,
                                             .ops = where_ops};

static const struct stead_kind where_gpu_kind = {.abi = STEAD_ABI,
                                                 .struct_size = sizeof(struct stead_kind),
                                                 .name = "where-gpu",
                                                 .help = "tells which node with a gpu ran it",
                                                 .durability = STEAD_STATELESS,
                                                 .ops = where_ops,
                                                 .needs = "gpu"};

STEAD_MODULE(&record_kind, &hoard_kind, &events_kind, &post_kind, &alarm_kind, &where_kind, &where_gpu_kind);
