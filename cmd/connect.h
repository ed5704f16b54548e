/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect: what the subcommands that talk to a cluster have in common: the options --node, --timeout and --json,
 * opening a client, asking a query, and telling a failure (which agent, which op, what to do now) with its exit code.
 *
 *     static const struct argp_child children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
 *     case ARGP_KEY_INIT: state->child_inputs[0] = &options->connect;
 */
#ifndef STEAD_CMD_CONNECT_H
#define STEAD_CMD_CONNECT_H

#include <argp.h>
#include <jansson.h>

#include "cmd/cmd.h"
#include "stead/client.h"

struct stead_connect {
    const char *endpoints; /* --node; NULL: $STEAD_NODE, else the default; borrowed from argv */
    uint32_t timeout_ms;   /* --timeout; 0: 30 s */
    bool json;             /* --json: for programs */
    bool goes_on;          /* nobody is told that no node answered: the command goes on */
};

/* The command line of a command that takes one word (`name`, as ADDRESS) and the options above, and nothing else.
 * `question` is what it says when the word is missing. False: a wrong line, told already. The word is borrowed from
 * argv. */
bool stead_connect_parse_one(int argc, char **argv, const char *name, const char *question, const char *doc,
                             struct stead_connect *ret_connect, const char **ret_word);

/* The options above; its input is a struct stead_connect. */
extern const struct argp stead_connect_argp;

/* Where the client will look. Borrowed. */
const char *stead_connect_endpoints(const struct stead_connect *connect);

/* Opens a client; 0, or an exit code after complaining. Returned: close it. */
int stead_connect_open(const struct stead_connect *connect, struct stead_client **ret_client);

/* An answer with no failure and no value: what an answer must be before a function of the client may fail without
 * filling it in. */
struct stead_answer stead_connect_no_answer(void);

/* Tells why a request failed: on stderr, and with --json as a document {"error": {...}} on stdout. `answer` may be
 * NULL. The exit code. Uses no function of the client, so the answer is still good. */
int stead_connect_failed(const struct stead_connect *connect, int code, const struct stead_answer *answer);

/* Breaks the hold that an agent is in now, and no later one, however often the request travels; tells whose it was,
 * behind `said`. 0, or an exit code after complaining. In unlock.c. */
int stead_cmd_break_hold(const struct stead_connect *connect, struct stead_client *client, const char *address,
                         const char *said);

/* Asks a query whose arguments were packed by stead_pack()'s format, and takes the answer as a tree (returned:
 * json_decref()). 0, or an exit code after complaining (with `goes_on` not that no node answers, nor in time). */
int stead_connect_query(const struct stead_connect *connect, struct stead_client *client, const char *query,
                        json_t **ret_answer, const char *format, ...);

/* Complains unless `address` is well-formed; true when it is. */
bool stead_connect_check_address(const char *address);

/* ---- Reading answers: a member that is missing or of another type reads as nothing ----------- */

const char *stead_json_member_text(const json_t *map, const char *name); /* "" */
int64_t stead_json_member_int(const json_t *map, const char *name);      /* 0 */
bool stead_json_member_bool(const json_t *map, const char *name);        /* false */

/* Prints the tree and a line end on stdout. */
void stead_json_print(const json_t *json, unsigned indent);

#endif
