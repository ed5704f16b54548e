/* SPDX-License-Identifier: Apache-2.0 */
/* state: a state struct with fields of many types, for the snapshot target and its seeds. */
#ifndef STEAD_FUZZ_STATE_H
#define STEAD_FUZZ_STATE_H

#include "runtime/fields.h"

struct fuzz_item {
    char name[16];
    int16_t amount;
    struct stead_buffer note;
};
static const struct stead_field fuzz_item_fields[] = {STEAD_FIELD(TEXT, struct fuzz_item, name),
                                                      STEAD_FIELD(I16, struct fuzz_item, amount),
                                                      STEAD_FIELD(BUFFER, struct fuzz_item, note), STEAD_FIELDS_END};

struct fuzz_owner {
    uint32_t age;
    bool active;
};
static const struct stead_field fuzz_owner_fields[] = {STEAD_FIELD(U32, struct fuzz_owner, age),
                                                       STEAD_FIELD(BOOL, struct fuzz_owner, active), STEAD_FIELDS_END};

struct fuzz_state {
    int64_t total;
    uint8_t level;
    double ratio;
    char title[8];
    struct stead_buffer blob;
    struct fuzz_owner owner;
    struct fuzz_item items[4];
    uint32_t item_count;
};
static const struct stead_field fuzz_state_fields[] = {
    STEAD_FIELD_WAS(I64, struct fuzz_state, total, "sum"),
    STEAD_FIELD(U8, struct fuzz_state, level),
    STEAD_FIELD(F64, struct fuzz_state, ratio),
    STEAD_FIELD(TEXT, struct fuzz_state, title),
    STEAD_FIELD(BUFFER, struct fuzz_state, blob),
    STEAD_FIELD_NESTED(struct fuzz_state, owner, fuzz_owner_fields),
    STEAD_FIELD_ARRAY(struct fuzz_state, items, item_count, fuzz_item_fields),
    STEAD_FIELDS_END};

#endif
