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

/* The events of `en` as the maps that a client is shown. Returned: deinit it. */
static struct stead_writer maps_of(const struct en *en)
{
    struct stead_writer maps;

    stead_writer_init(&maps);
    for (uint64_t id = 1; id <= en->count; id++) {
        struct stead_history_event event = en_event(en, id);
        stead_history_write_map(&maps, &event);
    }
    return maps;
}

/* The same as stored rows: two events each, whatever their episode. */
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
    struct stead_writer maps = maps_of(&en);
    *ret_count = en.count;
    *ret_second = en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "b");
    en_deinit(&en);
    return maps;
}

static struct stead_verify_case case_of(const struct stead_orchestrator *orchestrator, const struct stead_writer *maps)
{
    return (struct stead_verify_case){
        .orchestrator = orchestrator, .instance = "it", .execution = 1, .events = stead_written(maps)};
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void test_verify_each_case_has_its_own_outcome(void **state)
{
    struct stead_verify_outcome outcomes[6];
    uint32_t count = 0;
    uint64_t second = 0;
    struct stead_writer maps = half_way(&count, &second);
    const struct stead_verify_case cases[] = {case_of(&same, &maps),     case_of(&crashing, &maps),
                                              case_of(&other, &maps),    case_of(&exiting, &maps),
                                              case_of(&crashing, &maps), case_of(&same, &maps)};

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
    stead_writer_deinit(&maps);
}

static void test_verify_loop_without_end_is_ended(void **state)
{
    struct stead_verify_outcome outcomes[2];
    uint32_t count = 0;
    uint64_t second = 0;
    struct stead_writer maps = half_way(&count, &second);
    const struct stead_verify_case cases[] = {case_of(&looping, &maps), case_of(&same, &maps)};

    (void)state;
    assert_int_equal(stead_verify_replay(cases, 2, 1, outcomes), 0);
    assert_int_equal(outcomes[0].code, STEAD_EINTERNAL);
    assert_string_equal(outcomes[0].sentence, "the code did not come back within 1 s");
    assert_int_equal(outcomes[1].code, 0);
    stead_writer_deinit(&maps);
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
    struct stead_writer maps = maps_of(&en);
    const struct stead_verify_case it = case_of(&same, &maps);
    assert_int_equal(stead_verify_replay(&it, 1, 20, &outcome), 0);
    assert_int_equal(outcome.code, 0);
    assert_int_equal(outcome.events, en.count);
    stead_writer_deinit(&maps);
    en_deinit(&en);
}

static void test_verify_rows_replay_as_maps_do(void **state)
{
    struct stead_verify_outcome outcomes[3];
    uint8_t one[1], two[1];
    struct en en;

    (void)state;
    en_init(&en, &same);
    en_start(&en, en_number(one, 1));
    assert_true(en_complete(&en, 3, en_number(two, 2)));
    struct stead_writer rows = rows_of(&en), cut = rows_of(&en);
    cut.size--;
    struct stead_verify_case cases[] = {case_of(&same, &rows), case_of(&other, &rows), case_of(&same, &cut)};
    for (uint32_t i = 0; i < 3; i++)
        cases[i].rows = true;
    assert_int_equal(stead_verify_replay(cases, 3, 20, outcomes), 0);
    assert_int_equal(outcomes[0].code, 0);
    assert_int_equal(outcomes[0].events, en.count);
    assert_int_equal(outcomes[1].code, STEAD_ECONFLICT);
    assert_int_equal(outcomes[1].event, en_newest(&en, STEAD_HISTORY_TASK_SCHEDULED, "b"));
    assert_int_equal(outcomes[2].code, STEAD_ECORRUPT);
    stead_writer_deinit(&rows);
    stead_writer_deinit(&cut);
    en_deinit(&en);
}

static void test_verify_history_that_cannot_be_read_is_told(void **state)
{
    struct stead_verify_outcome outcomes[4];
    struct stead_writer bad[4];
    struct stead_verify_case cases[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        stead_writer_init(&bad[i]);
    stead_pack(&bad[0], "{s:s,s:u,s:l}", "type", "ThoughtAbout", "id", (uint64_t)1, "time", (int64_t)1);
    stead_pack(&bad[1], "[]");
    stead_pack(&bad[2], "{s:s,s:u}", "type", "OrchestratorStarted", "id", (uint64_t)1);
    stead_pack(&bad[3], "{s:s,s:u,s:l,s:s}", "type", "OrchestratorStarted", "id", (uint64_t)1, "time", (int64_t)1,
               "code", "out_of_fashion");
    for (uint32_t i = 0; i < 4; i++)
        cases[i] = case_of(&same, &bad[i]);
    assert_int_equal(stead_verify_replay(cases, 4, 20, outcomes), 0);
    assert_int_equal(outcomes[0].code, STEAD_EVERSION);
    assert_int_equal(outcomes[1].code, STEAD_ECORRUPT);
    assert_int_equal(outcomes[2].code, STEAD_ECORRUPT);
    assert_int_equal(outcomes[3].code, STEAD_EVERSION);
    for (uint32_t i = 0; i < 4; i++)
        stead_writer_deinit(&bad[i]);
}

static void test_verify_event_is_what_the_map_was_made_of(void **state)
{
    static const uint8_t five[] = {0x05}, extra[] = {0x80};
    const struct stead_history_event event = {.type = STEAD_HISTORY_TASK_FAILED,
                                              .id = 9,
                                              .time_ms = 1234,
                                              .ref = 3,
                                              .code = STEAD_ETIMEOUT,
                                              .name = stead_str("n"),
                                              .target = stead_str("t"),
                                              .value = {five, 1},
                                              .error_name = stead_str("late"),
                                              .error_sentence = stead_str("too late"),
                                              .extra = {extra, 1}};
    struct stead_history_event back;
    struct stead_writer one, two;

    (void)state;
    stead_writer_init(&one);
    stead_writer_init(&two);
    stead_history_write_map(&one, &event);
    assert_int_equal(stead_verify_event(stead_written(&one), &back), 0);
    assert_int_equal(back.id, 9);
    assert_int_equal(back.time_ms, 1234);
    assert_int_equal(back.code, STEAD_ETIMEOUT);
    stead_writer_reset(&one);
    stead_history_write(&one, &event);
    stead_history_write(&two, &back);
    assert_true(stead_slice_equal(stead_written(&one), stead_written(&two)));
    stead_writer_deinit(&one);
    stead_writer_deinit(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_each_case_has_its_own_outcome),
        cmocka_unit_test(test_verify_loop_without_end_is_ended),
        cmocka_unit_test(test_verify_rewound_history_replays),
        cmocka_unit_test(test_verify_rows_replay_as_maps_do),
        cmocka_unit_test(test_verify_history_that_cannot_be_read_is_told),
        cmocka_unit_test(test_verify_event_is_what_the_map_was_made_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
