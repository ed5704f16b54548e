/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agents: the lists of what is built in. A kind is in it when every node should have it without being asked; everything
 * else is a module.
 */
#include "agents/agents.h"

const struct stead_kind *const stead_builtin_kinds[] = {&stead_election_member_kind,
                                                        &stead_consensus_member_kind,
                                                        &stead_consensus_proposer_kind,
                                                        &stead_hub_kind,
                                                        &stead_hub_queue_kind,
                                                        &stead_hub_table_kind,
                                                        &stead_hub_worker_kind,
                                                        &stead_orchestration_kind,
                                                        NULL};

const struct stead_orchestrator *const stead_builtin_orchestrators[] = {NULL};
