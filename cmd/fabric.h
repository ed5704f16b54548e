/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric: what the subcommands about orchestrations have in common: the options --fabric and --hub, the words ID and so
 * on, and looking for an instance on one fabric and then on the other.
 *
 *     static const struct argp_child children[] = {{&stead_fabric_argp, 0, NULL, 0}, {0}};
 *     case ARGP_KEY_INIT: state->child_inputs[0] = &options->fabric;
 */
#ifndef STEAD_CMD_FABRIC_H
#define STEAD_CMD_FABRIC_H

#include "cmd/connect.h"
#include "stead/orchestration_client.h"

#define STEAD_FABRIC_HUB "main" /* the hub that is meant when nobody names one */

struct stead_fabric {
    struct stead_connect connect; /* --node, --timeout, --json */
    const char *hub;              /* the hub that is meant; NULL: the direct fabric; borrowed from argv */
    bool chosen;                  /* by --fabric or --hub: nothing is looked for elsewhere */
    bool direct;                  /* by --fabric direct */
};

/* The options above and those of connect; its input is a struct stead_fabric. */
extern const struct argp stead_fabric_argp;

/* One request about an instance, on the fabric that `options` says: as the functions of orchestration_client.h. */
typedef int stead_fabric_ask_fn(void *context, struct stead_client *client,
                                const struct stead_instance_options *options, struct stead_answer *ret_answer);

/* Asks on the fabric that the command line names; when it names none, on the direct one, and in hub "main" when there
 * is no such instance there. `fabric->hub` is then where it was found. 0, or an exit code after complaining; an id that
 * nobody knows is complained of with the nearest one that is known. */
int stead_fabric_ask(struct stead_fabric *fabric, struct stead_client *client, const char *id, stead_fabric_ask_fn *ask,
                     void *context);

/* Complains unless `id` can be an instance's; true when it can. */
bool stead_fabric_check_id(const char *id);

#endif
