/* SPDX-License-Identifier: Apache-2.0 */
/* The offline check: a sound store has no findings, and each way to break one is found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "persist/check.h"
#include "persist/store_memory.h"
#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/entry.h"
#include "runtime/rows.h"

#define AGENT "counter/alice"

struct fixture {
    struct stead_store *store;
    struct stead_check_counts counts;
    char findings[1024]; /* "where: what" lines */
};

static int set_up(void **state)
{
    struct fixture *it = calloc(1, sizeof *it);
    it->store = stead_store_memory_create(1);
    *state = it;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *it = *state;
    stead_store_close(&it->store);
    free(it);
    return 0;
}

static void note_finding(void *context, const char *where, const char *what)
{
    struct fixture *it = context;
    size_t at = strlen(it->findings);
    snprintf(it->findings + at, sizeof it->findings - at, "%s: %s\n", where, what);
}

static void check(struct fixture *it)
{
    it->findings[0] = 0;
    assert_int_equal(stead_check_run(it->store, 100, note_finding, it, &it->counts), 0);
}

static void expect_sound(struct fixture *it)
{
    check(it);
    assert_string_equal(it->findings, "");
}

static void expect_finding(struct fixture *it, const char *words)
{
    check(it);
    assert_int_equal(it->counts.findings, 1);
    if (strstr(it->findings, words) == NULL)
        fail_msg("'%s' is not in '%s'", words, it->findings);
}

/* ---- Building a store ----------------------------------------------------------------------- */

static stead_slot slot_of(const char *address)
{
    return stead_address_slot(stead_str(address), STEAD_GROUP_DEFAULT);
}

static void write_op(struct fixture *it, struct stead_store_op op)
{
    assert_int_equal(stead_store_write(it->store, &op, 1, true), 0);
}

static void put_row(struct fixture *it, const struct stead_row_key *key)
{
    struct stead_writer mutations;
    stead_writer_init(&mutations);
    stead_entry_put(&mutations, stead_row_slice(key), stead_str("value"));
    write_op(it, (struct stead_store_op){.type = STEAD_STORE_ROWS, .shard = 1, .bytes = stead_written(&mutations)});
    stead_writer_deinit(&mutations);
}

/* Builds an entry of shard 1 that puts `key`, unless that is NULL, or deletes from..to. */
static void build_entry(struct stead_writer *entry, uint64_t index, uint64_t epoch, uint64_t clock,
                        const struct stead_row_key *key, const struct stead_row_key *to)
{
    const struct stead_entry_header header = {.shard = 1, .epoch = epoch, .index = index, .clock = clock};
    stead_entry_begin(entry, &header);
    if (to != NULL)
        stead_entry_delete_range(entry, stead_row_slice(key), stead_row_slice(to));
    else if (key != NULL)
        stead_entry_put(entry, stead_row_slice(key), stead_str("value"));
    stead_entry_turns_begin(entry, key != NULL);
    stead_entry_end(entry, 0);
}

static void append(struct fixture *it, uint64_t at, uint64_t index, uint64_t epoch, uint64_t clock,
                   const struct stead_row_key *key, const struct stead_row_key *to)
{
    struct stead_writer entry;
    stead_writer_init(&entry);
    build_entry(&entry, index, epoch, clock, key, to);
    write_op(it, (struct stead_store_op){
                     .type = STEAD_STORE_APPEND, .shard = 1, .index = at, .bytes = stead_written(&entry)});
    stead_writer_deinit(&entry);
}

static void append_plain(struct fixture *it, uint64_t index)
{
    append(it, index, index, 1, index << 16, NULL, NULL);
}

static void mark_applied(struct fixture *it, uint64_t index)
{
    write_op(it, (struct stead_store_op){.type = STEAD_STORE_APPLIED, .shard = 1, .index = index});
}

static void put_agent(struct fixture *it)
{
    struct stead_row_key key;
    stead_row_agent(&key, slot_of(AGENT), stead_str(AGENT));
    put_row(it, &key);
}

static void put_part(struct fixture *it, uint64_t incarnation, enum stead_row_part part, const char *sub)
{
    struct stead_row_key key;
    stead_row_part(&key, slot_of(AGENT), stead_str(AGENT), incarnation, part, stead_str(sub));
    put_row(it, &key);
}

static void put_due(struct fixture *it, const char *name)
{
    struct stead_row_key key;
    stead_row_begin(&key, slot_of(AGENT), STEAD_ROW_TIMER_DUE);
    stead_row_add_u64(&key, 1000);
    stead_row_add_address(&key, stead_str(AGENT));
    stead_row_add_u8(&key, STEAD_PART_TIMER);
    stead_row_add(&key, stead_str(name));
    put_row(it, &key);
}

/* ---- Logs ----------------------------------------------------------------------------------- */

static void test_check_of_a_sound_store_counts_and_finds_nothing(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key key;
    put_agent(it);
    put_part(it, 3, STEAD_PART_TIMER, "tick");
    put_due(it, "tick");
    append_plain(it, 1);
    append_plain(it, 2);
    mark_applied(it, 2);
    stead_row_part(&key, slot_of(AGENT), stead_str(AGENT), 3, STEAD_PART_KV, stead_str("k"));
    append(it, 3, 3, 2, 3 << 16, &key, NULL);
    expect_sound(it);
    assert_int_equal(it->counts.shards, 1);
    assert_int_equal(it->counts.entries, 3);
    assert_int_equal(it->counts.replayed, 1);
    assert_int_equal(it->counts.rows, 4);
    assert_int_equal(it->counts.agents, 1);
    assert_int_equal(it->counts.timers, 1);
}

static void test_check_of_a_damaged_entry_names_its_index(void **state)
{
    struct fixture *it = *state;
    append_plain(it, 1);
    write_op(it, (struct stead_store_op){
                     .type = STEAD_STORE_APPEND, .shard = 1, .index = 2, .bytes = stead_str("not an entry")});
    expect_finding(it, "shard 1 index 2: the entry is damaged");
}

static void test_check_of_a_gap_names_where_it_begins(void **state)
{
    struct fixture *it = *state;
    append_plain(it, 1);
    append_plain(it, 4);
    expect_finding(it, "from index 2 on are missing");
}

static void test_check_of_a_log_that_begins_after_the_image_ends_finds_it(void **state)
{
    struct fixture *it = *state;
    mark_applied(it, 4);
    append_plain(it, 6);
    expect_finding(it, "up to index 4");
}

static void test_check_of_a_log_that_ends_before_the_applied_mark_finds_it(void **state)
{
    struct fixture *it = *state;
    append_plain(it, 1);
    mark_applied(it, 2);
    expect_finding(it, "the image holds everything up to index 2");
}

static void test_check_of_an_entry_in_the_wrong_place_finds_it(void **state)
{
    struct fixture *it = *state;
    append(it, 1, 7, 1, 0, NULL, NULL);
    expect_finding(it, "says that it is shard 1 index 7");
}

static void test_check_of_a_falling_epoch_or_clock_finds_it(void **state)
{
    struct fixture *it = *state;
    append(it, 1, 1, 5, 100, NULL, NULL);
    append(it, 2, 2, 4, 100, NULL, NULL);
    expect_finding(it, "the epoch falls from 5 to 4");
    append(it, 2, 2, 5, 99, NULL, NULL);
    expect_finding(it, "the clock falls from 100 to 99");
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static void test_check_of_an_unknown_row_finds_it(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key key = {.size = 4, .data = {0, 1, 0x77, 1}};
    put_row(it, &key);
    expect_finding(it, "no row that this version knows");
}

static void test_check_of_an_agent_in_the_wrong_slot_finds_it(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key key;
    stead_row_agent(&key, (stead_slot){(uint16_t)((slot_of(AGENT).v + 1) % STEAD_SLOTS_PER_GROUP)}, stead_str(AGENT));
    put_row(it, &key);
    expect_finding(it, "does not hash to its slot");
}

static void test_check_of_a_part_without_its_agent_finds_it(void **state)
{
    struct fixture *it = *state;
    put_part(it, 1, STEAD_PART_KV, "key");
    expect_finding(it, "row of counter/alice");
    put_agent(it);
    expect_sound(it);
}

static void test_check_of_mail_without_an_agent_finds_nothing(void **state)
{
    struct fixture *it = *state;
    put_part(it, 0, STEAD_PART_MAIL, "12345678");
    expect_sound(it);
}

static void test_check_of_a_delayed_signal_for_an_agent_without_a_turn_finds_nothing(void **state)
{
    struct fixture *it = *state;
    put_part(it, 1, STEAD_PART_DELAYED, "1234567812345678");
    expect_sound(it);
}

static void test_check_of_a_due_row_without_its_timer_finds_it(void **state)
{
    struct fixture *it = *state;
    put_agent(it);
    put_part(it, 2, STEAD_PART_TIMER, "tock");
    put_due(it, "tick");
    expect_finding(it, "what is due is not there");
    put_part(it, 3, STEAD_PART_TIMER, "tick");
    expect_sound(it);
}

static void test_check_of_an_outbox_record_without_its_channel_finds_it(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key key;
    stead_row_begin(&key, (stead_slot){5}, STEAD_ROW_OUTBOX);
    stead_row_add_u16(&key, 9);
    stead_row_add_u64(&key, 1);
    stead_row_add_u64(&key, 1);
    put_row(it, &key);
    expect_finding(it, "without its channel");
    stead_row_begin(&key, (stead_slot){5}, STEAD_ROW_CHANNEL_OUT);
    stead_row_add_u16(&key, 9);
    put_row(it, &key);
    expect_sound(it);
    assert_int_equal(it->counts.outbox, 1);
}

static void test_check_of_an_answer_without_its_session_finds_it(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key key;
    stead_row_begin(&key, (stead_slot){5}, STEAD_ROW_ANSWER);
    stead_row_add(&key, stead_str("0123456789abcdef"));
    stead_row_add_u64(&key, 1);
    put_row(it, &key);
    expect_finding(it, "without its session");
}

static void test_check_sees_the_image_as_recovery_will_leave_it(void **state)
{
    struct fixture *it = *state;
    struct stead_row_key from;
    struct stead_row_key to;
    put_part(it, 1, STEAD_PART_KV, "orphan"); /* the log deletes it as a range */
    stead_row_begin(&from, slot_of(AGENT), STEAD_ROW_PART);
    stead_row_add_address(&from, stead_str(AGENT));
    to = from;
    assert_true(stead_row_after_prefix(&to));
    append(it, 1, 1, 1, 1, &from, &to);
    expect_sound(it);
    assert_int_equal(it->counts.rows, 0);
}

static void test_check_reports_no_more_than_asked_but_counts_all(void **state)
{
    struct fixture *it = *state;
    for (uint64_t index = 1; index < 20; index += 2)
        append_plain(it, index);
    assert_int_equal(stead_check_run(it->store, 2, note_finding, it, &it->counts), 0);
    assert_int_equal(it->counts.findings, 9);
    assert_non_null(strstr(it->findings, "from index 4 on"));
    assert_null(strstr(it->findings, "from index 6 on"));
}

static void test_check_of_an_unreadable_store_says_so(void **state)
{
    struct fixture *it = *state;
    append_plain(it, 1);
    stead_store_memory_fail_reads(it->store, 1000);
    assert_int_equal(stead_check_run(it->store, 1, note_finding, it, &it->counts), STEAD_EIO);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_check_of_a_sound_store_counts_and_finds_nothing),
        CASE(test_check_of_a_damaged_entry_names_its_index),
        CASE(test_check_of_a_gap_names_where_it_begins),
        CASE(test_check_of_a_log_that_begins_after_the_image_ends_finds_it),
        CASE(test_check_of_a_log_that_ends_before_the_applied_mark_finds_it),
        CASE(test_check_of_an_entry_in_the_wrong_place_finds_it),
        CASE(test_check_of_a_falling_epoch_or_clock_finds_it),
        CASE(test_check_of_an_unknown_row_finds_it),
        CASE(test_check_of_an_agent_in_the_wrong_slot_finds_it),
        CASE(test_check_of_a_part_without_its_agent_finds_it),
        CASE(test_check_of_mail_without_an_agent_finds_nothing),
        CASE(test_check_of_a_delayed_signal_for_an_agent_without_a_turn_finds_nothing),
        CASE(test_check_of_a_due_row_without_its_timer_finds_it),
        CASE(test_check_of_an_outbox_record_without_its_channel_finds_it),
        CASE(test_check_of_an_answer_without_its_session_finds_it),
        CASE(test_check_sees_the_image_as_recovery_will_leave_it),
        CASE(test_check_reports_no_more_than_asked_but_counts_all),
        CASE(test_check_of_an_unreadable_store_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
