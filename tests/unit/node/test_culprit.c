/* SPDX-License-Identifier: Apache-2.0 */
/* culprit: a job whose thread ends the process is remembered; one that only happened to run is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/culprit.h"

static char folder[64];

static struct stead_turnmarks *open_marks(void)
{
    struct stead_turnmarks *marks;
    char why[STEAD_TURNMARK_WHY_SIZE];

    assert_int_equal(stead_turnmarks_open(folder, &marks, why), 0);
    return marks;
}

static struct stead_turnmarks *shared; /* of the child */
static void (*how)(void);              /* it ends */
static pthread_barrier_t both;         /* jobs run */

static void by_abort(void)
{
    abort();
}
static void by_exit(void)
{
    exit(3);
}
static void by_signal_from_outside(void)
{
    raise(SIGKILL);
}
static void by_fault(void)
{
    raise(SIGSEGV);
}
static int dig(volatile char *above)
{
    volatile char here[4096];

    here[0] = above[0];
    return here[0] == 0 ? 0 : dig(here) + here[0];
}
static void by_stack(void)
{
    volatile char top[1] = {1};
    exit(dig(top));
}

static void *innocent(void *context)
{
    (void)context;
    stead_culprit_begin(shared, 4, (struct stead_id){{4}});
    pthread_barrier_wait(&both);
    pause();
    return NULL;
}

static void *guilty(void *context)
{
    (void)context;
    stead_culprit_begin(shared, 9, (struct stead_id){{1}}); /* is over before it happens */
    stead_culprit_end();
    stead_culprit_begin(shared, 9, (struct stead_id){{9}});
    pthread_barrier_wait(&both);
    how();
    return NULL;
}

/* In a child: two jobs and a turn run when one of the jobs ends the process. */
static void die(void (*end)(void))
{
    pid_t child = fork();

    if (child == 0) {
        struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        struct stead_turn_mark mark = {.id = {{7}}, .address = stead_str("counter/alice"), .op = stead_str("add")};
        pthread_t threads[2];
        shared = open_marks();
        how = end;
        stead_turnmarks_set(shared, 1, &mark);
        pthread_barrier_init(&both, NULL, 2);
        pthread_create(&threads[0], NULL, innocent, NULL);
        pthread_create(&threads[1], NULL, guilty, NULL);
        pthread_join(threads[1], NULL);
        _exit(0);
    }
    assert_true(child > 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (end != by_exit)
        assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_job_that_ends_the_process_is_counted_and_nobody_else(void **state)
{
    void (*const ends[])(void) = {by_abort, by_exit, by_fault, by_stack};
    struct stead_turnmark_suspect suspect;

    (void)state;
    for (uint32_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        die(ends[i]);
        struct stead_turnmarks *marks = open_marks();
        assert_true(stead_turnmarks_suspect(marks, 0, &suspect));
        assert_int_equal(suspect.id.v[0], 9);
        assert_int_equal(suspect.kills, i + 1);
        assert_false(stead_turnmarks_suspect(marks, 1, &suspect)); /* neither the other job nor the turn */
        stead_turnmarks_close(&marks);
    }
}

static void test_death_from_outside_accuses_no_job(void **state)
{
    struct stead_turnmark_suspect suspect;

    (void)state;
    die(by_signal_from_outside);
    struct stead_turnmarks *marks = open_marks();
    assert_true(stead_turnmarks_suspect(marks, 0, &suspect)); /* but a turn, which is short */
    assert_int_equal(suspect.id.v[0], 7);
    assert_false(stead_turnmarks_suspect(marks, 1, &suspect));
    stead_turnmarks_close(&marks);
}

static void test_slot_beyond_the_last_is_not_marked(void **state)
{
    struct stead_turnmarks *marks = open_marks();

    (void)state;
    stead_culprit_begin(marks, STEAD_TURNMARK_JOBS_MAX, (struct stead_id){{1}});
    stead_culprit_end();
    stead_turnmarks_close(&marks);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/stead-culprit-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/" STEAD_TURNMARK_FILE, folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_job_that_ends_the_process_is_counted_and_nobody_else, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_death_from_outside_accuses_no_job, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_slot_beyond_the_last_is_not_marked, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
