/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields: a state struct to msgpack and back by its field table: a map from name to value, in the table's order.
 * Decoding is by name: unknown names are ignored, missing ones keep what the struct holds, `was` is read too, so a
 * schema can grow. Pure; one struct, one thread.
 */
#ifndef STEAD_RUNTIME_FIELDS_H
#define STEAD_RUNTIME_FIELDS_H

#include "stead/agent.h"

/* 0 or STEAD_EARGUMENT with `ret_why` (256 bytes or NULL): a member outside state_size, an unknown type, a list
 * without a table, nesting over 8, a name twice or over 63 bytes. */
int stead_fields_check(const struct stead_field *fields, uint32_t state_size, char *ret_why) STEAD_MUST_USE;
void stead_fields_encode(const struct stead_field *fields, const void *state, struct stead_writer *writer);
/* STEAD_ECORRUPT when a stored value does not fit its field; the struct may then be half written. `image` was checked
 * as a value. */
int stead_fields_decode(const struct stead_field *fields, void *state, struct stead_slice image) STEAD_MUST_USE;
/* Says which field of an image that cannot be decoded does not take what is stored for it, by its path and with both
 * types; "" where it is no field. `state` may be such a struct and is written over. */
#define STEAD_FIELDS_WHY_SIZE 256u
void stead_fields_explain(const struct stead_field *fields, void *state, struct stead_slice image,
                          char ret_why[STEAD_FIELDS_WHY_SIZE]);
/* What the buffers inside take of memory, used or not. */
uint64_t stead_fields_bytes(const struct stead_field *fields, const void *state);
/* Frees the buffers inside. */
void stead_fields_deinit(const struct stead_field *fields, void *state);

#endif
