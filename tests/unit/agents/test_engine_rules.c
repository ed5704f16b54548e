/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine promises beside awaits: determinism, differences by name, the end, continue-as-new, suspension,
 * limits, eviction, rewind.
 */
#include "unit/agents/engine_fixture.h"

static const struct stead_slice nil = {NULL, 0};

/* ---- Determinism ---------------------------------------------------------------------------- */

static uint32_t effects;
static void effect(void *context, struct stead_writer *writer)
{
    effects++;
    stead_write_u64(writer, *(uint64_t *)context);
}

static int draws(struct stead_orchestration *o, struct stead_slice input)
{
    uint64_t seen = 77, random = stead_random_of(o), other = stead_random_of(o);
    char uuid[STEAD_UUID_SIZE];
    struct stead_slice value;

    (void)input;
    if (random == other)
        return STEAD_EINTERNAL;
    int code = stead_side_effect(o, effect, &seen, &value);
    if (code == 0)
        value = stead_keep(o, value);
    if (code == 0)
        code = stead_await_activity(o, "a", stead_packed_for(o, "[u,l]", random, stead_now(o)), NULL);
    stead_uuid(o, uuid);
    stead_say(o, "at %d", 2);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "[v,s,l]", value, uuid, stead_now(o)));
}
EN_ORCHESTRATOR(drawing, draws);

static void test_engine_chance_clock_and_effects_are_the_same_at_every_replay(void **state)
{
    (void)state;
    struct stead_slice outputs[2];
    struct en ens[2];

    for (int way = 0; way < 2; way++) {
        struct en *en = &ens[way];
        effects = 0;
        en_init(en, &drawing);
        en->reload_always = way == 1;
        en_start(en, nil);
        en->now_ms += 1000;
        assert_true(en_complete(en, en_newest(en, STEAD_HISTORY_TASK_SCHEDULED, "a"), nil));
        outputs[way] = en_event(en, en_newest(en, STEAD_HISTORY_EXECUTION_COMPLETED, NULL)).value;
        assert_int_equal(effects, 1);
        assert_int_equal(en->says, 1);
        assert_string_equal(en->said, "at 2");
        en_check_prefixes(en);
        assert_int_equal(effects, 1);
        assert_int_equal(en->says, 1);
    }
    assert_true(stead_slice_equal(outputs[0], outputs[1]));
    assert_int_equal(outputs[0].data[1], 77);
    assert_int_equal(outputs[0].data[2 + 2 + 14], '4'); /* the version of a random UUID */
    en_deinit(&ens[0]);
    en_deinit(&ens[1]);
}

/* ---- Differences ---------------------------------------------------------------------------- */

static int variant;
static int varies(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    uint64_t seen = 1;

    (void)input;
    switch (variant) {
    case 0:
        return stead_await_activity(o, "b", nil, NULL);
    case 1:
        return stead_await_activity(o, "a", nil, NULL);
    case 2:
        return stead_await_timer(o, 10);
    case 3:
        return stead_complete(o, nil);
    case 4:
        return stead_await_event(o, "e", -1, NULL);
    case 5:
        return stead_await_activity(o, "b", stead_packed_for(o, "u", seen), NULL);
    case 6:
        return stead_await_call(o, "b/c", "b", nil, NULL);
    case 7:
        return stead_side_effect(o, effect, &seen, &value);
    default:
        (void)stead_begin_activity(o, "b", nil, NULL);
        return stead_await_timer(o, 20);
    }
}
EN_ORCHESTRATOR(varying, varies);

static void test_engine_first_difference_is_named(void **state)
{
    (void)state;
    static const char *const sentences[] = {
        NULL,
        "event 3 of the history is TaskScheduled 'b', the code wants TaskScheduled 'a'",
        "event 3 of the history is TaskScheduled 'b', the code wants TimerCreated",
        "event 3 of the history is TaskScheduled 'b', the code wants ExecutionCompleted",
        "event 3 of the history is TaskScheduled 'b', the code wants nothing more here",
        "event 3 of the history is TaskScheduled 'b', the code wants TaskScheduled 'b' with another value",
        "event 3 of the history is TaskScheduled 'b', the code wants TaskScheduled 'b' to 'b/c'",
        "event 3 of the history is TaskScheduled 'b', the code wants SideEffectRecorded",
        "event 4 of the history is OrchestratorCompleted, the code wants TimerCreated",
    };
    struct en en;
    uint64_t event = 0;

    variant = 0;
    en_init(&en, &varying);
    en_start(&en, nil);
    for (variant = 1; variant < 9; variant++) {
        assert_int_equal(en_replay(&en, en.count), STEAD_ECONFLICT);
        assert_string_equal(stead_engine_difference(en.engine, &event), sentences[variant]);
        assert_int_equal(event, variant == 8 ? 4 : 3);
        assert_true(stead_engine_is_lost(en.engine));
    }
    variant = 0;
    en_reload(&en); /* nothing is damaged */
    en_deinit(&en);
}

/* ---- Ends ----------------------------------------------------------------------------------- */

static int ends(struct stead_orchestration *o, struct stead_slice input)
{
    (void)stead_begin_activity(o, "left", nil, NULL);
    (void)stead_begin_timer(o, 1000);
    (void)stead_begin_event(o, "taken");
    switch (variant) {
    case 0:
        return stead_complete(o, input);
    case 1:
        return stead_fail_with(o, "no_room", "only %d", 3);
    case 2:
        return STEAD_EBUSY;
    case 3:
        return 5;
    default:
        return stead_continue_as_new(o, stead_packed_for(o, "l", 2ll));
    }
}
EN_ORCHESTRATOR(ending, ends);

static struct stead_history_event end_of(struct en *en, int which, uint8_t type)
{
    variant = which;
    en_init(en, &ending);
    en_start(en, nil);
    assert_int_equal(en->count, en_newest(en, STEAD_HISTORY_ORCHESTRATOR_COMPLETED, NULL));
    en_check_prefixes(en);
    return en_event(en, en_newest(en, type, NULL));
}

static void test_engine_end_cancels_timers_and_leaves_activities(void **state)
{
    (void)state;
    struct en en;

    (void)end_of(&en, 0, STEAD_HISTORY_EXECUTION_COMPLETED);
    assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 1);
    assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, NULL)).ref,
                     en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL));
    en_deinit(&en);
}

static void test_engine_failures_say_why(void **state)
{
    (void)state;
    struct en en;
    struct stead_history_event event = end_of(&en, 1, STEAD_HISTORY_EXECUTION_FAILED);

    assert_int_equal(event.code, STEAD_EFAILED);
    assert_true(stead_slice_equal(event.error_name, stead_str("no_room")));
    assert_true(stead_slice_equal(event.error_sentence, stead_str("only 3")));
    en_deinit(&en);
    event = end_of(&en, 2, STEAD_HISTORY_EXECUTION_FAILED);
    assert_int_equal(event.code, STEAD_EBUSY);
    assert_true(stead_slice_equal(event.error_name, stead_str("busy")));
    en_deinit(&en);
    event = end_of(&en, 3, STEAD_HISTORY_EXECUTION_FAILED);
    assert_int_equal(event.code, STEAD_EARGUMENT);
    en_deinit(&en);
}

static void count_event(void *context, const struct stead_history_event *event)
{
    assert_int_equal(event->type, STEAD_HISTORY_EVENT_RAISED);
    uint32_t *seen = context;
    *seen = *seen * 10 + event->value.data[0];
}

static void test_engine_continue_as_new_cancels_all_and_carries_what_nobody_read(void **state)
{
    (void)state;
    struct en en;
    uint8_t numbers[3];
    uint32_t seen = 0;

    variant = 4;
    en_init(&en, &ending);
    en_input(&en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_STARTED, .name = stead_str("ending")});
    for (uint8_t i = 0; i < 3; i++)
        en_input(&en, (struct stead_history_event){.type = STEAD_HISTORY_EVENT_RAISED,
                                                   .name = stead_str(i == 1 ? "other" : "taken"),
                                                   .value = en_number(&numbers[i], (uint8_t)(i + 1))});
    assert_int_equal(en_step(&en), 4);
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_CONTINUED_AS_NEW);
    assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 2);
    stead_engine_untaken(en.engine, count_event, &seen);
    assert_int_equal(seen, 123); /* also the one whose task was not read */
    en_check_prefixes(&en);
    en_deinit(&en);
}

/* ---- Suspension, limits, eviction ----------------------------------------------------------- */

static int one_step(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_await_activity(o, "a", input, NULL);
}
EN_ORCHESTRATOR(single, one_step);

static void test_engine_suspended_code_does_not_run(void **state)
{
    (void)state;
    struct en en;

    en_init(&en, &single);
    en_start(&en, nil);
    assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
    assert_false(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
    assert_true(en_complete(&en, 3, nil));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_SUSPENDED);
    en_check_prefixes(&en);
    assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_RESUMED));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    en_check_prefixes(&en);
    en_deinit(&en);
}

static int too_many(struct stead_orchestration *o, struct stead_slice input)
{
    (void)input;
    for (uint32_t i = 0; i < 100001; i++)
        (void)stead_begin_event(o, "e");
    return 0;
}
EN_ORCHESTRATOR(greedy, too_many);

static void test_engine_more_tasks_than_may_be_open_fail_the_instance(void **state)
{
    (void)state;
    struct en en;

    en_init(&en, &greedy);
    en_start(&en, nil);
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
    assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_EXECUTION_FAILED, NULL)).code, STEAD_ELIMIT);
    en_check_prefixes(&en);
    en_deinit(&en);
}

static void test_engine_without_its_fiber_hands_nothing_out(void **state)
{
    (void)state;
    struct en en, other;

    en_init(&en, &single);
    stead_fibers_destroy(&en.fibers);
    en.fibers = stead_fibers_create(1);
    stead_engine_destroy(&en.engine);
    en_create(&en);
    en_start(&en, nil);
    en_init(&other, &single);
    stead_fibers_destroy(&other.fibers);
    other.fibers = en.fibers;
    stead_engine_destroy(&other.engine);
    en_create(&other);
    en_start(&other, nil); /* takes the only stack */
    assert_true(stead_engine_is_lost(en.engine));
    stead_engine_begin(en.engine, en.now_ms);
    const struct stead_history_event result = {.type = STEAD_HISTORY_TASK_COMPLETED, .ref = 3};
    assert_int_not_equal(stead_engine_input(en.engine, &result), 0);
    uint32_t before = en.count;
    assert_int_equal(stead_engine_run(en.engine, en_store, &en), STEAD_EBUSY);
    assert_int_equal(en.count, before);
    en_reload(&en); /* which takes it from the other */
    assert_true(en_complete(&en, 3, nil));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    other.fibers = NULL;
    stead_engine_destroy(&other.engine);
    en_deinit(&other);
    en_deinit(&en);
}

/* ---- An open episode ------------------------------------------------------------------------ */

static void test_engine_open_episode_is_closed_by_the_next_run(void **state)
{
    (void)state;
    struct en en;
    const struct stead_history_event started = {
        .type = STEAD_HISTORY_ORCHESTRATOR_STARTED, .id = 5, .time_ms = 1000005};
    const struct stead_history_event result = {
        .type = STEAD_HISTORY_TASK_COMPLETED, .id = 6, .ref = 3, .time_ms = 1000005};

    en_init(&en, &single);
    en_start(&en, nil);
    assert_int_equal(en.count, 4);
    en_store(&en, &started);
    en_store(&en, &result);
    en_reload(&en);
    assert_true(stead_engine_is_open(en.engine));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
    assert_int_equal(stead_engine_run(en.engine, en_store, &en), 0); /* hands out what is not stored: from event 7 on */
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    assert_int_equal(en_event(&en, 7).type, STEAD_HISTORY_EXECUTION_COMPLETED);
    en_check_prefixes(&en);
    en_deinit(&en);
}

/* ---- Rewind --------------------------------------------------------------------------------- */

/* Three at once; what fails is compensated, and then all has failed. */
static int compensates(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task tasks[3];

    (void)input;
    int code = stead_await_activity(o, "first", nil, NULL);
    if (code != 0)
        return code;
    tasks[0] = stead_begin_activity(o, "x", nil, NULL);
    tasks[1] = stead_begin_activity(o, "y", nil, NULL);
    tasks[2] = stead_begin_activity(o, "z", nil, NULL);
    code = stead_await_all(o, tasks, 3);
    if (code != 0 && stead_await_activity(o, "undo", nil, NULL) != 0)
        return STEAD_EINTERNAL;
    return code;
}
EN_ORCHESTRATOR(saga, compensates);

static void test_engine_rewind_requests_only_what_had_failed(void **state)
{
    (void)state;
    struct en en;

    en_init(&en, &saga);
    en_start(&en, nil);
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "first"), nil));
    assert_true(en_fail(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "x"), STEAD_EFAILED));
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "y"), nil));
    uint64_t seen = en.count + 1; /* the episode in which the code sees it */
    assert_true(en_fail(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "z"), STEAD_EFAILED));
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "undo"), nil));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
    uint64_t point = stead_engine_rewind_point(en.engine);
    assert_true(point > 0 && point <= seen);
    en.rewinds[0][0] = point;
    en.rewinds[0][1] = en.count + 2;
    en.rewind_count = 1;
    en_reload(&en);
    uint32_t requests = en_tally(&en, STEAD_HISTORY_TASK_SCHEDULED);
    assert_true(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = point}));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
    assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_SCHEDULED), requests + 2); /* x and z */
    en_reload(&en);
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "x"), nil));
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "z"), nil));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    en_reload(&en);
    en_deinit(&en);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_chance_clock_and_effects_are_the_same_at_every_replay),
        cmocka_unit_test(test_engine_first_difference_is_named),
        cmocka_unit_test(test_engine_end_cancels_timers_and_leaves_activities),
        cmocka_unit_test(test_engine_failures_say_why),
        cmocka_unit_test(test_engine_continue_as_new_cancels_all_and_carries_what_nobody_read),
        cmocka_unit_test(test_engine_suspended_code_does_not_run),
        cmocka_unit_test(test_engine_more_tasks_than_may_be_open_fail_the_instance),
        cmocka_unit_test(test_engine_without_its_fiber_hands_nothing_out),
        cmocka_unit_test(test_engine_open_episode_is_closed_by_the_next_run),
        cmocka_unit_test(test_engine_rewind_requests_only_what_had_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
