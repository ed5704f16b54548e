/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_settings: what a task hub is made of, and the names of its parts. Pure; any thread.
 *
 * The map, as `create` takes and `settings` answers it:
 *   {name, partitions, workers, hide_ms, keep_ms, extended, tasks, poll: {mode, first, max, jitter, interval}, tags: [tag of partition 0 ...], work: tag, worker_tags: [tag of worker 0 ...]}
 */
#ifndef STEAD_AGENTS_HUB_SETTINGS_H
#define STEAD_AGENTS_HUB_SETTINGS_H

#include "agents/hub.h"

#define STEAD_HUB_NAME_MAX 48u /* bytes: small letters, digits, _ . - */
#define STEAD_HUB_TAG_MAX 63u
#define STEAD_HUB_PART_SIZE 192u /* bytes of an address of a part, with its zero */

enum stead_hub_mode { STEAD_HUB_NOTIFY, STEAD_HUB_BACKOFF, STEAD_HUB_FIXED };

struct stead_hub_settings {
    char name[STEAD_HUB_NAME_MAX + 1];
    uint32_t partitions; /* 1 to 16 */
    uint32_t workers;    /* 1 to 64 */
    int64_t hide_ms;     /* visibility timeout */
    int64_t keep_ms;     /* between two looks of the keeper */
    bool extended;       /* instances stay in the workers' memory between episodes */
    uint32_t tasks;      /* activities and agents' calls that a worker runs at once */
    enum stead_hub_mode mode;
    int64_t first_ms, max_ms; /* back-off: the first interval after an empty read, doubled up to the last */
    double jitter;            /* part of an interval that is left to chance */
    int64_t interval_ms;      /* fixed */
    char tags[STEAD_HUB_PARTITIONS_MAX][STEAD_HUB_TAG_MAX + 1];
    char work[STEAD_HUB_TAG_MAX + 1];
    char worker_tags[STEAD_HUB_WORKERS_MAX][STEAD_HUB_TAG_MAX + 1];
};

/* 4 partitions, 2 workers, 5 min, 64 tasks, back-off 50 ms to 30 s with 20 %, 250 ms, notify; every tag from the
 * name. */
void stead_hub_settings_default(struct stead_hub_settings *settings, const char *name);
/* Takes from the map what is there; the rest stays. STEAD_EARGUMENT: a value that is none. */
int stead_hub_settings_read(struct stead_hub_settings *settings, struct stead_slice map) STEAD_MUST_USE;
/* Appends the whole map. */
void stead_hub_settings_write(const struct stead_hub_settings *settings, struct stead_writer *writer);
/* "notify" and so on. */
const char *stead_hub_mode_name(enum stead_hub_mode mode);
/* Is this a hub's name? */
bool stead_hub_name_check(struct stead_slice name);

/* The partition of an instance or an agent: FNV-1a of its id or address. */
uint32_t stead_hub_partition(const struct stead_hub_settings *settings, struct stead_slice id);
/* Addresses of parts. */
struct stead_hub_part {
    char text[STEAD_HUB_PART_SIZE];
};
/* hub.queue/{TAG}NAME/control-P */
struct stead_hub_part stead_hub_control(const struct stead_hub_settings *settings, uint32_t partition);
/* hub.table/{TAG}NAME/P */
struct stead_hub_part stead_hub_table(const struct stead_hub_settings *settings, uint32_t partition);
/* hub.queue/{TAG}NAME/QUEUE, beside the queue of work items: "work", "poison" */
struct stead_hub_part stead_hub_part_queue(const struct stead_hub_settings *settings, const char *queue);
/* hub.worker/{TAG}NAME/W */
struct stead_hub_part stead_hub_worker(const struct stead_hub_settings *settings, uint32_t worker);
/* hub/NAME */
struct stead_hub_part stead_hub_itself(const char *name);

#endif
