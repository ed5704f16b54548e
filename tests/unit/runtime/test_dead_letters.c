/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dead letters: what becomes one, and what their retry does; poison.
 */
#include "unit/runtime/host_client.h"

static char order[64];     /* what ran, in order */
static const char *target; /* of the ops below that send */

/* Appends its argument's digit to `order`. */
static int record(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t digit = 0;

    (void)state, (void)turn;
    assert_int_equal(stead_get_i64(args, NULL, &digit), 0);
    size_t size = strlen(order);
    assert_true(size + 1 < sizeof(order));
    order[size] = (char)('0' + digit);
    order[size + 1] = '\0';
    return 0;
}

static void send_keyed_digit(struct fx *fx, struct fx_client *client, enum stead_message_type type, const char *address,
                             const char *op, int64_t digit, const char *key)
{
    struct stead_message *message = fx_request(fx, client, type, address, op, fx_i64(digit), key);

    stead_host_deliver(fx->host, &message);
    fx_run(fx);
}

static void send_digit(struct fx *fx, struct fx_client *client, enum stead_message_type type, const char *address,
                       const char *op, int64_t digit)
{
    send_keyed_digit(fx, client, type, address, op, digit, NULL);
}

static int relay_signal(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state;
    return stead_signal(turn, target, "do3", args);
}

static int set_timer(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_timer_after(turn, "t", 1000, "do3", stead_packed(turn, "l", (int64_t)7));
}

static int fail_odd(struct stead_turn *turn, void *state, struct stead_slice args)
{
    int64_t digit = 0;

    assert_int_equal(stead_get_i64(args, NULL, &digit), 0);
    return digit % 2 != 0 ? stead_fail(turn, "odd", "%d is odd", (int)digit) : record(turn, state, args);
}

/* The first letter of the agent's list: its id, 0 when there is none. */
static uint64_t first_letter(struct fx *fx, struct fx_client *client, const char *address, char *name)
{
    struct stead_message *answer = fx_query(fx, client, address, "deadletters", (struct stead_slice){0});
    struct stead_slice letters, letter, error;
    uint32_t count;
    uint64_t id = 0;

    assert_int_equal(answer->status, 0);
    assert_int_equal(stead_get_value(stead_message_payload(answer), "letters", &letters), 0);
    struct stead_reader reader = stead_reader(letters);
    assert_int_equal(stead_read_array(&reader, &count), 0);
    if (count > 0) {
        assert_int_equal(stead_read_value(&reader, &letter), 0);
        assert_int_equal(stead_get_u64(letter, "id", &id), 0);
        assert_int_equal(stead_get_value(letter, "error", &error), 0);
        assert_int_equal(stead_get_text(error, "name", name, 32), 0);
    }
    stead_message_destroy(&answer);
    return id;
}

static int letter_action(struct fx *fx, struct fx_client *client, const char *address, const char *action, uint64_t id)
{
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "action", action, "id", id);
    struct stead_message *answer = fx_query(fx, client, address, "deadletters", stead_written(&args));
    int status = answer->status;
    stead_writer_deinit(&args);
    stead_message_destroy(&answer);
    return status;
}

static void test_failed_signal_is_a_dead_letter_to_be_retried_or_dropped(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], b[64], name[32];

    (void)state;
    order[0] = '\0';
    target = fx_address(a, "d", 1, 0);
    fx_do[0] = relay_signal, fx_do[2] = fail_odd;
    send_digit(fx, &client, STEAD_SIGNAL, a, "do3", 3); /* of a client: told, and kept */
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    send_digit(fx, &client, STEAD_SIGNAL, fx_address(b, "d", 1, 1), "do", 5);
    assert_int_equal(fx_answer_status(fx), 0);
    fx_crash(fx, true);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 2);
    uint64_t id = first_letter(fx, &client, a, name);
    assert_string_equal(name, "odd");
    assert_int_equal(letter_action(fx, &client, a, "drop", id + 1000), STEAD_ENOTFOUND);
    assert_int_equal(letter_action(fx, &client, a, "drop", id), 0);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1);
    fx_do[2] = record; /* the op was mended */
    fx_cold_restart(fx);
    id = first_letter(fx, &client, a, name);
    assert_int_equal(letter_action(fx, &client, a, "retry", id), 0);
    assert_string_equal(order, "5");
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 0);
    fx_destroy(fx);
}

static void test_retried_letter_is_not_lost_while_its_agent_loads(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];

    (void)state;
    order[0] = '\0';
    fx_do[2] = fail_odd;
    send_digit(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", 3);
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    fx_do[2] = record;
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    uint64_t id = first_letter(fx, &client, a, name);
    fx->hold_loads = true;
    assert_int_equal(letter_action(fx, &client, a, "retry", id), 0);
    assert_string_equal(order, "");
    fx->hold_loads = false;
    fx_crash(fx, true);
    fx_run(fx);
    assert_string_equal(order, "3");
    fx_destroy(fx);
}

static void test_retried_letter_with_a_key_runs(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];

    (void)state;
    order[0] = '\0';
    fx_do[2] = fail_odd;
    send_keyed_digit(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", 3, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    assert_int_equal(letter_action(fx, &client, a, "retry", first_letter(fx, &client, a, name)), 0);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1); /* it failed again */
    fx_do[2] = record;
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    assert_int_equal(letter_action(fx, &client, a, "retry", first_letter(fx, &client, a, name)), 0);
    assert_string_equal(order, "3");
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 0);
    /* What its sender was told stays what the key tells. */
    send_keyed_digit(fx, &client, STEAD_SIGNAL, a, "do3", 3, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    assert_string_equal(order, "3");
    fx_destroy(fx);
}

static void test_retried_letter_with_a_key_is_kept_while_its_agent_loads(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];

    (void)state;
    order[0] = '\0';
    fx_do[2] = fail_odd;
    send_keyed_digit(fx, &client, STEAD_SIGNAL, fx_address(a, "d", 1, 0), "do3", 3, "k");
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    fx_do[2] = record;
    fx_cold_restart(fx);
    fx_forget_outputs(fx);
    uint64_t id = first_letter(fx, &client, a, name);
    fx->hold_loads = true;
    assert_int_equal(letter_action(fx, &client, a, "retry", id), 0);
    fx->hold_loads = false;
    fx_crash(fx, true);
    fx_run(fx);
    assert_string_equal(order, "3");
    fx_destroy(fx);
}

static void test_retried_call_with_a_key_that_was_poison_runs(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(5), "k");

    (void)state;
    stead_host_suspect(fx->host, message->id, fx->settings.poison_kills_max);
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), STEAD_EPOISON);
    fx_cold_restart(fx); /* whose op was mended */
    fx_forget_outputs(fx);
    assert_int_equal(letter_action(fx, &client, a, "retry", first_letter(fx, &client, a, name)), 0);
    assert_int_equal(fx_call_i64(fx, &client, a, "get"), 5);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 0);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

static void test_message_that_kills_the_process_is_set_aside(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];
    struct stead_message *message =
        fx_request(fx, &client, STEAD_CALL, fx_address(a, "d", 1, 0), "add", fx_i64(1), NULL);

    (void)state;
    stead_host_suspect(fx->host, message->id, fx->settings.poison_kills_max);
    fx_deliver(fx, message);
    assert_int_equal(fx_answer_status(fx), STEAD_EPOISON);
    fx_deliver(fx, message); /* one letter, however often it is sent */
    assert_int_equal(fx_answer_status(fx), STEAD_EPOISON);
    assert_true(first_letter(fx, &client, a, name) != 0);
    assert_string_equal(name, "poison");
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 1);
    struct stead_message *other = fx_request(fx, &client, STEAD_CALL, a, "add", fx_i64(1), NULL);
    stead_host_suspect(fx->host, other->id, fx->settings.poison_kills_max - 1);
    fx_deliver(fx, other);
    assert_int_equal(fx_answer_i64(fx), 1);
    stead_message_destroy(&other);
    stead_message_destroy(&message);
    fx_destroy(fx);
}

static void test_timer_that_kills_the_process_is_set_aside(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    char a[64], name[32];
    struct stead_id id;

    (void)state;
    order[0] = '\0';
    fx_do[0] = set_timer, fx_do[2] = record;
    assert_int_equal(fx_call(fx, &client, fx_address(a, "d", 1, 0), "do"), 0);
    fx->hold_sync = true;
    fx_step_ms(fx, 1000);
    assert_string_equal(order, "7");
    id = fx->mark.id; /* what the process died of */
    fx->hold_sync = false;
    fx_crash(fx, true);
    stead_host_suspect(fx->host, id, fx->settings.poison_kills_max);
    fx_run(fx);
    assert_string_equal(order, "7");
    assert_true(first_letter(fx, &client, a, name) != 0);
    assert_string_equal(name, "poison");
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failed_signal_is_a_dead_letter_to_be_retried_or_dropped),
        cmocka_unit_test(test_retried_letter_is_not_lost_while_its_agent_loads),
        cmocka_unit_test(test_retried_letter_with_a_key_runs),
        cmocka_unit_test(test_retried_letter_with_a_key_is_kept_while_its_agent_loads),
        cmocka_unit_test(test_retried_call_with_a_key_that_was_poison_runs),
        cmocka_unit_test(test_message_that_kills_the_process_is_set_aside),
        cmocka_unit_test(test_timer_that_kills_the_process_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
