/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields: the automatic storage of a state struct, driven by its field table.
 *
 * Stored form: a map from the field's name to its value, in the table's order; numbers in their shortest form. The same
 * state therefore always encodes to the same bytes, which is how a failed turn finds out whether it changed anything.
 *
 * A table outlives its first version by names alone:
 *   F1  a stored name that the table does not know is ignored;
 *   F2  a field that is not stored (or stored as nil) keeps what the struct holds, that is what init or zero gave it;
 *   F3  a field is read under `was` too, but its new name wins when both are stored;
 *   F4  numbers may be widened: a stored integer fits any integer field that can hold its value, and a double.
 * What does not fit is STEAD_ECORRUPT: guessing would change a state in silence.
 *
 * Tables nest at most NESTING_MAX deep (checked when a kind is registered), which bounds the recursion below; stored
 * bytes never do. Elements of a list are made anew at each decode, so nothing of an old element shines through; all
 * memory of a struct behind pointers is in its buffers, which deinit() frees for the whole capacity of a list, used or
 * not.
 */
#include "runtime/fields.h"

#include <stdlib.h>

#include "runtime/base.h"

#define NESTING_MAX 8
#define NAME_MAX_SIZE 63
#define FIELDS_MAX 1024u /* in one table */
#define WHY_SIZE 256
#define BUFFER_SIZE_MAX (UINT32_MAX / 2)
#define MALLOC_OVERHEAD 16u /* of a block */

/* ---- Buffers -------------------------------------------------------------------------------- */

void stead_buffer_set(struct stead_buffer *buffer, struct stead_slice bytes)
{
    STEAD_ASSERT(bytes.size <= BUFFER_SIZE_MAX);
    if (bytes.size > buffer->capacity) {
        /* The bytes may be a part of this buffer: the old memory lives until they are copied. */
        uint8_t *data = stead_alloc(bytes.size);
        memcpy(data, bytes.data, bytes.size);
        free(buffer->data);
        buffer->data = data;
        buffer->capacity = (uint32_t)bytes.size;
    } else if (bytes.size > 0) {
        memmove(buffer->data, bytes.data, bytes.size);
    }
    buffer->size = (uint32_t)bytes.size;
}

struct stead_slice stead_buffer_get(const struct stead_buffer *buffer)
{
    return (struct stead_slice){buffer->data, buffer->size};
}

/* ---- Checking a table ----------------------------------------------------------------------- */

/* Bytes that a member of this type must have; 0: any. */
static uint32_t type_size(enum stead_field_type type)
{
    switch (type) {
    case STEAD_FIELD_BOOL:
        return sizeof(bool);
    case STEAD_FIELD_I8:
    case STEAD_FIELD_U8:
        return 1;
    case STEAD_FIELD_I16:
    case STEAD_FIELD_U16:
        return 2;
    case STEAD_FIELD_I32:
    case STEAD_FIELD_U32:
        return 4;
    case STEAD_FIELD_I64:
    case STEAD_FIELD_U64:
    case STEAD_FIELD_F64:
        return 8;
    case STEAD_FIELD_BUFFER:
        return sizeof(struct stead_buffer);
    default:
        return 0;
    }
}

static bool has_table(const struct stead_field *field)
{
    return field->type == STEAD_FIELD_STRUCT || field->type == STEAD_FIELD_LIST;
}

static int refuse(char *ret_why, const char *field, const char *why)
{
    if (ret_why != NULL)
        stead_format(ret_why, WHY_SIZE, "field %.64s: %s", field, why);
    return STEAD_EARGUMENT;
}

static bool name_fits(const char *name)
{
    return name[0] != 0 && strnlen(name, NAME_MAX_SIZE + 1) <= NAME_MAX_SIZE;
}

/* Whether an earlier field answers to this name. */
static bool name_is_taken(const struct stead_field *fields, uint32_t before, const char *name)
{
    for (uint32_t i = 0; i < before; i++)
        if (strcmp(fields[i].name, name) == 0 || (fields[i].was != NULL && strcmp(fields[i].was, name) == 0))
            return true;
    return false;
}

static int check_names(const struct stead_field *fields, uint32_t at, char *ret_why)
{
    const struct stead_field *field = &fields[at];

    if (!name_fits(field->name) || (field->was != NULL && !name_fits(field->was)))
        return refuse(ret_why, field->name, "a name has 1 to 63 bytes");
    if (name_is_taken(fields, at, field->name))
        return refuse(ret_why, field->name, "the name is there twice");
    if (field->was != NULL && (name_is_taken(fields, at, field->was) || strcmp(field->was, field->name) == 0))
        return refuse(ret_why, field->name, "its older name is there twice");
    return 0;
}

static int check_place(const struct stead_field *field, uint32_t state_size, char *ret_why)
{
    bool list = field->type == STEAD_FIELD_LIST;
    uint64_t size = (uint64_t)field->size * (list ? field->capacity : 1);

    if (field->type > STEAD_FIELD_LIST)
        return refuse(ret_why, field->name, "unknown type");
    if (size == 0 || (type_size(field->type) != 0 && type_size(field->type) != field->size))
        return refuse(ret_why, field->name, "its type and its size differ");
    if (field->offset > state_size || size > state_size - field->offset)
        return refuse(ret_why, field->name, "it lies outside the state");
    if (list && (state_size < sizeof(uint32_t) || field->count_offset > state_size - sizeof(uint32_t)))
        return refuse(ret_why, field->name, "its count lies outside the state");
    if (has_table(field) && field->fields == NULL)
        return refuse(ret_why, field->name, "it needs a field table of its own");
    return 0;
}

static int check_table(const struct stead_field *fields, uint32_t state_size, int nesting, char *ret_why)
{
    for (uint32_t at = 0; fields[at].name != NULL; at++) {
        const struct stead_field *field = &fields[at];
        int code = at == FIELDS_MAX ? refuse(ret_why, field->name, "the table has too many fields") : 0;

        if (code == 0)
            code = check_names(fields, at, ret_why);
        if (code == 0)
            code = check_place(field, state_size, ret_why);
        if (code == 0 && has_table(field))
            code = nesting == NESTING_MAX ? refuse(ret_why, field->name, "tables nest too deep")
                                          : check_table(field->fields, field->size, nesting + 1, ret_why);
        if (code != 0)
            return code;
    }
    return 0;
}

int stead_fields_check(const struct stead_field *fields, uint32_t state_size, char *ret_why)
{
    return check_table(fields, state_size, 1, ret_why);
}

/* ---- Encoding ------------------------------------------------------------------------------- */

/* Members are read through this: a table may describe a packed struct. */
#define LOAD(type, member) (*(const struct __attribute__((packed, may_alias)) { type v; } *)(member)).v

static uint32_t list_count(const struct stead_field *field, const uint8_t *state)
{
    return stead_load32(state + field->count_offset);
}

static void encode_list(const struct stead_field *field, const uint8_t *state, struct stead_writer *writer)
{
    uint32_t count = list_count(field, state);

    STEAD_ASSERT(count <= field->capacity); /* an op wrote past its own list */
    stead_write_array(writer, count);
    for (uint32_t i = 0; i < count; i++)
        stead_fields_encode(field->fields, state + field->offset + (size_t)i * field->size, writer);
}

static void encode_field(const struct stead_field *field, const uint8_t *state, struct stead_writer *writer)
{
    const uint8_t *member = state + field->offset;
    struct stead_buffer buffer;

    switch (field->type) {
    case STEAD_FIELD_BOOL:
        stead_write_bool(writer, *member != 0);
        return;
    case STEAD_FIELD_I8:
        stead_write_i64(writer, LOAD(int8_t, member));
        return;
    case STEAD_FIELD_I16:
        stead_write_i64(writer, LOAD(int16_t, member));
        return;
    case STEAD_FIELD_I32:
        stead_write_i64(writer, LOAD(int32_t, member));
        return;
    case STEAD_FIELD_I64:
        stead_write_i64(writer, LOAD(int64_t, member));
        return;
    case STEAD_FIELD_U8:
        stead_write_u64(writer, *member);
        return;
    case STEAD_FIELD_U16:
        stead_write_u64(writer, LOAD(uint16_t, member));
        return;
    case STEAD_FIELD_U32:
        stead_write_u64(writer, LOAD(uint32_t, member));
        return;
    case STEAD_FIELD_U64:
        stead_write_u64(writer, LOAD(uint64_t, member));
        return;
    case STEAD_FIELD_F64:
        stead_write_f64(writer, LOAD(double, member));
        return;
    case STEAD_FIELD_TEXT:
        stead_write_str_slice(writer, stead_bytes(member, strnlen((const char *)member, field->size)));
        return;
    case STEAD_FIELD_BUFFER:
        memcpy(&buffer, member, sizeof buffer);
        stead_write_bin(writer, stead_buffer_get(&buffer));
        return;
    case STEAD_FIELD_STRUCT:
        stead_fields_encode(field->fields, member, writer);
        return;
    case STEAD_FIELD_LIST:
        encode_list(field, state, writer);
        return;
    }
}

void stead_fields_encode(const struct stead_field *fields, const void *state, struct stead_writer *writer)
{
    uint32_t count = 0;

    while (fields[count].name != NULL)
        count++;
    stead_write_map(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        stead_write_str(writer, fields[i].name);
        encode_field(&fields[i], state, writer);
    }
}

/* ---- Decoding ------------------------------------------------------------------------------- */

static int decode_signed(uint8_t *member, uint32_t size, struct stead_reader *reader)
{
    int64_t it;

    if (stead_read_i64(reader, &it) != 0)
        return STEAD_ECORRUPT;
    if (size < 8 && (it < -(INT64_C(1) << (8 * size - 1)) || it >= INT64_C(1) << (8 * size - 1)))
        return STEAD_ECORRUPT;
    memcpy(member, &it, size); /* little-endian: the low bytes come first */
    return 0;
}

static int decode_unsigned(uint8_t *member, uint32_t size, struct stead_reader *reader)
{
    uint64_t it;

    if (stead_read_u64(reader, &it) != 0 || (size < 8 && it >> (8 * size) != 0))
        return STEAD_ECORRUPT;
    memcpy(member, &it, size);
    return 0;
}

/* The zero of a text is its end: one inside would be lost at the next encode. */
static int decode_text(uint8_t *member, uint32_t size, struct stead_reader *reader)
{
    struct stead_slice text;

    if (stead_read_str(reader, &text) != 0 || text.size >= size || memchr(text.data, 0, text.size) != NULL)
        return STEAD_ECORRUPT;
    memcpy(member, text.data, text.size);
    memset(member + text.size, 0, size - text.size);
    return 0;
}

static int decode_buffer(uint8_t *member, struct stead_reader *reader)
{
    struct stead_slice bytes;
    struct stead_buffer buffer;

    if (stead_read_bin(reader, &bytes) != 0 || bytes.size > BUFFER_SIZE_MAX)
        return STEAD_ECORRUPT;
    memcpy(&buffer, member, sizeof buffer);
    stead_buffer_set(&buffer, bytes);
    memcpy(member, &buffer, sizeof buffer);
    return 0;
}

static int decode_table(const struct stead_field *fields, uint8_t *state, struct stead_reader *reader);

static int decode_list(const struct stead_field *field, uint8_t *state, struct stead_reader *reader)
{
    uint32_t count, old = list_count(field, state);

    if (stead_read_array(reader, &count) != 0 || count > field->capacity)
        return STEAD_ECORRUPT;
    if (old > field->capacity)
        old = field->capacity;
    for (uint32_t i = 0; i < (count > old ? count : old); i++) {
        uint8_t *element = state + field->offset + (size_t)i * field->size;
        stead_fields_deinit(field->fields, element);
        memset(element, 0, field->size);
        if (i < count && decode_table(field->fields, element, reader) != 0)
            return STEAD_ECORRUPT;
    }
    stead_store32(state + field->count_offset, count);
    return 0;
}

static int decode_field(const struct stead_field *field, uint8_t *state, struct stead_reader *reader)
{
    uint8_t *member = state + field->offset;
    bool truth;
    double number;

    switch (field->type) {
    case STEAD_FIELD_BOOL:
        if (stead_read_bool(reader, &truth) != 0)
            return STEAD_ECORRUPT;
        *member = truth;
        return 0;
    case STEAD_FIELD_I8:
    case STEAD_FIELD_I16:
    case STEAD_FIELD_I32:
    case STEAD_FIELD_I64:
        return decode_signed(member, field->size, reader);
    case STEAD_FIELD_U8:
    case STEAD_FIELD_U16:
    case STEAD_FIELD_U32:
    case STEAD_FIELD_U64:
        return decode_unsigned(member, field->size, reader);
    case STEAD_FIELD_F64:
        if (stead_read_f64(reader, &number) != 0)
            return STEAD_ECORRUPT;
        memcpy(member, &number, sizeof number);
        return 0;
    case STEAD_FIELD_TEXT:
        return decode_text(member, field->size, reader);
    case STEAD_FIELD_BUFFER:
        return decode_buffer(member, reader);
    case STEAD_FIELD_STRUCT:
        return decode_table(field->fields, member, reader);
    case STEAD_FIELD_LIST:
        return decode_list(field, state, reader);
    }
    return STEAD_ECORRUPT;
}

static bool name_equal(const char *name, struct stead_slice stored)
{
    return strnlen(name, NAME_MAX_SIZE + 1) == stored.size && memcmp(name, stored.data, stored.size) == 0;
}

/* The field that a stored name belongs to, NULL when none. `expected` is tried first: images come in the table's
 * order. */
static const struct stead_field *find_field(const struct stead_field *fields, const struct stead_field *expected,
                                            struct stead_slice stored)
{
    if (expected->name != NULL && name_equal(expected->name, stored))
        return expected;
    for (const struct stead_field *field = fields; field->name != NULL; field++)
        if (name_equal(field->name, stored) || (field->was != NULL && name_equal(field->was, stored)))
            return field;
    return NULL;
}

/* Whether the value under an older name is overruled by one under the new name (F3). */
static bool is_superseded(const struct stead_field *field, struct stead_slice stored, struct stead_slice map)
{
    struct stead_slice newer;
    return !name_equal(field->name, stored) && stead_get_value(map, field->name, &newer) == 0;
}

/* Reads one map into a struct. */
static int decode_table(const struct stead_field *fields, uint8_t *state, struct stead_reader *reader)
{
    const struct stead_field *expected = fields;
    struct stead_slice map = {reader->at, (size_t)(reader->end - reader->at)};
    uint32_t pairs;

    if (stead_read_map(reader, &pairs) != 0)
        return STEAD_ECORRUPT;
    for (; pairs > 0; pairs--) {
        const struct stead_field *field = NULL;
        struct stead_slice stored;
        int code = stead_read_str(reader, &stored);

        if (code == STEAD_EARGUMENT) /* a key that is no text is no name */
            code = stead_read_skip(reader);
        else if (code == 0)
            field = find_field(fields, expected, stored);
        if (code != 0)
            return STEAD_ECORRUPT;
        if (field == NULL || stead_peek(reader) == STEAD_NIL || is_superseded(field, stored, map)) {
            if (stead_read_skip(reader) != 0)
                return STEAD_ECORRUPT;
            continue;
        }
        if (decode_field(field, state, reader) != 0)
            return STEAD_ECORRUPT;
        expected = field + 1;
    }
    return 0;
}

int stead_fields_decode(const struct stead_field *fields, void *state, struct stead_slice image)
{
    struct stead_reader reader = stead_reader(image);

    if (image.size == 0 || stead_read_nil(&reader) == 0) /* stored by a version without fields: F2 for all of them */
        return 0;
    return decode_table(fields, state, &reader);
}

/* ---- What does not fit ---------------------------------------------------------------------- */

static const char *type_name(enum stead_field_type type)
{
    static const char *const names[] = {"bool", "i8",  "i16", "i32",  "i64",    "u8",     "u16",
                                        "u32",  "u64", "f64", "text", "buffer", "struct", "list"};
    return names[type];
}

/* What is stored, for a person. */
static void describe(struct stead_reader reader, char *ret_text, size_t size)
{
    static const char *const names[] = {"nothing", "a bool",   "an integer", "a float",     "text",
                                        "bytes",   "an array", "a map",      "an extension"};
    struct stead_reader at = reader;
    struct stead_slice text;
    uint64_t above;
    int64_t number;

    if (stead_read_i64(&at, &number) == 0)
        (void)stead_format(ret_text, size, "%lld", (long long)number);
    else if (stead_read_u64(&at, &above) == 0)
        (void)stead_format(ret_text, size, "%llu", (unsigned long long)above);
    else if (stead_read_str(&at, &text) == 0 || stead_read_bin(&at, &text) == 0)
        (void)stead_format(ret_text, size, "%s of %zu bytes", names[stead_peek(&reader)], text.size);
    else
        (void)stead_format(ret_text, size, "%s", names[stead_peek(&reader)]);
}

/* The first field of a map that does not take its value, which `reader` is at then; NULL: none is found. */
static const struct stead_field *find_misfit(const struct stead_field *fields, uint8_t *state,
                                             struct stead_reader *reader)
{
    struct stead_slice map = {reader->at, (size_t)(reader->end - reader->at)}, stored;
    uint32_t pairs;

    if (stead_read_map(reader, &pairs) != 0)
        return NULL;
    for (; pairs > 0; pairs--) {
        const struct stead_field *field = NULL;
        if (stead_read_str(reader, &stored) == 0)
            field = find_field(fields, fields, stored);
        else if (stead_read_skip(reader) != 0)
            return NULL;
        struct stead_reader value = *reader;
        if (field != NULL && stead_peek(reader) != STEAD_NIL && !is_superseded(field, stored, map) &&
            decode_field(field, state, &value) != 0)
            return field;
        if (stead_read_skip(reader) != 0)
            return NULL;
    }
    return NULL;
}

void stead_fields_explain(const struct stead_field *fields, void *state, struct stead_slice image,
                          char ret_why[STEAD_FIELDS_WHY_SIZE])
{
    struct stead_reader reader = stead_reader(image);
    char path[128] = "", found[64];
    uint8_t *at = state;
    const struct stead_field *misfit;

    ret_why[0] = '\0';
    for (size_t size = 0;;) { /* down to the innermost struct: at most NESTING_MAX times */
        misfit = find_misfit(fields, at, &reader);
        if (misfit == NULL)
            return;
        if (size < sizeof(path))
            size += stead_format(path + size, sizeof(path) - size, size == 0 ? "%s" : ".%s", misfit->name);
        if (misfit->type != STEAD_FIELD_STRUCT || stead_peek(&reader) != STEAD_MAP)
            break;
        fields = misfit->fields;
        at += misfit->offset;
    }
    describe(reader, found, sizeof(found));
    (void)stead_format(ret_why, STEAD_FIELDS_WHY_SIZE, "field %s (%s) does not take what is stored: %s", path,
                       type_name(misfit->type), found);
}

/* ---- Memory --------------------------------------------------------------------------------- */

static bool has_buffers(const struct stead_field *fields)
{
    for (; fields->name != NULL; fields++)
        if (fields->type == STEAD_FIELD_BUFFER || (has_table(fields) && has_buffers(fields->fields)))
            return true;
    return false;
}

static uint64_t buffer_bytes(const uint8_t *member)
{
    struct stead_buffer buffer;

    memcpy(&buffer, member, sizeof buffer);
    return buffer.data == NULL ? 0 : (uint64_t)buffer.capacity + MALLOC_OVERHEAD;
}

uint64_t stead_fields_bytes(const struct stead_field *fields, const void *state)
{
    uint64_t bytes = 0;

    for (; fields->name != NULL; fields++) {
        const uint8_t *member = (const uint8_t *)state + fields->offset;

        if (fields->type == STEAD_FIELD_BUFFER)
            bytes += buffer_bytes(member);
        else if (fields->type == STEAD_FIELD_STRUCT)
            bytes += stead_fields_bytes(fields->fields, member);
        else if (fields->type == STEAD_FIELD_LIST && has_buffers(fields->fields))
            for (uint32_t i = 0; i < fields->capacity; i++)
                bytes += stead_fields_bytes(fields->fields, member + (size_t)i * fields->size);
    }
    return bytes;
}

void stead_fields_deinit(const struct stead_field *fields, void *state)
{
    for (; fields->name != NULL; fields++) {
        uint8_t *member = (uint8_t *)state + fields->offset;

        if (fields->type == STEAD_FIELD_BUFFER) {
            struct stead_buffer buffer;
            memcpy(&buffer, member, sizeof buffer);
            free(buffer.data);
            memset(member, 0, sizeof buffer);
        } else if (fields->type == STEAD_FIELD_STRUCT) {
            stead_fields_deinit(fields->fields, member);
        } else if (fields->type == STEAD_FIELD_LIST && has_buffers(fields->fields)) {
            for (uint32_t i = 0; i < fields->capacity; i++)
                stead_fields_deinit(fields->fields, member + (size_t)i * fields->size);
        }
    }
}
