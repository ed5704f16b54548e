/* SPDX-License-Identifier: Apache-2.0 */
/* backup_desk: see backup_desk.h. */
#include "node/backup_desk.h"

#include <stdio.h>

#include "stead/error.h"

void stead_backup_desk_init(struct stead_backup_desk *desk)
{
    *desk = (struct stead_backup_desk){.runs = false};
    pthread_mutex_init(&desk->lock, NULL);
    stead_writer_init(&desk->value);
}

void stead_backup_desk_deinit(struct stead_backup_desk *desk)
{
    stead_message_destroy(&desk->request);
    stead_writer_deinit(&desk->value);
    pthread_mutex_destroy(&desk->lock);
}

static void answer(struct stead_backup_desk *desk)
{
    struct stead_answer_error error = {.sentence = desk->sentence[0] != 0 ? desk->sentence : NULL};
    struct stead_event event = {
        .type = STEAD_EVENT_ANSWER,
        .pointer = stead_message_answer(desk->request, desk->code, &error, stead_written(&desk->value))};

    stead_inbox_post(desk->inbox, &event);
}

int stead_backup_desk_take(struct stead_backup_desk *desk, const struct stead_message *request,
                           struct stead_inbox *inbox)
{
    pthread_mutex_lock(&desk->lock);
    bool same = desk->request != NULL && stead_id_equal(desk->request->id, request->id);
    int code = same ? STEAD_EINUSE : desk->runs ? STEAD_EBUSY : 0;
    if (code != STEAD_EBUSY) { /* the newest copy knows the way back */
        stead_message_destroy(&desk->request);
        desk->request = stead_message_copy(request);
        desk->inbox = inbox;
    }
    if (same && !desk->runs)
        answer(desk);
    desk->runs = desk->runs || code == 0;
    pthread_mutex_unlock(&desk->lock);
    return code;
}

void stead_backup_desk_end(struct stead_backup_desk *desk, int code, const char *sentence, struct stead_slice value)
{
    pthread_mutex_lock(&desk->lock);
    desk->runs = false;
    desk->code = code;
    snprintf(desk->sentence, sizeof desk->sentence, "%s", sentence);
    stead_writer_reset(&desk->value);
    stead_write_raw(&desk->value, value.data, value.size);
    answer(desk);
    pthread_mutex_unlock(&desk->lock);
}
