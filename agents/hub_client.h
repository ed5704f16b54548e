/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_client: a task hub from outside, over stead/client.h alone: making one, calling agents through it, and what
 * stead/orchestration_client.h does with a hub in its options. A client reads a hub's settings once and keeps them.
 *
 * Threads and ownership as in client.h. Inside a completion only stead_hub_instance_run_async() may be used, and of a
 * hub that the client has used before.
 */
#ifndef STEAD_AGENTS_HUB_CLIENT_H
#define STEAD_AGENTS_HUB_CLIENT_H

#include "agents/hub_settings.h"

/* The hub that is made when it is first used. */
#define STEAD_HUB_DEFAULT "main"

/* Makes a hub, unless there is one of this name; `settings` is a map of hub_settings.h (empty: all defaults). Tags that
 * it does not name are chosen: queues and tables on shards that run no workers; `apart`: on a node that runs none
 * (STEAD_EUNAVAILABLE: there is only one). `ret_settings` (may be NULL): what it is made of. */
int stead_hub_create(struct stead_client *client, const char *name, struct stead_slice settings, bool apart,
                     struct stead_hub_settings *ret_settings, struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Its settings; borrowed for the client's life. STEAD_ENOTFOUND: there is none (`main` is made then). */
int stead_hub_open(struct stead_client *client, const char *name, const struct stead_hub_settings **ret_settings,
                   struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Ends the workers, and forgets queues, tables and the hub. */
int stead_hub_drop(struct stead_client *client, const char *name, struct stead_answer *ret_answer) STEAD_MUST_USE;

/* Calls an agent over the hub: a message into the control queue of its partition, and one back into a queue of this
 * client's own. The agent carries it out once. `timeout_ms` 0: 30 s. The answer's value is borrowed until the next
 * function of the client. */
int stead_hub_call_agent(struct stead_client *client, const char *hub, const char *address, const char *op,
                         struct stead_slice args, uint32_t timeout_ms, struct stead_answer *ret_answer) STEAD_MUST_USE;

/* As the functions of stead/orchestration_client.h; ids, names and values have been checked; `options->hub` is set. */
int stead_hub_instance_start(struct stead_client *client, const char *id, const char *name, struct stead_slice input,
                             const struct stead_instance_options *options,
                             struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Says of the instance what its table says: an active id is refused. `id` is borrowed by the answer. */
void stead_hub_name_conflict(struct stead_answer *answer, const char *id);
int stead_hub_instance_run_async(struct stead_client *client, const char *id, const char *name,
                                 struct stead_slice input, const struct stead_instance_options *options,
                                 stead_completion_fn *completion, void *context) STEAD_MUST_USE;
/* Forgets an instance that is over; pipelined. */
int stead_hub_instance_purge_async(struct stead_client *client, const char *id,
                                   const struct stead_instance_options *options, stead_completion_fn *completion,
                                   void *context) STEAD_MUST_USE;
/* `ret_answer` (not NULL): its value is the map of stead_instance_read(). */
int stead_hub_instance_wait(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                            struct stead_answer *ret_answer) STEAD_MUST_USE;
int stead_hub_instance_status(struct stead_client *client, const char *id, const struct stead_instance_options *options,
                              struct stead_answer *ret_answer) STEAD_MUST_USE;
/* One page: {events, more}. */
int stead_hub_instance_history(struct stead_client *client, const char *id, uint64_t after,
                               const struct stead_instance_options *options,
                               struct stead_answer *ret_answer) STEAD_MUST_USE;
int stead_hub_instance_raise(struct stead_client *client, const char *id, const char *event, struct stead_slice value,
                             const struct stead_instance_options *options,
                             struct stead_answer *ret_answer) STEAD_MUST_USE;
/* Where it was asked for and has not happened, because the instance has not begun, the answer is {"asked": true}. */
int stead_hub_instance_steer(struct stead_client *client, const char *id, enum stead_instance_action action,
                             const char *reason, const struct stead_instance_options *options,
                             struct stead_answer *ret_answer) STEAD_MUST_USE;
int stead_hub_instance_list(struct stead_client *client, const struct stead_instance_filter *filter,
                            const struct stead_instance_options *options, stead_instance_fn *visit, void *context,
                            bool *ret_more, struct stead_answer *ret_answer) STEAD_MUST_USE;

#endif
