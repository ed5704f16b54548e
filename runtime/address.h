/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: `kind/key`: its grammar and its slot.
 *
 * The slot's low 12 bits are the hash (FNV-1a 64 followed by the 64-bit finaliser of MurmurHash3, mod 4096) of the
 * whole address, or of the first non-empty part in braces alone when there is one: `cart/{alice}:1` and
 * `wallet/{alice}` live together. The function never changes (docs/FORMATS.md). Pure; any thread.
 */
#ifndef STEAD_RUNTIME_ADDRESS_H
#define STEAD_RUNTIME_ADDRESS_H

#include "runtime/ids.h"
#include "stead/agent.h"

/* 0 or STEAD_EADDRESS; `ret_kind_size`: bytes before the slash. Keys must be valid UTF-8 without control characters
 * (U+0000-1F, 7F, 80-9F). */
int stead_address_check(struct stead_slice address, size_t *ret_kind_size) STEAD_MUST_USE;
/* Bytes of the character at `at` (1 to 4, at most `left`); 0 when a key may not have it: a control, or no UTF-8. */
size_t stead_address_character(const uint8_t *at, size_t left);
/* Names of kinds, ops, timers. */
bool stead_name_check(struct stead_slice name, size_t size_max);
bool stead_op_name_check(struct stead_slice name);
/* The slot in placement group `group`. */
stead_slot stead_address_slot(struct stead_slice address, unsigned group);
uint64_t stead_hash(const void *data, size_t size); /* the function above, all 64 bits */

#endif
