/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forgotten: a hash table and a list by time of the same few bytes a session.
 */
#include "runtime/forgotten.h"

static struct stead_forgotten *find(const struct stead_forgotten_list *list, stead_slot slot, struct stead_id id,
                                    uint64_t hash)
{
    struct stead_forgotten *it;
    uint32_t at;

    for (it = stead_map_first(&list->sessions, hash, &at); it != NULL; it = stead_map_next(&list->sessions, hash, &at))
        if (it->slot.v == slot.v && stead_id_equal(it->id, id))
            return it;
    return NULL;
}

uint64_t stead_forgotten_number(const struct stead_forgotten_list *list, stead_slot slot, struct stead_id id,
                                uint64_t hash)
{
    const struct stead_forgotten *it = find(list, slot, id, hash);
    return it == NULL ? 0 : it->number;
}

static void drop_oldest(struct stead_forgotten_list *list)
{
    struct stead_forgotten *oldest = list->head;

    list->head = oldest->next;
    if (list->head == NULL)
        list->tail = NULL;
    stead_map_remove(&list->sessions, oldest->hash, oldest);
    free(oldest);
}

void stead_forgotten_put(struct stead_forgotten_list *list, const struct stead_forgotten *session)
{
    struct stead_forgotten *it = find(list, session->slot, session->id, session->hash);

    if (it != NULL) {
        it->number = session->number;
        return;
    }
    if (list->sessions.count == STEAD_FORGOTTEN_MAX)
        drop_oldest(list);
    it = stead_alloc(sizeof(*it));
    *it = *session;
    it->next = NULL;
    stead_map_add(&list->sessions, it->hash, it);
    if (list->tail != NULL)
        list->tail->next = it;
    else
        list->head = it;
    list->tail = it;
}

void stead_forgotten_sweep(struct stead_forgotten_list *list, uint64_t now_ms)
{
    while (list->head != NULL && list->head->until_ms <= now_ms)
        drop_oldest(list);
}

uint64_t stead_forgotten_bytes(const struct stead_forgotten_list *list)
{
    return list->sessions.count * sizeof(struct stead_forgotten);
}

void stead_forgotten_deinit(struct stead_forgotten_list *list)
{
    while (list->head != NULL)
        drop_oldest(list);
    stead_map_deinit(&list->sessions);
}
