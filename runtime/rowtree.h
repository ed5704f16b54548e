/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rowtree: rows in memory, ordered by key: the structure below the overlay and below the in-memory store.
 * Pure memory, one thread. Rows are heap blocks; the tree holds pointers to them and frees them only in deinit.
 */
#ifndef STEAD_RUNTIME_ROWTREE_H
#define STEAD_RUNTIME_ROWTREE_H

#include "runtime/base.h"
#include "stead/value.h"

#define STEAD_ROWTREE_FANOUT 32u     /* rows of a leaf, separators of an inner node */
#define STEAD_ROWTREE_HEIGHT_MAX 12u /* inner levels: enough for more rows than memory */

/* The key, then the value, follow in `bytes`. Everything but the sizes is its owner's (overlay.c). */
struct stead_row {
    uint64_t index;          /* log index of its last change */
    uint32_t offered;        /* checkpoint round that wrote this version to the image; 0: none */
    uint32_t batch_at;       /* position in the open batch, while the flag says so */
    uint32_t value_size;     /* bytes */
    uint32_t value_capacity; /* bytes available to the value */
    uint16_t key_size;       /* bytes; never changes */
    uint8_t flags;           /* the owner's */
    uint8_t bytes[];
};

/* A row of its own with room for `value_capacity` bytes; free() it. */
struct stead_row *stead_row_create(struct stead_slice key, uint32_t value_capacity);

static inline struct stead_slice stead_row_key_of(const struct stead_row *row)
{
    return (struct stead_slice){row->bytes, row->key_size};
}

static inline struct stead_slice stead_row_value_of(const struct stead_row *row)
{
    return (struct stead_slice){row->bytes + row->key_size, row->value_size};
}

struct stead_rowtree_page; /* a leaf or an inner node */

struct stead_rowtree {
    struct stead_rowtree_page *root; /* never NULL */
    uint32_t height;                 /* inner levels above the leaves */
    uint64_t row_count;
    uint64_t page_bytes; /* heap bytes of pages and separators */
};

/* A place in the tree and the way to it. Valid until the tree changes through another path. */
struct stead_rowtree_path {
    struct stead_rowtree_page *page[STEAD_ROWTREE_HEIGHT_MAX + 1]; /* from the root; the last one is the leaf */
    uint16_t at[STEAD_ROWTREE_HEIGHT_MAX + 1];                     /* child taken; in the leaf: the row */
};

/* An empty tree in the caller's memory. */
void stead_rowtree_init(struct stead_rowtree *tree);
/* Frees the rows too. */
void stead_rowtree_deinit(struct stead_rowtree *tree);

/* Finds the first row whose key is not below `key`; true when it is that key. */
bool stead_rowtree_find(const struct stead_rowtree *tree, struct stead_slice key, struct stead_rowtree_path *ret_path);
/* The row at the path; NULL at the end of the tree. Steps over to the next leaf where needed. */
struct stead_row *stead_rowtree_row(const struct stead_rowtree *tree, struct stead_rowtree_path *path);
/* Moves on by one row, or back by one (false: there is none, the path is unusable). Only for walks: afterwards the way
 * to the leaf is not known any more, so change the tree only through a new find. */
void stead_rowtree_next(const struct stead_rowtree *tree, struct stead_rowtree_path *path);
bool stead_rowtree_previous(const struct stead_rowtree *tree, struct stead_rowtree_path *path);

/* Puts `row` where find() (false) of its key ended. The path is used up. */
void stead_rowtree_insert(struct stead_rowtree *tree, struct stead_rowtree_path *path, struct stead_row *row);
/* Exchanges the row that find() found for another block with the same key. */
void stead_rowtree_replace(struct stead_rowtree *tree, struct stead_rowtree_path *path, struct stead_row *row);
/* Takes out the row that find() found; it is the caller's. The path is used up. */
struct stead_row *stead_rowtree_take(struct stead_rowtree *tree, struct stead_rowtree_path *path);

/* Asserts order, links and counts. */
void stead_rowtree_check(const struct stead_rowtree *tree);

#endif
