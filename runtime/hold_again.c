/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/hold_again.h"

#include "runtime/address.h"
#include "runtime/shard.h"
#include "runtime/waiting.h"

#define ROWS_MAX 256u /* parked messages of an agent that are looked at */

static bool is_keyed_hold(const struct stead_agent *agent, const struct stead_message *message)
{
    return message->key_size > 0 && message->type == STEAD_CALL &&
           stead_registry_op(agent->shard->host->registry, agent->kind, message->op, message->op_size) ==
               STEAD_LOCK_OP_HOLD;
}

bool stead_hold_is_known(struct stead_agent *agent, struct stead_message *message)
{
    return is_keyed_hold(agent, message) && stead_key_known(agent->shard, message);
}

void stead_mail_delete(struct stead_agent *agent, const struct stead_row_key *key)
{
    struct stead_shard *shard = agent->shard;

    stead_shard_delete(shard, key);
    if (!stead_agent_durable(agent)) /* it was parked with a due row */
        stead_timers_delete_due(shard, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL,
                                stead_bytes(key->data + key->size - 8, 8));
    stead_shard_dirty(shard, true);
}

struct parked_hold {
    struct stead_agent *agent;
    uint32_t left; /* rows that may still be looked at */
    struct stead_row_key key;
    struct stead_message *found; /* owned; NULL: no more */
};

static int look_for_hold(void *context, struct stead_slice key, struct stead_slice record)
{
    struct parked_hold *search = context;
    struct stead_message *message;

    if (search->left-- == 0 || search->agent->shard->host->doors.decode(record, &message) != 0) {
        search->left = 0;
        return 1;
    }
    if (!is_keyed_hold(search->agent, message)) {
        stead_message_destroy(&message);
        return 0;
    }
    memcpy(search->key.data, key.data, key.size);
    search->key.size = (uint16_t)key.size;
    search->found = message;
    return 1;
}

void stead_holds_answer_parked(struct stead_agent *agent)
{
    struct parked_hold search = {.agent = agent, .left = ROWS_MAX};
    struct stead_shard *shard = agent->shard;
    struct stead_row_key from, to;

    stead_row_part(&to, agent->slot, stead_agent_address(agent), 0, STEAD_PART_MAIL, (struct stead_slice){0});
    stead_mail_begin(agent, &from);
    bool more = stead_row_after_prefix(&to);
    while (more && search.left > 0) {
        search.found = NULL;
        int code = stead_overlay_scan_merged(shard->overlay, &shard->host->doors, stead_row_slice(&from),
                                             stead_row_slice(&to), false, look_for_hold, &search);
        if (code < 0) /* the agent's mail, and no reason to end: whoever waits for a hold waits on */
            stead_timers_look_again(shard, agent->slot);
        more = search.found != NULL;
        if (!more)
            return;
        if (stead_key_known(shard, search.found))
            stead_mail_delete(agent, &search.key);
        stead_message_destroy(&search.found);
        from = search.key;
        from.data[from.size++] = 0; /* behind it */
    }
}
