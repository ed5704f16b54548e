/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: the grammar of `kind/key` and the way from an address to its slot.
 *
 * The kind ends at the first slash; what follows is the key, slashes included. A key is text that can be shown and that
 * a row key can end with a zero byte: valid UTF-8 (no overlong forms, no surrogates, nothing past U+10FFFF) without
 * control characters.
 *
 * The slot's hash reads the whole address, or the tag alone when there is one: from the left, the first `{` and the
 * first `}` after it with something between. `x/{}{a}` therefore has the tag "a", and `x/{a` has none. A kind cannot
 * hold a brace, so a tag always comes from the key. FNV-1a mixes its last bytes badly; the finaliser of MurmurHash3
 * spreads them over all 64 bits, because the slot takes the low 12. Both are part of the format on disk: they never
 * change.
 */
#include "runtime/address.h"

#include <string.h>

/* ---- Grammar -------------------------------------------------------------------------------- */

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_name_inner(uint8_t c)
{
    return is_lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool stead_name_check(struct stead_slice name, size_t size_max)
{
    if (name.size == 0 || name.size > size_max || !is_lower(name.data[0]))
        return false;
    for (size_t i = 1; i < name.size; i++)
        if (!is_name_inner(name.data[i]))
            return false;
    return true;
}

bool stead_op_name_check(struct stead_slice name)
{
    if (name.size > 0 && name.size <= STEAD_OP_NAME_MAX && name.data[0] == '_') {
        name.data++;
        name.size--;
        for (size_t i = 0; i < name.size; i++)
            if (!is_name_inner(name.data[i]))
                return false;
        return true;
    }
    return stead_name_check(name, STEAD_OP_NAME_MAX);
}

/* Unicode, table 3-7. */
size_t stead_address_character(const uint8_t *at, size_t left)
{
    uint8_t first = at[0], low = 0x80, high = 0xbf;
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (size == 1)
        return first >= 0x20 && first != 0x7f;
    if (first < 0xc2 || first > 0xf4 || left < size)
        return 0;
    if (first == 0xc2) /* U+0080 to U+009F are controls */
        low = 0xa0;
    else if (first == 0xe0 || first == 0xf0) /* shorter forms exist */
        low = first == 0xe0 ? 0xa0 : 0x90;
    else if (first == 0xed || first == 0xf4) /* surrogates; past U+10FFFF */
        high = first == 0xed ? 0x9f : 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

int stead_address_check(struct stead_slice address, size_t *ret_kind_size)
{
    const uint8_t *slash = address.size == 0 ? NULL : memchr(address.data, '/', address.size);
    size_t kind_size, key_size;

    if (slash == NULL)
        return STEAD_EADDRESS;
    kind_size = (size_t)(slash - address.data);
    key_size = address.size - kind_size - 1;
    if (!stead_name_check((struct stead_slice){address.data, kind_size}, STEAD_KIND_NAME_MAX))
        return STEAD_EADDRESS;
    if (key_size == 0 || key_size > STEAD_KEY_MAX)
        return STEAD_EADDRESS;
    for (size_t at = 0, step; at < key_size; at += step) {
        step = stead_address_character(slash + 1 + at, key_size - at);
        if (step == 0)
            return STEAD_EADDRESS;
    }
    *ret_kind_size = kind_size;
    return 0;
}

/* ---- Slot ----------------------------------------------------------------------------------- */

uint64_t stead_hash(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a 64 */

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash ^= hash >> 33; /* fmix64 of MurmurHash3 */
    hash *= 0xff51afd7ed558ccdu;
    hash ^= hash >> 33;
    hash *= 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 33;
}

/* The first non-empty part in braces, or the whole address. */
static struct stead_slice hashed_part(struct stead_slice address)
{
    const uint8_t *at = address.data, *end = address.data + address.size;

    while (at < end) {
        const uint8_t *open = memchr(at, '{', (size_t)(end - at));
        const uint8_t *close = open == NULL ? NULL : memchr(open, '}', (size_t)(end - open));
        if (close == NULL)
            return address;
        if (close > open + 1)
            return (struct stead_slice){open + 1, (size_t)(close - open - 1)};
        at = close + 1;
    }
    return address;
}

stead_slot stead_address_slot(struct stead_slice address, unsigned group)
{
    struct stead_slice part = address.size == 0 ? address : hashed_part(address);
    uint64_t hash = stead_hash(part.data, part.size);

    return (stead_slot){(uint16_t)((group & (STEAD_GROUPS - 1)) << 12 | hash % STEAD_SLOTS_PER_GROUP)};
}
