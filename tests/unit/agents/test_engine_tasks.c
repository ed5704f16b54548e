/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each await of the engine, twice: resident, and thrown away before every episode. At the end of each test every prefix
 * of the history is replayed.
 */
#include "unit/agents/engine_fixture.h"

static const struct stead_slice nil = {NULL, 0};

#define BOTH_WAYS(en, orchestrator)                                                                                    \
    for (int way = 0; way < 2; way++)                                                                                  \
        for (bool once = (en_init(&(en), &(orchestrator)), (en).reload_always = way == 1, true); once;                 \
             once = (en_check_prefixes(&(en)), en_deinit(&(en)), false))

static uint64_t scheduled(const struct en *en, const char *name)
{
    uint64_t id = en_newest(en, STEAD_HISTORY_TASK_SCHEDULED, name);
    assert_int_not_equal(id, 0);
    return id;
}

static void expect_output(const struct en *en, const char *bytes, size_t size)
{
    assert_int_equal(stead_engine_status(en->engine), STEAD_INSTANCE_COMPLETED);
    struct stead_history_event event = en_event(en, en_newest(en, STEAD_HISTORY_EXECUTION_COMPLETED, NULL));
    assert_true(stead_slice_equal(event.value, stead_bytes(bytes, size)));
}

static struct stead_history_event failure(const struct en *en)
{
    assert_int_equal(stead_engine_status(en->engine), STEAD_INSTANCE_FAILED);
    return en_event(en, en_newest(en, STEAD_HISTORY_EXECUTION_FAILED, NULL));
}

/* ---- Timers, events ------------------------------------------------------------------------- */

static int event_or_timeout(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value = nil;
    int code = stead_await_event(o, "go", 500, &value);

    (void)input;
    if (code == STEAD_ETIMEOUT)
        return stead_complete(o, stead_packed_for(o, "s", "late"));
    return code != 0 ? code : stead_complete(o, value);
}
EN_ORCHESTRATOR(waiting, event_or_timeout);

static void test_engine_event_in_time_cancels_the_timer(void **state)
{
    (void)state;
    struct en en;
    uint8_t seven[1];

    BOTH_WAYS(en, waiting)
    {
        en_start(&en, nil);
        uint64_t timer = en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL);
        int64_t due = 0;
        assert_int_equal(stead_get_i64(en_event(&en, timer).extra, "due", &due), 0);
        assert_int_equal(due, en.now_ms + 500);
        assert_true(en_raise(&en, "other", nil));
        assert_true(en_raise(&en, "go", en_number(seven, 7)));
        expect_output(&en, "\x07", 1);
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, NULL)).ref, timer);
    }
}

static void test_engine_event_that_is_late_times_out(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, waiting)
    {
        en_start(&en, nil);
        assert_true(en_fire(&en, en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL)));
        expect_output(&en, "\xa4late", 5);
        assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 0);
    }
}

static void test_engine_event_and_timer_in_one_episode_lose_nothing(void **state)
{
    (void)state;
    struct en en;
    uint8_t seven[1];

    BOTH_WAYS(en, waiting)
    {
        en_start(&en, nil);
        en_input(&en, (struct stead_history_event){.type = STEAD_HISTORY_TIMER_FIRED,
                                                   .ref = en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL)});
        en_input(&en, (struct stead_history_event){
                          .type = STEAD_HISTORY_EVENT_RAISED, .name = stead_str("go"), .value = en_number(seven, 7)});
        assert_int_equal(en_step(&en), 2);
        expect_output(&en, "\x07", 1);
    }
}

/* The second to ask is given what the first gave back. */
static int give_back(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task first = stead_begin_event(o, "e"), second = stead_begin_event(o, "e");
    struct stead_slice value;

    (void)input;
    int code = stead_await(o, first, NULL);
    if (code == 0)
        code = stead_await_activity(o, "pause", nil, NULL);
    stead_task_cancel(o, stead_begin_event(o, "e")); /* takes "3" and gives it back */
    if (code == 0)
        code = stead_await(o, second, &value);
    int64_t two = 0, three = 0;
    if (code == 0 && stead_get_i64(value, NULL, &two) == 0)
        code = stead_await_event(o, "e", -1, &value);
    if (code == 0 && stead_get_i64(value, NULL, &three) == 0)
        code = stead_complete(o, stead_packed_for(o, "[l,l]", two, three));
    return code;
}
EN_ORCHESTRATOR(giving, give_back);

static void test_engine_events_are_taken_in_order_and_given_back(void **state)
{
    (void)state;
    struct en en;
    uint8_t one[1], two[1], three[1];

    BOTH_WAYS(en, giving)
    {
        en_start(&en, nil);
        assert_true(en_raise(&en, "e", en_number(one, 1)));
        assert_true(en_raise(&en, "e", en_number(two, 2)));
        assert_true(en_raise(&en, "e", en_number(three, 3)));
        assert_true(en_complete(&en, scheduled(&en, "pause"), nil));
        expect_output(&en, "\x92\x02\x03", 3);
    }
}

/* ---- All, any ------------------------------------------------------------------------------- */

#define MANY 10000u

static int any_of_many(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task *tasks = stead_keep_bytes(o, MANY * sizeof(*tasks));
    uint32_t left = MANY, index = 0;
    int64_t sum = 0, weight = 1;

    (void)input;
    for (uint32_t i = 0; i < MANY; i++)
        tasks[i] = stead_begin_activity(o, "a", nil, NULL);
    while (left > 0) {
        struct stead_slice value;
        int64_t one = 0;
        int code = stead_await_any(o, tasks, left, &index);
        if (code == 0)
            code = stead_await(o, tasks[index], &value);
        if (code != 0)
            return code;
        if (stead_get_i64(value, NULL, &one) == 0)
            sum += one * weight++;
        tasks[index] = tasks[--left];
    }
    return stead_complete(o, stead_packed_for(o, "l", sum));
}
EN_ORCHESTRATOR(anyof, any_of_many);

static void test_engine_any_of_ten_thousand_in_the_order_of_finishing(void **state)
{
    (void)state;
    struct en en;
    int64_t sum = 0, told = 0;

    en_init(&en, &anyof);
    en_start(&en, nil);
    assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_SCHEDULED), MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t which = (i * 7919) % MANY; /* 7919 and 10,000 have no divisor in common */
        uint8_t value[1];
        assert_true(en_complete(&en, 3 + which, en_number(value, (uint8_t)(which % 100))));
        sum += (int64_t)(which % 100) * (int64_t)(i + 1);
    }
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    struct stead_history_event event = en_event(&en, en_newest(&en, STEAD_HISTORY_EXECUTION_COMPLETED, NULL));
    assert_int_equal(stead_get_i64(event.value, NULL, &told), 0);
    assert_int_equal(told, sum);
    en_reload(&en);
    en_deinit(&en);
}

static int any_with_losers(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task tasks[3] = {stead_begin_activity(o, "a", nil, NULL), stead_begin_activity(o, "b", nil, NULL),
                                  stead_begin_timer(o, 1000)};
    uint32_t index = 9;

    (void)input;
    int code = stead_await_any(o, tasks, 3, &index);
    for (uint32_t i = 0; i < 3; i++)
        if (i != index)
            stead_task_cancel(o, tasks[i]);
    if (code == 0 && (stead_await(o, tasks[(index + 1) % 3], NULL) != STEAD_ESTATE ||
                      strstr(stead_await_error_sentence(o), "read once") == NULL))
        return STEAD_EINTERNAL;
    if (stead_await_any(o, tasks, 0, &index) != STEAD_ESTATE || strstr(stead_await_error_sentence(o), "none") == NULL)
        return STEAD_EINTERNAL;
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "u", (uint64_t)index));
}
EN_ORCHESTRATOR(losers, any_with_losers);

static void test_engine_any_cancels_the_losers(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, losers)
    {
        en_start(&en, nil);
        uint64_t a = scheduled(&en, "a");
        assert_true(en_complete(&en, scheduled(&en, "b"), nil));
        expect_output(&en, "\x01", 1);
        assert_int_equal(en_tally(&en, STEAD_HISTORY_TASK_CANCELED), 2);
        assert_false(en_complete(&en, a, nil));
    }
}

static int all_of_three(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_task tasks[3] = {stead_begin_activity(o, "a", nil, NULL), stead_begin_activity(o, "b", nil, NULL),
                                  stead_begin_activity(o, "c", nil, NULL)};

    (void)input;
    int code = stead_await_all(o, tasks, 3);
    if (code != 0 && strcmp(stead_await_error_name(o), "bad_luck") == 0)
        return stead_complete(o, stead_packed_for(o, "[b,b,b]", stead_await(o, tasks[0], NULL) == 0,
                                                  stead_await(o, tasks[1], NULL) == 0,
                                                  stead_await(o, tasks[2], NULL) == 0));
    return code;
}
EN_ORCHESTRATOR(three, all_of_three);

static void test_engine_all_waits_for_every_one_and_tells_the_first_failure(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, three)
    {
        en_start(&en, nil);
        assert_true(en_fail(&en, scheduled(&en, "b"), STEAD_EFAILED));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
        assert_true(en_complete(&en, scheduled(&en, "a"), nil));
        assert_true(en_complete(&en, scheduled(&en, "c"), nil));
        expect_output(&en, "\x93\xc3\xc2\xc3", 4);
    }
}

/* ---- Retries -------------------------------------------------------------------------------- */

static struct stead_retry policy;
static int with_policy(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.retry = policy};
    return stead_await(o, stead_begin_activity(o, "a", input, &options), NULL);
}
EN_ORCHESTRATOR(retrying, with_policy);

/* Fails until it ends; the delays between attempts go to `ret_delays`. Returns how many attempts there were. */
static uint32_t attempts(struct en *en, int64_t *ret_delays, int code)
{
    uint32_t count = 1;
    uint8_t input[1];

    en_start(en, en_number(input, 9));
    for (;;) {
        int64_t failed_ms = en->now_ms, due = failed_ms;
        uint64_t before = en->count;
        assert_true(en_fail(en, scheduled(en, "a"), code));
        if (stead_engine_status(en->engine) != STEAD_INSTANCE_RUNNING)
            return count;
        uint64_t timer = en_newest(en, STEAD_HISTORY_TIMER_CREATED, NULL);
        if (timer > before) {
            assert_int_equal(stead_get_i64(en_event(en, timer).extra, "due", &due), 0);
            en->now_ms = due;
            assert_true(en_fire(en, timer));
        }
        ret_delays[count - 1] = due - failed_ms;
        count++;
        assert_true(stead_slice_equal(en_event(en, scheduled(en, "a")).value, stead_bytes(input, 1)));
    }
}

static bool only_timeouts(int code, const char *error_name)
{
    return code == STEAD_ETIMEOUT && strcmp(error_name, "bad_luck") == 0;
}

static void test_engine_retry_delays_follow_the_formula(void **state)
{
    (void)state;
    static const struct {
        struct stead_retry retry;
        int code;
        uint32_t attempts;
        int64_t delays[6];
    } table[] = {
        {{.attempts_max = 0, .first_ms = 10}, STEAD_EFAILED, 1, {0}},
        {{.attempts_max = 1, .first_ms = 10}, STEAD_EFAILED, 1, {0}},
        {{.attempts_max = 4, .first_ms = 10}, STEAD_EFAILED, 4, {10, 10, 10}},
        {{.attempts_max = 6, .first_ms = 10, .coefficient = 2}, STEAD_EFAILED, 6, {10, 20, 40, 80, 160}},
        {{.attempts_max = 6, .first_ms = 10, .coefficient = 2, .interval_max_ms = 50},
         STEAD_EFAILED,
         6,
         {10, 20, 40, 50, 50}},
        {{.attempts_max = 3, .first_ms = 100, .coefficient = 1.5}, STEAD_EFAILED, 3, {100, 150}},
        {{.attempts_max = 3}, STEAD_EFAILED, 3, {0, 0}},
        {{.attempts_max = 9, .first_ms = 100, .timeout_ms = 250}, STEAD_EFAILED, 3, {100, 100}},
        {{.attempts_max = 3, .first_ms = 5}, STEAD_ECANCELLED, 1, {0}},
        {{.attempts_max = 3, .first_ms = 5, .retryable = only_timeouts}, STEAD_EFAILED, 1, {0}},
        {{.attempts_max = 3, .first_ms = 5, .retryable = only_timeouts}, STEAD_ETIMEOUT, 3, {5, 5}},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct en en;
        policy = table[i].retry;
        BOTH_WAYS(en, retrying)
        {
            int64_t delays[8] = {0};
            assert_int_equal(attempts(&en, delays, table[i].code), table[i].attempts);
            for (uint32_t n = 0; n + 1 < table[i].attempts; n++)
                assert_int_equal(delays[n], table[i].delays[n]);
            assert_int_equal(failure(&en).code, table[i].code);
        }
    }
}

/* ---- Children ------------------------------------------------------------------------------- */

static int one_child(struct stead_orchestration *o, struct stead_slice input)
{
    const struct stead_task_options options = {.timeout_ms = 100, .retry = {.attempts_max = 2}};
    struct stead_slice value;
    int code = stead_await(o, stead_begin_child(o, "kid", input, &options), &value);
    return code != 0 ? code : stead_complete(o, value);
}
EN_ORCHESTRATOR(withchild, one_child);

static void test_engine_child_whose_time_is_up_is_cancelled_and_tried_again(void **state)
{
    (void)state;
    struct en en;
    uint8_t five[1];

    BOTH_WAYS(en, withchild)
    {
        en_start(&en, nil);
        uint64_t first = en_newest(&en, STEAD_HISTORY_CHILD_CREATED, "kid");
        assert_true(stead_slice_equal(en_event(&en, first).target, stead_str("it:1:1")));
        assert_true(en_fire(&en, en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL)));
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, "kid")).ref, first);
        uint64_t second = en_newest(&en, STEAD_HISTORY_CHILD_CREATED, "kid");
        assert_true(second > first);
        assert_false(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_CHILD_COMPLETED, .ref = first}));
        assert_true(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_CHILD_COMPLETED,
                                                              .ref = second,
                                                              .value = en_number(five, 5)}));
        expect_output(&en, "\x05", 1);
    }
}

/* ---- A timer that joins an episode which was opened before its time -------------------------- */

static int sleep_a_second(struct stead_orchestration *o, struct stead_slice input)
{
    int64_t began_ms = stead_now(o);

    (void)input;
    int code = stead_await_timer(o, 1000);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "b", (int)(stead_now(o) >= began_ms + 1000)));
}
EN_ORCHESTRATOR(sleeper, sleep_a_second);

static void test_engine_time_is_never_before_a_timer_that_fired(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, sleeper)
    {
        en_start(&en, nil);
        uint64_t timer = en_newest(&en, STEAD_HISTORY_TIMER_CREATED, NULL);
        assert_true(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_TIMER_FIRED, .ref = timer}));
        expect_output(&en, "\xc3", 1);
    }
}

/* ---- Locks ---------------------------------------------------------------------------------- */

static bool is_refused(const struct stead_orchestration *o, int code, const char *why)
{
    return code == STEAD_ESTATE && strcmp(stead_await_error_name(o), "wrong_state") == 0 &&
           strstr(stead_await_error_sentence(o), why) != NULL;
}

static int transfer(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const both[] = {"acct/b", "acct/a", "acct/b"};
    const char *const other[] = {"acct/c"};
    char itself[STEAD_ADDRESS_MAX + 1];
    const char *const own[] = {"acct/a", itself};

    (void)input;
    snprintf(itself, sizeof(itself), "orchestration/%s", stead_instance_id(o));
    if (!is_refused(o, stead_lock(o, own, 2), "cannot lock itself"))
        return STEAD_EINTERNAL;
    if (stead_lock(o, both, 3) != 0 || !is_refused(o, stead_lock(o, other, 1), "do not nest"))
        return STEAD_EINTERNAL;
    if (stead_lock_fence(o, "acct/a") != 11 || stead_lock_fence(o, "acct/b") != 12 ||
        stead_lock_fence(o, "acct/c") != 0)
        return STEAD_EINTERNAL;
    if (!is_refused(o, stead_await_call(o, "acct/c", "add", nil, NULL), "only its own agents") ||
        !is_refused(o, stead_await_child(o, "kid", nil, NULL), "no child") ||
        stead_signal_agent(o, "acct/a", "add", nil) != STEAD_ESTATE)
        return STEAD_EINTERNAL;
    int code = stead_signal_agent(o, "log/x", "say", nil);
    if (code == 0)
        code = stead_await_call(o, "acct/a", "add", nil, NULL);
    stead_unlock(o);
    if (code == 0 && stead_lock_fence(o, "acct/a") != 0)
        return STEAD_EINTERNAL;
    return code;
}
EN_ORCHESTRATOR(bank, transfer);

static uint64_t hold_both(struct en *en)
{
    uint8_t fence[1];

    en_start(en, nil);
    struct stead_history_event event = en_event(en, scheduled(en, STEAD_OP_HOLD));
    assert_true(stead_slice_equal(event.target, stead_str("acct/a"))); /* the least address first */
    assert_true(en_complete(en, event.id, en_number(fence, 11)));
    event = en_event(en, scheduled(en, STEAD_OP_HOLD));
    assert_true(stead_slice_equal(event.target, stead_str("acct/b")));
    assert_true(en_complete(en, event.id, en_number(fence, 12)));
    assert_int_equal(en_tally(en, STEAD_HISTORY_TASK_SCHEDULED), 3); /* no third hold: one was named twice */
    event = en_event(en, scheduled(en, "add"));
    uint64_t told = 0;
    assert_int_equal(stead_get_u64(event.extra, "fence", &told), 0);
    assert_int_equal(told, 11);
    return event.id;
}

static void expect_released(const struct en *en)
{
    struct stead_history_event event = en_event(en, en_newest(en, STEAD_HISTORY_LOCKS_RELEASED, NULL));
    assert_true(stead_slice_equal(event.value, stead_bytes("\x92\x92\xa6"
                                                           "acct/a\x0b\x92\xa6"
                                                           "acct/b\x0c",
                                                           19)));
}

static void test_engine_locks_keep_their_rules(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, bank)
    {
        assert_true(en_complete(&en, hold_both(&en), nil));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
        expect_released(&en);
    }
}

static void test_engine_knows_the_hold_it_has(void **state)
{
    (void)state;
    struct stead_slice a = stead_str("acct/a"), b = stead_str("acct/b");
    uint8_t fence[1];
    struct en en;

    BOTH_WAYS(en, bank)
    {
        en_start(&en, nil);
        assert_false(stead_engine_holds(en.engine, a, 11));
        assert_true(en_complete(&en, scheduled(&en, STEAD_OP_HOLD), en_number(fence, 11)));
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_SUSPENDED));
        assert_true(en_complete(&en, scheduled(&en, STEAD_OP_HOLD), en_number(fence, 12)));
        assert_true(stead_engine_holds(en.engine, a, 11));
        assert_true(stead_engine_holds(en.engine, b, 12)); /* the code has not read it */
        assert_false(stead_engine_holds(en.engine, b, 11));
        assert_false(stead_engine_holds(en.engine, a, 12));
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_RESUMED));
        assert_true(stead_engine_holds(en.engine, b, 12));
        assert_true(en_complete(&en, scheduled(&en, "add"), nil));
        assert_false(stead_engine_holds(en.engine, a, 11)); /* released */
        assert_false(stead_engine_holds(en.engine, b, 12));
    }
}

/* Signals one of the agents that it holds, and ends with what it hears. */
static int signals_its_own(struct stead_orchestration *o, struct stead_slice input)
{
    const char *const one[] = {"acct/a"};

    (void)input;
    int code = stead_lock(o, one, 1);
    return code != 0 ? code : stead_signal_agent(o, "acct/a", "add", nil);
}
EN_ORCHESTRATOR(signaller, signals_its_own);

static void test_engine_failure_says_what_was_not_allowed(void **state)
{
    (void)state;
    struct en en;
    uint8_t memory[16];

    BOTH_WAYS(en, signaller)
    {
        en_start(&en, nil);
        assert_true(en_complete(&en, scheduled(&en, STEAD_OP_HOLD), en_number(memory, 11)));
        assert_int_equal(failure(&en).code, STEAD_ESTATE);
        assert_true(stead_slice_equal(
            failure(&en).error_sentence,
            stead_str("an agent of the section is called: a signal would wait for the section's end")));
    }
}

static void test_engine_call_under_a_broken_lock_is_wrong_state(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, bank)
    {
        assert_true(en_fail(&en, hold_both(&en), STEAD_ELOCKED));
        assert_int_equal(failure(&en).code, STEAD_ESTATE);
        expect_released(&en);
    }
}

static void test_engine_termination_releases_and_cancels(void **state)
{
    (void)state;
    struct en en;

    BOTH_WAYS(en, bank)
    {
        uint64_t call = hold_both(&en);
        assert_true(en_say_type(&en, STEAD_HISTORY_EXECUTION_TERMINATED));
        assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_TERMINATED);
        assert_int_equal(en_event(&en, en_newest(&en, STEAD_HISTORY_TASK_CANCELED, "add")).ref, call);
        expect_released(&en);
        assert_false(en_complete(&en, call, nil));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_event_in_time_cancels_the_timer),
        cmocka_unit_test(test_engine_event_that_is_late_times_out),
        cmocka_unit_test(test_engine_event_and_timer_in_one_episode_lose_nothing),
        cmocka_unit_test(test_engine_events_are_taken_in_order_and_given_back),
        cmocka_unit_test(test_engine_any_of_ten_thousand_in_the_order_of_finishing),
        cmocka_unit_test(test_engine_any_cancels_the_losers),
        cmocka_unit_test(test_engine_all_waits_for_every_one_and_tells_the_first_failure),
        cmocka_unit_test(test_engine_retry_delays_follow_the_formula),
        cmocka_unit_test(test_engine_child_whose_time_is_up_is_cancelled_and_tried_again),
        cmocka_unit_test(test_engine_locks_keep_their_rules),
        cmocka_unit_test(test_engine_knows_the_hold_it_has),
        cmocka_unit_test(test_engine_time_is_never_before_a_timer_that_fired),
        cmocka_unit_test(test_engine_failure_says_what_was_not_allowed),
        cmocka_unit_test(test_engine_call_under_a_broken_lock_is_wrong_state),
        cmocka_unit_test(test_engine_termination_releases_and_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
