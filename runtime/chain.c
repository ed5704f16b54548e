/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: see chain.h. The search for a circle compares the end of the list of names with itself, moved by one, two ...
 * places: when the last name, the one that could not be called any more, stands `period` places earlier too, and so
 * does all that is between and has a place there, the calls go round. That is at most half of CHAIN_NAMES_MAX squared
 * comparisons, in a turn that fails.
 */
#include "runtime/chain.h"

#include "runtime/address.h"
#include "runtime/base.h"

#define NAMES_MAX (STEAD_CHAIN_BYTES_MAX / 4 + 2) /* "a/b" and a newline are four bytes */
#define ARROW " -> "

bool stead_chain_check(struct stead_slice chain)
{
    size_t kind_size, from = 0;

    if (chain.size == 0 || chain.size > STEAD_CHAIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i <= chain.size; i++) {
        if (i < chain.size && chain.data[i] != '\n')
            continue;
        if (stead_address_check(stead_bytes(chain.data + from, i - from), &kind_size) != 0)
            return false;
        from = i + 1;
    }
    return true;
}

struct stead_slice stead_chain_extend(const struct stead_message *cause, struct stead_slice self, char *ret_bytes)
{
    struct stead_slice before = stead_message_chain(cause);

    if (before.size == 0 && cause->source_size > 0) /* the first call of a chain carries none: its source says it all */
        before = stead_bytes(cause->source, cause->source_size);
    while (before.size > 0 && before.size + 1 + self.size > STEAD_CHAIN_BYTES_MAX) {
        const uint8_t *end = memchr(before.data, '\n', before.size);
        size_t first = end != NULL ? (size_t)(end - before.data) + 1 : before.size;
        before = stead_bytes(before.data + first, before.size - first);
    }
    size_t size = 0;
    if (before.size > 0) {
        memcpy(ret_bytes, before.data, before.size);
        ret_bytes[before.size] = '\n';
        size = before.size + 1;
    }
    memcpy(ret_bytes + size, self.data, self.size);
    return stead_bytes(ret_bytes, size + self.size);
}

/* How long the circle is that the list ends with; 0: none. */
static uint32_t find_circle(const struct stead_slice *names, uint32_t count)
{
    for (uint32_t period = 1; period < count; period++) {
        bool same = true;
        for (uint32_t i = 0; same && i < period && i + period < count; i++)
            same = stead_slice_equal(names[count - 1 - i], names[count - 1 - i - period]);
        if (same)
            return period;
    }
    return 0;
}

static char *add_text(char *at, struct stead_slice text)
{
    memcpy(at, text.data, text.size);
    at[text.size] = 0;
    return at + text.size;
}

void stead_chain_explain(struct stead_slice chain, struct stead_slice wanted, uint32_t depth, char *ret_text)
{
    struct stead_slice names[NAMES_MAX];
    uint32_t count = 0;
    char head[64];

    for (size_t i = 0, from = 0; i <= chain.size && count < NAMES_MAX - 1; i++)
        if (i == chain.size || chain.data[i] == '\n') {
            names[count++] = stead_bytes(chain.data + from, i - from);
            from = i + 1;
        }
    names[count++] = wanted;
    uint32_t period = find_circle(names, count);
    uint32_t first = period > 0 ? count - 1 - period : 0;
    if (period > 0)
        stead_format(head, sizeof head, "%u calls deep, in a circle of %u: ", depth, period);
    else
        stead_format(head, sizeof head, "%u calls deep: ", depth);
    char *at = add_text(ret_text, stead_str(head));
    if (period == 0 && count < depth + 2) /* the first were dropped, or were not carried by an older node */
        at = add_text(at, stead_str("..." ARROW));
    for (uint32_t i = first; i < count; i++) {
        at = add_text(at, names[i]);
        if (i + 1 < count)
            at = add_text(at, stead_str(ARROW));
    }
}
