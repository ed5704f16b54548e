/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public headers as a C++ program sees them: every one included, the macros that make tables used as a user would, and functions of each
 * header called, so that their names are linked as C names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

extern "C" {
#include <cmocka.h>
}

#include "stead/agent.h"
#include "stead/client.h"
#include "stead/error.h"
#include "stead/orchestration_client.h"
#include "stead/stead.h"
#include "stead/value.h"

namespace
{

struct point {
    double x;
};

struct meter {
    int64_t total;
    char unit[16];
    struct stead_buffer note;
    struct point at;
    struct point track[4];
    uint32_t track_count;
};

const struct stead_field point_fields[] = {STEAD_FIELD(F64, struct point, x), STEAD_FIELDS_END};
const struct stead_field fields[] = {STEAD_FIELD_WAS(I64, struct meter, total, "sum"),
                                     STEAD_FIELD(TEXT, struct meter, unit),
                                     STEAD_FIELD(BUFFER, struct meter, note),
                                     STEAD_FIELD_NESTED(struct meter, at, point_fields),
                                     STEAD_FIELD_ARRAY(struct meter, track, track_count, point_fields),
                                     STEAD_FIELDS_END};

int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    meter *it = static_cast<meter *>(state);
    int64_t by = 0;

    if (stead_get_i64(args, "by", &by) != 0)
        return stead_fail(turn, "bad_by", "by is an integer, not %s", "that");
    it->total += by;
    stead_token later;
    if (stead_reply_later(turn, &later) == 0)
        return stead_answer(turn, &later, stead_packed(turn, "l", it->total));
    return stead_reply(turn, stead_packed(turn, "{s:l}", "total", it->total));
}

int weigh(struct stead_job *job, struct stead_slice args)
{
    return stead_job_reply(job, args);
}

const struct stead_op ops[] = {{"add", add, nullptr, 0, "adds"}, {nullptr, nullptr, nullptr, 0, nullptr}};
const struct stead_op job_ops[] = {{"weigh", nullptr, weigh, 0, nullptr}, {nullptr, nullptr, nullptr, 0, nullptr}};

/* C++ before 20 has no designated initialisers: the fields in their order. */
const struct stead_kind meter_kind = {STEAD_ABI,
                                      sizeof(stead_kind),
                                      "meter",
                                      "what flows",
                                      STEAD_DURABLE,
                                      0,
                                      sizeof(meter),
                                      0,
                                      0,
                                      0,
                                      fields,
                                      ops,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr};
const struct stead_kind scale_kind = {STEAD_ABI,
                                      sizeof(stead_kind),
                                      "scale",
                                      nullptr,
                                      STEAD_STATELESS,
                                      0,
                                      0,
                                      0,
                                      0,
                                      0,
                                      nullptr,
                                      job_ops,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr,
                                      nullptr};

void test_field_table_made_by_macros_names_and_places_members(void **)
{
    assert_string_equal(fields[0].name, "total");
    assert_string_equal(fields[0].was, "sum");
    assert_int_equal(fields[1].size, 16);
    assert_int_equal(fields[4].capacity, 4);
    assert_int_equal(fields[4].count_offset, offsetof(meter, track_count));
    assert_null(fields[5].name);
}

void test_value_packed_in_cplusplus_is_read_back(void **)
{
    stead_writer writer;
    int64_t it = 0;

    stead_writer_init(&writer);
    stead_pack(&writer, "{s:l,s:[d,d]}", "by", static_cast<int64_t>(-7), "limits", 1, 2);
    assert_int_equal(stead_value_check(stead_written(&writer)), 0);
    assert_int_equal(stead_get_i64(stead_written(&writer), "by", &it), 0);
    assert_int_equal(it, -7);
    struct stead_reader reader = stead_reader(stead_written(&writer));
    assert_int_equal(stead_peek(&reader), STEAD_MAP);
    stead_writer_deinit(&writer);
}

void test_error_names_are_linked_as_c(void **)
{
    assert_string_equal(stead_error_name(STEAD_EBUSY), "busy");
    assert_int_equal(stead_error_of_name("busy"), STEAD_EBUSY);
}

void done(void *context, const struct stead_answer *answer)
{
    *static_cast<int *>(context) = answer->code;
}

void test_client_closed_with_a_request_under_way_completes_it_as_cancelled(void **)
{
    stead_client_options options = {};
    stead_client *client = nullptr;
    int code = 0;

    options.endpoints = "tcp://127.0.0.1:1";
    assert_int_equal(stead_client_open(&options, &client), 0);
    assert_int_equal(stead_client_call_async(client, "meter/a", "add", stead_slice(), nullptr, done, &code), 0);
    assert_int_equal(stead_client_in_flight(client), 1);
    stead_client_close(&client);
    assert_null(client);
    assert_int_equal(code, STEAD_ECANCELLED);
}

void test_instance_started_by_a_client_that_is_closed_is_cancelled(void **)
{
    stead_client_options options = {};
    stead_client *client = nullptr;
    int code = 0;

    options.endpoints = "tcp://127.0.0.1:1";
    assert_int_equal(stead_client_open(&options, &client), 0);
    assert_int_equal(stead_instance_run_async(client, "trip", stead_slice(), nullptr, done, &code), 0);
    stead_client_close(&client);
    assert_int_equal(code, STEAD_ECANCELLED);
    assert_string_equal(stead_instance_status_name(STEAD_INSTANCE_PENDING), "Pending");
}

void test_random_ids_are_different_hexadecimal_digits(void **)
{
    stead_client *client = nullptr;
    char one[STEAD_RANDOM_ID_SIZE], two[STEAD_RANDOM_ID_SIZE];

    assert_int_equal(stead_client_open(nullptr, &client), 0);
    assert_int_equal(stead_client_random_id(client, one), 0);
    assert_int_equal(stead_client_random_id(client, two), 0);
    stead_client_close(&client);
    assert_int_equal(strspn(one, "0123456789abcdef"), 32);
    assert_int_equal(one[32], 0);
    assert_string_not_equal(one, two);
}

int trip(struct stead_orchestration *o, struct stead_slice input)
{
    return stead_complete(o, input);
}

const struct stead_orchestrator trip_orchestrator = {
    STEAD_ORCHESTRATION_ABI, sizeof(stead_orchestrator), "trip", nullptr, 1, 0, trip, 0, 0};

} // namespace

STEAD_MODULE(&meter_kind, &scale_kind);
STEAD_ORCHESTRATORS(&trip_orchestrator);

static void test_module_symbol_lists_its_kinds(void **)
{
    assert_int_equal(stead_module.abi, STEAD_ABI);
    assert_string_equal(stead_module.kinds[0]->name, "meter");
    assert_string_equal(stead_module.kinds[1]->name, "scale");
    assert_null(stead_module.kinds[2]);
    assert_int_equal(stead_orchestrators.abi, STEAD_ORCHESTRATION_ABI);
    assert_string_equal(stead_orchestrators.list[0]->name, "trip");
    assert_null(stead_orchestrators.list[1]);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_table_made_by_macros_names_and_places_members),
        cmocka_unit_test(test_value_packed_in_cplusplus_is_read_back),
        cmocka_unit_test(test_error_names_are_linked_as_c),
        cmocka_unit_test(test_client_closed_with_a_request_under_way_completes_it_as_cancelled),
        cmocka_unit_test(test_instance_started_by_a_client_that_is_closed_is_cancelled),
        cmocka_unit_test(test_random_ids_are_different_hexadecimal_digits),
        cmocka_unit_test(test_module_symbol_lists_its_kinds),
    };
    return cmocka_run_group_tests_name("cplusplus", tests, nullptr, nullptr);
}
