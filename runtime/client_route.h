/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_route: where a request goes, by one table.
 *
 * A place is a reactor of a node: a small number, in the order of the table's nodes and their endpoints. Agents live at
 * one place, that of the shard that holds their slot. Stateless kinds run at any place of a pool: the live nodes that
 * meet the kind's need.
 *
 * Used by client_core; one is made for each table. Pure, immutable; one thread.
 */
#ifndef STEAD_RUNTIME_CLIENT_ROUTE_H
#define STEAD_RUNTIME_CLIENT_ROUTE_H

#include "runtime/base.h"
#include "runtime/table.h"

#define STEAD_PLACE_NONE UINT32_MAX

struct stead_client_routes;

/* Holds `table`. Returned. */
struct stead_client_routes *stead_client_routes_create(struct stead_table *table);
/* Nulls `*routes`; NULL is fine. */
void stead_client_routes_destroy(struct stead_client_routes **routes);

/* What an address asks for. */
struct stead_client_route {
    stead_slot slot; /* of the address */
    uint32_t place;  /* the one place of an agent; STEAD_PLACE_NONE: nobody owns it now, or the kind is stateless */
    uint32_t pool;   /* stateless kinds: where to choose; else STEAD_PLACE_NONE */
};
/* `address` was checked; `kind_size`: bytes before its slash. A kind that the table does not know is an agent in group
 * 0. */
struct stead_client_route stead_client_route_find(const struct stead_client_routes *routes, struct stead_slice address,
                                                  size_t kind_size);

/* The pool of all live nodes: for queries to no agent. */
uint32_t stead_client_pool_all(const struct stead_client_routes *routes);
/* A place of the pool by chance, nodes alike, then reactors alike; STEAD_PLACE_NONE when it is empty. */
uint32_t stead_client_pool_draw(const struct stead_client_routes *routes, uint32_t pool, struct stead_rng *rng);
/* Is the place's node in the pool? */
bool stead_client_pool_has(const struct stead_client_routes *routes, uint32_t pool, uint32_t place);

/* Places of the table: reactors of all nodes. */
uint32_t stead_client_place_count(const struct stead_client_routes *routes);
/* The place of a reactor of a node; STEAD_PLACE_NONE when the table has not got it. */
uint32_t stead_client_place_find(const struct stead_client_routes *routes, uint32_t node, uint16_t reactor);
void stead_client_place_name(const struct stead_client_routes *routes, uint32_t place, uint32_t *ret_node,
                             uint16_t *ret_reactor);

#endif
