/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_snapshot: a stored state image, checked and decoded by a field table; what was taken must encode, and come back
 * the same. */
#include "fuzz/fuzz.h"
#include "fuzz/state.h"

static void encode_again(const struct fuzz_state *state)
{
    struct fuzz_state back;
    struct stead_writer first, second;

    memset(&back, 0, sizeof back);
    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_fields_encode(fuzz_state_fields, state, &first);
    STEAD_ASSERT(stead_fields_decode(fuzz_state_fields, &back, stead_written(&first)) == 0);
    stead_fields_encode(fuzz_state_fields, &back, &second);
    STEAD_ASSERT(stead_slice_equal(stead_written(&first), stead_written(&second)));
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
    stead_fields_deinit(fuzz_state_fields, &back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice image = fuzz_copy(data, size);
    struct fuzz_state state;

    memset(&state, 0, sizeof state);
    if (stead_value_check(image) == 0 && stead_fields_decode(fuzz_state_fields, &state, image) == 0)
        encode_again(&state);
    stead_fields_deinit(fuzz_state_fields, &state);
    fuzz_free(image);
    return 0;
}
