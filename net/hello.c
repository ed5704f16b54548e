/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: who is at the other end. The payloads are maps and read by name, so that a field can be added without a new
 * version of the protocol; `v` is that version, and a peer of another one is refused before anything else of it is
 * looked at.
 *
 * The cluster's random id is in both: two clusters that take each other's ports on one machine find out here and not by
 * mixing their agents.
 */
#include "net/hello.h"

#include "net/codec.h"
#include "runtime/base.h"

/* Of a HELLO made here: one is on its way at a time, so one name is enough. */
static const struct stead_id hello_id = {"stead-hello"};

static struct stead_message *make(enum stead_message_type type, struct stead_writer *payload, stead_slot slot)
{
    struct stead_message *m =
        stead_message_create(type, &(struct stead_message_parts){.payload = stead_written(payload)});
    m->source_slot.v = STEAD_SLOT_NODE;
    m->slot = slot;
    stead_writer_deinit(payload);
    return m;
}

struct stead_message *stead_hello_make(const struct stead_hello *hello)
{
    uint8_t memory[256];
    struct stead_writer w;
    stead_writer_init_fixed(&w, memory, sizeof memory);
    stead_pack(&w, "{s:d,s:s,s:s,s:u,s:u,s:d,s:u,s:B}", "v", (int)STEAD_WIRE_VERSION, "role",
               hello->is_node ? "node" : "client", "name", hello->name, "node", (uint64_t)hello->node, "incarnation",
               hello->incarnation, "reactor", (int)hello->reactor, "table", hello->table_version, "cluster",
               stead_bytes(hello->cluster.v, sizeof hello->cluster.v));
    struct stead_message *m = make(STEAD_HELLO, &w, (stead_slot){STEAD_SLOT_NODE});
    m->id = hello_id;
    m->table_version = hello->table_version;
    if (!hello->is_node)
        m->source_slot.v = STEAD_SLOT_SESSION;
    return m;
}

struct stead_message *stead_hello_demand(void)
{
    struct stead_writer w;
    stead_writer_init(&w);
    struct stead_message *m = make(STEAD_HELLO, &w, (stead_slot){STEAD_SLOT_SESSION});
    m->id = hello_id;
    return m;
}

struct stead_message *stead_hello_refuse(struct stead_id id, int code)
{
    struct stead_codec_refusal refusal = {
        .answerable = true, .type = STEAD_HELLO, .id = stead_id_is_zero(id) ? hello_id : id};
    return stead_codec_refusal_answer(&refusal, code);
}

struct stead_message *stead_welcome_make(const struct stead_welcome *welcome)
{
    struct stead_writer w;
    stead_writer_init(&w);
    stead_pack(&w, "{s:d,s:u,s:s,s:u,s:d,s:B,s:B}", "v", (int)STEAD_WIRE_VERSION, "node", (uint64_t)welcome->node,
               "name", welcome->name, "incarnation", welcome->incarnation, "reactor", (int)welcome->reactor, "cluster",
               stead_bytes(welcome->cluster.v, sizeof welcome->cluster.v), "table", welcome->table);
    return make(STEAD_WELCOME, &w, (stead_slot){STEAD_SLOT_SESSION});
}

static int read_version(struct stead_slice payload)
{
    uint64_t version;
    if (stead_get_u64(payload, "v", &version) != 0)
        return STEAD_EPROTOCOL;
    return version == STEAD_WIRE_VERSION ? 0 : STEAD_EVERSION;
}

/* A number at most `max`; absent reads as 0. */
static int read_number(struct stead_slice payload, const char *field, uint64_t max, uint64_t *ret_it)
{
    uint64_t it = 0;
    int code = stead_get_u64(payload, field, &it);
    if ((code != 0 && code != STEAD_ENOTFOUND) || it > max)
        return STEAD_EPROTOCOL;
    *ret_it = it;
    return 0;
}

/* A text that fits; absent reads as "". */
static int read_name(struct stead_slice payload, char *ret_name)
{
    int code = stead_get_text(payload, "name", ret_name, STEAD_NODE_NAME_MAX + 1);
    if (code == STEAD_ENOTFOUND)
        ret_name[0] = 0;
    return code == 0 || code == STEAD_ENOTFOUND ? 0 : STEAD_EPROTOCOL;
}

/* 16 bytes; absent reads as zero. */
static int read_cluster(struct stead_slice payload, struct stead_id *ret_cluster)
{
    struct stead_slice bin;
    *ret_cluster = (struct stead_id){{0}};
    int code = stead_get_bin(payload, "cluster", &bin);
    if (code == STEAD_ENOTFOUND)
        return 0;
    if (code != 0 || bin.size != sizeof ret_cluster->v)
        return STEAD_EPROTOCOL;
    memcpy(ret_cluster->v, bin.data, bin.size);
    return 0;
}

/* What HELLO and WELCOME say alike of their node. */
static int read_identity(struct stead_slice payload, char *ret_name, uint32_t *ret_node, uint64_t *ret_incarnation,
                         uint16_t *ret_reactor, struct stead_id *ret_cluster)
{
    uint64_t node, reactor;
    if (read_name(payload, ret_name) != 0 || read_cluster(payload, ret_cluster) != 0)
        return STEAD_EPROTOCOL;
    if (read_number(payload, "node", UINT32_MAX, &node) != 0 ||
        read_number(payload, "incarnation", UINT64_MAX, ret_incarnation) != 0 ||
        read_number(payload, "reactor", STEAD_REACTORS_MAX - 1, &reactor) != 0)
        return STEAD_EPROTOCOL;
    *ret_node = (uint32_t)node;
    *ret_reactor = (uint16_t)reactor;
    return 0;
}

int stead_hello_read(const struct stead_message *message, struct stead_hello *ret_hello)
{
    struct stead_slice payload = stead_message_payload(message), role;
    struct stead_hello h = {.is_node = false};
    int code = read_version(payload);
    if (code != 0)
        return code;
    if (stead_get_str(payload, "role", &role) != 0)
        return STEAD_EPROTOCOL;
    h.is_node = stead_slice_equal(role, stead_str("node"));
    if (!h.is_node && !stead_slice_equal(role, stead_str("client")))
        return STEAD_EPROTOCOL;
    code = read_identity(payload, h.name, &h.node, &h.incarnation, &h.reactor, &h.cluster);
    if (code == 0)
        code = read_number(payload, "table", UINT64_MAX, &h.table_version);
    if (code == 0 && h.is_node && h.node == 0)
        code = STEAD_EPROTOCOL;
    if (code == 0)
        *ret_hello = h;
    return code;
}

int stead_welcome_read(const struct stead_message *message, struct stead_welcome *ret_welcome)
{
    struct stead_slice payload = stead_message_payload(message);
    struct stead_welcome w = {.node = 0};
    int code = read_version(payload);
    if (code == 0)
        code = read_identity(payload, w.name, &w.node, &w.incarnation, &w.reactor, &w.cluster);
    if (code != 0)
        return code;
    code = stead_get_bin(payload, "table", &w.table);
    if (code == STEAD_ENOTFOUND)
        w.table = (struct stead_slice){NULL, 0};
    else if (code != 0)
        return STEAD_EPROTOCOL;
    *ret_welcome = w;
    return 0;
}
