/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work_upgrade: what the two files of the workload `upgrade` share: the kinds (work_upgrade_kinds.c), and who has which
 * version of them, the requests and what must be true (work_upgrade.c).
 */
#ifndef STEAD_SIM_WORK_UPGRADE_H
#define STEAD_SIM_WORK_UPGRADE_H

#include "tests/sim/work.h"

/* Versions of the kind `tally`. All but the last two can read what those before them store, and PLAIN and WIDER each
 * other's. */
enum stead_tally_version {
    STEAD_TALLY_PLAIN,  /* {count (i32), last (i64)} */
    STEAD_TALLY_WIDER,  /* {count (i64), newest (was `last`), check}: a field wider, one renamed, one new */
    STEAD_TALLY_EVENTS, /* the same of events `counted` */
    STEAD_TALLY_NEWEST, /* of events `tallied`, which the version before does not know */
    STEAD_TALLY_NARROW, /* `last` is an i32: reads only what it has stored itself */
    STEAD_TALLY_ABSENT, /* the node has not loaded the kind */
    STEAD_TALLY_VERSIONS
};

#define STEAD_UPGRADE_LETTER 'u' /* agents are KIND/{u0} and so on: those of one number share a slot */

/* `lame`: without the op `extra`. NULL: STEAD_TALLY_ABSENT. */
const struct stead_kind *stead_tally_kind(enum stead_tally_version version, bool lame);
/* Asks tallies, and is asked by them; the same in all versions. */
extern const struct stead_kind stead_quizzer_kind;

/* How a quizzer asks. */
enum {
    STEAD_ASK_CALL,
    STEAD_ASK_CALL_SHORT, /* does not wait for long */
    STEAD_ASK_CALL_EXTRA,
    STEAD_ASK_SIGNAL,
    STEAD_ASK_SIGNAL_EXTRA,
    STEAD_ASKS
};
/* What a quizzer notes of a call that has ended: it was run, it was answered that it cannot be, or nobody
 * knows. */
enum { STEAD_ASK_RAN = 1, STEAD_ASK_NOT_RUN, STEAD_ASK_TIMED_OUT };

/* The version that the node of this agent has. */
enum stead_tally_version stead_tally_version_of(const char *address);

#endif
