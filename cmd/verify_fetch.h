/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_fetch: histories for a dry run: on the direct fabric the rows as they are stored, the first pages of many
 * instances at once; on a hub those of one instance after the other.
 */
#ifndef STEAD_CMD_VERIFY_FETCH_H
#define STEAD_CMD_VERIFY_FETCH_H

#include "cmd/fabric.h"

/* The history of one instance. */
struct stead_verify_fetch {
    char id[STEAD_INSTANCE_ID_MAX + 1];            /* of the instance: the caller's */
    const struct stead_orchestrator *orchestrator; /* the caller's */
    uint32_t execution;                            /* whose history it is */
    bool gone;                /* purged, over or begun anew meanwhile: there is nothing to replay */
    struct stead_writer rows; /* owned */
    uint64_t next[2];         /* where the next page begins; 0: there is none */
    int code;                 /* of the request that was begun */
};

/* Fetches the beginnings of all. 0, or an exit code after complaining. Deinit each `rows` in any case. */
int stead_verify_fetch_begin(const struct stead_fabric *fabric, struct stead_client *client,
                             struct stead_verify_fetch *fetches, uint32_t count);
/* Fetches the rest of one. The same. */
int stead_verify_fetch_rest(const struct stead_fabric *fabric, struct stead_client *client,
                            struct stead_verify_fetch *fetch);

#endif
