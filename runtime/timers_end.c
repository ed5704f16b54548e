/* SPDX-License-Identifier: Apache-2.0 */
/* timers_end: the end of an incarnation: its timers, calls and delayed signals go, and so do their due rows. */
#include "runtime/shard.h"
#include "runtime/timers.h"

struct part_rows {
    struct stead_writer rows; /* (u16 sub size, sub, u64 due)* */
    size_t prefix;
    enum stead_row_part part;
};

static int visit_part(void *context, struct stead_slice key, struct stead_slice value)
{
    struct part_rows *it = context;
    uint16_t size = (uint16_t)(key.size - it->prefix);
    uint64_t due_ms = value.size >= 16 ? stead_load64(value.data + (it->part == STEAD_PART_CALL ? 8 : 0)) : 0;

    stead_write_raw(&it->rows, &size, sizeof(size));
    stead_write_raw(&it->rows, key.data + it->prefix, size);
    stead_write_raw(&it->rows, &due_ms, sizeof(due_ms));
    return 0;
}

static void destroy_part(struct stead_agent *agent, enum stead_row_part part)
{
    struct part_rows it = {.part = part};
    struct stead_row_key from, to;

    stead_row_part(&from, agent->slot, stead_agent_address(agent), agent->incarnation, part, (struct stead_slice){0});
    it.prefix = from.size;
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    stead_writer_init(&it.rows);
    (void)stead_shard_scan(agent->shard, &from, &to, visit_part, &it);
    for (size_t at = 0; at < it.rows.size;) {
        uint16_t size = stead_load16(it.rows.data + at);
        struct stead_slice sub = {it.rows.data + at + 2, size};
        uint64_t due_ms = stead_load64(it.rows.data + at + 2 + size);
        if (part != STEAD_PART_CALL || due_ms != 0)
            stead_timers_delete_due(agent->shard, agent->slot, stead_agent_address(agent), due_ms, part, sub);
        if (part == STEAD_PART_DELAYED) { /* came from outside: the agent itself may not know that it has parts */
            stead_row_part(&from, agent->slot, stead_agent_address(agent), agent->incarnation, part, sub);
            stead_shard_delete(agent->shard, &from);
        }
        at += 2u + size + 8u;
    }
    stead_writer_deinit(&it.rows);
}

void stead_timers_destroy_agent(struct stead_agent *agent)
{
    destroy_part(agent, STEAD_PART_TIMER);
    destroy_part(agent, STEAD_PART_CALL);
    destroy_part(agent, STEAD_PART_DELAYED);
}
