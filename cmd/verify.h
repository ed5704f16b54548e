/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: the dry run of new code: `stead orchestrations verify`. Every live instance of the orchestrators in the given
 * modules is replayed against them, here, without effects.
 */
#ifndef STEAD_CMD_VERIFY_H
#define STEAD_CMD_VERIFY_H

#include "cmd/fabric.h"

#define STEAD_VERIFY_MODULES_MAX 64u

struct stead_verify {
    const struct stead_fabric *fabric;          /* where the instances are */
    const struct stead_instance_filter *filter; /* which of them: name, status, id_prefix, from_ms, to_ms */
    const char *const *modules;                 /* paths of the new code */
    uint32_t module_count;
    uint64_t sample; /* at most so many of each name; 0: all */
};

/* Replays, and prints who would break. STEAD_EXIT_DONE: nobody; STEAD_EXIT_FAILED: somebody, or it could not be found
 * out; others as ever. */
int stead_verify(const struct stead_verify *verify, struct stead_client *client);

#endif
