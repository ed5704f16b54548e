/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub_large: what is larger than a payload or a keyed value may be, in a hub's store. The limit of a payload is on what
 * users say; a hub wraps it, and puts several into one write.
 *
 * A parcel is the args of one operation that came in pieces: signals of the op `piece`, in order, then the operation
 * with {parcel, pieces} instead of its args. Its pieces are deleted by the turn that carries it out. What is left of a
 * sender that died is deleted when others come, an hour later.
 *
 * A value of more than STEAD_HUB_PART_MAX bytes is kept in parts: its own row says how many, each has a row of its own.
 * Functions of a turn.
 */
#ifndef STEAD_AGENTS_HUB_LARGE_H
#define STEAD_AGENTS_HUB_LARGE_H

#include "agents/hub_key.h"

#define STEAD_HUB_ARGS_MAX (960u << 10) /* of an operation that is asked for as it is */
#define STEAD_HUB_PIECE (512u << 10)
#define STEAD_HUB_PART_MAX (960u << 10)
#define STEAD_HUB_PART_MARK 0xc1u /* no value begins with it */
#define STEAD_HUB_PARCEL_SIZE 16u /* bytes of its name: chance */

/* The op `piece` {parcel, at, bytes}. */
int stead_hub_piece(struct stead_turn *turn, void *state, struct stead_slice args);
/* The args of an operation, out of their parcel if they came in one. STEAD_EIO: pieces are missing. */
int stead_hub_unpack(struct stead_turn *turn, struct stead_slice args, struct stead_slice *ret_args) STEAD_MUST_USE;

/* Writes a value, in parts where it is large. */
int stead_hub_large_put(struct stead_turn *turn, struct stead_hub_key key, struct stead_slice value) STEAD_MUST_USE;
/* Reads it; borrowed until the key's next write. STEAD_ENOTFOUND; STEAD_ECORRUPT. */
int stead_hub_large_get(struct stead_turn *turn, struct stead_hub_key key,
                        struct stead_slice *ret_value) STEAD_MUST_USE;
/* Deletes it. */
int stead_hub_large_delete(struct stead_turn *turn, struct stead_hub_key key) STEAD_MUST_USE;

#endif
