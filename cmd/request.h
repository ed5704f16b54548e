/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: what `stead call`, `signal` and `tell` share: ADDRESS OP [JSON], the options of a request, sending it.
 */
#ifndef STEAD_CMD_REQUEST_H
#define STEAD_CMD_REQUEST_H

#include "cmd/connect.h"

struct stead_request {
    struct stead_connect connect;         /* --node, --timeout, --json */
    const char *address, *op, *json;      /* the command's arguments; json NULL: none given */
    struct stead_request_options options; /* --key, --class, --delay, --fence */
    struct stead_writer args;             /* the argument as msgpack; owned */
};

/* The options of a request (--key, --class, --fence); its input is a struct stead_request. It has stead_connect_argp
 * inside. */
extern const struct argp stead_request_argp;

/* Takes ADDRESS OP [JSON] for a parser whose input is a struct stead_request: call it for every key the parser does not
 * know. */
error_t stead_request_parse_words(struct stead_request *request, int key, char *arg, struct argp_state *state);

/* Moves words that are negative numbers behind a "--", so that `stead call counter/a add -5` does not read as an
 * option; but for those that an option of `argp`, or of its children, takes. `ret_argv` has room for argc + 2 pointers.
 * The new argc. */
int stead_request_guard_numbers(const struct argp *argp, int argc, char **argv, char **ret_argv);

/* Parses the command line into `*request` with `argp`, and the JSON argument. 0, or an exit code after complaining;
 * ends the process for --help and for what argp refuses. */
int stead_request_parse(const struct argp *argp, int argc, char **argv, struct stead_request *request);

/* The kind or the op is unknown: asks the cluster for those it has, and hints at the nearest. */
void stead_request_hint(const struct stead_request *request, struct stead_client *client, int code);

#endif
