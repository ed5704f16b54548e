/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/agents/engine_fixture.h"

static const struct stead_slice nil = {NULL, 0};

/* ---- Activities ----------------------------------------------------------------------------- */

static int two_steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice first, second;
    int code = stead_await_activity(o, "a", input, &first);

    if (code == 0)
        first = stead_keep(o, first);
    if (code == 0)
        code = stead_await_activity(o, "b", first, &second);
    return code != 0 ? code : stead_complete(o, stead_packed_for(o, "[v,v]", first, second));
}
EN_ORCHESTRATOR(steps, two_steps);

static void test_engine_activities_in_sequence_complete(void **state)
{
    (void)state;
    struct en en;
    uint8_t one[1], two[1], three[1];

    en_init(&en, &steps);
    en_start(&en, en_number(one, 1));
    assert_int_equal(en.count, 4); /* started, execution started, scheduled, completed */
    assert_true(en_event(&en, 3).type == STEAD_HISTORY_TASK_SCHEDULED);
    assert_true(stead_slice_equal(en_event(&en, 3).value, stead_bytes(one, 1)));
    assert_false(en_complete(&en, 99, nil)); /* nobody asked */
    assert_int_equal(en.count, 6);
    assert_true(en_complete(&en, 3, en_number(two, 2)));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
    assert_false(en_complete(&en, 3, en_number(two, 2))); /* twice */
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "b"), en_number(three, 3)));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_COMPLETED);
    struct stead_history_event last = en_event(&en, en_newest(&en, STEAD_HISTORY_EXECUTION_COMPLETED, NULL));
    assert_true(stead_slice_equal(last.value, stead_bytes("\x92\x02\x03", 3)));
    en_check_prefixes(&en);
    en_deinit(&en);
}

static void test_engine_failed_activity_fails_with_its_name(void **state)
{
    (void)state;
    struct en en;

    en_init(&en, &steps);
    en_start(&en, nil);
    assert_true(en_fail(&en, 3, STEAD_EFAILED));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
    struct stead_history_event last = en_event(&en, en_newest(&en, STEAD_HISTORY_EXECUTION_FAILED, NULL));
    assert_int_equal(last.code, STEAD_EFAILED);
    assert_true(stead_slice_equal(last.error_name, stead_str("bad_luck")));
    assert_true(stead_slice_equal(last.error_sentence, stead_str("it did not work")));
    en_check_prefixes(&en);
    en_deinit(&en);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_activities_in_sequence_complete),
        cmocka_unit_test(test_engine_failed_activity_fails_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
