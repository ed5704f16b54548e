/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_peer: lists of numbers, not of structs.
 *
 * Requests lie in an array that may move when it grows, so the lists hold their numbers; links lie in an array of their
 * own. Peers are found by (node, reactor) in a small hash table, because a table change looks every reactor of the
 * cluster up at once.
 */
#include "runtime/client_peer.h"

#include <stdlib.h>

#include "runtime/base.h"

#define BUCKETS_MIN 16u
#define LINKS_MIN 64u

/* ---- Peers ---------------------------------------------------------------------------------- */

static uint32_t add_peer(struct stead_client_peers *peers, uint32_t node, uint16_t reactor)
{
    struct stead_client_peer *peer = stead_alloc_zero(sizeof(*peer));

    peer->node = node;
    peer->reactor = reactor;
    peer->tells_end = &peer->tells;
    peers->peers = stead_realloc(peers->peers, (peers->count + 1) * sizeof(struct stead_client_peer *));
    peers->peers[peers->count] = peer;
    return peers->count++;
}

void stead_client_peers_init(struct stead_client_peers *peers)
{
    *peers = (struct stead_client_peers){.bucket_count = BUCKETS_MIN};
    peers->buckets = stead_alloc_zero(BUCKETS_MIN * sizeof(*peers->buckets));
    (void)add_peer(peers, 0, 0);
}

void stead_client_peers_deinit(struct stead_client_peers *peers)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        (void)stead_client_peers_drop_tells(peers, i);
        free(peers->peers[i]);
    }
    free(peers->peers);
    free(peers->buckets);
    free(peers->links);
    *peers = (struct stead_client_peers){.peers = NULL};
}

/* The bucket that holds (node, reactor), or the empty one where it belongs. */
static uint32_t *bucket_of(const struct stead_client_peers *peers, uint32_t node, uint16_t reactor)
{
    uint64_t hash = (((uint64_t)node << 16) | reactor) * 0x9e3779b97f4a7c15ull;
    uint32_t mask = peers->bucket_count - 1, at = (uint32_t)(hash >> 32) & mask;

    while (peers->buckets[at] != 0) {
        const struct stead_client_peer *peer = peers->peers[peers->buckets[at]];

        if (peer->node == node && peer->reactor == reactor)
            break;
        at = (at + 1) & mask;
    }
    return &peers->buckets[at];
}

static void grow_buckets(struct stead_client_peers *peers)
{
    free(peers->buckets);
    peers->bucket_count *= 2;
    peers->buckets = stead_alloc_zero(peers->bucket_count * sizeof(*peers->buckets));
    for (uint32_t i = 1; i < peers->count; i++)
        *bucket_of(peers, peers->peers[i]->node, peers->peers[i]->reactor) = i;
}

uint32_t stead_client_peers_get(struct stead_client_peers *peers, uint32_t node, uint16_t reactor)
{
    uint32_t found = stead_client_peers_find(peers, node, reactor);

    if (found != STEAD_CLIENT_NOWHERE)
        return found;
    STEAD_ASSERT(node != 0);
    if ((peers->count + 1) * 2 > peers->bucket_count)
        grow_buckets(peers);
    found = add_peer(peers, node, reactor);
    *bucket_of(peers, node, reactor) = found;
    return found;
}

uint32_t stead_client_peers_find(const struct stead_client_peers *peers, uint32_t node, uint16_t reactor)
{
    return *bucket_of(peers, node, reactor);
}

uint32_t stead_client_peers_find_up(const struct stead_client_peers *peers, uint32_t node)
{
    for (uint32_t i = 1; i < peers->count; i++)
        if (peers->peers[i]->up && (node == 0 || peers->peers[i]->node == node))
            return i;
    return STEAD_CLIENT_NOWHERE;
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static void grow_links(struct stead_client_peers *peers, uint32_t item)
{
    uint32_t items = peers->items == 0 ? LINKS_MIN : peers->items;

    while (items <= item)
        items *= 2;
    peers->links = stead_realloc(peers->links, items * sizeof(*peers->links));
    memset(peers->links + peers->items, 0, (items - peers->items) * sizeof(*peers->links));
    peers->items = items;
}

void stead_client_peers_put(struct stead_client_peers *peers, uint32_t peer, uint32_t item)
{
    struct stead_client_peer *it = peers->peers[peer];

    if (item >= peers->items)
        grow_links(peers, item);
    STEAD_ASSERT(peers->links[item].peer == 0);
    peers->links[item] = (struct stead_client_link){.previous = it->last, .next = 0, .peer = peer + 1};
    if (it->last != 0)
        peers->links[it->last - 1].next = item + 1;
    else
        it->first = item + 1;
    it->last = item + 1;
    it->count++;
}

void stead_client_peers_remove(struct stead_client_peers *peers, uint32_t item)
{
    struct stead_client_link *link;
    struct stead_client_peer *it;

    if (item >= peers->items || peers->links[item].peer == 0)
        return;
    link = &peers->links[item];
    it = peers->peers[link->peer - 1];
    if (link->previous != 0)
        peers->links[link->previous - 1].next = link->next;
    else
        it->first = link->next;
    if (link->next != 0)
        peers->links[link->next - 1].previous = link->previous;
    else
        it->last = link->previous;
    it->count--;
    *link = (struct stead_client_link){.peer = 0};
}

uint32_t stead_client_peers_of(const struct stead_client_peers *peers, uint32_t item)
{
    STEAD_ASSERT(item < peers->items && peers->links[item].peer != 0);
    return peers->links[item].peer - 1;
}

uint32_t stead_client_peers_next(const struct stead_client_peers *peers, uint32_t item)
{
    return peers->links[item].next;
}

/* ---- Tells ---------------------------------------------------------------------------------- */

void stead_client_peers_put_tell(struct stead_client_peers *peers, uint32_t peer, struct stead_message **tell)
{
    struct stead_client_peer *it = peers->peers[peer];

    (*tell)->next = NULL;
    *it->tells_end = *tell;
    it->tells_end = &(*tell)->next;
    it->tell_count++;
    peers->tell_count++;
    *tell = NULL;
}

struct stead_message *stead_client_peers_take_tell(struct stead_client_peers *peers, uint32_t peer)
{
    struct stead_client_peer *it = peers->peers[peer];
    struct stead_message *tell = it->tells;

    if (tell == NULL)
        return NULL;
    it->tells = tell->next;
    if (it->tells == NULL)
        it->tells_end = &it->tells;
    tell->next = NULL;
    it->tell_count--;
    peers->tell_count--;
    return tell;
}

uint32_t stead_client_peers_drop_tells(struct stead_client_peers *peers, uint32_t peer)
{
    struct stead_message *tell;
    uint32_t count = 0;

    for (; (tell = stead_client_peers_take_tell(peers, peer)) != NULL; count++)
        stead_message_destroy(&tell);
    return count;
}

void stead_client_peers_check(const struct stead_client_peers *peers)
{
    uint32_t linked = 0, listed = 0, tells = 0;

    for (uint32_t i = 0; i < peers->count; i++) {
        const struct stead_client_peer *peer = peers->peers[i];
        uint32_t previous = 0, count = 0;

        for (uint32_t at = peer->first; at != 0; at = peers->links[at - 1].next, count++) {
            STEAD_ASSERT(peers->links[at - 1].previous == previous && peers->links[at - 1].peer == i + 1);
            previous = at;
        }
        STEAD_ASSERT(peer->last == previous && peer->count == count);
        STEAD_ASSERT(i == 0 || stead_client_peers_find(peers, peer->node, peer->reactor) == i);
        listed += count;
        tells += peer->tell_count;
    }
    for (uint32_t i = 0; i < peers->items; i++)
        linked += peers->links[i].peer != 0;
    STEAD_ASSERT(linked == listed && tells == peers->tell_count);
}
