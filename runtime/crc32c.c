/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c: the checksum of log entries, backups and frames (Castagnoli, reflected, as in iSCSI: "123456789" gives
 * e3069283).
 *
 * Every byte that becomes durable goes through it, so it must cost less than the memcpy beside it. Machines with SSE
 * 4.2 have an instruction (8 bytes in 3 cycles); others take eight table look-ups for 8 bytes. Which one is asked of
 * the processor at each call: one load of a constant, and no state of our own.
 */
#include "runtime/base.h"
#include "runtime/crc32c_table.h"
#include "runtime/entry.h"

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_instruction(uint32_t crc, const uint8_t *at, size_t size)
{
    uint64_t sum = crc;
    for (; size >= 8; size -= 8, at += 8)
        sum = _mm_crc32_u64(sum, stead_load64(at));
    for (; size > 0; size--, at++)
        sum = _mm_crc32_u8((uint32_t)sum, *at);
    return (uint32_t)sum;
}
#endif

static uint32_t crc_tables(uint32_t crc, const uint8_t *at, size_t size)
{
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = crc ^ stead_load32(at);
        uint32_t high = stead_load32(at + 4);
        crc = crc32c_table[7][low & 0xff] ^ crc32c_table[6][(low >> 8) & 0xff] ^ crc32c_table[5][(low >> 16) & 0xff] ^
              crc32c_table[4][low >> 24] ^ crc32c_table[3][high & 0xff] ^ crc32c_table[2][(high >> 8) & 0xff] ^
              crc32c_table[1][(high >> 16) & 0xff] ^ crc32c_table[0][high >> 24];
    }
    for (; size > 0; size--, at++)
        crc = crc32c_table[0][(crc ^ *at) & 0xff] ^ (crc >> 8);
    return crc;
}

uint32_t stead_crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    return ~crc_tables(~crc, data, size);
}

uint32_t stead_crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_instruction(~crc, data, size);
#endif
    return stead_crc32c_portable(crc, data, size);
}
