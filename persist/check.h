/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: reads a whole store and says what does not add up: for `stead check`, and for tests after a crash.
 *
 * Looked at: every log entry decodes, is where its key says, and follows its predecessor; nothing between the applied
 * mark and the log's end is missing; clocks and epochs never fall; every row key parses and lies in its place; indexes
 * agree with what they index (a due timer has its part, a part has its agent, an outbox record its channel). The image
 * is checked as it will be after recovery: the log after the applied mark is applied over it, in memory.
 */
#ifndef STEAD_PERSIST_CHECK_H
#define STEAD_PERSIST_CHECK_H

#include "persist/store.h"

struct stead_check_counts {
    uint64_t shards;  /* that have a log or an applied mark */
    uint64_t entries; /* log entries */
    uint64_t entry_bytes;
    uint64_t turns;    /* turn records in them */
    uint64_t replayed; /* entries after the applied marks */
    uint64_t rows;     /* rows of the image after recovery */
    uint64_t row_bytes;
    uint64_t agents;   /* AGENT rows among them */
    uint64_t timers;   /* TIMER_DUE rows among them */
    uint64_t outbox;   /* OUTBOX rows among them */
    uint64_t findings; /* reported or not */
};

/* One thing that does not add up; `where` names the shard and index, or the row, `what` is a sentence. */
typedef void stead_check_finding_fn(void *context, const char *where, const char *what);

/* Reads everything. Reports the first `findings_max` findings. 0 also with findings: look at ret_counts->findings.
 * STEAD_EIO, STEAD_ECORRUPT when the store itself cannot be read on. Any thread; the store should not be written
 * meanwhile. */
int stead_check_run(struct stead_store *store, uint32_t findings_max, stead_check_finding_fn *finding, void *context,
                    struct stead_check_counts *ret_counts) STEAD_MUST_USE;

#endif
