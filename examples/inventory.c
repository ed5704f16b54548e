/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inventory: a warehouse with any number of articles, in keyed state: one key an article, in order, read by page. Only
 * the articles that a turn touches are read or written, so a hundred thousand of them cost an order of one article
 * nothing.
 */
#include "stead/agent.h"

#define SKU_MAX 64     /* bytes of an article's name */
#define PAGE_MAX 5000  /* articles in one answer */
#define STOCK_MAX 5000 /* articles stocked in one turn */

struct inventory {
    uint64_t articles; /* keys */
    int64_t pieces;    /* of all articles */
};

static const struct stead_field fields[] = {STEAD_FIELD(U64, struct inventory, articles),
                                            STEAD_FIELD(I64, struct inventory, pieces), STEAD_FIELDS_END};

/* Adds `by` pieces (below 0: takes) of one article. */
static int change(struct stead_turn *turn, struct inventory *inventory, struct stead_slice sku, int64_t by,
                  int64_t *ret_pieces)
{
    struct stead_slice value;
    int64_t pieces = 0;

    if (sku.size == 0 || sku.size > SKU_MAX)
        return stead_fail(turn, "bad_sku", "sku is a text of 1 to %d bytes", SKU_MAX);
    int code = stead_kv_get(turn, sku, &value);
    if (code == 0)
        code = stead_get_i64(value, NULL, &pieces);
    else if (code == STEAD_ENOTFOUND && by > 0)
        code = 0, inventory->articles++;
    if (code == STEAD_ENOTFOUND)
        return stead_fail(turn, "no_such_article", "there is no %.*s", (int)sku.size, (const char *)sku.data);
    if (code != 0)
        return code;
    if (__builtin_add_overflow(pieces, by, &pieces) || pieces < 0)
        return stead_fail(turn, "too_few", "there are not so many pieces of %.*s", (int)sku.size,
                          (const char *)sku.data);
    inventory->pieces += by;
    *ret_pieces = pieces;
    return stead_kv_put(turn, sku, stead_packed(turn, "l", pieces));
}

static int add_or_take(struct stead_turn *turn, struct inventory *inventory, struct stead_slice args, int64_t sign)
{
    struct stead_slice sku = {NULL, 0};
    int64_t pieces = 1, left;

    if (stead_get_str(args, "sku", &sku) != 0 || stead_get_i64(args, "pieces", &pieces) == STEAD_EARGUMENT ||
        pieces < 1 || pieces > INT32_MAX)
        return stead_fail(turn, "bad_argument", "{sku, pieces}: pieces is a number above 0");
    int code = change(turn, inventory, sku, sign * pieces, &left);
    return code == 0 ? stead_reply(turn, stead_packed(turn, "l", left)) : code;
}

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return add_or_take(turn, state, args, 1);
}

static int take(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return add_or_take(turn, state, args, -1);
}

/* Many articles in one turn: all or none. */
static int stock(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct inventory *inventory = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice sku;
    uint32_t count;
    int64_t pieces, left;

    if (stead_read_map(&reader, &count) != 0 || count > STOCK_MAX)
        return stead_fail(turn, "bad_argument", "stock takes {sku: pieces, ...}, at most %d", STOCK_MAX);
    for (uint32_t index = 0; index < count; index++) {
        if (stead_read_str(&reader, &sku) != 0 || stead_read_i64(&reader, &pieces) != 0 || pieces < 1)
            return stead_fail(turn, "bad_argument", "stock takes {sku: pieces, ...}, pieces above 0");
        int code = change(turn, inventory, sku, pieces, &left);
        if (code != 0)
            return code;
    }
    return stead_reply(turn, stead_packed(turn, "u", inventory->articles));
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice sku, value;

    (void)state;
    if (stead_get_str(args, NULL, &sku) != 0 || sku.size == 0 || sku.size > SKU_MAX)
        return stead_fail(turn, "bad_sku", "get takes the name of an article");
    int code = stead_kv_get(turn, sku, &value);
    if (code == STEAD_ENOTFOUND)
        return stead_fail(turn, "no_such_article", "there is no %.*s", (int)sku.size, (const char *)sku.data);
    return code == 0 ? stead_reply(turn, value) : code;
}

struct page {
    struct stead_writer writer; /* [[sku, pieces]...] without its header */
    struct stead_slice last;    /* the last article's name, in `name` */
    char name[SKU_MAX];
    uint32_t count;
};

static int collect(void *context, struct stead_slice key, struct stead_slice value)
{
    struct page *page = context;

    stead_write_array(&page->writer, 2);
    stead_write_str_slice(&page->writer, key);
    stead_write_value(&page->writer, value);
    page->count++;
    __builtin_memcpy(page->name, key.data, key.size < SKU_MAX ? key.size : SKU_MAX);
    page->last = stead_bytes(page->name, key.size);
    return 0;
}

/* A page of articles behind `after`; `next` is the `after` of the next page, nil at the end. */
static int list(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct page page = {.count = 0};
    struct stead_writer answer;
    struct stead_slice after = {NULL, 0};
    int64_t limit = 100;

    (void)state;
    if (stead_get_str(args, "after", &after) == STEAD_EARGUMENT || after.size > SKU_MAX ||
        stead_get_i64(args, "limit", &limit) == STEAD_EARGUMENT || limit < 1 || limit > PAGE_MAX)
        return stead_fail(turn, "bad_argument", "list takes {after, limit}; limit is from 1 to %d", PAGE_MAX);
    /* The smallest key behind `after` is `after` and a zero byte. */
    uint8_t *from = stead_turn_alloc(turn, after.size + 1);
    if (after.size > 0)
        __builtin_memcpy(from, after.data, after.size);
    stead_writer_init(&page.writer);
    int code = stead_kv_scan(turn, stead_bytes(from, after.size > 0 ? after.size + 1 : 0),
                             (struct stead_slice){NULL, 0}, (uint32_t)limit, collect, &page);
    stead_writer_init(&answer);
    stead_write_map(&answer, 2);
    stead_write_str(&answer, "articles");
    stead_write_array(&answer, page.count);
    stead_write_raw(&answer, page.writer.data, page.writer.size);
    stead_write_str(&answer, "next");
    if (page.count == limit)
        stead_write_str_slice(&answer, page.last);
    else
        stead_write_nil(&answer);
    if (code == 0)
        code = stead_reply(turn, stead_written(&answer));
    stead_writer_deinit(&answer);
    stead_writer_deinit(&page.writer);
    return code;
}

/* Takes all articles from <= name < to out of the books; at most PAGE_MAX a turn. */
static int clear(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct inventory *inventory = state;
    struct stead_reader reader;
    struct stead_slice from = {NULL, 0}, to = {NULL, 0};
    struct page page = {.count = 0};
    uint32_t deleted;
    int64_t pieces;

    if (stead_get_str(args, "from", &from) == STEAD_EARGUMENT || stead_get_str(args, "to", &to) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_argument", "clear takes {from, to}");
    stead_writer_init(&page.writer);
    int code = stead_kv_scan(turn, from, to, PAGE_MAX, collect, &page);
    reader = stead_reader(stead_written(&page.writer));
    for (uint32_t index = 0; code == 0 && index < page.count; index++) {
        uint32_t two;
        struct stead_slice name;
        code = stead_read_array(&reader, &two);
        if (code == 0)
            code = stead_read_str(&reader, &name);
        if (code == 0)
            code = stead_read_i64(&reader, &pieces);
        if (code == 0)
            inventory->pieces -= pieces;
    }
    stead_writer_deinit(&page.writer);
    if (code == 0)
        code = stead_kv_delete_range(turn, from, to, PAGE_MAX, &deleted);
    if (code != 0)
        return code;
    inventory->articles -= deleted;
    return stead_reply(turn, stead_packed(turn, "u", (uint64_t)deleted));
}

static int total(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct inventory *inventory = state;

    (void)args;
    return stead_reply(turn,
                       stead_packed(turn, "{s:u,s:l}", "articles", inventory->articles, "pieces", inventory->pieces));
}

static const struct stead_op ops[] = {
    {"add", add, NULL, 0, "{sku, pieces}: puts pieces in, answers how many there are"},
    {"take", take, NULL, 0, "{sku, pieces}: takes pieces out, answers how many are left"},
    {"stock", stock, NULL, 0, "{sku: pieces, ...}: adds many articles in one turn"},
    {"clear", clear, NULL, 0, "{from, to}: takes a range of articles out of the books"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "SKU: its pieces"},
    {"list", list, NULL, STEAD_OP_READ_ONLY, "{after, limit}: a page of articles in order; next: where to go on"},
    {"total", total, NULL, STEAD_OP_READ_ONLY, "articles and pieces"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind inventory_kind = {.abi = STEAD_ABI,
                                                 .struct_size = sizeof(struct stead_kind),
                                                 .name = "inventory",
                                                 .help = "a warehouse: many articles in keyed state",
                                                 .state_size = sizeof(struct inventory),
                                                 .fields = fields,
                                                 .ops = ops};
STEAD_MODULE(&inventory_kind);
