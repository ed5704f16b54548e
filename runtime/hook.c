/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/hook.h"

#include "runtime/shard.h"

static struct stead_id hook_id(struct stead_slice address, enum stead_hook hook)
{
    return stead_subject_id(address, stead_str(hook == STEAD_HOOK_UNLOAD ? "on_unload" : "on_load"));
}

bool stead_hook_is_fatal(const struct stead_host *host, struct stead_slice address, enum stead_hook hook)
{
    return host->suspect_count > 0 && stead_host_kills(host, hook_id(address, hook)) >= host->settings.poison_kills_max;
}

void stead_hook_begin(struct stead_host *host, struct stead_slice address, enum stead_hook hook)
{
    static const char *const names[] = {"on_load", "apply", "on_unload"};
    struct stead_turn_mark mark = {
        .id = hook_id(address, hook), .address = address, .op = stead_str(names[hook]), .lasting = true};

    stead_hook_end(host);      /* a turn may be in progress, whose own code has returned */
    host->marked_agent = NULL; /* the next turn's text is another one */
    if (host->doors.turn_mark != NULL)
        host->doors.turn_mark(host->doors.self, &mark);
}

void stead_hook_end(struct stead_host *host)
{
    if (host->doors.turn_mark != NULL)
        host->doors.turn_mark(host->doors.self, NULL);
}

void stead_hook_load(struct stead_agent *agent)
{
    if (agent->kind->on_load == NULL)
        return;
    stead_hook_begin(agent->shard->host, stead_agent_address(agent), STEAD_HOOK_LOAD);
    agent->kind->on_load(agent->state);
    stead_hook_end(agent->shard->host);
}

void stead_hook_unload(struct stead_agent *agent)
{
    struct stead_host *host = agent->shard->host;

    if (agent->kind->on_unload == NULL)
        return;
    if (stead_hook_is_fatal(host, stead_agent_address(agent), STEAD_HOOK_UNLOAD)) {
        stead_host_trace(host, STEAD_TRACE_WARN, "on_unload of %s is left out: it has ended the process %u times",
                         agent->address,
                         (unsigned)stead_host_kills(host, hook_id(stead_agent_address(agent), STEAD_HOOK_UNLOAD)));
        return;
    }
    stead_hook_begin(host, stead_agent_address(agent), STEAD_HOOK_UNLOAD);
    agent->kind->on_unload(agent->state);
    stead_hook_end(host);
}
