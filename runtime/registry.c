/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the kinds of this process, checked once when they are added, so that nothing behind it has to ask again
 * whether an op has a function or a field lies inside its struct.
 *
 * Kinds are kept in order of their names (for lists) and in an open-addressed table of at most half load (for
 * messages). Most kinds have a handful of ops, found fastest by comparing; a kind with more than OPS_LINEAR_MAX gets a
 * hashed table of its own. Both tables hold indices + 1, 0 being free, and are rebuilt when the number of kinds
 * outgrows them. Orchestrators are looked up once an execution: an array in order of name and version is enough.
 */
#include "runtime/registry.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/fields.h"

#define WHY_SIZE 256
#define KINDS_MAX 4096u
#define OPS_MAX 1024u
#define OPS_LINEAR_MAX 8u
#define STATE_SIZE_MAX (16u << 20) /* bytes; the struct of one agent */
#define LABEL_SIZE_MAX 63u
#define OURS "stead." /* how the names of ops of every kind begin */
#define ORCHESTRATORS_MAX 4096u
#define FIBER_STACK_SIZE_MAX (64u << 20) /* bytes; of one orchestrator's stack */

/* One kind and the hashed table of its ops. */
struct entry {
    const struct stead_kind *kind; /* borrowed from whoever added it */
    uint16_t *op_table;            /* index + 1 into kind->ops; NULL for a short table */
    uint32_t op_mask;              /* size of op_table - 1 */
};

struct stead_registry {
    struct entry *entries;                           /* by name, ascending */
    uint32_t count;                                  /* of entries */
    uint32_t *table;                                 /* index + 1 into entries; 0: free */
    uint32_t mask;                                   /* size of table - 1 */
    const struct stead_orchestrator **orchestrators; /* borrowed ones, by name and version, ascending */
    uint32_t orchestrator_count;
};

/* ---- Checking a kind ------------------------------------------------------------------------ */

static int refuse(char *ret_why, const char *format, ...) STEAD_PRINTF(2, 3);

static int refuse(char *ret_why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (ret_why != NULL)
        stead_format_v(ret_why, WHY_SIZE, format, args);
    va_end(args);
    return STEAD_EARGUMENT;
}

static bool op_is_named_twice(const struct stead_op *ops, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (strcmp(ops[i].name, ops[at].name) == 0)
            return true;
    return false;
}

static int check_op(const struct stead_kind *kind, uint32_t at, char *ret_why)
{
    const struct stead_op *op = &kind->ops[at];
    bool stateless = kind->durability == STEAD_STATELESS;

    if (!stead_op_name_check(stead_str(op->name)))
        return refuse(ret_why, "kind %s: %.64s is not a name of an op", kind->name, op->name);
    if (strncmp(op->name, OURS, strlen(OURS)) == 0 && strcmp(op->name, STEAD_OP_HOLD) != 0 &&
        strcmp(op->name, STEAD_OP_RELEASE) != 0)
        return refuse(ret_why, "kind %s: the op %.64s: names that begin with " OURS " are taken", kind->name, op->name);
    if (op_is_named_twice(kind->ops, at))
        return refuse(ret_why, "kind %s: the op %s is there twice", kind->name, op->name);
    if (stateless && (op->job == NULL || op->run != NULL))
        return refuse(ret_why, "kind %s is stateless: its op %s needs a job and no run", kind->name, op->name);
    if (!stateless && (op->run == NULL || op->job != NULL))
        return refuse(ret_why, "kind %s has agents: its op %s needs a run and no job", kind->name, op->name);
    if ((op->flags & ~(uint32_t)(STEAD_OP_READ_ONLY | STEAD_OP_QUIET | STEAD_OP_FREES | STEAD_OP_PATIENT)) != 0)
        return refuse(ret_why, "kind %s: the op %s has unknown flags 0x%x", kind->name, op->name, op->flags);
    return 0;
}

static int check_ops(const struct stead_kind *kind, char *ret_why)
{
    uint32_t count = 0;

    if (kind->ops == NULL || kind->ops[0].name == NULL)
        return refuse(ret_why, "kind %s has no ops", kind->name);
    for (; kind->ops[count].name != NULL; count++) {
        if (count == OPS_MAX)
            return refuse(ret_why, "kind %s has more than %u ops", kind->name, OPS_MAX);
        int code = check_op(kind, count, ret_why);
        if (code != 0)
            return code;
    }
    return 0;
}

static int check_state(const struct stead_kind *kind, char *ret_why)
{
    char why[WHY_SIZE] = "";

    if (kind->durability == STEAD_STATELESS &&
        (kind->state_size != 0 || kind->fields != NULL || kind->init != NULL || kind->apply != NULL ||
         kind->on_load != NULL || kind->on_unload != NULL))
        return refuse(ret_why, "kind %s is stateless: it can have no state, init, apply or hooks", kind->name);
    if (kind->state_size > STATE_SIZE_MAX)
        return refuse(ret_why, "kind %s: a state of %u bytes is over %u", kind->name, kind->state_size, STATE_SIZE_MAX);
    if (kind->fields == NULL)
        return 0;
    if (stead_fields_check(kind->fields, kind->state_size, why) != 0)
        return refuse(ret_why, "kind %s: %s", kind->name, why);
    return 0;
}

static int check_kind(const struct stead_kind *kind, char *ret_why)
{
    int code;

    if (kind->name == NULL || !stead_name_check(stead_str(kind->name), STEAD_KIND_NAME_MAX))
        return refuse(ret_why, "%.64s is not a name of a kind", kind->name == NULL ? "(none)" : kind->name);
    if (kind->struct_size != sizeof(struct stead_kind))
        return refuse(ret_why, "kind %s: struct_size is %u, not %zu", kind->name, kind->struct_size, sizeof *kind);
    if (kind->durability != STEAD_DURABLE && kind->durability != STEAD_VOLATILE && kind->durability != STEAD_STATELESS)
        return refuse(ret_why, "kind %s: unknown durability %d", kind->name, (int)kind->durability);
    if ((kind->flags & ~(uint32_t)(STEAD_KIND_FORGETTABLE | STEAD_KIND_IDEMPOTENT | STEAD_KIND_TAKES_POISON |
                                   STEAD_KIND_TAKES_UNREAD)) != 0)
        return refuse(ret_why, "kind %s has unknown flags 0x%x", kind->name, kind->flags);
    if ((kind->flags & STEAD_KIND_IDEMPOTENT) != 0 && kind->durability != STEAD_STATELESS)
        return refuse(ret_why, "kind %s: only stateless kinds are idempotent", kind->name);
    if ((kind->flags & STEAD_KIND_FORGETTABLE) != 0 && kind->durability != STEAD_VOLATILE)
        return refuse(ret_why, "kind %s: only a volatile kind is forgettable", kind->name);
    if ((kind->flags & STEAD_KIND_TAKES_POISON) != 0 && kind->durability != STEAD_DURABLE)
        return refuse(ret_why, "kind %s: only a durable kind takes poison", kind->name);
    if ((kind->flags & STEAD_KIND_TAKES_UNREAD) != 0 && kind->durability != STEAD_DURABLE)
        return refuse(ret_why, "kind %s: only a durable kind takes failed reads", kind->name);
    if (kind->needs != NULL && (kind->needs[0] == 0 || strlen(kind->needs) > LABEL_SIZE_MAX))
        return refuse(ret_why, "kind %s: `needs` is a label of 1 to %u bytes", kind->name, LABEL_SIZE_MAX);
    code = check_ops(kind, ret_why);
    return code != 0 ? code : check_state(kind, ret_why);
}

/* ---- Adding --------------------------------------------------------------------------------- */

/* The smallest power of two that `count` entries fill at most half. */
static uint32_t table_size(uint32_t count)
{
    uint32_t size = 16;
    while (size < 2 * count)
        size *= 2;
    return size;
}

static void build_op_table(struct entry *entry)
{
    uint32_t count = 0;

    while (entry->kind->ops[count].name != NULL)
        count++;
    if (count <= OPS_LINEAR_MAX)
        return;
    entry->op_mask = table_size(count) - 1;
    entry->op_table = stead_alloc_zero((entry->op_mask + 1) * sizeof *entry->op_table);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = entry->kind->ops[i].name;
        uint32_t at = (uint32_t)stead_hash(name, strlen(name)) & entry->op_mask;
        while (entry->op_table[at] != 0)
            at = (at + 1) & entry->op_mask;
        entry->op_table[at] = (uint16_t)(i + 1);
    }
}

static void build_table(struct stead_registry *registry)
{
    uint32_t size = table_size(registry->count);

    free(registry->table);
    registry->table = stead_alloc_zero(size * sizeof *registry->table);
    registry->mask = size - 1;
    for (uint32_t i = 0; i < registry->count; i++) {
        const char *name = registry->entries[i].kind->name;
        uint32_t at = (uint32_t)stead_hash(name, strlen(name)) & registry->mask;
        while (registry->table[at] != 0)
            at = (at + 1) & registry->mask;
        registry->table[at] = i + 1;
    }
}

struct stead_registry *stead_registry_create(void)
{
    struct stead_registry *registry = stead_alloc_zero(sizeof *registry);
    build_table(registry);
    return registry;
}

void stead_registry_destroy(struct stead_registry **registry)
{
    if (*registry == NULL)
        return;
    for (uint32_t i = 0; i < (*registry)->count; i++)
        free((*registry)->entries[i].op_table);
    free((*registry)->entries);
    free((void *)(*registry)->orchestrators);
    free((*registry)->table);
    free(*registry);
    *registry = NULL;
}

int stead_registry_add(struct stead_registry *registry, const struct stead_kind *kind, char *ret_why)
{
    uint32_t at = registry->count;
    int code;

    if (kind->abi != STEAD_ABI) { /* before anything else is read: the struct may look different */
        refuse(ret_why, "built for ABI %u, this is ABI %u", kind->abi, STEAD_ABI);
        return STEAD_EVERSION;
    }
    code = check_kind(kind, ret_why);
    if (code != 0)
        return code;
    if (stead_registry_find(registry, kind->name, strlen(kind->name)) != NULL) {
        refuse(ret_why, "a kind named %s is loaded already", kind->name);
        return STEAD_EINUSE;
    }
    if (registry->count == KINDS_MAX)
        return refuse(ret_why, "more than %u kinds", KINDS_MAX);

    registry->entries = stead_realloc(registry->entries, (registry->count + 1) * sizeof *registry->entries);
    for (; at > 0 && strcmp(registry->entries[at - 1].kind->name, kind->name) > 0; at--)
        registry->entries[at] = registry->entries[at - 1];
    registry->entries[at] = (struct entry){.kind = kind};
    build_op_table(&registry->entries[at]);
    registry->count++;
    build_table(registry);
    return 0;
}

/* ---- Finding -------------------------------------------------------------------------------- */

static const struct entry *find_entry(const struct stead_registry *registry, const char *name, size_t name_size)
{
    for (uint32_t at = (uint32_t)stead_hash(name, name_size) & registry->mask; registry->table[at] != 0;
         at = (at + 1) & registry->mask) {
        const struct entry *entry = &registry->entries[registry->table[at] - 1];
        if (stead_name_equal(entry->kind->name, name, name_size))
            return entry;
    }
    return NULL;
}

const struct stead_kind *stead_registry_find(const struct stead_registry *registry, const char *name, size_t name_size)
{
    const struct entry *entry = find_entry(registry, name, name_size);
    return entry == NULL ? NULL : entry->kind;
}

static const struct stead_op *op_of_every_kind(const struct stead_kind *kind, const char *name, size_t name_size)
{
    if (kind->durability == STEAD_STATELESS)
        return NULL;
    for (const struct stead_op *op = stead_lock_ops; op->name != NULL; op++)
        if (stead_name_equal(op->name, name, name_size))
            return op;
    return NULL;
}

const struct stead_op *stead_registry_op(const struct stead_registry *registry, const struct stead_kind *kind,
                                         const char *name, size_t name_size)
{
    const struct entry *entry;

    for (uint32_t i = 0; i < OPS_LINEAR_MAX; i++) {
        if (kind->ops[i].name == NULL)
            return op_of_every_kind(kind, name, name_size);
        if (stead_name_equal(kind->ops[i].name, name, name_size))
            return &kind->ops[i];
    }
    entry = find_entry(registry, kind->name, strlen(kind->name));
    STEAD_ASSERT(entry != NULL && entry->kind == kind);
    if (entry->op_table == NULL) /* exactly OPS_LINEAR_MAX ops, all compared */
        return op_of_every_kind(kind, name, name_size);
    for (uint32_t at = (uint32_t)stead_hash(name, name_size) & entry->op_mask; entry->op_table[at] != 0;
         at = (at + 1) & entry->op_mask)
        if (stead_name_equal(kind->ops[entry->op_table[at] - 1].name, name, name_size))
            return &kind->ops[entry->op_table[at] - 1];
    return op_of_every_kind(kind, name, name_size);
}

uint32_t stead_registry_count(const struct stead_registry *registry)
{
    return registry->count;
}

const struct stead_kind *stead_registry_at(const struct stead_registry *registry, uint32_t at)
{
    STEAD_ASSERT(at < registry->count);
    return registry->entries[at].kind;
}

/* ---- Orchestrators -------------------------------------------------------------------------- */

static int check_orchestrator(const struct stead_orchestrator *it, char *ret_why)
{
    if (it->struct_size != sizeof *it)
        return refuse(ret_why, "an orchestrator's struct_size is %u, not %zu", it->struct_size, sizeof *it);
    if (it->name == NULL || !stead_name_check(stead_str(it->name), STEAD_KIND_NAME_MAX))
        return refuse(ret_why, "%.64s is not a name of an orchestrator", it->name == NULL ? "(none)" : it->name);
    if (it->version == 0)
        return refuse(ret_why, "orchestrator %s: versions count from 1", it->name);
    if (it->run == NULL)
        return refuse(ret_why, "orchestrator %s has no function", it->name);
    if (it->stack_bytes > FIBER_STACK_SIZE_MAX)
        return refuse(ret_why, "orchestrator %s: a stack of %u bytes is over %u", it->name, it->stack_bytes,
                      FIBER_STACK_SIZE_MAX);
    if (it->keep_completed_ms < 0 || it->keep_failed_ms < 0)
        return refuse(ret_why, "orchestrator %s: a time to keep is below 0", it->name);
    return 0;
}

/* Text of a given size against a name that ends with a zero, as strcmp() orders. */
static int name_compare(const char *name, size_t name_size, const char *text)
{
    size_t text_size = strlen(text);
    int order = memcmp(name, text, name_size < text_size ? name_size : text_size);
    return order != 0 ? order : (name_size > text_size) - (name_size < text_size);
}

/* How many orchestrators come before this version of the name. */
static uint32_t orchestrators_before(const struct stead_registry *registry, const char *name, size_t name_size,
                                     uint64_t version)
{
    uint32_t low = 0, high = registry->orchestrator_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct stead_orchestrator *it = registry->orchestrators[middle];
        int order = name_compare(name, name_size, it->name);
        if (order > 0 || (order == 0 && version > it->version))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int stead_registry_add_orchestrator(struct stead_registry *registry, const struct stead_orchestrator *orchestrator,
                                    char *ret_why)
{
    uint32_t count = registry->orchestrator_count;

    if (orchestrator->abi != STEAD_ORCHESTRATION_ABI) { /* before anything else is read */
        refuse(ret_why, "built for orchestration ABI %u, this is %u", orchestrator->abi, STEAD_ORCHESTRATION_ABI);
        return STEAD_EVERSION;
    }
    int code = check_orchestrator(orchestrator, ret_why);
    if (code != 0)
        return code;
    size_t name_size = strlen(orchestrator->name);
    if (stead_registry_orchestrator(registry, orchestrator->name, name_size, orchestrator->version) != NULL) {
        refuse(ret_why, "version %u of an orchestrator named %s is loaded already", orchestrator->version,
               orchestrator->name);
        return STEAD_EINUSE;
    }
    if (count == ORCHESTRATORS_MAX)
        return refuse(ret_why, "more than %u orchestrators", ORCHESTRATORS_MAX);

    uint32_t at = orchestrators_before(registry, orchestrator->name, name_size, orchestrator->version);
    registry->orchestrators =
        stead_realloc((void *)registry->orchestrators, (count + 1) * sizeof(const struct stead_orchestrator *));
    memmove((void *)&registry->orchestrators[at + 1], (const void *)&registry->orchestrators[at],
            (count - at) * sizeof(const struct stead_orchestrator *));
    registry->orchestrators[at] = orchestrator;
    registry->orchestrator_count++;
    return 0;
}

const struct stead_orchestrator *stead_registry_orchestrator(const struct stead_registry *registry, const char *name,
                                                             size_t name_size, uint32_t version)
{
    uint32_t at = orchestrators_before(registry, name, name_size, version == 0 ? UINT64_MAX : version);

    if (version == 0) { /* the last of this name */
        if (at == 0)
            return NULL;
        at--;
    }
    if (at == registry->orchestrator_count)
        return NULL;
    const struct stead_orchestrator *it = registry->orchestrators[at];
    if (name_compare(name, name_size, it->name) != 0 || (version != 0 && it->version != version))
        return NULL;
    return it;
}

uint32_t stead_registry_orchestrator_count(const struct stead_registry *registry)
{
    return registry->orchestrator_count;
}

const struct stead_orchestrator *stead_registry_orchestrator_at(const struct stead_registry *registry, uint32_t at)
{
    STEAD_ASSERT(at < registry->orchestrator_count);
    return registry->orchestrators[at];
}
