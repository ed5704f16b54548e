/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_header: one record: its core, its groups, its extensions and its texts. */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice record = fuzz_copy(data, size);

    fuzz_record(record);
    fuzz_free(record);
    return 0;
}
