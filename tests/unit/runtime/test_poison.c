/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poison beside what test_dead_letters.c tries: kinds that take it, and that what kills the process is known again by
 * its id.
 */
#include "unit/runtime/host_client.h"

static uint32_t told_kills, ran;
static const char *target; /* of the relay */

static int relay_signal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, target, "do3", args);
}

static int note_kills(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    told_kills = stead_poison_kills(turn);
    ran++;
    return 0;
}

static void test_kind_that_takes_poison_is_told_before_it_is_set_aside(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    uint32_t most = fx->settings.poison_kills_max;
    char a[64];

    (void)state;
    for (uint32_t kills = most - 1; kills <= 2 * most; kills++) {
        struct stead_message *message =
            fx_request(fx, &client, STEAD_CALL, fx_address(a, "slow", 1, 0), "do3", fx_i64(1), NULL);
        ran = 0, told_kills = 99;
        fx_do[2] = note_kills;
        stead_host_suspect(fx->host, message->id, kills);
        fx_deliver(fx, message);
        assert_int_equal(fx_answer_status(fx), kills < 2 * most ? 0 : STEAD_EPOISON);
        assert_int_equal(ran, kills < 2 * most);
        assert_int_equal(told_kills, kills < most ? 0 : kills < 2 * most ? kills : 99);
        stead_message_destroy(&message);
    }
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1);
    fx_destroy(fx);
}

static struct fx *marked_host;
static struct stead_id marks[3]; /* before, for a subject, and after */
static char blamed_text[80];
static uint32_t blamed_kills;

static int work_for_somebody(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct fx *fx = marked_host;

    (void)state, (void)args;
    marks[0] = fx->mark.id;
    blamed_kills = stead_blamed(turn, stead_str("somebody"));
    stead_blame(turn, stead_str("somebody"));
    marks[1] = fx->mark.id;
    snprintf(blamed_text, sizeof(blamed_text), "%.*s", (int)fx->mark.address.size, (const char *)fx->mark.address.data);
    stead_blame(turn, (struct stead_slice){0});
    marks[2] = fx->mark.id;
    return 0;
}

static void test_turn_that_works_for_somebody_is_marked_so_and_knows_what_that_has_done(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    struct stead_id somebody = stead_subject_id(stead_str("somebody"), (struct stead_slice){0});
    char a[64];

    (void)state;
    marked_host = fx;
    fx_do[2] = work_for_somebody;
    for (uint32_t kills = 2; kills <= 3; kills++) {
        struct stead_message *message =
            fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "do3", fx_i64(1), NULL);
        fx_deliver(fx, message);
        assert_int_equal(fx_answer_status(fx), 0);
        assert_memory_equal(marks[0].v, message->id.v, sizeof(marks[0].v));
        assert_memory_equal(marks[1].v, somebody.v, sizeof(somebody.v));
        assert_memory_equal(marks[2].v, message->id.v, sizeof(marks[2].v));
        assert_string_equal(blamed_text, "somebody");
        assert_false(fx->marked);
        assert_int_equal(blamed_kills, kills == 3 ? 3 : 0);
        stead_message_destroy(&message);
        stead_host_suspect(fx->host, somebody, 3); /* from the next start on */
    }
    fx_destroy(fx);
}

static void test_after_a_death_no_turn_builds_on_an_unsynced_one_for_a_while(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];

    (void)state;
    target = fx_address(a, "d", 1, 0);
    fx_do[0] = relay_signal, fx_do[2] = note_kills;
    stead_host_suspect(fx->host, (struct stead_id){{1}}, 1);
    for (int wary = 1; wary >= 0; wary--) {
        ran = 0;
        fx->hold_sync = true;
        struct stead_message *signal =
            fx_request(fx, &client, STEAD_SIGNAL, fx_address(b, "d", 1, 1), "do", fx_i64(5), NULL);
        fx_deliver(fx, signal);
        stead_message_destroy(&signal);
        assert_int_equal(ran, !wary);
        fx->hold_sync = false;
        fx_run(fx);
        assert_int_equal(ran, 1);
        fx_step_ms(fx, 11000);
    }
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn_that_works_for_somebody_is_marked_so_and_knows_what_that_has_done),
        cmocka_unit_test(test_kind_that_takes_poison_is_told_before_it_is_set_aside),
        cmocka_unit_test(test_after_a_death_no_turn_builds_on_an_unsynced_one_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
