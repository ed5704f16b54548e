/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hook: code of a kind that runs outside its ops: on_load and apply when an agent is loaded, on_unload when it leaves.
 *
 * No message is to blame when that ends the process, but the agent is: it runs under a mark whose id follows from the
 * address, so that the next start knows it again. A load that has ended the process poison_kills_max times is not tried
 * any more: the agent cannot be read, as one whose fields do not fit. Such an on_unload is left out. Both until the
 * node has been stopped cleanly, when deaths are forgotten (node/turnmark.h): the next start may have mended code.
 *
 * On the thread of the host.
 */
#ifndef STEAD_RUNTIME_HOOK_H
#define STEAD_RUNTIME_HOOK_H

#include "runtime/activation.h"

struct stead_host;

enum stead_hook {
    STEAD_HOOK_LOAD,  /* on_load */
    STEAD_HOOK_APPLY, /* apply, of stored events: known by the same id */
    STEAD_HOOK_UNLOAD /* on_unload */
};

/* Has it ended the process too often? */
bool stead_hook_is_fatal(const struct stead_host *host, struct stead_slice address, enum stead_hook hook);
/* Code of a kind runs, on behalf of this agent, until the end: named in the mark of the turn in progress. */
void stead_hook_begin(struct stead_host *host, struct stead_slice address, enum stead_hook hook);
void stead_hook_end(struct stead_host *host);

/* Runs the hook of the agent's kind, if it has one, under its mark. */
void stead_hook_load(struct stead_agent *agent);
/* The same; it is left out where it is fatal. */
void stead_hook_unload(struct stead_agent *agent);

#endif
