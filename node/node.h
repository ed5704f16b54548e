/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: one process of a cluster: the shell around the pure core.
 *
 * It locks and opens the data folder, registers with the coordinator, claims the shards that are this node's, recovers
 * and serves them on its reactors until SIGTERM, SIGINT or config.stop_fd asks it to stop, and closes everything in
 * order. Lines about what it does go to stderr (node/log.h).
 *
 * Threads: the caller's becomes the control thread (coordinator, table, heartbeat, signals); SIGTERM and SIGINT are
 * blocked in it and in all that it starts.
 */
#ifndef STEAD_NODE_NODE_H
#define STEAD_NODE_NODE_H

#include "node/config.h"

/* Runs a node until it is asked to stop. `config` is checked here and changed only by that check; borrowed.
 *   0                  a clean stop: everything acknowledged is in the store
 *   STEAD_EARGUMENT    a setting, a module or a kind is wrong
 *   STEAD_EINUSE       the folder is open in another process, a port is taken, or the name is another node's
 *   STEAD_EVERSION, STEAD_ECORRUPT, STEAD_EIO   the folder cannot be served
 *   STEAD_EUNAVAILABLE the coordinator could not be reached or started
 * The sentence was logged. A write or sync that fails while serving ends the process at once, with exit status 1 and a
 * line that says why: nothing may be promised or written after it. */
int stead_node_run(struct stead_node_config *config) STEAD_MUST_USE;

#endif
