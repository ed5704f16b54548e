/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coordinator_client: a node's way to the coordinator: a contract of five functions, and the one implementation so far
 * (the embedded coordinator over ZeroMQ; etcd is to come behind the same contract).
 *
 *     open -> enrol -> (wait until the table is formed) -> claim -> wait, wait, wait ... -> leave -> close
 *
 * `wait` is the place where a node's control thread lives: it sends the heartbeats, takes the tables that are pushed
 * and reconnects for ever. While the coordinator is down everything that is placed keeps running.
 *
 * Threads: one door, one thread. No locks are held.
 */
#ifndef STEAD_NODE_COORDINATOR_CLIENT_H
#define STEAD_NODE_COORDINATOR_CLIENT_H

#include "runtime/coordinator.h"

#define STEAD_COORDINATOR_FOREVER (-1)

struct stead_coordinator_door {
    void *self; /* first argument of each */

    /* Registers this start of the node; repeated safely. 0, STEAD_ETIMEOUT (nobody answered in `timeout_ms`;
     * STEAD_COORDINATOR_FOREVER waits as long as it takes), or the coordinator's refusal (coordinator.h), with a
     * sentence in `ret_why` (STEAD_COORDINATOR_WHY_SIZE bytes). */
    int (*enrol)(void *self, const struct stead_node_registration *registration, int timeout_ms, uint32_t *ret_node,
                 uint64_t *ret_incarnation, char *ret_why);
    /* Compare-and-swap of all these shards or none. 0: they are this incarnation's, under expected_epoch + 1, whatever
     * happened on the way. STEAD_ECONFLICT: look at the table again. STEAD_ESTATE: another start of this node took
     * over: stop. After STEAD_ETIMEOUT the outcome is unknown: claim the same again. */
    int (*claim)(void *self, const struct stead_shard_claim *claims, uint32_t count, int timeout_ms, char *ret_why);
    /* Waits until there is a table newer than the last one returned (0, returned: release it), `wake_fd` is readable
     * (STEAD_ECANCELLED; -1: none) or `timeout_ms` have passed (STEAD_ETIMEOUT). STEAD_ESTATE: this incarnation was
     * replaced: stop. STEAD_EHISTORY: who answers does not know this node: a coordinator that lost its folder, or
     * another cluster's. */
    int (*wait)(void *self, int wake_fd, int timeout_ms, struct stead_table **ret_table);
    /* A clean stop. Tries once, at most `timeout_ms`. */
    int (*leave)(void *self, int timeout_ms);
    /* Milliseconds that the coordinator's wall clock is ahead of ours, as of the last answer (the least round trip of
     * the latest few counts); 0 before any. */
    int64_t (*clock_offset_ms)(void *self);
    /* Consumed. */
    void (*close)(void *self);
};

struct stead_coordinator_client_options {
    const char
        *endpoint;      /* tcp://127.0.0.1:PORT; NULL: read from the lock file in `folder`, again at every reconnect */
    const char *folder; /* of a coordinator on this machine; or NULL */
    uint32_t beat_ms;   /* between heartbeats; 0: 1,000 */
};

/* Opens the door; connects in the background. Texts are copied. STEAD_EARGUMENT, STEAD_EIO. */
int stead_coordinator_client_open(const struct stead_coordinator_client_options *options,
                                  struct stead_coordinator_door *ret_door) STEAD_MUST_USE;

/* Reads the newest table without registering, for `stead cluster status`. STEAD_ETIMEOUT: nobody answered. Returned:
 * release it. */
int stead_coordinator_client_fetch(const struct stead_coordinator_client_options *options, int timeout_ms,
                                   struct stead_table **ret_table) STEAD_MUST_USE;

/* Appends all that the coordinator has stored to `ret_rows`, as mutations (runtime/entry.h): written into an empty
 * store they are that coordinator. For a backup. STEAD_ETIMEOUT: nobody answered. */
int stead_coordinator_client_rows(const struct stead_coordinator_client_options *options, int timeout_ms,
                                  struct stead_writer *ret_rows) STEAD_MUST_USE;

#endif
