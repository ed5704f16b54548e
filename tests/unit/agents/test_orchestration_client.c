/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of orchestrations against a cluster that is three functions: they keep what was asked and answer from a
 * script. So what is seen here is what goes over the wire, and what is made of what comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stead/orchestration_client.h"

#define ANSWERS_MAX 8

/* ---- The cluster ---------------------------------------------------------------------------- */

static struct {
    char address[STEAD_ADDRESS_MAX + 1], op[64]; /* of the last request */
    struct stead_writer args;                    /* its argument */
    uint32_t timeout_ms;                         /* its option */
    uint32_t requests;                           /* how many so far */
    struct stead_writer answers[ANSWERS_MAX];    /* values of the coming answers */
    int codes[ANSWERS_MAX];                      /* their codes */
    uint32_t answer_count;                       /* how many were scripted */
    uint64_t execution;                          /* of the coming pages */
} cluster;

static int setup(void **state)
{
    (void)state;
    memset(&cluster, 0, sizeof(cluster));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stead_writer_deinit(&cluster.args);
    for (uint32_t i = 0; i < ANSWERS_MAX; i++)
        stead_writer_deinit(&cluster.answers[i]);
    return 0;
}

static struct stead_writer *will_answer(int code)
{
    cluster.codes[cluster.answer_count] = code;
    return &cluster.answers[cluster.answer_count++];
}

static int take_request(const char *address, const char *op, struct stead_slice args,
                        const struct stead_request_options *options, struct stead_answer *ret_answer)
{
    uint32_t i = cluster.requests++;

    assert_true(i < cluster.answer_count);
    snprintf(cluster.address, sizeof(cluster.address), "%s", address);
    snprintf(cluster.op, sizeof(cluster.op), "%s", op);
    assert_int_equal(stead_value_check(args), 0);
    stead_writer_reset(&cluster.args);
    stead_write_value(&cluster.args, args);
    cluster.timeout_ms = options != NULL ? options->timeout_ms : 0;
    *ret_answer = (struct stead_answer){.code = cluster.codes[i],
                                        .error_name = cluster.codes[i] == 0 ? "" : "of_the_node",
                                        .error_sentence = cluster.codes[i] == 0 ? "" : "the node says so",
                                        .error_agent = "",
                                        .error_op = "",
                                        .value = stead_written(&cluster.answers[i])};
    return cluster.codes[i];
}

int stead_client_call(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                      const struct stead_request_options *options, struct stead_answer *ret_answer)
{
    (void)client;
    return take_request(address, op, args, options, ret_answer);
}

int stead_client_call_async(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                            const struct stead_request_options *options, stead_completion_fn *completion, void *context)
{
    struct stead_answer answer;

    (void)client;
    (void)take_request(address, op, args, options, &answer);
    completion(context, &answer);
    return 0;
}

int stead_client_query(struct stead_client *client, const char *query, struct stead_slice args,
                       struct stead_answer *ret_answer)
{
    (void)client;
    return take_request("", query, args, NULL, ret_answer);
}

uint64_t stead_client_monotonic_ns(void)
{
    return 0;
}

int stead_client_random_id(struct stead_client *client, char ret_text[STEAD_RANDOM_ID_SIZE])
{
    (void)client;
    memcpy(ret_text, "00112233445566778899aabbccddeeff", STEAD_RANDOM_ID_SIZE);
    return 0;
}

/* What the client's other half (hubs) needs besides; no test of this file comes so far. */
void *stead_client_extra(const struct stead_client *client)
{
    (void)client;
    return NULL;
}

uint32_t stead_client_timeout_ms(const struct stead_client *client)
{
    (void)client;
    return 0;
}

void stead_client_set_extra(struct stead_client *client, void *extra, void (*destroy)(void *extra))
{
    (void)client, (void)extra, (void)destroy;
}

int stead_client_locate(struct stead_client *client, const char *address, struct stead_location *ret_location)
{
    (void)client, (void)address, (void)ret_location;
    return STEAD_EUNAVAILABLE;
}

int stead_client_poll(struct stead_client *client, int timeout_ms)
{
    (void)client, (void)timeout_ms;
    return 0;
}

/* ---- What was asked ------------------------------------------------------------------------- */

/* The argument's bytes must be those of this format. */
static void assert_args(const char *format, ...)
{
    struct stead_writer expected;
    va_list list;

    stead_writer_init(&expected);
    va_start(list, format);
    stead_pack_v(&expected, format, list);
    va_end(list);
    assert_int_equal(cluster.args.size, expected.size);
    assert_memory_equal(cluster.args.data, expected.data, expected.size);
    stead_writer_deinit(&expected);
}

static void will_answer_instance(const char *id, const char *status)
{
    stead_pack(will_answer(0), "{s:s,s:s,s:s,s:l}", "id", id, "name", "trip", "status", status, "output", (int64_t)42);
}

static const uint8_t seven_bytes[] = {0x07};
static const struct stead_slice seven = {seven_bytes, 1};
static const struct stead_slice nothing = {NULL, 0};

/* ---- Starting ------------------------------------------------------------------------------- */

static void test_start_without_an_id_draws_one(void **state)
{
    char id[STEAD_INSTANCE_ID_MAX + 1] = "";
    struct stead_answer answer;

    (void)state;
    stead_pack(will_answer(0), "{s:s}", "id", "00112233445566778899aabbccddeeff");
    assert_int_equal(stead_instance_start(NULL, "trip", seven, NULL, id, &answer), 0);
    assert_string_equal(id, "00112233445566778899aabbccddeeff");
    assert_string_equal(cluster.address, "orchestration/00112233445566778899aabbccddeeff");
    assert_string_equal(cluster.op, "start");
    assert_args("{s:s,s:u,s:d,s:b,s:l}", "name", "trip", "version", (uint64_t)0, "input", 7, "replace", 0, "delay",
                (int64_t)0);
}

static void test_start_options_travel(void **state)
{
    const struct stead_instance_options options = {
        .id = "order 17", .version = 3, .replace = true, .delay_ms = 5000, .timeout_ms = 77};
    char id[STEAD_INSTANCE_ID_MAX + 1];

    (void)state;
    will_answer(0);
    assert_int_equal(stead_instance_start(NULL, "trip", nothing, &options, id, NULL), 0);
    assert_string_equal(id, "order 17");
    assert_string_equal(cluster.address, "orchestration/order 17");
    assert_int_equal(cluster.timeout_ms, 77);
    assert_args("{s:s,s:u,s:n,s:b,s:l}", "name", "trip", "version", (uint64_t)3, "input", "replace", 1, "delay",
                (int64_t)5000);
}

static void test_start_refused_by_the_node_leaves_the_id(void **state)
{
    const struct stead_instance_options options = {.id = "i1"};
    char id[STEAD_INSTANCE_ID_MAX + 1] = "untouched";
    struct stead_answer answer;

    (void)state;
    will_answer(STEAD_ECONFLICT);
    assert_int_equal(stead_instance_start(NULL, "trip", nothing, &options, id, &answer), STEAD_ECONFLICT);
    assert_string_equal(id, "untouched");
    assert_string_equal(answer.error_name, "of_the_node");
    assert_string_equal(answer.error_sentence, "the node says so");
}

/* Every one of these is refused before anything is sent, with a sentence. */
static void test_what_is_known_to_be_wrong_is_not_sent(void **state)
{
    const struct stead_instance_options slash = {.id = "a/b"}, empty = {.id = ""}, early = {.delay_ms = -1};
    static const uint8_t bad_bytes[] = {0xc1};
    const struct stead_slice bad = {bad_bytes, 1};
    char id[STEAD_INSTANCE_ID_MAX + 1];
    struct stead_answer answer = {.code = 0};
    struct stead_instance instance;
    const struct stead_instance_filter loud = {.status = "running"}, wide = {.limit = 10001};

    (void)state;
#define REFUSED(expression)                                                                                            \
    assert_int_equal(expression, STEAD_EARGUMENT);                                                                     \
    assert_int_equal(answer.code, STEAD_EARGUMENT);                                                                    \
    assert_string_equal(answer.error_name, "bad_argument");                                                            \
    assert_true(strlen(answer.error_sentence) > 10);                                                                   \
    memset(&answer, 0, sizeof(answer))
    REFUSED(stead_instance_start(NULL, "trip", seven, &slash, id, &answer));
    REFUSED(stead_instance_start(NULL, "trip", seven, &empty, id, &answer));
    REFUSED(stead_instance_start(NULL, "trip", seven, &early, id, &answer));
    REFUSED(stead_instance_start(NULL, "trip", bad, NULL, id, &answer));
    REFUSED(stead_instance_start(NULL, "Trip", seven, NULL, id, &answer));
    REFUSED(stead_instance_start(NULL, "", seven, NULL, id, &answer));
    REFUSED(stead_instance_run(NULL, "trip/", seven, NULL, &instance, &answer));
    REFUSED(stead_instance_wait(NULL, "@x", NULL, &instance, &answer));
    REFUSED(stead_instance_status_of(NULL, NULL, NULL, &instance, &answer));
    REFUSED(stead_instance_raise(NULL, "i1", "", seven, NULL, &answer));
    REFUSED(stead_instance_raise(NULL, "i1", "approved", bad, NULL, &answer));
    REFUSED(stead_instance_steer(NULL, "a#b", STEAD_INSTANCE_PURGE, NULL, NULL, &answer));
    REFUSED(stead_instance_steer(NULL, "i1", (enum stead_instance_action)6, NULL, NULL, &answer));
    REFUSED(stead_instance_history(NULL, "a?b", 0, NULL, NULL, NULL, NULL, &answer));
    REFUSED(stead_instance_list(NULL, &loud, NULL, NULL, NULL, NULL, &answer));
    REFUSED(stead_instance_list(NULL, &wide, NULL, NULL, NULL, NULL, &answer));
#undef REFUSED
    assert_int_equal(cluster.requests, 0);
    assert_int_equal(stead_instance_run_async(NULL, "Trip", seven, NULL, NULL, NULL), STEAD_EARGUMENT);
    assert_int_equal(cluster.requests, 0);
}

static void test_run_reads_how_it_ended(void **state)
{
    const struct stead_instance_options options = {.id = "i1"};
    struct stead_instance instance;
    int64_t output = 0;

    (void)state;
    will_answer_instance("i1", "Completed");
    assert_int_equal(stead_instance_run(NULL, "trip", seven, &options, &instance, NULL), 0);
    assert_string_equal(cluster.op, "run");
    assert_int_equal(instance.status, STEAD_INSTANCE_COMPLETED);
    assert_int_equal(stead_get_i64(instance.output, NULL, &output), 0);
    assert_int_equal(output, 42);
}

static void keep_answer(void *context, const struct stead_answer *answer)
{
    assert_int_equal(stead_instance_read(answer->value, context), 0);
}

static void test_run_async_hands_the_map_to_the_completion(void **state)
{
    struct stead_instance instance = {.version = 9};

    (void)state;
    will_answer_instance("00112233445566778899aabbccddeeff", "Failed");
    assert_int_equal(stead_instance_run_async(NULL, "trip", seven, NULL, keep_answer, &instance), 0);
    assert_string_equal(cluster.op, "run");
    assert_int_equal(instance.status, STEAD_INSTANCE_FAILED);
}

static void test_answer_that_tells_of_no_instance_is_corrupt(void **state)
{
    struct stead_instance instance = {.version = 9};
    struct stead_answer answer;

    (void)state;
    stead_pack(will_answer(0), "[]");
    assert_int_equal(stead_instance_status_of(NULL, "i1", NULL, &instance, &answer), STEAD_ECORRUPT);
    assert_int_equal(answer.code, STEAD_ECORRUPT);
    assert_int_equal(instance.version, 9); /* untouched */
    assert_string_equal(cluster.op, "status");
}

static void test_wait_ends_with_what_the_node_says(void **state)
{
    struct stead_instance instance;
    struct stead_answer answer;

    (void)state;
    will_answer(STEAD_ENOTFOUND);
    will_answer_instance("i1", "Terminated");
    memset(&instance, 7, sizeof(instance));
    assert_int_equal(stead_instance_wait(NULL, "i1", NULL, &instance, &answer), STEAD_ENOTFOUND);
    assert_int_equal(instance.version, 0x07070707); /* untouched */
    assert_string_equal(answer.error_name, "of_the_node");
    assert_int_equal(stead_instance_wait(NULL, "i1", NULL, &instance, NULL), 0);
    assert_int_equal(instance.status, STEAD_INSTANCE_TERMINATED);
    assert_string_equal(cluster.op, "wait");
}

/* ---- Steering ------------------------------------------------------------------------------- */

static void test_raise_and_steer_say_what_they_mean(void **state)
{
    static const char *const ops[] = {"terminate", "suspend", "resume", "rewind", "restart", "purge"};

    (void)state;
    will_answer(0);
    assert_int_equal(stead_instance_raise(NULL, "i1", "approved by the boss", seven, NULL, NULL), 0);
    assert_string_equal(cluster.op, "raise");
    assert_args("{s:s,s:d}", "name", "approved by the boss", "value", 7);
    for (int i = 0; i < 6; i++) {
        will_answer(0);
        const char *reason = i == 0 ? "enough" : NULL;
        assert_int_equal(stead_instance_steer(NULL, "i1", (enum stead_instance_action)i, reason, NULL, NULL), 0);
        assert_string_equal(cluster.op, ops[i]);
        assert_string_equal(cluster.address, "orchestration/i1");
        assert_args("{s:s}", "reason", reason);
    }
}

static void count_answer(void *context, const struct stead_answer *answer)
{
    *(int *)context += answer->code == STEAD_ESTATE;
}

static void test_steer_async_asks_the_same_and_refuses_hubs_all_but_a_purge(void **state)
{
    const struct stead_instance_options hub = {.hub = "main"};
    int count = 0;

    (void)state;
    will_answer(STEAD_ESTATE);
    assert_int_equal(stead_instance_steer_async(NULL, "i1", STEAD_INSTANCE_PURGE, NULL, NULL, count_answer, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(cluster.op, "purge");
    assert_string_equal(cluster.address, "orchestration/i1");
    assert_args("{s:n}", "reason");
    assert_int_equal(stead_instance_steer_async(NULL, "i1", STEAD_INSTANCE_SUSPEND, NULL, &hub, count_answer, &count),
                     STEAD_ESTATE);
    assert_int_equal(stead_instance_steer_async(NULL, "i/1", STEAD_INSTANCE_PURGE, NULL, NULL, count_answer, &count),
                     STEAD_EARGUMENT);
    assert_int_equal(count, 1);
    assert_int_equal(cluster.requests, 1);
}

/* ---- History -------------------------------------------------------------------------------- */

struct seen {
    uint64_t ids[16];
    uint32_t count, stop_after;
};

static int see_event(void *context, const struct stead_instance_event *event)
{
    struct seen *seen = context;
    uint64_t id = 0;

    assert_string_equal(event->type, "TimerFired");
    assert_int_equal(event->time_ms, 1000 + event->id);
    assert_int_equal(stead_get_u64(event->map, "id", &id), 0);
    assert_int_equal(id, event->id);
    seen->ids[seen->count++] = event->id;
    return seen->stop_after != 0 && seen->count == seen->stop_after;
}

static void will_answer_page(uint64_t first, uint64_t last, bool more)
{
    struct stead_writer *page = will_answer(0);

    stead_write_map(page, 3);
    stead_write_str(page, "execution");
    stead_write_u64(page, cluster.execution);
    stead_write_str(page, "more");
    stead_write_bool(page, more);
    stead_write_str(page, "events");
    stead_write_array(page, (uint32_t)(last - first + 1));
    for (uint64_t id = first; id <= last; id++)
        stead_pack(page, "{s:u,s:s,s:u}", "id", id, "type", "TimerFired", "time", 1000 + id);
}

static void test_history_goes_from_page_to_page(void **state)
{
    struct seen seen = {.count = 0};
    uint64_t last = 0;

    (void)state;
    will_answer_page(3, 5, true);
    will_answer_page(6, 7, false);
    assert_int_equal(stead_instance_history(NULL, "i1", 2, NULL, see_event, &seen, &last, NULL), 0);
    assert_int_equal(seen.count, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(seen.ids[i], 3 + i);
    assert_int_equal(last, 7);
    assert_string_equal(cluster.op, "history");
    assert_args("{s:u}", "after", (uint64_t)5);
}

static void test_history_ends_when_the_visit_does(void **state)
{
    struct seen seen = {.stop_after = 2};
    uint64_t last = 0;

    (void)state;
    will_answer_page(1, 5, true);
    assert_int_equal(stead_instance_history(NULL, "i1", 0, NULL, see_event, &seen, &last, NULL), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(last, 2);
    assert_int_equal(cluster.requests, 1);
}

static void test_history_ends_when_the_execution_does(void **state)
{
    struct seen seen = {.count = 0};
    uint64_t last = 0;

    (void)state;
    cluster.execution = 1;
    will_answer_page(1, 3, true);
    cluster.execution = 2;
    will_answer_page(4, 5, true);
    assert_int_equal(stead_instance_history(NULL, "i1", 0, NULL, see_event, &seen, &last, NULL), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(last, 3);
    assert_int_equal(cluster.requests, 2);
}

static void test_history_that_cannot_end_is_refused(void **state)
{
    struct seen seen = {.count = 0};
    struct stead_answer answer;

    (void)state;
    will_answer_page(1, 3, true);
    will_answer_page(3, 5, true); /* event 3 again */
    assert_int_equal(stead_instance_history(NULL, "i1", 0, NULL, see_event, &seen, NULL, &answer), STEAD_ECORRUPT);
    assert_int_equal(answer.code, STEAD_ECORRUPT);
    assert_int_equal(seen.count, 3);
    stead_pack(will_answer(0), "{s:[],s:b}", "events", "more", 1); /* an empty page and more behind it */
    assert_int_equal(stead_instance_history(NULL, "i1", 0, NULL, see_event, &seen, NULL, NULL), 0);
    assert_int_equal(cluster.requests, 3);
}

/* ---- Listing -------------------------------------------------------------------------------- */

struct listed {
    char ids[16][STEAD_INSTANCE_ID_MAX + 1];
    uint32_t count, stop_after;
    struct stead_instance last;
};

static int see_instance(void *context, const struct stead_instance *instance)
{
    struct listed *listed = context;

    snprintf(listed->ids[listed->count], sizeof(listed->ids[0]), "%s", instance->id);
    listed->count++;
    listed->last = *instance;
    return listed->stop_after != 0 && listed->count == listed->stop_after;
}

/* A page of instances named by the letters of `ids`, the page after `next`. */
static void will_answer_list(const char *ids, const char *next)
{
    struct stead_writer *page = will_answer(0);

    stead_write_map(page, 2);
    stead_write_str(page, "next");
    stead_write_str(page, next);
    stead_write_str(page, "agents");
    stead_write_array(page, (uint32_t)strlen(ids));
    for (; *ids; ids++) {
        char address[] = "orchestration/?";
        address[14] = *ids;
        stead_pack(page, "{s:s,s:b,s:{s:s,s:s,s:u,s:l}}", "address", address, "resident", 1, "fields", "name", "trip",
                   "status", "Suspended", "version", (uint64_t)2, "created", (int64_t)1234);
    }
}

static void test_list_asks_for_what_the_filter_says(void **state)
{
    const struct stead_instance_filter filter = {.status = "Suspended",
                                                 .name = "trip",
                                                 .id_prefix = "a",
                                                 .from_ms = 1000,
                                                 .to_ms = 2000,
                                                 .limit = 10,
                                                 .after = "a0"};
    struct listed listed = {.count = 0};
    bool more = true;

    (void)state;
    will_answer_list("ab", NULL);
    assert_int_equal(stead_instance_list(NULL, &filter, NULL, see_instance, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 2);
    assert_string_equal(listed.ids[0], "a");
    assert_string_equal(listed.ids[1], "b");
    assert_int_equal(listed.last.status, STEAD_INSTANCE_SUSPENDED);
    assert_string_equal(listed.last.name, "trip");
    assert_int_equal(listed.last.version, 2);
    assert_int_equal(listed.last.created_ms, 1234);
    assert_false(more);
    assert_string_equal(cluster.op, "agents");
    assert_args("{s:s,s:s,s:u,s:s,s:[s,s,s,s,s,s,s,s],s:{s:s,s:s,s:{s:l,s:l}}}", "kind", "orchestration", "prefix",
                "orchestration/a", "limit", (uint64_t)10, "after", "orchestration/a0", "fields", "name", "version",
                "execution", "status", "created", "updated", "events", "parent", "where", "status", "Suspended", "name",
                "trip", "created", "from", (int64_t)1000, "below", (int64_t)2000);
}

static void test_list_goes_on_behind_a_short_page(void **state)
{
    const struct stead_instance_filter filter = {.limit = 3};
    struct listed listed = {.count = 0};
    bool more = false;

    (void)state;
    will_answer_list("a", "orchestration/k"); /* looked as far as k, found one */
    will_answer_list("", "orchestration/l");
    will_answer_list("mn", "orchestration/n");
    assert_int_equal(stead_instance_list(NULL, &filter, NULL, see_instance, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 3);
    assert_true(more);
    assert_int_equal(cluster.requests, 3);
    uint64_t limit = 0;
    assert_int_equal(stead_get_u64(stead_written(&cluster.args), "limit", &limit), 0);
    assert_int_equal(limit, 2);
}

static void test_list_ends_when_the_visit_does(void **state)
{
    struct listed listed = {.stop_after = 1};
    bool more = false;

    (void)state;
    will_answer_list("ab", NULL);
    assert_int_equal(stead_instance_list(NULL, NULL, NULL, see_instance, &listed, &more, NULL), 0);
    assert_int_equal(listed.count, 1);
    assert_true(more);
}

static void test_list_takes_no_more_than_it_asked_for(void **state)
{
    const struct stead_instance_filter filter = {.limit = 2};
    struct listed listed = {.count = 0};

    (void)state;
    will_answer_list("abc", NULL);
    assert_int_equal(stead_instance_list(NULL, &filter, NULL, see_instance, &listed, NULL, NULL), STEAD_ECORRUPT);
    assert_int_equal(listed.count, 0);
}

static void test_list_passes_over_what_was_never_started(void **state)
{
    struct listed listed = {.count = 0};
    struct stead_answer answer;

    (void)state;
    stead_pack(will_answer(0), "{s:[{s:s,s:{}},{s:s,s:{s:u,s:s}}],s:n}", "agents", "address", "orchestration/a",
               "fields", "address", "orchestration/b", "fields", "status", (uint64_t)0, "name", "trip", "next");
    assert_int_equal(stead_instance_list(NULL, NULL, NULL, see_instance, &listed, NULL, NULL), 0);
    assert_int_equal(listed.count, 1);
    assert_string_equal(listed.ids[0], "b");
    stead_pack(will_answer(0), "{s:[{s:s}],s:n}", "agents", "address", "counter/a",
               "next"); /* not what was asked for */
    assert_int_equal(stead_instance_list(NULL, NULL, NULL, see_instance, &listed, NULL, &answer), STEAD_ECORRUPT);
    assert_int_equal(answer.code, STEAD_ECORRUPT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_start_without_an_id_draws_one),
        CASE(test_start_options_travel),
        CASE(test_start_refused_by_the_node_leaves_the_id),
        CASE(test_what_is_known_to_be_wrong_is_not_sent),
        CASE(test_run_reads_how_it_ended),
        CASE(test_run_async_hands_the_map_to_the_completion),
        CASE(test_answer_that_tells_of_no_instance_is_corrupt),
        CASE(test_wait_ends_with_what_the_node_says),
        CASE(test_raise_and_steer_say_what_they_mean),
        CASE(test_steer_async_asks_the_same_and_refuses_hubs_all_but_a_purge),
        CASE(test_history_goes_from_page_to_page),
        CASE(test_history_ends_when_the_visit_does),
        CASE(test_history_ends_when_the_execution_does),
        CASE(test_history_that_cannot_end_is_refused),
        CASE(test_list_asks_for_what_the_filter_says),
        CASE(test_list_goes_on_behind_a_short_page),
        CASE(test_list_ends_when_the_visit_does),
        CASE(test_list_takes_no_more_than_it_asked_for),
        CASE(test_list_passes_over_what_was_never_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
