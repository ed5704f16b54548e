/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewinds with critical sections and children: what was locked at the point of failure is locked anew before anything
 * goes on, what had succeeded is not asked for again, and a child is resumed. Each resident, and thrown away before
 * every episode.
 */
#include "unit/agents/engine_fixture.h"

#include "agents/engine_internal.h"

static const struct stead_slice nil = {NULL, 0};

#define BOTH_WAYS(en, orchestrator)                                                                                    \
    for (int way = 0; way < 2; way++)                                                                                  \
        for (bool once = (en_init(&(en), &(orchestrator)), (en).reload_always = way == 1, true); once;                 \
             once = (en_check_prefixes(&(en)), en_deinit(&(en)), false))

/* ---- What is asked for ---------------------------------------------------------------------- */

static uint64_t newest(const struct en *en, const char *name)
{
    return en_newest(en, STEAD_HISTORY_TASK_SCHEDULED, name);
}

static uint32_t times(const struct en *en, const char *name)
{
    uint32_t times = 0;

    for (uint64_t id = 1; id <= en->count; id++) {
        struct stead_history_event event = en_event(en, id);
        times += event.type == STEAD_HISTORY_TASK_SCHEDULED && stead_slice_equal(event.name, stead_str(name));
    }
    return times;
}

static uint64_t number_in(const struct en *en, uint64_t id, const char *member)
{
    uint64_t number = 0;

    return stead_get_u64(en_event(en, id).extra, member, &number) == 0 ? number : 0;
}

/* The newest hold, which is of this address, is given with this fence. */
static void give(struct en *en, const char *address, uint8_t fence)
{
    uint8_t memory[1];
    uint64_t id = newest(en, STEAD_OP_HOLD);

    assert_true(stead_slice_equal(en_event(en, id).target, stead_str(address)));
    assert_true(en_complete(en, id, en_number(memory, fence)));
}

static void rewind_it(struct en *en)
{
    uint64_t from = stead_engine_rewind_point(en->engine);

    assert_int_equal(stead_engine_status(en->engine), STEAD_INSTANCE_FAILED);
    assert_true(from > 0);
    en->rewinds[en->rewind_count][0] = from;
    en->rewinds[en->rewind_count++][1] = en->count + 2;
    en_reload(en);
    assert_true(en_give(en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = from}));
    assert_int_equal(stead_engine_status(en->engine), STEAD_INSTANCE_RUNNING);
}

/* What the newest LOCKS_RELEASED gives back: addresses are of 6 bytes. */
static void expect_released(const struct en *en, const char *text, size_t size)
{
    struct stead_history_event event = en_event(en, en_newest(en, STEAD_HISTORY_LOCKS_RELEASED, NULL));

    assert_true(stead_slice_equal(event.value, stead_bytes(text, size)));
}

/* ---- Sections ------------------------------------------------------------------------------- */

/* The guide's transfer. */
static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const accounts[] = {"acct/b", "acct/a"};

    (void)input;
    int code = stead_lock(o, accounts, 2);
    if (code == 0)
        code = stead_await_call(o, "acct/a", "withdraw", nil, NULL);
    if (code == 0)
        code = stead_await_call(o, "acct/b", "deposit", nil, NULL);
    stead_unlock(o);
    return code;
}
EN_ORCHESTRATOR(bank, transfer);

/* The same without an end of its own. */
static int leave_locked(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"acct/a", "acct/b"};

    (void)input;
    int code = stead_lock(o, one, 2);
    if (code == 0)
        code = stead_await_call(o, "acct/a", "withdraw", nil, NULL);
    if (code == 0)
        code = stead_await_activity(o, "check", nil, NULL);
    if (code == 0)
        code = stead_await_call(o, "acct/b", "deposit", nil, NULL);
    return code;
}
EN_ORCHESTRATOR(careless, leave_locked);

static void begin_section(struct en *en)
{
    en_start(en, nil);
    give(en, "acct/a", 11);
    give(en, "acct/b", 12);
    assert_true(en_complete(en, newest(en, "withdraw"), nil));
}

static void test_rewind_locks_anew_what_was_unlocked_behind_the_failure(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, bank)
    {
        begin_section(&en);
        assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 12);
        assert_true(en_fail(&en, newest(&en, "deposit"), STEAD_EFAILED));
        rewind_it(&en);
        assert_int_equal(times(&en, "deposit"), 1); /* not before all is locked */
        give(&en, "acct/a", 21);
        assert_int_equal(times(&en, "deposit"), 1);
        assert_true(stead_engine_holds(en.engine, stead_str("acct/a"), 21));
        assert_false(stead_engine_holds(en.engine, stead_str("acct/b"), 12));
        give(&en, "acct/b", 22);
        assert_int_equal(times(&en, "deposit"), 2);
        assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 22);
        assert_true(en_complete(&en, newest(&en, "deposit"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
        assert_int_equal(times(&en, "withdraw"), 1); /* it had succeeded */
        expect_released(&en,
                        "\x92\x92\xa6"
                        "acct/a\x15\x92\xa6"
                        "acct/b\x16",
                        19);
    }
}

static void test_rewind_of_who_failed_inside_its_section_keeps_what_succeeded(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, careless)
    {
        begin_section(&en);
        assert_true(en_fail(&en, newest(&en, "check"), STEAD_EFAILED));
        rewind_it(&en);
        give(&en, "acct/a", 21);
        assert_int_equal(times(&en, "check"), 1);
        give(&en, "acct/b", 22);
        assert_int_equal(times(&en, "check"), 2);
        assert_true(en_complete(&en, newest(&en, "check"), nil));
        assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 22);
        assert_true(en_complete(&en, newest(&en, "deposit"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
        assert_int_equal(times(&en, "withdraw"), 1);
    }
}

/* It fails again at once, in the episode that had the last lock: then all are locked a third time. */
static void test_rewind_again_and_again_locks_again(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, bank)
    {
        begin_section(&en);
        assert_true(en_fail(&en, newest(&en, "deposit"), STEAD_EFAILED));
        for (uint8_t round = 1; round <= 3; round++) {
            rewind_it(&en);
            give(&en, "acct/a", (uint8_t)(20 + round));
            give(&en, "acct/b", (uint8_t)(30 + round));
            assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 30 + round);
            if (round < 3)
                assert_true(en_fail(&en, newest(&en, "deposit"), STEAD_EFAILED));
        }
        assert_true(en_complete(&en, newest(&en, "deposit"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
        assert_int_equal(times(&en, "withdraw"), 1);
    }
}

/* The code fails by itself as soon as it runs, which is when the last lock is there. */
static bool is_mended;

static int fail_by_itself(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"acct/a"};

    (void)input;
    int code = stead_lock(o, one, 1);
    if (code == 0)
        code = stead_await_call(o, "acct/a", "withdraw", nil, NULL);
    if (code == 0 && !is_mended)
        return stead_fail_with(o, "not_yet", "it is not mended");
    return code != 0 ? code : stead_await_call(o, "acct/a", "deposit", nil, NULL);
}
EN_ORCHESTRATOR(stubborn, fail_by_itself);

static void test_rewind_of_who_fails_with_the_last_lock_locks_anew(void **state)
{
    struct en en;

    (void)state;
    is_mended = false;
    en_init(&en, &stubborn);
    en_start(&en, nil);
    give(&en, "acct/a", 11);
    assert_true(en_complete(&en, newest(&en, "withdraw"), nil));
    rewind_it(&en);
    give(&en, "acct/a", 12);
    expect_released(&en,
                    "\x91\x92\xa6"
                    "acct/a\x0c",
                    10);
    is_mended = true;
    rewind_it(&en);
    assert_int_equal(times(&en, "deposit"), 0);
    give(&en, "acct/a", 13);
    assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 13);
    assert_int_equal(times(&en, "withdraw"), 1);
    en_reload(&en);
    en_deinit(&en);
}

static int lock_and_fail(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"acct/a"};

    (void)input;
    int code = stead_lock(o, one, 1);
    return code != 0 || is_mended ? code : stead_fail_with(o, "not_yet", "it is not mended");
}
EN_ORCHESTRATOR(hasty, lock_and_fail);

/* Given in the episode that failed, and asked for again: of the fence that it had nothing is kept. */
static void test_rewind_of_who_failed_with_its_lock_forgets_the_fence(void **state)
{
    struct en en;

    (void)state;
    is_mended = false;
    en_init(&en, &hasty);
    en_start(&en, nil);
    give(&en, "acct/a", 11);
    is_mended = true;
    rewind_it(&en);
    assert_int_equal(en.engine->held_bytes, 0);
    give(&en, "acct/a", 12);
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    en_deinit(&en);
}

/* A lock that cannot be had fails the instance again, with nothing left locked, and the next rewind begins there. */
static void test_rewind_that_cannot_lock_fails_and_can_be_tried_again(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, bank)
    {
        begin_section(&en);
        assert_true(en_fail(&en, newest(&en, "deposit"), STEAD_EFAILED));
        rewind_it(&en);
        give(&en, "acct/a", 21);
        assert_true(en_fail(&en, newest(&en, STEAD_OP_HOLD), STEAD_EFAILED));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
        struct stead_history_event failed = en_event(&en, en_newest(&en, STEAD_HISTORY_EXECUTION_FAILED, NULL));
        assert_true(stead_slice_equal(failed.error_name, stead_str("bad_luck")));
        expect_released(&en,
                        "\x91\x92\xa6"
                        "acct/a\x15",
                        10);
        rewind_it(&en);
        give(&en, "acct/a", 31);
        give(&en, "acct/b", 32);
        assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 32);
        assert_true(en_complete(&en, newest(&en, "deposit"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
        assert_int_equal(times(&en, "withdraw"), 1);
    }
}

/* The second lock was refused: the first is taken anew before it. */
static void test_rewind_of_who_could_not_lock_keeps_the_order(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, bank)
    {
        en_start(&en, nil);
        give(&en, "acct/a", 11);
        assert_true(en_fail(&en, newest(&en, STEAD_OP_HOLD), STEAD_EFAILED));
        rewind_it(&en);
        assert_int_equal(times(&en, STEAD_OP_HOLD), 3);
        give(&en, "acct/a", 21);
        assert_int_equal(times(&en, STEAD_OP_HOLD), 4);
        give(&en, "acct/b", 22);
        assert_int_equal(number_in(&en, newest(&en, "withdraw"), "fence"), 21);
        assert_true(en_complete(&en, newest(&en, "withdraw"), nil));
        assert_int_equal(number_in(&en, newest(&en, "deposit"), "fence"), 22);
    }
}

/* While it waits for a lock it is suspended, and terminated with what it has and what it may still get. */
static void test_rewind_that_waits_for_a_lock_can_be_steered(void **state)
{
    struct en en;
    uint8_t memory[1];

    (void)state;
    BOTH_WAYS(en, bank)
    {
        begin_section(&en);
        assert_true(en_fail(&en, newest(&en, "deposit"), STEAD_EFAILED));
        rewind_it(&en);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
        assert_true(en_raise(&en, "go", nil));
        give(&en, "acct/a", 21); /* while it is suspended */
        assert_int_equal(times(&en, STEAD_OP_HOLD), 3);
        assert_true(stead_engine_holds(en.engine, stead_str("acct/a"), 21));
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_RESUMED));
        assert_int_equal(times(&en, STEAD_OP_HOLD), 4);
        uint64_t hold = newest(&en, STEAD_OP_HOLD);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_TERMINATED));
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, STEAD_OP_HOLD)).ref, hold);
        expect_released(&en,
                        "\x91\x92\xa6"
                        "acct/a\x15",
                        10);
        assert_false(stead_engine_takes(en.engine, &(struct stead_history_event){.type = STEAD_HISTORY_TASK_COMPLETED,
                                                                                 .ref = hold,
                                                                                 .value = en_number(memory, 22)}));
    }
}

/* ---- Children ------------------------------------------------------------------------------- */

static int with_children(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options twice = {.version = 3, .retry = {.attempts_max = 2}};
    struct stead_task kids[] = {stead_begin_child(o, "failing", nil, &twice), stead_begin_child(o, "slow", nil, NULL),
                                stead_begin_child(o, "quick", nil, NULL)};

    (void)input;
    int code = stead_await(o, kids[0], NULL);
    if (code == 0)
        code = stead_await_all(o, kids + 1, 2);
    return code;
}
EN_ORCHESTRATOR(family, with_children);

static uint64_t child(const struct en *en, const char *name)
{
    return en_newest(en, STEAD_HISTORY_CHILD_CREATED, name);
}

static void end_child(struct en *en, uint64_t ref, int code)
{
    assert_true(en_give(
        en, (struct stead_history_event){.type = code == 0 ? STEAD_HISTORY_CHILD_COMPLETED : STEAD_HISTORY_CHILD_FAILED,
                                         .ref = ref,
                                         .code = code}));
}

static void test_rewind_resumes_children(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, family)
    {
        en_start(&en, nil);
        uint64_t slow = child(&en, "slow"), quick = child(&en, "quick");
        end_child(&en, quick, 0);
        end_child(&en, child(&en, "failing"), STEAD_EFAILED);
        uint64_t second = child(&en, "failing");
        assert_int_equal(number_in(&en, second, "resumes"), 0); /* another attempt begins anew */
        end_child(&en, second, STEAD_EFAILED);
        rewind_it(&en);
        assert_int_equal(child(&en, "quick"), quick);
        assert_int_equal(number_in(&en, child(&en, "slow"), "resumes"), slow);
        assert_int_equal(number_in(&en, child(&en, "failing"), "resumes"), second);
        assert_int_equal(number_in(&en, child(&en, "failing"), "version"), 3);
        assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 0); /* the slow one is not ended */
        end_child(&en, child(&en, "failing"), STEAD_EFAILED);
        assert_int_equal(number_in(&en, child(&en, "failing"), "resumes"), 0);
        assert_int_equal(number_in(&en, child(&en, "failing"), "version"), 3);
        end_child(&en, child(&en, "failing"), 0);
        end_child(&en, child(&en, "slow"), 0);
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    }
}

static int child_beside_section(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"acct/a"};
    struct stead_task kid = stead_begin_child(o, "slow", nil, NULL);

    (void)input;
    int code = stead_lock(o, one, 1);
    if (code == 0)
        code = stead_await_call(o, "acct/a", "withdraw", nil, NULL);
    return code != 0 ? code : stead_await(o, kid, NULL);
}
EN_ORCHESTRATOR(guardian, child_beside_section);

/* Its child, which still runs, is to be resumed as soon as all is locked. */
static void test_rewind_that_is_terminated_before_its_child_is_resumed_ends_the_child(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, guardian)
    {
        en_start(&en, nil);
        uint64_t slow = child(&en, "slow");
        give(&en, "acct/a", 11);
        assert_true(en_fail(&en, newest(&en, "withdraw"), STEAD_EFAILED));
        rewind_it(&en);
        assert_int_equal(child(&en, "slow"), slow);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_TERMINATED));
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, "slow")).ref, slow);
    }
}

/* ---- What waited for all ---------------------------------------------------------------------- */

/* `a` may fail while nobody waits for it. */
static int late_fan(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task tasks[2];

    (void)input;
    tasks[0] = stead_begin_activity(o, "a", nil, NULL);
    int code = stead_await_timer(o, 1000);
    if (code != 0)
        return code;
    tasks[1] = stead_begin_activity(o, "b", nil, NULL);
    code = stead_await_all(o, tasks, 2);
    return code != 0 ? code : stead_await_activity(o, "next", nil, NULL);
}
EN_ORCHESTRATOR(fan, late_fan);

/* An await of all counts on what had failed before it began, once that is asked for again. */
static void test_rewind_waits_for_what_failed_before_the_await(void **state)
{
    struct en en;

    (void)state;
    BOTH_WAYS(en, fan)
    {
        en_start(&en, nil);
        assert_true(en_fail(&en, newest(&en, "a"), STEAD_EFAILED));
        en.now_ms += 1000;
        assert_true(en_fire(&en, en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL)));
        assert_true(en_complete(&en, newest(&en, "b"), nil));
        rewind_it(&en);
        assert_int_equal(times(&en, "a"), 2);
        assert_int_equal(times(&en, "next"), 0);
        assert_true(en_fail(&en, newest(&en, "a"), STEAD_EFAILED));
        assert_int_equal(times(&en, "next"), 0);
        rewind_it(&en);
        assert_true(en_complete(&en, newest(&en, "a"), nil));
        assert_int_equal(times(&en, "b"), 1); /* it had succeeded */
        assert_true(en_complete(&en, newest(&en, "next"), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewind_locks_anew_what_was_unlocked_behind_the_failure),
        cmocka_unit_test(test_rewind_of_who_failed_inside_its_section_keeps_what_succeeded),
        cmocka_unit_test(test_rewind_again_and_again_locks_again),
        cmocka_unit_test(test_rewind_of_who_fails_with_the_last_lock_locks_anew),
        cmocka_unit_test(test_rewind_of_who_failed_with_its_lock_forgets_the_fence),
        cmocka_unit_test(test_rewind_that_cannot_lock_fails_and_can_be_tried_again),
        cmocka_unit_test(test_rewind_of_who_could_not_lock_keeps_the_order),
        cmocka_unit_test(test_rewind_that_waits_for_a_lock_can_be_steered),
        cmocka_unit_test(test_rewind_resumes_children),
        cmocka_unit_test(test_rewind_that_is_terminated_before_its_child_is_resumed_ends_the_child),
        cmocka_unit_test(test_rewind_waits_for_what_failed_before_the_await),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
