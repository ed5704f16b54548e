/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of queries: none has more bytes than a page may have, the next one goes on where it ended, and together they
 * have everything once, however large it is.
 */
#include "unit/runtime/host_client.h"

#include "runtime/shard.h"

#define PAGE 2000u /* bytes */
#define OVER 300u  /* that a page may have besides its elements, or one element more than was weighed */

/* Asks with a budget of which a page is PAGE bytes. The answer is well and not larger than that. */
static struct stead_message *ask(struct fx *fx, struct fx_client *client, const char *address, const char *op,
                                 struct stead_writer *args)
{
    uint64_t memory = fx->host->settings.memory_bytes_max;

    fx->host->settings.memory_bytes_max = 16 * PAGE;
    struct stead_message *answer = fx_query(fx, client, address, op, stead_written(args));
    fx->host->settings.memory_bytes_max = memory;
    stead_writer_deinit(args);
    assert_int_equal(answer->status, 0);
    assert_in_range(answer->payload_size, 1, PAGE + OVER);
    return answer;
}

static struct stead_reader open_list(const struct stead_message *answer, const char *name, uint32_t *ret_count)
{
    struct stead_slice list;

    assert_int_equal(stead_get_value(stead_message_payload(answer), name, &list), 0);
    struct stead_reader reader = stead_reader(list);
    assert_int_equal(stead_read_array(&reader, ret_count), 0);
    return reader;
}

static uint64_t number_of(struct stead_slice map, const char *name)
{
    uint64_t number;

    assert_int_equal(stead_get_u64(map, name, &number), 0);
    return number;
}

/* ---- Letters ------------------------------------------------------------------------------------------- */

/* A signal that its op refuses, with so many bytes. */
static void make_letter(struct fx *fx, struct fx_client *client, const char *address, size_t size)
{
    struct stead_writer args;
    uint8_t *bytes = stead_alloc_zero(size);

    stead_writer_init(&args);
    stead_write_bin(&args, stead_bytes(bytes, size));
    struct stead_message *message = fx_request(fx, client, STEAD_SIGNAL, address, "add", stead_written(&args), NULL);
    stead_host_deliver(fx->host, &message);
    fx_run(fx);
    assert_int_equal(fx_answer_status(fx), STEAD_EFAILED);
    stead_writer_deinit(&args);
    free(bytes);
}

static void act(struct fx *fx, struct fx_client *client, const char *address, const char *action, uint64_t id)
{
    struct stead_writer args;
    uint32_t count;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "action", action, "id", id);
    struct stead_message *answer = fx_query(fx, client, address, "deadletters", stead_written(&args));
    assert_int_equal(answer->status, 0);
    struct stead_reader letters = open_list(answer, "letters", &count);
    struct stead_slice letter;
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&letters, &letter), 0);
    assert_int_equal(number_of(letter, "id"), id);
    stead_writer_deinit(&args);
    stead_message_destroy(&answer);
}

static void test_letters_of_an_agent_come_in_pages_of_so_many_bytes(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    uint32_t seen = 0, pages = 0;
    uint64_t after = 0, first = 0, last = 0;
    char a[64];
    int code;

    (void)state;
    fx_address(a, "d", 1, 0);
    for (int i = 0; i < 20; i++)
        make_letter(fx, &client, a, 500);
    do {
        struct stead_writer args;
        uint32_t count;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u}", "after", after);
        struct stead_message *answer = ask(fx, &client, a, "deadletters", &args);
        struct stead_reader letters = open_list(answer, "letters", &count);
        assert_in_range(count, 1, 4);
        for (; count > 0; count--, seen++) {
            struct stead_slice letter;
            assert_int_equal(stead_read_value(&letters, &letter), 0);
            assert_true(number_of(letter, "id") > last);
            last = number_of(letter, "id");
            first = seen == 0 ? last : first;
        }
        code = stead_get_u64(stead_message_payload(answer), "next", &after);
        assert_true(code == STEAD_ENOTFOUND || (code == 0 && after == last));
        stead_message_destroy(&answer);
        pages++;
    } while (code == 0);
    assert_int_equal(seen, 20);
    assert_in_range(pages, 5, 10);
    act(fx, &client, a, "drop", last);
    act(fx, &client, a, "drop", first);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 18);
    fx_destroy(fx);
}

/* Turns all pages of everybody's letters; how many there were, in order and each once. */
static uint32_t list_all_letters(struct fx *fx, struct fx_client *client, uint64_t limit, uint32_t *ret_pages)
{
    struct stead_message *answer = NULL;
    struct stead_slice next = {0};
    uint64_t last_slot = 0, last_id = 0;
    uint32_t seen = 0;
    char last[64] = "";

    *ret_pages = 0;
    do {
        struct stead_writer args;
        uint32_t count;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:v}", "limit", limit, "after", next);
        stead_message_destroy(&answer);
        answer = ask(fx, client, "", "deadletters", &args);
        struct stead_reader letters = open_list(answer, "letters", &count);
        assert_in_range(count, 1, limit);
        for (; count > 0; count--, seen++) {
            struct stead_slice letter;
            char address[64];
            assert_int_equal(stead_read_value(&letters, &letter), 0);
            assert_int_equal(stead_get_text(letter, "address", address, sizeof(address)), 0);
            uint64_t slot = number_of(letter, "slot"), id = number_of(letter, "id");
            int order = strcmp(address, last);
            assert_true(slot > last_slot || (slot == last_slot && (order > 0 || (order == 0 && id > last_id))));
            last_slot = slot, last_id = id;
            memcpy(last, address, sizeof(last));
        }
        ++*ret_pages;
    } while (stead_get_value(stead_message_payload(answer), "next", &next) == 0 && *ret_pages < 100);
    stead_message_destroy(&answer);
    return seen;
}

static void test_letters_of_everybody_come_in_pages_of_so_many_bytes(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    uint32_t pages;
    char a[64];

    (void)state;
    for (uint32_t i = 0; i < 24; i++) {
        fx_address(a, "d", 1 + i % 2, i % 8);
        make_letter(fx, &client, a, 500);
        assert_int_equal(fx_call(fx, &client, fx_address(a, "e", 1 + i % 2, i), "add"), 0); /* without a letter */
    }
    for (int round = 0; round < 2; round++) {
        assert_int_equal(list_all_letters(fx, &client, 100, &pages), 24);
        assert_in_range(pages, 24 / 4, 24 / 2);
        assert_int_equal(list_all_letters(fx, &client, 1, &pages), 24);
        assert_int_equal(pages, 24);
        fx_cold_restart(fx);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

static void test_malformed_continuations_are_refused(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    static const char *const formats[] = {"{s:s}", "{s:{s:s}}", "{s:{s:d,s:d}}", "{s:{s:u}}"};
    struct stead_writer args;
    char a[64];

    (void)state;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        stead_writer_init(&args);
        if (i == 0)
            stead_pack(&args, formats[i], "after", "x");
        else if (i == 1)
            stead_pack(&args, formats[i], "after", "slot", "x");
        else if (i == 2)
            stead_pack(&args, formats[i], "after", "slot", 1, "address", 2);
        else
            stead_pack(&args, formats[i], "after", "slot", (uint64_t)1 << 16);
        struct stead_message *answer = fx_query(fx, &client, "", "deadletters", stead_written(&args));
        assert_int_equal(answer->status, STEAD_EARGUMENT);
        stead_message_destroy(&answer);
        answer = fx_query(fx, &client, fx_address(a, "d", 1, 0), "deadletters", stead_written(&args));
        assert_int_equal(answer->status, STEAD_EARGUMENT);
        stead_message_destroy(&answer);
        stead_writer_deinit(&args);
    }
    fx_destroy(fx);
}

static void test_argument_that_is_too_large_for_a_page_is_told_by_its_size(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    const size_t size = STEAD_QUERY_VALUE_MAX + 1000;
    struct stead_slice letter, args;
    uint32_t count;
    char a[64];

    (void)state;
    make_letter(fx, &client, fx_address(a, "d", 1, 0), size);
    struct stead_message *answer = fx_query(fx, &client, a, "deadletters", (struct stead_slice){0});
    struct stead_reader letters = open_list(answer, "letters", &count);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&letters, &letter), 0);
    assert_int_equal(stead_get_value(letter, "args", &args), STEAD_ENOTFOUND); /* nil */
    assert_int_equal(number_of(letter, "omitted"), size + 5);
    uint64_t id = number_of(letter, "id");
    stead_message_destroy(&answer);
    act(fx, &client, a, "retry", id); /* refused again: it is whole */
    answer = fx_query(fx, &client, a, "deadletters", (struct stead_slice){0});
    letters = open_list(answer, "letters", &count);
    assert_int_equal(count, 1);
    assert_int_equal(stead_read_value(&letters, &letter), 0);
    assert_int_equal(number_of(letter, "omitted"), size + 5);
    id = number_of(letter, "id");
    stead_message_destroy(&answer);
    act(fx, &client, a, "drop", id);
    assert_int_equal(fx_query_i64(fx, &client, a, "show", "dead_letters"), 0);
    fx_destroy(fx);
}

/* ---- The journal --------------------------------------------------------------------------------------- */

/* Some 600 bytes of events. */
static int emit_many(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    for (int i = 0; i < 60; i++)
        assert_int_equal(stead_emit(turn, "added", stead_packed(turn, "d", 1)), 0);
    return 0;
}

/* Turns all pages back; the number of turns, each once. */
static uint32_t read_journal(struct fx *fx, struct fx_client *client, const char *address, uint64_t limit,
                             uint32_t *ret_pages)
{
    static char ids[512][33];
    uint64_t before = 0, skip = 0, last = UINT64_MAX;
    uint32_t seen = 0;
    int code;

    *ret_pages = 0;
    do {
        struct stead_writer args;
        uint32_t count;
        stead_writer_init(&args);
        stead_pack(&args, "{s:u,s:u,s:u}", "limit", limit, "before", before, "skip", skip);
        struct stead_message *answer = ask(fx, client, address, "journal", &args);
        struct stead_reader turns = open_list(answer, "turns", &count);
        assert_in_range(count, 1, 512 - seen);
        for (; count > 0; count--, seen++) {
            struct stead_slice turn;
            assert_int_equal(stead_read_value(&turns, &turn), 0);
            assert_true(number_of(turn, "index") <= last); /* newest first */
            last = number_of(turn, "index");
            assert_int_equal(stead_get_text(turn, "id", ids[seen], sizeof(ids[0])), 0);
            for (uint32_t i = 0; i < seen; i++)
                assert_string_not_equal(ids[i], ids[seen]);
        }
        skip = 0;
        assert_int_not_equal(stead_get_u64(stead_message_payload(answer), "skip", &skip), STEAD_EARGUMENT);
        code = stead_get_u64(stead_message_payload(answer), "before", &before);
        stead_message_destroy(&answer);
        ++*ret_pages;
    } while (code == 0);
    return seen;
}

static void test_journal_comes_in_pages_of_so_many_bytes_also_within_an_entry(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    uint32_t pages;
    char a[64];

    (void)state;
    fx_do[0] = emit_many;
    fx_address(a, "e", 1, 0);
    assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    for (int i = 0; i < 10; i++) { /* one entry */
        struct stead_message *message = fx_request(fx, &client, STEAD_SIGNAL, a, "do", (struct stead_slice){0}, NULL);
        stead_host_deliver(fx->host, &message);
    }
    fx_run(fx);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    fx_forget_outputs(fx);
    assert_int_equal(fx->logs[1].count, 1 + 1 + 5); /* else the test is too tame */
    assert_int_equal(read_journal(fx, &client, a, 100, &pages), 16);
    assert_in_range(pages, 16 / 3, 16 / 2);
    assert_int_equal(read_journal(fx, &client, a, 1, &pages), 16);
    fx_destroy(fx);
}

static void test_deep_page_of_the_journal_begins_where_the_last_one_ended(void **state)
{
    struct fx *fx = fx_create(1);
    struct fx_client client = fx_client(fx, 1);
    const uint32_t turns = 400;
    uint32_t pages;
    char a[64];

    (void)state;
    fx_address(a, "d", 1, 0);
    for (uint32_t i = 0; i < turns; i++)
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    uint64_t reads = fx->entry_reads;
    assert_int_equal(read_journal(fx, &client, a, 10, &pages), turns);
    assert_int_equal(pages, turns / 10);
    assert_true(fx->entry_reads - reads <= turns + pages);
    fx_destroy(fx);
}

/* ---- Agents -------------------------------------------------------------------------------------------- */

static int fill(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    stead_buffer_set(&((struct big_puppet *)state)->bytes, stead_bytes(stead_turn_alloc(turn, 500), 500));
    return 0;
}

static void test_agents_with_large_fields_come_in_pages_of_so_many_bytes(void **state)
{
    struct fx *fx = fx_create(2);
    struct fx_client client = fx_client(fx, 1);
    char a[64];

    (void)state;
    fx_do[0] = fill;
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(a, sizeof(a), i % 4 == 0 ? "vb/k%02u" : "b/k%02u", i);
        assert_int_equal(fx_call(fx, &client, a, "do"), 0);
    }
    for (uint32_t round = 0; round < 2; round++) {
        char after[64] = "", last[64] = "";
        uint32_t seen = 0, pages = 0;
        bool more = true;
        for (; more; pages++) {
            struct stead_writer args;
            uint32_t count;
            stead_writer_init(&args);
            stead_pack(&args, "{s:s,s:[s]}", "after", after, "fields", "bytes");
            struct stead_message *answer = ask(fx, &client, "", "agents", &args);
            struct stead_reader agents = open_list(answer, "agents", &count);
            for (; count > 0; count--, seen++) {
                struct stead_slice agent, fields, bytes;
                assert_int_equal(stead_read_value(&agents, &agent), 0);
                assert_int_equal(stead_get_text(agent, "address", a, sizeof(a)), 0);
                assert_true(strcmp(a, last) > 0);
                memcpy(last, a, sizeof(last));
                assert_int_equal(stead_get_value(agent, "fields", &fields), 0);
                assert_int_equal(stead_get_bin(fields, "bytes", &bytes), 0);
                assert_int_equal(bytes.size, 500);
            }
            more = stead_get_text(stead_message_payload(answer), "next", after, sizeof(after)) == 0;
            stead_message_destroy(&answer);
        }
        assert_int_equal(seen, round == 0 ? 40 : 30); /* the volatile ones are gone */
        assert_in_range(pages, seen / 4, seen);
        fx_cold_restart(fx);
        fx_forget_outputs(fx);
    }
    fx_destroy(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters_of_an_agent_come_in_pages_of_so_many_bytes),
        cmocka_unit_test(test_letters_of_everybody_come_in_pages_of_so_many_bytes),
        cmocka_unit_test(test_malformed_continuations_are_refused),
        cmocka_unit_test(test_argument_that_is_too_large_for_a_page_is_told_by_its_size),
        cmocka_unit_test(test_journal_comes_in_pages_of_so_many_bytes_also_within_an_entry),
        cmocka_unit_test(test_deep_page_of_the_journal_begins_where_the_last_one_ended),
        cmocka_unit_test(test_agents_with_large_fields_come_in_pages_of_so_many_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
