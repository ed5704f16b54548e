/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gossip: a counter without a place: every replica counts for itself and tells its peers what it knows; each keeps, for
 * every replica, the highest count it heard of (a G-counter). Merging is the maximum: it does not matter in which order
 * states arrive, how often, or whether some are lost, so plain tells are enough and nobody waits for anybody. The first
 * step of disorderly programming: agreement without coordination, for values that only grow.
 *
 * Replicas are volatile: one that restarts comes back empty, and must come back under another name (its old count lives
 * on with its peers).
 */
#include "stead/agent.h"

#define REPLICAS_MAX 64
#define NAME_SIZE 128 /* bytes of a replica's address, with its zero */
#define EVERY_MS 100  /* default: between two rounds of gossip */

struct replica {
    char address[NAME_SIZE];
    uint64_t count; /* highest heard of; of this replica itself: its own */
    bool peer;      /* told to gossip with it */
};

struct gossip {
    struct replica replicas[REPLICAS_MAX]; /* [0] is this one, from the first turn on */
    uint32_t replica_count;
    uint64_t merges; /* states heard, for `get` */
};

static const struct stead_field replica_fields[] = {STEAD_FIELD(TEXT, struct replica, address),
                                                    STEAD_FIELD(U64, struct replica, count),
                                                    STEAD_FIELD(BOOL, struct replica, peer), STEAD_FIELDS_END};
static const struct stead_field fields[] = {STEAD_FIELD_ARRAY(struct gossip, replicas, replica_count, replica_fields),
                                            STEAD_FIELD(U64, struct gossip, merges), STEAD_FIELDS_END};

/* The replica of this address, made when it is new. NULL: no room, or no address. */
static struct replica *find(struct gossip *gossip, struct stead_slice address)
{
    if (address.size == 0 || address.size >= NAME_SIZE)
        return NULL;
    for (uint32_t index = 0; index < gossip->replica_count; index++)
        if (stead_slice_equal(stead_str(gossip->replicas[index].address), address))
            return &gossip->replicas[index];
    if (gossip->replica_count == REPLICAS_MAX)
        return NULL;
    struct replica *replica = &gossip->replicas[gossip->replica_count++];
    *replica = (struct replica){.count = 0};
    __builtin_memcpy(replica->address, address.data, address.size);
    return replica;
}

static int init(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    if (find(state, stead_str(stead_self(turn))) == NULL)
        return stead_fail(turn, "long_name", "the address of a replica has at most %d bytes", NAME_SIZE - 1);
    return 0;
}

static uint64_t sum(const struct gossip *gossip)
{
    uint64_t sum = 0;

    for (uint32_t index = 0; index < gossip->replica_count; index++)
        sum += gossip->replicas[index].count;
    return sum;
}

static int join(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct gossip *gossip = state;
    struct stead_slice peers, address;
    struct stead_reader reader;
    int64_t every_ms = EVERY_MS;
    uint32_t count;

    if (stead_get_value(args, "peers", &peers) != 0 || stead_get_i64(args, "every_ms", &every_ms) == STEAD_EARGUMENT ||
        every_ms < 1)
        return stead_fail(turn, "bad_argument", "join takes {peers: [address...], every_ms}");
    reader = stead_reader(peers);
    if (stead_read_array(&reader, &count) != 0)
        return stead_fail(turn, "bad_argument", "peers is a list of addresses");
    while (count-- > 0) {
        struct replica *replica = stead_read_str(&reader, &address) == 0 ? find(gossip, address) : NULL;
        if (replica == NULL)
            return stead_fail(turn, "bad_peer", "peers are at most %d addresses", REPLICAS_MAX - 1);
        replica->peer = replica != &gossip->replicas[0];
    }
    return stead_timer_every(turn, "gossip", every_ms, "tick", (struct stead_slice){NULL, 0});
}

static int add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct gossip *gossip = state;
    uint64_t by = 1;

    if (stead_get_u64(args, NULL, &by) == STEAD_EARGUMENT || by > UINT32_MAX)
        return stead_fail(turn, "bad_by", "add takes a number; the counter only grows");
    gossip->replicas[0].count += by;
    return stead_reply(turn, stead_packed(turn, "u", sum(gossip)));
}

/* Tells everything this one knows to one peer, drawn by lot. */
static int tick(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct gossip *gossip = state;
    struct stead_writer known;
    uint32_t peers = 0, drawn;

    (void)args;
    for (uint32_t index = 0; index < gossip->replica_count; index++)
        peers += gossip->replicas[index].peer;
    if (peers == 0)
        return 0;
    drawn = (uint32_t)(stead_random(turn) % peers);
    stead_writer_init(&known);
    stead_write_map(&known, gossip->replica_count);
    const struct replica *to = NULL;
    for (uint32_t index = 0; index < gossip->replica_count; index++) {
        const struct replica *replica = &gossip->replicas[index];
        stead_write_str(&known, replica->address);
        stead_write_u64(&known, replica->count);
        if (replica->peer && drawn-- == 0)
            to = replica;
    }
    int code = stead_tell(turn, to->address, "merge", stead_written(&known));
    stead_writer_deinit(&known);
    return code;
}

static int merge(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct gossip *gossip = state;
    struct stead_reader reader = stead_reader(args);
    struct stead_slice address;
    uint64_t heard;
    uint32_t count;

    if (stead_read_map(&reader, &count) != 0)
        return stead_fail(turn, "bad_argument", "merge takes {address: count, ...}");
    for (; count > 0; count--) {
        if (stead_read_str(&reader, &address) != 0 || stead_read_u64(&reader, &heard) != 0)
            return stead_fail(turn, "bad_argument", "merge takes {address: count, ...}");
        struct replica *replica = find(gossip, address);
        if (replica != NULL && heard > replica->count)
            replica->count = heard;
    }
    gossip->merges++;
    return 0;
}

static int get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    const struct gossip *gossip = state;

    (void)args;
    return stead_reply(turn, stead_packed(turn, "{s:u,s:u,s:u,s:u,s:s}", "sum", sum(gossip), "own",
                                          gossip->replicas[0].count, "replicas", (uint64_t)gossip->replica_count,
                                          "merges", gossip->merges, "node", stead_node_name(turn)));
}

static const struct stead_op ops[] = {
    {"join", join, NULL, 0, "{peers: [address...], every_ms}: gossips with them from now on"},
    {"add", add, NULL, 0, "N: counts at this replica"},
    {"get", get, NULL, STEAD_OP_READ_ONLY, "the sum as far as this replica knows"},
    {"merge", merge, NULL, 0, "{address: count, ...}: from a peer"},
    {"tick", tick, NULL, 0, "timer: tells a peer"},
    {NULL, NULL, NULL, 0, NULL}};

static const struct stead_kind gossip_kind = {.abi = STEAD_ABI,
                                              .struct_size = sizeof(struct stead_kind),
                                              .name = "gossip",
                                              .help = "a replica of a counter that needs no coordination",
                                              .durability = STEAD_VOLATILE,
                                              .state_size = sizeof(struct gossip),
                                              .fields = fields,
                                              .ops = ops,
                                              .init = init};
STEAD_MODULE(&gossip_kind);
