/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_route: a table, turned into what a request needs in a handful of loads.
 *
 * Made once for each table (a few times a day), read for each request. Kinds with the same need share a pool; pool 0 is
 * all nodes. A pool holds the nodes that the table calls alive, or, when none is, all that meet the need: `alive` is a
 * hint, and trying a node that looked dead beats telling the user that there is none.
 */
#include "runtime/client_route.h"

#include <stdlib.h>

#include "runtime/address.h"

/* Nodes that meet one need. */
struct pool {
    const char *needs; /* label, borrowed from the table; NULL: none */
    uint32_t count;    /* nodes */
    uint32_t *nodes;   /* owned: indexes into the table's nodes, ascending */
};

struct stead_client_routes {
    struct stead_table *table; /* held */
    uint32_t *first_place;     /* by index of a node: its reactor 0; one more at the end: the number of places */
    uint32_t *shard_place;     /* by index of a shard */
    uint32_t *kind_pool;       /* by index of a kind; STEAD_PLACE_NONE unless stateless */
    struct pool *pools;        /* owned */
    uint32_t pool_count;       /* at least 1 */
};

/* ---- Making --------------------------------------------------------------------------------- */

static void number_places(struct stead_client_routes *routes)
{
    const struct stead_table *table = routes->table;

    routes->first_place = stead_alloc((table->node_count + 1) * sizeof(*routes->first_place));
    routes->first_place[0] = 0;
    for (uint32_t i = 0; i < table->node_count; i++)
        routes->first_place[i + 1] = routes->first_place[i] + table->nodes[i].reactor_count;
}

static void place_shards(struct stead_client_routes *routes)
{
    const struct stead_table *table = routes->table;

    routes->shard_place = stead_alloc((table->shard_count + 1) * sizeof(*routes->shard_place));
    for (uint32_t i = 0; i < table->shard_count; i++)
        routes->shard_place[i] = stead_client_place_find(routes, table->shards[i].node, table->shards[i].reactor);
}

static bool needs_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void fill_pool(struct pool *pool, const struct stead_table *table, bool alive_only)
{
    for (uint32_t i = 0; i < table->node_count; i++) {
        const struct stead_table_node *node = &table->nodes[i];

        if ((node->alive || !alive_only) && node->reactor_count > 0 &&
            (pool->needs == NULL || stead_table_node_has(node, pool->needs)))
            pool->nodes[pool->count++] = i;
    }
}

/* The pool of a need, made when it is the first to ask. */
static uint32_t pool_of(struct stead_client_routes *routes, const char *needs)
{
    const struct stead_table *table = routes->table;
    struct pool *pool;

    for (uint32_t i = 0; i < routes->pool_count; i++)
        if (needs_equal(routes->pools[i].needs, needs))
            return i;
    routes->pools = stead_realloc(routes->pools, (routes->pool_count + 1) * sizeof(*routes->pools));
    pool = &routes->pools[routes->pool_count];
    *pool = (struct pool){.needs = needs, .nodes = stead_alloc((table->node_count + 1) * sizeof(*pool->nodes))};
    fill_pool(pool, table, true);
    if (pool->count == 0)
        fill_pool(pool, table, false);
    return routes->pool_count++;
}

struct stead_client_routes *stead_client_routes_create(struct stead_table *table)
{
    struct stead_client_routes *routes = stead_alloc_zero(sizeof(*routes));

    routes->table = stead_table_hold(table);
    number_places(routes);
    place_shards(routes);
    (void)pool_of(routes, NULL);
    routes->kind_pool = stead_alloc((table->kind_count + 1) * sizeof(*routes->kind_pool));
    for (uint32_t i = 0; i < table->kind_count; i++)
        routes->kind_pool[i] =
            table->kinds[i].durability == STEAD_STATELESS ? pool_of(routes, table->kinds[i].needs) : STEAD_PLACE_NONE;
    return routes;
}

void stead_client_routes_destroy(struct stead_client_routes **routes)
{
    struct stead_client_routes *it = *routes;

    *routes = NULL;
    if (it == NULL)
        return;
    for (uint32_t i = 0; i < it->pool_count; i++)
        free(it->pools[i].nodes);
    free(it->pools);
    free(it->kind_pool);
    free(it->shard_place);
    free(it->first_place);
    stead_table_release(&it->table);
    free(it);
}

/* ---- Places --------------------------------------------------------------------------------- */

uint32_t stead_client_place_count(const struct stead_client_routes *routes)
{
    return routes->first_place[routes->table->node_count];
}

uint32_t stead_client_place_find(const struct stead_client_routes *routes, uint32_t node, uint16_t reactor)
{
    const struct stead_table_node *found = stead_table_node_find(routes->table, node);

    if (found == NULL || reactor >= found->reactor_count)
        return STEAD_PLACE_NONE;
    return routes->first_place[found - routes->table->nodes] + reactor;
}

/* The index of the node that has `place`. */
static uint32_t node_of_place(const struct stead_client_routes *routes, uint32_t place)
{
    uint32_t low = 0, high = routes->table->node_count;

    STEAD_ASSERT(place < stead_client_place_count(routes));
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (routes->first_place[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void stead_client_place_name(const struct stead_client_routes *routes, uint32_t place, uint32_t *ret_node,
                             uint16_t *ret_reactor)
{
    uint32_t at = node_of_place(routes, place);

    *ret_node = routes->table->nodes[at].id;
    *ret_reactor = (uint16_t)(place - routes->first_place[at]);
}

/* ---- Finding -------------------------------------------------------------------------------- */

struct stead_client_route stead_client_route_find(const struct stead_client_routes *routes, struct stead_slice address,
                                                  size_t kind_size)
{
    const struct stead_table *table = routes->table;
    const struct stead_table_kind *kind = stead_table_kind_find(table, (const char *)address.data, kind_size);
    unsigned group = kind == NULL ? STEAD_GROUP_DEFAULT : kind->group;
    struct stead_client_route route = {
        .slot = stead_address_slot(address, group), .place = STEAD_PLACE_NONE, .pool = STEAD_PLACE_NONE};
    const struct stead_table_shard *shard;

    if (kind != NULL && kind->durability == STEAD_STATELESS) {
        route.pool = routes->kind_pool[kind - table->kinds];
        return route;
    }
    shard = stead_table_shard_of(table, route.slot);
    if (shard != NULL)
        route.place = routes->shard_place[shard - table->shards];
    return route;
}

uint32_t stead_client_pool_all(const struct stead_client_routes *routes)
{
    (void)routes;
    return 0;
}

uint32_t stead_client_pool_draw(const struct stead_client_routes *routes, uint32_t pool, struct stead_rng *rng)
{
    const struct pool *it = &routes->pools[pool];
    uint32_t node;

    if (it->count == 0)
        return STEAD_PLACE_NONE;
    node = it->nodes[stead_rng_below(rng, it->count)];
    return routes->first_place[node] + (uint32_t)stead_rng_below(rng, routes->table->nodes[node].reactor_count);
}

bool stead_client_pool_has(const struct stead_client_routes *routes, uint32_t pool, uint32_t place)
{
    const struct pool *it = &routes->pools[pool];
    uint32_t node = node_of_place(routes, place);

    for (uint32_t i = 0; i < it->count; i++)
        if (it->nodes[i] == node)
            return true;
    return false;
}
