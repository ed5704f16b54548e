/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader: loads that fit into memory are answered where they are asked for; the rest goes to a few threads.
 *
 * A row that is in a memtable or in the block cache costs 1 to 3 us to read, a thread's way there and back 20. So the
 * store is asked for its cached tier first, and only what it declines (STEAD_EBUSY) travels. The threads do nothing but
 * read: they share the store, which takes readers from any thread, and give the load back to the inbox of the reactor
 * that asked.
 */
#include "node/loader.h"

#include <stdlib.h>

#include "node/pool.h"
#include "runtime/base.h"

struct stead_loader {
    struct stead_store *store; /* borrowed */
    struct stead_pool *pool;
};

/* A load on its way through the pool. */
struct load_work {
    struct stead_work work; /* the pool's */
    struct stead_store *store;
    struct stead_inbox *inbox; /* where the answer goes; borrowed */
    struct stead_load *load;   /* owned */
};

struct stead_loader *stead_loader_create(struct stead_store *store, uint32_t threads_max)
{
    struct stead_loader *loader = stead_alloc_zero(sizeof *loader);

    loader->store = store;
    loader->pool = stead_pool_create("stead-load", threads_max);
    return loader;
}

void stead_loader_destroy(struct stead_loader **loader)
{
    if (!*loader)
        return;
    /* A read ends: it waits for the local disk, for nobody else. */
    while (!stead_pool_destroy(&(*loader)->pool, 60000)) {
    }
    free(*loader);
    *loader = NULL;
}

static void run_load(struct stead_work *work)
{
    struct load_work *it = (struct load_work *)work;
    struct stead_event event = {.type = STEAD_EVENT_LOADED, .pointer = it->load};

    int code = stead_store_load(it->store, STEAD_STORE_ANY, it->load);
    STEAD_ASSERT(code == 0); /* only the cached tier may decline */
    stead_inbox_post(it->inbox, &event);
    free(it);
}

bool stead_loader_load(struct stead_loader *loader, struct stead_inbox *inbox, struct stead_load **load)
{
    if (stead_store_load(loader->store, STEAD_STORE_CACHED, *load) == 0)
        return true;
    struct load_work *work = stead_alloc_zero(sizeof *work);
    work->work.run = run_load;
    work->store = loader->store;
    work->inbox = inbox;
    work->load = *load;
    *load = NULL;
    stead_pool_submit(loader->pool, &work->work);
    return false;
}
