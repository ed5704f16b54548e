/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of agents with conditions: what is met, what is shown, how far one page looks; held agents with those who wait
 * for them.
 */
#include "unit/runtime/host_client.h"

#include "runtime/query_where.h"

/* ---- Conditions ------------------------------------------------------------------------------------ */

/* Does {a: 5, f: 2.5, t: "mm", n: nil, y: true, big: 2^64-1} meet it? */
static int meets(const char *format, ...)
{
    struct stead_writer image, args;
    struct stead_where where;
    va_list list;

    stead_writer_init(&image);
    stead_writer_init(&args);
    stead_pack(&image, "{s:d,s:f,s:s,s:n,s:b,s:u}", "a", 5, "f", 2.5, "t", "mm", "n", "y", 1, "big", UINT64_MAX);
    va_start(list, format);
    stead_pack_v(&args, format, list);
    va_end(list);
    int code = stead_where_read(stead_written(&args), &where);
    if (code == 0)
        code = stead_where_meets(&where, stead_written(&image));
    stead_writer_deinit(&image);
    stead_writer_deinit(&args);
    return code;
}

static void test_condition_is_met_by_equal_values_and_ranges(void **state)
{
    (void)state;
    assert_int_equal(meets("{s:{s:d}}", "where", "a", 5), 1);
    assert_int_equal(meets("{s:{s:d}}", "where", "a", 6), 0);
    assert_int_equal(meets("{s:{s:f}}", "where", "a", 5.0), 1);
    assert_int_equal(meets("{s:{s:s}}", "where", "a", "5"), 0); /* another type */
    assert_int_equal(meets("{s:{s:d,s:s}}", "where", "a", 5, "t", "mm"), 1);
    assert_int_equal(meets("{s:{s:d,s:s}}", "where", "a", 5, "t", "m"), 0);
    assert_int_equal(meets("{s:{s:{s:d,s:d}}}", "where", "a", "from", 5, "below", 6), 1);
    assert_int_equal(meets("{s:{s:{s:d,s:d}}}", "where", "a", "from", 4, "below", 5), 0);
    assert_int_equal(meets("{s:{s:{s:f}}}", "where", "f", "from", 2.6), 0);
    assert_int_equal(meets("{s:{s:{s:s}}}", "where", "t", "below", "mn"), 1);
    assert_int_equal(meets("{s:{s:b}}", "where", "y", 1), 1);
    assert_int_equal(meets("{s:{s:b}}", "where", "y", 0), 0);
    assert_int_equal(meets("{s:{s:u}}", "where", "big", UINT64_MAX), 1);
    assert_int_equal(meets("{s:{s:{s:d}}}", "where", "big", "below", -1), 0);
    assert_int_equal(meets("{s:{s:n}}", "where", "n"), 1);
    assert_int_equal(meets("{s:{s:n}}", "where", "not_there"), 1);
    assert_int_equal(meets("{s:{s:d}}", "where", "not_there", 0), 0);
    assert_int_equal(meets("{s:{}}", "where"), 1);
}

static void test_malformed_conditions_are_refused(void **state)
{
    (void)state;
    assert_int_equal(meets("{s:d}", "where", 5), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:{s:[d]}}", "where", "a", 5), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:{s:{}}}", "where", "a"), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:{s:{s:d}}}", "where", "a", "above", 5), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:{s:{s:[d]}}}", "where", "a", "from", 5), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:s}", "fields", "a"), STEAD_EARGUMENT);
    assert_int_equal(meets("{s:[d]}", "fields", 5), STEAD_EARGUMENT);
}

/* ---- Lists ------------------------------------------------------------------------------------------ */

struct listing {
    uint32_t seen, pages;
    char last[64];         /* address */
    struct stead_slice at; /* the last agent, within `answer` */
    struct stead_message *answer;
};

/* Turns all pages of a query whose arguments are `rest`, the members of a map. */
static void list_all(struct fx *fx, struct fx_client *client, uint32_t members, struct stead_slice rest,
                     struct listing *it)
{
    char after[64] = "";

    memset(it, 0, sizeof *it);
    do {
        struct stead_writer args;
        struct stead_slice agents;
        uint32_t count;
        stead_writer_init(&args);
        stead_write_map(&args, members + 2);
        stead_write_str(&args, "limit"), stead_write_u64(&args, 10);
        stead_write_str(&args, "after"), stead_write_str(&args, after);
        stead_write_raw(&args, rest.data, rest.size);
        stead_message_destroy(&it->answer);
        it->answer = fx_query(fx, client, "", "agents", stead_written(&args));
        stead_writer_deinit(&args);
        assert_int_equal(it->answer->status, 0);
        assert_int_equal(stead_get_value(stead_message_payload(it->answer), "agents", &agents), 0);
        struct stead_reader reader = stead_reader(agents);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        for (; count > 0; count--, it->seen++) {
            char address[64];
            assert_int_equal(stead_read_value(&reader, &it->at), 0);
            assert_int_equal(stead_get_text(it->at, "address", address, sizeof address), 0);
            assert_true(strcmp(address, it->last) > 0);
            memcpy(it->last, address, sizeof address);
        }
        it->pages++;
        assert_true(it->pages < 1000);
    } while (stead_get_text(stead_message_payload(it->answer), "next", after, sizeof after) == 0);
}

static void list_where(struct fx *fx, struct fx_client *client, int64_t from, int64_t below, struct listing *it)
{
    struct stead_writer rest;

    stead_writer_init(&rest);
    stead_write_str(&rest, "where");
    stead_pack(&rest, "{s:{s:l,s:l}}", "value", "from", from, "below", below);
    stead_write_str(&rest, "fields");
    stead_pack(&rest, "[s,s]", "value", "not_there");
    list_all(fx, client, 2, stead_written(&rest), it);
    stead_writer_deinit(&rest);
}

static void fill(struct fx *fx, struct fx_client *client, const char *kind, const char *tag, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char address[64];
        snprintf(address, sizeof address, "%s/%s%03u", kind, tag, i);
        struct stead_message *message = fx_request(fx, client, STEAD_CALL, address, "add", fx_i64((int64_t)i), NULL);
        stead_host_deliver(fx->host, &message);
        fx_run(fx);
        assert_int_equal(fx_answer_i64(fx), i);
    }
}

static void test_list_with_conditions_shows_who_meets_them_and_their_fields(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    static const char *const kinds[] = {"d", "b", "e", "v"}; /* e: its newest state is in events */
    struct listing it;

    (void)state;
    for (uint32_t k = 0; k < 4; k++)
        fill(fx, &client, kinds[k], "", 30);
    for (int round = 0; round < 2; round++) {
        uint32_t kinds_left = round == 0 ? 4 : 3;
        list_where(fx, &client, 7, 19, &it);
        assert_int_equal(it.seen, 12 * kinds_left);
        struct stead_slice fields, value;
        int64_t number = 0;
        assert_int_equal(stead_get_value(it.at, "fields", &fields), 0);
        assert_int_equal(stead_get_i64(fields, "value", &number), 0);
        assert_int_equal(number, 18);
        assert_int_equal(stead_get_value(fields, "not_there", &value), STEAD_ENOTFOUND);
        stead_message_destroy(&it.answer);
        list_where(fx, &client, 100, 200, &it);
        assert_int_equal(it.seen, 0);
        stead_message_destroy(&it.answer);
        fx_cold_restart(fx);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

static void test_list_that_meets_few_comes_in_short_pages(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    struct listing it;

    (void)state;
    fill(fx, &client, "d", "{t}", 600); /* all in one slot */
    fill(fx, &client, "d", "{u}", 100);
    list_where(fx, &client, 1000, 2000, &it);
    assert_int_equal(it.seen, 0);
    assert_true(it.pages >= 5); /* no page looks at all of a slot */
    stead_message_destroy(&it.answer);
    list_where(fx, &client, 90, 110, &it);
    assert_int_equal(it.seen, 30);
    stead_message_destroy(&it.answer);
    fx_destroy(fx);
}

/* ---- Slices ----------------------------------------------------------------------------------------- */

static struct stead_message *start_list(struct fx *fx, struct fx_client *client, const char *kind)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "kind", kind, "limit", (uint64_t)10000);
    struct stead_message *message = fx_request(fx, client, STEAD_QUERY, "", "agents", stead_written(&args), NULL);
    stead_writer_deinit(&args);
    return message;
}

/* One round of the host. */
static bool run_once(struct fx *fx)
{
    stead_host_set_now(fx->host, fx->now_ns, fx->now_ms);
    bool more = stead_host_run(fx->host);
    stead_host_check(fx->host);
    return more;
}

static uint32_t count_listed(const struct stead_message *answer)
{
    struct stead_slice agents;
    uint32_t count = 0;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "agents", &agents), 0);
    struct stead_reader reader = stead_reader(agents);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    return count;
}

static void test_turns_run_between_the_slices_of_a_list(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fill(fx, &client, "d", "", 100);
    fill(fx, &client, "d", "{t}", 2500);
    fx_forget_outputs(fx);
    struct stead_message *message = start_list(fx, &client, "d");
    stead_host_deliver(fx->host, &message);
    assert_true(run_once(fx));
    assert_int_equal(fx->answers.count, 0); /* a slice is not all of it */
    assert_false(stead_host_idle(fx->host));
    fx_send(fx, &client, STEAD_CALL, "v/1", "add");
    message = fx->answers.head;
    assert_non_null(message);
    assert_int_equal(message->session.number, client.number); /* the call, though it was made later */
    fx_run(fx);
    struct stead_message *call = fx_answer(fx), *list = fx_answer(fx);
    assert_int_equal(count_listed(list), 2600);
    stead_message_destroy(&call);
    stead_message_destroy(&list);
    fx_destroy(fx);
}

#define STAY 4000u
#define GO 2000u /* together they nearly fill a map of 8,192: those that stay stand in long rows */

static void fill_at_once(struct fx *fx, struct fx_client *client, const char *kind, const char *tag, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char address[64];
        snprintf(address, sizeof address, "%s/%s%03u", kind, tag, i);
        struct stead_message *message = fx_request(fx, client, STEAD_CALL, address, "add", fx_i64(1), NULL);
        stead_host_deliver(fx->host, &message);
    }
    fx_run(fx);
    fx_forget_outputs(fx);
}

/* A list of STAY agents, in the middle of which, after `slices` of it, GO others are unloaded: they were there first,
 * so those that stay move into their places. */
static void list_while_others_go(uint32_t slices)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    uint64_t idle_ns = (uint64_t)(fx->settings.idle_ms_max + 2000) * 1000000u;

    fill_at_once(fx, &client, "f", "", GO);
    fill_at_once(fx, &client, "v", "", STAY);
    fx_forget_outputs(fx);
    struct stead_message *message = start_list(fx, &client, "v");
    stead_host_deliver(fx->host, &message);
    for (uint32_t i = 0; i < slices; i++)
        assert_true(run_once(fx));
    assert_int_equal(fx_stats(fx)->agents_resident, STAY + GO);
    fx->now_ns += idle_ns;
    (void)run_once(fx);
    assert_int_equal(fx_stats(fx)->agents_resident, STAY);
    fx_run(fx);
    message = fx_answer(fx);
    assert_int_equal(count_listed(message), STAY);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

static void test_list_of_volatile_agents_has_each_that_stays_while_others_go(void **state)
{
    (void)state;
    for (uint32_t slices = 1; slices < 14; slices++)
        list_while_others_go(slices);
}

static void test_list_under_way_is_refused_when_the_host_stops(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fill(fx, &client, "d", "{t}", 1500);
    fx_forget_outputs(fx);
    struct stead_message *message = start_list(fx, &client, "d");
    stead_host_deliver(fx->host, &message);
    assert_true(run_once(fx));
    stead_host_stop(fx->host);
    fx_run(fx);
    struct stead_message *answer = fx_answer(fx);
    assert_int_equal(answer->status, STEAD_EUNAVAILABLE);
    stead_message_destroy(&answer);
    fx_destroy(fx);
}

static void test_list_fails_when_the_disk_does(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);

    (void)state;
    fill(fx, &client, "d", "", 5);
    fx_forget_outputs(fx);
    fx->io_error = true;
    struct stead_message *answer = fx_query(fx, &client, "", "agents", (struct stead_slice){0});
    assert_int_equal(answer->status, STEAD_EIO);
    stead_message_destroy(&answer);
    fx->io_error = false;
    fx_destroy(fx);
}

/* ---- Held ---------------------------------------------------------------------------------------------- */

static char room[64], anna[64], bert[64];

static int call_hold(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_call_options options = {.reply_op = "reply", .timeout_ms = STEAD_TIMEOUT_NEVER};

    (void)state, (void)args;
    return stead_call(turn, room, STEAD_OP_HOLD, (struct stead_slice){0}, &options);
}

static void test_held_agents_are_listed_with_those_who_wait(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    static const uint8_t held[] = {0xa4, 'h', 'e', 'l', 'd', 0xc3};
    struct listing it;

    (void)state;
    fx_do[0] = call_hold;
    fx_address(room, "d", 1, 1), fx_address(anna, "d", 1, 2), fx_address(bert, "d", 1, 3);
    fill(fx, &client, "e", "", 20);
    assert_int_equal(fx_call(fx, &client, anna, "do"), 0);
    assert_int_equal(fx_call(fx, &client, bert, "do"), 0);
    fx_send(fx, &client, STEAD_CALL, room, "add"); /* waits too, and has no name */
    for (int round = 0; round < 2; round++) {
        struct stead_slice lock, waits, name;
        uint64_t number = 0;
        uint32_t count;
        list_all(fx, &client, 1, stead_bytes(held, sizeof held), &it);
        assert_int_equal(it.seen, 1);
        assert_string_equal(it.last, room);
        assert_int_equal(stead_get_value(it.at, "lock", &lock), 0);
        assert_int_equal(stead_get_str(lock, "holder", &name), 0);
        assert_true(stead_slice_equal(name, stead_str(anna)));
        assert_int_equal(stead_get_u64(lock, "fence", &number), 0);
        assert_int_equal(number, 1);
        assert_int_equal(stead_get_u64(lock, "waiting", &number), 0);
        assert_int_equal(number, 2 - round); /* the client's is gone with the process */
        assert_int_equal(stead_get_value(lock, "waits", &waits), 0);
        struct stead_reader reader = stead_reader(waits);
        assert_int_equal(stead_read_array(&reader, &count), 0);
        assert_int_equal(count, 1);
        assert_int_equal(stead_read_str(&reader, &name), 0);
        assert_true(stead_slice_equal(name, stead_str(bert)));
        stead_message_destroy(&it.answer);
        fx_cold_restart(fx);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_is_met_by_equal_values_and_ranges),
        cmocka_unit_test(test_malformed_conditions_are_refused),
        cmocka_unit_test(test_list_with_conditions_shows_who_meets_them_and_their_fields),
        cmocka_unit_test(test_list_that_meets_few_comes_in_short_pages),
        cmocka_unit_test(test_turns_run_between_the_slices_of_a_list),
        cmocka_unit_test(test_list_of_volatile_agents_has_each_that_stays_while_others_go),
        cmocka_unit_test(test_list_under_way_is_refused_when_the_host_stops),
        cmocka_unit_test(test_list_fails_when_the_disk_does),
        cmocka_unit_test(test_held_agents_are_listed_with_those_who_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
