/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reclaim: see reclaim.h. A failure is not told: writing anew changes nothing that is promised, and a disk that is
 * broken stops the node at the log writer's next sync.
 */
#include "node/reclaim.h"

#include "node/log.h"
#include "node/shell.h"

#define REST_FACTOR 9u
#define REST_NS_MIN 1000000000u

static void run(struct stead_work *work)
{
    struct stead_reclaim *it = (struct stead_reclaim *)work;
    uint64_t began_ns = stead_shell_mono_ns(), before = stead_store_bytes(it->store);
    int code = stead_store_reclaim(it->store, it->log_alone);
    uint64_t now_ns = stead_shell_mono_ns(), took_ns = now_ns - began_ns;

    stead_log_event(STEAD_TRACE_DEBUG, "reclaimed", code == 0 ? NULL : stead_error_sentence(code),
                    "before=%llu after=%llu ms=%llu", (unsigned long long)before,
                    (unsigned long long)stead_store_bytes(it->store), (unsigned long long)(took_ns / 1000000));
    stead_log_writer_settle(it->writer); /* log entries that may go by now: for the next time */
    uint64_t until_ns = now_ns + (took_ns * REST_FACTOR > REST_NS_MIN ? took_ns * REST_FACTOR : REST_NS_MIN);
    it->log_rest_until_ns = until_ns;
    if (!it->log_alone)
        it->rest_until_ns = until_ns;
    atomic_store(&it->running, false);
}

void stead_reclaim_begin(struct stead_reclaim *reclaim, struct stead_pool *pool, struct stead_log_writer *writer,
                         struct stead_store *store, bool log_alone)
{
    if (atomic_load(&reclaim->running))
        return;
    if (stead_shell_mono_ns() < (log_alone ? reclaim->log_rest_until_ns : reclaim->rest_until_ns))
        return;
    atomic_store(&reclaim->running, true);
    reclaim->work.run = run;
    reclaim->writer = writer;
    reclaim->store = store;
    reclaim->log_alone = log_alone;
    stead_pool_submit(pool, &reclaim->work);
}
