/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_replay: replays stored histories against code that may break, in child processes: what the code does to its
 * process, the caller's survives. A child takes cases one after the other until it dies; the next goes on behind the
 * case that killed it.
 *
 * Called by `stead orchestrations verify` and its test; from the main thread.
 */
#ifndef STEAD_CMD_VERIFY_REPLAY_H
#define STEAD_CMD_VERIFY_REPLAY_H

#include "stead/orchestration_client.h"

#define STEAD_VERIFY_SENTENCE_SIZE 512u /* bytes, with the zero */
#define STEAD_VERIFY_CASES_MAX 1024u    /* of one batch */

/* One history and the code that is to go through it. */
struct stead_verify_case {
    const struct stead_orchestrator *orchestrator; /* borrowed */
    const char *instance;                          /* id; borrowed */
    uint32_t execution;
    struct stead_slice rows; /* as they are stored (agents/history.h), one behind the other; borrowed */
};

/* What came of it. */
struct stead_verify_outcome {
    /* 0: goes on as it did. STEAD_ECONFLICT: decides otherwise; STEAD_EINTERNAL: kills its process or never comes back;
     * others: the history cannot be read */
    int32_t code;
    uint64_t event;  /* that did not fit, or at which the process died */
    uint64_t events; /* replayed */
    char sentence[STEAD_VERIFY_SENTENCE_SIZE];
};

/* Replays all cases; each may take `seconds`: code that takes longer is taken for a loop without end. 0; STEAD_EIO: no
 * process or no memory for one to be had. Flushes stdout and stderr; what the code writes on stdout goes to stderr. */
int stead_verify_replay(const struct stead_verify_case *cases, uint32_t count, uint32_t seconds,
                        struct stead_verify_outcome *ret_outcomes) STEAD_MUST_USE;

#endif
