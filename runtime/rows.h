/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows: the keys of the store image. Every key begins with the slot, so a shard is a set of key ranges.
 *
 *   slot BE16 | class u8 | ...
 *     CHANNEL_IN   0x10 | source slot BE16                                  position of a channel
 *     CHANNEL_OUT  0x11 | destination slot BE16                             last number given out
 *     OUTBOX       0x12 | destination slot BE16 | epoch BE64 | counter BE64 a record not yet acknowledged
 *     SESSION      0x20 | session id 16                                     mark and answered numbers
 *     ANSWER       0x21 | session id 16 | number BE64                       an answer too large for the SESSION row
 *     IDEMPOTENCY  0x22 | address | 0x00 | key                              first answer of a client's key
 *     TIMER_DUE    0x30 | due ms BE64 | address | 0x00 | part u8 | name     index of timers, delayed signals, call deadlines
 *     AGENT        0x40 | address | 0x00                                    head and state image
 *     PART         0x41 | address | 0x00 | incarnation BE64 | part u8 | sub everything else of an agent
 *
 * An address has no control characters, so 0x00 ends it and keys sort by address. Parts: EVENT 1 (sequence BE64), KV 2
 * (the agent's key), TIMER 3 (name), CALL 4 (id 16), OWED 5 (token 16), MAIL 6 (sequence BE64), DEAD 7 (sequence BE64),
 * DELAYED 8 (id 16), IMAGE 9 (nothing), RUN 10 (id 16).
 *
 * Pure; any thread.
 */
#ifndef STEAD_RUNTIME_ROWS_H
#define STEAD_RUNTIME_ROWS_H

#include "runtime/ids.h"
#include "stead/agent.h"

enum stead_row_class {
    STEAD_ROW_CHANNEL_IN = 0x10,
    STEAD_ROW_CHANNEL_OUT = 0x11,
    STEAD_ROW_OUTBOX = 0x12,
    STEAD_ROW_SESSION = 0x20,
    STEAD_ROW_ANSWER = 0x21,
    STEAD_ROW_IDEMPOTENCY = 0x22,
    STEAD_ROW_TIMER_DUE = 0x30,
    STEAD_ROW_AGENT = 0x40,
    STEAD_ROW_PART = 0x41
};

enum stead_row_part {
    STEAD_PART_EVENT = 1,
    STEAD_PART_KV = 2,
    STEAD_PART_TIMER = 3,
    STEAD_PART_CALL = 4,
    STEAD_PART_OWED = 5,
    STEAD_PART_MAIL = 6,
    STEAD_PART_DEAD = 7,
    STEAD_PART_DELAYED = 8,
    STEAD_PART_IMAGE = 9,
    STEAD_PART_RUN = 10
};

#define STEAD_ROW_KEY_MAX 2048

/* A key under construction, on the stack. */
struct stead_row_key {
    uint16_t size;
    uint8_t data[STEAD_ROW_KEY_MAX];
};

static inline struct stead_slice stead_row_slice(const struct stead_row_key *key)
{
    return (struct stead_slice){key->data, key->size};
}

/* Begins a key; the rest is appended. */
void stead_row_begin(struct stead_row_key *key, stead_slot slot, enum stead_row_class row_class);
void stead_row_add_u8(struct stead_row_key *key, uint8_t it);
void stead_row_add_u16(struct stead_row_key *key, uint16_t it); /* big-endian, as the next */
void stead_row_add_u64(struct stead_row_key *key, uint64_t it);
void stead_row_add(struct stead_row_key *key, struct stead_slice bytes);
/* The address and its 0x00. */
void stead_row_add_address(struct stead_row_key *key, struct stead_slice address);

/* Whole keys of an agent. */
void stead_row_agent(struct stead_row_key *key, stead_slot slot, struct stead_slice address);
void stead_row_part(struct stead_row_key *key, stead_slot slot, struct stead_slice address, uint64_t incarnation,
                    enum stead_row_part part, struct stead_slice sub);
/* The first key after every key that begins with `key`; false when there is none (all 0xff). */
bool stead_row_after_prefix(struct stead_row_key *key);

/* A key taken apart; STEAD_ECORRUPT when it is none of the above. Fields that the class has not are zero. */
struct stead_row_parsed {
    stead_slot slot;
    enum stead_row_class row_class;
    stead_slot other;           /* CHANNEL_IN, CHANNEL_OUT, OUTBOX */
    struct stead_seq number;    /* OUTBOX */
    struct stead_id session;    /* SESSION, ANSWER */
    uint64_t session_number;    /* ANSWER */
    struct stead_slice address; /* borrowed from the key, as the next */
    struct stead_slice sub;     /* what follows the part; IDEMPOTENCY: the key; TIMER_DUE: the name */
    uint64_t incarnation;       /* PART */
    enum stead_row_part part;   /* PART, TIMER_DUE */
    uint64_t due_ms;            /* TIMER_DUE */
};
int stead_row_parse(struct stead_slice key, struct stead_row_parsed *ret_parsed) STEAD_MUST_USE;

#endif
