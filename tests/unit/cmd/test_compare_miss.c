/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session that broke off leaves failed cells, not gaps; what cannot be measured leaves none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/compare.h"

static struct stead_compare compare;

static const struct stead_compare_work *work(const char *name)
{
    const struct stead_compare_work *it = stead_compare_works;

    while (strcmp(it->name, name) != 0)
        it++;
    return it;
}

static const struct stead_compare_fabric *fabric(const char *name)
{
    const struct stead_compare_fabric *it = stead_compare_fabrics;

    while (strcmp(it->name, name) != 0)
        it++;
    return it;
}

static int begin(void **state)
{
    (void)state;
    memset(&compare, 0, sizeof compare);
    compare.works[compare.work_count++] = work("echo");
    compare.works[compare.work_count++] = work("hello3");
    compare.works[compare.work_count++] = work("election");
    return 0;
}

static void test_only_what_was_not_measured_is_marked(void **state)
{
    struct stead_compare_session session = {.compare = &compare, .fabric = fabric("hub-250ms")};

    (void)state;
    compare.cells[compare.cell_count++] =
        (struct stead_compare_cell){.work = work("echo"), .fabric = session.fabric, .start = STEAD_COMPARE_HOT};
    stead_compare_miss(&session, STEAD_COMPARE_HOT);
    assert_int_equal(compare.cell_count, 3);
    assert_true(compare.cells[0].failed == 0);
    assert_string_equal(compare.cells[1].work->name, "hello3");
    assert_string_equal(compare.cells[2].work->name, "election");
    for (uint32_t i = 1; i < 3; i++) {
        assert_true(compare.cells[i].failed > 0);
        assert_int_equal(compare.cells[i].latency.count, 0);
    }
    stead_compare_miss(&session, STEAD_COMPARE_HOT);
    assert_int_equal(compare.cell_count, 3);
}

static void test_what_is_measured_nowhere_else_is_not_missed(void **state)
{
    struct stead_compare_session session = {.compare = &compare, .fabric = fabric("hub-backoff"), .apart = true};

    (void)state;
    stead_compare_miss(&session, STEAD_COMPARE_COLD);
    assert_int_equal(compare.cell_count, 2); /* no election */
    stead_compare_miss(&session, STEAD_COMPARE_HOT);
    assert_int_equal(compare.cell_count, 4);
    assert_true(compare.cells[3].apart && compare.cells[3].start == STEAD_COMPARE_HOT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_only_what_was_not_measured_is_marked, begin),
        cmocka_unit_test_setup(test_what_is_measured_nowhere_else_is_not_missed, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
