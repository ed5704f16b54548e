/* SPDX-License-Identifier: Apache-2.0 */
/* modules: what is not a module is refused with words that help. (Modules of another ABI:
 * tests/system/test_bad_input.py builds some.) */
#define _GNU_SOURCE /* dladdr */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>

#include "node/modules.h"

static int run(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn;
    (void)state;
    (void)args;
    return 0;
}

static const struct stead_op ops[] = {{.name = "poke", .run = run}, {.name = NULL}};
static const struct stead_kind poked = {.abi = STEAD_ABI,
                                        .struct_size = sizeof(struct stead_kind),
                                        .name = "poked",
                                        .durability = STEAD_VOLATILE,
                                        .ops = ops};
static const struct stead_kind old = {.abi = STEAD_ABI + 1, .struct_size = 8, .name = NULL};

static void assert_says(const char *why, const char *words)
{
    if (!strstr(why, words))
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void test_module_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";

    assert_int_equal(stead_modules_load(registry, "./no-such-module.so", why), STEAD_ENOTFOUND);
    assert_says(why, "no-such-module.so");
    stead_registry_destroy(&registry);
}

static void test_module_that_is_no_shared_object_is_refused(void **state)
{
    (void)state;
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";

    assert_int_equal(stead_modules_load(registry, "/etc/passwd", why), STEAD_EARGUMENT);
    assert_says(why, "cannot be loaded");
    stead_registry_destroy(&registry);
}

static void test_module_without_the_symbol_is_told_how_to_get_it(void **state)
{
    (void)state;
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";
    Dl_info info;

    /* Some shared object that is no module: the C library. */
    assert_int_not_equal(dladdr((void *)(uintptr_t)&dlopen, &info), 0);
    assert_int_equal(stead_modules_load(registry, info.dli_fname, why), STEAD_EARGUMENT);
    assert_says(why, "STEAD_MODULE(");
    assert_says(why, "STEAD_ORCHESTRATORS(");
    stead_registry_destroy(&registry);
}

static void test_kind_of_another_abi_is_not_read_further(void **state)
{
    (void)state;
    const struct stead_kind *const kinds[] = {&old, NULL};
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";

    assert_int_equal(stead_modules_add(registry, "old.so", kinds, why), STEAD_EVERSION);
    assert_says(why, "old.so");
    assert_says(why, "compile it again");
    assert_int_equal(stead_registry_count(registry), 0);
    stead_registry_destroy(&registry);
}

static void test_kind_added_twice_is_refused_by_name(void **state)
{
    (void)state;
    const struct stead_kind *const kinds[] = {&poked, NULL};
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";

    assert_int_equal(stead_modules_add(registry, "a.so", kinds, why), 0);
    assert_int_equal(stead_modules_add(registry, "b.so", kinds, why), STEAD_EINUSE);
    assert_says(why, "b.so");
    assert_says(why, "poked");
    stead_registry_destroy(&registry);
}

static void test_orchestrators_are_added_and_refused_by_name(void **state)
{
    (void)state;
    static const struct stead_orchestrator newer = {.abi = STEAD_ORCHESTRATION_ABI + 1};
    static const struct stead_orchestrator nameless = {.abi = STEAD_ORCHESTRATION_ABI, .struct_size = sizeof nameless};
    const struct stead_orchestrator *const first[] = {&newer, NULL}, *const second[] = {&nameless, NULL};
    struct stead_registry *registry = stead_registry_create();
    char why[STEAD_MODULES_WHY_SIZE] = "";

    assert_int_equal(stead_modules_add_orchestrators(registry, "new.so", first, why), STEAD_EVERSION);
    assert_says(why, "new.so");
    assert_says(why, "orchestration ABI 2");
    assert_int_equal(stead_modules_add_orchestrators(registry, "b.so", second, why), STEAD_EARGUMENT);
    assert_says(why, "b.so");
    assert_int_equal(stead_registry_orchestrator_count(registry), 0);
    stead_registry_destroy(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_module_that_is_not_there_is_not_found),
        cmocka_unit_test(test_module_that_is_no_shared_object_is_refused),
        cmocka_unit_test(test_module_without_the_symbol_is_told_how_to_get_it),
        cmocka_unit_test(test_kind_of_another_abi_is_not_read_further),
        cmocka_unit_test(test_kind_added_twice_is_refused_by_name),
        cmocka_unit_test(test_orchestrators_are_added_and_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
