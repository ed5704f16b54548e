/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reactor: one thread, one event loop, one host of the core with real doors.
 *
 * Created (which binds its port) and destroyed by the control thread while its own thread does not run; in between it
 * is told things through its inbox only. Used by: node.c and control.c.
 */
#ifndef STEAD_NODE_REACTOR_H
#define STEAD_NODE_REACTOR_H

#include <time.h>

#include "node/shell.h"

/* Binds the socket of reactor `index`. 0, STEAD_EINUSE, STEAD_EUNAUTHORISED, STEAD_EARGUMENT, STEAD_EIO with a sentence
 * (STEAD_SHELL_WHY_SIZE bytes). */
int stead_reactor_create(struct stead_shell *shell, uint16_t index, struct stead_reactor **ret_reactor,
                         char *ret_why) STEAD_MUST_USE;
/* Where it listens, with the real port. Borrowed. */
const char *stead_reactor_endpoint(const struct stead_reactor *reactor);
/* Makes its host and starts its thread; the shell knows the node's id by now. */
int stead_reactor_start(struct stead_reactor *reactor) STEAD_MUST_USE;
/* Tells it something. Any thread, from create to destroy; what `event` points to is consumed. */
void stead_reactor_post(struct stead_reactor *reactor, const struct stead_event *event);
struct stead_inbox *stead_reactor_inbox(struct stead_reactor *reactor);
/* Waits for the end of its thread, which STEAD_EVENT_STOP asks for, until then on CLOCK_MONOTONIC. False: it still
 * runs, in an op that does not return. */
bool stead_reactor_join(struct stead_reactor *reactor, const struct timespec *until) STEAD_MUST_USE;
/* Nulls `*reactor`; NULL is fine. The thread has ended. */
void stead_reactor_destroy(struct stead_reactor **reactor);

#endif
