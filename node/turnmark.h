/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turnmark: a small mapped file that names the turn in progress of each reactor, and the job in progress of each job
 * thread.
 *
 * When the process dies, the file still says what it was doing; the next start counts that against the message. A
 * message that was being run at so many deaths is set aside as poison (stead_host_suspect()) instead of killing the
 * node for ever. The same marks let the control thread name a turn that runs too long, while it still runs.
 *
 * What ran on the thread that died is blamed alone (node/culprit.h). Where no thread is known to have, every turn in
 * progress is, and no job: of those many run at a time, and for long. Nor is a timer or a hook of an agent then, which
 * is known by the same id whenever it runs, so that deaths from outside would add up (stead_turn_mark.lasting).
 *
 * A clean stop forgets all of it: the next start may have other code, and what is set aside has its chance.
 *
 * Threads: begin and end on the marks' reactor; look from any thread; open and close: one.
 */
#ifndef STEAD_NODE_TURNMARK_H
#define STEAD_NODE_TURNMARK_H

#include "runtime/doors.h"
#include "runtime/table.h"

#define STEAD_TURNMARK_FILE "turns"
#define STEAD_TURNMARK_SUSPECTS_MAX 64u
#define STEAD_TURNMARK_TEXT_SIZE 112u /* "address op", cut, with a zero; a multiple of 8 */
#define STEAD_TURNMARK_WHY_SIZE 256u

struct stead_turnmarks;

/* A message that was in progress when the process died. */
struct stead_turnmark_suspect {
    struct stead_id id;
    uint32_t kills; /* deaths with it in progress */
    uint32_t start; /* number of the start that counted it last */
};

/* Opens or makes the file in `folder`, counts what was in progress, clears the marks. A file that is not one of ours is
 * made anew: it is a help, not a record. STEAD_EIO with `ret_why`. */
int stead_turnmarks_open(const char *folder, struct stead_turnmarks **ret_marks, char *ret_why) STEAD_MUST_USE;
void stead_turnmarks_close(struct stead_turnmarks **marks);

/* Suspects known at the start, the `at`-th; false when there is none. */
bool stead_turnmarks_suspect(const struct stead_turnmarks *marks, uint32_t at,
                             struct stead_turnmark_suspect *ret_suspect);

/* A turn in progress when the process died last, as it is named. */
struct stead_turnmark_death {
    uint32_t kills; /* this one too, if it counts */
    char text[STEAD_TURNMARK_TEXT_SIZE];
};
/* Those that this start has counted, the `at`-th; false when there is none. */
bool stead_turnmarks_death(const struct stead_turnmarks *marks, uint32_t at, struct stead_turnmark_death *ret_death);

/* The reactor's thread is about to end the process, in a turn or not. For a signal handler. */
void stead_turnmarks_turn_blame(struct stead_turnmarks *marks, uint32_t reactor);

/* A job is begun, or over, on a job thread; each has a slot of its own, from 0; those beyond STEAD_TURNMARK_JOBS_MAX
 * are not marked. */
#define STEAD_TURNMARK_JOBS_MAX 1024u
void stead_turnmarks_job_begin(struct stead_turnmarks *marks, uint32_t slot, struct stead_id id);
void stead_turnmarks_job_end(struct stead_turnmarks *marks, uint32_t slot);
/* The job of this slot is about to end the process. For a signal handler. */
void stead_turnmarks_job_blame(struct stead_turnmarks *marks, uint32_t slot);

/* The node stops cleanly: nobody is a suspect at its next start. */
void stead_turnmarks_forget(struct stead_turnmarks *marks);

/* `mark` NULL: the turn is over. */
void stead_turnmarks_set(struct stead_turnmarks *marks, uint32_t reactor, const struct stead_turn_mark *mark);

/* The turn that a reactor runs: its number (another one each turn; 0: none) and "address op" into `ret_text`
 * (STEAD_TURNMARK_TEXT_SIZE bytes), which belongs to that number only when the same number comes back from a second
 * call. */
uint64_t stead_turnmarks_look(const struct stead_turnmarks *marks, uint32_t reactor, char *ret_text);

#endif
