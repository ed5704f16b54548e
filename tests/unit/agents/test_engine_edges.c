/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two steerings at once: what came while an instance was suspended, and then a rewind or a termination. Each resident,
 * and thrown away before every episode. And limits: memory, values.
 */
#include "unit/agents/engine_fixture.h"

static const struct stead_slice nil = {NULL, 0};

#define BOTH_WAYS(en, orchestrator)                                                                                    \
    for (int way = 0; way < 2; way++)                                                                                  \
        for (bool once = (en_init(&(en), &(orchestrator)), (en).reload_always = way == 1, true); once;                 \
             once = (en_check_prefixes(&(en)), en_deinit(&(en)), false))

static int one_child(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.timeout_ms = 100};
    return stead_await(o, stead_begin_child(o, "kid", input, &options), NULL);
}
EN_ORCHESTRATOR(withchild, one_child);

static void test_engine_child_whose_time_was_up_while_suspended_is_terminated_with_its_parent(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, withchild)
    {
        en_start(&en, nil);
        uint64_t child = en_newest(&en, STEAD_HISTORY_CHILD_CREATED, "kid");
        uint64_t timer = en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
        assert_true(en_fire(&en, timer));
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_TERMINATED));
        assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 1);
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, "kid")).ref, child);
    }
}

/* The faster of a step and a timer. */
static int race(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task both[2] = {stead_begin_activity(o, "step", input, NULL), stead_begin_timer(o, 100000)};
    uint32_t first = 0;
    int code = stead_await_any(o, both, 2, &first);

    return code != 0 ? code : stead_await(o, both[first], NULL);
}
EN_ORCHESTRATOR(racing, race);

static void test_engine_rewind_waits_again_for_any_whose_failure_came_while_suspended(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, racing)
    {
        en_start(&en, nil);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
        assert_true(en_fail(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "step"), STEAD_EFAILED));
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_RESUMED));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
        uint64_t from = stead_engine_rewind_point(en.engine);
        en.rewinds[en.rewind_count][0] = from;
        en.rewinds[en.rewind_count++][1] = en.count + 2;
        en_reload(&en);
        assert_true(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = from}));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
        assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "step"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    }
}

/* Whoever gets it refuses a name that is longer: so it is refused here, where somebody can mend it. */
static int longest_event(struct stead_orchestration *o, struct stead_slice input)
{
    char name[257];

    (void)input;
    memset(name, 'e', 256);
    name[256] = '\0';
    if (stead_send_event(o, "other", name, nil) != STEAD_EARGUMENT ||
        stead_await_event(o, name, -1, NULL) != STEAD_EARGUMENT)
        return STEAD_EINTERNAL;
    name[255] = '\0';
    int code = stead_send_event(o, "other", name, nil);
    return code != 0 ? code : stead_await_event(o, name, -1, NULL);
}
EN_ORCHESTRATOR(longest, longest_event);

static void test_engine_event_with_a_name_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct en en;
    char name[256];

    memset(name, 'e', 255);
    name[255] = '\0';
    BOTH_WAYS(en, longest)
    {
        en_start(&en, nil);
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
        assert_true(en_raise(&en, name, nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    }
}

/* A lock's ops are the engine's own: nobody can take one beside it, or give one away. */
static int meddle(struct stead_orchestration *o, struct stead_slice input)
{
    static const char *const ops[] = {STEAD_OP_HOLD, STEAD_OP_RELEASE, "stead.other"};
    const char *const one[] = {"vault/a"};

    (void)input;
    for (uint32_t i = 0; i < 3; i++)
        if (stead_await_call(o, "vault/a", ops[i], nil, NULL) != STEAD_EARGUMENT ||
            stead_signal_agent(o, "vault/a", ops[i], nil) != STEAD_EARGUMENT)
            return STEAD_EINTERNAL;
    int code = stead_signal_agent(o, "vault/a", "steady", nil);
    return code != 0 ? code : stead_lock(o, one, 1);
}
EN_ORCHESTRATOR(meddler, meddle);

static void test_engine_ops_of_locks_are_refused(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, meddler)
    {
        en_start(&en, nil);
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING); /* the lock is asked for */
        assert_int_equal(en.count, 5); /* started twice, the signal, the hold, completed */
        assert_true(en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, STEAD_OP_HOLD) == 4);
    }
}

/* Rounds of so many at once, each with a result of 1,000 bytes. */
#define WIDE 200u
static int wide(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task *tasks = stead_keep_bytes(o, WIDE * sizeof(*tasks));

    (void)input;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < WIDE; i++)
            tasks[i] = stead_begin_activity(o, "a", nil, NULL);
        int code = stead_await_all(o, tasks, WIDE);
        for (uint32_t i = 0; code == 0 && i < WIDE; i++)
            code = stead_await(o, tasks[i], NULL);
        if (code == 0)
            code = stead_await_event(o, "next", -1, NULL);
        if (code != 0)
            return code;
    }
    return stead_complete(o, nil);
}
EN_ORCHESTRATOR(widening, wide);

static void test_engine_memory_follows_what_is_open(void **state)
{
    (void)state;
    uint8_t bytes[1003] = {0xc5, 1000 >> 8, 1000 & 255}, early[10003] = {0xc5, 10000 >> 8, 10000 & 255};
    size_t least = SIZE_MAX, last = 0;
    struct en en;

    en_init(&en, &widening);
    en_start(&en, nil);
    for (uint32_t round = 0; round < 10; round++) {
        uint64_t newest = en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "a");
        size_t begun = stead_engine_bytes(en.engine);
        for (uint64_t id = newest + 1 - WIDE; id < newest; id++)
            assert_true(en_complete(&en, id, stead_bytes(bytes, sizeof(bytes))));
        assert_true(stead_engine_bytes(en.engine) >= begun + WIDE * sizeof(bytes) - 20000); /* nobody has read them */
        assert_true(en_complete(&en, newest, nil));
        last = stead_engine_bytes(en.engine);
        least = last < least ? last : least;
        assert_true(last < begun);
        assert_true(en_raise(&en, "early", stead_bytes(early, sizeof(early))));
        assert_in_range(stead_engine_bytes(en.engine), last + sizeof(early) / 2, last + sizeof(early) * 2);
        if (round < 9)
            assert_true(en_raise(&en, "next", nil));
    }
    assert_in_range(last, least, least + 10 * (sizeof(early) + 2000)); /* ten events that nobody took, and no history */
    en_deinit(&en);
}

static int heavy(struct stead_orchestration *o, struct stead_slice input)
{
    static uint8_t zeros[(1u << 20) + 1];
    const struct stead_slice large = stead_bytes(zeros, sizeof(zeros));
    int codes[3] = {stead_await(o, stead_begin_activity(o, "a", large, NULL), NULL),
                    stead_await(o, stead_begin_call(o, "a/b", "c", large, NULL), NULL),
                    stead_await(o, stead_begin_child(o, "a", large, NULL), NULL)};

    (void)input;
    for (int i = 0; i < 3; i++)
        if (codes[i] != STEAD_ETOOLARGE)
            return STEAD_EINTERNAL;
    return stead_complete(o, nil);
}
EN_ORCHESTRATOR(heaving, heavy);

static void test_engine_value_over_the_limit_is_named_so(void **state)
{
    (void)state;
    struct en en;

    en_init(&en, &heaving);
    en_start(&en, nil);
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    en_deinit(&en);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_child_whose_time_was_up_while_suspended_is_terminated_with_its_parent),
        cmocka_unit_test(test_engine_event_with_a_name_that_is_too_long_is_refused),
        cmocka_unit_test(test_engine_ops_of_locks_are_refused),
        cmocka_unit_test(test_engine_rewind_waits_again_for_any_whose_failure_came_while_suspended),
        cmocka_unit_test(test_engine_memory_follows_what_is_open),
        cmocka_unit_test(test_engine_value_over_the_limit_is_named_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
