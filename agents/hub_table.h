/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_table: what the two files of the kind `hub.table` share: hub_table.c writes, hub_table_read.c reads. Functions of
 * a turn.
 */
#ifndef STEAD_AGENTS_HUB_TABLE_H
#define STEAD_AGENTS_HUB_TABLE_H

#include "agents/hub.h"
#include "agents/hub_key.h"
#include "agents/hub_waiters.h"

struct stead_hub_table {
    int64_t instances;
    uint64_t creates, writes, purges;
    int64_t retain_ms; /* when the timer `retain` is due; 0: none stands */
    int64_t births;    /* the newest time that was given to an instance: ms, or more where the clock stood or fell */
    /* Not stored. */
    uint64_t reads, polls; /* `read`; `status` and `wait`: since it was loaded */
    struct stead_hub_waiting *waiting;
};

/* The small part of an instance's row. */
struct stead_hub_row {
    uint64_t etag;
    uint64_t first, last; /* numbers of its history rows, last exclusive */
    int64_t purge_ms;     /* 0: not by itself */
    /* name, version, execution, status, created, updated, events, parent, error_name, error_sentence, and what is the
     * worker's own */
    struct stead_slice map;
};

/* Keys: of a row by its sort, of a value (i, o, c), of a history row. */
struct stead_hub_key stead_hub_row_key(uint8_t sort, struct stead_slice id);
struct stead_hub_key stead_hub_value_key(struct stead_slice id, uint8_t which);
struct stead_hub_key stead_hub_history_key(struct stead_slice id, uint64_t number);

/* Decodes a row; borrowed from `value`. STEAD_ECORRUPT. */
int stead_hub_row_read(struct stead_slice value, struct stead_hub_row *ret_row) STEAD_MUST_USE;
/* What there is of that id: an instance, or what one left that was purged lately (stead_hub_row_is_past()).
 * STEAD_ENOTFOUND. */
int stead_hub_row_get(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *ret_row) STEAD_MUST_USE;
/* It has no map: its instance was purged, and its history is the row that hub_past.c made. */
bool stead_hub_row_is_past(const struct stead_hub_row *row);
/* The row of an instance. STEAD_ENOTFOUND. */
int stead_hub_row_find(struct stead_turn *turn, struct stead_slice id, struct stead_hub_row *ret_row) STEAD_MUST_USE;
/* Its status. */
enum stead_instance_status stead_hub_row_status(const struct stead_hub_row *row);
/* The map of stead_instance_read(), in the turn's memory. */
struct stead_slice stead_hub_instance_map(struct stead_turn *turn, struct stead_slice id,
                                          const struct stead_hub_row *row);

/* ---- hub_past.c -------------------------------------------------------------------------------- */

#define STEAD_HUB_ROW_MEMBERS 3u /* of a history row, at most; that of an instance before has one more */

/* Appends the first history row of the next instance of this id: what `old` leaves, which may be nothing; and until
 * when that is of use (ms since 1970). To be asked for before its history is deleted. */
int stead_hub_past_write(struct stead_turn *turn, struct stead_slice id, const struct stead_hub_row *old,
                         struct stead_writer *row, int64_t *ret_until_ms) STEAD_MUST_USE;

/* The id of a request, or the turn's failure. */
int stead_hub_take_id(struct stead_turn *turn, struct stead_slice args, struct stead_slice *ret_id) STEAD_MUST_USE;
/* The failure `bad_argument`. */
int stead_hub_bad(struct stead_turn *turn, const char *what) STEAD_MUST_USE;

/* The ops `read`, `history` and `list`. */
int stead_hub_table_read(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_table_history(struct stead_turn *turn, void *state, struct stead_slice args);
int stead_hub_table_list(struct stead_turn *turn, void *state, struct stead_slice args);

#endif
