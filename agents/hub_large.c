/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_large: parcels and values in parts (docs/FORMATS.md, "The hub"):
 *
 *     q (parcel) (number)   a piece of a parcel
 *     r (ms) (parcel)       its first piece came then
 *     key 0xff (number)     a part of the value whose row is `key`
 */
#include "agents/hub_large.h"

#define PIECES_MAX 64u /* of a parcel: what a turn holds */
#define SWEPT_MAX 8u   /* parcels, perhaps of the dead, that another one sees off */
#define KEPT_MS 3600000

static struct stead_hub_key piece_key(struct stead_slice parcel, uint64_t at)
{
    struct stead_hub_key key = {.bytes = {'q'}, .size = 1};

    stead_hub_key_add(&key, parcel);
    stead_hub_key_u64(&key, at);
    return key;
}

static struct stead_hub_key part_key(struct stead_hub_key key, uint64_t at)
{
    key.bytes[key.size++] = 0xff;
    stead_hub_key_u64(&key, at);
    return key;
}

/* ---- Parcels ------------------------------------------------------------------------------------- */

struct old_parcels {
    struct stead_hub_key keys[SWEPT_MAX];
    uint32_t count;
};

static int see_parcel(void *context, struct stead_slice key, struct stead_slice value)
{
    struct old_parcels *old = context;

    (void)value;
    old->keys[old->count].size = 0;
    stead_hub_key_add(&old->keys[old->count++], key);
    return 0;
}

/* What is left of them goes. */
static int sweep(struct stead_turn *turn)
{
    struct old_parcels old = {.count = 0};
    struct stead_hub_key from = {.bytes = {'r'}, .size = 1}, to = from;
    uint32_t count = 0;

    stead_hub_key_u64(&to, (uint64_t)(stead_now_ms(turn) > KEPT_MS ? stead_now_ms(turn) - KEPT_MS : 0));
    int code = stead_kv_scan(turn, stead_hub_key(&from), stead_hub_key(&to), SWEPT_MAX, see_parcel, &old);
    for (uint32_t at = 0; at < old.count && code == 0; at++) {
        struct stead_slice row = stead_hub_key(&old.keys[at]);
        struct stead_slice parcel = stead_bytes(row.data + 9, row.size - 9);
        struct stead_hub_key first = piece_key(parcel, 0), last = piece_key(parcel, PIECES_MAX);
        code = stead_kv_delete(turn, row);
        if (code == 0)
            code = stead_kv_delete_range(turn, stead_hub_key(&first), stead_hub_key(&last), PIECES_MAX, &count);
    }
    return code;
}

/* A parcel begins. */
static int note_parcel(struct stead_turn *turn, struct stead_slice parcel)
{
    struct stead_hub_key key = {.bytes = {'r'}, .size = 1};
    int code = sweep(turn);

    stead_hub_key_u64(&key, (uint64_t)stead_now_ms(turn));
    stead_hub_key_add(&key, parcel);
    return code != 0 ? code : stead_kv_put(turn, stead_hub_key(&key), stead_str("1"));
}

int stead_hub_piece(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct stead_slice parcel, bytes;
    uint64_t at = 0;

    (void)state;
    if (stead_get_bin(args, "parcel", &parcel) != 0 || parcel.size != STEAD_HUB_PARCEL_SIZE ||
        stead_get_u64(args, "at", &at) != 0 || at >= PIECES_MAX || stead_get_bin(args, "bytes", &bytes) != 0)
        return stead_fail(turn, "bad_argument", "piece takes parcel, at and bytes");
    struct stead_hub_key key = piece_key(parcel, at);
    int code = at == 0 ? note_parcel(turn, parcel) : 0;
    return code != 0 ? code : stead_kv_put(turn, stead_hub_key(&key), bytes);
}

int stead_hub_unpack(struct stead_turn *turn, struct stead_slice args, struct stead_slice *ret_args)
{
    struct stead_slice parcel, piece;
    struct stead_writer all;
    uint64_t pieces = 0;
    int code = 0;

    *ret_args = args;
    if (stead_get_bin(args, "parcel", &parcel) != 0)
        return 0;
    if (parcel.size != STEAD_HUB_PARCEL_SIZE || stead_get_u64(args, "pieces", &pieces) != 0 || pieces > PIECES_MAX)
        return stead_fail(turn, "bad_argument", "a parcel has a name and a number of pieces");
    stead_writer_init(&all);
    for (uint64_t at = 0; at < pieces && code == 0; at++) {
        struct stead_hub_key key = piece_key(parcel, at);
        code = stead_kv_get(turn, stead_hub_key(&key), &piece);
        if (code == 0)
            stead_write_raw(&all, piece.data, piece.size);
        if (code == 0)
            code = stead_kv_delete(turn, stead_hub_key(&key));
    }
    uint8_t *copy = stead_turn_alloc(turn, all.size + 1);
    if (all.size > 0)
        memcpy(copy, all.data, all.size);
    *ret_args = stead_bytes(copy, all.size);
    stead_writer_deinit(&all);
    if (code == 0 && stead_value_check(*ret_args) != 0)
        return stead_fail(turn, "bad_argument", "a parcel holds one value");
    return code == STEAD_ENOTFOUND ? STEAD_EIO : code;
}

/* ---- Parts ------------------------------------------------------------------------------------------ */

/* How many parts the row says; 0: it is the value itself. */
static uint32_t parts_of(struct stead_slice row)
{
    return row.size == 2 && row.data[0] == STEAD_HUB_PART_MARK ? row.data[1] : 0;
}

/* Deletes the parts of what is there; `ret_found`: it is. */
static int delete_parts(struct stead_turn *turn, struct stead_hub_key key, bool *ret_found)
{
    struct stead_slice row;
    int code = stead_kv_get(turn, stead_hub_key(&key), &row);
    uint32_t parts = code == 0 ? parts_of(row) : 0;

    *ret_found = code == 0;
    for (uint32_t at = 0; at < parts && code == 0; at++) {
        struct stead_hub_key part = part_key(key, at);
        code = stead_kv_delete(turn, stead_hub_key(&part));
    }
    return code == STEAD_ENOTFOUND ? 0 : code;
}

int stead_hub_large_delete(struct stead_turn *turn, struct stead_hub_key key)
{
    bool found = false;
    int code = delete_parts(turn, key, &found);

    return code == 0 && found ? stead_kv_delete(turn, stead_hub_key(&key)) : code;
}

int stead_hub_large_put(struct stead_turn *turn, struct stead_hub_key key, struct stead_slice value)
{
    uint8_t row[2] = {STEAD_HUB_PART_MARK, 0};
    bool found = false;
    int code = delete_parts(turn, key, &found);

    if (code != 0 || value.size <= STEAD_HUB_PART_MAX)
        return code != 0 ? code : stead_kv_put(turn, stead_hub_key(&key), value);
    while (value.size > 0 && code == 0) {
        struct stead_hub_key part = part_key(key, row[1]++);
        size_t size = value.size < STEAD_HUB_PIECE ? value.size : STEAD_HUB_PIECE;
        code = stead_kv_put(turn, stead_hub_key(&part), stead_bytes(value.data, size));
        value.data += size;
        value.size -= size;
    }
    return code != 0 ? code : stead_kv_put(turn, stead_hub_key(&key), stead_bytes(row, sizeof(row)));
}

int stead_hub_large_get(struct stead_turn *turn, struct stead_hub_key key, struct stead_slice *ret_value)
{
    struct stead_slice part;
    int code = stead_kv_get(turn, stead_hub_key(&key), ret_value);
    uint32_t parts = code == 0 ? parts_of(*ret_value) : 0;
    size_t size = 0;

    if (parts == 0)
        return code;
    uint8_t *all = stead_turn_alloc(turn, (size_t)parts * STEAD_HUB_PIECE);
    for (uint32_t at = 0; at < parts && code == 0; at++) {
        struct stead_hub_key its = part_key(key, at);
        code = stead_kv_get(turn, stead_hub_key(&its), &part);
        if (code == 0 && part.size > STEAD_HUB_PIECE)
            code = STEAD_ECORRUPT;
        if (code == 0)
            memcpy(all + size, part.data, part.size);
        size += code == 0 ? part.size : 0;
    }
    *ret_value = stead_bytes(all, size);
    return code == STEAD_ENOTFOUND ? STEAD_ECORRUPT : code;
}
