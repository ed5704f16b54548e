/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowtree: a B+tree of row pointers, laid out for the cache.
 *
 * The problem: a put must find its place among a million keys of 20 to 600 bytes that all begin alike (slot, class,
 * kind). A comparison of two keys behind pointers is a cache miss; a skip list or a binary tree takes twenty of them, a
 * naive B-tree still ten.
 *
 * The design: each page keeps the length of a prefix common to all its keys, and for each key the eight bytes after
 * that prefix as one number, in an array. A search compares the prefix once (with the page's first key), then numbers,
 * and looks at a key only where numbers are equal. So a level costs two or three lines of memory, the levels above the
 * leaves stay in the cache, and 32 keys a page keep an insert's memmove under four lines. The prefix is exact when a
 * page is built and may only become shorter after that: an insert that does not share it recomputes the page.
 *
 *   inner:  separator[0..count)  child[0..count]      child[i] holds the keys  separator[i-1] <= key < separator[i]
 *   leaf:   row[0..count)        previous, next
 *
 * Separators are cut to the shortest bytes that separate, rows hold only a key there. A leaf that was filled at its end
 * is split so that it stays full: outboxes and logs grow in order. Pages are joined with their right neighbour when
 * both fit, and leave the tree when empty.
 *
 * Measured with 1,000,000 rows of 20-byte keys in random order on a busy machine where one miss costs 150 ns: 520 ns an
 * insert, 800 ns a put of another value (five misses), 170 ns a put among 1,000 hot rows; 30 bytes a row beside the row
 * itself.
 *
 * Invariants: keys of a page ascend strictly; number[i] are the bytes of key i after the prefix; all leaves are at the
 * same depth and linked in order; no leaf is empty but the only one.
 */
#include "runtime/rowtree.h"

#include <stdlib.h>

#define FANOUT STEAD_ROWTREE_FANOUT
#define JOIN_AT (FANOUT / 4)     /* a leaf this empty tries to join its neighbour */
#define JOINED_MAX (FANOUT - 8u) /* so that the joined leaf has room */
#define SHARED_MAX 60u           /* bytes of a page's prefix kept in the page itself */
#define LINE 64u                 /* bytes of a line of memory */

struct stead_rowtree_page {
    uint16_t count;                /* keys */
    uint16_t prefix;               /* bytes that all keys share; not all of them, perhaps */
    uint8_t shared[SHARED_MAX];    /* the first of these bytes; with the fields above one line of memory */
    uint64_t number[FANOUT];       /* of each key: the eight bytes after the prefix, big-endian, zero-filled */
    struct stead_row *row[FANOUT]; /* leaf: the rows; inner: the separators, owned */
    union {
        struct { /* leaf */
            struct stead_rowtree_page *previous;
            struct stead_rowtree_page *next;
        };
        struct stead_rowtree_page *child[FANOUT + 1]; /* inner */
    };
};

#define LEAF_BYTES (offsetof(struct stead_rowtree_page, child) + 2 * sizeof(void *))
#define INNER_BYTES sizeof(struct stead_rowtree_page)

struct stead_row *stead_row_create(struct stead_slice key, uint32_t value_capacity)
{
    STEAD_ASSERT(key.size <= UINT16_MAX);
    struct stead_row *row = stead_alloc(offsetof(struct stead_row, bytes) + key.size + value_capacity);
    memset(row, 0, offsetof(struct stead_row, bytes)); /* not sizeof: its padding may lie behind the block */
    row->key_size = (uint16_t)key.size;
    row->value_capacity = value_capacity;
    if (key.size > 0)
        memcpy(row->bytes, key.data, key.size);
    return row;
}

/* ---- Keys of one page ----------------------------------------------------------------------- */

static int compare_keys(struct stead_slice a, struct stead_slice b, size_t from)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared > from ? memcmp(a.data + from, b.data + from, shared - from) : 0;
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static uint16_t common_prefix(struct stead_slice a, struct stead_slice b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    size_t size = 0;
    while (size < shared && a.data[size] == b.data[size])
        size++;
    return (uint16_t)size;
}

static uint64_t number_of(struct stead_slice key, size_t prefix)
{
    uint64_t number = 0;
    if (key.size >= prefix + 8)
        return __builtin_bswap64(stead_load64(key.data + prefix));
    for (size_t i = prefix; i < key.size; i++)
        number |= (uint64_t)key.data[i] << (56 - 8 * (i - prefix));
    return number;
}

/* Computes prefix and numbers anew. */
static void renumber(struct stead_rowtree_page *page)
{
    if (page->count == 0)
        return;
    const struct stead_row *first = page->row[0];
    page->prefix = common_prefix(stead_row_key_of(first), stead_row_key_of(page->row[page->count - 1]));
    memcpy(page->shared, first->bytes, page->prefix < SHARED_MAX ? page->prefix : SHARED_MAX);
    for (uint32_t i = 0; i < page->count; i++)
        page->number[i] = number_of(stead_row_key_of(page->row[i]), page->prefix);
}

/* How `key` stands to all keys of the page, by the prefix alone: <0 before, >0 behind, 0 look closer. */
static int compare_prefix(const struct stead_rowtree_page *page, struct stead_slice key)
{
    if (page->prefix == 0 || page->count == 0)
        return 0;
    size_t size = key.size < page->prefix ? key.size : page->prefix;
    size_t inside = size < SHARED_MAX ? size : SHARED_MAX;
    int order = inside > 0 ? memcmp(key.data, page->shared, inside) : 0;
    if (order == 0 && size > inside)
        order = memcmp(key.data + inside, page->row[0]->bytes + inside, size - inside);
    if (order == 0 && key.size < page->prefix)
        order = -1;
    return order;
}

/* Asks for the lines that a search of the page reads, all at once. */
static void prefetch(const struct stead_rowtree_page *page)
{
    for (size_t at = 0; at < LEAF_BYTES; at += LINE)
        __builtin_prefetch((const uint8_t *)page + at);
}

/* The first position whose number is not below `number`. */
static uint32_t lower_number(const struct stead_rowtree_page *page, uint64_t number)
{
    uint32_t at = 0;
    uint32_t size = page->count;
    while (size > 0) {
        uint32_t half = size / 2;
        bool below = page->number[at + half] < number;
        at = below ? at + half + 1 : at;
        size = below ? size - half - 1 : half;
    }
    return at;
}

/* The first position whose key is not below `key`; `ret_equal`: it is that key. */
static uint32_t lower_bound(const struct stead_rowtree_page *page, struct stead_slice key, bool *ret_equal)
{
    *ret_equal = false;
    int order = compare_prefix(page, key);
    if (order != 0)
        return order < 0 ? 0 : page->count;
    uint64_t number = number_of(key, page->prefix);
    uint32_t at = lower_number(page, number);
    uint32_t end = at;
    while (end < page->count && page->number[end] == number)
        end++;
    while (at < end) { /* keys whose next eight bytes are the same */
        uint32_t middle = at + (end - at) / 2;
        order = compare_keys(stead_row_key_of(page->row[middle]), key, page->prefix);
        if (order == 0) {
            *ret_equal = true;
            return middle;
        }
        if (order < 0)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}

static void put_key(struct stead_rowtree_page *page, uint32_t at, struct stead_row *row)
{
    struct stead_slice key = stead_row_key_of(row);
    bool shares = page->count > 0 && compare_prefix(page, key) == 0 && key.size >= page->prefix;
    uint32_t behind = page->count - at;
    memmove(&page->row[at + 1], &page->row[at], behind * sizeof(page->row[0]));
    memmove(&page->number[at + 1], &page->number[at], behind * sizeof(page->number[0]));
    page->row[at] = row;
    page->count++;
    if (shares)
        page->number[at] = number_of(key, page->prefix);
    else
        renumber(page);
}

static struct stead_row *take_key(struct stead_rowtree_page *page, uint32_t at)
{
    struct stead_row *row = page->row[at];
    page->count--;
    memmove(&page->row[at], &page->row[at + 1], (page->count - at) * sizeof(page->row[0]));
    memmove(&page->number[at], &page->number[at + 1], (page->count - at) * sizeof(page->number[0]));
    return row;
}

/* Moves the keys from `at` on to the empty page `right`. */
static void move_keys(struct stead_rowtree_page *page, uint32_t at, struct stead_rowtree_page *right)
{
    right->count = (uint16_t)(page->count - at);
    memcpy(right->row, &page->row[at], right->count * sizeof(page->row[0]));
    page->count = (uint16_t)at;
    renumber(page);
    renumber(right);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static struct stead_rowtree_page *create_page(struct stead_rowtree *tree, size_t size)
{
    struct stead_rowtree_page *page = stead_alloc(size);
    page->count = 0;
    page->prefix = 0;
    tree->page_bytes += size;
    return page;
}

static struct stead_rowtree_page *create_leaf(struct stead_rowtree *tree)
{
    struct stead_rowtree_page *leaf = create_page(tree, LEAF_BYTES);
    leaf->previous = NULL;
    leaf->next = NULL;
    return leaf;
}

static void destroy_separator(struct stead_rowtree *tree, struct stead_row *separator)
{
    tree->page_bytes -= offsetof(struct stead_row, bytes) + separator->key_size;
    free(separator);
}

void stead_rowtree_init(struct stead_rowtree *tree)
{
    *tree = (struct stead_rowtree){0};
    tree->root = create_leaf(tree);
}

void stead_rowtree_deinit(struct stead_rowtree *tree)
{
    /* Depth first with a path instead of recursion: a page is freed after its last child. */
    struct stead_rowtree_path path = {.page = {tree->root}};
    uint32_t level = 0;
    for (;;) {
        struct stead_rowtree_page *page = path.page[level];
        if (level < tree->height && path.at[level] <= page->count) {
            path.page[level + 1] = page->child[path.at[level]++];
            path.at[++level] = 0;
            continue;
        }
        for (uint32_t i = 0; i < page->count; i++)
            free(page->row[i]);
        free(page);
        if (level == 0)
            break;
        level--;
    }
    *tree = (struct stead_rowtree){0};
}

/* ---- Finding -------------------------------------------------------------------------------- */

bool stead_rowtree_find(const struct stead_rowtree *tree, struct stead_slice key, struct stead_rowtree_path *ret_path)
{
    struct stead_rowtree_page *page = tree->root;
    bool equal;
    for (uint32_t level = 0; level < tree->height; level++) {
        uint32_t at = lower_bound(page, key, &equal);
        if (equal)
            at++; /* a separator is the first key of the child behind it */
        ret_path->page[level] = page;
        ret_path->at[level] = (uint16_t)at;
        page = page->child[at];
        prefetch(page);
    }
    ret_path->page[tree->height] = page;
    ret_path->at[tree->height] = (uint16_t)lower_bound(page, key, &equal);
    return equal;
}

struct stead_row *stead_rowtree_row(const struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    uint32_t level = tree->height;
    struct stead_rowtree_page *leaf = path->page[level];
    if (path->at[level] < leaf->count)
        return leaf->row[path->at[level]];
    if (leaf->next == NULL)
        return NULL;
    path->page[level] = leaf->next;
    path->at[level] = 0;
    return leaf->next->row[0];
}

void stead_rowtree_next(const struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    path->at[tree->height]++;
}

bool stead_rowtree_previous(const struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    uint32_t level = tree->height;
    if (path->at[level] == 0) {
        struct stead_rowtree_page *previous = path->page[level]->previous;
        if (previous == NULL)
            return false;
        path->page[level] = previous;
        path->at[level] = previous->count;
    }
    path->at[level]--;
    return true;
}

/* ---- Growing -------------------------------------------------------------------------------- */

/* The shortest key above `left` and not above `right`. */
static struct stead_row *separate(struct stead_rowtree *tree, const struct stead_row *left,
                                  const struct stead_row *right)
{
    size_t size = (size_t)common_prefix(stead_row_key_of(left), stead_row_key_of(right)) + 1;
    tree->page_bytes += offsetof(struct stead_row, bytes) + size;
    return stead_row_create((struct stead_slice){right->bytes, size}, 0);
}

static void grow_root(struct stead_rowtree *tree, struct stead_row *separator, struct stead_rowtree_page *right)
{
    STEAD_ASSERT(tree->height < STEAD_ROWTREE_HEIGHT_MAX);
    struct stead_rowtree_page *root = create_page(tree, INNER_BYTES);
    put_key(root, 0, separator);
    root->child[0] = tree->root;
    root->child[1] = right;
    tree->root = root;
    tree->height++;
}

static void put_child(struct stead_rowtree_page *inner, uint32_t at, struct stead_row *separator,
                      struct stead_rowtree_page *right)
{
    memmove(&inner->child[at + 2], &inner->child[at + 1], (inner->count - at) * sizeof(inner->child[0]));
    inner->child[at + 1] = right;
    put_key(inner, at, separator);
}

/* Splits a full inner page in two; the separator between them goes up. */
static struct stead_rowtree_page *split_inner(struct stead_rowtree *tree, struct stead_rowtree_page *inner,
                                              struct stead_row **ret_separator)
{
    struct stead_rowtree_page *right = create_page(tree, INNER_BYTES);
    uint32_t middle = FANOUT / 2;
    memcpy(right->child, &inner->child[middle + 1], (FANOUT - middle) * sizeof(inner->child[0]));
    move_keys(inner, middle + 1, right);
    *ret_separator = take_key(inner, middle);
    renumber(inner);
    return right;
}

/* A page at `level + 1` of the path was split: hangs `right` behind it. */
static void insert_child(struct stead_rowtree *tree, struct stead_rowtree_path *path, struct stead_row *separator,
                         struct stead_rowtree_page *right)
{
    for (uint32_t level = tree->height; level-- > 0;) {
        struct stead_rowtree_page *inner = path->page[level];
        uint32_t at = path->at[level];
        if (inner->count < FANOUT) {
            put_child(inner, at, separator, right);
            return;
        }
        struct stead_row *up;
        struct stead_rowtree_page *half = split_inner(tree, inner, &up);
        if (at <= inner->count)
            put_child(inner, at, separator, right);
        else
            put_child(half, at - inner->count - 1u, separator, right);
        separator = up;
        right = half;
    }
    grow_root(tree, separator, right);
}

void stead_rowtree_insert(struct stead_rowtree *tree, struct stead_rowtree_path *path, struct stead_row *row)
{
    struct stead_rowtree_page *leaf = path->page[tree->height];
    uint32_t at = path->at[tree->height];
    tree->row_count++;
    if (leaf->count < FANOUT) {
        put_key(leaf, at, row);
        return;
    }
    struct stead_rowtree_page *right = create_leaf(tree);
    right->next = leaf->next;
    right->previous = leaf;
    if (leaf->next != NULL)
        leaf->next->previous = right;
    leaf->next = right;
    if (at == FANOUT) { /* growing in order: leave the leaf full */
        put_key(right, 0, row);
    } else {
        move_keys(leaf, FANOUT / 2, right);
        if (at <= FANOUT / 2)
            put_key(leaf, at, row);
        else
            put_key(right, at - FANOUT / 2, row);
    }
    insert_child(tree, path, separate(tree, leaf->row[leaf->count - 1], right->row[0]), right);
}

void stead_rowtree_replace(struct stead_rowtree *tree, struct stead_rowtree_path *path, struct stead_row *row)
{
    path->page[tree->height]->row[path->at[tree->height]] = row;
}

/* ---- Shrinking ------------------------------------------------------------------------------ */

/* Takes child `at` and the separator before it (or behind the first) out of an inner page that has at least one
 * separator. */
static void drop_child(struct stead_rowtree *tree, struct stead_rowtree_page *inner, uint32_t at)
{
    destroy_separator(tree, take_key(inner, at > 0 ? at - 1 : 0));
    memmove(&inner->child[at], &inner->child[at + 1], (inner->count + 1u - at) * sizeof(inner->child[0]));
}

/* The leaf of the path is empty: takes it, and every page above it that held nothing else, out of the tree. */
static void drop_leaf(struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    struct stead_rowtree_page *leaf = path->page[tree->height];
    if (leaf->previous != NULL)
        leaf->previous->next = leaf->next;
    if (leaf->next != NULL)
        leaf->next->previous = leaf->previous;
    free(leaf);
    tree->page_bytes -= LEAF_BYTES;
    for (uint32_t level = tree->height; level-- > 0;) {
        struct stead_rowtree_page *inner = path->page[level];
        if (inner->count > 0) {
            drop_child(tree, inner, path->at[level]);
            break;
        }
        free(inner);
        tree->page_bytes -= INNER_BYTES;
    }
    while (tree->height > 0 && tree->root->count == 0) {
        struct stead_rowtree_page *child = tree->root->child[0];
        free(tree->root);
        tree->page_bytes -= INNER_BYTES;
        tree->root = child;
        tree->height--;
    }
}

/* Joins the leaf of the path with its right neighbour when both fit into one page of the same parent. */
static void join_leaf(struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    struct stead_rowtree_page *leaf = path->page[tree->height];
    struct stead_rowtree_page *parent = path->page[tree->height - 1];
    uint32_t at = path->at[tree->height - 1];
    if (at >= parent->count || leaf->count + parent->child[at + 1]->count > JOINED_MAX)
        return;
    struct stead_rowtree_page *right = parent->child[at + 1];
    memcpy(&leaf->row[leaf->count], right->row, right->count * sizeof(right->row[0]));
    leaf->count = (uint16_t)(leaf->count + right->count);
    renumber(leaf);
    path->page[tree->height] = right;
    path->at[tree->height - 1] = (uint16_t)(at + 1);
    drop_leaf(tree, path);
}

struct stead_row *stead_rowtree_take(struct stead_rowtree *tree, struct stead_rowtree_path *path)
{
    struct stead_rowtree_page *leaf = path->page[tree->height];
    struct stead_row *row = take_key(leaf, path->at[tree->height]);
    tree->row_count--;
    if (tree->height == 0)
        return row;
    if (leaf->count == 0)
        drop_leaf(tree, path);
    else if (leaf->count <= JOIN_AT)
        join_leaf(tree, path);
    return row;
}

/* ---- Checking ------------------------------------------------------------------------------- */

static void check_page(const struct stead_rowtree_page *page)
{
    STEAD_ASSERT(page->count <= FANOUT);
    for (uint32_t i = 0; i < page->count; i++) {
        struct stead_slice key = stead_row_key_of(page->row[i]);
        STEAD_ASSERT(key.size >= page->prefix && memcmp(key.data, page->row[0]->bytes, page->prefix) == 0);
        STEAD_ASSERT(page->number[i] == number_of(key, page->prefix));
        STEAD_ASSERT(i == 0 || compare_keys(stead_row_key_of(page->row[i - 1]), key, 0) < 0);
    }
}

void stead_rowtree_check(const struct stead_rowtree *tree)
{
    struct stead_rowtree_path path = {.page = {tree->root}};
    uint64_t row_count = 0;
    const struct stead_rowtree_page *previous = NULL;
    const struct stead_row *last = NULL;
    uint32_t level = 0;
    for (;;) {
        struct stead_rowtree_page *page = path.page[level];
        if (level < tree->height && path.at[level] <= page->count) {
            if (path.at[level] == 0)
                check_page(page);
            path.page[level + 1] = page->child[path.at[level]++];
            path.at[++level] = 0;
            continue;
        }
        if (level == tree->height) {
            check_page(page);
            STEAD_ASSERT(page->count > 0 || tree->height == 0);
            STEAD_ASSERT(page->previous == previous && (previous == NULL || previous->next == page));
            STEAD_ASSERT(last == NULL || compare_keys(stead_row_key_of(last), stead_row_key_of(page->row[0]), 0) < 0);
            for (uint32_t i = 0; i < page->count; i++) { /* every row is found where it is */
                struct stead_rowtree_path found;
                STEAD_ASSERT(stead_rowtree_find(tree, stead_row_key_of(page->row[i]), &found));
                STEAD_ASSERT(found.page[tree->height] == page && found.at[tree->height] == i);
            }
            last = page->count > 0 ? page->row[page->count - 1] : NULL;
            row_count += page->count;
            previous = page;
        }
        if (level == 0)
            break;
        level--;
    }
    STEAD_ASSERT(row_count == tree->row_count && (previous == NULL || previous->next == NULL));
}
