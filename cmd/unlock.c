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

int stead_cmd_break_hold(const struct stead_connect *connect, struct stead_client *client, const char *address,
                         const char *said)
{
    json_t *shown = NULL, *answer = NULL;
    int status = stead_connect_query(connect, client, "show", &shown, "{s:s}", "address", address);
    const json_t *lock = json_object_get(shown, "lock");

    if (status == STEAD_EXIT_DONE && json_is_object(lock))
        status = stead_connect_query(connect, client, "unlock", &answer, "{s:s,s:u}", "address", address, "fence",
                                     (uint64_t)stead_json_member_int(lock, "fence"));
    else if (status == STEAD_EXIT_DONE) /* the node says that nobody holds it */
        status = stead_connect_query(connect, client, "unlock", &answer, "{s:s}", "address", address);
    if (status == STEAD_EXIT_DONE) {
        const json_t *broken = json_is_object(lock) ? lock : answer;
        char *holder = stead_print_safe(stead_str(stead_json_member_text(broken, "holder")));
        long long fence = (long long)stead_json_member_int(broken, "fence");
        if (connect->json) {
            json_t *told = json_pack("{s:s,s:I}", "holder", holder, "fence", (json_int_t)fence);
            stead_json_print(told, 0);
            json_decref(told);
        } else {
            printf("%s%s was held by %s, fence %lld\n", said, address, holder, fence);
        }
        free(holder);
    }
    json_decref(shown);
    json_decref(answer);
    return status;
}

int stead_cmd_unlock(int argc, char **argv)
{
    struct stead_connect connect = {0};
    const char *address = NULL;
    struct stead_client *client = NULL;

    if (!stead_connect_parse_one(argc, argv, "ADDRESS", "which agent? Write its ADDRESS", doc, &connect, &address) ||
        !stead_connect_check_address(address))
        return STEAD_EXIT_USAGE;
    int status = stead_connect_open(&connect, &client);
    if (status == STEAD_EXIT_DONE)
        status = stead_cmd_break_hold(&connect, client, address, "");
    stead_client_close(&client);
    return status;
}
