/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain: the one place where effects become deeds.
 *
 * The order is the promise: persist, replicate, then speak (send, answer, jobs), then arm the timer. The core puts an
 * output here only when what it depends on is committed, so speaking after persisting is not what keeps "nobody is told
 * of anything that a crash can take back"; it keeps the disk busy first, and makes every trace of a run readable in one
 * order. The node and the simulator run this same function over their own doors.
 */
#include "runtime/effects.h"

#include <stdlib.h>

static void drain_persist(struct stead_effects *effects, const struct stead_doors *doors)
{
    for (uint32_t i = 0; i < effects->appends.count; i++) {
        struct stead_effect_append *append = &effects->appends.items[i];
        doors->append(doors->self, append->shard, append->index, &append->entry);
    }
    for (uint32_t i = 0; i < effects->rows.count; i++) {
        struct stead_effect_rows *rows = &effects->rows.items[i];
        doors->write_rows(doors->self, rows->shard, rows->applied, &rows->mutations);
    }
    for (uint32_t i = 0; i < effects->trims.count; i++)
        doors->trim_log(doors->self, effects->trims.items[i].shard, effects->trims.items[i].index);
    effects->appends.count = effects->rows.count = effects->trims.count = 0;

    while (effects->loads != NULL) {
        struct stead_load *load = effects->loads;
        effects->loads = load->next;
        load->next = NULL;
        doors->load(doors->self, load);
    }
    effects->loads_tail = NULL;
}

static void drain_speak(struct stead_effects *effects, const struct stead_doors *doors)
{
    struct stead_message *answer;

    for (uint32_t i = 0; i < effects->sends.count; i++) {
        struct stead_effect_send *send = &effects->sends.items[i];
        doors->send(doors->self, send->node, send->reactor, &send->message);
    }
    while ((answer = stead_queue_pop(&effects->answers)) != NULL)
        doors->answer(doors->self, &answer);
    for (uint32_t i = 0; i < effects->jobs.count; i++) {
        struct stead_effect_job *job = &effects->jobs.items[i];
        doors->run_job(doors->self, job->kind, job->op, &job->request);
    }
    for (uint32_t i = 0; i < effects->cancels.count; i++)
        doors->cancel_job(doors->self, effects->cancels.items[i]);
    effects->sends.count = effects->jobs.count = effects->cancels.count = 0;
}

void stead_drain(struct stead_effects *effects, const struct stead_doors *doors)
{
    drain_persist(effects, doors);
    drain_speak(effects, doors);
    if (effects->deadline_ns != UINT64_MAX)
        doors->arm(doors->self, effects->deadline_ns);
    effects->deadline_ns = UINT64_MAX;
}

bool stead_effects_empty(const struct stead_effects *effects)
{
    return effects->appends.count == 0 && effects->rows.count == 0 && effects->sends.count == 0 &&
           effects->jobs.count == 0 && effects->cancels.count == 0 && effects->loads == NULL &&
           effects->answers.count == 0;
}

void stead_effects_deinit(struct stead_effects *effects)
{
    for (uint32_t i = 0; i < effects->appends.count; i++)
        stead_writer_deinit(&effects->appends.items[i].entry);
    for (uint32_t i = 0; i < effects->rows.count; i++)
        stead_writer_deinit(&effects->rows.items[i].mutations);
    for (uint32_t i = 0; i < effects->sends.count; i++)
        stead_message_destroy(&effects->sends.items[i].message);
    for (uint32_t i = 0; i < effects->jobs.count; i++)
        stead_message_destroy(&effects->jobs.items[i].request);
    while (effects->loads != NULL) {
        struct stead_load *load = effects->loads;
        effects->loads = load->next;
        stead_load_destroy(&load);
    }
    stead_queue_clear(&effects->answers);
    free(effects->appends.items);
    free(effects->rows.items);
    free(effects->trims.items);
    free(effects->sends.items);
    free(effects->jobs.items);
    free(effects->cancels.items);
    *effects = (struct stead_effects){.deadline_ns = UINT64_MAX};
}

void stead_load_destroy(struct stead_load **load)
{
    if (*load == NULL)
        return;
    stead_writer_deinit(&(*load)->from);
    stead_writer_deinit(&(*load)->to);
    stead_writer_deinit(&(*load)->ret_rows);
    free(*load);
    *load = NULL;
}
