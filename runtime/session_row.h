/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_row: what a session knows of its numbers, and the row that keeps it: docs/FORMATS.md, SESSION.
 *
 * Used by session.c. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_SESSION_ROW_H
#define STEAD_RUNTIME_SESSION_ROW_H

#include "runtime/session.h"

#define STEAD_SESSION_ROW_HEAD 21u /* bytes: version, start, mark, count */

/* Position of the first request whose number is >= `number`. */
uint32_t stead_session_bound(const struct stead_session *session, uint64_t number);
/* The request of that number; NULL. */
struct stead_request *stead_session_find(const struct stead_session *session, uint64_t number);
/* The same, added where there is none. */
struct stead_request *stead_session_need(struct stead_session *session, uint64_t number);
/* Position of the first open number >= `number`. */
uint32_t stead_session_open_bound(const struct stead_session *session, uint64_t number);
/* The client has said that it will not ask for this number again. */
bool stead_session_has_ended(const struct stead_session *session, uint64_t number);
/* The same, for order.h. */
bool stead_session_is_over(const void *session, uint64_t number);

/* The row's value, into an empty writer. */
void stead_session_row_write(const struct stead_session *session, struct stead_writer *writer);
/* Fills an empty session. 0; STEAD_ECORRUPT: it is to be thrown away. */
int stead_session_row_read(struct stead_session *session, struct stead_slice row);

#endif
