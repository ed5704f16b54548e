/* SPDX-License-Identifier: Apache-2.0 */
/* fiber: switching, stacks to their end and beyond, eviction, reuse; under each sanitizer and under valgrind too. */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "stead/fiber.h"

#define FIBERS_MAX 64u

/* What a test's fibers share. */
struct world {
    struct stead_fibers *pool;
    struct stead_fiber *fibers[FIBERS_MAX];
    uint32_t steps; /* a fiber's: how often it stops */
    uint32_t evicted[FIBERS_MAX];
    uint32_t evicted_count;
    uint64_t sum;
    uintptr_t place; /* where a fiber's locals lay */
};

/* One fiber's own. */
struct one {
    struct world *world;
    uint32_t at;
    uint32_t passed; /* stops behind it */
};

static void note_evicted(void *context)
{
    struct one *one = context;
    one->world->evicted[one->world->evicted_count++] = one->at;
    one->world->fibers[one->at] = NULL;
}

static void count_up(void *context)
{
    struct one *one = context;
    volatile uint64_t local[8] = {one->at};

    one->world->place = (uintptr_t)__builtin_frame_address(0);
    for (uint32_t i = 0; i < one->world->steps; i++) {
        local[i % 8] += i;
        stead_fiber_stop(one->world->fibers[one->at]);
        one->passed++;
        one->world->sum += local[i % 8] > 0 ? 1 : 0;
    }
}

static struct stead_fiber *start(struct world *world, struct one *one, uint32_t at, stead_fiber_fn *run)
{
    *one = (struct one){world, at, 0};
    world->fibers[at] = stead_fiber_create(world->pool, 0, run, note_evicted, one);
    return world->fibers[at];
}

static void test_fibers_interleave_and_end(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 10};
    struct one ones[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        assert_non_null(start(&world, &ones[i], i, count_up));
    assert_int_equal(ones[0].passed, 0); /* nothing has begun */
    for (uint32_t round = 0; round < 10; round++)
        for (uint32_t i = 0; i < 3; i++) {
            assert_true(stead_fiber_resume(world.fibers[i]));
            assert_int_equal(ones[i].passed, round);
        }
    assert_int_equal(stead_fibers_count(world.pool), 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(stead_fiber_resume(world.fibers[i]));
        assert_int_equal(ones[i].passed, 10);
        stead_fiber_destroy(&world.fibers[i]);
        assert_null(world.fibers[i]);
    }
    assert_int_equal(stead_fibers_count(world.pool), 0);
    assert_int_equal(stead_fibers_count_max(world.pool), 3);
    stead_fibers_destroy(&world.pool);
    assert_null(world.pool);
}

/* What a compiler keeps in registers across a stop: more integers and doubles than there are of either. */
static void keep_registers(void *context)
{
    struct one *one = context;
    struct world *world = one->world;
    uint64_t a = one->at + 1, b = a * 3, c = a * 5, d = a * 7, e = a * 11, f = a * 13, g = a * 17;
    double p = (double)a, q = p * 3, r = p * 5, s = p * 7;

    for (uint32_t i = 0; i < 100; i++) {
        stead_fiber_stop(world->fibers[one->at]);
        a += 1, b += a, c ^= b, d += c, e ^= d, f += e, g ^= f;
        p += 1, q += p, r += q, s += r;
    }
    one->passed = (uint32_t)(g ^ (uint64_t)s);
}

static uint32_t registers_alone(uint32_t at)
{
    struct world world = {.pool = stead_fibers_create(0)};
    struct one one;
    struct stead_fiber *fiber = start(&world, &one, at, keep_registers);

    while (stead_fiber_resume(fiber))
        ;
    stead_fiber_destroy(&world.fibers[at]);
    stead_fibers_destroy(&world.pool);
    return one.passed;
}

static void test_registers_survive_other_fibers(void **state)
{
    struct world world = {.pool = stead_fibers_create(0)};
    struct one ones[2];
    bool more = true;

    (void)state;
    start(&world, &ones[0], 0, keep_registers);
    start(&world, &ones[1], 1, keep_registers);
    while (more) {
        more = stead_fiber_resume(world.fibers[0]);
        assert_true(stead_fiber_resume(world.fibers[1]) == more);
    }
    assert_int_equal(ones[0].passed, registers_alone(0));
    assert_int_equal(ones[1].passed, registers_alone(1));
    assert_int_not_equal(ones[0].passed, ones[1].passed);
    stead_fibers_destroy(&world.pool);
}

static void round_up(void *context)
{
    struct one *one = context;

    one->passed = (uint32_t)fegetround();
    fesetround(FE_UPWARD);
    stead_fiber_stop(one->world->fibers[one->at]);
    one->world->sum = (uint64_t)fegetround();
}

static void test_rounding_mode_belongs_to_each_side(void **state)
{
    struct world world = {.pool = stead_fibers_create(0)};
    struct one one;
    volatile float third = 1.0f;

    (void)state;
    fesetround(FE_TOWARDZERO);
    start(&world, &one, 0, round_up);
    fesetround(FE_DOWNWARD);
    assert_true(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(fegetround(), FE_DOWNWARD);
    assert_int_equal(one.passed, FE_TOWARDZERO); /* its creator's */
    float below = third / 3.0f;
    fesetround(FE_TONEAREST);
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(world.sum, FE_UPWARD);
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_true(below < third / 3.0f || below * 3.0f <= 1.0f);
    stead_fibers_destroy(&world.pool);
}

/* ---- Stacks --------------------------------------------------------------------------------- */

/* Goes down until `bytes` of stack lie between it and `top`; stops at the bottom once when it is told to. */
static uint64_t dig(struct one *one, uintptr_t top, size_t bytes)
{
    volatile uint8_t frame[256];
    uint64_t under;

    memset((void *)(uintptr_t)frame, (int)(one->passed++ & 0xff), sizeof frame);
    if (top - (uintptr_t)__builtin_frame_address(0) >= bytes) {
        stead_fiber_stop(one->world->fibers[one->at]);
        return frame[255];
    }
    under = dig(one, top, bytes);
    return under + frame[0] - frame[255];
}

static void dig_deep(void *context)
{
    struct one *one = context;

    one->world->place = (uintptr_t)__builtin_frame_address(0);
    one->world->sum = dig(one, one->world->place, one->world->steps);
}

static void test_deep_stack_is_kept_over_a_stop(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 60u << 10};
    struct one ones[2];

    (void)state;
    start(&world, &ones[0], 0, dig_deep);
    start(&world, &ones[1], 1, dig_deep);
    for (uint32_t i = 0; i < 2; i++)
        assert_true(stead_fiber_resume(world.fibers[i]));
    for (uint32_t i = 0; i < 2; i++) {
        assert_false(stead_fiber_resume(world.fibers[i]));
        assert_int_equal(world.sum, (ones[i].passed - 1) & 0xff);
    }
    stead_fibers_destroy(&world.pool);
}

static void test_large_stack_is_had_by_asking(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 3u << 20};
    struct one one = {&world, 0, 0};

    (void)state;
    world.fibers[0] = stead_fiber_create(world.pool, 4u << 20, dig_deep, note_evicted, &one);
    assert_true(stead_fiber_resume(world.fibers[0]));
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_null(stead_fiber_create(world.pool, SIZE_MAX, dig_deep, note_evicted, &one));
    stead_fibers_destroy(&world.pool);
}

/* How deep the child of the test below came, in memory that both see. */
static void dig_through(void *context)
{
    struct one *one = context;

    (void)dig(one, (uintptr_t)__builtin_frame_address(0), 64u << 20);
}

static void test_stack_overflow_dies_at_the_guard(void **state)
{
    struct one *one = mmap(NULL, sizeof *one, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;

    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        struct world world = {.pool = stead_fibers_create(0)};
        struct one below;

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's report is not wanted */
        start(&world, one, 0, dig_through);
        start(&world, &below, 1, dig_through); /* mapped below the first: without a guard it would be dug into */
        stead_fiber_resume(world.fibers[0]);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_in_range(one->passed, 1,
                    (256u << 10) /
                        16u); /* no frame is smaller than 16 bytes; a sanitizer's stack is four times larger */
    munmap(one, sizeof *one);
}

static void test_stack_of_an_ended_fiber_is_reused(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 1};
    struct one one;

    (void)state;
    start(&world, &one, 0, count_up);
    stead_fiber_resume(world.fibers[0]);
    uintptr_t first = world.place;
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(stead_fibers_count(world.pool), 0); /* before it is destroyed */
    struct stead_fiber *ended = world.fibers[0];
    start(&world, &one, 0, count_up);
    stead_fiber_resume(world.fibers[0]);
    assert_true(world.place == first);
    stead_fiber_destroy(&ended);
    stead_fibers_destroy(&world.pool);
}

/* Pages in memory of `bytes` below `top`. */
static uint32_t resident_pages(uintptr_t top, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), count = bytes / page;
    unsigned char in[64];
    uint32_t resident = 0;

    assert_in_range(count, 1, sizeof in);
    assert_int_equal(mincore((void *)(top / page * page - count * page), count * page, in), 0);
    for (size_t i = 0; i < count; i++)
        resident += in[i] & 1u;
    return resident;
}

static void test_many_free_stacks_hold_no_memory(void **state)
{
    enum { COUNT = 1000, DEPTH = 48 << 10 };
    struct world world = {.pool = stead_fibers_create(0), .steps = DEPTH};
    static struct one ones[COUNT];
    static struct stead_fiber *fibers[COUNT];
    static uintptr_t places[COUNT];
    uint32_t full = 0, after = 0, page = (uint32_t)sysconf(_SC_PAGESIZE);

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        fibers[i] = start(&world, &ones[i], 0, dig_deep);
        assert_true(stead_fiber_resume(fibers[i]));
        places[i] = world.place;
        full += resident_pages(world.place, DEPTH);
    }
    assert_true(full >= COUNT * (DEPTH / page));
    for (uint32_t i = 0; i < COUNT; i++)
        stead_fiber_destroy(&fibers[i]);
    for (uint32_t i = 0; i < COUNT; i++)
        after += resident_pages(places[i], DEPTH);
    assert_in_range(after, 1, (4u << 20) / page); /* some stay warm */
    for (uint32_t i = 0; i < COUNT; i++) {        /* and a stack whose pages went works */
        fibers[i] = start(&world, &ones[i], 0, dig_deep);
        assert_true(stead_fiber_resume(fibers[i]));
    }
    stead_fibers_destroy(&world.pool);
}

/* ---- Eviction ------------------------------------------------------------------------------- */

static void test_eviction_takes_the_longest_stopped(void **state)
{
    struct world world = {.pool = stead_fibers_create(4), .steps = 3};
    struct one ones[7];

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        start(&world, &ones[i], i, count_up);
    static const uint32_t order[] = {2, 0, 3, 1, 2}; /* stopped the longest: 0, 3, 1, 2 */
    for (uint32_t i = 0; i < 5; i++)
        assert_true(stead_fiber_resume(world.fibers[order[i]]));
    for (uint32_t i = 4; i < 7; i++) {
        assert_non_null(start(&world, &ones[i], i, count_up));
        assert_true(stead_fiber_resume(world.fibers[i]));
    }
    assert_int_equal(world.evicted_count, 3);
    assert_int_equal(world.evicted[0], 0);
    assert_int_equal(world.evicted[1], 3);
    assert_int_equal(world.evicted[2], 1);
    assert_int_equal(stead_fibers_count(world.pool), 4);
    assert_true(stead_fiber_resume(world.fibers[2])); /* the others are whole */
    assert_int_equal(ones[2].passed, 2);
    stead_fibers_destroy(&world.pool);
    assert_int_equal(world.evicted_count, 3); /* the end says nothing */
}

static void create_inside(void *context)
{
    struct one *one = context;
    static struct one inner; /* outlives this fiber */

    inner = (struct one){one->world, 1, 0};
    one->world->fibers[1] = stead_fiber_create(one->world->pool, 0, count_up, note_evicted, &inner);
    one->world->sum = one->world->fibers[1] == NULL;
}

static void test_running_fiber_is_not_evicted(void **state)
{
    struct world world = {.pool = stead_fibers_create(1), .steps = 1};
    struct one one;

    (void)state;
    start(&world, &one, 0, create_inside);
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(world.sum, 1); /* no stack to be had */
    assert_int_equal(world.evicted_count, 0);
    stead_fibers_destroy(&world.pool);
}

static void test_eviction_from_inside_a_fiber(void **state)
{
    struct world world = {.pool = stead_fibers_create(2), .steps = 1};
    struct one ones[3];

    (void)state;
    start(&world, &ones[2], 2, count_up);
    assert_true(stead_fiber_resume(world.fibers[2]));
    start(&world, &ones[0], 0, create_inside);
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(world.evicted_count, 1);
    assert_int_equal(world.evicted[0], 2);
    assert_true(stead_fiber_resume(world.fibers[1]));
    assert_false(stead_fiber_resume(world.fibers[1]));
    stead_fibers_destroy(&world.pool);
}

static void test_sizes_of_stacks_share_the_limit(void **state)
{
    struct world world = {.pool = stead_fibers_create(3), .steps = 1};
    struct one one = {&world, 0, 0};

    (void)state;
    for (uint32_t i = 0; i < 100; i++) { /* more sizes than are kept */
        struct stead_fiber *fiber = stead_fiber_create(world.pool, (size_t)(i % 12 + 1) << 16, count_up, NULL, &one);
        assert_non_null(fiber);
        world.fibers[0] = fiber;
        assert_true(stead_fiber_resume(fiber));
        assert_in_range(stead_fibers_count(world.pool), 1, 3);
        if (i % 5 == 0)
            stead_fiber_destroy(&fiber);
    }
    stead_fibers_destroy(&world.pool);
}

/* ---- Many ----------------------------------------------------------------------------------- */

static void test_a_hundred_thousand_come_and_go(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 1};
    struct one one;

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        start(&world, &one, 0, count_up);
        assert_true(stead_fiber_resume(world.fibers[0]));
        if (i % 3 != 0) /* every third is destroyed in the middle */
            assert_false(stead_fiber_resume(world.fibers[0]));
        stead_fiber_destroy(&world.fibers[0]);
    }
    assert_int_equal(stead_fibers_count_max(world.pool), 1);
    stead_fibers_destroy(&world.pool);
}

static void stop_for_ever(void *context)
{
    struct stead_fiber **self = context;
    for (;;)
        stead_fiber_stop(*self);
}

static void forget(void *context)
{
    *(struct stead_fiber **)context = NULL;
}

static void test_a_hundred_thousand_stopped_keep_to_the_limit(void **state)
{
    enum { COUNT = 100000, LIMIT = 100 };
    static struct stead_fiber *fibers[COUNT];
    struct stead_fibers *pool = stead_fibers_create(LIMIT);

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        fibers[i] = stead_fiber_create(pool, 0, stop_for_ever, forget, &fibers[i]);
        assert_true(stead_fiber_resume(fibers[i]));
    }
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true((fibers[i] == NULL) == (i < COUNT - LIMIT));
    assert_int_equal(stead_fibers_count(pool), LIMIT);
    stead_fibers_destroy(&pool);
}

static void test_fiber_that_never_began_is_destroyed(void **state)
{
    struct world world = {.pool = stead_fibers_create(0), .steps = 1};
    struct one one;

    (void)state;
    start(&world, &one, 0, count_up);
    stead_fiber_destroy(&world.fibers[0]);
    stead_fiber_destroy(&world.fibers[0]); /* NULL is fine */
    assert_int_equal(stead_fibers_count(world.pool), 0);
    assert_int_equal(world.evicted_count, 0);
    stead_fibers_destroy(&world.pool);
    stead_fibers_destroy(&world.pool);
}

static void resume_other_pool(void *context)
{
    struct one *one = context;
    struct world other = {.pool = stead_fibers_create(0), .steps = 2};
    struct one inner;

    start(&other, &inner, 0, count_up);
    while (stead_fiber_resume(other.fibers[0]))
        stead_fiber_stop(one->world->fibers[one->at]);
    one->passed = inner.passed;
    stead_fibers_destroy(&other.pool);
}

static void test_fiber_may_resume_one_of_another_pool(void **state)
{
    struct world world = {.pool = stead_fibers_create(0)};
    struct one one;

    (void)state;
    start(&world, &one, 0, resume_other_pool);
    assert_true(stead_fiber_resume(world.fibers[0]));
    assert_true(stead_fiber_resume(world.fibers[0]));
    assert_false(stead_fiber_resume(world.fibers[0]));
    assert_int_equal(one.passed, 2);
    stead_fibers_destroy(&world.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fibers_interleave_and_end),
        cmocka_unit_test(test_registers_survive_other_fibers),
        cmocka_unit_test(test_rounding_mode_belongs_to_each_side),
        cmocka_unit_test(test_deep_stack_is_kept_over_a_stop),
        cmocka_unit_test(test_large_stack_is_had_by_asking),
        cmocka_unit_test(test_stack_overflow_dies_at_the_guard),
        cmocka_unit_test(test_stack_of_an_ended_fiber_is_reused),
        cmocka_unit_test(test_many_free_stacks_hold_no_memory),
        cmocka_unit_test(test_eviction_takes_the_longest_stopped),
        cmocka_unit_test(test_running_fiber_is_not_evicted),
        cmocka_unit_test(test_eviction_from_inside_a_fiber),
        cmocka_unit_test(test_sizes_of_stacks_share_the_limit),
        cmocka_unit_test(test_a_hundred_thousand_come_and_go),
        cmocka_unit_test(test_a_hundred_thousand_stopped_keep_to_the_limit),
        cmocka_unit_test(test_fiber_that_never_began_is_destroyed),
        cmocka_unit_test(test_fiber_may_resume_one_of_another_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
