/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64: RFC 4648, the standard alphabet, with padding. Pure; any thread.
 */
#ifndef STEAD_CMD_BASE64_H
#define STEAD_CMD_BASE64_H

#include "stead/value.h"

/* A text ended by a zero. Returned: free() it. */
char *stead_base64_encode(struct stead_slice bytes);

/* Strict: no spaces, padding required, no stray bits. `*ret_bytes` is returned (free() it; never NULL).
 * STEAD_EARGUMENT. */
int stead_base64_decode(const char *text, size_t text_size, uint8_t **ret_bytes, size_t *ret_size) STEAD_MUST_USE;

#endif
