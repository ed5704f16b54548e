/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka: as much of it as a test needs that is built for another machine, for which no package of it is at hand. A
 * failed assertion ends the process.
 *
 * Threads: one.
 */
#ifndef STEAD_TESTS_CROSS_CMOCKA_H
#define STEAD_TESTS_CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(function)                                                                                     \
    {                                                                                                                  \
#function, function                                                                                            \
    }

/* Says what did not hold, and where. */
static inline void cross_require(int holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}
#define assert_true(condition) cross_require((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define assert_false(condition) assert_true(!(condition))
#define assert_null(pointer) assert_true((pointer) == NULL)
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_ptr_equal(a, b) assert_true((const void *)(a) == (const void *)(b))
#define assert_ptr_not_equal(a, b) assert_false((const void *)(a) == (const void *)(b))
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_int_not_equal(a, b) assert_false((long long)(a) == (long long)(b))
#define assert_in_range(value, least, most) assert_true((value) >= (least) && (value) <= (most))
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)

#define cmocka_run_group_tests(tests, set_up, tear_down) cross_run(tests, sizeof(tests) / sizeof((tests)[0]))
static inline int cross_run(const struct CMUnitTest *tests, size_t count)
{
    void *state = NULL;

    for (size_t i = 0; i < count; i++) {
        tests[i].run(&state);
        printf("%s\n", tests[i].name);
    }
    return 0;
}

#endif
