/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: who called whom, down to the turn that runs: the addresses of the callers, carried in each call that a call
 * caused. So the error of a chain that is too deep names it, and the circle when it is one.
 *
 * A chain's text is addresses, the first caller first, with a newline between them (no address has one). It is of at
 * most STEAD_CHAIN_BYTES_MAX; of a longer one the newest are kept. Pure, one thread.
 */
#ifndef STEAD_RUNTIME_CHAIN_H
#define STEAD_RUNTIME_CHAIN_H

#include <stdbool.h>

#include "runtime/message.h"

#define STEAD_CHAIN_BYTES_MAX 4096u

/* Is it a chain's text? Not empty, not too long, addresses only. */
bool stead_chain_check(struct stead_slice chain);

/* The chain of a call that the agent `self` makes in a turn that the call `cause` made it run; into
 * STEAD_CHAIN_BYTES_MAX bytes, the result is borrowed from them. */
struct stead_slice stead_chain_extend(const struct stead_message *cause, struct stead_slice self, char *ret_bytes);

/* What to say of a call to `wanted` that would make `chain`, the one of that call, `depth` deep: its members, or the
 * circle that they go round in. `ret_text`: STEAD_CHAIN_TEXT_SIZE bytes. */
#define STEAD_CHAIN_TEXT_SIZE (STEAD_CHAIN_BYTES_MAX * 3u + 640u)
void stead_chain_explain(struct stead_slice chain, struct stead_slice wanted, uint32_t depth, char *ret_text);

#endif
