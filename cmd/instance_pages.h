/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_pages: a list of instances in pages that are held while something is asked about each: a visit of
 * stead_instance_list() may not use its client.
 *
 *     while (status == STEAD_EXIT_DONE && stead_instance_pages_next(&pages, client, &instance, &status))
 *         ...
 */
#ifndef STEAD_CMD_INSTANCE_PAGES_H
#define STEAD_CMD_INSTANCE_PAGES_H

#include "cmd/fabric.h"

#define STEAD_INSTANCE_PAGE 1000u /* instances asked for at once */

/* The parts of an instance that a page keeps. */
struct stead_paged_instance {
    char id[STEAD_INSTANCE_ID_MAX + 1];
    char name[STEAD_KIND_NAME_MAX + 1];
    enum stead_instance_status status;
    uint32_t version;
    int64_t updated_ms;
};

struct stead_instance_pages {
    const struct stead_fabric *fabric;     /* where; borrowed */
    struct stead_instance_filter filter;   /* which; `after` and `limit` are this module's */
    struct stead_paged_instance *items;    /* the page; owned */
    uint32_t count, index;                 /* of the page; of the next one in it */
    bool more;                             /* there may be another page */
    char after[STEAD_INSTANCE_ID_MAX + 1]; /* id that the last page ended with */
};

/* Begins before the first. Texts of `filter` are borrowed for the pages' life. */
void stead_instance_pages_init(struct stead_instance_pages *pages, const struct stead_fabric *fabric,
                               const struct stead_instance_filter *filter);
/* Frees the page. */
void stead_instance_pages_deinit(struct stead_instance_pages *pages);
/* The next instance, borrowed until the next call; NULL at the end, or after a failure that was complained of:
 * `*ret_status` is its exit code then. */
const struct stead_paged_instance *stead_instance_pages_next(struct stead_instance_pages *pages,
                                                             struct stead_client *client, int *ret_status);

#endif
