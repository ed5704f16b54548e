/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owed: answers that a later turn gives.
 *
 * A token names an OWED row: the requests that wait for the answer, each without payload and chain, as (u32 size,
 * record)*.
 * Usually one; a second joins when another client asks with the same idempotency key. A retry of the same request only
 * renews the route. The row goes in the entry of the turn that answers, or destroys the agent.
 *
 * A volatile agent's debts are in memory (vowed), like everything of it; and so are those that a durable agent's quiet
 * op has made: whoever asks again after a crash is asked for anew.
 */
#include "runtime/shard.h"

static void owed_key(struct stead_row_key *key, const struct stead_agent *agent, struct stead_id token)
{
    stead_row_part(key, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_OWED,
                   stead_bytes(token.v, sizeof(token.v)));
}

/* The request as it is kept: everything but its payload and the chain behind that. */
static void add_record(struct stead_shard *shard, struct stead_writer *row, const struct stead_message *request)
{
    struct stead_writer record;
    struct stead_message bare = *request;
    uint8_t size[4];

    bare.payload_size = 0;
    bare.chain_size = bare.ended_size = 0;
    stead_writer_init(&record);
    shard->host->doors.encode(&bare, &record);
    stead_store32(size, (uint32_t)record.size);
    stead_write_raw(row, size, sizeof(size));
    stead_write_raw(row, record.data, record.size);
    stead_writer_deinit(&record);
}

/* Takes the next request from the front of `*row`; false at the end. A record that cannot be read is told of, and
 * passed over: the others wait for their answers. The message is the caller's. */
static bool next_request(struct stead_shard *shard, struct stead_slice *row, struct stead_message **ret_request)
{
    while (row->size > 0) {
        size_t size = row->size < 4 ? SIZE_MAX : stead_load32(row->data);
        bool whole = row->size >= 4 && size <= row->size - 4;
        int code = whole ? shard->host->doors.decode(stead_bytes(row->data + 4, size), ret_request) : STEAD_ECORRUPT;
        size_t taken = whole ? 4 + size : row->size;
        row->data += taken;
        row->size -= taken;
        if (code == 0)
            return true;
        stead_host_trace(shard->host, STEAD_TRACE_ERROR, "a request that is owed an answer cannot be read: %s",
                         stead_error_name(code));
    }
    return false;
}

/* ---- Volatile ---------------------------------------------------------------------------------- */

static struct stead_vowed *find_vowed(struct stead_shard *shard, struct stead_id token)
{
    uint32_t at;
    uint64_t hash = stead_load64(token.v + 8);
    struct stead_vowed *owed;

    for (owed = stead_map_first(&shard->vowed, hash, &at); owed != NULL;
         owed = stead_map_next(&shard->vowed, hash, &at))
        if (stead_id_equal(owed->token, token))
            return owed;
    return NULL;
}

static void add_volatile(struct stead_turn *turn)
{
    struct stead_shard *shard = turn->shard;
    struct stead_vowed *owed = stead_alloc_zero(sizeof(*owed));
    struct stead_session *session = stead_session_of(shard, turn->message);

    owed->token = turn->token;
    owed->hash = stead_load64(turn->token.v + 8);
    owed->agent = turn->agent;
    owed->request = stead_message_copy(turn->message);
    turn->agent->pins++;
    stead_map_add(&shard->vowed, owed->hash, owed);
    if (session != NULL)
        stead_session_running(shard, session, turn->message);
}

static void answer_volatile(struct stead_shard *shard, struct stead_vowed *owed, int status,
                            const struct stead_answer_error *error, struct stead_slice value, bool stored)
{
    struct stead_message *answer = stead_message_answer(owed->request, status, error, value);
    bool durable = stead_agent_durable(owed->agent);
    uint64_t depends_on = owed->agent->depends_on;

    answer->durability = durable ? STEAD_CLASS_DURABLE : STEAD_CLASS_VOLATILE;
    stead_map_remove(&shard->vowed, owed->hash, owed);
    owed->agent->pins--;
    if (durable && stored)
        (void)stead_session_load(shard, owed->request);
    stead_shard_reply(shard, owed->request, answer, durable && stored, depends_on);
    stead_message_destroy(&owed->request);
    free(owed);
}

static void destroy_volatile(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;

    for (uint32_t i = 0; shard->vowed.entries != NULL && i <= shard->vowed.mask;) {
        struct stead_vowed *owed = stead_map_at(&shard->vowed, i);
        if (owed != NULL && owed->agent == agent)
            answer_volatile(shard, owed, STEAD_EDESTROYED, NULL, (struct stead_slice){0}, true);
        else
            i++;
    }
}

/* ---- Durable ----------------------------------------------------------------------------------- */

void stead_owed_add(struct stead_turn *turn)
{
    struct stead_shard *shard = turn->shard;
    struct stead_session *session = stead_session_of(shard, turn->message);
    struct stead_row_key key;
    struct stead_writer row;

    if (!stead_agent_durable(turn->agent) || turn->quiet) {
        add_volatile(turn);
        return;
    }
    stead_writer_init(&row);
    add_record(shard, &row, turn->message);
    owed_key(&key, turn->agent, turn->token);
    stead_shard_put(shard, &key, stead_written(&row), false);
    stead_writer_deinit(&row);
    if (session != NULL)
        stead_session_owed(shard, session, turn->message, turn->token);
    if (turn->message->key_size > 0)
        stead_key_owed(shard, turn->message, turn->token);
}

bool stead_owed_is_volatile(struct stead_agent *agent, struct stead_id token)
{
    const struct stead_vowed *owed = find_vowed(agent->shard, token);
    return owed != NULL && owed->agent == agent;
}

int stead_owed_exists(struct stead_agent *agent, struct stead_id token)
{
    struct stead_row_key key;
    struct stead_writer row;

    if (stead_owed_is_volatile(agent, token))
        return 0;
    if (!stead_agent_durable(agent))
        return STEAD_ENOTFOUND;
    owed_key(&key, agent, token);
    stead_writer_init(&row);
    int code = stead_shard_read(agent->shard, stead_agent_image(agent), &key, &row);
    stead_writer_deinit(&row);
    return code;
}

static void answer_all(struct stead_agent *agent, struct stead_slice row, int status,
                       const struct stead_answer_error *error, struct stead_slice value)
{
    struct stead_shard *shard = agent->shard;
    struct stead_message *request;

    while (next_request(shard, &row, &request)) {
        struct stead_message *answer = stead_message_answer(request, status, error, value);
        answer->durability = STEAD_CLASS_DURABLE;
        (void)stead_session_load(shard, request); /* the reply is kept there for those who ask again */
        stead_shard_reply(shard, request, answer, true, shard->next_index);
        stead_message_destroy(&request);
    }
    stead_shard_dirty(shard, true);
}

void stead_owed_answer(struct stead_agent *agent, const struct stead_turn_answer *answer, bool stored)
{
    struct stead_shard *shard = agent->shard;
    struct stead_answer_error error = {answer->name, answer->sentence};
    struct stead_row_key key;
    struct stead_writer row;

    if (stead_owed_is_volatile(agent, answer->token)) {
        answer_volatile(shard, find_vowed(shard, answer->token), answer->status, &error, answer->value, stored);
        return;
    }
    owed_key(&key, agent, answer->token);
    stead_writer_init(&row);
    if (stead_shard_read(shard, stead_agent_image(agent), &key, &row) == 0) {
        stead_shard_delete(shard, &key);
        answer_all(agent, stead_written(&row), answer->status, &error, answer->value);
    }
    stead_writer_deinit(&row);
}

static int collect_row(void *context, struct stead_slice key, struct stead_slice row)
{
    (void)key;
    stead_write_raw(context, row.data, row.size);
    return 0;
}

void stead_owed_destroy_agent(struct stead_agent *agent)
{
    struct stead_shard *shard = agent->shard;
    struct stead_row_key from, to;
    struct stead_writer rows;

    destroy_volatile(agent);
    if (!stead_agent_durable(agent) || !(agent->flags & STEAD_AGENT_PARTS))
        return;
    stead_row_part(&from, agent->slot, stead_agent_address(agent), agent->incarnation, STEAD_PART_OWED,
                   (struct stead_slice){0});
    to = from;
    if (!stead_row_after_prefix(&to))
        return;
    stead_writer_init(&rows);
    (void)stead_shard_scan(shard, &from, &to, collect_row, &rows);
    answer_all(agent, stead_written(&rows), STEAD_EDESTROYED, NULL, (struct stead_slice){0});
    stead_writer_deinit(&rows);
}

void stead_owed_attach(struct stead_shard *shard, const struct stead_message *request, struct stead_id token)
{
    struct stead_slice address = stead_bytes(request->address, request->address_size);
    struct stead_row_key key;
    struct stead_writer row, renewed;
    struct stead_message *known;
    bool replaced = false;

    stead_row_part(&key, request->slot, address, stead_agent_incarnation(shard, request->slot, address),
                   STEAD_PART_OWED, stead_bytes(token.v, sizeof(token.v)));
    stead_writer_init(&row);
    stead_writer_init(&renewed);
    if (stead_shard_read(shard, &shard->host->doors, &key, &row) == 0) {
        struct stead_slice rest = stead_written(&row);
        while (next_request(shard, &rest, &known)) {
            bool same = stead_id_equal(known->id, request->id);
            add_record(shard, &renewed, same ? request : known);
            replaced = replaced || same;
            stead_message_destroy(&known);
        }
        if (!replaced)
            add_record(shard, &renewed, request);
        stead_shard_put(shard, &key, stead_written(&renewed), false);
        stead_shard_dirty(shard, false);
    }
    stead_writer_deinit(&row);
    stead_writer_deinit(&renewed);
}
