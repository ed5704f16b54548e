/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_hub: what `stead compare` asks of task hubs: to be there with a way of polling, and what they have counted.
 */
#ifndef STEAD_CMD_COMPARE_HUB_H
#define STEAD_CMD_COMPARE_HUB_H

#include "cmd/compare.h"

/* Makes the session's hub `index`, with the polling of its fabric, and waits until its workers are there. Complains. */
int stead_compare_hub_make(struct stead_compare_session *session, uint32_t index) STEAD_MUST_USE;
/* Adds what its queues and tables have counted so far. Complains. */
int stead_compare_hub_count(struct stead_compare_session *session, uint32_t index,
                            struct stead_storage *storage) STEAD_MUST_USE;

#endif
