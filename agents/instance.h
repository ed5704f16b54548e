/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance: what every part of an orchestration agrees on about instances: their ids and statuses. Pure; any thread.
 */
#ifndef STEAD_AGENTS_INSTANCE_H
#define STEAD_AGENTS_INSTANCE_H

#include "stead/orchestration_client.h"

/* The kind of the agent `orchestration/ID`. */
#define STEAD_ORCHESTRATION_KIND "orchestration"

/* 0, or STEAD_EARGUMENT: empty, over STEAD_INSTANCE_ID_MAX bytes, beginning with '@', with one of / \ # ? in it, or not
 * of what a key may have: UTF-8 without control characters. What it lets through is the key of an address. */
int stead_instance_id_check(struct stead_slice id) STEAD_MUST_USE;
/* Can it be the name of a kind, an activity or an orchestrator: [a-z][a-z0-9_.-]{0,62}? */
bool stead_kind_name_check(struct stead_slice name);
/* The same of an orchestrator that a caller names; NULL cannot. */
bool stead_orchestrator_name_check(const char *name);
/* Why an instance that is not in a status for it refuses to be steered so; static. */
const char *stead_instance_refusal(enum stead_instance_action action);
#define STEAD_INSTANCE_IS_ACTIVE "an instance of this id is active" /* why a start is refused */
/* The status of this name. STEAD_ENOTFOUND: there is none. */
int stead_instance_status_find(struct stead_slice name, enum stead_instance_status *ret_status) STEAD_MUST_USE;
/* As stead_instance_read(), but an id may be missing ("" then): the fields of an agent in a list. STEAD_ECORRUPT: no
 * map, or without a status. */
int stead_instance_read_members(struct stead_slice map, struct stead_instance *ret_instance) STEAD_MUST_USE;

#endif
