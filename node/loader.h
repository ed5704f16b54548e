/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader: answers the core's loads: from memory at once where the store can, else on a thread that may wait for the
 * disk.
 *
 * Either way the answer comes back as STEAD_EVENT_LOADED in the reactor's inbox or in the list that the reactor passes
 * in, never from within the door. Threads: any thread submits; create and destroy: one.
 */
#ifndef STEAD_NODE_LOADER_H
#define STEAD_NODE_LOADER_H

#include "node/inbox.h"
#include "persist/store.h"

struct stead_loader;

/* `store` is borrowed for its life. */
struct stead_loader *stead_loader_create(struct stead_store *store, uint32_t threads_max);
/* Answers what is queued first. Nulls `*loader`. */
void stead_loader_destroy(struct stead_loader **loader);

/* True: the load is answered already (from memory); the caller delivers it from its loop. False: it was consumed and
 * comes back through `inbox`. */
bool stead_loader_load(struct stead_loader *loader, struct stead_inbox *inbox, struct stead_load **load) STEAD_MUST_USE;

#endif
