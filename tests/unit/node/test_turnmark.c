/* SPDX-License-Identifier: Apache-2.0 */
/* turnmark: a death in a turn is remembered, a finished turn is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/culprit.h"
#include "node/signals.h"
#include "node/turnmark.h"

static char folder[64];

static struct stead_turnmarks *open_marks(void)
{
    struct stead_turnmarks *marks;
    char why[STEAD_TURNMARK_WHY_SIZE];

    assert_int_equal(stead_turnmarks_open(folder, &marks, why), 0);
    return marks;
}

static void begin_turn(struct stead_turnmarks *marks, uint32_t reactor, uint8_t id)
{
    struct stead_turn_mark mark = {.id = {{id}}, .address = stead_str("counter/alice"), .op = stead_str("add")};

    stead_turnmarks_set(marks, reactor, &mark);
}

static void test_turnmark_process_killed_in_a_turn_is_counted_against_its_message(void **state)
{
    (void)state;
    struct stead_turnmark_suspect suspect;

    for (uint32_t kills = 1; kills <= 3; kills++) {
        pid_t child = fork();
        if (child == 0) {
            struct stead_turnmarks *marks = open_marks();
            begin_turn(marks, 1, 7);
            raise(SIGKILL);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    struct stead_turnmarks *marks = open_marks();
    assert_true(stead_turnmarks_suspect(marks, 0, &suspect));
    assert_int_equal(suspect.kills, 3);
    assert_int_equal(suspect.id.v[0], 7);
    assert_false(stead_turnmarks_suspect(marks, 1, &suspect));
    stead_turnmarks_close(&marks);
}

static void test_turnmark_of_the_thread_that_faults_is_blamed_alone_and_named(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGKILL};
    struct stead_turnmark_suspect suspect;
    struct stead_turnmark_death death;

    for (uint32_t at = 0; at < 2; at++) {
        pid_t child = fork();
        if (child == 0) {
            struct stead_turnmarks *marks = open_marks();
            for (size_t i = 0; i < STEAD_FAULT_SIGNALS; i++) /* cmocka's go on with the tests */
                signal(stead_fault_signals[i], SIG_DFL);
            stead_culprit_reactor(marks, 1);
            begin_turn(marks, 0, 20);
            begin_turn(marks, 1, 21);
            raise(signals[at]);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[at]);
        struct stead_turnmarks *marks = open_marks();
        assert_int_equal(stead_turnmarks_death(marks, 1, &death), at == 1); /* from outside: any of them */
        assert_true(stead_turnmarks_death(marks, 0, &death));
        assert_int_equal(death.kills, 1);
        assert_string_equal(death.text, "counter/alice add");
        assert_true(stead_turnmarks_suspect(marks, 0, &suspect));
        assert_int_equal(suspect.id.v[0], 21);
        assert_int_equal(suspect.kills, at + 1);
        stead_turnmarks_close(&marks);
    }
}

static void test_turnmark_finished_turn_is_not_suspected(void **state)
{
    (void)state;
    struct stead_turnmark_suspect suspect;
    struct stead_turnmarks *marks = open_marks();

    begin_turn(marks, 0, 9);
    stead_turnmarks_set(marks, 0, NULL);
    stead_turnmarks_close(&marks);
    marks = open_marks();
    for (uint32_t i = 0; stead_turnmarks_suspect(marks, i, &suspect); i++)
        assert_int_not_equal(suspect.id.v[0], 9);
    stead_turnmarks_close(&marks);
}

static void test_turnmark_running_turn_is_named_and_numbered(void **state)
{
    (void)state;
    char text[STEAD_TURNMARK_TEXT_SIZE];
    struct stead_turnmarks *marks = open_marks();

    assert_int_equal(stead_turnmarks_look(marks, 2, text), 0);
    begin_turn(marks, 2, 1);
    uint64_t first = stead_turnmarks_look(marks, 2, text);
    assert_int_not_equal(first, 0);
    assert_string_equal(text, "counter/alice add");
    stead_turnmarks_set(marks, 2, NULL);
    assert_int_equal(stead_turnmarks_look(marks, 2, text), 0);
    begin_turn(marks, 2, 2);
    assert_int_not_equal(stead_turnmarks_look(marks, 2, text), first);
    stead_turnmarks_set(marks, 2, NULL);
    stead_turnmarks_close(&marks);
}

static void test_turnmark_long_address_is_cut_and_a_shorter_one_leaves_no_rest(void **state)
{
    (void)state;
    char text[STEAD_TURNMARK_TEXT_SIZE];
    char address[600];
    struct stead_turnmarks *marks = open_marks();

    memset(address, 'x', sizeof address);
    address[sizeof address - 1] = 0;
    struct stead_turn_mark mark = {.id = {{1}}, .address = stead_str(address), .op = stead_str("add")};
    stead_turnmarks_set(marks, 0, &mark);
    assert_int_not_equal(stead_turnmarks_look(marks, 0, text), 0);
    assert_int_equal(strlen(text), STEAD_TURNMARK_TEXT_SIZE - 8);
    mark.address = stead_str("a/1234567"); /* with " op" 12 bytes: ends inside a word */
    mark.op = stead_str("op");
    stead_turnmarks_set(marks, 0, &mark);
    stead_turnmarks_look(marks, 0, text);
    assert_string_equal(text, "a/1234567 op");
    mark.address = stead_str("a/12"); /* 8 bytes with " op" and one more: ends at a word */
    mark.op = stead_str("opq");
    stead_turnmarks_set(marks, 0, &mark);
    stead_turnmarks_look(marks, 0, text);
    assert_string_equal(text, "a/12 opq");
    stead_turnmarks_set(marks, 0, NULL);
    mark.same_text = true; /* another message of the same agent and op: the words stay as they are */
    stead_turnmarks_set(marks, 0, &mark);
    assert_int_not_equal(stead_turnmarks_look(marks, 0, text), 0);
    assert_string_equal(text, "a/12 opq");
    stead_turnmarks_set(marks, 0, NULL);
    stead_turnmarks_close(&marks);
}

static void test_turnmark_foreign_file_is_made_anew(void **state)
{
    (void)state;
    char path[96];
    struct stead_turnmark_suspect suspect;

    snprintf(path, sizeof path, "%s/" STEAD_TURNMARK_FILE, folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("not a mark file", file) >= 0);
    assert_int_equal(fclose(file), 0);
    struct stead_turnmarks *marks = open_marks();
    assert_false(stead_turnmarks_suspect(marks, 0, &suspect));
    stead_turnmarks_close(&marks);
}

static void test_turnmark_more_suspects_than_places_keeps_the_latest(void **state)
{
    (void)state;
    struct stead_turnmark_suspect suspect;
    struct stead_turnmarks *marks = open_marks();
    bool found = false;
    uint32_t count = 0;

    for (uint32_t i = 0; i < STEAD_TURNMARK_SUSPECTS_MAX + 8; i++) {
        begin_turn(marks, 3, (uint8_t)(100 + i));
        stead_turnmarks_close(&marks); /* as a death: the turn was not ended */
        marks = open_marks();
    }
    for (; stead_turnmarks_suspect(marks, count, &suspect); count++)
        found = found || suspect.id.v[0] == (uint8_t)(100 + STEAD_TURNMARK_SUSPECTS_MAX + 7);
    assert_int_equal(count, STEAD_TURNMARK_SUSPECTS_MAX);
    assert_true(found);
    stead_turnmarks_close(&marks);
}

/* How often this has killed, as it is known at the start. */
static uint32_t kills_of(const struct stead_turnmarks *marks, uint8_t id)
{
    struct stead_turnmark_suspect suspect;

    for (uint32_t i = 0; stead_turnmarks_suspect(marks, i, &suspect); i++)
        if (suspect.id.v[0] == id)
            return suspect.kills;
    return 0;
}

/* A timer, or a hook, runs under the same id in each life: what is killed from outside is not its doing. */
static void test_turnmark_lasting_one_is_counted_only_when_its_own_thread_ends_the_process(void **state)
{
    (void)state;
    struct stead_turn_mark mark = {
        .id = {{9}}, .address = stead_str("counter/alice"), .op = stead_str("on_load"), .lasting = true};
    struct stead_turnmark_death death;
    struct stead_turnmarks *marks = open_marks();

    for (uint32_t life = 1; life <= 4; life++) {
        stead_turnmarks_set(marks, 5, &mark);
        if (life % 2 == 0)
            stead_turnmarks_turn_blame(marks, 5);
        stead_turnmarks_close(&marks); /* as a death */
        marks = open_marks();
        assert_true(stead_turnmarks_death(marks, 0, &death)); /* named all the same */
        assert_string_equal(death.text, "counter/alice on_load");
        assert_int_equal(death.kills, life / 2);
        assert_int_equal(kills_of(marks, 9), life / 2);
    }
    stead_turnmarks_set(marks, 5, &mark);
    stead_turnmarks_set(marks, 5, NULL);
    begin_turn(marks, 5, 7); /* what follows it is a message's again */
    stead_turnmarks_close(&marks);
    marks = open_marks();
    assert_int_equal(kills_of(marks, 7), 1);
    stead_turnmarks_close(&marks);
}

static void test_turnmark_clean_stop_forgets_the_suspects(void **state)
{
    (void)state;
    struct stead_turnmark_suspect suspect;
    struct stead_turnmarks *marks = open_marks();

    begin_turn(marks, 1, 7);
    stead_turnmarks_close(&marks); /* as a death */
    marks = open_marks();
    assert_true(stead_turnmarks_suspect(marks, 0, &suspect));
    stead_turnmarks_forget(marks);
    stead_turnmarks_close(&marks);
    marks = open_marks();
    assert_false(stead_turnmarks_suspect(marks, 0, &suspect));
    stead_turnmarks_close(&marks);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "stead-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[96];

    snprintf(path, sizeof path, "%s/" STEAD_TURNMARK_FILE, folder);
    return unlink(path) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_turnmark_process_killed_in_a_turn_is_counted_against_its_message,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_of_the_thread_that_faults_is_blamed_alone_and_named, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_finished_turn_is_not_suspected, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_running_turn_is_named_and_numbered, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_long_address_is_cut_and_a_shorter_one_leaves_no_rest, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_foreign_file_is_made_anew, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_lasting_one_is_counted_only_when_its_own_thread_ends_the_process,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_clean_stop_forgets_the_suspects, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_turnmark_more_suspects_than_places_keeps_the_latest, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
