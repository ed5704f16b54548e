/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_settings: a hub's settings as a map, and the names of its parts, which follow from them alone: whoever has read
 * the settings once finds everything.
 */
#include "agents/hub_settings.h"

#include <string.h>

#include "agents/hash.h"

static const char *const modes[] = {
    [STEAD_HUB_NOTIFY] = "notify", [STEAD_HUB_BACKOFF] = "backoff", [STEAD_HUB_FIXED] = "fixed"};
#define MODES (sizeof(modes) / sizeof(*modes))

/* ---- Texts ------------------------------------------------------------------------------------ */

struct text {
    char *at;
    size_t left; /* bytes, the zero's among them */
};

static void add(struct text *text, const char *more)
{
    size_t size = strlen(more);

    if (size >= text->left)
        size = text->left - 1;
    memcpy(text->at, more, size);
    text->at += size;
    text->left -= size;
    *text->at = '\0';
}

static void add_number(struct text *text, uint32_t number)
{
    char digits[12];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(text, digits + at);
}

const char *stead_hub_mode_name(enum stead_hub_mode mode)
{
    return (size_t)mode < MODES ? modes[mode] : "";
}

static bool is_name_of(struct stead_slice name, size_t most)
{
    if (name.size == 0 || name.size > most)
        return false;
    for (size_t at = 0; at < name.size; at++) {
        uint8_t c = name.data[at];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

bool stead_hub_name_check(struct stead_slice name)
{
    return is_name_of(name, STEAD_HUB_NAME_MAX);
}

/* ---- The map ------------------------------------------------------------------------------------ */

void stead_hub_settings_default(struct stead_hub_settings *settings, const char *name)
{
    struct text text;

    memset(settings, 0, sizeof(*settings));
    text = (struct text){settings->name, sizeof(settings->name)};
    add(&text, name);
    settings->partitions = 4;
    settings->workers = 2;
    settings->hide_ms = STEAD_HUB_HIDE_MS;
    settings->keep_ms = 2000;
    settings->tasks = 64;
    settings->mode = STEAD_HUB_NOTIFY;
    settings->first_ms = 50;
    settings->max_ms = 30000;
    settings->jitter = 0.2;
    settings->interval_ms = 250;
    for (uint32_t at = 0; at < STEAD_HUB_PARTITIONS_MAX; at++) {
        text = (struct text){settings->tags[at], sizeof(settings->tags[at])};
        add(&text, settings->name);
        add(&text, ".");
        add_number(&text, at);
    }
    text = (struct text){settings->work, sizeof(settings->work)};
    add(&text, settings->name);
    add(&text, ".work");
    for (uint32_t at = 0; at < STEAD_HUB_WORKERS_MAX; at++) {
        text = (struct text){settings->worker_tags[at], sizeof(settings->worker_tags[at])};
        add(&text, settings->name);
        add(&text, ".w");
        add_number(&text, at);
    }
}

static bool take_number(struct stead_slice map, const char *field, int64_t least, int64_t most, int64_t *ret_it)
{
    int64_t it = *ret_it;

    if (stead_get_i64(map, field, &it) == STEAD_EARGUMENT || it < least || it > most)
        return false;
    *ret_it = it;
    return true;
}

static bool take_u32(struct stead_slice map, const char *field, uint32_t least, uint32_t most, uint32_t *ret_it)
{
    int64_t it = *ret_it;
    bool fits = take_number(map, field, least, most, &it);

    *ret_it = fits ? (uint32_t)it : *ret_it;
    return fits;
}

static bool copy_tag(struct stead_slice tag, char *to)
{
    if (!is_name_of(tag, STEAD_HUB_TAG_MAX))
        return false;
    memcpy(to, tag.data, tag.size);
    to[tag.size] = '\0';
    return true;
}

static bool take_tags(struct stead_slice map, const char *field, uint32_t most, char (*tags)[STEAD_HUB_TAG_MAX + 1])
{
    struct stead_slice list, tag;
    uint32_t count;

    if (stead_get_value(map, field, &list) != 0)
        return true;
    struct stead_reader reader = stead_reader(list);
    if (stead_read_array(&reader, &count) != 0 || count > most)
        return false;
    for (uint32_t at = 0; at < count; at++)
        if (stead_read_str(&reader, &tag) != 0 || !copy_tag(tag, tags[at]))
            return false;
    return true;
}

static bool take_poll(struct stead_hub_settings *settings, struct stead_slice map)
{
    struct stead_slice poll, mode;

    if (stead_get_value(map, "poll", &poll) != 0)
        return true;
    if (stead_get_str(poll, "mode", &mode) == 0) {
        size_t at = 0;
        while (at < MODES && !stead_slice_equal(mode, stead_str(modes[at])))
            at++;
        if (at == MODES)
            return false;
        settings->mode = (enum stead_hub_mode)at;
    }
    if (stead_get_f64(poll, "jitter", &settings->jitter) == STEAD_EARGUMENT || !(settings->jitter >= 0) ||
        settings->jitter > 1)
        return false;
    return take_number(poll, "first", 1, 3600000, &settings->first_ms) &&
           take_number(poll, "max", settings->first_ms, 3600000, &settings->max_ms) &&
           take_number(poll, "interval", 1, 3600000, &settings->interval_ms);
}

int stead_hub_settings_read(struct stead_hub_settings *settings, struct stead_slice map)
{
    struct stead_slice work;

    if (stead_get_str(map, "work", &work) == 0 && !copy_tag(work, settings->work))
        return STEAD_EARGUMENT;
    if (!take_u32(map, "partitions", 1, STEAD_HUB_PARTITIONS_MAX, &settings->partitions) ||
        !take_u32(map, "workers", 1, STEAD_HUB_WORKERS_MAX, &settings->workers) ||
        !take_u32(map, "tasks", 1, STEAD_HUB_TASKS_MAX, &settings->tasks) ||
        !take_number(map, "hide_ms", 100, 3600000, &settings->hide_ms) ||
        !take_number(map, "keep_ms", 100, 3600000, &settings->keep_ms) ||
        stead_get_bool(map, "extended", &settings->extended) == STEAD_EARGUMENT ||
        !take_tags(map, "tags", STEAD_HUB_PARTITIONS_MAX, settings->tags) ||
        !take_tags(map, "worker_tags", STEAD_HUB_WORKERS_MAX, settings->worker_tags) || !take_poll(settings, map))
        return STEAD_EARGUMENT;
    return 0;
}

static void write_tags(struct stead_writer *writer, const char *field, uint32_t count,
                       const char (*tags)[STEAD_HUB_TAG_MAX + 1])
{
    stead_write_str(writer, field);
    stead_write_array(writer, count);
    for (uint32_t at = 0; at < count; at++)
        stead_write_str(writer, tags[at]);
}

void stead_hub_settings_write(const struct stead_hub_settings *settings, struct stead_writer *writer)
{
    stead_write_map(writer, 11);
    stead_pack(writer, "s", "name");
    stead_write_str(writer, settings->name);
    stead_write_str(writer, "partitions");
    stead_write_u64(writer, settings->partitions);
    stead_write_str(writer, "workers");
    stead_write_u64(writer, settings->workers);
    stead_write_str(writer, "hide_ms");
    stead_write_i64(writer, settings->hide_ms);
    stead_write_str(writer, "keep_ms");
    stead_write_i64(writer, settings->keep_ms);
    stead_write_str(writer, "extended");
    stead_write_bool(writer, settings->extended);
    stead_write_str(writer, "tasks");
    stead_write_u64(writer, settings->tasks);
    stead_write_str(writer, "poll");
    stead_pack(writer, "{s:s,s:l,s:l,s:f,s:l}", "mode", stead_hub_mode_name(settings->mode), "first",
               settings->first_ms, "max", settings->max_ms, "jitter", settings->jitter, "interval",
               settings->interval_ms);
    write_tags(writer, "tags", settings->partitions, settings->tags);
    stead_write_str(writer, "work");
    stead_write_str(writer, settings->work);
    write_tags(writer, "worker_tags", settings->workers, settings->worker_tags);
}

/* ---- Names ---------------------------------------------------------------------------------------- */

uint32_t stead_hub_partition(const struct stead_hub_settings *settings, struct stead_slice id)
{
    return stead_hash32(id) % settings->partitions;
}

static struct text begin_part(struct stead_hub_part *part, const char *kind, const char *tag, const char *name)
{
    struct text text = {part->text, sizeof(part->text)};

    add(&text, kind);
    add(&text, "/{");
    add(&text, tag);
    add(&text, "}");
    add(&text, name);
    add(&text, "/");
    return text;
}

struct stead_hub_part stead_hub_control(const struct stead_hub_settings *settings, uint32_t partition)
{
    struct stead_hub_part part;
    struct text text = begin_part(&part, STEAD_HUB_QUEUE_KIND, settings->tags[partition], settings->name);

    add(&text, "control-");
    add_number(&text, partition);
    return part;
}

struct stead_hub_part stead_hub_table(const struct stead_hub_settings *settings, uint32_t partition)
{
    struct stead_hub_part part;
    struct text text = begin_part(&part, STEAD_HUB_TABLE_KIND, settings->tags[partition], settings->name);

    add_number(&text, partition);
    return part;
}

struct stead_hub_part stead_hub_part_queue(const struct stead_hub_settings *settings, const char *queue)
{
    struct stead_hub_part part;
    struct text text = begin_part(&part, STEAD_HUB_QUEUE_KIND, settings->work, settings->name);

    add(&text, queue);
    return part;
}

struct stead_hub_part stead_hub_worker(const struct stead_hub_settings *settings, uint32_t worker)
{
    struct stead_hub_part part;
    struct text text = begin_part(&part, STEAD_HUB_WORKER_KIND, settings->worker_tags[worker], settings->name);

    add_number(&text, worker);
    return part;
}

struct stead_hub_part stead_hub_itself(const char *name)
{
    struct stead_hub_part part;
    struct text text = {part.text, sizeof(part.text)};

    add(&text, STEAD_HUB_KIND "/");
    add(&text, name);
    return part;
}
