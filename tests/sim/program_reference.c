/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference interpreter of random programs (program.h): walks the tree once, without stead, and writes down the one
 * outcome that a run may have, and for each effect how often it may be there. It knows the semantics only:
 *
 *     a sequence ends at its first failure; an all-of begins everything, then fails with the first in its list; a sure any-of ends with its first, a race mixes in
 *     its own id; what was cancelled, lost a race or was forgotten may have happened once or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/program.h"

struct walk {
    const struct stead_program *program;
    const struct stead_program_input *input; /* of the instance that is walked through */
    struct stead_program_outcome *outcome;
    bool uncertain; /* may not happen at all */
    bool counts;    /* in the last round of the root: its history is looked at */
    const char *error;
};

static bool walk_node(struct walk *walk, uint32_t node, uint64_t *total);

static void add_effect(struct walk *walk, enum stead_program_sort sort, uint32_t agent, uint64_t id)
{
    struct stead_program_outcome *outcome = walk->outcome;

    if (outcome->effect_count == STEAD_PROGRAM_EFFECTS_MAX)
        abort();
    outcome->effects[outcome->effect_count++] = (struct stead_program_effect){
        .id = id, .sort = sort, .agent = agent, .least = walk->uncertain ? 0 : 1, .most = 1};
}

/* Of `most` attempts the last ends it: all fail but that one, or all do. */
static void add_activity(struct walk *walk, uint32_t least, uint32_t most, bool fails)
{
    struct stead_program_outcome *outcome = walk->outcome;

    if (!walk->counts)
        return;
    outcome->scheduled[0] += walk->uncertain ? 0 : least;
    outcome->scheduled[1] += most;
    outcome->completed[0] += walk->uncertain || fails ? 0 : 1;
    outcome->completed[1] += fails ? 0 : 1;
    outcome->failures[0] += walk->uncertain ? 0 : least - (fails ? 0 : 1);
    outcome->failures[1] += most - (fails ? 0 : 1);
}

/* A child: all its rounds. True: it failed. */
static bool walk_child(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_input *outer = walk->input;
    struct stead_program_input input = {.seed = outer->seed,
                                        .path = stead_program_child_path(outer, node),
                                        .total = *total,
                                        .root = walk->program->nodes[node].first,
                                        .rounds = walk->program->nodes[node].a};
    bool counts = walk->counts, failed = false;
    uint64_t sum = *total;

    walk->counts = false;
    walk->input = &input;
    for (; input.round < input.rounds && !failed; input.round++)
        failed = walk_node(walk, input.root, &sum);
    walk->input = outer;
    walk->counts = counts;
    if (!failed)
        *total = stead_program_mix(*total, sum);
    return failed;
}

static bool fail(struct walk *walk, uint32_t node)
{
    walk->error = stead_program_error(node);
    return true;
}

static bool walk_task(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &walk->program->nodes[node];
    uint64_t id = stead_program_id(walk->input, node);

    switch (it->type) {
    case STEAD_PROGRAM_DO:
        add_activity(walk, 1, 1, false);
        break;
    case STEAD_PROGRAM_RETRY:
        add_activity(walk, 1, it->a, false);
        break;
    case STEAD_PROGRAM_BREAK:
        add_activity(walk, it->a, it->a, true);
        return fail(walk, node);
    case STEAD_PROGRAM_SLEEP:
        *total = stead_program_mix(*total, id);
        return false;
    case STEAD_PROGRAM_EVENT:
        *total = stead_program_mix(*total, stead_program_event_value(id));
        return false;
    case STEAD_PROGRAM_CHILD:
        return walk_child(walk, node, total);
    case STEAD_PROGRAM_CALL:
        add_effect(walk, STEAD_PROGRAM_AT_TALLY, it->a, id);
        break;
    case STEAD_PROGRAM_REFUSE:
        return fail(walk, node);
    default:
        return false; /* one that never ends */
    }
    *total = stead_program_mix(*total, stead_program_result(id, *total));
    return false;
}

static bool walk_all(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *nodes = walk->program->nodes;
    const char *error = NULL;
    uint64_t start = *total, sum = *total;

    for (uint32_t at = nodes[node].first; at != 0; at = nodes[at].next) {
        uint64_t result = start;
        if (walk_task(walk, at, &result) && error == NULL)
            error = walk->error;
        sum = stead_program_mix(sum, result);
    }
    walk->error = error;
    *total = sum;
    return error != NULL;
}

/* What happens if its time comes, or not. */
static void walk_uncertain(struct walk *walk, uint32_t node, uint64_t total)
{
    bool uncertain = walk->uncertain;

    walk->uncertain = true;
    walk_task(walk, node, &total);
    walk->uncertain = uncertain;
}

static void walk_race(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *nodes = walk->program->nodes;

    for (uint32_t at = nodes[node].first; at != 0; at = nodes[at].next)
        walk_uncertain(walk, at, *total);
    *total = stead_program_mix(*total, stead_program_id(walk->input, node));
}

static bool walk_lock(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &walk->program->nodes[node];
    uint64_t id = stead_program_id(walk->input, node);

    if (it->first != 0 && walk_node(walk, it->first, total))
        return true;
    for (uint32_t vault = 0; vault < STEAD_PROGRAM_VAULTS; vault++)
        if ((it->a >> vault & 1u) != 0)
            add_effect(walk, STEAD_PROGRAM_AT_VAULT, vault, stead_program_mix(id, vault));
    *total = stead_program_mix(*total, id);
    return false;
}

static bool walk_sequence(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *nodes = walk->program->nodes;

    for (uint32_t at = nodes[node].first; at != 0; at = nodes[at].next)
        if (walk_node(walk, at, total))
            return true;
    return false;
}

/* Statements that mix their id in and nothing else. */
static bool walk_simple(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &walk->program->nodes[node];
    uint64_t id = stead_program_id(walk->input, node);

    if (it->type == STEAD_PROGRAM_FAIL)
        return fail(walk, node);
    if (it->type == STEAD_PROGRAM_FORGET)
        walk_uncertain(walk, it->first, *total);
    if (it->type == STEAD_PROGRAM_SIGNAL)
        add_effect(walk, STEAD_PROGRAM_AT_TALLY, it->a, id);
    if (it->type == STEAD_PROGRAM_THROW)
        add_activity(walk, 1, 1, false);
    if (it->type == STEAD_PROGRAM_STATUS && walk->counts) {
        walk->outcome->has_status = true;
        walk->outcome->status = id;
    }
    *total = stead_program_mix(*total, id);
    return false;
}

static bool walk_node(struct walk *walk, uint32_t node, uint64_t *total)
{
    const struct stead_program_node *it = &walk->program->nodes[node];

    switch (it->type) {
    case STEAD_PROGRAM_SEQUENCE:
        return walk_sequence(walk, node, total);
    case STEAD_PROGRAM_ALL:
        return walk_all(walk, node, total);
    case STEAD_PROGRAM_SURE:
        return walk_task(walk, it->first, total);
    case STEAD_PROGRAM_RACE:
        walk_race(walk, node, total);
        return false;
    case STEAD_PROGRAM_CATCH:
        if (walk_sequence(walk, it->first, total))
            *total = stead_program_mix(*total, stead_program_error_value(walk->error));
        return false;
    case STEAD_PROGRAM_LOCK:
        return walk_lock(walk, node, total);
    case STEAD_PROGRAM_SELF:
        *total = stead_program_mix(*total, 2 * stead_program_event_value(stead_program_id(walk->input, node)) + 1);
        return false;
    case STEAD_PROGRAM_TALK:
        *total = stead_program_mix(*total, stead_program_event_value(stead_program_id(walk->input, node)));
        return walk_child(walk, node, total);
    default:
        return it->type < STEAD_PROGRAM_TASKS ? walk_task(walk, node, total) : walk_simple(walk, node, total);
    }
}

void stead_program_reference(const struct stead_program *program, const struct stead_program_input *input,
                             struct stead_program_outcome *ret_outcome)
{
    struct stead_program_input at = *input;
    struct walk walk = {.program = program, .input = &at, .outcome = ret_outcome, .error = ""};
    uint64_t total = input->total;

    *ret_outcome = (struct stead_program_outcome){.error = ""};
    for (; at.round < at.rounds && !ret_outcome->failed; at.round++) {
        /* Only the last round's history is there at the end, and a failure makes any round the last. */
        memset(ret_outcome->scheduled, 0, sizeof ret_outcome->scheduled);
        memset(ret_outcome->completed, 0, sizeof ret_outcome->completed);
        memset(ret_outcome->failures, 0, sizeof ret_outcome->failures);
        ret_outcome->has_status = false;
        walk.counts = true;
        ret_outcome->failed = walk_node(&walk, at.root, &total);
    }
    if (ret_outcome->failed)
        ret_outcome->error = walk.error;
    ret_outcome->output = total;
}

void stead_program_events(const struct stead_program *program, const struct stead_program_input *input,
                          stead_program_event_fn *visit, void *context)
{
    struct stead_program_input at = *input;
    char name[STEAD_PROGRAM_TEXT_SIZE];

    for (; at.round < at.rounds; at.round++)
        for (uint32_t node = 0; node < program->count; node++)
            if (program->nodes[node].type == STEAD_PROGRAM_EVENT || program->nodes[node].type == STEAD_PROGRAM_MAYBE) {
                uint64_t id = stead_program_id(&at, node);
                stead_program_event_name(name, 'e', id);
                visit(context, name, stead_program_event_value(id));
            }
}
