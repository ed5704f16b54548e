/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric: ids are unique in their fabric, so an id alone may mean two instances. Whoever names no fabric means the
 * direct one, and a hub only when nothing of that id is there. Where an instance was found is remembered in `hub`, so
 * that a command that asks several times asks at one place.
 */
#include "cmd/fabric.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents/instance.h"
#include "cmd/near.h"
#include "cmd/print.h"

#define HINT_IDS_MAX 512u  /* instances looked at for a near miss */
#define HINT_PREFIX_MAX 2u /* letters that a near miss begins with, at most */

static const struct argp_option fabric_options[] = {
    {"fabric", 'F', "FABRIC", 0, "direct, or hub: the task hub that --hub names", 80},
    {"hub", 'H', "NAME", 0, "Of the task hub. Default: " STEAD_FABRIC_HUB, 80},
    {0}};

static error_t parse_fabric(int key, char *arg, struct argp_state *state)
{
    struct stead_fabric *fabric = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &fabric->connect;
        return 0;
    case 'F':
        if (strcmp(arg, "direct") != 0 && strcmp(arg, "hub") != 0)
            argp_error(state, "--fabric %s: it is direct or hub", arg);
        fabric->direct = strcmp(arg, "direct") == 0;
        fabric->chosen = true;
        if (!fabric->direct && !fabric->hub)
            fabric->hub = STEAD_FABRIC_HUB;
        return 0;
    case 'H':
        if (!*arg || strlen(arg) > STEAD_KIND_NAME_MAX || strpbrk(arg, "/ "))
            argp_error(state, "--hub \"%s\": not the name of a hub", arg);
        fabric->hub = arg;
        fabric->chosen = true;
        return 0;
    case ARGP_KEY_END:
        if (fabric->direct && fabric->hub)
            argp_error(state, "--hub names a hub, and --fabric direct means none");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child fabric_children[] = {{&stead_connect_argp, 0, NULL, 0}, {0}};
const struct argp stead_fabric_argp = {fabric_options, parse_fabric, NULL, NULL, fabric_children, NULL, NULL};

bool stead_fabric_check_id(const char *id)
{
    if (stead_instance_id_check(stead_str(id)) == 0)
        return true;
    char *safe = stead_print_safe(stead_str(id));
    stead_complain(
        "\"%s\" is not the id of an instance: 1 to %d bytes of UTF-8, not beginning with @, without / \\ # ? and "
        "control characters",
        safe, STEAD_INSTANCE_ID_MAX);
    free(safe);
    return false;
}

/* ---- Near misses ---------------------------------------------------------------------------- */

/* Ids that begin like the one that nobody knows. */
struct hint {
    char *ids[HINT_IDS_MAX + 1]; /* owned, ended by NULL */
    size_t count;
};

static int take_id(void *context, const struct stead_instance *instance)
{
    struct hint *hint = context;

    hint->ids[hint->count] = strdup(instance->id);
    hint->count += hint->ids[hint->count] != NULL;
    return hint->count == HINT_IDS_MAX;
}

/* Nobody knows the id: hints at one that somebody knows. */
static void hint_at_near(const struct stead_fabric *fabric, struct stead_client *client, const char *id)
{
    const struct stead_instance_options options = {.hub = fabric->hub};
    char prefix[HINT_PREFIX_MAX + 1];
    struct hint *hint = calloc(1, sizeof(*hint));

    if (!hint)
        return;
    snprintf(prefix, sizeof(prefix), "%s", id);
    for (size_t size = strlen(prefix); size > 0 && (prefix[size - 1] & 0x80); size--)
        prefix[size - 1] = '\0'; /* half a character begins nothing */
    const struct stead_instance_filter filter = {.id_prefix = prefix, .limit = HINT_IDS_MAX};
    if (stead_instance_list(client, &filter, &options, take_id, hint, NULL, NULL) == 0) {
        const char *near = stead_near_find(id, (const char *const *)hint->ids);
        char *safe = near ? stead_print_safe(stead_str(near)) : NULL;
        if (safe)
            fprintf(stderr, "    did you mean \"%s\"?\n", safe);
        free(safe);
    }
    for (size_t i = 0; i < hint->count; i++)
        free(hint->ids[i]);
    free(hint);
}

/* ---- Asking --------------------------------------------------------------------------------- */

static int fail_unknown(const struct stead_fabric *fabric, struct stead_client *client, const char *id, bool everywhere)
{
    char sentence[2 * STEAD_INSTANCE_ID_MAX + 200];
    struct stead_answer answer = stead_connect_no_answer();

    if (fabric->hub && !everywhere)
        snprintf(sentence, sizeof(sentence), "there is no instance \"%s\" in hub %s", id, fabric->hub);
    else
        snprintf(sentence, sizeof(sentence), "there is no instance \"%s\"%s", id,
                 everywhere ? "" : " on the direct fabric");
    answer.code = STEAD_ENOTFOUND;
    answer.error_sentence = sentence;
    int status = stead_connect_failed(&fabric->connect, STEAD_ENOTFOUND, &answer);
    hint_at_near(fabric, client, id);
    return status;
}

/* Is there a hub of the usual name? To look into it would make it. */
static bool has_hub(struct stead_client *client)
{
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_writer args;
    bool exists = false;

    stead_writer_init(&args);
    stead_pack(&args, "{s:s}", "address", "hub/" STEAD_FABRIC_HUB);
    if (stead_client_query(client, "show", stead_written(&args), &answer) != 0 ||
        stead_get_bool(answer.value, "exists", &exists) != 0)
        exists = false;
    stead_writer_deinit(&args);
    return exists;
}

/* The hub that was tried because the direct fabric has no such instance has none either, or is none. */
static bool is_nothing(int code)
{
    return code == STEAD_ENOTFOUND || code == STEAD_EKIND || code == STEAD_EUNAVAILABLE;
}

int stead_fabric_ask(struct stead_fabric *fabric, struct stead_client *client, const char *id, stead_fabric_ask_fn *ask,
                     void *context)
{
    struct stead_instance_options options = {.hub = fabric->hub};
    struct stead_answer answer = stead_connect_no_answer();
    bool everywhere = !fabric->chosen;

    int code = ask(context, client, &options, &answer);
    if (code == STEAD_ENOTFOUND && !fabric->chosen && has_hub(client)) {
        options.hub = STEAD_FABRIC_HUB;
        code = ask(context, client, &options, &answer);
        if (code == 0 || !is_nothing(code))
            fabric->hub = STEAD_FABRIC_HUB;
        else
            code = STEAD_ENOTFOUND;
    }
    if (code == STEAD_ENOTFOUND)
        return fail_unknown(fabric, client, id, everywhere);
    fabric->chosen = true;
    return code == 0 ? STEAD_EXIT_DONE : stead_connect_failed(&fabric->connect, code, &answer);
}
