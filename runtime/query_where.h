/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_where: the conditions of a list of agents: fields of a stored image against values. Pure; one thread.
 */
#ifndef STEAD_RUNTIME_QUERY_WHERE_H
#define STEAD_RUNTIME_QUERY_WHERE_H

#include "runtime/base.h"
#include "stead/value.h"

#define STEAD_WHERE_MAX 16u        /* conditions of a list */
#define STEAD_WHERE_FIELDS_MAX 32u /* fields shown of each agent */

/* One condition; everything is borrowed from the query. */
struct stead_where_condition {
    struct stead_slice name;  /* of the field */
    struct stead_slice equal; /* the value that it must have; empty: a range */
    struct stead_slice from;  /* the least that it may be; empty: none */
    struct stead_slice below; /* what it must be less than; empty: none */
};

struct stead_where {
    struct stead_where_condition conditions[STEAD_WHERE_MAX];
    uint32_t count;
    struct stead_slice fields[STEAD_WHERE_FIELDS_MAX]; /* names, borrowed from the query */
    uint32_t field_count;
};

/* Reads `where` and `fields` of a query's arguments, both optional. STEAD_EARGUMENT: of another form, or too many. */
int stead_where_read(struct stead_slice args, struct stead_where *ret_where) STEAD_MUST_USE;
/* Does an image (one map, or empty) meet every condition? Numbers are compared as numbers, texts and binaries as bytes;
 * values of different types never meet. A field that is not there is nil. */
bool stead_where_meets(const struct stead_where *where, struct stead_slice image);
/* Writes a map of those of the wanted fields that the image has. */
void stead_where_write_fields(const struct stead_where *where, struct stead_slice image, struct stead_writer *writer);

#endif
