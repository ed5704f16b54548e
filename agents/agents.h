/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agents: the kinds and orchestrators that ship with stead. They are written against include/ alone, like anybody's;
 * the node adds these lists to its registry before the modules. Static data; any thread.
 */
#ifndef STEAD_AGENTS_AGENTS_H
#define STEAD_AGENTS_AGENTS_H

#include "stead/orchestration.h"

/* A member of a group that elects a leader by the bully algorithm (election.c). */
extern const struct stead_kind stead_election_member_kind;
/* The two halves of a rank of a group that agrees on a log by multi-Paxos (consensus.h). */
extern const struct stead_kind stead_consensus_member_kind;
extern const struct stead_kind stead_consensus_proposer_kind;

/* One instance of an orchestration on the direct fabric (orchestrator.c). */
extern const struct stead_kind stead_orchestration_kind;

/* A queue of a task hub (hub_queue.c). */
extern const struct stead_kind stead_hub_queue_kind;
/* History and instances of a partition of a task hub (hub_table.c). */
extern const struct stead_kind stead_hub_table_kind;
/* Settings and leases of a task hub (hub.c), and one of its workers (hub_worker.c). */
extern const struct stead_kind stead_hub_kind;
extern const struct stead_kind stead_hub_worker_kind;

/* Ended by a NULL. */
extern const struct stead_kind *const stead_builtin_kinds[];
/* Ended by a NULL. */
extern const struct stead_orchestrator *const stead_builtin_orchestrators[];
/* What `stead bench` measures with; the nodes that it starts have them too. Ended by a NULL. */
extern const struct stead_kind *const stead_bench_kinds[];
/* And the orchestrations that it runs. Ended by a NULL. */
extern const struct stead_orchestrator *const stead_bench_orchestrators[];

#endif
