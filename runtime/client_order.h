/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_order: a client's requests in flight to one agent, in the order in which they were submitted.
 *
 * A receiver refuses what follows a request that it has refused (order.h), so the client has to know what that is: each
 * request names the one before it, and those that were refused go again together, the first one first.
 *
 *     newest(agent) -> 9 -> 7 -> 2        before(9) = 7, after(2) = 7
 *
 * Requests with a fence are in an order of their own, as at the receiver.
 *
 * Used by client_core. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_ORDER_H
#define STEAD_RUNTIME_CLIENT_ORDER_H

#include "runtime/map.h"
#include "runtime/message.h"

#define STEAD_CLIENT_ORDER_NONE UINT32_MAX

struct stead_client_place {
    const struct stead_message *request; /* borrowed; NULL: in no order */
    uint64_t who;                        /* stead_order_who() of it */
    uint32_t before, after;              /* item + 1; 0: none */
};

/* Zero it. */
struct stead_client_order {
    struct stead_map newest;           /* of each agent: item + 1 */
    struct stead_client_place *places; /* owned; by item */
    uint32_t items;                    /* of them allocated */
};

/* Forgets every order. */
void stead_client_order_deinit(struct stead_client_order *order);
/* `item` comes behind all others for its agent; `request` stays valid until it is removed. */
void stead_client_order_put(struct stead_client_order *order, uint32_t item, const struct stead_message *request);
/* Takes it out, if it is in. */
void stead_client_order_remove(struct stead_client_order *order, uint32_t item);
/* Its neighbours; STEAD_CLIENT_ORDER_NONE. */
uint32_t stead_client_order_before(const struct stead_client_order *order, uint32_t item);
uint32_t stead_client_order_after(const struct stead_client_order *order, uint32_t item);
/* Asserts that neighbours agree and are for one agent; those in some order. For tests. */
uint32_t stead_client_order_check(const struct stead_client_order *order);

#endif
