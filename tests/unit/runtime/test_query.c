/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries: show, journal, agents, deadletters. (unlock and the handling of letters are tested with taking.)
 */
#include "unit/runtime/host_client.h"

static struct stead_slice field(const struct stead_message *answer, const char *name)
{
    struct stead_slice value;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), name, &value), 0);
    return value;
}

/* A reader over the elements of a list. */
static struct stead_reader elements(const struct stead_message *answer, const char *name, uint32_t *ret_count)
{
    struct stead_reader reader = stead_reader(field(answer, name));

    assert_int_equal(stead_read_array(&reader, ret_count), 0);
    return reader;
}

static void expect_text(struct stead_slice map, const char *name, const char *expected)
{
    char text[128];

    assert_int_equal(stead_get_text(map, name, text, sizeof(text)), 0);
    assert_string_equal(text, expected);
}

/* ---- show ------------------------------------------------------------------------------------------ */

static int set_things(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence;

    (void)args;
    snprintf(((struct puppet *)state)->text, 64, "hello");
    assert_int_equal(stead_timer_every(turn, "tick", 60000, "add", (struct stead_slice){0}), 0);
    return stead_hold(turn, "d/holder", &fence);
}

static void expect_shown(struct fx *fx, struct fx_client *client, const char *address, bool resident)
{
    struct stead_message *answer = fx_query(fx, client, address, "show", (struct stead_slice){0});
    struct stead_slice timer;
    uint32_t count;
    bool flag;

    expect_text(stead_message_payload(answer), "address", address);
    expect_text(stead_message_payload(answer), "kind", "d");
    expect_text(stead_message_payload(answer), "node", "n1");
    expect_text(field(answer, "state"), "text", "hello");
    expect_text(field(answer, "lock"), "holder", "d/holder");
    struct stead_reader timers = elements(answer, "timers", &count);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&timers, &timer), 0);
    expect_text(timer, "name", "tick");
    assert_int_equal(stead_get_bool(stead_message_payload(answer), "resident", &flag), 0);
    assert_int_equal(flag, resident);
    assert_int_equal(stead_get_bool(stead_message_payload(answer), "exists", &flag), 0);
    assert_true(flag);
    stead_message_destroy(&answer);
}

static void test_show_sees_an_agent_in_memory_and_on_disk(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = set_things;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    expect_shown(fx, &client, a, true);
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    expect_shown(fx, &client, a, false); /* and looking does not bring it in */
    expect_shown(fx, &client, a, false);
    fx_destroy(fx);
}

static void test_show_of_nobody_says_that_it_does_not_exist(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    bool exists = true;

    (void)state;
    struct stead_message *answer = fx_query(fx, &client, fx_address(a, "d", 1, 0), "show", (struct stead_slice){0});
    assert_int_equal(stead_get_bool(stead_message_payload(answer), "exists", &exists), 0);
    assert_false(exists);
    stead_message_destroy(&answer);
    answer = fx_query(fx, &client, a, "nonsense", (struct stead_slice){0});
    assert_int_equal(answer->status, STEAD_EOP);
    stead_message_destroy(&answer);
    fx_destroy(fx);
}

/* ---- journal --------------------------------------------------------------------------------------- */

static void test_journal_pages_back_through_every_turn(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64];
    uint64_t before = 0;
    uint32_t seen = 0;

    (void)state;
    fx_address(a, "d", 1, 0);
    for (uint32_t i = 0; i < 30; i++) {
        fx_send(fx, &client, i % 2 == 0 ? STEAD_CALL : STEAD_SIGNAL, a, "add");
        fx_send(fx, &client, STEAD_CALL, fx_address(b, "d", 1, 1 + i % 3), "add");
        if (i % 11 == 10)
            fx_crash(fx, true);
    }
    fx_forget_outputs(fx);
    do {
        struct stead_writer args;
        uint32_t count;
        uint64_t index, last = UINT64_MAX;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u}", "limit", (uint64_t)7, "before", before);
        struct stead_message *answer = fx_query(fx, &client, a, "journal", stead_written(&args));
        stead_writer_deinit(&args);
        struct stead_reader turns = elements(answer, "turns", &count);
        for (uint32_t i = 0; i < count; i++) {
            struct stead_slice turn;
            assert_int_equal(stead_read_value(&turns, &turn), 0);
            expect_text(turn, "op", "add");
            expect_text(turn, "cause", (29 - seen) % 2 == 0 ? "call" : "signal");
            assert_int_equal(stead_get_u64(turn, "index", &index), 0);
            assert_true(index < last); /* newest first */
            last = index;
            seen++;
        }
        before = 0;
        (void)!stead_get_u64(stead_message_payload(answer), "before", &before);
        stead_message_destroy(&answer);
    } while (before != 0);
    assert_int_equal(seen, 30);
    fx_destroy(fx);
}

static void test_journal_shows_two_turns_of_one_entry_once_each(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    uint32_t count;

    (void)state;
    assert_int_equal(fx_call_i64(fx, &client, fx_address(a, "d", 1, 0), "add"), 1);
    for (int i = 0; i < 2; i++) {
        struct stead_message *message = fx_request(fx, &client, STEAD_CALL, a, "add", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &message);
    }
    fx_run(fx);
    fx_forget_outputs(fx);
    struct stead_message *answer = fx_query(fx, &client, a, "journal", (struct stead_slice){0});
    (void)elements(answer, "turns", &count);
    assert_int_equal(count, 3);
    stead_message_destroy(&answer);
    fx_destroy(fx);
}

static void test_journal_of_a_turn_on_its_way_waits_for_it(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    uint32_t count;

    (void)state;
    fx->hold_sync = true;
    fx_send(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "add");
    struct stead_message *query = fx_request(fx, &client, STEAD_QUERY, a, "journal", (struct stead_slice){0}, NULL);
    fx_deliver(fx, query);
    assert_null(fx->answers.head);
    fx->hold_sync = false;
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), 0);
    struct stead_message *answer = fx_answer(fx);
    (void)elements(answer, "turns", &count);
    assert_int_equal(count, 1);
    stead_message_destroy(&answer);
    stead_message_destroy(&query);
    fx_destroy(fx);
}

/* ---- agents ---------------------------------------------------------------------------------------- */

/* Lists page by page; the number of agents, in order and each once. */
static uint32_t list_agents(struct fx *fx, struct fx_client *client, const char *kind, const char *prefix)
{
    char after[64] = "", last[64] = "";
    uint32_t seen = 0;
    bool more = true;

    while (more) {
        struct stead_writer args;
        uint32_t count;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:s,s:s,s:s}", "limit", (uint64_t)7, "kind", kind, "prefix", prefix, "after",
                   after[0] != '\0' ? after : NULL);
        struct stead_message *answer = fx_query(fx, client, "", "agents", stead_written(&args));
        stead_writer_deinit(&args);
        struct stead_reader agents = elements(answer, "agents", &count);
        for (uint32_t i = 0; i < count; i++) {
            struct stead_slice agent;
            char address[64];
            assert_int_equal(stead_read_value(&agents, &agent), 0);
            assert_int_equal(stead_get_text(agent, "address", address, sizeof(address)), 0);
            assert_true(strcmp(last, address) < 0);
            memcpy(last, address, sizeof(last));
            seen++;
        }
        more = stead_get_text(stead_message_payload(answer), "next", after, sizeof(after)) == 0;
        stead_message_destroy(&answer);
    }
    return seen;
}

static void test_agents_are_listed_in_order_by_page_kind_and_prefix(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(a, sizeof(a), "%s/k%02u", i % 4 == 0 ? "e" : "d", i);
        assert_int_equal(fx_call_i64(fx, &client, a, "add"), 1);
    }
    assert_int_equal(fx_call_i64(fx, &client, "v/1", "add"), 1);
    assert_int_equal(fx_call(fx, &client, "d/k01", "destroy"), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(list_agents(fx, &client, NULL, NULL), 40 - round); /* the volatile one is gone */
        assert_int_equal(list_agents(fx, &client, "d", NULL), 29);
        assert_int_equal(list_agents(fx, &client, "e", NULL), 10);
        assert_int_equal(list_agents(fx, &client, NULL, "d/k0"), 6);
        assert_int_equal(list_agents(fx, &client, "e", "d/k0"), 0);
        fx_cold_restart(fx);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

/* ---- deadletters ------------------------------------------------------------------------------------ */

static void test_letters_of_everybody_are_listed(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    char a[64];
    uint32_t count;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct stead_message *message = fx_request(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1 + i % 2, i), "add",
                                                   stead_bytes("\xa1x", 2), NULL);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    }
    struct stead_message *answer = fx_query(fx, &client, "", "deadletters", (struct stead_slice){0});
    struct stead_reader letters = elements(answer, "letters", &count);
    assert_int_equal(count, 3);
    struct stead_slice letter, error;
    assert_int_equal(stead_read_value(&letters, &letter), 0);
    expect_text(letter, "op", "add");
    assert_int_equal(stead_get_value(letter, "error", &error), 0);
    expect_text(error, "name", "bad_by");
    expect_text(error, "sentence", "not a number");
    stead_message_destroy(&answer);
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_show_sees_an_agent_in_memory_and_on_disk),
        cmocka_unit_test(test_show_of_nobody_says_that_it_does_not_exist),
        cmocka_unit_test(test_journal_pages_back_through_every_turn),
        cmocka_unit_test(test_journal_shows_two_turns_of_one_entry_once_each),
        cmocka_unit_test(test_journal_of_a_turn_on_its_way_waits_for_it),
        cmocka_unit_test(test_agents_are_listed_in_order_by_page_kind_and_prefix),
        cmocka_unit_test(test_letters_of_everybody_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
