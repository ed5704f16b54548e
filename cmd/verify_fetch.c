/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify_fetch: the op `raw_history` of `orchestration/ID` answers a page of pieces of rows, whole or cut, in order,
 * and where the next page begins. Pieces follow each other in the buffer, so that rows come together by themselves.
 * What people are shown leaves large values out: a replay needs them.
 *
 * An instance may begin anew between two pages: every page says of which execution it is, and another one than the
 * first ends the fetch.
 *
 * On a hub it is what a worker reads: the op `read` of the table (docs/FORMATS.md, "The hub").
 */
#include "cmd/verify_fetch.h"

#include <stdio.h>
#include <string.h>

#include "agents/hub_client.h"
#include "agents/hub_large.h"
#include "agents/instance.h"

/* The address of an instance. */
struct address {
    char text[sizeof(STEAD_ORCHESTRATION_KIND) + 1 + STEAD_INSTANCE_ID_MAX];
};

static struct address address_of(const char *id)
{
    struct address address;

    snprintf(address.text, sizeof(address.text), STEAD_ORCHESTRATION_KIND "/%s", id);
    return address;
}

static void pack_page(struct stead_writer *args, const uint64_t next[2])
{
    stead_writer_reset(args);
    stead_pack(args, "{s:u,s:u}", "first", next[0], "part", next[1]);
}

/* Where the next page begins; it must be behind the last one's beginning, or the fetch would never end. */
static int take_next(struct stead_slice page, uint64_t ret_next[2])
{
    uint64_t next[2] = {0, 0};
    struct stead_slice value;
    uint32_t fields = 0;

    int code = stead_get_value(page, "next", &value);
    if (code == 0 && stead_value_check(value) == 0 && value.size > 1) {
        struct stead_reader reader = stead_reader(value);
        if (stead_read_array(&reader, &fields) != 0 || fields != 2 || stead_read_u64(&reader, &next[0]) != 0 ||
            stead_read_u64(&reader, &next[1]) != 0 || next[0] < ret_next[0] ||
            (next[0] == ret_next[0] && next[1] <= ret_next[1]))
            return STEAD_ECORRUPT;
    }
    memcpy(ret_next, next, sizeof(next));
    return 0;
}

/* Takes one page of rows. */
static int take_page(struct stead_slice page, struct stead_verify_fetch *fetch)
{
    struct stead_slice rows, piece, status;
    uint32_t count = 0, fields = 0;
    uint64_t execution = 0;
    enum stead_instance_status now;

    if (stead_get_u64(page, "execution", &execution) != 0 || stead_get_value(page, "rows", &rows) != 0 ||
        stead_get_str(page, "status", &status) != 0 || stead_instance_status_find(status, &now) != 0)
        return STEAD_ECORRUPT;
    if (fetch->execution == 0)
        fetch->execution = (uint32_t)execution;
    fetch->gone = execution != fetch->execution || stead_instance_is_over(now);
    struct stead_reader reader = stead_reader(rows);
    if (stead_read_array(&reader, &count) != 0)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < count && !fetch->gone; i++) {
        if (stead_read_array(&reader, &fields) != 0 || fields != 3 || stead_read_skip(&reader) != 0 ||
            stead_read_skip(&reader) != 0 || stead_read_bin(&reader, &piece) != 0)
            return STEAD_ECORRUPT;
        stead_write_raw(&fetch->rows, piece.data, piece.size);
    }
    return take_next(page, fetch->next);
}

/* A page that is none: a node of another version. */
static int refuse_page(const struct stead_fabric *fabric, const char *id)
{
    struct stead_answer answer = stead_connect_no_answer();

    answer.code = STEAD_ECORRUPT;
    answer.error_sentence = "the node's answer is not a page of rows";
    answer.error_agent = id;
    return stead_connect_failed(&fabric->connect, STEAD_ECORRUPT, &answer);
}

/* ---- The direct fabric ---------------------------------------------------------------------- */

static void take_answer(void *context, const struct stead_answer *answer)
{
    struct stead_verify_fetch *fetch = context;

    fetch->code = answer->code == 0 ? take_page(answer->value, fetch) : answer->code;
    fetch->gone |= answer->code == STEAD_ENOTFOUND;
}

static int begin_rows(const struct stead_fabric *fabric, struct stead_client *client,
                      struct stead_verify_fetch *fetches, uint32_t count)
{
    static const uint64_t start[2] = {0, 0};
    struct stead_writer args;
    int code = 0;

    stead_writer_init(&args);
    pack_page(&args, start);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        struct address address = address_of(fetches[i].id);
        code = stead_client_call_async(client, address.text, "raw_history", stead_written(&args), NULL, take_answer,
                                       &fetches[i]);
    }
    while (stead_client_in_flight(client) > 0 && stead_client_poll(client, -1) >= 0)
        continue;
    stead_writer_deinit(&args);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        if (fetches[i].code == STEAD_ECORRUPT)
            return refuse_page(fabric, fetches[i].id);
        code = fetches[i].gone ? 0 : fetches[i].code;
    }
    return code == 0 ? STEAD_EXIT_DONE : stead_connect_failed(&fabric->connect, code, NULL);
}

static int rest_of_rows(const struct stead_fabric *fabric, struct stead_client *client,
                        struct stead_verify_fetch *fetch)
{
    struct address address = address_of(fetch->id);
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_writer args;
    int code = 0;

    stead_writer_init(&args);
    while (code == 0 && fetch->next[0] != 0 && !fetch->gone) {
        pack_page(&args, fetch->next);
        code = stead_client_call(client, address.text, "raw_history", stead_written(&args), NULL, &answer);
        if (code == 0 && take_page(answer.value, fetch) != 0) {
            stead_writer_deinit(&args);
            return refuse_page(fabric, fetch->id);
        }
    }
    stead_writer_deinit(&args);
    fetch->gone |= code == STEAD_ENOTFOUND;
    return code == 0 || fetch->gone ? STEAD_EXIT_DONE : stead_connect_failed(&fabric->connect, code, &answer);
}

/* ---- Hubs ----------------------------------------------------------------------------------- */

/* A row as its worker wrote it: [messages that it took, row of the history, ...]; one that only says what was sent has
 * no events. */
static int take_hub_row(const struct stead_writer *row, struct stead_verify_fetch *fetch)
{
    struct stead_reader reader = stead_reader(stead_written(row));
    struct stead_slice events;
    uint32_t members;

    if (row->size == 0)
        return 0;
    if (stead_read_array(&reader, &members) != 0 || members < 2 || stead_read_skip(&reader) != 0 ||
        stead_read_bin(&reader, &events) != 0)
        return STEAD_ECORRUPT;
    stead_write_raw(&fetch->rows, events.data, events.size);
    return 0;
}

/* Takes one page of the table's: `row` is what came of the newest row, which may go on in the next page. */
static int take_hub_page(struct stead_slice page, struct stead_writer *row, struct stead_verify_fetch *fetch)
{
    struct stead_slice map, rows, piece;
    uint64_t execution = 0, status = 0, next = 0;
    uint32_t count = 0;
    int code = 0;

    if (stead_get_value(page, "row", &map) != 0 || stead_get_value(page, "rows", &rows) != 0 ||
        stead_get_u64(page, "next", &next) != 0 || (next != 0 && next <= fetch->next[0]) ||
        stead_get_u64(map, "execution", &execution) != 0 || stead_get_u64(map, "status", &status) != 0)
        return STEAD_ECORRUPT;
    fetch->next[0] = next;
    if (fetch->execution == 0)
        fetch->execution = (uint32_t)execution;
    fetch->gone = execution != fetch->execution || stead_instance_is_over((enum stead_instance_status)status);
    struct stead_reader reader = stead_reader(rows);
    if (stead_read_array(&reader, &count) != 0)
        return STEAD_ECORRUPT;
    for (uint32_t i = 0; i < count && code == 0; i++) {
        if (stead_read_bin(&reader, &piece) != 0 || piece.size == 0)
            return STEAD_ECORRUPT;
        bool goes_on = piece.data[0] == STEAD_HUB_PART_MARK;
        if (!goes_on) {
            code = take_hub_row(row, fetch);
            stead_writer_reset(row);
        }
        stead_write_raw(row, piece.data + goes_on, piece.size - goes_on);
    }
    return code;
}

static int rows_of_hub(const struct stead_fabric *fabric, struct stead_client *client, struct stead_verify_fetch *fetch)
{
    const struct stead_hub_settings *settings;
    struct stead_answer answer = stead_connect_no_answer();
    struct stead_writer args, row;

    int code = stead_hub_open(client, fabric->hub, &settings, &answer);
    if (code != 0)
        return stead_connect_failed(&fabric->connect, code, &answer);
    struct stead_hub_part table = stead_hub_table(settings, stead_hub_partition(settings, stead_str(fetch->id)));
    stead_writer_init(&args);
    stead_writer_init(&row);
    int taken = 0;
    do {
        stead_writer_reset(&args);
        stead_pack(&args, "{s:s,s:u}", "id", fetch->id, "from", fetch->next[0]);
        code = stead_client_call(client, table.text, "read", stead_written(&args), NULL, &answer);
        taken = code == 0 ? take_hub_page(answer.value, &row, fetch) : 0;
    } while (code == 0 && taken == 0 && fetch->next[0] != 0 && !fetch->gone);
    if (code == 0 && taken == 0)
        taken = take_hub_row(&row, fetch);
    stead_writer_deinit(&args);
    stead_writer_deinit(&row);
    fetch->gone |= code == STEAD_ENOTFOUND;
    if (taken != 0)
        return refuse_page(fabric, fetch->id);
    return code == 0 || fetch->gone ? STEAD_EXIT_DONE : stead_connect_failed(&fabric->connect, code, &answer);
}

/* ---- Both ----------------------------------------------------------------------------------- */

int stead_verify_fetch_begin(const struct stead_fabric *fabric, struct stead_client *client,
                             struct stead_verify_fetch *fetches, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        fetches[i].execution = 0;
        fetches[i].gone = false;
        fetches[i].next[0] = fetches[i].next[1] = 0;
        fetches[i].code = 0;
        stead_writer_init(&fetches[i].rows);
    }
    return fabric->hub ? STEAD_EXIT_DONE : begin_rows(fabric, client, fetches, count);
}

int stead_verify_fetch_rest(const struct stead_fabric *fabric, struct stead_client *client,
                            struct stead_verify_fetch *fetch)
{
    return fabric->hub ? rows_of_hub(fabric, client, fetch) : rest_of_rows(fabric, client, fetch);
}
