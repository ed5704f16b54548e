/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: the kinds loaded in this process, found by name.
 *
 * Filled before the first host is made, read-only afterwards, so hosts share it without locks.
 */
#ifndef STEAD_RUNTIME_REGISTRY_H
#define STEAD_RUNTIME_REGISTRY_H

#include "stead/agent.h"

struct stead_registry;

/* Returned, empty; destroy nulls, NULL is fine. */
struct stead_registry *stead_registry_create(void);
void stead_registry_destroy(struct stead_registry **registry);

/* Checks the kind (ABI, names, tables, an apply for events, job or run as its durability asks) and adds it; the kind is
 * borrowed for the registry's life. STEAD_EVERSION: another ABI; STEAD_EARGUMENT: malformed, `ret_why` (256 bytes or
 * NULL) says what; STEAD_EINUSE: the name is taken. */
int stead_registry_add(struct stead_registry *registry, const struct stead_kind *kind, char *ret_why) STEAD_MUST_USE;

/* Borrowed; NULL when there is none. */
const struct stead_kind *stead_registry_find(const struct stead_registry *registry, const char *name, size_t name_size);
/* The op of a kind, NULL when there is none. Linear for short tables, hashed for long ones. */
const struct stead_op *stead_registry_op(const struct stead_registry *registry, const struct stead_kind *kind,
                                         const char *name, size_t name_size);
/* The kinds in order of their names. */
uint32_t stead_registry_count(const struct stead_registry *registry);
const struct stead_kind *stead_registry_at(const struct stead_registry *registry, uint32_t at);

#endif
