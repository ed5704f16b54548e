/* SPDX-License-Identifier: Apache-2.0 */
/* Histories against code that is the same, decides otherwise, crashes, ends its process, or never comes back. */
#include "unit/agents/engine_fixture.h"

#include "cmd/verify_replay.h"

static int two_steps(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice value;
    int code = stead_await_activity(o, "a", input, &value);

    if (code == 0)
        code = stead_await_activity(o, "b", input, &value);
    return code != 0 ? code : stead_complete(o, value);
}

static int other_second_step(struct stead_orchestration *o, struct stead_slice input)
{
    int code = stead_await_activity(o, "a", input, NULL);
    return code != 0 ? code : stead_await_activity(o, "c", input, NULL);
}

static int crashes(struct stead_orchestration *o, struct stead_slice input)
{
    (void)o;
    (void)input;
    abort();
}

static int exits(struct stead_orchestration *o, struct stead_slice input)
{
    (void)o;
    (void)input;
    _Exit(7);
}

static int loops(struct stead_orchestration *o, struct stead_slice input)
{
    (void)input;
    for (volatile uint64_t round = 0; stead_instance_id(o)[0] != '\0'; round = round + 1)
        continue;
    return 0;
}

EN_ORCHESTRATOR(same, two_steps);
EN_ORCHESTRATOR(other, other_second_step);
EN_ORCHESTRATOR(crashing, crashes);
EN_ORCHESTRATOR(exiting, exits);
EN_ORCHESTRATOR(looping, loops);

/* ---- A history ------------------------------------------------------------------------------ */

/* The events of `en` as stored rows: two events each, whatever their episode. Returned: deinit it. */
static struct stead_writer rows_of(const struct en *en)
{
    struct stead_writer rows, events;

    stead_writer_init(&rows);
    stead_writer_init(&events);
    for (uint64_t id = 1; id <= en->count; id += 2) {
        uint32_t count = id < en->count ? 2 : 1;
        stead_writer_reset(&events);
        for (uint32_t i = 0; i < count; i++)
            stead_write_raw(&events, en->stored[id - 1 + i].bytes, en->stored[id - 1 + i].size);
        stead_history_row_write(&rows, id, en->stored[id - 1].time_ms, count, stead_written(&events));
    }
    stead_writer_deinit(&events);
    return rows;
}

/* Waits for its second step. */
static struct stead_writer half_way(uint32_t *ret_count, uint64_t *ret_second)
{
    uint8_t one[1], two[1];
    struct en en;

    en_init(&en, &same);
    en_start(&en, en_number(one, 1));
    assert_true(en_complete(&en, 3, en_number(two, 2)));
    struct stead_writer rows = rows_of(&en);
    *ret_count = en.count;
    *ret_second = en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "b");
    en_deinit(&en);
    return rows;
}

static struct stead_verify_case case_of(const struct stead_orchestrator *orchestrator, const struct stead_writer *rows)
{
    return (struct stead_verify_case){
        .orchestrator = orchestrator, .instance = "it", .execution = 1, .rows = stead_written(rows)};
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_verify_each_case_has_its_own_outcome(void **state)
{
    struct stead_verify_outcome outcomes[6];
    uint32_t count = 0;
    uint64_t second = 0;
    struct stead_writer rows = half_way(&count, &second);
    const struct stead_verify_case cases[] = {case_of(&same, &rows),     case_of(&crashing, &rows),
                                              case_of(&other, &rows),    case_of(&exiting, &rows),
                                              case_of(&crashing, &rows), case_of(&same, &rows)};

    (void)state;
    assert_int_equal(stead_verify_replay(cases, 6, 20, outcomes), 0);
    assert_int_equal(outcomes[0].code, 0);
    assert_int_equal(outcomes[0].events, count);
    assert_int_equal(outcomes[1].code, STEAD_EINTERNAL);
    assert_string_equal(outcomes[1].sentence, "the code crashed: Aborted");
    assert_true(outcomes[1].event >= 3 && outcomes[1].event <= 4); /* where the code first runs */
    assert_int_equal(outcomes[2].code, STEAD_ECONFLICT);
    assert_int_equal(outcomes[2].event, second);
    assert_non_null(strstr(outcomes[2].sentence, "c"));
    assert_int_equal(outcomes[3].code, STEAD_EINTERNAL);
    assert_string_equal(outcomes[3].sentence, "the code ended its process with exit status 7");
    assert_int_equal(outcomes[4].code, STEAD_EINTERNAL);
    assert_int_equal(outcomes[5].code, 0);
    assert_int_equal(outcomes[5].events, count);
    stead_writer_deinit(&rows);
}

static void test_verify_loop_without_end_is_ended(void **state)
{
    struct stead_verify_outcome outcomes[2];
    uint32_t count = 0;
    uint64_t second = 0;
    struct stead_writer rows = half_way(&count, &second);
    const struct stead_verify_case cases[] = {case_of(&looping, &rows), case_of(&same, &rows)};

    (void)state;
    assert_int_equal(stead_verify_replay(cases, 2, 1, outcomes), 0);
    assert_int_equal(outcomes[0].code, STEAD_EINTERNAL);
    assert_string_equal(outcomes[0].sentence, "the code did not come back within 1 s");
    assert_int_equal(outcomes[1].code, 0);
    stead_writer_deinit(&rows);
}

static void test_verify_rewound_history_replays(void **state)
{
    struct stead_verify_outcome outcome;
    uint8_t one[1], two[1];
    struct en en;

    (void)state;
    en_init(&en, &same);
    en_start(&en, en_number(one, 1));
    assert_true(en_fail(&en, 3, STEAD_EFAILED));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_FAILED);
    uint64_t from = stead_engine_rewind_point(en.engine);
    assert_true(from > 0);
    en.rewinds[en.rewind_count][0] = from;
    en.rewinds[en.rewind_count++][1] = en.count + 2;
    assert_int_equal(en_replay(&en, en.count), 0);
    assert_true(en_give(&en, (struct stead_history_event){.type = STEAD_HISTORY_EXECUTION_REWOUND, .ref = from}));
    assert_true(en_complete(&en, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "a"), en_number(two, 2)));
    assert_int_equal(stead_engine_status(en.engine), STEAD_INSTANCE_RUNNING);
    struct stead_writer rows = rows_of(&en);
    const struct stead_verify_case it = case_of(&same, &rows);
    assert_int_equal(stead_verify_replay(&it, 1, 20, &outcome), 0);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(outcome.events, en.count);
    stead_writer_deinit(&rows);
    en_deinit(&en);
}

static void test_verify_history_that_cannot_be_read_is_told(void **state)
{
    struct stead_verify_outcome outcomes[4];
    struct stead_writer bad[4];
    struct stead_verify_case cases[4];
    struct en en;

    (void)state;
    en_init(&en, &same);
    en_start(&en, en_number((uint8_t[1]){0}, 1));
    for (uint32_t i = 0; i < 4; i++)
        bad[i] = rows_of(&en);
    bad[0].size--;
    stead_pack(&bad[1], "[]");
    stead_pack(&bad[2], "{s:s}", "type", "OrchestratorStarted");
    stead_pack(&bad[3], "s", "no row");
    for (uint32_t i = 0; i < 4; i++)
        cases[i] = case_of(&same, &bad[i]);
    assert_int_equal(stead_verify_replay(cases, 4, 20, outcomes), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(outcomes[i].code, STEAD_ECORRUPT);
        stead_writer_deinit(&bad[i]);
    }
    en_deinit(&en);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_each_case_has_its_own_outcome),
        cmocka_unit_test(test_verify_loop_without_end_is_ended),
        cmocka_unit_test(test_verify_rewound_history_replays),
        cmocka_unit_test(test_verify_history_that_cannot_be_read_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
