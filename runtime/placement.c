/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placement: requests to stateless kinds: which node runs one, and that a repeat of one in progress runs no second
 * time.
 *
 * A request runs on any node that has the label its kind needs, on the less loaded of two taken at random (Mitzenmacher
 * 2001). The first host that sees it chooses, and remembers the choice by the request's id: while that node (in that
 * incarnation) lives, a repeat goes to the same place, where the running job recognises it. When the node is gone, or
 * the answer has passed, the choice is forgotten. So a job runs once unless a node dies: at least once.
 *
 * A call to an idempotent kind starts early: on this node, before the commit of the turn that makes it, so that the
 * disk and the job work at the same time. Its answer is taken as a turn on uncommitted state. While such jobs are out,
 * a batch that nobody awaits stays open a moment (EARLY_HOLD_NS), so that a chain of short jobs costs one sync. If the
 * entry is lost in a crash, the job ran for nothing; if the answer is, the CALL row asks again.
 */
#include "runtime/address.h"
#include "runtime/shard.h"

#define PLACED_MS 3600000u     /* a choice is forgotten an hour after it was last asked for */
#define EARLY_HOLD_NS 1000000u /* a batch waits for the answers of early jobs for no longer */

struct stead_placed {
    uint64_t hash;
    struct stead_id id;
    uint32_t node;        /* where it was sent; this node: it runs here */
    uint64_t incarnation; /* of that node */
    uint16_t reactor;     /* of that node */
    uint64_t since_ns;
    struct stead_route route; /* newest connection that asked */
    bool has_route;
    struct stead_id session;   /* of the client that asked; zero: an agent or a node did */
    struct stead_shard *early; /* whose commit it was started before; NULL: nobody's */
};

static struct stead_placed *find_placed(struct stead_host *host, struct stead_id id)
{
    struct stead_placed *placed;
    uint32_t at;
    uint64_t hash = stead_load64(id.v + 8);

    for (placed = stead_map_first(&host->jobs, hash, &at); placed != NULL;
         placed = stead_map_next(&host->jobs, hash, &at))
        if (stead_id_equal(placed->id, id))
            return placed;
    return NULL;
}

static void forget(struct stead_host *host, struct stead_placed *placed)
{
    stead_map_remove(&host->jobs, placed->hash, placed);
    free(placed);
}

static struct stead_placed *remember(struct stead_host *host, const struct stead_message *request, uint32_t node,
                                     uint64_t incarnation, uint16_t reactor)
{
    struct stead_placed *placed = stead_alloc_zero(sizeof(*placed));

    placed->id = request->id;
    placed->hash = stead_load64(request->id.v + 8);
    placed->node = node;
    placed->incarnation = incarnation;
    placed->reactor = reactor;
    placed->since_ns = host->now_ns;
    placed->session = stead_message_client(request);
    stead_map_add(&host->jobs, placed->hash, placed);
    return placed;
}

static uint32_t load_of(const struct stead_host *host, uint32_t node)
{
    if (node == host->options.node)
        return host->job_count;
    for (uint32_t i = 0; i < host->peer_count; i++)
        if (host->peers[i].node == node)
            return host->peers[i].load;
    return 0;
}

/* Nodes need not have loaded the same modules, and the table does not say who has which: one that has refused a job
 * because it does not know its kind is not asked again, in that incarnation. */
static bool is_lacking(const struct stead_host *host, uint64_t kind, uint32_t node, uint64_t incarnation)
{
    for (uint32_t i = 0; i < STEAD_LACKS_MAX && i < host->lack_next; i++)
        if (host->lacks[i].kind == kind && host->lacks[i].node == node && host->lacks[i].incarnation == incarnation)
            return true;
    return false;
}

/* The hash of a kind's name, of an address of it. */
static uint64_t kind_hash(const char *address, size_t size)
{
    const char *slash = memchr(address, '/', size);
    return stead_hash(address, slash == NULL ? size : (size_t)(slash - address));
}

static void note_lack(struct stead_host *host, uint64_t kind, const struct stead_placed *placed)
{
    if (!is_lacking(host, kind, placed->node, placed->incarnation))
        host->lacks[host->lack_next++ % STEAD_LACKS_MAX] =
            (struct stead_lack){.kind = kind, .node = placed->node, .incarnation = placed->incarnation};
}

/* The less loaded of two random nodes that qualify. NULL: none does; `ret_reason`: why. `here`: this one has loaded the
 * kind. */
static const struct stead_table_node *choose(struct stead_host *host, const char *needs, uint64_t kind, bool here,
                                             int *ret_reason)
{
    const struct stead_table_node *fit[STEAD_NODES_MAX];
    uint32_t count = 0;

    *ret_reason = STEAD_EUNAVAILABLE;
    if (host->table == NULL)
        return NULL;
    for (uint32_t i = 0; i < host->table->node_count && count < STEAD_NODES_MAX; i++) {
        const struct stead_table_node *node = &host->table->nodes[i];
        bool self = node->id == host->options.node;
        if (!(node->alive || self) || node->reactor_count == 0 || (needs != NULL && !stead_table_node_has(node, needs)))
            continue;
        if (self ? here : !is_lacking(host, kind, node->id, node->incarnation))
            fit[count++] = node;
        else
            *ret_reason = STEAD_EKIND; /* until it, or another one, has started with the kind */
    }
    if (count == 0)
        return NULL;
    uint32_t first = (uint32_t)stead_rng_below(&host->rng, count);
    uint32_t second = count == 1 ? first : (first + 1 + (uint32_t)stead_rng_below(&host->rng, count - 1)) % count;
    return load_of(host, fit[second]->id) < load_of(host, fit[first]->id) ? fit[second] : fit[first];
}

static void refuse(struct stead_host *host, struct stead_message *request, int status)
{
    if (request->type == STEAD_CALL || (request->type == STEAD_SIGNAL && (request->groups & STEAD_GROUP_SESSION))) {
        struct stead_message *answer = stead_message_answer(request, status, NULL, (struct stead_slice){0});
        answer->flags |= STEAD_FLAG_UNSEQUENCED | STEAD_FLAG_NOT_RUN;
        stead_host_route(host, answer);
    }
    stead_message_destroy(&request);
}

/* NULL: it was refused. */
static struct stead_placed *run_here(struct stead_host *host, const struct stead_kind *kind,
                                     struct stead_message *request)
{
    const struct stead_op *op = stead_registry_op(host->registry, kind, request->op, request->op_size);

    int reason = 0;

    if (op == NULL)
        reason = STEAD_EOP;
    else if (request->deadline_ms != 0 && request->deadline_ms <= host->wall_ms)
        reason = STEAD_EEXPIRED;
    else if (host->suspect_count > 0 &&
             stead_host_kills(host, stead_message_blame_id(request)) >= host->settings.poison_kills_max)
        reason = STEAD_EPOISON;
    if (reason != 0) {
        host->stats.expired += reason == STEAD_EEXPIRED;
        refuse(host, request, reason);
        return NULL;
    }
    struct stead_placed *placed =
        remember(host, request, host->options.node, host->options.node_incarnation, host->options.reactor);
    placed->has_route = (request->groups & STEAD_GROUP_ROUTE) != 0;
    if (placed->has_route)
        placed->route = request->route;
    host->job_count++;
    host->stats.jobs++;
    STEAD_EFFECT_ADD(&host->effects.jobs, (struct stead_effect_job){kind, op, request});
    return placed;
}

bool stead_placement_may_start_early(const struct stead_host *host, const struct stead_kind *kind)
{
    if (kind == NULL || kind->durability != STEAD_STATELESS || !(kind->flags & STEAD_KIND_IDEMPOTENT) || host->stopping)
        return false;
    if (kind->needs == NULL)
        return true;
    const struct stead_table_node *node =
        host->table == NULL ? NULL : stead_table_node_find(host->table, host->options.node);
    return node != NULL && stead_table_node_has(node, kind->needs);
}

void stead_placement_start_early(struct stead_shard *shard, const struct stead_kind *kind,
                                 struct stead_message *request)
{
    struct stead_host *host = shard->host;
    struct stead_placed *placed = run_here(host, kind, request);

    if (placed == NULL)
        return;
    placed->early = shard;
    shard->early_jobs++;
    host->stats.jobs_early++;
    if (shard->early_index == shard->next_index)
        return;
    shard->early_index = shard->next_index;
    shard->early_until_ns = host->now_ns + EARLY_HOLD_NS;
}

static bool still_there(const struct stead_host *host, const struct stead_placed *placed)
{
    const struct stead_table_node *node = host->table == NULL ? NULL : stead_table_node_find(host->table, placed->node);
    return node != NULL && node->alive && node->incarnation == placed->incarnation &&
           host->now_ns < placed->since_ns + PLACED_MS * 1000000ull;
}

void stead_placement_place(struct stead_host *host, const struct stead_kind *kind, const char *needs,
                           struct stead_message *request)
{
    struct stead_placed *placed = find_placed(host, request->id);

    if (placed != NULL && placed->node == host->options.node && placed->reactor == host->options.reactor) {
        host->stats.duplicates++;
        placed->has_route = (request->groups & STEAD_GROUP_ROUTE) != 0;
        if (placed->has_route)
            placed->route = request->route;
        stead_message_destroy(&request);
        return;
    }
    if (placed != NULL && !still_there(host, placed)) {
        forget(host, placed);
        placed = NULL;
    }
    if (placed == NULL && kind == NULL && (request->flags & STEAD_FLAG_JOB)) {
        refuse(host, request, STEAD_EKIND); /* who has placed it here asks somebody else */
        return;
    }
    if (placed == NULL && !(request->flags & STEAD_FLAG_JOB)) {
        int reason;
        const struct stead_table_node *node =
            choose(host, needs, kind_hash(request->address, request->address_size), kind != NULL, &reason);
        if (node == NULL) {
            refuse(host, request, reason);
            return;
        }
        if (node->id != host->options.node)
            placed = remember(host, request, node->id, node->incarnation,
                              (uint16_t)stead_rng_below(&host->rng, node->reactor_count));
    }
    if (placed == NULL) {
        (void)run_here(host, kind, request);
        return;
    }
    placed->since_ns = host->now_ns; /* somebody waits for it */
    request->flags |= STEAD_FLAG_JOB;
    STEAD_EFFECT_ADD(&host->effects.sends, (struct stead_effect_send){placed->node, placed->reactor, request});
}

static void end_job(struct stead_host *host, struct stead_message **consumed, int status,
                    const struct stead_answer_error *error, struct stead_slice value, uint16_t flags)
{
    struct stead_message *request = *consumed;
    struct stead_placed *placed = find_placed(host, request->id);

    *consumed = NULL;
    STEAD_ASSERT(host->job_count > 0);
    host->job_count--;
    if (placed != NULL && placed->early != NULL)
        placed->early->early_jobs--;
    if (request->type == STEAD_CALL || (request->type == STEAD_SIGNAL && (request->groups & STEAD_GROUP_SESSION))) {
        struct stead_message *answer =
            stead_message_answer(request, status, error, request->type == STEAD_CALL ? value : (struct stead_slice){0});
        answer->durability = STEAD_CLASS_VOLATILE;
        answer->flags |= STEAD_FLAG_UNSEQUENCED | flags;
        if (placed != NULL && placed->has_route)
            answer->route = placed->route;
        stead_host_route(host, answer);
    }
    placed = find_placed(host, request->id);
    if (placed != NULL)
        forget(host, placed);
    stead_message_destroy(&request);
}

void stead_host_job_done(struct stead_host *host, struct stead_message **consumed, int status, const char *name,
                         const char *sentence, struct stead_slice value)
{
    struct stead_answer_error error = {name != NULL && name[0] != '\0' ? name : NULL,
                                       sentence != NULL && sentence[0] != '\0' ? sentence : NULL};

    end_job(host, consumed, status, &error, value, 0);
}

void stead_host_job_refused(struct stead_host *host, struct stead_message **consumed, int status)
{
    end_job(host, consumed, status, NULL, (struct stead_slice){0}, STEAD_FLAG_NOT_RUN);
}

bool stead_placement_cancel(struct stead_host *host, const struct stead_message *cancel)
{
    struct stead_id id = cancel->id;
    const struct stead_placed *placed = host->jobs.count == 0 ? NULL : find_placed(host, id);

    if (placed == NULL)
        return false;
    if (!stead_message_may_cancel(cancel, placed->session))
        return true; /* a stranger, who has learned the id */
    if (placed->node == host->options.node && placed->reactor == host->options.reactor) {
        STEAD_EFFECT_ADD(&host->effects.cancels, id);
        return true;
    }
    struct stead_message *told = stead_message_create(STEAD_CANCEL, &(struct stead_message_parts){0});
    told->id = id;
    told->slot = (stead_slot){STEAD_SLOT_NODE};
    told->source_slot = (stead_slot){STEAD_SLOT_NODE}; /* who may say so was looked at here */
    STEAD_EFFECT_ADD(&host->effects.sends, (struct stead_effect_send){placed->node, placed->reactor, told});
    return true;
}

void stead_placement_answered(struct stead_host *host, const struct stead_message *answer)
{
    struct stead_placed *placed = host->jobs.count == 0 ? NULL : find_placed(host, answer->id);
    bool here = placed != NULL && placed->node == host->options.node && placed->reactor == host->options.reactor;

    if (placed == NULL || here)
        return;
    if (answer->status == STEAD_EKIND && (answer->flags & STEAD_FLAG_NOT_RUN))
        note_lack(host, kind_hash(answer->source, answer->source_size), placed);
    forget(host, placed);
}

void stead_placement_sweep(struct stead_host *host)
{
    for (uint32_t i = 0; host->jobs.entries != NULL && i <= host->jobs.mask;) {
        struct stead_placed *placed = stead_map_at(&host->jobs, i);
        bool here = placed != NULL && placed->node == host->options.node && placed->reactor == host->options.reactor;
        if (placed != NULL && !here && !still_there(host, placed))
            forget(host, placed);
        else
            i++;
    }
}

void stead_placement_deinit(struct stead_host *host)
{
    for (uint32_t i = 0; host->jobs.entries != NULL && i <= host->jobs.mask; i++)
        free(stead_map_at(&host->jobs, i));
    stead_map_deinit(&host->jobs);
}
