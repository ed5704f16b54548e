/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query_where: conditions on the fields of stored images, for lists of agents. There is no index: each image is walked
 * once, and what it does not name costs a few bytes' comparison, so a list over millions is bounded by reading them.
 */
#include "runtime/query_where.h"

/* ---- Reading the query ---------------------------------------------------------------------- */

static bool is_scalar(struct stead_slice value)
{
    struct stead_reader reader = stead_reader(value);
    enum stead_type type = stead_peek(&reader);

    return type != STEAD_ARRAY && type != STEAD_MAP && type != STEAD_EXT;
}

/* `from` or `below` of a range; a bound that is not there stays empty. */
static int read_range(struct stead_slice range, struct stead_where_condition *condition)
{
    struct stead_reader reader = stead_reader(range);
    uint32_t count;

    if (stead_read_map(&reader, &count) != 0 || count == 0 || count > 2)
        return STEAD_EARGUMENT;
    for (; count > 0; count--) {
        struct stead_slice name, value;
        if (stead_read_str(&reader, &name) != 0 || stead_read_value(&reader, &value) != 0 || !is_scalar(value))
            return STEAD_EARGUMENT;
        if (stead_slice_equal(name, stead_str("from")))
            condition->from = value;
        else if (stead_slice_equal(name, stead_str("below")))
            condition->below = value;
        else
            return STEAD_EARGUMENT;
    }
    return 0;
}

static int read_conditions(struct stead_slice map, struct stead_where *where)
{
    struct stead_reader reader = stead_reader(map);

    if (stead_read_map(&reader, &where->count) != 0 || where->count > STEAD_WHERE_MAX)
        return STEAD_EARGUMENT;
    for (uint32_t i = 0; i < where->count; i++) {
        struct stead_where_condition *condition = &where->conditions[i];
        struct stead_slice value;
        *condition = (struct stead_where_condition){.name = {0}};
        if (stead_read_str(&reader, &condition->name) != 0)
            return STEAD_EARGUMENT;
        bool range = stead_peek(&reader) == STEAD_MAP;
        if (stead_read_value(&reader, &value) != 0 || (!range && !is_scalar(value)))
            return STEAD_EARGUMENT;
        if (!range)
            condition->equal = value;
        else if (read_range(value, condition) != 0)
            return STEAD_EARGUMENT;
    }
    return 0;
}

static int read_fields(struct stead_slice list, struct stead_where *where)
{
    struct stead_reader reader = stead_reader(list);

    if (stead_read_array(&reader, &where->field_count) != 0 || where->field_count > STEAD_WHERE_FIELDS_MAX)
        return STEAD_EARGUMENT;
    for (uint32_t i = 0; i < where->field_count; i++)
        if (stead_read_str(&reader, &where->fields[i]) != 0)
            return STEAD_EARGUMENT;
    return 0;
}

int stead_where_read(struct stead_slice args, struct stead_where *ret_where)
{
    struct stead_where where;
    struct stead_slice value;

    where.count = where.field_count = 0;
    if (stead_get_value(args, "where", &value) == 0 && read_conditions(value, &where) != 0)
        return STEAD_EARGUMENT;
    if (stead_get_value(args, "fields", &value) == 0 && read_fields(value, &where) != 0)
        return STEAD_EARGUMENT;
    *ret_where = where;
    return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static int compare_integers(struct stead_reader *a, struct stead_reader *b)
{
    int64_t x, y;
    uint64_t ux = 0, uy = 0;
    bool x_small = stead_read_i64(a, &x) == 0, y_small = stead_read_i64(b, &y) == 0;

    if (x_small && y_small)
        return (x > y) - (x < y);
    if (x_small != y_small) /* above INT64_MAX is the greater one */
        return x_small ? -1 : 1;
    if (stead_read_u64(a, &ux) != 0 || stead_read_u64(b, &uy) != 0)
        return 0;
    return (ux > uy) - (ux < uy);
}

/* -1, 0, 1; false: they cannot be compared. */
static bool compare(struct stead_slice left, struct stead_slice right, int *ret_order)
{
    struct stead_reader a = stead_reader(left), b = stead_reader(right);
    enum stead_type type = stead_peek(&a), other = stead_peek(&b);
    struct stead_slice x, y;
    double p, q;
    bool s, t;

    if (type == STEAD_INT && other == STEAD_INT) {
        *ret_order = compare_integers(&a, &b);
        return true;
    }
    if ((type == STEAD_INT || type == STEAD_FLOAT) && (other == STEAD_INT || other == STEAD_FLOAT)) {
        if (stead_read_f64(&a, &p) != 0 || stead_read_f64(&b, &q) != 0 || p != p || q != q)
            return false;
        *ret_order = (p > q) - (p < q);
        return true;
    }
    if (type != other)
        return false;
    if (type == STEAD_NIL) {
        *ret_order = 0;
        return true;
    }
    if (type == STEAD_BOOL && stead_read_bool(&a, &s) == 0 && stead_read_bool(&b, &t) == 0) {
        *ret_order = (int)s - (int)t;
        return true;
    }
    bool texts = type == STEAD_STR && stead_read_str(&a, &x) == 0 && stead_read_str(&b, &y) == 0;
    if (!texts && !(type == STEAD_BIN && stead_read_bin(&a, &x) == 0 && stead_read_bin(&b, &y) == 0))
        return false;
    int order = stead_slice_compare(x, y);
    *ret_order = (order > 0) - (order < 0);
    return true;
}

static bool meets(const struct stead_where_condition *condition, struct stead_slice value)
{
    int order;

    if (condition->equal.size > 0)
        return compare(value, condition->equal, &order) && order == 0;
    return (condition->from.size == 0 || (compare(value, condition->from, &order) && order >= 0)) &&
           (condition->below.size == 0 || (compare(value, condition->below, &order) && order < 0));
}

bool stead_where_meets(const struct stead_where *where, struct stead_slice image)
{
    static const uint8_t nil[] = {0xc0};
    struct stead_reader reader = stead_reader(image);
    uint32_t count = 0, seen = 0; /* bit set over conditions */

    if (where->count == 0)
        return true;
    if (image.size == 0 || stead_read_map(&reader, &count) != 0)
        count = 0;
    for (; count > 0; count--) {
        struct stead_slice name, value;
        if (stead_read_str(&reader, &name) != 0 || stead_read_value(&reader, &value) != 0)
            return false;
        for (uint32_t i = 0; i < where->count; i++) {
            if (!stead_slice_equal(name, where->conditions[i].name))
                continue;
            if (!meets(&where->conditions[i], value))
                return false;
            seen |= 1u << i;
        }
    }
    for (uint32_t i = 0; i < where->count; i++)
        if ((seen & 1u << i) == 0 && !meets(&where->conditions[i], stead_bytes(nil, 1)))
            return false;
    return true;
}

void stead_where_write_fields(const struct stead_where *where, struct stead_slice image, struct stead_writer *writer)
{
    struct stead_slice found[STEAD_WHERE_FIELDS_MAX] = {{0}};
    struct stead_reader reader = stead_reader(image);
    uint32_t count = 0, present = 0;

    if (image.size == 0 || stead_read_map(&reader, &count) != 0)
        count = 0;
    for (; count > 0; count--) {
        struct stead_slice name, value;
        if (stead_read_str(&reader, &name) != 0 || stead_read_value(&reader, &value) != 0)
            break;
        for (uint32_t i = 0; i < where->field_count; i++)
            if (stead_slice_equal(name, where->fields[i]))
                found[i] = value;
    }
    for (uint32_t i = 0; i < where->field_count; i++)
        present += found[i].size > 0;
    stead_write_map(writer, present);
    for (uint32_t i = 0; i < where->field_count; i++) {
        if (found[i].size == 0)
            continue;
        stead_write_str_slice(writer, where->fields[i]);
        stead_write_value(writer, found[i]);
    }
}
