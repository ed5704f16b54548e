/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_waits: who waits to hold what, of one host; names a circle of waits when it closes.
 *
 * Memory alone, one thread. It is a help to people: what it forgets (the oldest waits, those of before a restart) or
 * cannot see (other hosts) is found by `stead locks`.
 */
#ifndef STEAD_RUNTIME_LOCK_WAITS_H
#define STEAD_RUNTIME_LOCK_WAITS_H

#include "runtime/message.h"

struct stead_host;
struct stead_agent;

/* A call to hold `agent`, which somebody else holds, begins to wait. If that closes a circle, it is logged as a warning
 * that names who is in it. */
void stead_lock_waits_add(struct stead_agent *agent, const struct stead_message *call);
/* This one waits for the agent no more. */
void stead_lock_waits_remove(const struct stead_agent *agent, struct stead_slice waiter);
void stead_lock_waits_deinit(struct stead_host *host);

#endif
