/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator: the commands.
 *
 * Every command is first judged completely and only then carried out, so a refused one leaves no trace, and one that
 * comes again is recognised (K3 in docs/INVARIANTS.md). What a command changes is collected as rows in `effects`; the
 * last of them is the meta row with the next table version, so on disk a change is there with its version or not at
 * all. Ids are taken from counters in that same row: none is ever given twice, also after a crash.
 *
 * Slots are handed out once for each placement group, to the nodes that are alive then:
 *
 *     group 0    when nodes_expected nodes are alive; shards_per_reactor x reactors shards a node
 *     group g    when the cluster is formed and a node with its label is there; one shard a reactor
 *
 * A slot has at most one owner and a kind keeps its group (K2). Each shard gets a contiguous run of slots, so that it
 * is one key range in the store. Shards of a node lie side by side.
 */
#include "runtime/coordinator.h"

#include <stdlib.h>

#include "runtime/address.h"
#include "runtime/base.h"
#include "runtime/coordinator_state.h"

#define GROUP_DEFAULT_SHARDS_MAX (STEAD_SHARDS_MAX / 2)
#define GROUP_NAMED_SHARDS_MAX (STEAD_SHARDS_MAX / 2 / (STEAD_GROUPS - 2))

static void refuse(struct stead_coordinator_effects *effects, int status, const char *format, ...) STEAD_PRINTF(3, 4);
static void refuse(struct stead_coordinator_effects *effects, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    stead_format_v(effects->why, sizeof effects->why, format, args);
    va_end(args);
    effects->status = status;
}

static void begin(struct stead_coordinator_effects *effects)
{
    stead_writer_reset(&effects->rows);
    effects->table_changed = false;
    effects->status = 0;
    effects->node = 0;
    effects->incarnation = 0;
    effects->why[0] = 0;
}

/* Seals what the command changed, if anything, under the next version. */
static void finish(struct stead_coordinator *c, struct stead_coordinator_effects *effects)
{
    if (effects->rows.size == 0)
        return;
    STEAD_ASSERT(effects->status == 0);
    c->version++;
    stead_coordinator_put_meta(c, &effects->rows);
    stead_table_release(&c->table);
    effects->table_changed = true;
}

/* ---- Handing out slots ---------------------------------------------------------------------- */

static bool group_is_placed(const struct stead_coordinator *c, unsigned group)
{
    for (uint32_t i = 0; i < c->shard_count; i++)
        if (c->shards[i].group == group)
            return true;
    return false;
}

/* Shards that a node would like to have in the group; 0: it may not serve it. */
static uint32_t shards_wanted(const struct stead_coordinator *c, const struct stead_coordinator_node *node,
                              unsigned group)
{
    if (!node->alive || !stead_coordinator_node_has(node, c->group_needs[group]))
        return 0;
    return node->endpoint_count * (group == STEAD_GROUP_DEFAULT ? node->shards_per_reactor : 1);
}

/* Makes the group's shards number `from` to `to` of `total`, all for one node. */
static void make_shards(struct stead_coordinator *c, const struct stead_coordinator_node *node, unsigned group,
                        uint32_t from, uint32_t to, uint32_t total, struct stead_coordinator_effects *effects)
{
    for (uint32_t i = from; i < to; i++) {
        struct stead_coordinator_shard *shard = stead_coordinator_shard_add(c, c->next_shard++);
        uint32_t first = i * STEAD_SLOTS_PER_GROUP / total, end = (i + 1) * STEAD_SLOTS_PER_GROUP / total;
        shard->epoch = 1;
        shard->node = node->id;
        shard->incarnation = node->incarnation;
        shard->reactor = (uint16_t)((i - from) % node->endpoint_count);
        shard->group = (uint8_t)group;
        shard->first = (uint16_t)first;
        shard->count = (uint16_t)(end - first);
        stead_coordinator_put_shard(shard, &effects->rows);
    }
}

/* Gives the group's slots to the nodes that may serve it, in proportion to what they want. Nothing when there are
 * none. */
static void place_group(struct stead_coordinator *c, unsigned group, struct stead_coordinator_effects *effects)
{
    uint64_t limit = group == STEAD_GROUP_DEFAULT ? GROUP_DEFAULT_SHARDS_MAX : GROUP_NAMED_SHARDS_MAX;
    uint64_t wanted = 0, before = 0;
    for (uint32_t i = 0; i < c->node_count; i++)
        wanted += shards_wanted(c, &c->nodes[i], group);
    if (wanted == 0)
        return;
    uint64_t total = wanted < limit ? wanted : limit;
    for (uint32_t i = 0; i < c->node_count; i++) {
        uint64_t after = before + shards_wanted(c, &c->nodes[i], group);
        make_shards(c, &c->nodes[i], group, (uint32_t)(before * total / wanted), (uint32_t)(after * total / wanted),
                    (uint32_t)total, effects);
        before = after;
    }
}

static uint32_t count_alive(const struct stead_coordinator *c)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < c->node_count; i++)
        alive += c->nodes[i].alive;
    return alive;
}

/* Forms the cluster when everybody is there, then places every group that can be. */
static void place(struct stead_coordinator *c, struct stead_coordinator_effects *effects)
{
    if (!c->formed && count_alive(c) < c->nodes_expected)
        return;
    c->formed = true;
    for (unsigned group = 0; group < STEAD_GROUP_ENDPOINTS; group++)
        if ((group == STEAD_GROUP_DEFAULT || c->group_needs[group] != NULL) && !group_is_placed(c, group))
            place_group(c, group, effects);
}

/* ---- Register ------------------------------------------------------------------------------- */

static int text_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* True when two of the texts are the same. */
static bool has_twins(const char *const *texts, uint32_t count)
{
    bool twins = false;
    if (count < 2)
        return false;
    const char **sorted = stead_alloc(count * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = texts[i];
    qsort(sorted, count, sizeof *sorted, text_order);
    for (uint32_t i = 1; i < count; i++)
        twins |= strcmp(sorted[i - 1], sorted[i]) == 0;
    free(sorted);
    return twins;
}

static int judge_texts(const struct stead_node_registration *r, struct stead_coordinator_effects *effects)
{
    if (!stead_coordinator_node_name_check(r->name))
        refuse(effects, STEAD_EARGUMENT, "a node's name is 1 to %u of A-Z a-z 0-9 _ . -", STEAD_NODE_NAME_MAX);
    else if (stead_id_is_zero(r->identity) || stead_id_is_zero(r->start))
        refuse(effects, STEAD_EARGUMENT, "identity and start must be random");
    else if (r->endpoint_count == 0 || r->endpoint_count > STEAD_REACTORS_MAX)
        refuse(effects, STEAD_EARGUMENT, "a node has 1 to %u reactors", STEAD_REACTORS_MAX);
    else if (r->label_count > STEAD_LABELS_MAX)
        refuse(effects, STEAD_EARGUMENT, "a node has at most %u labels", STEAD_LABELS_MAX);
    else if (r->shards_per_reactor == 0 || r->shards_per_reactor > STEAD_COORDINATOR_SHARDS_PER_REACTOR_MAX)
        refuse(effects, STEAD_EARGUMENT, "a reactor has 1 to %u shards", STEAD_COORDINATOR_SHARDS_PER_REACTOR_MAX);
    else if (has_twins(r->labels, r->label_count) || has_twins(r->endpoints, r->endpoint_count))
        refuse(effects, STEAD_EARGUMENT, "a label or an endpoint is there twice");
    for (uint32_t i = 0; effects->status == 0 && i < r->label_count; i++)
        if (!stead_coordinator_label_check(r->labels[i]))
            refuse(effects, STEAD_EARGUMENT, "a label is 1 to %u of A-Z a-z 0-9 _ . -", STEAD_COORDINATOR_LABEL_MAX);
    for (uint32_t i = 0; effects->status == 0 && i < r->endpoint_count; i++)
        if (!stead_coordinator_endpoint_check(r->endpoints[i]))
            refuse(effects, STEAD_EARGUMENT, "an endpoint is 1 to %u visible characters",
                   STEAD_COORDINATOR_ENDPOINT_MAX);
    return effects->status;
}

static bool needs_group(const struct stead_kind_registration *kind)
{
    return kind->needs != NULL && kind->durability != STEAD_STATELESS;
}

/* The group whose label is `needs`, among `labels`; 0: none. */
static unsigned find_group(const char *const *labels, const char *needs)
{
    for (unsigned group = 1; group < STEAD_GROUP_ENDPOINTS; group++)
        if (labels[group] != NULL && strcmp(labels[group], needs) == 0)
            return group;
    return 0;
}

/* The first named group that is not in use; 0: none. */
static unsigned find_free_group(const char *const *labels)
{
    for (unsigned group = 1; group < STEAD_GROUP_ENDPOINTS; group++)
        if (labels[group] == NULL)
            return group;
    return 0;
}

static void judge_known_kind(const struct stead_coordinator_kind *known, const struct stead_kind_registration *kind,
                             struct stead_coordinator_effects *effects)
{
    bool same_needs =
        known->needs == NULL ? kind->needs == NULL : kind->needs != NULL && strcmp(known->needs, kind->needs) == 0;
    if (!same_needs)
        refuse(effects, STEAD_ECONFLICT, "kind %s is known to need the label '%s', this node says '%s'", kind->name,
               known->needs ? known->needs : "", kind->needs ? kind->needs : "");
    else if (known->durability != kind->durability)
        refuse(effects, STEAD_ECONFLICT, "kind %s is known with another durability", kind->name);
}

/* Every kind must fit what is known of it, and there must be room for the new ones and for the groups they make. */
static int judge_kinds(const struct stead_coordinator *c, const struct stead_node_registration *r,
                       struct stead_coordinator_effects *effects)
{
    const char *labels[STEAD_GROUPS];
    uint32_t count = c->kind_count;
    for (unsigned i = 0; i < STEAD_GROUPS; i++)
        labels[i] = c->group_needs[i];
    for (uint32_t i = 0; effects->status == 0 && i < r->kind_count; i++) {
        const struct stead_kind_registration *kind = &r->kinds[i];
        if (!stead_name_check(stead_str(kind->name), STEAD_KIND_NAME_MAX) || kind->durability > STEAD_STATELESS ||
            (kind->needs != NULL && !stead_coordinator_label_check(kind->needs))) {
            refuse(effects, STEAD_EARGUMENT, "a kind has no proper name, durability or label");
            break;
        }
        const struct stead_coordinator_kind *known = stead_coordinator_kind_find(c, kind->name);
        if (known != NULL)
            judge_known_kind(known, kind, effects);
        else if (++count > STEAD_KINDS_MAX)
            refuse(effects, STEAD_ELIMIT, "a cluster has at most %u kinds", STEAD_KINDS_MAX);
        else if (needs_group(kind) && find_group(labels, kind->needs) == 0) {
            unsigned group = find_free_group(labels);
            if (group == 0)
                refuse(effects, STEAD_ELIMIT, "kinds of a cluster need at most %u different labels", STEAD_GROUPS - 2);
            labels[group] = kind->needs;
        }
    }
    return effects->status;
}

static int judge_twin_kinds(const struct stead_node_registration *r, struct stead_coordinator_effects *effects)
{
    if (r->kind_count > STEAD_KINDS_MAX) {
        refuse(effects, STEAD_ELIMIT, "a cluster has at most %u kinds", STEAD_KINDS_MAX);
        return effects->status;
    }
    const char **names = stead_alloc((r->kind_count + 1) * sizeof *names);
    for (uint32_t i = 0; i < r->kind_count; i++)
        names[i] = r->kinds[i].name;
    if (has_twins(names, r->kind_count))
        refuse(effects, STEAD_EARGUMENT, "a kind is there twice");
    free(names);
    return effects->status;
}

/* May it have this name? A name goes from a dead node to another folder only when the dead one owns nothing. */
static int judge_name(const struct stead_coordinator *c, const struct stead_node_registration *r,
                      struct stead_coordinator_effects *effects)
{
    const struct stead_coordinator_node *self = stead_coordinator_node_of(c, r->identity);
    const struct stead_coordinator_node *other = stead_coordinator_node_named(c, r->name);
    bool replaces = other != NULL && other != self;
    if (replaces && other->alive)
        refuse(effects, STEAD_EINUSE, "a node named %s with another data folder is alive", r->name);
    else if (replaces && stead_coordinator_node_owns(c, other->id))
        refuse(effects, STEAD_EINUSE,
               "the name %s belongs to a node with another data folder, which holds shards: start it there, or choose "
               "another name",
               r->name);
    else if (self == NULL && !replaces && c->node_count == STEAD_NODES_MAX)
        refuse(effects, STEAD_ELIMIT, "a cluster has at most %u nodes", STEAD_NODES_MAX);
    else if (self == NULL && c->next_node == UINT32_MAX)
        refuse(effects, STEAD_ELIMIT, "all node ids were given out");
    return effects->status;
}

static void add_kinds(struct stead_coordinator *c, const struct stead_node_registration *r,
                      struct stead_coordinator_effects *effects)
{
    for (uint32_t i = 0; i < r->kind_count; i++) {
        const struct stead_kind_registration *from = &r->kinds[i];
        unsigned group = STEAD_GROUP_DEFAULT;
        if (stead_coordinator_kind_find(c, from->name) != NULL)
            continue;
        if (needs_group(from)) {
            const char *const *labels = (const char *const *)c->group_needs;
            group = find_group(labels, from->needs);
            if (group == 0) {
                group = find_free_group(labels);
                STEAD_ASSERT(group != 0); /* judge_kinds */
                c->group_needs[group] = stead_text_copy(from->needs);
            }
        }
        struct stead_coordinator_kind *kind = stead_coordinator_kind_add(c, from->name);
        kind->group = (uint8_t)group;
        kind->durability = from->durability;
        kind->needs = from->needs ? stead_text_copy(from->needs) : NULL;
        stead_coordinator_put_kind(kind, &effects->rows);
    }
}

/* A node that comes back with fewer reactors: its shards must not name one that is gone. That is a change of their
 * configuration like any other: one epoch up, and the node swaps them to itself afterwards as at every start. */
static void pull_in_shards(struct stead_coordinator *c, const struct stead_coordinator_node *node,
                           struct stead_coordinator_effects *effects)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct stead_coordinator_shard *shard = &c->shards[i];
        if (shard->node != node->id || shard->reactor < node->endpoint_count)
            continue;
        shard->reactor = (uint16_t)(shard->reactor % node->endpoint_count);
        shard->epoch++;
        stead_coordinator_put_shard(shard, &effects->rows);
    }
}

static struct stead_coordinator_node *admit_node(struct stead_coordinator *c, const struct stead_node_registration *r,
                                                 struct stead_coordinator_effects *effects)
{
    struct stead_coordinator_node *other = stead_coordinator_node_named(c, r->name);
    if (other != NULL && !stead_id_equal(other->identity, r->identity)) {
        stead_coordinator_delete_node(other, &effects->rows);
        stead_coordinator_node_remove(c, other);
    }
    struct stead_coordinator_node *node = stead_coordinator_node_of(c, r->identity);
    if (node == NULL)
        node = stead_coordinator_node_add(c, c->next_node++);
    memset(node->name, 0, sizeof node->name);
    strcpy(node->name, r->name);
    node->identity = r->identity;
    node->start = r->start;
    node->incarnation++;
    node->alive = true;
    node->shards_per_reactor = r->shards_per_reactor;
    stead_coordinator_node_describe(node, r->labels, r->label_count, r->endpoints, r->endpoint_count);
    stead_coordinator_put_node(node, &effects->rows);
    return node;
}

static void step_register(struct stead_coordinator *c, const struct stead_node_registration *r, uint64_t now_ms,
                          struct stead_coordinator_effects *effects)
{
    if (judge_texts(r, effects) != 0 || judge_twin_kinds(r, effects) != 0)
        return;
    struct stead_coordinator_node *node = stead_coordinator_node_of(c, r->identity);
    bool repeated = node != NULL && stead_id_equal(node->start, r->start);
    if (!repeated) {
        if (judge_name(c, r, effects) != 0 || judge_kinds(c, r, effects) != 0)
            return;
        add_kinds(c, r, effects);
        node = admit_node(c, r, effects);
        pull_in_shards(c, node, effects);
    } else if (!node->alive) {
        node->alive = true;
        stead_coordinator_put_node(node, &effects->rows);
    }
    node->heard_ms = now_ms;
    effects->node = node->id;
    effects->incarnation = node->incarnation;
    place(c, effects);
}

/* ---- Claim ---------------------------------------------------------------------------------- */

/* The node that speaks, or NULL with the refusal made. */
static struct stead_coordinator_node *judge_speaker(const struct stead_coordinator *c,
                                                    const struct stead_coordinator_command *command,
                                                    struct stead_coordinator_effects *effects)
{
    struct stead_coordinator_node *node = stead_coordinator_node_find(c, command->node);
    if (node == NULL) {
        refuse(effects, STEAD_ENOTFOUND, "there is no node %u", command->node);
        return NULL;
    }
    if (node->incarnation != command->incarnation) {
        refuse(effects, STEAD_ESTATE, "node %s was started again: its incarnation is %llu, this one is %llu",
               node->name, (unsigned long long)node->incarnation, (unsigned long long)command->incarnation);
        return NULL;
    }
    return node;
}

static int judge_claim(const struct stead_coordinator *c, const struct stead_coordinator_node *node,
                       const struct stead_shard_claim *claim, struct stead_coordinator_effects *effects)
{
    const struct stead_coordinator_shard *shard = stead_coordinator_shard_find(c, claim->shard);
    if (shard == NULL) {
        refuse(effects, STEAD_ENOTFOUND, "there is no shard %u", claim->shard);
        return effects->status;
    }
    /* A claim that was carried out and is made again, because its answer was lost, has nothing left to do. */
    bool done = shard->epoch == claim->expected_epoch + 1 && shard->node == node->id &&
                shard->incarnation == node->incarnation && shard->reactor == claim->reactor;
    if (claim->reactor >= node->endpoint_count)
        refuse(effects, STEAD_EARGUMENT, "node %s has no reactor %u", node->name, (unsigned)claim->reactor);
    else if (shard->node != node->id)
        refuse(effects, STEAD_ENOTOWNER, "shard %u is node %u's, whose store holds it", shard->id, shard->node);
    else if (shard->epoch != claim->expected_epoch && !done)
        refuse(effects, STEAD_ECONFLICT, "shard %u is at epoch %llu, not %llu", shard->id,
               (unsigned long long)shard->epoch, (unsigned long long)claim->expected_epoch);
    return effects->status;
}

static void step_claim(struct stead_coordinator *c, const struct stead_coordinator_command *command, uint64_t now_ms,
                       struct stead_coordinator_effects *effects)
{
    struct stead_coordinator_node *node = judge_speaker(c, command, effects);
    if (node == NULL)
        return;
    if (command->claim_count > STEAD_SHARDS_MAX) {
        refuse(effects, STEAD_EARGUMENT, "too many claims");
        return;
    }
    for (uint32_t i = 0; i < command->claim_count; i++)
        if (judge_claim(c, node, &command->claims[i], effects) != 0)
            return;
    node->heard_ms = now_ms;
    for (uint32_t i = 0; i < command->claim_count; i++) {
        const struct stead_shard_claim *claim = &command->claims[i];
        struct stead_coordinator_shard *shard = stead_coordinator_shard_find(c, claim->shard);
        if (shard->epoch != claim->expected_epoch)
            continue; /* done before, or twice in this list */
        shard->epoch++;
        shard->incarnation = node->incarnation;
        shard->reactor = claim->reactor;
        stead_coordinator_put_shard(shard, &effects->rows);
    }
}

/* ---- Being alive ---------------------------------------------------------------------------- */

static void set_alive(struct stead_coordinator_node *node, bool alive, struct stead_coordinator_effects *effects)
{
    if (node->alive == alive)
        return;
    node->alive = alive;
    stead_coordinator_put_node(node, &effects->rows);
}

static void step_beat(struct stead_coordinator *c, const struct stead_coordinator_command *command, uint64_t now_ms,
                      struct stead_coordinator_effects *effects)
{
    struct stead_coordinator_node *node = judge_speaker(c, command, effects);
    if (node == NULL)
        return;
    node->heard_ms = now_ms;
    set_alive(node, true, effects);
    place(c, effects);
}

static void step_leave(struct stead_coordinator *c, const struct stead_coordinator_command *command,
                       struct stead_coordinator_effects *effects)
{
    struct stead_coordinator_node *node = judge_speaker(c, command, effects);
    if (node != NULL)
        set_alive(node, false, effects);
}

static void step_tick(struct stead_coordinator *c, uint64_t now_ms, struct stead_coordinator_effects *effects)
{
    /* Who was late itself accuses nobody: the heartbeats may lie unread in its socket. */
    bool late = now_ms - c->ticked_ms >= c->alive_ms_max;
    for (uint32_t i = 0; i < c->node_count; i++) {
        struct stead_coordinator_node *node = &c->nodes[i];
        if (late)
            node->heard_ms = now_ms;
        else if (now_ms > node->heard_ms && now_ms - node->heard_ms >= c->alive_ms_max)
            set_alive(node, false, effects);
    }
    c->ticked_ms = now_ms;
}

/* ---- Steps ---------------------------------------------------------------------------------- */

void stead_coordinator_step(struct stead_coordinator *c, const struct stead_coordinator_command *command,
                            uint64_t now_ms, struct stead_coordinator_effects *effects)
{
    STEAD_ASSERT(c->restored);
    begin(effects);
    switch (command->op) {
    case STEAD_COORDINATOR_REGISTER:
        step_register(c, command->registration, now_ms, effects);
        break;
    case STEAD_COORDINATOR_CLAIM:
        step_claim(c, command, now_ms, effects);
        break;
    case STEAD_COORDINATOR_BEAT:
        step_beat(c, command, now_ms, effects);
        break;
    case STEAD_COORDINATOR_LEAVE:
        step_leave(c, command, effects);
        break;
    case STEAD_COORDINATOR_TICK:
        step_tick(c, now_ms, effects);
        break;
    default:
        refuse(effects, STEAD_EARGUMENT, "no such command");
    }
    finish(c, effects);
}

int stead_coordinator_restored(struct stead_coordinator *c, uint64_t now_ms, struct stead_coordinator_effects *effects)
{
    STEAD_ASSERT(!c->restored);
    begin(effects);
    c->ticked_ms = now_ms;
    if (c->version == 0 && c->node_count == 0 && c->shard_count == 0 && c->kind_count == 0) {
        c->restored = true;
        c->version = 1;
        stead_coordinator_put_meta(c, &effects->rows);
        effects->table_changed = true;
        return 0;
    }
    effects->status = stead_coordinator_verify(c, effects->why);
    if (effects->status != 0)
        return effects->status;
    for (uint32_t i = 0; i < c->node_count; i++)
        c->nodes[i].heard_ms = now_ms;
    c->restored = true;
    return 0;
}
