/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup: the queries `hold` and `backup` (docs/OPERATIONS.md): this node's copy, of one moment with those of the
 * others.
 *
 * Used by: queries.c. On the reactor's thread, but for the copying itself.
 */
#ifndef STEAD_NODE_BACKUP_H
#define STEAD_NODE_BACKUP_H

#include "node/reactor_parts.h"

/* Inside the data folder: a copy that is being made. */
#define STEAD_BACKUP_STAGING_FOLDER "copy"

/* A query `hold` (borrowed) came. True: every reactor is to be asked to hold; false: it was answered. */
bool stead_backup_begin_hold(struct stead_reactor *reactor, const struct stead_message *request);
/* This reactor's copy of it (borrowed): holds. */
void stead_backup_hold_here(struct stead_reactor *reactor, const struct stead_message *copy);
/* The node's answer: it holds, or `why` it does not. */
void stead_backup_write_held(const struct stead_shell *shell, const char *why, struct stead_writer *value);
/* A query `backup` (borrowed) came: answered when the copy is there, however often it is asked again meanwhile. */
void stead_backup_start(struct stead_reactor *reactor, const struct stead_message *request);

#endif
