/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock_waits: a ring of the newest waits, each `waiter waits for an agent`. Who holds that agent is read from the agent
 * when it is needed, so a wait that is over says nothing false: an agent that is free, or held by its waiter, leads
 * nowhere; nor does one past its deadline.
 *
 * Only at the moment a wait begins can it close a circle, through itself. So the walk starts there: from the agent's
 * holder over what that one waits for, to the holders of those, until the new waiter is met. It looks at STEPS_MAX
 * waits at most.
 */
#include "runtime/lock_waits.h"

#include "runtime/address.h"
#include "runtime/shard.h"

#define RING 512u    /* waits remembered */
#define STEPS_MAX 64 /* waits gone through in one walk */

struct wait {
    char *waiter, *agent; /* addresses; owned; NULL: nothing here */
    uint64_t hash;        /* of the waiter */
    uint64_t deadline_ms; /* 0: none */
};

struct stead_lock_waits {
    struct wait ring[RING];
    uint32_t next; /* taken next */
};

/* One wait of a walk. */
struct step {
    const struct wait *wait;
    const char *holder; /* of what it waits for */
    int from;           /* the step before it; -1: the new wait */
};

static uint64_t hash_of(struct stead_slice address)
{
    return stead_hash(address.data, address.size);
}

static void forget(struct wait *wait)
{
    free(wait->waiter);
    free(wait->agent);
    *wait = (struct wait){.waiter = NULL};
}

static struct wait *find(struct stead_lock_waits *waits, struct stead_slice waiter, struct stead_slice agent)
{
    uint64_t hash = hash_of(waiter);

    for (uint32_t i = 0; i < RING; i++) {
        struct wait *it = &waits->ring[i];
        if (it->waiter != NULL && it->hash == hash && stead_slice_equal(stead_str(it->waiter), waiter) &&
            stead_slice_equal(stead_str(it->agent), agent))
            return it;
    }
    return NULL;
}

/* Who holds it; NULL: nobody, or it is not in the memory of this host. */
static const char *holder_of(struct stead_host *host, const char *address)
{
    struct stead_resolved resolved;

    if (stead_host_resolve(host, stead_str(address), &resolved) != 0 || host->shard_of[resolved.slot.v] == NULL)
        return NULL;
    const struct stead_agent *agent =
        stead_agent_find(host->shard_of[resolved.slot.v], stead_str(address), resolved.hash);
    bool held = agent != NULL && agent->phase == STEAD_AGENT_READY && (agent->flags & STEAD_AGENT_HELD);
    return held ? agent->wait->holder : NULL;
}

static void add_text(struct stead_writer *line, const char *text)
{
    stead_write_raw(line, text, strlen(text));
}

/* The circle that the step closes, from the new wait on. */
static void report(struct stead_host *host, const struct wait *first, const char *holder, const struct step *steps,
                   int at)
{
    struct stead_writer line;
    int path[STEPS_MAX], count = 0;

    for (; at >= 0; at = steps[at].from)
        path[count++] = at;
    stead_writer_init(&line);
    add_text(&line, first->waiter), add_text(&line, " waits for "), add_text(&line, first->agent);
    add_text(&line, ", held by "), add_text(&line, holder);
    while (count-- > 0) {
        add_text(&line, ", which waits for "), add_text(&line, steps[path[count]].wait->agent);
        add_text(&line, ", held by "), add_text(&line, steps[path[count]].holder);
    }
    stead_host_trace(host, STEAD_TRACE_WARN, "a circle of waits, which nobody in it leaves by himself: %.*s",
                     (int)line.size, (const char *)line.data);
    stead_writer_deinit(&line);
}

/* Adds what `who` waits for to the walk. */
static int add_steps(struct stead_host *host, const char *who, int from, struct step *steps, int count)
{
    uint64_t hash = hash_of(stead_str(who));

    for (uint32_t i = 0; i < RING && count < STEPS_MAX; i++) {
        const struct wait *it = &host->lock_waits->ring[i];
        bool theirs = it->waiter != NULL && it->hash == hash && strcmp(it->waiter, who) == 0 &&
                      (it->deadline_ms == 0 || it->deadline_ms > host->now_ms);
        for (int j = 0; theirs && j < count; j++)
            theirs = steps[j].wait != it; /* been there */
        const char *holder = theirs ? holder_of(host, it->agent) : NULL;
        if (holder != NULL && strcmp(holder, who) != 0)
            steps[count++] = (struct step){it, holder, from};
    }
    return count;
}

static void walk(struct stead_host *host, const struct wait *first, const char *holder)
{
    struct step steps[STEPS_MAX];
    int count = add_steps(host, holder, -1, steps, 0);

    for (int at = 0; at < count; at++) {
        if (strcmp(steps[at].holder, first->waiter) == 0) {
            report(host, first, holder, steps, at);
            return;
        }
        count = add_steps(host, steps[at].holder, at, steps, count);
    }
}

void stead_lock_waits_add(struct stead_agent *agent, const struct stead_message *call)
{
    struct stead_slice waiter = stead_bytes(call->source, call->source_size);
    struct stead_host *host = agent->shard->host;

    if (call->type != STEAD_CALL || waiter.size == 0)
        return;
    if (host->lock_waits == NULL)
        host->lock_waits = stead_alloc_zero(sizeof(*host->lock_waits));
    struct wait *wait = find(host->lock_waits, waiter, stead_agent_address(agent));
    if (wait != NULL) { /* it came again, or has waited for the holder before this one */
        wait->deadline_ms = call->deadline_ms;
    } else {
        wait = &host->lock_waits->ring[host->lock_waits->next++ % RING];
        forget(wait);
        *wait = (struct wait){.waiter = stead_text_copy(call->source),
                              .agent = stead_text_copy(agent->address),
                              .hash = hash_of(waiter),
                              .deadline_ms = call->deadline_ms};
    }
    walk(host, wait, agent->wait->holder);
}

void stead_lock_waits_remove(const struct stead_agent *agent, struct stead_slice waiter)
{
    struct stead_lock_waits *waits = agent->shard->host->lock_waits;
    struct wait *wait = waits == NULL ? NULL : find(waits, waiter, stead_agent_address(agent));

    if (wait != NULL)
        forget(wait);
}

void stead_lock_waits_deinit(struct stead_host *host)
{
    for (uint32_t i = 0; host->lock_waits != NULL && i < RING; i++)
        forget(&host->lock_waits->ring[i]);
    free(host->lock_waits);
    host->lock_waits = NULL;
}
