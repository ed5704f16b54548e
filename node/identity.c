/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity: one msgpack map in the store's marks.
 *
 *     {cluster: bin 16, id: int, incarnation: int, name: str, token: bin 16}
 *
 * It is written before the coordinator hears of the node for the first time: a node that died between registering and
 * writing would come back as a stranger with a name that is taken.
 */
#include "node/identity.h"

#include <stdio.h>
#include <sys/random.h>

#include "persist/format.h"
#include "runtime/base.h"

struct stead_id stead_identity_random(void)
{
    struct stead_id id;

    ssize_t got = getrandom(id.v, sizeof id.v, 0);
    STEAD_ASSERT(got == (ssize_t)sizeof id.v); /* up to 256 bytes are never cut short */
    return id;
}

static int read_id(struct stead_slice value, const char *field, struct stead_id *ret_id)
{
    struct stead_slice bytes;

    int code = stead_get_bin(value, field, &bytes);
    if (code != 0 || bytes.size != sizeof ret_id->v)
        return STEAD_ECORRUPT;
    memcpy(ret_id->v, bytes.data, sizeof ret_id->v);
    return 0;
}

static int decode(struct stead_slice value, struct stead_identity *ret_identity)
{
    struct stead_identity it = {0};
    uint64_t node;

    if (stead_value_check(value) != 0 || read_id(value, "cluster", &it.cluster) != 0 ||
        read_id(value, "token", &it.token) != 0 || stead_get_u64(value, "id", &node) != 0 || node > UINT32_MAX ||
        stead_get_u64(value, "incarnation", &it.incarnation) != 0 ||
        stead_get_text(value, "name", it.name, sizeof it.name) != 0)
        return STEAD_ECORRUPT;
    it.node = (uint32_t)node;
    *ret_identity = it;
    return 0;
}

int stead_identity_save(struct stead_store *store, const struct stead_identity *identity)
{
    struct stead_writer value;

    stead_writer_init(&value);
    stead_pack(&value, "{s:B,s:u,s:u,s:s,s:B}", "cluster", stead_bytes(identity->cluster.v, 16), "id",
               (uint64_t)identity->node, "incarnation", identity->incarnation, "name", identity->name, "token",
               stead_bytes(identity->token.v, 16));
    int code = stead_store_meta_put(store, STEAD_META_NODE, stead_written(&value));
    stead_writer_deinit(&value);
    return code;
}

static int make(struct stead_store *store, const char *name, struct stead_identity *ret_identity)
{
    struct stead_identity it = {.token = stead_identity_random()};

    snprintf(it.name, sizeof it.name, "%s", name);
    *ret_identity = it;
    return stead_identity_save(store, ret_identity);
}

int stead_identity_load(struct stead_store *store, const char *name, struct stead_identity *ret_identity, char *ret_why)
{
    struct stead_writer value;

    stead_writer_init(&value);
    int code = stead_store_meta_get(store, STEAD_META_NODE, &value);
    if (code == STEAD_ENOTFOUND)
        code = make(store, name, ret_identity);
    else if (code == 0)
        code = decode(stead_written(&value), ret_identity);
    stead_writer_deinit(&value);
    if (code == STEAD_ECORRUPT) {
        snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "the mark that says whose folder this is is damaged");
    } else if (code != 0) {
        stead_store_explain(store, ret_why, STEAD_STORE_SENTENCE_MAX);
    } else if (strcmp(ret_identity->name, name) != 0) {
        snprintf(ret_why, STEAD_STORE_SENTENCE_MAX, "this is the folder of node %s, not of %s", ret_identity->name,
                 name);
        code = STEAD_ECONFLICT;
    }
    return code;
}
