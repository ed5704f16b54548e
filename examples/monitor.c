/* SPDX-License-Identifier: Apache-2.0 */
/*
 * monitor: an eternal orchestration: looks at a file every so often, raises an alarm when it has changed, and goes on
 * for ever. Each round begins anew with an empty history (continue-as-new), so that a year of rounds costs no more than
 * one. The event `stop` ends it.
 *
 *     stead run monitor '{"path": "/etc/hostname", "every": 1000}' --id watch
 *     stead status watch            {"rounds": ..., "size": ..., "changes": ...}
 *     stead raise watch stop
 */
#include <sys/stat.h>

#include "stead/orchestration.h"

/* PATH: its size and the time of its last change; a file that is not there has size -1. */
static int look(struct stead_job *job, struct stead_slice args)
{
    struct stat about;
    char path[512];

    if (stead_get_text(args, NULL, path, sizeof path) != 0)
        return stead_job_fail(job, "bad_path", "monitor.look takes a path");
    if (stat(path, &about) != 0)
        return stead_job_reply(job, stead_job_packed(job, "[l,l]", (int64_t)-1, (int64_t)0));
    return stead_job_reply(job, stead_job_packed(job, "[l,l]", (int64_t)about.st_size, (int64_t)about.st_mtime));
}

/* What one round hands to the next. */
struct round {
    char path[512];
    int64_t every_ms, rounds, changes, size, changed_s;
};

static int read_round(struct stead_slice input, struct round *ret_round)
{
    *ret_round = (struct round){.every_ms = 1000, .size = -2}; /* -2: never looked at */
    int code = stead_get_text(input, "path", ret_round->path, sizeof ret_round->path);
    const struct {
        const char *name;
        int64_t *it;
    } numbers[] = {{"every", &ret_round->every_ms},
                   {"rounds", &ret_round->rounds},
                   {"changes", &ret_round->changes},
                   {"size", &ret_round->size},
                   {"changed", &ret_round->changed_s}};
    for (size_t i = 0; code == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        if (stead_get_i64(input, numbers[i].name, numbers[i].it) == STEAD_EARGUMENT)
            code = STEAD_EARGUMENT;
    return code;
}

static struct stead_slice pack_round(struct stead_orchestration *o, const struct round *round)
{
    return stead_packed_for(o, "{s:s,s:l,s:l,s:l,s:l,s:l}", "path", round->path, "every", round->every_ms, "rounds",
                            round->rounds, "changes", round->changes, "size", round->size, "changed", round->changed_s);
}

static int monitor(struct stead_orchestration *o, struct stead_slice input)
{
    struct stead_slice seen;
    struct round round;
    int64_t size, changed_s;

    if (read_round(input, &round) != 0)
        return stead_fail_with(o, "bad_input", "monitor takes {path, every: ms}");
    int code = stead_await_activity(o, "monitor.look", stead_packed_for(o, "s", round.path), &seen);
    struct stead_reader reader = stead_reader(seen);
    uint32_t two;
    if (code == 0 && (stead_read_array(&reader, &two) != 0 || stead_read_i64(&reader, &size) != 0 ||
                      stead_read_i64(&reader, &changed_s) != 0))
        code = STEAD_ECORRUPT;
    if (code != 0)
        return code;
    if (round.size != -2 && (size != round.size || changed_s != round.changed_s)) {
        round.changes++;
        stead_say(o, "%s has changed: %lld bytes", round.path, (long long)size);
    }
    round.rounds++;
    round.size = size;
    round.changed_s = changed_s;
    code = stead_set_status(o, pack_round(o, &round));
    if (code == 0)
        code = stead_await_event(o, "stop", round.every_ms, NULL);
    if (code == 0)
        return stead_complete(o, pack_round(o, &round));
    return code == STEAD_ETIMEOUT ? stead_continue_as_new(o, pack_round(o, &round)) : code;
}

STEAD_ACTIVITY(look_activity, "monitor.look", look, STEAD_KIND_IDEMPOTENT);
STEAD_MODULE(&look_activity);

static const struct stead_orchestrator monitor_orchestrator = {
    .abi = STEAD_ORCHESTRATION_ABI,
    .struct_size = sizeof(struct stead_orchestrator),
    .name = "monitor",
    .help = "{path, every}: watches a file until the event `stop`",
    .version = 1,
    .run = monitor};
STEAD_ORCHESTRATORS(&monitor_orchestrator);
