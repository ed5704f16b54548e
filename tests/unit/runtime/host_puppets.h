/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_puppets: the kinds that tests of the core are written with. The ops `do`, `do2`, `do3`, `reply` and the
 * read-only `look` run a function that the test has set; `add`, `get` and `destroy` do what they say.
 */
#ifndef STEAD_TESTS_HOST_PUPPETS_H
#define STEAD_TESTS_HOST_PUPPETS_H

#include <string.h>

#include "stead/agent.h"

struct puppet {
    int64_t value;
    char text[64];
    char token[STEAD_TOKEN_SIZE];
};

struct big_puppet {
    int64_t value;
    struct stead_buffer bytes;
};

typedef int fx_body(struct stead_turn *turn, void *state, struct stead_slice args);

/* What the ops do, set by each test; NULL: nothing. And what happened. */
static fx_body *fx_do[3], *fx_reply, *fx_look, *fx_init;
static uint32_t fx_loaded, fx_unloaded, fx_applied;
static void (*fx_hook)(void);  /* runs in those three; NULL: nothing */
static bool fx_refuses_events; /* as a version of the kind that does not know them */

/* Holds the agent for d/9. */
static inline int fx_hold_for_d9(struct stead_turn *turn, void *state, struct stead_slice args)
{
    uint64_t fence;

    (void)state, (void)args;
    return stead_hold(turn, "d/9", &fence);
}

static inline int fx_run_body(fx_body *body, struct stead_turn *turn, void *state, struct stead_slice args)
{
    return body == NULL ? 0 : body(turn, state, args);
}
static inline int fx_op_do(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_do[0], turn, state, args);
}
static inline int fx_op_do2(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_do[1], turn, state, args);
}
static inline int fx_op_do3(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_do[2], turn, state, args);
}
static inline int fx_op_reply(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_reply, turn, state, args);
}
static inline int fx_op_look(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_look, turn, state, args);
}
static inline int fx_op_init(struct stead_turn *turn, void *state, struct stead_slice args)
{
    return fx_run_body(fx_init, turn, state, args);
}
static struct stead_token fx_kept; /* of the next two */
/* Bodies: one keeps its token for later, the other answers that with 42. */
static inline int fx_keep_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_reply_later(turn, &fx_kept);
}
static inline int fx_use_token(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_answer(turn, &fx_kept, stead_packed(turn, "l", (int64_t)42));
}
/* Adds its argument (1 without) and answers the sum. */
static inline int fx_op_add(struct stead_turn *turn, void *state, struct stead_slice args)
{
    struct puppet *puppet = state;
    int64_t by = 1;

    if (stead_get_i64(args, NULL, &by) == STEAD_EARGUMENT)
        return stead_fail(turn, "bad_by", "not a number");
    puppet->value += by;
    return stead_reply(turn, stead_packed(turn, "l", puppet->value));
}
static inline int fx_op_get(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)args;
    return stead_reply(turn, stead_packed(turn, "l", ((struct puppet *)state)->value));
}
static inline int fx_op_destroy(struct stead_turn *turn, void *state, struct stead_slice args)
{
    (void)state, (void)args;
    return stead_destroy(turn);
}
static inline void fx_run_hook(void)
{
    if (fx_hook != NULL)
        fx_hook();
}
static inline int fx_apply(void *state, const char *event, struct stead_slice value)
{
    int64_t by;

    fx_applied++;
    fx_run_hook();
    if (fx_refuses_events || strcmp(event, "added") != 0 || stead_get_i64(value, NULL, &by) != 0)
        return STEAD_EFAILED;
    ((struct puppet *)state)->value += by;
    return 0;
}
static inline void fx_on_load(void *state)
{
    (void)state;
    fx_loaded++;
    fx_run_hook();
}
static inline void fx_on_unload(void *state)
{
    (void)state;
    fx_unloaded++;
    fx_run_hook();
}
static inline int fx_job(struct stead_job *job, struct stead_slice args)
{
    (void)job, (void)args; /* the test answers jobs itself */
    return 0;
}

static const struct stead_field fx_fields[] = {
    STEAD_FIELD(I64, struct puppet, value),
    STEAD_FIELD(TEXT, struct puppet, text),
    STEAD_FIELD(TEXT, struct puppet, token),
    STEAD_FIELDS_END,
};
static const struct stead_field fx_big_fields[] = {
    STEAD_FIELD(I64, struct big_puppet, value),
    STEAD_FIELD(BUFFER, struct big_puppet, bytes),
    STEAD_FIELDS_END,
};
static const struct stead_op fx_ops[] = {
    {"do", fx_op_do, NULL, 0, NULL},
    {"do2", fx_op_do2, NULL, 0, NULL},
    {"do3", fx_op_do3, NULL, 0, NULL},
    {"reply", fx_op_reply, NULL, 0, NULL},
    {"add", fx_op_add, NULL, 0, NULL},
    {"add_soon", fx_op_add, NULL, STEAD_OP_PATIENT, NULL},
    {"destroy", fx_op_destroy, NULL, STEAD_OP_FREES, NULL},
    {"get", fx_op_get, NULL, STEAD_OP_READ_ONLY, NULL},
    {"look", fx_op_look, NULL, STEAD_OP_READ_ONLY, NULL},
    {0},
};
static const struct stead_op fx_jobs[] = {{"work", NULL, fx_job, 0, NULL}, {0}};

#define FX_KIND(kind_name, of_durability, of_flags, state_type, of_fields)                                             \
    {                                                                                                                  \
        .abi = STEAD_ABI, .struct_size = sizeof(struct stead_kind), .name = kind_name, .durability = of_durability,    \
        .flags = of_flags, .state_size = sizeof(state_type), .fields = of_fields, .ops = fx_ops, .init = fx_op_init,   \
        .on_load = fx_on_load, .on_unload = fx_on_unload                                                               \
    }
/* d: durable; v: volatile; f: volatile, may be forgotten; b: durable with a buffer; vb: volatile with one; e: durable
 * with events, a snapshot every 4; s: stateless; g: stateless, needs a gpu; i: stateless, idempotent; slow: durable,
 * takes poison, may idle for an hour; late: durable, loaded only when a test says so. */
static const struct stead_kind fx_kind_d = FX_KIND("d", STEAD_DURABLE, 0, struct puppet, fx_fields);
static const struct stead_kind fx_kind_late = FX_KIND("late", STEAD_DURABLE, 0, struct puppet, fx_fields);
static const struct stead_kind fx_kind_v = FX_KIND("v", STEAD_VOLATILE, 0, struct puppet, fx_fields);
static const struct stead_kind fx_kind_f =
    FX_KIND("f", STEAD_VOLATILE, STEAD_KIND_FORGETTABLE, struct puppet, fx_fields);
static const struct stead_kind fx_kind_b = FX_KIND("b", STEAD_DURABLE, 0, struct big_puppet, fx_big_fields);
static const struct stead_kind fx_kind_vb = FX_KIND("vb", STEAD_VOLATILE, 0, struct big_puppet, fx_big_fields);
static const struct stead_kind fx_kind_e = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "e",
                                            .durability = STEAD_DURABLE,
                                            .state_size = sizeof(struct puppet),
                                            .snapshot_every = 4,
                                            .fields = fx_fields,
                                            .ops = fx_ops,
                                            .init = fx_op_init,
                                            .apply = fx_apply,
                                            .on_load = fx_on_load,
                                            .on_unload = fx_on_unload};
static const struct stead_kind fx_kind_slow = {.abi = STEAD_ABI,
                                               .struct_size = sizeof(struct stead_kind),
                                               .name = "slow",
                                               .durability = STEAD_DURABLE,
                                               .flags = STEAD_KIND_TAKES_POISON,
                                               .state_size = sizeof(struct puppet),
                                               .idle_ms_max = 3600000,
                                               .fields = fx_fields,
                                               .ops = fx_ops};
static const struct stead_kind fx_kind_s = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "s",
                                            .durability = STEAD_STATELESS,
                                            .ops = fx_jobs};
static const struct stead_kind fx_kind_g = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "g",
                                            .durability = STEAD_STATELESS,
                                            .ops = fx_jobs,
                                            .needs = "gpu"};
static const struct stead_kind fx_kind_i = {.abi = STEAD_ABI,
                                            .struct_size = sizeof(struct stead_kind),
                                            .name = "i",
                                            .durability = STEAD_STATELESS,
                                            .flags = STEAD_KIND_IDEMPOTENT,
                                            .ops = fx_jobs};

#endif
