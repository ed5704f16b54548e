/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_pages: a page is fetched when the one before it is used up, from behind its last id. So instances that
 * vanish or appear meanwhile disturb nothing: each that is there all the time is met once.
 */
#include "cmd/instance_pages.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

void stead_instance_pages_init(struct stead_instance_pages *pages, const struct stead_fabric *fabric,
                               const struct stead_instance_filter *filter)
{
    memset(pages, 0, sizeof(*pages));
    pages->fabric = fabric;
    pages->filter = *filter;
    pages->filter.limit = STEAD_INSTANCE_PAGE;
    pages->items = stead_alloc(STEAD_INSTANCE_PAGE * sizeof(*pages->items));
    pages->more = true;
}

void stead_instance_pages_deinit(struct stead_instance_pages *pages)
{
    free(pages->items);
    pages->items = NULL;
}

static int keep(void *context, const struct stead_instance *instance)
{
    struct stead_instance_pages *pages = context;
    struct stead_paged_instance *item = &pages->items[pages->count];

    memcpy(item->id, instance->id, sizeof(item->id));
    memcpy(item->name, instance->name, sizeof(item->name));
    item->status = instance->status;
    item->version = instance->version;
    item->updated_ms = instance->updated_ms;
    return ++pages->count == STEAD_INSTANCE_PAGE;
}

const struct stead_paged_instance *stead_instance_pages_next(struct stead_instance_pages *pages,
                                                             struct stead_client *client, int *ret_status)
{
    const struct stead_instance_options options = {.hub = pages->fabric->hub};
    struct stead_answer answer = stead_connect_no_answer();

    if (pages->index == pages->count && pages->more) {
        pages->index = pages->count = 0;
        pages->filter.after = pages->after;
        int code = stead_instance_list(client, &pages->filter, &options, keep, pages, &pages->more, &answer);
        if (code != 0) {
            *ret_status = stead_connect_failed(&pages->fabric->connect, code, &answer);
            pages->more = false;
            return NULL;
        }
        if (pages->count > 0)
            memcpy(pages->after, pages->items[pages->count - 1].id, sizeof(pages->after));
        pages->more = pages->more && pages->count > 0;
    }
    return pages->index < pages->count ? &pages->items[pages->index++] : NULL;
}
