/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the kinds and orchestrators loaded in this process, found by name.
 *
 * Filled before the first host is made, read-only afterwards, so hosts share it without locks.
 */
#ifndef STEAD_RUNTIME_REGISTRY_H
#define STEAD_RUNTIME_REGISTRY_H

#include "stead/orchestration.h"

struct stead_registry;

/* Returned, empty; destroy nulls, NULL is fine. */
struct stead_registry *stead_registry_create(void);
void stead_registry_destroy(struct stead_registry **registry);

/* Checks the kind (ABI, names, tables, an apply for events, job or run as its durability asks) and adds it; the kind is
 * borrowed for the registry's life. STEAD_EVERSION: another ABI; STEAD_EARGUMENT: malformed, `ret_why` (256 bytes or
 * NULL) says what; STEAD_EINUSE: the name is taken. */
int stead_registry_add(struct stead_registry *registry, const struct stead_kind *kind, char *ret_why) STEAD_MUST_USE;

/* Is `text` the name? It may come from the wire and hold any byte, zeros too. Names are short and differ early: a loop
 * beats two calls. */
static inline bool stead_name_equal(const char *text, const char *name, size_t name_size)
{
    for (size_t i = 0; i < name_size; i++)
        if (text[i] != name[i] || text[i] == 0)
            return false;
    return text[name_size] == 0;
}
/* Borrowed; NULL when there is none. */
const struct stead_kind *stead_registry_find(const struct stead_registry *registry, const char *name, size_t name_size);
/* Ops that every kind with agents has unless it names its own (lock_ops.c); ended by a NULL name. Every op whose name
 * begins with `stead.` is one of these. */
extern const struct stead_op stead_lock_ops[];
#define STEAD_LOCK_OP_HOLD (&stead_lock_ops[0])
#define STEAD_LOCK_OP_RELEASE (&stead_lock_ops[1])
/* The op of a kind, or of every kind; NULL when there is none. Linear for short tables, hashed for long ones. */
const struct stead_op *stead_registry_op(const struct stead_registry *registry, const struct stead_kind *kind,
                                         const char *name, size_t name_size);
/* The kinds in order of their names. */
uint32_t stead_registry_count(const struct stead_registry *registry);
const struct stead_kind *stead_registry_at(const struct stead_registry *registry, uint32_t at);

/* Checks the orchestrator (ABI, name, version, a function) and adds it; borrowed for the registry's life. Codes as
 * above; STEAD_EINUSE: this version of that name is there. */
int stead_registry_add_orchestrator(struct stead_registry *registry, const struct stead_orchestrator *orchestrator,
                                    char *ret_why) STEAD_MUST_USE;
/* This version of it, or the highest for 0. Borrowed; NULL when there is none. */
const struct stead_orchestrator *stead_registry_orchestrator(const struct stead_registry *registry, const char *name,
                                                             size_t name_size, uint32_t version);
/* The orchestrators in order of their names, then versions. */
uint32_t stead_registry_orchestrator_count(const struct stead_registry *registry);
const struct stead_orchestrator *stead_registry_orchestrator_at(const struct stead_registry *registry, uint32_t at);

#endif
