/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer_run: the one run of a durable timer that may wait.
 *
 * Who is held cannot run its timers, perhaps for ever: its holder may be gone. So of each timer that rings again one
 * run is parked, and a RUN row, under the timer's id, names it by its sequence; periods that pass meanwhile become one
 * with it. The row moves when the message is parked anew and goes when it has run, in the same entries (T6). Setting or
 * cancelling the timer takes the row away and leaves the run: it is a run of the timer as it was.
 *
 * Parked messages outlive their agent, and a timer's run must not: what waits, parked or in memory, says in which life
 * it was due, and is dropped when it would run in another (T7). So the end of a life looks for none of them.
 */
#include "runtime/address.h"
#include "runtime/shard.h"
#include "runtime/timers.h"

struct stead_id stead_timer_id(const struct stead_agent *agent, struct stead_slice name)
{
    struct stead_id id;

    stead_store64(id.v, agent->hash ^ agent->incarnation * 0x9E3779B97F4A7C15u);
    stead_store64(id.v + 8, stead_hash(name.data, name.size));
    return id;
}

void stead_timer_run_stamp(const struct stead_agent *agent, struct stead_message *run)
{
    run->groups |= STEAD_GROUP_INCARNATION;
    run->incarnation = agent->incarnation;
}

bool stead_timer_run_is_past(const struct stead_agent *agent, const struct stead_message *message)
{
    return stead_message_of_timer(message) && (message->groups & STEAD_GROUP_INCARNATION) != 0 &&
           message->incarnation != agent->incarnation;
}

static void run_key(struct stead_row_key *key, const struct stead_agent *agent, struct stead_id id)
{
    stead_row_part(key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_RUN,
                   stead_bytes(id.v, sizeof(id.v)));
}

/* The sequence of the run that waits; 0: none does. */
static uint64_t sequence_of(struct stead_agent *agent, struct stead_id id)
{
    struct stead_row_key key;
    struct stead_writer value;

    run_key(&key, agent, id);
    stead_writer_init(&value);
    int code = stead_shard_read(agent->shard, stead_agent_image(agent), &key, &value);
    uint64_t sequence = code == 0 && value.size == sizeof(uint64_t) ? stead_load64(value.data) : 0;
    stead_writer_deinit(&value);
    return sequence;
}

bool stead_timer_run_waits(struct stead_agent *agent, struct stead_id id)
{
    uint64_t sequence = sequence_of(agent, id);
    struct stead_row_key key;
    struct stead_writer record;

    if (sequence == 0)
        return false;
    stead_row_part(&key, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    stead_row_add_u64(&key, sequence);
    stead_writer_init(&record);
    int code =
        stead_overlay_get_merged(agent->shard->overlay, &agent->shard->host->doors, stead_row_slice(&key), &record);
    stead_writer_deinit(&record);
    return code != STEAD_ENOTFOUND; /* not there: it was damaged, and is gone; what cannot be read now does wait */
}

void stead_timer_run_parked(struct stead_agent *agent, struct stead_id id, uint64_t sequence)
{
    struct stead_row_key key;
    uint8_t value[sizeof(uint64_t)];

    run_key(&key, agent, id);
    stead_store64(value, sequence);
    stead_shard_put(agent->shard, &key, stead_bytes(value, sizeof(value)), false);
    stead_shard_dirty(agent->shard, true);
}

void stead_timer_run_moved(struct stead_agent *agent, struct stead_id id, uint64_t sequence)
{
    if (sequence_of(agent, id) != 0)
        stead_timer_run_parked(agent, id, sequence);
}

void stead_timer_run_over(struct stead_agent *agent, struct stead_id id, uint64_t sequence)
{
    struct stead_row_key key;
    uint64_t waits = sequence_of(agent, id);

    if (waits == 0 || (sequence != 0 && waits != sequence))
        return;
    run_key(&key, agent, id);
    stead_shard_delete(agent->shard, &key);
    stead_shard_dirty(agent->shard, true);
}
