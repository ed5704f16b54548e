/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity: who a data folder belongs to: the mark `node` of its store (persist/format.h).
 *
 * The random `token` is made once, before the coordinator is asked: it is what says "the same node" after a restart.
 * Cluster and ids are what the coordinator answered last; a folder is never served in another cluster or under another
 * name. Threads: one, before the reactors start.
 */
#ifndef STEAD_NODE_IDENTITY_H
#define STEAD_NODE_IDENTITY_H

#include "persist/store.h"
#include "runtime/table.h"

struct stead_identity {
    struct stead_id token;   /* random, made with the folder */
    struct stead_id cluster; /* zero: not known yet */
    uint32_t node;           /* id; 0: not known yet */
    uint64_t incarnation;    /* of the last start that was registered */
    char name[STEAD_NODE_NAME_MAX + 1];
};

/* Reads the mark; a folder without one gets it, synced, under `name`. STEAD_ECONFLICT: the folder is another node's;
 * STEAD_ECORRUPT, STEAD_EIO; `ret_why` (STEAD_STORE_SENTENCE_MAX bytes). */
int stead_identity_load(struct stead_store *store, const char *name, struct stead_identity *ret_identity,
                        char *ret_why) STEAD_MUST_USE;
/* Writes it, synced. */
int stead_identity_save(struct stead_store *store, const struct stead_identity *identity) STEAD_MUST_USE;
/* 16 bytes of the system's randomness. */
struct stead_id stead_identity_random(void);

#endif
