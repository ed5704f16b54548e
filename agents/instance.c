/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance: statuses by name, ids that are none, and the map that tells of an instance.
 *
 * The map comes from an agent that may be of another version: a member that is missing reads as nothing, one that is
 * unknown is passed over. Only what is no map, or has no id or status, is refused.
 */
#include "agents/instance.h"

#include <string.h>

static const char *const status_names[] = {[STEAD_INSTANCE_RUNNING] = "Running",
                                           [STEAD_INSTANCE_COMPLETED] = "Completed",
                                           [STEAD_INSTANCE_CONTINUED_AS_NEW] = "ContinuedAsNew",
                                           [STEAD_INSTANCE_FAILED] = "Failed",
                                           [STEAD_INSTANCE_CANCELED] = "Canceled",
                                           [STEAD_INSTANCE_TERMINATED] = "Terminated",
                                           [STEAD_INSTANCE_PENDING] = "Pending",
                                           [STEAD_INSTANCE_SUSPENDED] = "Suspended"};
#define STATUSES (sizeof(status_names) / sizeof(*status_names))

const char *stead_instance_status_name(enum stead_instance_status status)
{
    return (size_t)status < STATUSES ? status_names[status] : "";
}

bool stead_instance_is_over(enum stead_instance_status status)
{
    return status == STEAD_INSTANCE_COMPLETED || status == STEAD_INSTANCE_FAILED || status == STEAD_INSTANCE_CANCELED ||
           status == STEAD_INSTANCE_TERMINATED;
}

int stead_instance_status_find(struct stead_slice name, enum stead_instance_status *ret_status)
{
    for (size_t i = 0; i < STATUSES; i++) {
        if (stead_slice_equal(name, stead_str(status_names[i]))) {
            *ret_status = (enum stead_instance_status)i;
            return 0;
        }
    }
    return STEAD_ENOTFOUND;
}

/* Bytes of the character at `at`, as in an address (docs/FORMATS.md, "Texts"; Unicode, table 3-7); 0: a control, or no
 * UTF-8. A hub has no address that would check it. */
static size_t character(const uint8_t *at, size_t left)
{
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (size == 1)
        return first >= 0x20 && first != 0x7f;
    if (first < 0xc2 || first > 0xf4 || left < size)
        return 0;
    if (first == 0xc2 || first == 0xe0) /* U+0080 to U+009F are controls; shorter forms exist */
        low = 0xa0;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xed || first == 0xf4) /* surrogates; past U+10FFFF */
        high = first == 0xed ? 0x9f : 0x8f;
    for (size_t i = 1; i < size; i++, low = 0x80, high = 0xbf)
        if (at[i] < low || at[i] > high)
            return 0;
    return size;
}

int stead_instance_id_check(struct stead_slice id)
{
    if (id.size == 0 || id.size > STEAD_INSTANCE_ID_MAX || id.data[0] == '@')
        return STEAD_EARGUMENT;
    for (size_t i = 0, step; i < id.size; i += step) {
        uint8_t c = id.data[i];
        step = character(id.data + i, id.size - i);
        if (step == 0 || c == '/' || c == '\\' || c == '#' || c == '?')
            return STEAD_EARGUMENT;
    }
    return 0;
}

bool stead_kind_name_check(struct stead_slice name)
{
    if (name.size == 0 || name.size > STEAD_KIND_NAME_MAX || name.data[0] < 'a' || name.data[0] > 'z')
        return false;
    for (size_t i = 1; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

bool stead_orchestrator_name_check(const char *name)
{
    return name != NULL && stead_kind_name_check(stead_str(name));
}

/* ---- The map -------------------------------------------------------------------------------- */

/* A text that may be missing, cut to what there is room for. */
static void take_text(struct stead_slice map, const char *field, char *buffer, size_t size)
{
    struct stead_slice text = {0};

    if (stead_get_str(map, field, &text) != 0)
        text.size = 0;
    if (text.size >= size)
        text.size = size - 1;
    if (text.size > 0)
        memcpy(buffer, text.data, text.size);
    buffer[text.size] = '\0';
}

/* A value that may be missing. */
static struct stead_slice take_value(struct stead_slice map, const char *field)
{
    struct stead_slice value = {0};
    return stead_get_value(map, field, &value) == 0 ? value : (struct stead_slice){0};
}

static int64_t take_number(struct stead_slice map, const char *field)
{
    int64_t number = 0;
    return stead_get_i64(map, field, &number) == 0 ? number : 0;
}

/* Its name, or its number. */
static int take_status(struct stead_slice map, enum stead_instance_status *ret_status)
{
    struct stead_slice name;
    uint64_t number = 0;

    if (stead_get_str(map, "status", &name) == 0)
        return stead_instance_status_find(name, ret_status) == 0 ? 0 : STEAD_ECORRUPT;
    if (stead_get_u64(map, "status", &number) != 0 || number >= STATUSES)
        return STEAD_ECORRUPT;
    *ret_status = (enum stead_instance_status)number;
    return 0;
}

int stead_instance_read_members(struct stead_slice map, struct stead_instance *ret_instance)
{
    struct stead_instance it = {.created_ms = take_number(map, "created"),
                                .updated_ms = take_number(map, "updated"),
                                .version = (uint32_t)take_number(map, "version"),
                                .execution = (uint32_t)take_number(map, "execution"),
                                .events = (uint64_t)take_number(map, "events")};

    if (take_status(map, &it.status) != 0)
        return STEAD_ECORRUPT;
    take_text(map, "id", it.id, sizeof(it.id));
    take_text(map, "name", it.name, sizeof(it.name));
    take_text(map, "parent", it.parent, sizeof(it.parent));
    take_text(map, "error_name", it.error_name, sizeof(it.error_name));
    take_text(map, "error_sentence", it.error_sentence, sizeof(it.error_sentence));
    it.input = take_value(map, "input");
    it.output = take_value(map, "output");
    it.custom_status = take_value(map, "custom");
    *ret_instance = it;
    return 0;
}

int stead_instance_read(struct stead_slice value, struct stead_instance *ret_instance)
{
    struct stead_instance it;

    if (stead_instance_read_members(value, &it) != 0 || it.id[0] == '\0')
        return STEAD_ECORRUPT;
    *ret_instance = it;
    return 0;
}

const char *stead_instance_refusal(enum stead_instance_action action)
{
    switch (action) {
    case STEAD_INSTANCE_RESUME:
        return "the instance is not suspended";
    case STEAD_INSTANCE_SUSPEND:
        return "the instance is suspended already, or over";
    case STEAD_INSTANCE_REWIND:
        return "the instance has not failed, or not in a way that other code or another try could mend";
    case STEAD_INSTANCE_RESTART:
    case STEAD_INSTANCE_PURGE:
        return "the instance is active: terminate it first";
    case STEAD_INSTANCE_TERMINATE:
    default:
        return "the instance is over";
    }
}
