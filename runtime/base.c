/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what the standard library offers, cut down to what a pure core may have.
 *
 * - An assertion that fails stops the process through the C library's own report (file, line, condition); nothing here
 *   opens a stream.
 * - Memory never fails: a runtime that has lost an allocation in the middle of a turn can only lose the turn, and the
 * log brings the
 *   turn back, so the process stops instead of every caller pretending to go on.
 * - Formatting is a small subset of printf without locale, streams or allocation: the same bytes on every machine,
 * which
 *   the simulator's trace hashes need. A conversion outside the subset ends the formatting: the rest of the format is
 *   copied as it stands, because the size of its argument is not known.
 * - The generator is xoshiro256**, seeded through splitmix64 so that neighbouring seeds give unrelated streams and no
 *   seed gives the all-zero state.
 */
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/base.h"

_Noreturn void stead_assert_failed(const char *condition, const char *file, int line)
{
    __assert_fail(condition, file, (unsigned)line, "stead");
}

/* ---- Memory --------------------------------------------------------------------------------- */

#define CACHED_MAX 1024u /* bytes of a block that the C library keeps for its thread */
/* Else the compiler makes malloc() and memset() a calloc() again. */
#ifdef __clang_analyzer__ /* it would lose sight of the block */
#define STEAD_OPAQUE(it) ((void)(it))
#else
#define STEAD_OPAQUE(it) __asm__ volatile("" : "+r"(it))
#endif

void *stead_alloc(size_t size)
{
    void *memory = malloc(size != 0 ? size : 1);
    STEAD_ASSERT(memory != NULL); /* out of memory */
    return memory;
}

/* A small block comes from the thread's cache, past which calloc() goes in some C libraries; a large one may come
 * zeroed from the kernel. */
void *stead_alloc_zero(size_t size)
{
    if (size > 0 && size <= CACHED_MAX) {
        void *block = malloc(size);
        STEAD_ASSERT(block != NULL); /* out of memory */
        STEAD_OPAQUE(block);
        return memset(block, 0, size);
    }
    void *memory = calloc(1, size != 0 ? size : 1);
    STEAD_ASSERT(memory != NULL); /* out of memory */
    return memory;
}

void *stead_realloc(void *memory, size_t size)
{
    void *moved = realloc(memory, size != 0 ? size : 1);
    STEAD_ASSERT(moved != NULL); /* out of memory */
    return moved;
}

char *stead_text_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(stead_alloc(size), text, size);
}

/* ---- Random numbers ------------------------------------------------------------------------- */

static uint64_t rotate_left(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void stead_rng_seed(struct stead_rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        rng->s[i] = z ^ (z >> 31);
    }
}

uint64_t stead_rng_next(struct stead_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t stead_rng_below(struct stead_rng *rng, uint64_t bound)
{
    STEAD_ASSERT(bound > 0);
    /* Numbers under 2^64 mod bound are drawn again: what is left divides evenly. At most half is ever refused. */
    uint64_t refused = (0 - bound) % bound;
    uint64_t number;

    do
        number = stead_rng_next(rng);
    while (number < refused);
    return number % bound;
}

/* ---- Formatting ----------------------------------------------------------------------------- */

struct output {
    char *buffer; /* caller's memory */
    size_t size;  /* bytes at buffer; 0: only count */
    size_t used;  /* bytes the text needs so far, also those that did not fit */
};

/* One conversion of a format. */
struct conversion {
    bool left;      /* '-' */
    bool zero;      /* '0' */
    int width;      /* 0: none */
    int precision;  /* -1: none */
    int size_class; /* 0 int, 1 long, 2 long long or size_t */
    char letter;    /* s c d i u x f p %, 0: not one of ours */
};

/* Room for 20 digits before the point, 9 after it, a sign and the point. */
#define NUMBER_TEXT_MAX 40
#define WIDTH_MAX 4096
#define FRACTION_DIGITS_MAX 9

static void put_char(struct output *out, char c)
{
    if (out->used + 1 < out->size)
        out->buffer[out->used] = c;
    out->used++;
}

static void put_fill(struct output *out, char c, int count)
{
    for (int i = 0; i < count; i++)
        put_char(out, c);
}

/* Text in its field of `width`; a sign stays before the zeros that fill a number. */
static void put_field(struct output *out, const struct conversion *how, const char *text, size_t text_size, bool number)
{
    int fill = text_size < (size_t)how->width ? how->width - (int)text_size : 0;
    bool zeros = number && how->zero;
    size_t at = 0;

    if (zeros && text_size > 0 && text[0] == '-')
        put_char(out, text[at++]);
    if (!how->left)
        put_fill(out, zeros ? '0' : ' ', fill);
    while (at < text_size)
        put_char(out, text[at++]);
    if (how->left)
        put_fill(out, ' ', fill);
}

/* Writes digits backwards from `end`; returns the first. At least one digit. */
static char *digits_before(char *end, uint64_t number, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    return end;
}

static void put_number(struct output *out, const struct conversion *how, uint64_t magnitude, bool negative)
{
    char text[NUMBER_TEXT_MAX];
    char *end = text + sizeof text;
    char *at = digits_before(end, magnitude, how->letter == 'x' || how->letter == 'p' ? 16 : 10);

    if (how->letter == 'p') {
        *--at = 'x';
        *--at = '0';
    }
    if (negative)
        *--at = '-';
    put_field(out, how, at, (size_t)(end - at), true);
}

/* Fixed-point, rounded half up in the last digit. What has no such form prints as its name. */
static void put_double(struct output *out, const struct conversion *how, double it)
{
    char text[NUMBER_TEXT_MAX];
    char *end = text + sizeof text, *at = end;
    int digits = how->precision < 0 ? 6 : how->precision;
    uint64_t scale = 1;
    bool negative = it < 0;
    double magnitude = negative ? -it : it;

    if (!(magnitude < 9e18)) {
        const char *name = it != it ? "nan" : negative ? "-huge" : "huge";
        put_field(out, how, name, strlen(name), false);
        return;
    }
    if (digits > FRACTION_DIGITS_MAX)
        digits = FRACTION_DIGITS_MAX;
    for (int i = 0; i < digits; i++)
        scale *= 10;
    uint64_t whole = (uint64_t)magnitude;
    uint64_t fraction = (uint64_t)((magnitude - (double)whole) * (double)scale + 0.5);
    if (fraction >= scale) {
        whole++;
        fraction -= scale;
    }
    for (int i = 0; i < digits; i++, fraction /= 10)
        *--at = (char)('0' + fraction % 10);
    if (digits > 0)
        *--at = '.';
    at = digits_before(at, whole, 10);
    if (negative)
        *--at = '-';
    put_field(out, how, at, (size_t)(end - at), true);
}

static const char *parse_count(const char *at, int *ret_count)
{
    int count = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (count < WIDTH_MAX)
            count = count * 10 + (*at - '0');
    *ret_count = count < WIDTH_MAX ? count : WIDTH_MAX;
    return at;
}

struct arguments {
    va_list list; /* wrapped, so that it can be passed on by pointer whatever its type is */
};

/* `at` is after the %. Returns what follows the conversion; letter 0 when it is not one of ours. */
static const char *parse_conversion(const char *at, struct arguments *args, struct conversion *ret_how)
{
    struct conversion how = {.precision = -1};

    for (; *at == '-' || *at == '0'; at++)
        *(*at == '-' ? &how.left : &how.zero) = true;
    at = parse_count(at, &how.width);
    if (*at == '.' && at[1] == '*') {
        how.precision = va_arg(args->list, int);
        at += 2;
    } else if (*at == '.') {
        at = parse_count(at + 1, &how.precision);
    }
    for (; *at == 'l'; at++)
        how.size_class++;
    if (*at == 'z') {
        how.size_class = 2;
        at++;
    }
    if (*at != 0 && how.size_class <= 2 && strchr("scdiuxfp%", *at) != NULL)
        how.letter = *at++;
    *ret_how = how;
    return at;
}

static uint64_t take_unsigned(struct arguments *args, int size_class)
{
    if (size_class == 0)
        return va_arg(args->list, unsigned);
    return size_class == 1 ? va_arg(args->list, unsigned long) : va_arg(args->list, unsigned long long);
}

static int64_t take_signed(struct arguments *args, int size_class)
{
    if (size_class == 0)
        return va_arg(args->list, int);
    return size_class == 1 ? va_arg(args->list, long) : va_arg(args->list, long long);
}

static void put_text(struct output *out, const struct conversion *how, const char *text)
{
    if (text == NULL)
        text = "(null)";
    put_field(out, how, text, how->precision >= 0 ? strnlen(text, (size_t)how->precision) : strlen(text), false);
}

static void put_conversion(struct output *out, const struct conversion *how, struct arguments *args)
{
    switch (how->letter) {
    case 's':
        put_text(out, how, va_arg(args->list, const char *));
        return;
    case 'c': {
        char c = (char)va_arg(args->list, int);
        put_field(out, how, &c, 1, false);
        return;
    }
    case 'd':
    case 'i': {
        int64_t it = take_signed(args, how->size_class);
        put_number(out, how, it < 0 ? 0 - (uint64_t)it : (uint64_t)it, it < 0);
        return;
    }
    case 'f':
        put_double(out, how, va_arg(args->list, double));
        return;
    case 'p':
        put_number(out, how, (uintptr_t)va_arg(args->list, void *), false);
        return;
    case '%':
        put_char(out, '%');
        return;
    default:
        put_number(out, how, take_unsigned(args, how->size_class), false);
    }
}

size_t stead_format_v(char *buffer, size_t size, const char *format, va_list list)
{
    struct output out = {.buffer = buffer, .size = size};
    struct arguments args;

    va_copy(args.list, list);
    for (const char *at = format; *at != 0;) {
        struct conversion how;
        const char *percent = at;

        if (*at++ != '%') {
            put_char(&out, *percent);
            continue;
        }
        at = parse_conversion(at, &args, &how);
        if (how.letter == 0) {
            for (at = percent; *at != 0; at++)
                put_char(&out, *at);
            break;
        }
        put_conversion(&out, &how, &args);
    }
    va_end(args.list);
    if (size > 0)
        buffer[out.used < size ? out.used : size - 1] = 0;
    return out.used;
}

size_t stead_format(char *buffer, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t used = stead_format_v(buffer, size, format, args);
    va_end(args);
    return used;
}

/* ---- Hexadecimal ---------------------------------------------------------------------------- */

void stead_hex(char *ret_text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        *ret_text++ = "0123456789abcdef"[bytes[i] >> 4];
        *ret_text++ = "0123456789abcdef"[bytes[i] & 15];
    }
    *ret_text = 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int stead_unhex(const char *text, size_t text_size, uint8_t *ret_bytes, size_t size)
{
    if (text_size != 2 * size)
        return STEAD_EARGUMENT;
    for (size_t i = 0; i < text_size; i++)
        if (hex_digit(text[i]) < 0)
            return STEAD_EARGUMENT;
    for (size_t i = 0; i < size; i++)
        ret_bytes[i] = (uint8_t)((unsigned)hex_digit(text[2 * i]) << 4 | (unsigned)hex_digit(text[2 * i + 1]));
    return 0;
}
