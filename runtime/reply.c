/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply: which way an answer takes: back through its session, which keeps it for those who ask again; through the
 * channel its request came through; or as it is. What a keyed request is answered is kept with its key on the way. An
 * answer that is stored leaves after the entry that stores it (invariant L1).
 */
#include "runtime/shard.h"

static void keep_keyed(struct stead_shard *shard, const struct stead_message *request,
                       const struct stead_message *answer, bool stored)
{
    if (request->key_size > 0 && stored)
        stead_key_answered(shard, request, answer);
    else if (request->key_size > 0)
        stead_key_dropped(shard, request);
}

void stead_shard_reply(struct stead_shard *shard, const struct stead_message *request, struct stead_message *answer,
                       bool stored, uint64_t depends_on)
{
    struct stead_session *session = stead_session_of(shard, request);

    answer->depends_on = depends_on;
    answer->table_version = shard->host->table == NULL ? 0 : shard->host->table->version;
    if (session != NULL) {
        struct stead_route route;
        if (stead_session_route(session, request->session.number, &route))
            answer->route = route; /* the newest retry knows the way */
        if (stored || stead_registry_find(shard->host->registry, request->address,
                                          (size_t)(strchr(request->address, '/') - request->address))
                              ->durability != STEAD_DURABLE)
            stead_session_answered(shard, session, request, answer, stored);
        else
            stead_session_forget(session, request->session.number); /* read-only: it can be asked again */
        keep_keyed(shard, request, answer, stored);
        stead_shard_emit(shard, answer);
    } else if (request->groups & STEAD_GROUP_CHANNEL) {
        keep_keyed(shard, request, answer, stored);
        answer->groups &= ~(uint32_t)STEAD_GROUP_CHANNEL;
        stead_channel_out_send(shard, &answer);
        stead_shard_dirty(shard, true);
    } else {
        keep_keyed(shard, request, answer, stored);
        answer->flags |= request->flags & STEAD_FLAG_UNSEQUENCED;
        if (answer->flags & STEAD_FLAG_UNSEQUENCED)
            stead_seen_answered(shard, answer);
        if (shard->host->shard_of[answer->slot.v] == shard && answer->address_size > 0)
            stead_queue_push(&shard->local, answer);
        else
            stead_shard_emit(shard, answer);
    }
}

void stead_shard_refuse(struct stead_shard *shard, const struct stead_message *request, int status, const char *name,
                        const char *sentence, bool stored, uint64_t depends_on)
{
    struct stead_answer_error error = {name, sentence};
    bool wants = request->type == STEAD_CALL || request->type == STEAD_QUERY ||
                 (request->type == STEAD_SIGNAL && (request->groups & STEAD_GROUP_SESSION));

    if (!wants)
        return;
    struct stead_message *answer = stead_message_answer(request, status, &error, (struct stead_slice){0});
    if (status == STEAD_EKIND || status == STEAD_EBUSY || status == STEAD_EUNAVAILABLE || status == STEAD_EIO)
        answer->flags |=
            STEAD_FLAG_NOT_RUN; /* another node may have loaded it; there will be room; the disk is mended */
    answer->durability = stored ? STEAD_CLASS_DURABLE : STEAD_CLASS_VOLATILE;
    if (request->key_size > 0 && (request->groups & STEAD_GROUP_CHANNEL)) {
        struct stead_message bare = *request; /* that it was refused is no answer to keep with its key */
        stead_key_dropped(shard, request);
        bare.key_size = 0;
        stead_shard_reply(shard, &bare, answer, stored, depends_on);
        return;
    }
    if (stored || (request->groups & STEAD_GROUP_CHANNEL)) {
        stead_shard_reply(shard, request, answer, stored, depends_on);
        return;
    }
    if (request->key_size > 0)
        stead_key_dropped(shard, request);
    struct stead_session *session = stead_session_of(shard, request);
    if (session != NULL) { /* it may have waited in a mailbox: a retry is judged anew */
        struct stead_route route;
        if (stead_session_route(session, request->session.number, &route))
            answer->route = route;
        stead_session_forget(session, request->session.number);
        if (answer->flags & STEAD_FLAG_NOT_RUN)
            stead_session_turned_away(session, request);
    }
    answer->depends_on = depends_on;
    answer->flags |= request->flags & STEAD_FLAG_UNSEQUENCED;
    if (answer->flags & STEAD_FLAG_UNSEQUENCED)
        stead_seen_answered(shard, answer);
    stead_shard_emit(shard, answer);
}

void stead_shard_turn_away(struct stead_shard *shard, const struct stead_message *request, int status)
{
    struct stead_message *answer = stead_message_answer(request, status, NULL, (struct stead_slice){0});

    answer->durability = STEAD_CLASS_VOLATILE;
    answer->flags |= request->flags & STEAD_FLAG_UNSEQUENCED;
    stead_shard_emit(shard, answer);
}
