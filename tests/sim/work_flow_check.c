/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of random orchestrations: what is there, beside what the reference says.
 *
 *     each instance    its status, output, error and custom status; none that is still active, children included
 *     each history     ids without gaps, times that do not fall, results that point at one request each, taken once; nothing behind its end; as many
 *                      activities as the reference counts
 *     effects          each id as often as the reference allows, added up over all instances; vaults hold the sum of their shares
 *
 * An instance that was terminated, restarted or rewound (or may have been: the request's outcome is unknown) is held to
 * less: effects may be missing, or come once more an execution.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agents/instance.h"
#include "tests/sim/work_flow.h"

#define HISTORY_MAX 4096u /* events */

/* ---- Histories ------------------------------------------------------------------------------------- */

/* What is remembered of the events so far, by id. */
struct history {
    const char *instance;
    uint64_t last;
    int64_t time_ms;
    uint32_t scheduled, completed, failed; /* activities */
    bool over;
    bool opened;      /* by a further episode */
    bool terminating; /* in the episode that ended it from outside */
    struct {
        char type[40];
        bool activity, answered, cancelled;
    } events[HISTORY_MAX];
};

static const struct {
    const char *result, *request;
} result_types[] = {{"TaskCompleted", "TaskScheduled"},
                    {"TaskFailed", "TaskScheduled"},
                    {"TimerFired", "TimerCreated"},
                    {"SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceCreated"},
                    {"SubOrchestrationInstanceFailed", "SubOrchestrationInstanceCreated"}};

static void check_result(struct stead_sim *sim, struct history *history, const char *type, struct stead_slice map)
{
    for (size_t i = 0; i < sizeof result_types / sizeof result_types[0]; i++) {
        uint64_t ref = 0;
        if (strcmp(type, result_types[i].result) != 0)
            continue;
        if (stead_get_u64(map, "ref", &ref) != 0 || ref == 0 || ref >= history->last)
            stead_world_fail(&sim->world, "history of %s: event %llu, %s, points at nothing", history->instance,
                             (unsigned long long)history->last, type);
        if (strcmp(history->events[ref].type, result_types[i].request) != 0)
            stead_world_fail(&sim->world, "history of %s: event %llu, %s, points at %llu, %s", history->instance,
                             (unsigned long long)history->last, type, (unsigned long long)ref,
                             history->events[ref].type);
        if (history->events[ref].cancelled)
            continue; /* kept while the code could not run, and passed over when it could */
        if (history->events[ref].answered)
            stead_world_fail(&sim->world, "history of %s: the result of event %llu is taken twice (%llu)",
                             history->instance, (unsigned long long)ref, (unsigned long long)history->last);
        history->events[ref].answered = true;
        history->completed += history->events[ref].activity && strcmp(type, "TaskCompleted") == 0;
        history->failed += history->events[ref].activity && strcmp(type, "TaskFailed") == 0;
    }
}

/* Nobody waits for it any more: a result that is stored behind this is taken by nobody. */
static void check_cancel(struct history *history, const char *type, struct stead_slice map)
{
    uint64_t ref = 0;

    if (strcmp(type, "TaskCanceled") == 0 && stead_get_u64(map, "ref", &ref) == 0 && ref < history->last)
        history->events[ref].cancelled = true;
}

/* Behind the end only what was open is ended, or a rewind begins. A termination may meet an instance that has still to
 * be replayed: what comes in until then stands in the same episode. */
static void check_end(struct stead_sim *sim, struct history *history, uint64_t id, const char *type)
{
    bool rewound = strcmp(type, "ExecutionRewound") == 0;

    if (history->opened && !rewound)
        stead_world_fail(&sim->world, "history of %s: an episode behind its end begins with %s", history->instance,
                         type);
    history->opened = history->over && strcmp(type, "OrchestratorStarted") == 0;
    if (strcmp(type, "OrchestratorCompleted") == 0)
        history->terminating = false;
    if (history->over && !rewound && !history->opened && !history->terminating &&
        strcmp(type, "OrchestratorCompleted") != 0 && strcmp(type, "TaskCanceled") != 0 &&
        strcmp(type, "LocksReleased") != 0)
        stead_world_fail(&sim->world, "history of %s: event %llu, %s, behind its end", history->instance,
                         (unsigned long long)id, type);
    history->terminating = history->terminating || strcmp(type, "ExecutionTerminated") == 0;
    history->over = (history->over && !rewound) || strcmp(type, "ExecutionCompleted") == 0 ||
                    strcmp(type, "ExecutionFailed") == 0 || strcmp(type, "ExecutionTerminated") == 0;
}

static void check_event(struct stead_sim *sim, struct history *history, struct stead_slice map)
{
    uint64_t id = 0;
    int64_t time_ms = 0;
    char type[40], target[STEAD_ADDRESS_MAX + 1] = "";

    if (stead_get_u64(map, "id", &id) != 0 || stead_get_text(map, "type", type, sizeof type) != 0)
        stead_world_fail(&sim->world, "history of %s: an event has no id or type", history->instance);
    if (id != history->last + 1 || id >= HISTORY_MAX)
        stead_world_fail(&sim->world, "history of %s: event %llu follows %llu", history->instance,
                         (unsigned long long)id, (unsigned long long)history->last);
    if (stead_get_i64(map, "time", &time_ms) != 0 || time_ms < history->time_ms)
        stead_world_fail(&sim->world, "history of %s: the time of event %llu falls", history->instance,
                         (unsigned long long)id);
    check_end(sim, history, id, type);
    stead_world_note_text(&sim->world, "event", id, type);
    history->last = id;
    history->time_ms = time_ms;
    stead_format(history->events[id].type, sizeof history->events[id].type, "%s", type);
    if (stead_get_text(map, "target", target, sizeof target) == STEAD_ETOOLARGE)
        stead_world_fail(&sim->world, "history of %s: event %llu has no end", history->instance,
                         (unsigned long long)id);
    if (strcmp(type, "TaskScheduled") == 0 && target[0] == 0) {
        history->events[id].activity = true;
        history->scheduled++;
    }
    check_result(sim, history, type, map);
    check_cancel(history, type, map);
}

/* Reads and checks the whole history of an instance that is over. */
static void check_history(struct stead_sim *sim, const char *id, struct history *ret_history)
{
    bool more = true;

    *ret_history = (struct history){.instance = id};
    while (more) {
        struct stead_slice page = {0}, events;
        uint32_t count = 0;
        int code = stead_flow_look(sim, id, "history", ret_history->last, &page);
        if (code != 0)
            stead_world_fail(&sim->world, "the history of %s cannot be had: %s", id, stead_error_name(code));
        more = false;
        if (stead_get_value(page, "events", &events) != 0 || stead_get_bool(page, "more", &more) == STEAD_EARGUMENT)
            stead_world_fail(&sim->world, "the history of %s cannot be read", id);
        struct stead_reader reader = stead_reader(events);
        if (stead_read_array(&reader, &count) != 0 || (more && count == 0))
            stead_world_fail(&sim->world, "the history of %s has an empty page", id);
        for (uint32_t i = 0; i < count; i++) {
            struct stead_slice map;
            if (stead_read_value(&reader, &map) != 0)
                stead_world_fail(&sim->world, "the history of %s cannot be read", id);
            check_event(sim, ret_history, map);
        }
    }
    if (!ret_history->over)
        stead_world_fail(&sim->world, "the history of %s has no end", id);
}

static void explain_vaults(struct stead_sim *sim)
{
    char holder[STEAD_ADDRESS_MAX + 1], address[48];
    struct stead_writer args;
    struct stead_slice held;

    for (uint32_t vault = 0; vault < STEAD_PROGRAM_VAULTS; vault++) {
        stead_format(address, sizeof address, "%s/%u", STEAD_PROGRAM_VAULT, vault);
        stead_writer_init(&args);
        stead_pack(&args, "{s:s}", "address", address);
        if (stead_get_value(stead_sim_query(sim, address, "show", stead_written(&args)), "lock", &held) == 0 &&
            stead_get_text(held, "holder", holder, sizeof holder) == 0)
            stead_world_note_text(&sim->world, "held by", vault, holder);
        stead_writer_deinit(&args);
    }
}

int stead_flow_look(struct stead_sim *sim, const char *id, const char *op, uint64_t after,
                    struct stead_slice *ret_value)
{
    const struct stead_flow *flow = stead_flow_oracle();
    char address[STEAD_FLOW_ID_SIZE + 32];
    struct stead_writer args;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s,s:u}", "id", id, "after", after);
    stead_format(address, sizeof address, "%s/%s", STEAD_ORCHESTRATION_KIND, id);
    int code = stead_sim_try(sim, address, op, stead_written(&args), ret_value);
    if (code == STEAD_ENOTFOUND && flow->hub_made && !flow->hub_gone)
        code = stead_sim_try(sim, stead_hub_table(&flow->hub, stead_hub_partition(&flow->hub, stead_str(id))).text, op,
                             stead_written(&args), ret_value);
    stead_writer_deinit(&args);
    return code;
}

void stead_flow_explain(struct stead_sim *sim, const char *id)
{
    char text[160], type[40], name[64] = "", target[64] = "";
    struct stead_slice page, events, map;
    uint32_t count = 0;
    uint64_t ref = 0;

    explain_vaults(sim);
    if (stead_flow_look(sim, id, "history", 0, &page) != 0 || stead_get_value(page, "events", &events) != 0)
        return;
    struct stead_reader reader = stead_reader(events);
    if (stead_read_array(&reader, &count) != 0)
        return;
    for (uint32_t i = 0; i < count && stead_read_value(&reader, &map) == 0; i++) {
        type[0] = name[0] = target[0] = 0;
        ref = 0;
        if (stead_get_text(map, "type", type, sizeof type) != 0 || stead_get_u64(map, "ref", &ref) == STEAD_EARGUMENT ||
            stead_get_text(map, "name", name, sizeof name) == STEAD_EARGUMENT ||
            stead_get_text(map, "target", target, sizeof target) == STEAD_EARGUMENT)
            continue;
        snprintf(text, sizeof text, "%s %s %s", type, name, target);
        stead_world_note_text(&sim->world, ref == 0 ? "history" : "  result", ref == 0 ? i + 1 : ref, text);
    }
}

static void check_counts(struct stead_sim *sim, const struct history *history,
                         const struct stead_program_outcome *outcome)
{
    const struct {
        const char *what;
        uint32_t seen;
        const uint32_t *bounds;
    } counts[] = {{"scheduled", history->scheduled, outcome->scheduled},
                  {"completed", history->completed, outcome->completed},
                  {"failed", history->failed, outcome->failures}};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].seen < counts[i].bounds[0] || counts[i].seen > counts[i].bounds[1])
            stead_world_fail(&sim->world, "history of %s: %u activities are %s, and not %u to %u", history->instance,
                             counts[i].seen, counts[i].what, counts[i].bounds[0], counts[i].bounds[1]);
}

/* ---- Instances ----------------------------------------------------------------------------------------- */

static void check_ended(struct stead_sim *sim, const struct stead_flow_instance *instance,
                        const struct stead_instance *told, const struct stead_program_outcome *outcome)
{
    uint64_t output = 0, status = 0;
    bool failed = told->status == STEAD_INSTANCE_FAILED;

    if (failed != outcome->failed)
        stead_world_fail(&sim->world, "%s %s (%s: %s), and should have %s %s", instance->id,
                         stead_instance_status_name(told->status), told->error_name, told->error_sentence,
                         outcome->failed ? "Failed" : "Completed", outcome->error);
    if (failed && strcmp(told->error_name, outcome->error) != 0)
        stead_world_fail(&sim->world, "%s failed with %s (%s), and should have with %s", instance->id, told->error_name,
                         told->error_sentence, outcome->error);
    if (!failed && (stead_get_u64(told->output, NULL, &output) != 0 || output != outcome->output))
        stead_world_fail(&sim->world, "%s completed with %llu, and should have with %llu", instance->id,
                         (unsigned long long)output, (unsigned long long)outcome->output);
    if (outcome->has_status && (stead_get_u64(told->custom_status, NULL, &status) != 0 || status != outcome->status))
        stead_world_fail(&sim->world, "%s shows the status %llu, and should show %llu", instance->id,
                         (unsigned long long)status, (unsigned long long)outcome->status);
}

/* True: it is (or was) there. */
static bool check_instance(struct stead_sim *sim, const struct stead_flow_instance *instance,
                           const struct stead_program_outcome *outcome)
{
    static struct history history; /* one run at a time */
    struct stead_instance told;
    struct stead_slice value;
    bool purged = instance->tried[STEAD_FLOW_PURGE] != 0;

    int code = stead_flow_look(sim, instance->id, "status", 0, &value);
    if (code == STEAD_ENOTFOUND && (instance->done[STEAD_FLOW_START] == 0 || purged))
        return purged;
    if (code != 0 || stead_instance_read(value, &told) != 0)
        stead_world_fail(&sim->world, "%s, which was started, cannot be looked at: %s", instance->id,
                         stead_error_name(code));
    stead_world_note(&sim->world, "ended", instance->number, told.status, told.execution);
    if (!stead_instance_is_over(told.status))
        stead_world_fail(&sim->world, "%s is %s for ever", instance->id, stead_instance_status_name(told.status));
    if (told.status == STEAD_INSTANCE_CANCELED && instance->tried[STEAD_FLOW_TERMINATE] != 0)
        return true; /* before it had begun */
    if (told.status == STEAD_INSTANCE_TERMINATED) {
        if (instance->tried[STEAD_FLOW_TERMINATE] == 0)
            stead_world_fail(&sim->world, "%s is Terminated, and nobody has", instance->id);
    } else {
        /* On the hub an answer says that the message is stored, no more. */
        if (!instance->hub && instance->done[STEAD_FLOW_TERMINATE] != 0 && instance->tried[STEAD_FLOW_RESTART] == 0)
            stead_world_fail(&sim->world, "%s was terminated and is %s", instance->id,
                             stead_instance_status_name(told.status));
        check_ended(sim, instance, &told, outcome);
    }
    check_history(sim, instance->id, &history);
    if (told.status != STEAD_INSTANCE_TERMINATED && instance->tried[STEAD_FLOW_REWIND] == 0)
        check_counts(sim, &history, outcome);
    return true;
}

/* Every instance whose code ever ran is over, or gone with a parent that was purged. */
static void check_orphans(struct stead_sim *sim)
{
    static struct history history; /* one run at a time */
    const struct stead_flow *flow = stead_flow_oracle();

    for (uint32_t i = 0; i < flow->seen_count; i++) {
        struct stead_instance told;
        struct stead_slice value;
        int code = stead_flow_look(sim, flow->seen[i], "status", 0, &value);
        if (code == STEAD_ENOTFOUND)
            continue;
        if (code != 0 || stead_instance_read(value, &told) != 0)
            stead_world_fail(&sim->world, "%s, which has run, cannot be looked at: %s", flow->seen[i],
                             stead_error_name(code));
        if (!stead_instance_is_over(told.status))
            stead_world_fail(&sim->world, "%s is left behind, %s", flow->seen[i],
                             stead_instance_status_name(told.status));
        if (told.status != STEAD_INSTANCE_CANCELED)
            check_history(sim, flow->seen[i], &history);
    }
}

/* ---- Effects ------------------------------------------------------------------------------------------------ */

/* All that may be, of all instances. */
struct effects {
    uint32_t count;
    struct stead_program_effect items[STEAD_FLOW_INSTANCES_MAX * STEAD_PROGRAM_EFFECTS_MAX];
};

static int compare_effects(const void *a, const void *b)
{
    const struct stead_program_effect *x = a, *y = b;

    if (x->sort != y->sort)
        return x->sort < y->sort ? -1 : 1;
    if (x->agent != y->agent)
        return x->agent < y->agent ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void add_effects(struct effects *effects, const struct stead_flow_instance *instance, bool there,
                        const struct stead_program_outcome *outcome)
{
    bool loose = !there || instance->tried[STEAD_FLOW_TERMINATE] != 0 || instance->tried[STEAD_FLOW_PURGE] != 0;
    /* A rewind runs failed children once more. */
    uint32_t executions = 1 + instance->tried[STEAD_FLOW_RESTART] + instance->tried[STEAD_FLOW_REWIND];

    for (uint32_t i = 0; i < outcome->effect_count; i++) {
        struct stead_program_effect *effect = &effects->items[effects->count++];
        *effect = outcome->effects[i];
        effect->least = loose ? 0 : effect->least;
        effect->most = there || instance->tried[STEAD_FLOW_START] != 0 ? effect->most * executions : 0;
    }
}

static void check_agent(struct stead_sim *sim, const struct effects *effects, enum stead_program_sort sort,
                        uint32_t agent, uint64_t *ret_shares)
{
    static struct stead_tally tally; /* one run at a time */
    const char *kind = sort == STEAD_PROGRAM_AT_TALLY ? STEAD_PROGRAM_TALLY : STEAD_PROGRAM_VAULT;
    uint32_t known = 0;
    char address[48];

    stead_format(address, sizeof address, "%s/%u", kind, agent);
    stead_tally_read(sim, stead_sim_ask(sim, address, "dump", (struct stead_slice){0}), &tally);
    for (uint32_t i = 0; i < effects->count; i++) {
        const struct stead_program_effect *effect = &effects->items[i];
        if (effect->sort != sort || effect->agent != agent)
            continue;
        int64_t seen = stead_tally_of(&tally, effect->id);
        known += seen != 0;
        if (seen < effect->least || seen > effect->most)
            stead_world_fail(&sim->world, "the effect %llx is at %s %lld times, and not %u to %u",
                             (unsigned long long)effect->id, address, (long long)seen, effect->least, effect->most);
        if (i > 0 && compare_effects(effect, effect - 1) == 0)
            stead_world_fail(&sim->world, "two effects have the id %llx", (unsigned long long)effect->id);
    }
    if (known != tally.count)
        stead_world_fail(&sim->world, "%s has %u effects, and only %u were asked for", address, tally.count, known);
    *ret_shares = 0;
    for (uint32_t i = 0; i < tally.count; i++)
        *ret_shares += stead_program_share(tally.items[i].number) * (uint64_t)tally.items[i].count;
}

static void check_effects(struct stead_sim *sim, struct effects *effects)
{
    char address[48];
    uint64_t shares = 0, held = 0;

    qsort(effects->items, effects->count, sizeof effects->items[0], compare_effects);
    for (uint32_t agent = 0; agent < STEAD_PROGRAM_TALLIES; agent++)
        check_agent(sim, effects, STEAD_PROGRAM_AT_TALLY, agent, &shares);
    for (uint32_t agent = 0; agent < STEAD_PROGRAM_VAULTS; agent++) {
        check_agent(sim, effects, STEAD_PROGRAM_AT_VAULT, agent, &shares);
        stead_format(address, sizeof address, "%s/%u", STEAD_PROGRAM_VAULT, agent);
        if (stead_get_u64(stead_sim_ask(sim, address, "value", (struct stead_slice){0}), NULL, &held) != 0 ||
            held != shares)
            stead_world_fail(&sim->world, "%s holds %llu, and its sections have put %llu in", address,
                             (unsigned long long)held, (unsigned long long)shares);
    }
}

void stead_flow_verify(struct stead_sim *sim)
{
    static struct effects effects; /* one run at a time, as the next */
    static struct stead_program_outcome outcome;
    const struct stead_flow *flow = stead_flow_oracle();
    struct stead_program program;
    char text[64];

    if (flow->hub_gone)
        return;
    if (flow->hub_made)
        stead_flow_hub_drain(sim);
    effects.count = 0;
    for (uint32_t i = 0; i < flow->instance_count; i++) {
        const struct stead_flow_instance *instance = &flow->instances[i];
        stead_program_generate(&program, instance->seed);
        const struct stead_program_input input = stead_program_start(&program, instance->seed, instance->number);
        stead_program_reference(&program, &input, &outcome);
        bool there = check_instance(sim, instance, &outcome);
        add_effects(&effects, instance, there, &outcome);
    }
    check_orphans(sim);
    check_effects(sim, &effects);
    const char *poison = flow->hub_made ? stead_flow_hub_poison(sim, text, sizeof text) : NULL;
    if (poison != NULL)
        stead_world_fail(&sim->world, "%s", poison);
    stead_flow_hub_drop(sim);
}
