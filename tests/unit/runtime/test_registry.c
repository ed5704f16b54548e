/* SPDX-License-Identifier: Apache-2.0 */
/* registry: kinds found by name, long tables of ops, orchestrators by version, and every way in which one can be
 * wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/base.h"
#include "runtime/registry.h"

static int run_nothing(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)turn, (void)state, (void)args;
    return 0;
}
static int job_nothing(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args;
    return 0;
}
static void hook_nothing(void *state)
{
    (void)state;
}

static const struct stead_op ops[] = {{.name = "add", .run = run_nothing}, {.name = "_tick", .run = run_nothing}, {0}};
static const struct stead_op jobs[] = {{.name = "resize", .job = job_nothing}, {0}};

static struct stead_kind kind_named(const char *name)
{
    return (struct stead_kind){.abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = name, .ops = ops};
}

static void test_registry_find_of_many_kinds_finds_each_in_order(void **state)
{
    static char names[200][16];
    static struct stead_kind kinds[200];
    struct stead_registry *registry = stead_registry_create();
    (void)state;
    for (int i = 0; i < 200; i++) {
        int number = (i * 71) % 200; /* added in no order */
        stead_format(names[i], sizeof names[i], "kind%03d", number);
        kinds[i] = kind_named(names[i]);
        assert_int_equal(stead_registry_add(registry, &kinds[i], NULL), 0);
    }
    assert_int_equal(stead_registry_count(registry), 200);
    for (uint32_t i = 0; i < 200; i++) {
        assert_ptr_equal(stead_registry_find(registry, names[i], strlen(names[i])), &kinds[i]);
        if (i > 0)
            assert_true(strcmp(stead_registry_at(registry, i - 1)->name, stead_registry_at(registry, i)->name) < 0);
    }
    assert_null(stead_registry_find(registry, "kind20", 6)); /* a prefix is not the name */
    assert_null(stead_registry_find(registry, "kind0000", 8));
    assert_null(stead_registry_find(registry, "kind000\0x", 9)); /* bytes from the wire */
    assert_null(stead_registry_find(registry, "", 0));
    stead_registry_destroy(&registry);
    assert_null(registry);
    stead_registry_destroy(&registry);
}

/* Kinds with as many ops as the argument: around the edge between comparing and hashing. */
static void check_ops_found(uint32_t count)
{
    static char names[64][16];
    struct stead_op table[65] = {{0}};
    struct stead_kind kind = kind_named("many");
    struct stead_registry *registry = stead_registry_create();

    for (uint32_t i = 0; i < count; i++) {
        stead_format(names[i], sizeof names[i], "op%u", i);
        table[i] = (struct stead_op){.name = names[i], .run = run_nothing};
    }
    kind.ops = table;
    assert_int_equal(stead_registry_add(registry, &kind, NULL), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(stead_registry_op(registry, &kind, names[i], strlen(names[i])), &table[i]);
    assert_null(stead_registry_op(registry, &kind, "op", 2));
    assert_null(stead_registry_op(registry, &kind, "op999", 5));
    assert_null(stead_registry_op(registry, &kind, "op0\0abc", 7));
    assert_null(stead_registry_op(registry, &kind, "", 0));
    stead_registry_destroy(&registry);
}

static void test_registry_op_of_short_and_long_tables_finds_each(void **state)
{
    (void)state;
    check_ops_found(1);
    check_ops_found(7);
    check_ops_found(8);
    check_ops_found(9);
    check_ops_found(64);
}

static void test_registry_add_of_a_taken_name_is_refused(void **state)
{
    struct stead_kind first = kind_named("counter"), second = kind_named("counter");
    struct stead_registry *registry = stead_registry_create();
    char why[256];
    (void)state;
    assert_int_equal(stead_registry_add(registry, &first, why), 0);
    assert_int_equal(stead_registry_add(registry, &second, why), STEAD_EINUSE);
    assert_string_equal(why, "a kind named counter is loaded already");
    assert_int_equal(stead_registry_count(registry), 1);
    stead_registry_destroy(&registry);
}

static void test_registry_op_of_every_kind_is_found_behind_its_own(void **state)
{
    static const struct stead_op own[] = {
        {.name = "add", .run = run_nothing}, {.name = "stead.hold", .run = run_nothing}, {0}};
    struct stead_kind plain = kind_named("plain"), own_hold = kind_named("own"), worker = kind_named("worker");
    struct stead_registry *registry = stead_registry_create();
    (void)state;

    own_hold.ops = own;
    worker.durability = STEAD_STATELESS;
    worker.ops = jobs;
    assert_int_equal(stead_registry_add(registry, &plain, NULL), 0);
    assert_int_equal(stead_registry_add(registry, &own_hold, NULL), 0);
    assert_int_equal(stead_registry_add(registry, &worker, NULL), 0);
    assert_ptr_equal(stead_registry_op(registry, &plain, "stead.hold", 10), &stead_lock_ops[0]);
    assert_ptr_equal(stead_registry_op(registry, &plain, "stead.release", 13), STEAD_LOCK_OP_RELEASE);
    assert_ptr_equal(stead_registry_op(registry, &own_hold, "stead.hold", 10), &own[1]);
    assert_ptr_equal(stead_registry_op(registry, &own_hold, "stead.release", 13), STEAD_LOCK_OP_RELEASE);
    assert_null(stead_registry_op(registry, &worker, "stead.hold", 10));
    assert_null(stead_registry_op(registry, &plain, "stead.holds", 11));
    stead_registry_destroy(&registry);
}

static void assert_add(struct stead_kind kind, int code, const char *why_part)
{
    struct stead_registry *registry = stead_registry_create();
    char why[256] = "";
    assert_int_equal(stead_registry_add(registry, &kind, why), code);
    if (strstr(why, why_part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, why_part);
    assert_int_equal(stead_registry_count(registry), code == 0);
    stead_registry_destroy(&registry);
}

static void test_registry_add_of_another_abi_is_a_version_error(void **state)
{
    struct stead_kind kind = kind_named("counter");
    (void)state;
    kind.abi = STEAD_ABI + 1;
    assert_add(kind, STEAD_EVERSION, "ABI 2");
}

static void test_registry_add_of_a_malformed_kind_says_why(void **state)
{
    static const struct stead_op none[] = {{0}};
    static const struct stead_op twice[] = {{.name = "a", .run = run_nothing}, {.name = "a", .run = run_nothing}, {0}};
    static const struct stead_op bad_name[] = {{.name = "Add", .run = run_nothing}, {0}};
    static const struct stead_op bad_flags[] = {{.name = "add", .run = run_nothing, .flags = 64}, {0}};
    static const struct stead_op ours[] = {{.name = "stead.look", .run = run_nothing}, {0}};
    static const struct stead_op own_hold[] = {{.name = "stead.hold", .run = run_nothing}, {0}};
    static const struct stead_op both[] = {{.name = "add", .run = run_nothing, .job = job_nothing}, {0}};
    static const struct stead_field fields[] = {{"a", NULL, STEAD_FIELD_I64, 0, 8, 0, 0, NULL}, STEAD_FIELDS_END};
    struct stead_kind kind;
    (void)state;

    assert_add(kind_named("counter"), 0, "");
    assert_add(kind_named("Counter"), STEAD_EARGUMENT, "not a name");
    assert_add(kind_named(NULL), STEAD_EARGUMENT, "not a name");
#define WRONG(change, why_part)                                                                                        \
    kind = kind_named("counter");                                                                                      \
    change;                                                                                                            \
    assert_add(kind, STEAD_EARGUMENT, why_part)
    WRONG(kind.struct_size--, "struct_size");
    WRONG(kind.durability = (enum stead_durability)9, "durability");
    WRONG(kind.flags = 16, "flags");
    WRONG(kind.flags = STEAD_KIND_FORGETTABLE, "forgettable");
    WRONG(kind.flags = STEAD_KIND_IDEMPOTENT, "idempotent");
    WRONG(kind.durability = STEAD_VOLATILE; kind.flags = STEAD_KIND_TAKES_POISON, "takes poison");
    WRONG(kind.durability = STEAD_VOLATILE; kind.flags = STEAD_KIND_TAKES_UNREAD, "takes failed reads");
    WRONG(kind.needs = "", "needs");
    WRONG(kind.ops = NULL, "no ops");
    WRONG(kind.ops = none, "no ops");
    WRONG(kind.ops = twice, "twice");
    WRONG(kind.ops = bad_name, "not a name of an op");
    WRONG(kind.ops = ours, "are taken");
    WRONG(kind.ops = bad_flags, "unknown flags");
    WRONG(kind.ops = both, "no job");
    WRONG(kind.ops = jobs, "needs a run");
    WRONG(kind.durability = STEAD_STATELESS, "needs a job");
    WRONG(kind.fields = fields, "outside"); /* state_size is 0 */
    WRONG(kind.state_size = 1u << 30, "over");
    WRONG(kind.durability = STEAD_STATELESS; kind.ops = jobs; kind.on_load = hook_nothing, "no state");
#undef WRONG
    kind = kind_named("counter");
    kind.ops = own_hold;
    assert_add(kind, 0, "");
    kind = kind_named("worker");
    kind.durability = STEAD_STATELESS;
    kind.ops = jobs;
    kind.needs = "gpu";
    assert_add(kind, 0, "");
    kind = kind_named("cache");
    kind.durability = STEAD_VOLATILE;
    kind.flags = STEAD_KIND_FORGETTABLE;
    kind.state_size = 8;
    kind.fields = fields;
    assert_add(kind, 0, "");
}

/* ---- Orchestrators -------------------------------------------------------------------------- */

static int orchestrate_nothing(struct stead_orchestration *o, struct stead_slice input)
{
    (void)o, (void)input;
    return 0;
}

static struct stead_orchestrator orchestrator(const char *name, uint32_t version)
{
    return (struct stead_orchestrator){.abi = STEAD_ORCHESTRATION_ABI,
                                       .struct_size = sizeof(struct stead_orchestrator),
                                       .name = name,
                                       .version = version,
                                       .run = orchestrate_nothing};
}

static void test_registry_orchestrator_is_found_by_version_or_as_the_highest(void **state)
{
    static const struct {
        const char *name;
        uint32_t version;
    } given[] = {{"trip", 2}, {"hello", 1}, {"trip", 10}, {"trip", 1}, {"tri", 7}, {"trips", 9}, {"zebra", UINT32_MAX}};
    struct stead_orchestrator all[7];
    struct stead_registry *registry = stead_registry_create();
    (void)state;

    assert_null(stead_registry_orchestrator(registry, "trip", 4, 0));
    for (uint32_t i = 0; i < 7; i++) {
        all[i] = orchestrator(given[i].name, given[i].version);
        assert_int_equal(stead_registry_add_orchestrator(registry, &all[i], NULL), 0);
    }
    assert_ptr_equal(stead_registry_orchestrator(registry, "trip", 4, 0), &all[2]);
    for (uint32_t i = 0; i < 7; i++)
        assert_ptr_equal(stead_registry_orchestrator(registry, given[i].name, strlen(given[i].name), given[i].version),
                         &all[i]);
    assert_ptr_equal(stead_registry_orchestrator(registry, "zebra", 5, 0), &all[6]);
    assert_null(stead_registry_orchestrator(registry, "trip", 4, 3));
    assert_null(stead_registry_orchestrator(registry, "trip", 4, 11));
    assert_null(stead_registry_orchestrator(registry, "zz", 2, 0));
    assert_null(stead_registry_orchestrator(registry, "a", 1, 0));
    assert_null(stead_registry_orchestrator(registry, "trip\0", 5, 0));

    static const uint32_t order[] = {1, 4, 3, 0, 2, 5, 6};
    assert_int_equal(stead_registry_orchestrator_count(registry), 7);
    for (uint32_t i = 0; i < 7; i++)
        assert_ptr_equal(stead_registry_orchestrator_at(registry, i), &all[order[i]]);
    stead_registry_destroy(&registry);
}

static void assert_orchestrator(struct stead_orchestrator it, int expected, const char *why_part)
{
    struct stead_registry *registry = stead_registry_create();
    char why[256] = "";

    assert_int_equal(stead_registry_add_orchestrator(registry, &it, why), expected);
    if (strstr(why, why_part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, why_part);
    assert_int_equal(stead_registry_orchestrator_count(registry), expected == 0);
    stead_registry_destroy(&registry);
}

static void test_registry_add_of_a_malformed_orchestrator_says_why(void **state)
{
    struct stead_orchestrator it;
    (void)state;

    assert_orchestrator(orchestrator("hello", 1), 0, "");
    assert_orchestrator(orchestrator("Hello", 1), STEAD_EARGUMENT, "not a name");
    assert_orchestrator(orchestrator(NULL, 1), STEAD_EARGUMENT, "not a name");
    assert_orchestrator(orchestrator("hello", 0), STEAD_EARGUMENT, "from 1");
#define WRONG(change, code, why_part)                                                                                  \
    it = orchestrator("hello", 1);                                                                                     \
    change;                                                                                                            \
    assert_orchestrator(it, code, why_part)
    WRONG(it.abi = 77, STEAD_EVERSION, "77");
    WRONG(it.struct_size--, STEAD_EARGUMENT, "struct_size");
    WRONG(it.run = NULL, STEAD_EARGUMENT, "no function");
    WRONG(it.stack_bytes = 1u << 30, STEAD_EARGUMENT, "stack");
    WRONG(it.keep_failed_ms = -1, STEAD_EARGUMENT, "below 0");
#undef WRONG
}

static void test_registry_add_of_the_same_version_twice_is_refused(void **state)
{
    struct stead_orchestrator one = orchestrator("hello", 3), other = orchestrator("hello", 3);
    struct stead_registry *registry = stead_registry_create();
    char why[256] = "";
    (void)state;

    assert_int_equal(stead_registry_add_orchestrator(registry, &one, why), 0);
    assert_int_equal(stead_registry_add_orchestrator(registry, &other, why), STEAD_EINUSE);
    assert_non_null(strstr(why, "version 3 of an orchestrator named hello"));
    assert_ptr_equal(stead_registry_orchestrator(registry, "hello", 5, 3), &one);
    stead_registry_destroy(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry_find_of_many_kinds_finds_each_in_order),
        cmocka_unit_test(test_registry_op_of_short_and_long_tables_finds_each),
        cmocka_unit_test(test_registry_op_of_every_kind_is_found_behind_its_own),
        cmocka_unit_test(test_registry_add_of_a_taken_name_is_refused),
        cmocka_unit_test(test_registry_add_of_another_abi_is_a_version_error),
        cmocka_unit_test(test_registry_add_of_a_malformed_kind_says_why),
        cmocka_unit_test(test_registry_orchestrator_is_found_by_version_or_as_the_highest),
        cmocka_unit_test(test_registry_add_of_a_malformed_orchestrator_says_why),
        cmocka_unit_test(test_registry_add_of_the_same_version_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
