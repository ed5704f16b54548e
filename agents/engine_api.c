/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_api: the rest of stead/orchestration.h: begins, one-way messages, determinism, memory, the end.
 *
 * What can be known to be wrong is known here, from the arguments alone: then the task has failed when it begins, and
 * nothing of it is in the history. Everything else is found by whoever carries the request out, and comes back as its
 * failure.
 */
#include "agents/engine_internal.h"
#include "agents/fault.h"
#include "agents/hash.h"
#include "agents/instance.h"

static const struct stead_slice nothing = {NULL, 0};
static const struct stead_task_options no_options = {.timeout_ms = 0};

/* ---- What names and values must be ---------------------------------------------------------- */

bool stead_engine_is_address(struct stead_slice address)
{
    const uint8_t *slash = address.size > 0 ? memchr(address.data, '/', address.size) : NULL;

    if (slash == NULL || !stead_kind_name_check(stead_bytes(address.data, (size_t)(slash - address.data))))
        return false;
    struct stead_slice key = {slash + 1, address.size - (size_t)(slash + 1 - address.data)};
    if (key.size == 0 || key.size > STEAD_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] < 0x20 || key.data[i] == 0x7f)
            return false;
    return true;
}

/* What begins with `stead.` is the engine's alone: holds and releases are asked for by stead_lock() and
 * stead_unlock(). */
static bool is_op_name(struct stead_slice name)
{
    static const char ours[] = "stead.";
    const size_t size = sizeof(ours) - 1;

    return name.size > 0 && name.size <= STEAD_OP_NAME_MAX && (name.size < size || memcmp(name.data, ours, size) != 0);
}

/* 0, or how the value is none. */
static int check_value(struct stead_slice value)
{
    if (value.size > STEAD_ENGINE_VALUE_MAX)
        return STEAD_ETOOLARGE;
    return stead_value_check(value) == 0 ? 0 : STEAD_EARGUMENT;
}

/* ---- Begins --------------------------------------------------------------------------------- */

/* One to be requested again when it fails? */
static void keep_policy(struct stead_engine_task *task, const struct stead_retry *retry)
{
    if (retry->attempts_max <= 1)
        return;
    task->again = stead_engine_alloc(sizeof(*task->again));
    task->again->retry = *retry;
}

static void write_option(struct stead_writer *extra, const char *name, int64_t ms)
{
    if (ms <= 0)
        return;
    stead_write_str(extra, name);
    stead_write_i64(extra, ms);
}

/* What whoever carries it out must know. */
static void write_options(struct stead_writer *extra, const struct stead_task_options *options, uint64_t fence)
{
    uint32_t members = (uint32_t)(options->timeout_ms > 0) + (uint32_t)(options->start_timeout_ms > 0) +
                       (uint32_t)(options->run_timeout_ms > 0) + (uint32_t)(options->heartbeat_timeout_ms > 0) +
                       (uint32_t)(options->version > 0) + (uint32_t)(fence > 0);

    if (members == 0)
        return;
    stead_write_map(extra, members);
    write_option(extra, "timeout", options->timeout_ms);
    write_option(extra, "start", options->start_timeout_ms);
    write_option(extra, "run", options->run_timeout_ms);
    write_option(extra, "heartbeat", options->heartbeat_timeout_ms);
    write_option(extra, "version", options->version);
    if (fence > 0) {
        stead_write_str(extra, "fence");
        stead_write_u64(extra, fence);
    }
}

/* A task that has failed: it is not allowed here, and its await says why. */
static struct stead_task refuse(struct stead_engine *engine, enum stead_engine_kind kind, const char *why)
{
    struct stead_engine_task *task = stead_engine_task_new(engine, kind);

    stead_engine_finish(engine, task, STEAD_ESTATE, nothing, stead_str(stead_error_name(STEAD_ESTATE)), stead_str(why));
    return (struct stead_task){.number = task->number};
}

static struct stead_task begin(struct stead_engine *engine, enum stead_engine_kind kind, struct stead_slice name,
                               struct stead_slice target, struct stead_slice value,
                               const struct stead_task_options *options, int refusal)
{
    struct stead_engine_task *task = stead_engine_task_new(engine, kind);
    const struct stead_task handle = {.number = task->number};
    uint8_t memory[128];
    struct stead_writer extra;

    if (refusal != 0) {
        stead_engine_finish(engine, task, refusal, nothing, nothing, nothing);
        return handle;
    }
    uint64_t fence = kind == STEAD_ENGINE_CALL ? stead_engine_fence(engine, (const char *)target.data) : 0;
    task->fenced = fence != 0;
    task->timeout_ms = options->timeout_ms;
    keep_policy(task, &options->retry);
    stead_writer_init_fixed(&extra, memory, sizeof(memory));
    write_options(&extra, options, fence);
    stead_engine_request(engine, task, name, target, value, stead_written(&extra));
    stead_writer_deinit(&extra);
    return handle;
}

struct stead_task stead_begin_activity(struct stead_orchestration *o, const char *name, struct stead_slice input,
                                       const struct stead_task_options *options)
{
    int refusal = stead_kind_name_check(stead_str(name)) ? check_value(input) : STEAD_EARGUMENT;
    struct stead_task_options given = options != NULL ? *options : no_options;

    given.version = 0;
    return begin(stead_engine_of(o), STEAD_ENGINE_ACTIVITY, stead_str(name), nothing, input, &given, refusal);
}

struct stead_task stead_begin_call(struct stead_orchestration *o, const char *address, const char *op,
                                   struct stead_slice args, const struct stead_task_options *options)
{
    struct stead_engine *engine = stead_engine_of(o);
    bool fine = stead_engine_is_address(stead_str(address)) && is_op_name(stead_str(op));
    int refusal = fine ? check_value(args) : STEAD_EARGUMENT;
    bool allowed = engine->lock_count == 0 || stead_engine_fence(engine, address) != 0;
    struct stead_task_options given = options != NULL ? *options : no_options;

    if (refusal == 0 && !allowed)
        return refuse(engine, STEAD_ENGINE_CALL,
                      "inside a section only its own agents may be called, and this is none of them");
    given.version = 0;
    given.start_timeout_ms = given.run_timeout_ms = given.heartbeat_timeout_ms = 0;
    return begin(engine, STEAD_ENGINE_CALL, stead_str(op), stead_str(address), args, &given, refusal);
}

/* An id for a child that was given none: `PARENT:EXECUTION:TASK`, or a hash of it when that is too long. */
static const char *derive_id(struct stead_orchestration *o)
{
    struct stead_engine *engine = stead_engine_of(o);
    const char *id = stead_printed_for(o, "%s:%u:%u", engine->instance, engine->execution, engine->numbers + 1);

    if (strlen(id) <= STEAD_INSTANCE_ID_MAX)
        return id;
    uint64_t hash = stead_hash64(stead_str(engine->instance));
    int size = 128;
    while (((uint8_t)engine->instance[size] & 0xc0) == 0x80) /* whole characters */
        size--;
    return stead_printed_for(o, "%.*s:%016llx:%u:%u", size, engine->instance, (unsigned long long)hash,
                             engine->execution, engine->numbers + 1);
}

struct stead_task stead_begin_child(struct stead_orchestration *o, const char *name, struct stead_slice input,
                                    const struct stead_task_options *options)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_task_options given = options != NULL ? *options : no_options;
    const char *id = given.instance_id != NULL ? given.instance_id : derive_id(o);
    bool fine = stead_kind_name_check(stead_str(name)) && stead_instance_id_check(stead_str(id)) == 0;
    int refusal = fine ? check_value(input) : STEAD_EARGUMENT;

    if (refusal == 0 && engine->lock_count > 0)
        return refuse(engine, STEAD_ENGINE_CHILD,
                      "inside a section no child may be begun: it could wait for the section's own agents");
    given.start_timeout_ms = given.run_timeout_ms = given.heartbeat_timeout_ms = 0;
    return begin(engine, STEAD_ENGINE_CHILD, stead_str(name), stead_str(id), input, &given, refusal);
}

struct stead_task stead_begin_timer(struct stead_orchestration *o, int64_t delay_ms)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_task *task = stead_engine_task_new(engine, STEAD_ENGINE_TIMER);
    const struct stead_task handle = {.number = task->number};
    uint8_t memory[32];
    struct stead_writer extra;

    delay_ms = delay_ms > 0 ? delay_ms : 0;
    task->due_ms = delay_ms > INT64_MAX - engine->now_ms ? INT64_MAX : engine->now_ms + delay_ms;
    stead_writer_init_fixed(&extra, memory, sizeof(memory));
    stead_pack(&extra, "{s:l}", "due", task->due_ms);
    stead_engine_request(engine, task, nothing, nothing, nothing, stead_written(&extra));
    stead_writer_deinit(&extra);
    return handle;
}

/* ---- Begin and await ------------------------------------------------------------------------ */

int stead_await_activity(struct stead_orchestration *o, const char *name, struct stead_slice input,
                         struct stead_slice *ret_value)
{
    return stead_await(o, stead_begin_activity(o, name, input, NULL), ret_value);
}

int stead_await_child(struct stead_orchestration *o, const char *name, struct stead_slice input,
                      struct stead_slice *ret_value)
{
    return stead_await(o, stead_begin_child(o, name, input, NULL), ret_value);
}

int stead_await_call(struct stead_orchestration *o, const char *address, const char *op, struct stead_slice args,
                     struct stead_slice *ret_value)
{
    return stead_await(o, stead_begin_call(o, address, op, args, NULL), ret_value);
}

int stead_await_timer(struct stead_orchestration *o, int64_t delay_ms)
{
    return stead_await(o, stead_begin_timer(o, delay_ms), NULL);
}

int stead_await_event(struct stead_orchestration *o, const char *name, int64_t timeout_ms,
                      struct stead_slice *ret_value)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_task event = stead_begin_event(o, name);
    uint32_t first = 0;

    if (timeout_ms < 0 || stead_is_done(o, event))
        return stead_await(o, event, ret_value);
    struct stead_task both[2] = {event, stead_begin_timer(o, timeout_ms)};
    int code = stead_await_any(o, both, 2, &first);
    stead_task_cancel(o, both[1]);
    if (code == 0 && stead_is_done(o, event)) /* also when both came in one episode: nothing that came is lost */
        return stead_await(o, event, ret_value);
    stead_task_cancel(o, event);
    engine->read_code = engine->why_code = STEAD_ETIMEOUT;
    engine->why = "the event did not come in time";
    return STEAD_ETIMEOUT;
}

const char *stead_await_error_name(const struct stead_orchestration *o)
{
    const struct stead_engine *engine = stead_engine_of(o);

    if (engine->read_code == 0)
        return "";
    return engine->read_name != NULL ? engine->read_name : stead_error_name(engine->read_code);
}

const char *stead_await_error_sentence(const struct stead_orchestration *o)
{
    const struct stead_engine *engine = stead_engine_of(o);

    if (engine->read_code == 0)
        return "";
    if (engine->read_sentence == NULL && engine->why_code == engine->read_code)
        return engine->why;
    return engine->read_sentence != NULL ? engine->read_sentence : stead_error_sentence(engine->read_code);
}

/* ---- One way -------------------------------------------------------------------------------- */

static int send(struct stead_engine *engine, const char *name, const char *target, struct stead_slice value)
{
    const struct stead_history_event event = {
        .type = STEAD_HISTORY_EVENT_SENT, .name = stead_str(name), .target = stead_str(target), .value = value};

    (void)stead_engine_decide(engine, &event);
    return 0;
}

int stead_signal_agent(struct stead_orchestration *o, const char *address, const char *op, struct stead_slice args)
{
    struct stead_engine *engine = stead_engine_of(o);

    if (!stead_engine_is_address(stead_str(address)))
        return STEAD_EADDRESS;
    if (!is_op_name(stead_str(op)))
        return STEAD_EARGUMENT;
    if (stead_engine_fence(engine, address) != 0)
        return stead_engine_refuse(engine,
                                   "an agent of the section is called: a signal would wait for the section's end");
    int code = check_value(args);
    return code != 0 ? code : send(engine, op, address, args);
}

int stead_send_event(struct stead_orchestration *o, const char *instance_id, const char *name, struct stead_slice value)
{
    if (stead_instance_id_check(stead_str(instance_id)) != 0 || *name == '\0' || strlen(name) > STEAD_EVENT_NAME_MAX)
        return STEAD_EARGUMENT;
    int code = check_value(value);
    return code != 0 ? code : send(stead_engine_of(o), name, instance_id, value);
}

/* ---- Determinism ---------------------------------------------------------------------------- */

int64_t stead_now(const struct stead_orchestration *o)
{
    return stead_engine_of(o)->now_ms;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t stead_random_of(struct stead_orchestration *o)
{
    struct stead_engine *engine = stead_engine_of(o);
    uint64_t hash = stead_hash64(stead_str(engine->instance));

    hash = mix(hash + engine->execution * 0x9e3779b97f4a7c15u);
    hash = mix(hash + engine->episode * 0x9e3779b97f4a7c15u);
    hash = mix(hash + (uint64_t)engine->now_ms); /* two lives of one id draw differently */
    return mix(hash + ++engine->draws * 0x9e3779b97f4a7c15u);
}

void stead_uuid(struct stead_orchestration *o, char ret_text[STEAD_UUID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t high = stead_random_of(o), low = stead_random_of(o);
    uint32_t at = 0;

    high = (high & ~0xf000ull) | 0x4000u;
    low = (low & ~(3ull << 62)) | (2ull << 62);
    for (uint32_t i = 0; i < 32; i++) {
        uint64_t half = i < 16 ? high : low;
        if (i == 8 || i == 12 || i == 16 || i == 20)
            ret_text[at++] = '-';
        ret_text[at++] = digits[(half >> (60 - 4 * (i % 16))) & 15];
    }
    ret_text[at] = '\0';
}

/* A planted fault: not what was recorded. */
static struct stead_slice draw_again(struct stead_engine *engine, stead_side_effect_fn *effect, void *context)
{
    struct stead_writer writer;

    stead_writer_init(&writer);
    effect(context, &writer);
    struct stead_slice value = stead_engine_arena_copy(&engine->transient, stead_written(&writer));
    stead_writer_deinit(&writer);
    return value;
}

int stead_side_effect(struct stead_orchestration *o, stead_side_effect_fn *effect, void *context,
                      struct stead_slice *ret_value)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_writer writer;

    if (engine->replaying) { /* what was recorded comes after all that was decided before it */
        stead_engine_stop(engine, STEAD_ENGINE_WAITS_VALUE);
        if (engine->effect_code == 0)
            *ret_value = engine->effect;
        if (STEAD_AGENT_FAULT(side_effect_again))
            *ret_value = draw_again(engine, effect, context);
        return engine->effect_code;
    }
    stead_writer_init(&writer);
    effect(context, &writer);
    struct stead_slice value = stead_written(&writer);
    const int code = check_value(value);
    const struct stead_history_event event = {
        .type = STEAD_HISTORY_SIDE_EFFECT, .value = code == 0 ? value : nothing, .code = code};
    (void)stead_engine_decide(engine, &event);
    if (code == 0)
        *ret_value = stead_engine_arena_copy(&engine->transient, value);
    stead_writer_deinit(&writer);
    return code;
}

bool stead_is_replaying(const struct stead_orchestration *o)
{
    return stead_engine_of(o)->replaying;
}

void stead_say(struct stead_orchestration *o, const char *format, ...)
{
    struct stead_engine *engine = stead_engine_of(o);
    char line[STEAD_ENGINE_TEXT_MAX];
    va_list args;

    if (engine->replaying || engine->say == NULL)
        return;
    va_start(args, format);
    (void)stead_print_v(line, sizeof(line), format, args);
    va_end(args);
    engine->say(engine->context, line);
}

/* ---- About itself --------------------------------------------------------------------------- */

const char *stead_instance_id(const struct stead_orchestration *o)
{
    return stead_engine_of(o)->instance;
}

const char *stead_parent_id(const struct stead_orchestration *o)
{
    return stead_engine_of(o)->parent;
}

uint32_t stead_version_of(const struct stead_orchestration *o)
{
    return stead_engine_of(o)->orchestrator->version;
}

int stead_set_status(struct stead_orchestration *o, struct stead_slice value)
{
    const struct stead_history_event event = {.type = STEAD_HISTORY_STATUS_SET, .value = value};

    if (value.size > STEAD_ENGINE_STATUS_MAX)
        return STEAD_ETOOLARGE;
    if (stead_value_check(value) != 0)
        return STEAD_EARGUMENT;
    (void)stead_engine_decide(stead_engine_of(o), &event);
    return 0;
}

/* ---- Memory --------------------------------------------------------------------------------- */

struct stead_slice stead_keep(struct stead_orchestration *o, struct stead_slice value)
{
    return stead_engine_arena_copy(&stead_engine_of(o)->kept, value);
}

void *stead_keep_bytes(struct stead_orchestration *o, size_t size)
{
    return memset(stead_engine_arena_take(&stead_engine_of(o)->kept, size), 0, size);
}

struct stead_slice stead_packed_for(struct stead_orchestration *o, const char *format, ...)
{
    uint8_t memory[256];
    struct stead_writer writer;
    va_list args;

    stead_writer_init_fixed(&writer, memory, sizeof(memory));
    va_start(args, format);
    stead_pack_v(&writer, format, args);
    va_end(args);
    struct stead_slice copy = stead_engine_arena_copy(&stead_engine_of(o)->transient, stead_written(&writer));
    stead_writer_deinit(&writer);
    return copy;
}

const char *stead_printed_for(struct stead_orchestration *o, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    size_t size = stead_print_v(NULL, 0, format, args) + 1;
    va_end(args);
    char *text = stead_engine_arena_take(&stead_engine_of(o)->transient, size);
    va_start(args, format);
    (void)stead_print_v(text, size, format, args);
    va_end(args);
    return text;
}

/* ---- The end -------------------------------------------------------------------------------- */

int stead_complete(struct stead_orchestration *o, struct stead_slice value)
{
    struct stead_engine *engine = stead_engine_of(o);

    if (value.size > STEAD_ENGINE_OUTPUT_MAX)
        return STEAD_ETOOLARGE;
    if (stead_value_check(value) != 0)
        return STEAD_EARGUMENT;
    engine->output = stead_keep(o, value);
    return 0;
}

int stead_fail_with(struct stead_orchestration *o, const char *name, const char *format, ...)
{
    struct stead_engine *engine = stead_engine_of(o);
    struct stead_engine_said *said = stead_engine_say_why(engine);
    size_t size = strlen(name);
    va_list args;

    size = size < sizeof(said->failure_name) ? size : sizeof(said->failure_name) - 1;
    memmove(said->failure_name, name, size);
    said->failure_name[size] = '\0';
    va_start(args, format);
    (void)stead_print_v(said->failure_sentence, sizeof(said->failure_sentence), format, args);
    va_end(args);
    engine->failure_set = true;
    return STEAD_EFAILED;
}

int stead_continue_as_new(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_engine *engine = stead_engine_of(o);

    if (input.size > STEAD_ENGINE_OUTPUT_MAX)
        return STEAD_ETOOLARGE;
    if (stead_value_check(input) != 0)
        return STEAD_EARGUMENT;
    engine->again = stead_keep(o, input);
    engine->again_set = true;
    return STEAD_ENGINE_AGAIN;
}
