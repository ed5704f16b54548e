/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: three bytes are four letters. The decoder takes exactly what the encoder makes: with one text for each
 * sequence of bytes, what is written at the shell compares equal when the bytes do.
 */
#include "cmd/base64.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *stead_base64_encode(struct stead_slice bytes)
{
    char *text = stead_alloc((bytes.size + 2) / 3 * 4 + 1);
    char *out = text;

    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        *out++ = letters[group >> 18];
        *out++ = letters[group >> 12 & 63];
        *out++ = left > 1 ? letters[group >> 6 & 63] : '=';
        *out++ = left > 2 ? letters[group & 63] : '=';
    }
    *out = 0;
    return text;
}

/* The six bits of a letter, or -1. */
static int bits_of(char letter)
{
    const char *at = letter ? strchr(letters, letter) : NULL;
    return at ? (int)(at - letters) : -1;
}

/* Decodes one group of four letters of which `count` carry bits (the others are padding); false when it is
 * malformed. */
static bool decode_group(const char *text, unsigned count, uint8_t *out)
{
    uint32_t group = 0;

    for (unsigned i = 0; i < count; i++) {
        int bits = bits_of(text[i]);
        if (bits < 0)
            return false;
        group |= (uint32_t)bits << (18 - 6 * i);
    }
    if ((count == 2 && (group & 0xffff)) || (count == 3 && (group & 0xff)))
        return false;
    out[0] = (uint8_t)(group >> 16);
    if (count > 2)
        out[1] = (uint8_t)(group >> 8);
    if (count > 3)
        out[2] = (uint8_t)group;
    return true;
}

int stead_base64_decode(const char *text, size_t text_size, uint8_t **ret_bytes, size_t *ret_size)
{
    if (text_size % 4)
        return STEAD_EARGUMENT;
    uint8_t *bytes = stead_alloc(text_size / 4 * 3 + 1);
    size_t size = 0;

    for (size_t i = 0; i < text_size; i += 4) {
        unsigned count = 4;
        if (i + 4 == text_size)
            count = text[i + 3] != '=' ? 4 : text[i + 2] != '=' ? 3 : 2;
        if (!decode_group(text + i, count, bytes + size)) {
            free(bytes);
            return STEAD_EARGUMENT;
        }
        size += count - 1;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}
