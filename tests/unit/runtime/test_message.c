/* SPDX-License-Identifier: Apache-2.0 */
/* message: parts in place, copies that stand alone, answers that find their way back, pools that keep what fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/message.h"

static const struct stead_message_parts no_parts;

static struct stead_message *request_from(const char *source)
{
    struct stead_message_parts parts = {
        .address = stead_str("counter/alice"),
        .source = stead_str(source),
        .op = stead_str("add"),
        .key = stead_str("once"),
        .payload = stead_bytes("\x05", 1),
    };
    struct stead_message *message = stead_message_create(STEAD_CALL, &parts);
    message->id.v[3] = 7;
    message->slot = (stead_slot){0x0123};
    message->source_slot = (stead_slot){0x0456};
    return message;
}

static void test_message_create_puts_the_parts_in_place(void **state)
{
    struct stead_message *message = request_from("counter/bob");
    (void)state;
    assert_int_equal(message->type, STEAD_CALL);
    assert_string_equal(message->address, "counter/alice");
    assert_string_equal(message->source, "counter/bob");
    assert_string_equal(message->op, "add");
    assert_string_equal(message->key, "once");
    assert_int_equal(message->address_size, 13);
    assert_int_equal(message->source_size, 11);
    assert_int_equal(message->op_size, 3);
    assert_int_equal(message->key_size, 4);
    assert_true(stead_slice_equal(stead_message_payload(message), stead_bytes("\x05", 1)));
    assert_int_equal(message->groups, 0);
    assert_int_equal(message->status, 0);
    assert_true(message->next == NULL && message->target == NULL && message->deadline_ms == 0);
    stead_message_destroy(&message);
    assert_null(message);
}

static void test_message_create_without_parts_has_empty_texts(void **state)
{
    struct stead_message *message = stead_message_create(STEAD_HEARTBEAT, &no_parts);
    (void)state;
    assert_string_equal(message->address, "");
    assert_string_equal(message->source, "");
    assert_string_equal(message->op, "");
    assert_string_equal(message->key, "");
    assert_int_equal(stead_message_payload(message).size, 0);
    stead_message_destroy(&message);
}

static void test_message_copy_stands_alone(void **state)
{
    struct stead_message *message = request_from("counter/bob"), *copy;
    (void)state;
    message->next = message;
    message->target = message;
    message->groups = STEAD_GROUP_CLOCK;
    message->clock = 99;
    copy = stead_message_copy(message);
    stead_message_destroy(&message);
    assert_true(copy->next == NULL && copy->target == NULL);
    assert_string_equal(copy->address, "counter/alice");
    assert_string_equal(copy->source, "counter/bob");
    assert_string_equal(copy->op, "add");
    assert_string_equal(copy->key, "once");
    assert_true(stead_slice_equal(stead_message_payload(copy), stead_bytes("\x05", 1)));
    assert_int_equal(copy->clock, 99);
    assert_int_equal(copy->id.v[3], 7);
    stead_message_destroy(&copy);
}

static void test_answer_to_an_agent_goes_to_its_address(void **state)
{
    struct stead_message *request = request_from("counter/bob"), *answer;
    (void)state;
    request->groups = STEAD_GROUP_INCARNATION | STEAD_GROUP_FENCE | STEAD_GROUP_CHANNEL;
    request->incarnation = 3;
    answer = stead_message_answer(request, 0, NULL, stead_bytes("\x06", 1));
    assert_int_equal(answer->type, STEAD_ANSWER);
    assert_string_equal(answer->address, "counter/bob");
    assert_string_equal(answer->source, "counter/alice");
    assert_int_equal(answer->slot.v, 0x0456);
    assert_int_equal(answer->source_slot.v, 0x0123);
    assert_true(stead_id_equal(answer->id, request->id));
    assert_int_equal(answer->groups, STEAD_GROUP_INCARNATION); /* a channel and a fence are the request's own */
    assert_int_equal(answer->incarnation, 3);
    assert_true(stead_slice_equal(stead_message_payload(answer), stead_bytes("\x06", 1)));
    stead_message_destroy(&request);
    stead_message_destroy(&answer);
}

static void test_answer_to_a_client_carries_its_session_and_route(void **state)
{
    struct stead_message *request = request_from(""), *answer;
    (void)state;
    request->groups = STEAD_GROUP_SESSION | STEAD_GROUP_ROUTE | STEAD_GROUP_TRACE;
    request->session.number = 12;
    request->route = (struct stead_route){2, 1, 77};
    request->trace.span = 5;
    answer = stead_message_answer(request, 0, NULL, (struct stead_slice){0});
    assert_int_equal(answer->slot.v, STEAD_SLOT_SESSION);
    assert_int_equal(answer->groups, STEAD_GROUP_SESSION | STEAD_GROUP_ROUTE | STEAD_GROUP_TRACE);
    assert_int_equal(answer->session.number, 12);
    assert_int_equal(answer->route.node, 2);
    assert_int_equal(answer->route.connection, 77);
    assert_int_equal(answer->trace.span, 5);
    assert_int_equal(answer->address_size, 0);
    stead_message_destroy(&answer);

    request->source_slot = (stead_slot){STEAD_SLOT_NODE}; /* a node that asks keeps its own slot */
    answer = stead_message_answer(request, 0, NULL, (struct stead_slice){0});
    assert_int_equal(answer->slot.v, STEAD_SLOT_NODE);
    stead_message_destroy(&answer);
    stead_message_destroy(&request);
}

static void test_answer_with_an_error_says_who_and_why(void **state)
{
    struct stead_message *request = request_from("counter/bob"), *answer;
    struct stead_answer_error error = {.name = "overdrawn", .sentence = "the balance is 3"};
    char text[64];
    (void)state;

    answer = stead_message_answer(request, STEAD_EFAILED, &error, stead_bytes("\x06", 1));
    assert_int_equal(answer->status, STEAD_EFAILED);
    struct stead_slice payload = stead_message_payload(answer);
    assert_int_equal(stead_value_check(payload), 0);
    assert_int_equal(stead_get_text(payload, "name", text, sizeof text), 0);
    assert_string_equal(text, "overdrawn");
    assert_int_equal(stead_get_text(payload, "sentence", text, sizeof text), 0);
    assert_string_equal(text, "the balance is 3");
    assert_int_equal(stead_get_text(payload, "agent", text, sizeof text), 0);
    assert_string_equal(text, "counter/alice");
    assert_int_equal(stead_get_text(payload, "op", text, sizeof text), 0);
    assert_string_equal(text, "add");
    stead_message_destroy(&answer);

    answer = stead_message_answer(request, STEAD_EBUSY, NULL, (struct stead_slice){0});
    assert_int_equal(stead_get_text(stead_message_payload(answer), "name", text, sizeof text), 0);
    assert_string_equal(text, "busy");
    stead_message_destroy(&answer);
    stead_message_destroy(&request);
}

static void test_pool_keeps_small_blocks_and_frees_large_ones(void **state)
{
    static const uint8_t large[2000];
    struct stead_message_pool pool = {0};
    struct stead_message_parts parts = {.address = stead_str("a/b")};
    struct stead_message *message = stead_message_create(STEAD_TELL, &parts), *first = message;
    (void)state;

    assert_int_equal(message->block_size, STEAD_MESSAGE_SMALL);
    message->depends_on = 99;
    stead_message_destroy_in(&pool, &message);
    assert_null(message);
    assert_int_equal(pool.count, 1);

    message = stead_message_create_in(&pool, STEAD_TELL, &parts);
    assert_ptr_equal(message, first);
    assert_int_equal(pool.count, 0);
    assert_int_equal(message->depends_on, 0); /* nothing of its earlier life */
    assert_null(message->next);

    parts.payload = stead_bytes(large, sizeof large);
    struct stead_message *big = stead_message_create_in(&pool, STEAD_TELL, &parts);
    assert_true(big->block_size > sizeof large);
    stead_message_destroy_in(&pool, &big);
    assert_null(big);
    assert_int_equal(pool.count, 0);

    stead_message_destroy_in(&pool, &message);
    stead_message_destroy_in(&pool, &message); /* NULL is fine */
    stead_message_pool_deinit(&pool);
    assert_true(pool.count == 0 && pool.free == NULL);
}

static void test_pool_that_is_full_gives_blocks_back(void **state)
{
    struct stead_message_pool pool = {0};
    struct stead_message *list = NULL;
    (void)state;
    for (uint32_t i = 0; i < STEAD_MESSAGE_POOL_MAX + 10; i++) {
        struct stead_message *message = stead_message_create(STEAD_TELL, &no_parts);
        message->next = list;
        list = message;
    }
    while (list != NULL) {
        struct stead_message *message = list;
        list = message->next;
        stead_message_destroy_in(&pool, &message);
    }
    assert_int_equal(pool.count, STEAD_MESSAGE_POOL_MAX);
    stead_message_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_create_puts_the_parts_in_place),
        cmocka_unit_test(test_message_create_without_parts_has_empty_texts),
        cmocka_unit_test(test_message_copy_stands_alone),
        cmocka_unit_test(test_answer_to_an_agent_goes_to_its_address),
        cmocka_unit_test(test_answer_to_a_client_carries_its_session_and_route),
        cmocka_unit_test(test_answer_with_an_error_says_who_and_why),
        cmocka_unit_test(test_pool_keeps_small_blocks_and_frees_large_ones),
        cmocka_unit_test(test_pool_that_is_full_gives_blocks_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
