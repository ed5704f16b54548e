/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_request: from what a user asks for to the record that asks it.
 *
 * Used by client_core. Pure; any thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_REQUEST_H
#define STEAD_RUNTIME_CLIENT_REQUEST_H

#include "runtime/base.h"
#include "runtime/client_core.h"

/* What no node would take is refused before it costs a round trip. 0; STEAD_EADDRESS; STEAD_ETOOLARGE; STEAD_EARGUMENT:
 * the type, the op's name, the key, the class, or arguments that are no msgpack. `ret_kind_size`: bytes of the kind's
 * name; 0 without an address. */
int stead_client_request_check(const struct stead_client_request *request, uint16_t *ret_kind_size) STEAD_MUST_USE;
/* The same for a tell. */
int stead_client_tell_check(struct stead_slice address, struct stead_slice op, struct stead_slice args,
                            uint16_t *ret_kind_size) STEAD_MUST_USE;
/* The record of a checked request, under a random id; session, slot and table version are the sender's. Returned. */
struct stead_message *stead_client_request_message(const struct stead_client_request *request, struct stead_rng *rng,
                                                   uint64_t deadline_ms);
/* The same for a tell. Returned. */
struct stead_message *stead_client_tell_message(struct stead_slice address, struct stead_slice op,
                                                struct stead_slice args, struct stead_rng *rng);
/* The record that takes a call back which was sent: its id, address, slot and session. Returned. */
struct stead_message *stead_client_cancel_message(const struct stead_message *call);
/* Bytes of the kind's name in an address that was checked before. */
uint16_t stead_client_kind_size(const struct stead_message *message);
/* How long a request waits that was refused for the `refusals`-th time, from 0: the receiver's hint, or doubling; and
 * up to a quarter more by chance, so that those refused together do not come back together. Milliseconds. */
uint64_t stead_client_backoff_ms(const struct stead_message *refusal, uint32_t refusals, struct stead_rng *rng);

#endif
