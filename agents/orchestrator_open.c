/* SPDX-License-Identifier: Apache-2.0 */
/*
 * orchestrator_open: what an instance waits for, and what its running activities say of themselves.
 *
 * A heartbeat is a tell: nothing of it is stored. The newest of each call is kept beside the engine, as long as the
 * agent is in memory and the task is open; the next one comes soon. An instance that is not in memory knows of no open
 * tasks: to find them it would have to replay.
 */
#include "agents/orchestrator.h"

#define SHOWN_TASKS 100u
#define SHOWN_BYTES (256u << 10) /* of details */
#define KEPT_BYTES (1u << 20)    /* of beats: beyond it only their times are kept */
#define SPARE_BEATS 64u          /* kept of tasks that ended just before */

struct beat {
    struct stead_call_id call;
    int64_t at_ms;
    size_t size;
    uint8_t details[];
};

static uint64_t key_of(const struct stead_call_id *call)
{
    uint64_t key;

    memcpy(&key, call->bytes, sizeof(key)); /* ids are random */
    return key != 0 ? key : 1;
}

void stead_resident_drop_beat(struct stead_resident *resident, const struct stead_call_id *call)
{
    struct beat *beat = stead_engine_map_get(&resident->beats, key_of(call));

    if (beat == NULL)
        return;
    resident->beat_bytes -= sizeof(*beat) + beat->size;
    free(beat);
    stead_engine_map_remove(&resident->beats, key_of(call));
}

void stead_resident_drop_beats(struct stead_resident *resident)
{
    for (uint32_t i = 0; i < resident->beats.capacity; i++)
        if (resident->beats.keys[i] != 0)
            free(resident->beats.values[i]);
    stead_engine_map_deinit(&resident->beats);
    memset(&resident->beats, 0, sizeof(resident->beats));
    resident->beat_bytes = 0;
}

int stead_orchestration_op_heartbeat(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_orchestration_state *it = state;
    struct stead_resident *resident = it->resident;
    struct stead_slice id, details;
    struct stead_call_id call;

    if (stead_get_bin(args, "call", &id) != 0 || id.size != sizeof(call) ||
        stead_get_value(args, "details", &details) != 0)
        return STEAD_EARGUMENT;
    if (resident == NULL)
        return 0;
    memcpy(&call, id.data, sizeof(call));
    if (resident->beats.count > resident->calls.count + SPARE_BEATS) /* late ones: who lives says so again */
        stead_resident_drop_beats(resident);
    stead_resident_drop_beat(resident, &call);
    if (resident->beat_bytes + details.size > KEPT_BYTES)
        details.size = 0;
    struct beat *beat = stead_engine_alloc(sizeof(*beat) + details.size);
    beat->call = call;
    beat->at_ms = stead_now_ms(turn);
    beat->size = details.size;
    memcpy(beat->details, details.data, details.size);
    stead_engine_map_put(&resident->beats, key_of(&call), beat);
    resident->beat_bytes += sizeof(*beat) + details.size;
    return 0;
}

struct listing {
    const struct stead_resident *resident;
    struct stead_writer tasks;
    uint32_t count, shown;
};

static void list_open(void *context, const struct stead_history_event *event)
{
    struct listing *listing = context;
    const struct stead_resident *resident = listing->resident;
    const struct stead_engine_task *task = stead_engine_map_get(&resident->engine->requests, event->id);
    const struct stead_call_id *call = stead_engine_map_get(&resident->calls, event->id);
    const struct beat *beat = call != NULL ? stead_engine_map_get(&resident->beats, key_of(call)) : NULL;

    if (listing->count++ >= SHOWN_TASKS || listing->tasks.size > SHOWN_BYTES)
        return;
    listing->shown++;
    stead_pack(&listing->tasks, "{s:u,s:s,s:S,s:S,s:u,s:l,s:v}", "id", event->id, "type",
               stead_history_type_name(event->type), "name", event->name, "target", event->target, "attempt",
               (uint64_t)(task != NULL && task->again != NULL ? task->again->attempts : 1), "beat",
               beat != NULL ? beat->at_ms : (int64_t)0, "details",
               beat != NULL ? stead_bytes(beat->details, beat->size) : stead_bytes(NULL, 0));
}

int stead_orchestration_op_tasks(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct stead_orchestration_state *it = state;
    struct listing listing = {.resident = it->resident};
    bool known = it->resident != NULL && it->resident->ready && stead_engine_last(it->resident->engine) == it->events;
    struct stead_writer answer;

    (void)args;
    if (it->name[0] == '\0')
        return STEAD_ENOTFOUND;
    stead_writer_init(&listing.tasks);
    if (known)
        stead_engine_open(it->resident->engine, list_open, &listing);
    stead_writer_init(&answer);
    stead_write_map(&answer, 3);
    stead_write_str(&answer, "known");
    stead_write_bool(&answer, known || !stead_orchestration_is_active(it));
    stead_write_str(&answer, "count");
    stead_write_u64(&answer, listing.count);
    stead_write_str(&answer, "tasks");
    stead_write_array(&answer, listing.shown);
    stead_write_raw(&answer, listing.tasks.data, listing.tasks.size);
    int code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&answer);
    stead_writer_deinit(&listing.tasks);
    return code;
}
