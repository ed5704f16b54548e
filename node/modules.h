/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules: shared objects with kinds, orchestrators or both, loaded at the start of a node.
 *
 * A module is looked at before anything of it runs: its symbols, their ABIs, then each kind and orchestrator
 * (runtime/registry.h). A module that is refused stops the start with a sentence that names the file and what is wrong.
 * Modules stay loaded for the life of the process: agents' code is in them. Threads: one, before the first host is
 * made.
 */
#ifndef STEAD_NODE_MODULES_H
#define STEAD_NODE_MODULES_H

#include "runtime/registry.h"

#define STEAD_MODULES_WHY_SIZE 512u

/* Adds the kinds and orchestrators of the shared object at `path` (a path without a slash is looked for in the current
 * folder). STEAD_ENOTFOUND: no such file; STEAD_EARGUMENT: not a module, or a malformed kind or orchestrator;
 * STEAD_EVERSION: of another ABI; STEAD_EINUSE: a kind of that name, or that version of an orchestrator, is there.
 * `ret_why`: STEAD_MODULES_WHY_SIZE bytes. */
int stead_modules_load(struct stead_registry *registry, const char *path, char *ret_why) STEAD_MUST_USE;

/* Adds a NULL-terminated list of kinds; `from` names where they come from in the sentence. */
int stead_modules_add(struct stead_registry *registry, const char *from, const struct stead_kind *const *kinds,
                      char *ret_why) STEAD_MUST_USE;

/* The same for a list of orchestrators. */
int stead_modules_add_orchestrators(struct stead_registry *registry, const char *from,
                                    const struct stead_orchestrator *const *list, char *ret_why) STEAD_MUST_USE;

#endif
