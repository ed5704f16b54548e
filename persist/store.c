/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what both twins share: the calls through the table, and the core's loads answered from reads of either.
 *
 * A load is one point or one range of the image. At the CACHED tier nothing is promised until the last row was there: a
 * range that meets a cold block is given up whole, and asked for again by a thread that may wait.
 */
#include "persist/store.h"

#include "persist/format.h"

int stead_store_write(struct stead_store *store, const struct stead_store_op *ops, uint32_t op_count, bool sync)
{
    return store->functions->write(store, ops, op_count, sync);
}

int stead_store_get(struct stead_store *store, struct stead_slice key, enum stead_store_tier tier,
                    struct stead_writer *ret_value)
{
    return store->functions->get(store, key, tier, ret_value);
}

int stead_store_scan(struct stead_store *store, struct stead_slice from, struct stead_slice to, bool reverse,
                     enum stead_store_tier tier, stead_row_visit_fn *visit, void *context)
{
    return store->functions->scan(store, from, to, reverse, tier, visit, context);
}

int stead_store_scan_ranges(struct stead_store *store, stead_row_range_fn *next, stead_row_visit_fn *visit,
                            void *context)
{
    return store->functions->scan_ranges(store, next, visit, context);
}

int stead_store_log_get(struct stead_store *store, uint32_t shard, uint64_t index, struct stead_writer *ret_entry)
{
    return store->functions->log_get(store, shard, index, ret_entry);
}

int stead_store_log_read(struct stead_store *store, uint32_t shard, uint64_t from_index, stead_log_visit_fn *visit,
                         void *context)
{
    return store->functions->log_read(store, shard, from_index, visit, context);
}

int stead_store_log_last(struct stead_store *store, uint32_t shard, uint64_t *ret_index)
{
    return store->functions->log_last(store, shard, ret_index);
}

int stead_store_meta_get(struct stead_store *store, const char *name, struct stead_writer *ret_value)
{
    return store->functions->meta_get(store, stead_str(name), ret_value);
}

int stead_store_meta_scan(struct stead_store *store, stead_row_visit_fn *visit, void *context)
{
    return store->functions->meta_scan(store, visit, context);
}

int stead_store_meta_put(struct stead_store *store, const char *name, struct stead_slice value)
{
    const struct stead_store_op op = {.type = STEAD_STORE_META, .key = stead_str(name), .bytes = value};
    return stead_store_write(store, &op, 1, true);
}

int stead_store_applied(struct stead_store *store, uint32_t shard, uint64_t *ret_index)
{
    struct stead_applied_key key = stead_applied_key(shard);
    struct stead_writer value;
    stead_writer_init(&value);
    int code = store->functions->meta_get(store, (struct stead_slice){key.data, sizeof key.data}, &value);
    if (code == 0 && value.size != sizeof(uint64_t))
        code = STEAD_ECORRUPT;
    if (code == 0)
        *ret_index = stead_load64(value.data);
    if (code == STEAD_ENOTFOUND) {
        *ret_index = 0;
        code = 0;
    }
    stead_writer_deinit(&value);
    return code;
}

uint64_t stead_store_bytes(struct stead_store *store)
{
    return store->functions->bytes(store);
}

int stead_store_reclaim(struct stead_store *store, bool log_alone)
{
    return store->functions->reclaim(store, log_alone);
}

int stead_store_backup(struct stead_store *store, const char *folder)
{
    return store->functions->backup(store, folder);
}

void stead_store_explain(struct stead_store *store, char *ret_sentence, size_t size)
{
    store->functions->explain(store, ret_sentence, size);
}

void stead_store_close(struct stead_store **store)
{
    if (*store != NULL)
        (*store)->functions->close(store);
}

/* ---- Loads ---------------------------------------------------------------------------------- */

static int collect_row(void *context, struct stead_slice key, struct stead_slice value)
{
    struct stead_load *load = context;
    uint8_t sizes[8];
    stead_store32(sizes, (uint32_t)key.size);
    stead_store32(sizes + 4, (uint32_t)value.size);
    stead_write_raw(&load->ret_rows, sizes, sizeof sizes);
    stead_write_raw(&load->ret_rows, key.data, key.size);
    stead_write_raw(&load->ret_rows, value.data, value.size);
    load->ret_count++;
    return load->ret_count == load->limit; /* 1 stops the walk */
}

static int load_point(struct stead_store *store, enum stead_store_tier tier, struct stead_load *load)
{
    int code = stead_store_get(store, stead_written(&load->from), tier, &load->ret_rows);
    load->ret_found = code == 0;
    return code == STEAD_ENOTFOUND ? 0 : code;
}

static int load_range(struct stead_store *store, enum stead_store_tier tier, struct stead_load *load)
{
    if (load->limit == 0)
        return 0;
    int code =
        stead_store_scan(store, stead_written(&load->from), stead_written(&load->to), false, tier, collect_row, load);
    return code == 1 ? 0 : code;
}

int stead_store_load(struct stead_store *store, enum stead_store_tier tier, struct stead_load *load)
{
    stead_writer_reset(&load->ret_rows);
    load->ret_count = 0;
    load->ret_found = false;
    int code = load->to.size == 0 ? load_point(store, tier, load) : load_range(store, tier, load);
    if (code != 0) {
        stead_writer_reset(&load->ret_rows);
        load->ret_count = 0;
    }
    if (code == STEAD_EBUSY && tier == STEAD_STORE_CACHED)
        return STEAD_EBUSY;
    load->ret_code = code;
    return 0;
}
