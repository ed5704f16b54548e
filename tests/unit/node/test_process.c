/* SPDX-License-Identifier: Apache-2.0 */
/* Processes are named by pid, start and boot: no stranger is taken for ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/coordinator_lock.h"
#include "node/process.h"

static char folder[64];

static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct stead_process start_shell(const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct stead_process process;
    assert_int_equal(stead_process_start("/bin/sh", argv, path_of("log"), &process), 0);
    return process;
}

static void test_process_started_runs_until_it_is_stopped(void **state)
{
    (void)state;
    struct stead_process process = start_shell("exec sleep 60");
    assert_true(stead_process_runs(&process));
    assert_int_equal(stead_process_await(&process, -1, 0), STEAD_ETIMEOUT);
    assert_int_equal(stead_process_stop(&process, 1, 5000), 1);
    assert_false(stead_process_runs(&process));
    assert_int_equal(stead_process_signal(&process, SIGTERM), STEAD_ENOTFOUND);
    assert_int_equal(waitpid(process.pid, NULL, WNOHANG), -1); /* reaped */
}

static void test_process_deaf_to_term_is_killed(void **state)
{
    (void)state;
    struct stead_process process = start_shell("trap '' TERM; echo deaf; while :; do sleep 1; done");
    char line[16] = "";
    for (int i = 0; i < 500 && strcmp(line, "deaf") != 0; i++) {
        usleep(10000);
        stead_process_last_words(path_of("log"), line, sizeof line);
    }
    assert_string_equal(line, "deaf");
    assert_int_equal(stead_process_stop(&process, 1, 100), 1);
    assert_false(stead_process_runs(&process));
}

static void test_process_of_other_start_or_boot_is_a_stranger(void **state)
{
    (void)state;
    struct stead_process self, other;
    assert_int_equal(stead_process_identify(getpid(), &self), 0);
    assert_true(stead_process_runs(&self));
    other = self;
    other.started++;
    assert_false(stead_process_runs(&other));
    assert_int_equal(stead_process_signal(&other, SIGKILL), STEAD_ENOTFOUND);
    other = self;
    other.boot[0] ^= 1;
    assert_false(stead_process_runs(&other));
    assert_int_equal(stead_process_signal(&other, SIGKILL), STEAD_ENOTFOUND);
}

static void test_process_that_was_not_reaped_does_not_run(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    struct stead_process process;
    for (int i = 0; i < 500 && stead_process_identify(pid, &process) == 0; i++)
        usleep(10000);
    assert_int_equal(stead_process_identify(pid, &process), STEAD_ENOTFOUND);
    waitpid(pid, NULL, 0);
}

static void test_process_await_is_woken_by_the_descriptor(void **state)
{
    (void)state;
    struct stead_process self;
    int fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(stead_process_identify(getpid(), &self), 0);
    assert_int_equal(stead_process_await(&self, fd, -1), STEAD_ECANCELLED);
    close(fd);
}

static void test_pid_file_is_read_back_only_while_the_process_runs(void **state)
{
    (void)state;
    struct stead_process process = start_shell("exec sleep 60"), read;
    assert_int_equal(stead_process_write(path_of("x.pid"), &process), 0);
    assert_int_equal(stead_process_read(path_of("x.pid"), &read), 0);
    assert_memory_equal(&read, &process, sizeof read);
    assert_int_equal(stead_process_stop(&process, 1, 5000), 1);
    assert_int_equal(stead_process_read(path_of("x.pid"), &read), STEAD_ENOTFOUND);
    assert_int_equal(stead_process_read(path_of("none.pid"), &read), STEAD_ENOTFOUND);
}

static void test_pid_file_of_garbage_names_nobody(void **state)
{
    (void)state;
    static const char *const garbage[] = {"", "\n", "x y z\n", "-1 2 a\n", "99999999999999999999 1 a\n", "0 0 a\n"};
    struct stead_process read;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        FILE *file = fopen(path_of("g.pid"), "w");
        assert_non_null(file);
        fputs(garbage[i], file);
        fclose(file);
        assert_int_equal(stead_process_read(path_of("g.pid"), &read), STEAD_ENOTFOUND);
    }
}

static void assert_last_words(const char *log, const char *expected)
{
    char words[64] = "unset";
    FILE *file = fopen(path_of("log"), "w");
    assert_non_null(file);
    fputs(log, file);
    fclose(file);
    stead_process_last_words(path_of("log"), words, sizeof words);
    assert_string_equal(words, expected);
}

static void test_last_words_are_the_last_error_or_a_plain_last_line(void **state)
{
    (void)state;
    assert_last_words("", "");
    assert_last_words("\n\n", "");
    assert_last_words("one\ntwo\n\n", "two");
    assert_last_words(
        "plain\ntime=1 level=error event=failed text=\"no \\\"port\\\"\"\ntime=2 level=info event=stopped\n",
        "no \"port\"");
    assert_last_words("time=1 level=error event=failed text=\"old\"\nstead node: newer\n", "stead node: newer");
    assert_last_words("plain\ntime=1 level=info event=stopped text=\"x\"\n", "");
    assert_last_words("time=1 level=error event=failed text=\"cut", "cut");
}

static void test_lock_is_taken_once_and_names_its_endpoint(void **state)
{
    (void)state;
    struct stead_coordinator_lock first, second;
    struct stead_coordinator_place place;
    assert_int_equal(stead_coordinator_lock_find(folder, &place), STEAD_ENOTFOUND);
    assert_int_equal(stead_coordinator_lock_take(folder, &first), 0);
    assert_int_equal(stead_coordinator_lock_take(folder, &second), STEAD_EINUSE);
    assert_int_equal(stead_coordinator_lock_find(folder, &place), STEAD_ENOTFOUND);
    assert_int_equal(stead_coordinator_lock_publish(&first, "tcp://127.0.0.1:7399"), 0);
    assert_int_equal(stead_coordinator_lock_find(folder, &place), 0);
    assert_string_equal(place.endpoint, "tcp://127.0.0.1:7399");
    assert_int_equal(place.process.pid, getpid());
    stead_coordinator_lock_release(&first);
    assert_int_equal(stead_coordinator_lock_find(folder, &place), STEAD_ENOTFOUND);
    assert_int_equal(stead_coordinator_lock_take(folder, &second), 0);
    stead_coordinator_lock_release(&second);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "stead-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"log", "x.pid", "g.pid", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_started_runs_until_it_is_stopped),
        cmocka_unit_test(test_process_deaf_to_term_is_killed),
        cmocka_unit_test(test_process_of_other_start_or_boot_is_a_stranger),
        cmocka_unit_test(test_process_that_was_not_reaped_does_not_run),
        cmocka_unit_test(test_process_await_is_woken_by_the_descriptor),
        cmocka_unit_test(test_pid_file_is_read_back_only_while_the_process_runs),
        cmocka_unit_test(test_pid_file_of_garbage_names_nobody),
        cmocka_unit_test(test_last_words_are_the_last_error_or_a_plain_last_line),
        cmocka_unit_test(test_lock_is_taken_once_and_names_its_endpoint),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
