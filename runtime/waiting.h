/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting: what take.c and waiting.c share beside shard.h: messages that an agent cannot take now. Turns' thread of the
 * shard.
 */
#ifndef STEAD_RUNTIME_WAITING_H
#define STEAD_RUNTIME_WAITING_H

#include "runtime/message.h"
#include "runtime/shard.h"

/* It waits in its agent's mailbox no longer; one that did not is fine. */
void stead_message_unpin(struct stead_message *message);
/* Does the hold that the agent is in let it through? What ends a hold, and who looks, always. */
bool stead_agent_lets_in(const struct stead_agent *agent, const struct stead_message *message);
/* Is it this call that is taken back, by who may? A client only takes back what it asked itself. */
bool stead_message_cancels(const struct stead_message *cancel, const struct stead_message *call);
/* Where the parked mail of an agent is looked for: its first key, or one behind what was run already. */
void stead_mail_begin(const struct stead_agent *agent, struct stead_row_key *ret_key);
/* A call that still waits for its agent, in memory or parked, is not run: it is answered with `cancelled`. `cancel` is
 * borrowed. */
void stead_shard_cancel_waiting(struct stead_shard *shard, const struct stead_message *cancel);
/* A message (consumed) whose agent cannot be read, for `code`; the log says more. What nobody would hear of, a
 * committed signal or answer, is parked until a start whose modules can read it; a call is answered. */
void stead_shard_unreadable(struct stead_shard *shard, struct stead_message *message, bool taken, int code);
/* A request (consumed) that no turn can be run for: its answer, or a dead letter, is its effect. `durable`: its agent's
 * kind is; `taken`: it was parked or delayed here before. */
void stead_shard_conclude(struct stead_shard *shard, struct stead_message *message, bool durable, bool taken,
                          int status, const char *sentence);

#endif
