/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_connection: what the files of hub_client.h share: asking a part of a hub.
 */
#ifndef STEAD_AGENTS_HUB_CONNECTION_H
#define STEAD_AGENTS_HUB_CONNECTION_H

#include "agents/hub_client.h"

#define STEAD_HUB_ANSWER_MS 30000u /* for an answer of the store */

/* A failure that is found here: fills the answer (may be NULL) as a node would have. Returns `code`. */
int stead_hub_refuse(struct stead_answer *ret_answer, int code, const char *sentence);
/* Calls an op of a part, in pieces where the args are longer than a payload; `args` are used up. `timeout_ms` 0: the
 * client's. */
int stead_hub_ask(struct stead_client *client, const char *address, const char *op, struct stead_writer *args,
                  uint32_t timeout_ms, struct stead_answer *ret_answer) STEAD_MUST_USE;

/* Gets a body that is too long for an answer of the queue: `size` bytes. */
int stead_hub_fetch_body(struct stead_client *client, const char *queue, uint64_t seq, uint64_t size,
                         struct stead_writer *ret_body) STEAD_MUST_USE;
/* The same without waiting: `args` are borrowed. What was sent before it fails is forgotten there. */
int stead_hub_ask_async(struct stead_client *client, const char *address, const char *op, struct stead_slice args,
                        const struct stead_request_options *options, stead_completion_fn *completion,
                        void *context) STEAD_MUST_USE;

#endif
