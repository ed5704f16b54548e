/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold_again: requests for the hold that an agent is in, asked again under their key by who never heard of it (a worker
 * that died and came back, on behalf of somebody else). They are answered and do not wait: the release that they would
 * wait for comes after their answer. Turns' thread of the shard.
 */
#ifndef STEAD_RUNTIME_HOLD_AGAIN_H
#define STEAD_RUNTIME_HOLD_AGAIN_H

#include "runtime/message.h"

struct stead_agent;
struct stead_row_key;

/* A request to hold under a key that is known: then it is answered here. */
bool stead_hold_is_known(struct stead_agent *agent, struct stead_message *message);
/* Those among the parked messages of an agent that is held. */
void stead_holds_answer_parked(struct stead_agent *agent);
/* A parked message's row goes. */
void stead_mail_delete(struct stead_agent *agent, const struct stead_row_key *key);

#endif
