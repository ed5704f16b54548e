/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold: what hold.c and the host share.
 */
#ifndef STEAD_RUNTIME_HOLD_H
#define STEAD_RUNTIME_HOLD_H

#include "runtime/host.h"

/* In a round: lets go when the time is over, else sees that the host wakes then. */
void stead_host_hold_due(struct stead_host *host);

#endif
