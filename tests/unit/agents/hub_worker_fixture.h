/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_worker_fixture: a hub of one partition with one worker on the host of host_fixture.h, and the orchestrators that
 * its tests run.
 */
#ifndef STEAD_TESTS_HUB_WORKER_FIXTURE_H
#define STEAD_TESTS_HUB_WORKER_FIXTURE_H

#include "unit/runtime/host_client.h"

#include "agents/agents.h"
#include "agents/history.h"
#include "agents/hub_settings.h"
#include "agents/instance.h"

static struct fx *fx;
static struct fx_client client;
static struct stead_hub_settings settings;
static struct stead_message *answer; /* of the last request */

static inline int ask(const char *address, const char *op, struct stead_writer *args)
{
    struct stead_message *message = fx_request(fx, &client, STEAD_CALL, address, op, stead_written(args), NULL);

    stead_writer_deinit(args);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    if (answer != NULL)
        stead_message_destroy(&answer);
    answer = fx_answer(fx);
    return answer->status;
}

static inline int never(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return STEAD_EINTERNAL;
}
STEAD_ACTIVITY(dull, "dull", never, 0);

static inline int answer_busy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return STEAD_EBUSY;
}

static uint32_t ran;
static struct stead_id accused; /* by the mark of its turn, the newest that ran */

static inline int note_mark(struct stead_orchestration *o, struct stead_slice input)
{
    ran++;
    accused = fx->mark.id;
    return stead_complete(o, input);
}
static const struct stead_orchestrator marked = {.abi = STEAD_ORCHESTRATION_ABI,
                                                 .struct_size = sizeof(struct stead_orchestrator),
                                                 .name = "marked",
                                                 .version = 1,
                                                 .run = note_mark};

/* Sleeps for so many milliseconds. */
static inline int sleep_long(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t ms = 0;

    (void)(stead_get_i64(input, NULL, &ms) == 0);
    return stead_await_timer(o, ms);
}
static const struct stead_orchestrator sleeper = {.abi = STEAD_ORCHESTRATION_ABI,
                                                  .struct_size = sizeof(struct stead_orchestrator),
                                                  .name = "sleeper",
                                                  .version = 1,
                                                  .run = sleep_long};

/* Says so many times where it is, each time in an execution of its own, and then waits. */
static inline int wait_for_event(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int64_t left = 0;

    (void)(stead_get_i64(input, NULL, &left) == 0);
    if (left > 0) {
        int code = stead_set_status(o, stead_packed_for(o, "l", left));
        return code != 0 ? code : stead_continue_as_new(o, stead_packed_for(o, "l", left - 1));
    }
    int code = stead_await_event(o, "go", -1, &value);
    return code != 0 ? code : stead_complete(o, value);
}
static const struct stead_orchestrator waiter = {.abi = STEAD_ORCHESTRATION_ABI,
                                                 .struct_size = sizeof(struct stead_orchestrator),
                                                 .name = "waiter",
                                                 .version = 1,
                                                 .run = wait_for_event};

/* Waits for an activity, of which it hears in time. */
static inline int await_limited(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.timeout_ms = 3600000, .start_timeout_ms = 1800000};

    return stead_await(o, stead_begin_activity(o, "dull", input, &options), NULL);
}
static const struct stead_orchestrator limited = {.abi = STEAD_ORCHESTRATION_ABI,
                                                  .struct_size = sizeof(struct stead_orchestrator),
                                                  .name = "limited",
                                                  .version = 1,
                                                  .run = await_limited};

/* What a node has loaded, with the orchestrators or without; `table`: who keeps the instances. */
static inline void load_with(struct stead_registry *registry, bool orchestrators, const struct stead_kind *table)
{
    const struct stead_kind *const kinds[] = {&stead_hub_kind, &stead_hub_queue_kind, table, &stead_hub_worker_kind,
                                              &dull};

    for (size_t at = 0; at < sizeof(kinds) / sizeof(kinds[0]); at++)
        assert_int_equal(stead_registry_add(registry, kinds[at], NULL), 0);
    if (!orchestrators)
        return;
    assert_int_equal(stead_registry_add_orchestrator(registry, &marked, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(registry, &sleeper, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(registry, &waiter, NULL), 0);
    assert_int_equal(stead_registry_add_orchestrator(registry, &limited, NULL), 0);
}

static inline void load(struct stead_registry *registry, bool orchestrators)
{
    load_with(registry, orchestrators, &stead_hub_table_kind);
}

static inline int set_up_with(enum stead_hub_mode mode, const struct stead_kind *table)
{
    struct stead_writer args;

    fx = fx_create(2);
    load_with(fx->registry, true, table);
    ran = 0;
    client = fx_client(fx, 1);
    stead_hub_settings_default(&settings, "t");
    settings.workers = 1;
    settings.partitions = 1;
    settings.mode = mode;
    stead_writer_init(&args);
    stead_hub_settings_write(&settings, &args);
    assert_int_equal(ask("hub/t", "create", &args), 0);
    return 0;
}

static inline int set_up(enum stead_hub_mode mode)
{
    return set_up_with(mode, &stead_hub_table_kind);
}

static inline int setup(void **state)
{
    (void)state;
    return set_up(STEAD_HUB_NOTIFY);
}

/* Nobody waits in a queue: what is put into it can be taken by the test. */
static inline int setup_polled(void **state)
{
    (void)state;
    return set_up(STEAD_HUB_FIXED);
}

static inline int teardown(void **state)
{
    (void)state;
    stead_message_destroy(&answer);
    fx_destroy(fx);
    return 0;
}

static inline void stop_worker(void)
{
    struct stead_writer none;

    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_worker(&settings, 0).text, "stop", &none), 0);
}

/* Once the worker has been woken and has done what there is. */
static inline struct stead_instance look_at(const char *instance)
{
    struct stead_writer args;
    struct stead_instance it;

    for (int rounds = 0; rounds < 100; rounds++)
        fx_step_ms(fx, 50);
    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "id", instance);
    assert_int_equal(ask(stead_hub_table(&settings, 0).text, "status", &args), 0);
    assert_int_equal(stead_instance_read(stead_message_payload(answer), &it), 0);
    return it;
}

static inline int64_t count_of(const char *what)
{
    struct stead_writer none;
    int64_t count = -1;

    stead_writer_init(&none);
    assert_int_equal(ask(stead_hub_control(&settings, 0).text, "status", &none), 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), what, &count), 0);
    return count;
}

#endif
