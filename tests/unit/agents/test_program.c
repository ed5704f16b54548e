/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine under random programs (tests/sim/program.h), with nothing of stead around it: a small world of its own
 * answers what the engine decides, in random order. Each seed runs three times: resident, replayed at every episode,
 * and with its fibers taken away at random. All three must leave the same histories, byte for byte, and the outcome
 * that the reference interpreter computes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agents/engine.h"
#include "runtime/base.h"
#include "sim/program.h"

#define INSTANCES_MAX 256u
#define PARCELS_MAX 16384u
#define NUMBERS_MAX 4096u
#define SEEDS 2000u
#define STEPS_MAX 20000u
#define REWINDS_MAX 2u
#define START_MS 1700000000000

enum mode { RESIDENT, REPLAYED, EVICTED, MODES };

/* Something on its way to an instance: one event. */
struct parcel {
    uint32_t to, execution;
    int64_t due_ms; /* not before */
    uint64_t ref;
    bool gone;
    uint8_t *bytes; /* the event, encoded */
    size_t size;
};

struct instance {
    char id[64];
    uint32_t parent; /* index; UINT32_MAX: none */
    uint64_t parent_ref;
    uint32_t parent_execution, execution;
    bool over, completed;
    uint32_t rewind_count;
    uint64_t rewinds[REWINDS_MAX][2]; /* from, at */
    uint64_t rewind_from;             /* failed: where a rewind begins */
    uint64_t last;                    /* event of the history */
    struct stead_engine *engine;      /* NULL: unloaded */
    struct stead_writer history;      /* [id time event]..., of this execution */
    uint64_t value;                   /* output */
    char error[64];                   /* "" for none */
};

struct vault {
    uint64_t value, fence, done;
    uint32_t holder; /* 1 + instance; 0: free */
    uint32_t waiting_count;
    struct {
        uint32_t instance, execution;
        uint64_t ref;
    } waiting[INSTANCES_MAX];
};

/* A number by its id. */
struct number {
    uint64_t id, value;
};

struct world {
    enum mode mode;
    struct stead_rng rng;      /* of what happens: the same in all modes */
    struct stead_rng troubles; /* of evictions */
    int64_t now_ms;
    struct stead_fibers *fibers;
    uint32_t instance_count, parcel_count, effect_count, run_count, known_count;
    struct instance instances[INSTANCES_MAX];
    struct parcel parcels[PARCELS_MAX];
    struct number effects[NUMBERS_MAX], runs[NUMBERS_MAX], known[NUMBERS_MAX];
    struct vault vaults[STEAD_PROGRAM_VAULTS];
    struct stead_writer all; /* every history that ended, in order */
};

static struct world *now_running; /* one at a time */
static uint64_t seed_running;
static uint32_t evictions; /* episodes that were repeated for it */

static void broken(const char *instance, const char *what)
{
    fprintf(stderr, "seed %llu, mode %d, instance %s: %s\n", (unsigned long long)seed_running, (int)now_running->mode,
            instance, what);
    fail();
}

static bool differs(const char *instance)
{
    (void)instance;
    return false;
}

static void entered(const char *instance)
{
    (void)instance;
}

static uint64_t chance(void)
{
    return stead_rng_next(&now_running->rng);
}

static uint64_t *number_of(struct number *numbers, uint32_t *count, uint64_t id)
{
    for (uint32_t i = 0; i < *count; i++)
        if (numbers[i].id == id)
            return &numbers[i].value;
    assert_true(*count < NUMBERS_MAX);
    numbers[*count] = (struct number){.id = id};
    return &numbers[(*count)++].value;
}

/* ---- Parcels ------------------------------------------------------------------------------------- */

static void post(struct world *world, uint32_t to, uint32_t execution, int64_t delay_ms,
                 const struct stead_history_event *event)
{
    struct parcel *parcel = &world->parcels[world->parcel_count++];
    struct stead_writer writer;

    assert_true(world->parcel_count < PARCELS_MAX);
    stead_writer_init(&writer);
    stead_history_write(&writer, event);
    *parcel = (struct parcel){.to = to,
                              .execution = execution,
                              .due_ms = world->now_ms + delay_ms,
                              .ref = event->ref,
                              .bytes = writer.data,
                              .size = writer.size};
}

static void post_value(struct world *world, uint32_t to, uint64_t ref, uint8_t type, uint64_t value)
{
    struct stead_history_event event = {.type = type, .ref = ref};
    uint8_t memory[16];
    struct stead_writer writer;

    stead_writer_init_fixed(&writer, memory, sizeof memory);
    stead_write_u64(&writer, value);
    event.value = stead_written(&writer);
    post(world, to, world->instances[to].execution, (int64_t)stead_rng_below(&world->rng, 30), &event);
}

static void post_failure(struct world *world, uint32_t to, uint64_t ref, uint8_t type, const char *name)
{
    const struct stead_history_event event = {.type = type,
                                              .ref = ref,
                                              .code = STEAD_EFAILED,
                                              .error_name = stead_str(name),
                                              .error_sentence = stead_str("it is broken")};

    post(world, to, world->instances[to].execution, (int64_t)stead_rng_below(&world->rng, 30), &event);
}

/* ---- The world's answers ------------------------------------------------------------------------------- */

static bool is_name(struct stead_slice name, const char *text)
{
    return stead_slice_equal(name, stead_str(text));
}

static uint64_t argument(struct stead_slice args, const char *field)
{
    uint64_t value = 0;

    assert_int_equal(stead_get_u64(args, field, &value), 0);
    return value;
}

static void run_activity(struct world *world, uint32_t from, const struct stead_history_event *event)
{
    uint64_t id = argument(event->value, "id"), *runs = number_of(world->runs, &world->run_count, id);
    char error[64];

    ++*runs;
    assert_int_equal(stead_get_text(event->value, "error", error, sizeof error), 0);
    if (is_name(event->name, STEAD_PROGRAM_BROKEN) ||
        (is_name(event->name, STEAD_PROGRAM_FLAKY) && *runs < argument(event->value, "fails")))
        post_failure(world, from, event->id, STEAD_HISTORY_TASK_FAILED, error);
    else if (is_name(event->name, STEAD_PROGRAM_DICE))
        post_value(world, from, event->id, STEAD_HISTORY_TASK_COMPLETED, chance() >> 1);
    else
        post_value(world, from, event->id, STEAD_HISTORY_TASK_COMPLETED,
                   stead_program_result(id, argument(event->value, "x")));
}

static void grant(struct world *world, struct vault *vault)
{
    while (vault->holder == 0 && vault->waiting_count > 0) {
        uint32_t to = vault->waiting[0].instance;
        uint64_t ref = vault->waiting[0].ref;
        bool stale = world->instances[to].over || world->instances[to].execution != vault->waiting[0].execution;
        memmove(&vault->waiting[0], &vault->waiting[1], --vault->waiting_count * sizeof vault->waiting[0]);
        if (stale)
            continue;
        vault->holder = to + 1;
        post_value(world, to, ref, STEAD_HISTORY_TASK_COMPLETED, ++vault->fence);
    }
}

static void release_all(struct world *world, uint32_t instance)
{
    for (uint32_t v = 0; v < STEAD_PROGRAM_VAULTS; v++)
        if (world->vaults[v].holder == instance + 1) {
            world->vaults[v].holder = 0;
            grant(world, &world->vaults[v]);
        }
}

static void call_vault(struct world *world, uint32_t from, const struct stead_history_event *event, struct vault *vault)
{
    if (is_name(event->name, STEAD_OP_HOLD)) {
        vault->waiting[vault->waiting_count].instance = from;
        vault->waiting[vault->waiting_count].execution = world->instances[from].execution;
        vault->waiting[vault->waiting_count++].ref = event->id;
        grant(world, vault);
        return;
    }
    assert_int_equal(vault->holder, from + 1);
    assert_true(argument(event->value, "fence") == vault->fence);
    if (is_name(event->name, "put")) {
        assert_true(vault->done < vault->fence);
        vault->done = vault->fence;
        vault->value = argument(event->value, "value");
        ++*number_of(world->effects, &world->effect_count, argument(event->value, "id"));
    }
    post_value(world, from, event->id, STEAD_HISTORY_TASK_COMPLETED, vault->value);
}

static void call_tally(struct world *world, uint32_t from, const struct stead_history_event *event)
{
    uint64_t id = argument(event->value, "id");
    char error[64];

    if (is_name(event->name, "refuse")) {
        assert_int_equal(stead_get_text(event->value, "error", error, sizeof error), 0);
        post_failure(world, from, event->id, STEAD_HISTORY_TASK_FAILED, error);
    } else if (is_name(event->name, "remember")) {
        uint64_t *known = number_of(world->known, &world->known_count, id), value = argument(event->value, "value");
        if (*known != 0 && *known != value)
            broken(world->instances[from].id, "a number that was drawn once has two values");
        *known = value;
        post_value(world, from, event->id, STEAD_HISTORY_TASK_COMPLETED, id);
    } else {
        ++*number_of(world->effects, &world->effect_count, id);
        post_value(world, from, event->id, STEAD_HISTORY_TASK_COMPLETED,
                   stead_program_result(id, argument(event->value, "x")));
    }
}

static struct vault *vault_at(struct world *world, struct stead_slice address)
{
    const char *prefix = STEAD_PROGRAM_VAULT "/";

    if (address.size < strlen(prefix) || memcmp(address.data, prefix, strlen(prefix)) != 0)
        return NULL;
    return &world->vaults[address.data[address.size - 1] - '0'];
}

/* ---- Instances ---------------------------------------------------------------------------------------------- */

static uint32_t add_instance(struct world *world, struct stead_slice id, const char *parent, struct stead_slice input)
{
    struct instance *instance = &world->instances[world->instance_count];
    struct stead_history_event started = {.type = STEAD_HISTORY_EXECUTION_STARTED,
                                          .name = stead_str(STEAD_PROGRAM_NAME),
                                          .target = stead_str(parent),
                                          .value = input};

    assert_true(world->instance_count < INSTANCES_MAX && id.size < sizeof instance->id);
    *instance = (struct instance){.parent = UINT32_MAX, .execution = 1};
    memcpy(instance->id, id.data, id.size);
    stead_writer_init(&instance->history);
    post(world, world->instance_count, 1, 0, &started);
    return world->instance_count++;
}

static void rewind_instance(struct world *world, uint32_t at);
static void answer_parent(struct world *world, const struct instance *instance);

/* The parent was rewound: what failed is too, what goes on is waited for, what has completed says so again. */
static bool resume_child(struct world *world, uint32_t from, const struct stead_history_event *event)
{
    uint64_t resumes = 0;

    if (stead_get_u64(event->extra, "resumes", &resumes) != 0)
        return false;
    for (uint32_t at = 0; at < world->instance_count; at++) {
        struct instance *instance = &world->instances[at];
        if (instance->parent != from || instance->parent_ref != resumes ||
            instance->parent_execution != world->instances[from].execution)
            continue;
        bool failed = instance->error[0] != 0 && instance->rewind_from != 0 && instance->rewind_count < REWINDS_MAX;
        bool completed = instance->over && instance->completed;
        if (instance->over && !failed && !completed)
            return false;
        instance->parent_ref = event->id;
        if (completed)
            answer_parent(world, instance);
        else if (instance->over)
            rewind_instance(world, at);
        return true;
    }
    return false;
}

static void add_child(struct world *world, uint32_t from, const struct stead_history_event *event)
{
    if (resume_child(world, from, event))
        return;
    uint32_t to = add_instance(world, event->target, world->instances[from].id, event->value);

    world->instances[to].parent = from;
    world->instances[to].parent_ref = event->id;
    world->instances[to].parent_execution = world->instances[from].execution;
}

static void stop_children(struct world *world, uint32_t of, uint64_t ref);

static void end_instance(struct world *world, uint32_t at)
{
    struct instance *instance = &world->instances[at];

    instance->over = true;
    stead_engine_destroy(&instance->engine);
    release_all(world, at);
    stop_children(world, at, 0);
    for (uint32_t p = 0; p < world->parcel_count; p++)
        if (world->parcels[p].to == at)
            world->parcels[p].gone = true;
}

/* The child of this request, or all that run for an execution that ended (0). */
static void stop_children(struct world *world, uint32_t of, uint64_t ref)
{
    for (uint32_t i = 0; i < world->instance_count; i++)
        if (world->instances[i].parent == of && !world->instances[i].over &&
            (ref == 0 || (world->instances[i].parent_ref == ref &&
                          world->instances[i].parent_execution == world->instances[of].execution)))
            end_instance(world, i);
}

static void answer_parent(struct world *world, const struct instance *instance)
{
    if (instance->parent == UINT32_MAX || world->instances[instance->parent].over ||
        world->instances[instance->parent].execution != instance->parent_execution)
        return;
    if (instance->error[0] != 0)
        post_failure(world, instance->parent, instance->parent_ref, STEAD_HISTORY_CHILD_FAILED, instance->error);
    else
        post_value(world, instance->parent, instance->parent_ref, STEAD_HISTORY_CHILD_COMPLETED, instance->value);
}

static void send_event(struct world *world, const struct stead_history_event *event)
{
    const struct stead_history_event raised = {
        .type = STEAD_HISTORY_EVENT_RAISED, .name = event->name, .value = event->value};

    if (memchr(event->target.data, '/', event->target.size) != NULL) { /* a signal */
        ++*number_of(world->effects, &world->effect_count, argument(event->value, "id"));
        return;
    }
    for (uint32_t i = 0; i < world->instance_count; i++)
        if (!world->instances[i].over && is_name(event->target, world->instances[i].id))
            post(world, i, 0, (int64_t)stead_rng_below(&world->rng, 30), &raised);
}

static void cancel(struct world *world, uint32_t from, uint64_t ref)
{
    for (uint32_t p = 0; p < world->parcel_count; p++) {
        struct parcel *parcel = &world->parcels[p];
        if (parcel->to == from && parcel->ref == ref && parcel->execution == world->instances[from].execution)
            parcel->gone = parcel->due_ms > world->now_ms + 1000 || stead_rng_below(&world->rng, 2) == 0;
    }
    stop_children(world, from, ref);
}

static void carry_out(struct world *world, uint32_t from, const struct stead_history_event *event)
{
    const struct stead_history_event fired = {.type = STEAD_HISTORY_TIMER_FIRED, .ref = event->id};
    struct instance *instance = &world->instances[from];
    struct vault *vault = vault_at(world, event->target);
    int64_t due_ms = 0;

    switch (event->type) {
    case STEAD_HISTORY_TASK_SCHEDULED:
        if (event->target.size == 0)
            run_activity(world, from, event);
        else if (vault != NULL)
            call_vault(world, from, event, vault);
        else
            call_tally(world, from, event);
        break;
    case STEAD_HISTORY_CHILD_CREATED:
        add_child(world, from, event);
        break;
    case STEAD_HISTORY_TIMER_CREATED:
        assert_int_equal(stead_get_i64(event->extra, "due", &due_ms), 0);
        post(world, from, instance->execution, due_ms - world->now_ms, &fired);
        break;
    case STEAD_HISTORY_EVENT_SENT:
        send_event(world, event);
        break;
    case STEAD_HISTORY_TASK_CANCELED:
        cancel(world, from, event->ref);
        break;
    case STEAD_HISTORY_LOCKS_RELEASED:
        release_all(world, from);
        break;
    case STEAD_HISTORY_EXECUTION_COMPLETED:
        assert_int_equal(stead_get_u64(event->value, NULL, &instance->value), 0);
        break;
    case STEAD_HISTORY_EXECUTION_FAILED:
        snprintf(instance->error, sizeof instance->error, "%.*s", (int)event->error_name.size,
                 (const char *)event->error_name.data);
        if (strcmp(instance->error, "nondeterminism") == 0)
            broken(instance->id, "fails by non-determinism");
        break;
    default:
        break;
    }
}

/* ---- Episodes -------------------------------------------------------------------------------------------------- */

/* The events of one run, as they are to be stored. */
struct episode {
    struct stead_writer bytes; /* [id, time, event]... */
    uint32_t count;
};

static void take_event(void *context, const struct stead_history_event *event)
{
    struct episode *episode = context;

    stead_write_u64(&episode->bytes, event->id);
    stead_write_i64(&episode->bytes, event->time_ms);
    stead_history_write(&episode->bytes, event);
    episode->count++;
}

static bool read_event(struct stead_reader *reader, struct stead_history_event *event)
{
    uint64_t id;
    int64_t time_ms;

    if (reader->at == reader->end)
        return false;
    assert_int_equal(stead_read_u64(reader, &id), 0);
    assert_int_equal(stead_read_i64(reader, &time_ms), 0);
    assert_int_equal(stead_history_read(reader, event), 0);
    event->id = id;
    event->time_ms = time_ms;
    return true;
}

static void load(struct world *world, struct instance *instance)
{
    const struct stead_engine_options options = {.orchestrator = &stead_program_orchestrator,
                                                 .instance = instance->id,
                                                 .execution = instance->execution,
                                                 .fibers = world->fibers};
    struct stead_reader reader = stead_reader(stead_written(&instance->history));
    struct stead_history_event event;

    if (instance->engine != NULL)
        return;
    instance->engine = stead_engine_create(&options);
    for (uint32_t i = 0; i < instance->rewind_count; i++)
        stead_engine_expect_rewind(instance->engine, instance->rewinds[i][0], instance->rewinds[i][1]);
    while (read_event(&reader, &event)) {
        int code = stead_engine_replay(instance->engine, &event);
        uint64_t at = 0;
        if (code != 0)
            broken(instance->id,
                   code == STEAD_ECONFLICT ? stead_engine_difference(instance->engine, &at) : stead_error_name(code));
    }
}

static void stay(void *context)
{
    struct stead_fiber **self = context;

    stead_fiber_stop(*self);
}

static void evicted(void *context)
{
    *(struct stead_fiber **)context = NULL;
}

/* Takes the stacks of all others: as many new ones as the pool has. */
static void evict_all(struct world *world)
{
    struct stead_fiber *fibers[2] = {NULL, NULL};

    for (uint32_t i = 0; i < 2; i++) {
        fibers[i] = stead_fiber_create(world->fibers, 0, stay, evicted, &fibers[i]);
        assert_non_null(fibers[i]);
        assert_true(stead_fiber_resume(fibers[i]));
    }
    for (uint32_t i = 0; i < 2; i++)
        stead_fiber_destroy(&fibers[i]);
}

/* Runs one episode over some parcels, again and again until it keeps its fiber. */
static void run_engine(struct world *world, struct instance *instance, const uint32_t *chosen, uint32_t count,
                       struct episode *ret_episode)
{
    for (bool again = true; again;) {
        load(world, instance);
        stead_writer_reset(&ret_episode->bytes);
        ret_episode->count = 0;
        stead_engine_begin(instance->engine, world->now_ms);
        for (uint32_t i = 0; i < count; i++) {
            const struct parcel *parcel = &world->parcels[chosen[i]];
            struct stead_reader reader = stead_reader(stead_bytes(parcel->bytes, parcel->size));
            struct stead_history_event event = {0};
            assert_int_equal(stead_history_read(&reader, &event), 0);
            stead_engine_input(instance->engine, &event);
        }
        if (world->mode == EVICTED && stead_rng_below(&world->troubles, 3) == 0)
            evict_all(world);
        int code = stead_engine_run(instance->engine, take_event, ret_episode);
        assert_true(code == 0 || code == STEAD_EBUSY);
        assert_true(code == 0 || world->mode == EVICTED);
        again = code != 0;
        evictions += again;
        if (again)
            assert_int_equal(ret_episode->count, 0);
        if (again || world->mode == REPLAYED) {
            enum stead_instance_status status = stead_engine_status(instance->engine);
            if (again || (status != STEAD_INSTANCE_CONTINUED_AS_NEW && !stead_instance_is_over(status)))
                stead_engine_destroy(&instance->engine);
        }
    }
}

struct carried {
    struct world *world;
    uint32_t to;
};

static void carry_event(void *context, const struct stead_history_event *event)
{
    struct carried *carried = context;

    post(carried->world, carried->to, 0, 0, event);
}

static void begin_anew(struct world *world, uint32_t at, struct stead_slice input)
{
    struct instance *instance = &world->instances[at];
    struct carried carried = {world, at};
    struct stead_history_event started = {
        .type = STEAD_HISTORY_EXECUTION_STARTED,
        .name = stead_str(STEAD_PROGRAM_NAME),
        .target = stead_str(instance->parent == UINT32_MAX ? "" : world->instances[instance->parent].id),
        .value = input};

    for (uint32_t p = 0; p < world->parcel_count; p++)
        if (world->parcels[p].to == at && world->parcels[p].execution != 0)
            world->parcels[p].gone = true;
    release_all(world, at);
    stop_children(world, at, 0);
    instance->execution++;
    post(world, at, instance->execution, 0, &started);
    stead_engine_untaken(instance->engine, carry_event, &carried);
    stead_engine_destroy(&instance->engine);
    stead_write_raw(&world->all, instance->history.data, instance->history.size);
    stead_writer_reset(&instance->history);
    instance->last = 0;
}

/* One that has failed tries again what failed: effects may be there once more now, and children draw anew. */
static void rewind_instance(struct world *world, uint32_t at)
{
    struct instance *it = &world->instances[at];
    struct stead_history_event rewound = {.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = it->rewind_from};

    assert_true(rewound.ref > 0 && rewound.ref < it->last);
    it->rewinds[it->rewind_count][0] = rewound.ref;
    it->rewinds[it->rewind_count++][1] = it->last + 2;
    it->error[0] = 0;
    it->over = false;
    stead_engine_destroy(&it->engine);
    world->known_count = 0;
    post(world, at, 0, 0, &rewound);
}

static void step_instance(struct world *world, uint32_t at, const uint32_t *chosen, uint32_t count)
{
    struct instance *instance = &world->instances[at];
    struct episode episode;
    struct stead_history_event event;
    struct stead_writer next;

    stead_writer_init(&episode.bytes);
    stead_writer_init(&next);
    run_engine(world, instance, chosen, count, &episode);
    stead_write_raw(&instance->history, episode.bytes.data, episode.bytes.size);
    for (uint32_t i = 0; i < count; i++)
        world->parcels[chosen[i]].gone = true;
    struct stead_reader reader = stead_reader(stead_written(&episode.bytes));
    while (read_event(&reader, &event)) {
        instance->last = event.id;
        if (event.type == STEAD_HISTORY_CONTINUE_AS_NEW)
            stead_write_raw(&next, event.value.data, event.value.size);
        else
            carry_out(world, at, &event);
    }
    if (next.size != 0) {
        begin_anew(world, at, stead_written(&next));
    } else if (at == 0 && instance->error[0] != 0 && instance->rewind_count < REWINDS_MAX &&
               stead_rng_below(&world->rng, 2) == 0) {
        instance->rewind_from = stead_engine_rewind_point(instance->engine);
        rewind_instance(world, at);
    } else if (stead_instance_is_over(instance->engine == NULL ? STEAD_INSTANCE_RUNNING
                                                               : stead_engine_status(instance->engine))) {
        stead_write_raw(&world->all, instance->history.data, instance->history.size);
        if (instance->engine != NULL) {
            instance->rewind_from = stead_engine_rewind_point(instance->engine);
            instance->completed = stead_engine_status(instance->engine) == STEAD_INSTANCE_COMPLETED;
        }
        end_instance(world, at);
        answer_parent(world, instance);
    }
    stead_writer_deinit(&next);
    stead_writer_deinit(&episode.bytes);
}

/* Some of what is due for one instance, in random order. False: nothing is on its way. */
static bool step_world(struct world *world)
{
    uint32_t chosen[16], count = 0, to = UINT32_MAX, start;
    int64_t first_ms = INT64_MAX;

    for (uint32_t p = 0; p < world->parcel_count; p++)
        if (!world->parcels[p].gone && world->parcels[p].due_ms < first_ms)
            first_ms = world->parcels[p].due_ms;
    if (first_ms == INT64_MAX)
        return false;
    world->now_ms = first_ms > world->now_ms ? first_ms : world->now_ms;
    start = (uint32_t)stead_rng_below(&world->rng, world->parcel_count);
    for (uint32_t i = 0; i < world->parcel_count && count < 16; i++) {
        const struct parcel *parcel = &world->parcels[(start + i) % world->parcel_count];
        bool begins = parcel->size > 1 && parcel->bytes[1] == STEAD_HISTORY_EXECUTION_STARTED;
        if (parcel->gone || parcel->due_ms > world->now_ms || (to != UINT32_MAX && parcel->to != to))
            continue;
        if (world->instances[parcel->to].history.size == 0 && count == 0 && !begins)
            continue;
        to = parcel->to;
        chosen[count++] = (start + i) % world->parcel_count;
        if (stead_rng_below(&world->rng, 3) == 0)
            break;
    }
    if (to != UINT32_MAX)
        step_instance(world, to, chosen, count);
    return true;
}

/* The root stands still for a while, now and then. */
static void plan_suspension(struct world *world)
{
    const struct stead_history_event suspended = {.type = STEAD_HISTORY_EXECUTION_SUSPENDED},
                                     resumed = {.type = STEAD_HISTORY_EXECUTION_RESUMED};
    int64_t at_ms = 1 + (int64_t)stead_rng_below(&world->rng, 100);

    if (stead_rng_below(&world->rng, 3) != 0)
        return;
    post(world, 0, 0, at_ms, &suspended);
    post(world, 0, 0, at_ms + 1 + (int64_t)stead_rng_below(&world->rng, 100), &resumed);
}

/* ---- A run ------------------------------------------------------------------------------------------------------- */

static void raise_event(void *context, const char *name, uint64_t value)
{
    struct world *world = context;
    struct stead_writer writer;

    stead_writer_init(&writer);
    stead_write_u64(&writer, value);
    const struct stead_history_event raised = {
        .type = STEAD_HISTORY_EVENT_RAISED, .name = stead_str(name), .value = stead_written(&writer)};
    post(world, 0, 0, (int64_t)stead_rng_below(&world->rng, 200), &raised);
    stead_writer_deinit(&writer);
}

static struct world *run_seed(uint64_t seed, enum mode mode, const struct stead_program *program,
                              const struct stead_program_input *input)
{
    struct world *world = stead_alloc_zero(sizeof *world);
    struct stead_writer writer;
    uint32_t steps = 0;

    now_running = world;
    world->mode = mode;
    world->now_ms = START_MS;
    world->fibers = stead_fibers_create(mode == EVICTED ? 2 : 0);
    stead_rng_seed(&world->rng, seed);
    stead_rng_seed(&world->troubles, seed + 1);
    stead_writer_init(&world->all);
    stead_writer_init(&writer);
    stead_program_input_write(&writer, input);
    add_instance(world, stead_str("root"), "", stead_written(&writer));
    stead_writer_deinit(&writer);
    stead_program_events(program, input, raise_event, world);
    plan_suspension(world);
    while (!world->instances[0].over && step_world(world))
        assert_true(++steps < STEPS_MAX);
    if (!world->instances[0].over)
        broken("root", "waits for what never comes");
    return world;
}

static void check_outcome(const struct world *world, const struct stead_program_outcome *outcome)
{
    const struct instance *root = &world->instances[0];

    if (outcome->failed != (root->error[0] != 0) || strcmp(root->error, outcome->error) != 0)
        broken("root", "fails otherwise than the reference");
    if (!outcome->failed && root->value != outcome->output)
        broken("root", "has another output than the reference");
    for (uint32_t i = 0; i < outcome->effect_count; i++) {
        const struct stead_program_effect *effect = &outcome->effects[i];
        uint64_t seen = 0;
        for (uint32_t e = 0; e < world->effect_count; e++)
            if (world->effects[e].id == effect->id)
                seen = world->effects[e].value;
        if (seen < effect->least || seen > effect->most * (1 + root->rewind_count))
            broken("root", "has other effects than the reference");
    }
    for (uint32_t v = 0; v < STEAD_PROGRAM_VAULTS; v++)
        assert_int_equal(world->vaults[v].holder, 0);
}

static void destroy_world(struct world *world)
{
    for (uint32_t i = 0; i < world->instance_count; i++) {
        stead_engine_destroy(&world->instances[i].engine);
        stead_writer_deinit(&world->instances[i].history);
    }
    for (uint32_t p = 0; p < world->parcel_count; p++)
        free(world->parcels[p].bytes);
    stead_fibers_destroy(&world->fibers);
    stead_writer_deinit(&world->all);
    free(world);
}

static void test_programs_leave_the_same_history_resident_replayed_and_evicted(void **state)
{
    static struct stead_program_outcome outcome; /* large */

    (void)state;
    stead_program_hooks = (struct stead_program_hooks){broken, entered, chance, differs};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stead_program program;
        struct world *worlds[MODES];
        seed_running = seed;
        stead_program_generate(&program, seed);
        const struct stead_program_input input = stead_program_start(&program, seed, 0);
        stead_program_reference(&program, &input, &outcome);
        for (int mode = 0; mode < MODES; mode++) {
            worlds[mode] = run_seed(seed, (enum mode)mode, &program, &input);
            check_outcome(worlds[mode], &outcome);
            if (!stead_slice_equal(stead_written(&worlds[0]->all), stead_written(&worlds[mode]->all)))
                broken("root", "leaves another history than when it is resident");
        }
        for (int mode = 0; mode < MODES; mode++)
            destroy_world(worlds[mode]);
    }
    assert_true(evictions > SEEDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs_leave_the_same_history_resident_replayed_and_evicted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
