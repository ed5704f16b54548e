/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of a queue's messages: taken once, cancelled, put back, forgotten. */
#include "unit/agents/hub_queue_fixture.h"

static void test_what_was_cancelled_goes_and_its_neighbours_stay(void **state)
{
    struct taken list[8];

    (void)state;
    put("a", "a", 0);
    put("b", "b", 0);
    put("c", "c", 0);
    put("d", "d", 0);
    send("cancel", "[s,s]", "b", "c");
    assert_int_equal(answer->status, 0);
    assert_int_equal(get(list, 8, 1000), 2);
    assert_string_equal(list[0].id, "a");
    assert_string_equal(list[1].id, "d");
    assert_int_equal(status_of("depth"), 2);
    assert_int_equal(done(&list[0]), 1);
    assert_int_equal(done(&list[1]), 1);
    assert_int_equal(status_of("depth"), 0);
    put("e", "e", 0);
    assert_int_equal(get(list, 8, 1000), 1);
    assert_string_equal(list[0].id, "e");
}

/* A timer that nobody waits for any more is not in the queue until it is due. */
static void test_what_was_cancelled_before_it_could_be_taken_is_gone_at_once(void **state)
{
    struct taken list[8];

    (void)state;
    put("far", "a", 3600000);
    put("near", "b", 1000);
    put("taken", "c", 1);
    fx_step_ms(fx, 10);
    assert_int_equal(get(list, 8, 60000), 1);
    send("cancel", "[s,s]", "far", "taken");
    assert_int_equal(answer->status, 0);
    assert_int_equal(status_of("depth"), 2); /* what was taken may be at work */
    assert_int_equal(status_of("hidden"), 2);
    send("gone", "[s]", "taken");
    assert_int_equal(answer->status, 0);
    struct stead_reader reader = stead_reader(stead_message_payload(answer));
    uint32_t gone = 0;
    assert_int_equal(stead_read_array(&reader, &gone), 0);
    assert_int_equal(gone, 1);
    put("far", "a", 3600000); /* repeated by who does not know */
    assert_false(is_new());
    fx_step_ms(fx, 1000);
    assert_int_equal(get(list, 8, 60000), 1);
    assert_string_equal(list[0].id, "near");
    assert_int_equal(done(&list[0]), 1);
    fx_step_ms(fx, 4000000);
    assert_int_equal(get(list, 8, 1000), 0);
    assert_int_equal(status_of("depth"), 0);
}

/* However many they are, in turns of a bounded size; who polls comes once more, at most. */
static void test_what_is_behind_many_that_were_cancelled_is_taken(void **state)
{
    enum { MANY = 5000, AT_ONCE = 500 };
    struct taken list[8];
    struct stead_writer ids;
    char id[16];

    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        for (int at = 0; at < MANY; at++) {
            snprintf(id, sizeof(id), "%c%d", 'a' + waits, at);
            put(id, "c", 0);
        }
        put(waits ? "second" : "first", "w", 0);
        for (int first = 0; first < MANY; first += AT_ONCE) {
            stead_writer_init(&ids);
            stead_write_array(&ids, AT_ONCE);
            for (int at = first; at < first + AT_ONCE; at++) {
                snprintf(id, sizeof(id), "%c%d", 'a' + waits, at);
                stead_write_str(&ids, id);
            }
            send("cancel", "v", stead_written(&ids));
            assert_int_equal(answer->status, 0);
            stead_writer_deinit(&ids);
        }
        if (!waits)
            assert_int_equal(get(list, 8, 1000), 0);
        send("dequeue", "{s:u,s:l,s:l}", "max", (uint64_t)8, "hide", (int64_t)1000, "wait", (int64_t)(waits * 1000));
        assert_non_null(answer);
        assert_int_equal(read_taken(list), 1);
        assert_string_equal(list[0].id, waits ? "second" : "first");
        assert_int_equal(done(&list[0]), 1);
        assert_int_equal(status_of("depth"), 0);
    }
}

/* One that is put back goes on under an id of its own; whoever repeats or cancels it knows no other than the first. */
static void test_what_was_put_back_is_known_by_its_own_id(void **state)
{
    struct taken list[8], again[8];

    (void)state;
    put("a", "a", 0);
    put("b", "b", 0);
    assert_int_equal(get(list, 8, 60000), 2);
    put("a#1", "a", 0);
    assert_int_equal(done(&list[0]), 1);
    put("a#1", "a", 0); /* told again */
    put("a", "a", 0);   /* its sender has not heard of it */
    assert_int_equal(status_of("depth"), 2);
    assert_int_equal(status_of("duplicates"), 2);
    send("cancel", "[s]", "b"); /* taken; then it is put back all the same */
    put("b#2", "b", 0);
    assert_int_equal(done(&list[1]), 1);
    send("gone", "[s,s]", "a#1", "b#2");
    assert_int_equal(answer->status, 0);
    send("cancel", "[s]", "a");
    assert_int_equal(get(again, 8, 1000), 0);
    assert_int_equal(status_of("depth"), 0);
    put("a#7", "a", 0); /* what was cancelled before is another one */
    assert_int_equal(get(again, 8, 1000), 1);
    assert_string_equal(again[0].id, "a#7");
    assert_int_equal(done(&again[0]), 1);
}

static void test_an_id_is_taken_once_until_ten_minutes_after_its_end(void **state)
{
    struct taken taken;

    (void)state;
    put("a", "1", 0);
    assert_true(is_new());
    put("a", "2", 0);
    assert_false(is_new());
    assert_int_equal(get(&taken, 1, 1000), 1);
    assert_string_equal(taken.id, "a");
    assert_string_equal(taken.body, "1");
    assert_int_equal(done(&taken), 1);
    fx_step_ms(fx, 599999);
    put("a", "3", 0);
    assert_false(is_new());
    fx_step_ms(fx, 1);
    put("a", "4", 0);
    assert_true(is_new());
    assert_int_equal(get(&taken, 1, 1000), 1);
    assert_string_equal(taken.body, "4");
    assert_int_equal(status_of("duplicates"), 2);
}

static void test_what_is_known_of_old_ids_goes(void **state)
{
    struct taken taken;
    char id[16];

    (void)state;
    for (int at = 0; at < 50; at++) {
        snprintf(id, sizeof(id), "i%d", at);
        put(id, "x", 0);
        assert_int_equal(get(&taken, 1, 1000), 1);
        assert_int_equal(done(&taken), 1);
    }
    fx_cold_restart(fx);
    client = fx_client(fx, 2);
    uint32_t rows = fx->row_count;
    fx_step_ms(fx, 700000);
    for (int at = 0; at < 20; at++)
        put("", "x", 0); /* without ids: they forget nothing */
    for (int at = 0; at < 20; at++) {
        assert_int_equal(get(&taken, 1, 1000), 1);
        assert_int_equal(done(&taken), 1);
    }
    fx_cold_restart(fx);
    assert_true(fx->row_count + 100 <= rows + 10);
}

static int64_t due(const char *id)
{
    int64_t due_ms = -1;

    send("due", "s", id);
    if (answer->status == STEAD_ENOTFOUND)
        return -1;
    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_i64(stead_message_payload(answer), NULL, &due_ms), 0);
    return due_ms;
}

static void test_it_is_known_when_a_delayed_message_can_be_seen_until_it_is_taken(void **state)
{
    struct taken list[8];
    int64_t then_ms = (int64_t)fx->now_ms + 1000;

    (void)state;
    put("later", "a", 1000);
    put("now", "b", 0);
    assert_int_equal(due("later"), then_ms);
    assert_int_equal(due("now"), 0);
    assert_int_equal(due("none"), -1);
    fx_step_ms(fx, 1000);
    assert_int_equal(due("later"), then_ms);
    assert_int_equal(get(list, 8, 60000), 2);
    assert_int_equal(due("later"), 0);
    assert_int_equal(done(&list[0]), 1);
    assert_int_equal(done(&list[1]), 1);
    assert_int_equal(due("later"), -1);
    put("nobody's", "c", 1000);
    send("cancel", "[s]", "nobody's");
    assert_int_equal(due("nobody's"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_cancelled_goes_and_its_neighbours_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_cancelled_before_it_could_be_taken_is_gone_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_behind_many_that_were_cancelled_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_was_put_back_is_known_by_its_own_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_id_is_taken_once_until_ten_minutes_after_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_known_of_old_ids_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_known_when_a_delayed_message_can_be_seen_until_it_is_taken, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
