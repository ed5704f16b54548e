/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stead unlock: breaks the hold on an agent, for when its holder is gone for good. The fencing number protects what the
 * old holder may still do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/connect.h"
#include "cmd/print.h"

static const char doc[] =
    "Breaks the hold of whoever holds an agent; the messages that waited run.\n"
    "\n"
    "The old holder's fencing number is refused from then on. `stead show ADDRESS` names the holder.\v"
    "Examples:\n"
    "  stead unlock stock/paint";

int stead_cmd_unlock(int argc, char **argv)
{
    struct stead_connect connect = {0};
    const char *address = NULL;
    struct stead_client *client = NULL;
    json_t *answer = NULL;

    if (!stead_connect_parse_one(argc, argv, "ADDRESS", "which agent? Write its ADDRESS", doc, &connect, &address) ||
        !stead_connect_check_address(address))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_connect_query(&connect, client, "unlock", &answer, "{s:s}", "address", address);
    if (status == STEAD_EXIT_DONE && connect.json) {
        stead_json_print(answer, 0);
    } else if (status == STEAD_EXIT_DONE) {
        char *holder = stead_print_safe(stead_str(stead_json_member_text(answer, "holder")));
        printf("%s was held by %s, fence %lld\n", address, holder, (long long)stead_json_member_int(answer, "fence"));
        free(holder);
    }
    json_decref(answer);
    stead_client_close(&client);
    return status;
}
