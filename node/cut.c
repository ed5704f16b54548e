/* SPDX-License-Identifier: Apache-2.0 */
/* cut: see cut.h. */
#include "node/cut.h"

#include "stead/error.h"

void stead_cut_init(struct stead_cut *cut)
{
    *cut = (struct stead_cut){.until_ns = 0};
    pthread_mutex_init(&cut->lock, NULL);
}

void stead_cut_deinit(struct stead_cut *cut)
{
    pthread_mutex_destroy(&cut->lock);
}

int stead_cut_begin(struct stead_cut *cut, struct stead_id token, uint64_t until_ns, uint64_t now_ns)
{
    int code = 0;

    pthread_mutex_lock(&cut->lock);
    bool stands = now_ns < cut->until_ns;
    if (cut->copying || (stands && !stead_id_equal(cut->token, token)))
        code = STEAD_EBUSY;
    else if (!stands)
        cut->token = token, cut->until_ns = until_ns;
    pthread_mutex_unlock(&cut->lock);
    return code;
}

uint64_t stead_cut_until_ns(struct stead_cut *cut, struct stead_id token, uint64_t now_ns)
{
    pthread_mutex_lock(&cut->lock);
    bool stands = now_ns < cut->until_ns && stead_id_equal(cut->token, token);
    uint64_t until_ns = stands ? cut->until_ns : 0;
    pthread_mutex_unlock(&cut->lock);
    return until_ns;
}

bool stead_cut_stands(struct stead_cut *cut, uint64_t now_ns)
{
    pthread_mutex_lock(&cut->lock);
    bool stands = now_ns < cut->until_ns;
    pthread_mutex_unlock(&cut->lock);
    return stands;
}

bool stead_cut_end(struct stead_cut *cut, struct stead_id token)
{
    pthread_mutex_lock(&cut->lock);
    bool there = cut->until_ns != 0 && stead_id_equal(cut->token, token);
    if (there)
        cut->until_ns = 0;
    pthread_mutex_unlock(&cut->lock);
    return there;
}

bool stead_cut_begin_copy(struct stead_cut *cut)
{
    pthread_mutex_lock(&cut->lock);
    bool free = !cut->copying;
    cut->copying = true;
    pthread_mutex_unlock(&cut->lock);
    return free;
}

void stead_cut_end_copy(struct stead_cut *cut)
{
    pthread_mutex_lock(&cut->lock);
    cut->copying = false;
    pthread_mutex_unlock(&cut->lock);
}
