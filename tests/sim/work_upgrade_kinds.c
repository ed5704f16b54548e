/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of the workload `upgrade`: tallies, which change between starts of a node, and quizzers, which do not.
 *
 * A tally counts what reaches it, in its struct and, by the same turn, in keyed state, which no version stores
 * differently. So each turn sees whether the struct has come through every change of the kind with nothing lost: an
 * image that is taken for another, an event that is applied twice or never, a field that is not carried.
 */
#include "tests/sim/work_upgrade.h"

#define PAD_SIZE 1400u
#define MARK (INT64_C(1) << 40) /* added to `last`, so that it never fits an i32 */
#define HOUR_MS 3600000         /* calls of this workload wait as long as it takes ... */
#define SHORT_MS 200            /* ... or not */
enum { TOTAL, NEWEST };         /* numbers in keyed state under 't' */

struct tally {
    int64_t count;      /* turns that counted */
    int64_t last;       /* MARK + the number of the newest of them */
    int64_t check;      /* check_of(count); 0: a version that does not know it has stored the rest */
    int32_t count32;    /* what PLAIN stores as `count` */
    int32_t last32;     /* what NARROW stores as `last`: without MARK */
    char pad[PAD_SIZE]; /* fill_pad(count): now and then so long that the image has a row of its own */
};

/* ---- What a tally stores ------------------------------------------------------------------------- */

static int64_t check_of(int64_t count)
{
    return count * 7 + 3;
}

static void fill_pad(char *pad, int64_t count)
{
    memset(pad, 0, PAD_SIZE);
    memset(pad, 'a' + (int)(count % 26), (size_t)(count % 5 == 3 ? 1100 + count % 200 : count % 30));
}

static void count_up(struct tally *tally, uint64_t id)
{
    tally->count++;
    tally->last = MARK + (int64_t)id;
    tally->check = check_of(tally->count);
    fill_pad(tally->pad, tally->count);
}

/* The struct says what the rows say. */
static void check_tally(struct stead_turn *turn, struct tally *tally, enum stead_tally_version version)
{
    int64_t total = stead_kv_number(turn, 't', TOTAL), newest = stead_kv_number(turn, 't', NEWEST);

    int64_t count = version == STEAD_TALLY_PLAIN ? tally->count32 : tally->count;
    int64_t last = version == STEAD_TALLY_NARROW ? tally->last32 : tally->last % MARK;
    if (count != total || last != newest)
        stead_sim_broken("%s (version %d) has counted %lld, the last %lld, and its rows say %lld and %lld",
                         stead_self(turn), version, (long long)count, (long long)last, (long long)total,
                         (long long)newest);
    char pad[sizeof tally->pad];
    fill_pad(pad, total);
    if ((tally->check != 0 && tally->check != check_of(total)) || strcmp(tally->pad, pad) != 0)
        stead_sim_broken("%s (version %d) has lost some of its fields", stead_self(turn), version);
}

static int count_one(struct stead_turn *turn, struct tally *tally, uint64_t id)
{
    enum stead_tally_version version = stead_tally_version_of(stead_self(turn));

    check_tally(turn, tally, version);
    stead_kv_set_number(turn, 't', TOTAL, stead_kv_number(turn, 't', TOTAL) + 1);
    stead_kv_set_number(turn, 't', NEWEST, (int64_t)id);
    if (version == STEAD_TALLY_EVENTS || version == STEAD_TALLY_NEWEST)
        return stead_emit(turn, version == STEAD_TALLY_EVENTS ? "counted" : "tallied", stead_packed(turn, "u", id));
    if (version == STEAD_TALLY_PLAIN)
        tally->count = tally->count32;
    count_up(tally, id);
    tally->count32 = (int32_t)tally->count;
    tally->last32 = (int32_t)id;
    return 0;
}

static int apply_counted(void *state, const char *event, struct stead_slice value)
{
    uint64_t id = 0;

    if (strcmp(event, "counted") != 0 || stead_get_u64(value, NULL, &id) != 0)
        return STEAD_EARGUMENT;
    count_up(state, id);
    return 0;
}

static int apply_tallied(void *state, const char *event, struct stead_slice value)
{
    return apply_counted(state, strcmp(event, "tallied") == 0 ? "counted" : event, value);
}

/* ---- Ops of a tally --------------------------------------------------------------------------------- */

/* Does what `op` does and counts it; the number is in the arguments, under `field`. */
static int count(struct stead_turn *turn, void *state, struct stead_slice args, const char *field, stead_op_fn *op)
{
    uint64_t id = 0;
    int code = op(turn, state, args);

    if (code == 0 && stead_get_u64(args, field, &id) != 0)
        stead_sim_broken("%s is given something without its number", stead_self(turn));
    return code != 0 ? code : count_one(turn, state, id);
}

static int put(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return count(turn, state, args, "id", stead_sink_put);
}

static int late(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return count(turn, state, args, NULL, stead_sink_late);
}

static int ring(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return count(turn, state, args, "id", stead_alarm_ring);
}

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = late(turn, state, args);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", stead_kv_number(turn, 't', TOTAL)));
}

/* Several timers of one number, all due at once; none: one of the op that may be missing. */
static int arm(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0, times = 0;
    int64_t delay = 0;
    int code = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "times", &times) != 0 ||
        stead_get_i64(args, "delay", &delay) != 0)
        return stead_fail(turn, "bad_args", "id, times and delay are needed");
    if (times == 0)
        code = stead_timer_after(turn, stead_printed(turn, "t%llu", (unsigned long long)id), delay, "extra",
                                 stead_packed(turn, "u", id));
    for (uint64_t n = 0; n < times && code == 0; n++)
        code = stead_timer_after(turn, stead_printed(turn, "t%llu.%llu", (unsigned long long)id, (unsigned long long)n),
                                 delay, "ring",
                                 stead_packed(turn, "{s:u,s:l}", "id", id, "due", stead_now_ms(turn) + delay));
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

/* Calls a quizzer, which answers after a while, perhaps too late. */
static int quiz(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0, to = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0)
        return stead_fail(turn, "bad_args", "id, to and delay are needed");
    const struct stead_call_options options = {
        .reply_op = "answered", .context = stead_packed(turn, "u", id), .timeout_ms = id % 2 == 0 ? HOUR_MS : SHORT_MS};
    const char *quizzer =
        stead_printed(turn, "%s/{%c%llu}", stead_quizzer_kind.name, STEAD_UPGRADE_LETTER, (unsigned long long)to);
    int code = stead_call(turn, quizzer, "echo", args, &options);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int answered(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0;

    (void)args;
    if (stead_get_u64(stead_call_context(turn), NULL, &id) != 0 || stead_kv_number(turn, 'a', id) != 0)
        stead_sim_broken("%s gets the answer to call %llu twice, or without its context", stead_self(turn),
                         (unsigned long long)id);
    stead_kv_set_number(turn, 'a', id, 1);
    return count_one(turn, state, id);
}

static int dump_rings(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'r'));
}

static int dump_answers(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'a'));
}

static int total(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    check_tally(turn, state, stead_tally_version_of(stead_self(turn)));
    return stead_reply(turn, stead_packed(turn, "l", stead_kv_number(turn, 't', TOTAL)));
}

/* ---- The versions ------------------------------------------------------------------------------------ */

#define FIELD(type_of, stored, old_name, member)                                                                       \
    {                                                                                                                  \
        .name = (stored), .was = (old_name), .type = STEAD_FIELD_##type_of, .offset = offsetof(struct tally, member),  \
        .size = sizeof(((struct tally *)0)->member)                                                                    \
    }
static const struct stead_field plain_fields[] = {FIELD(I32, "count", NULL, count32),
                                                  FIELD(I64, "last", "newest", last), FIELD(TEXT, "pad", NULL, pad),
                                                  STEAD_FIELDS_END};
static const struct stead_field wider_fields[] = {FIELD(I64, "count", NULL, count), FIELD(I64, "newest", "last", last),
                                                  FIELD(I64, "check", NULL, check), FIELD(TEXT, "pad", NULL, pad),
                                                  STEAD_FIELDS_END};
static const struct stead_field narrow_fields[] = {FIELD(I64, "count", NULL, count),
                                                   FIELD(I32, "last", "newest", last32), FIELD(TEXT, "pad", NULL, pad),
                                                   STEAD_FIELDS_END};

#define OPS                                                                                                            \
    {.name = "put", .run = put}, {.name = "late", .run = late}, {.name = "ring", .run = ring},                         \
        {.name = "add", .run = add}, {.name = "arm", .run = arm}, {.name = "quiz", .run = quiz},                       \
        {.name = "answered", .run = answered},                                                                         \
        {.name = "taken", .run = stead_sink_taken, .flags = STEAD_OP_READ_ONLY},                                       \
        {.name = "last", .run = stead_sink_last, .flags = STEAD_OP_READ_ONLY},                                         \
        {.name = "rings", .run = dump_rings, .flags = STEAD_OP_READ_ONLY},                                             \
        {.name = "answers", .run = dump_answers, .flags = STEAD_OP_READ_ONLY},                                         \
    {                                                                                                                  \
        .name = "total", .run = total, .flags = STEAD_OP_READ_ONLY                                                     \
    }
static const struct stead_op lame_ops[] = {OPS, {0}};
static const struct stead_op whole_ops[] = {OPS, {.name = "extra", .run = late}, {0}};

#define KIND(of_ops, ...)                                                                                              \
    {                                                                                                                  \
        .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "tally",                                   \
        .state_size = sizeof(struct tally), .ops = of_ops, __VA_ARGS__                                                 \
    }
#define VERSION(...)                                                                                                   \
    {                                                                                                                  \
        KIND(whole_ops, __VA_ARGS__), KIND(lame_ops, __VA_ARGS__)                                                      \
    }
static const struct stead_kind tally_kinds[STEAD_TALLY_ABSENT][2] = {
    [STEAD_TALLY_PLAIN] = VERSION(.fields = plain_fields),
    [STEAD_TALLY_WIDER] = VERSION(.fields = wider_fields),
    [STEAD_TALLY_EVENTS] = VERSION(.fields = wider_fields, .apply = apply_counted, .snapshot_every = 3),
    [STEAD_TALLY_NEWEST] = VERSION(.fields = wider_fields, .apply = apply_tallied, .snapshot_every = 7),
    [STEAD_TALLY_NARROW] = VERSION(.fields = narrow_fields),
};

const struct stead_kind *stead_tally_kind(enum stead_tally_version version, bool lame)
{
    return version == STEAD_TALLY_ABSENT ? NULL : &tally_kinds[version][lame];
}

/* ---- Quizzers --------------------------------------------------------------------------------------- */

static int ask(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t id = 0, to = 0, how = 0;

    (void)state;
    if (stead_get_u64(args, "id", &id) != 0 || stead_get_u64(args, "to", &to) != 0 ||
        stead_get_u64(args, "how", &how) != 0)
        return stead_fail(turn, "bad_args", "id, to and how are needed");
    struct stead_slice value = stead_packed(turn, "u", id);
    const struct stead_call_options options = {
        .reply_op = "told",
        .context = value,
        .timeout_ms = how == STEAD_ASK_CALL_SHORT ? SHORT_MS : HOUR_MS,
        .idempotency_key = id % 3 == 0 ? stead_printed(turn, "ask-%llu", (unsigned long long)id) : NULL};
    const char *address = stead_printed(turn, "tally/{%c%llu}", STEAD_UPGRADE_LETTER, (unsigned long long)to);
    const char *op = how == STEAD_ASK_CALL_EXTRA || how == STEAD_ASK_SIGNAL_EXTRA ? "extra" : "add";
    int code = how <= STEAD_ASK_CALL_EXTRA ? stead_call(turn, address, op, value, &options)
                                           : stead_signal(turn, address, op, value);
    return code != 0 ? code : stead_reply(turn, stead_packed(turn, "l", (int64_t)0));
}

static int told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int code = stead_reply_code(turn);
    uint64_t id = 0;

    (void)state, (void)args;
    if (stead_get_u64(stead_call_context(turn), NULL, &id) != 0 || stead_kv_number(turn, 'o', id) != 0)
        stead_sim_broken("%s is told twice of call %llu", stead_self(turn), (unsigned long long)id);
    bool timed_out = code == STEAD_ETIMEOUT || code == STEAD_EEXPIRED;
    if (code != 0 && code != STEAD_ECORRUPT && code != STEAD_EOP && code != STEAD_EIO && !timed_out)
        stead_sim_broken("call %llu of %s ends with %s", (unsigned long long)id, stead_self(turn),
                         stead_error_name(code));
    stead_kv_set_number(turn, 'o', id, timed_out ? STEAD_ASK_TIMED_OUT : code == 0 ? STEAD_ASK_RAN : STEAD_ASK_NOT_RUN);
    return 0;
}

static int dump_told(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply(turn, stead_kv_dump(turn, 'o'));
}

/* Answers when its timer rings. */
static int echo(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;
    int64_t delay = 0, number = stead_kv_number(turn, 'e', 0) + 1;

    (void)state;
    if (stead_get_i64(args, "delay", &delay) != 0)
        return stead_fail(turn, "bad_args", "delay is needed");
    stead_kv_set_number(turn, 'e', 0, number);
    int code = stead_reply_later(turn, &token);
    return code != 0 ? code
                     : stead_timer_after(turn, stead_printed(turn, "e%lld", (long long)number), delay, "give",
                                         stead_packed(turn, "s", token.text));
}

static int give(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_token token;

    (void)state;
    if (stead_get_text(args, NULL, token.text, sizeof token.text) != 0)
        stead_sim_broken("a timer of %s rings without its token", stead_self(turn));
    int code = stead_answer(turn, &token, (struct stead_slice){0});
    if (code == STEAD_EIO) /* it cannot be told whether it is owed: the turn fails */
        return code;
    if (code != 0 && code != STEAD_ENOTFOUND) /* its call has timed out */
        stead_sim_broken("%s cannot answer: %s", stead_self(turn), stead_error_name(code));
    return 0;
}

static const struct stead_op quizzer_ops[] = {{.name = "ask", .run = ask},
                                              {.name = "told", .run = told},
                                              {.name = "outcomes", .run = dump_told, .flags = STEAD_OP_READ_ONLY},
                                              {.name = "echo", .run = echo},
                                              {.name = "give", .run = give},
                                              {0}};
const struct stead_kind stead_quizzer_kind = {
    .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = "quizzer", .ops = quizzer_ops};
