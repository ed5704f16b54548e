/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_zone: a file of the time zone database, which is not ours; what passes the check can be asked about any
 * moment. */
#include "fuzz/fuzz.h"
#include "runtime/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t moments[] = {INT64_C(-60000000000), -1, 1700000000, INT64_C(4000000000),
                                      INT64_C(250000000000)};
    struct stead_slice tzif = fuzz_copy(data, size);
    struct stead_cron_schedule schedule;

    STEAD_ASSERT(stead_cron_parse("30 2 * * *", &schedule) == 0);
    for (size_t i = 0; stead_zone_check(tzif) == 0 && i < sizeof moments / sizeof moments[0]; i++) {
        int64_t next;
        (void)stead_zone_offset(tzif, moments[i]);
        if (stead_zone_next_change(tzif, moments[i], &next))
            STEAD_ASSERT(next > moments[i]);
        if (stead_cron_next(&schedule, tzif, moments[i] * 1000, &next) == 0)
            STEAD_ASSERT(next > moments[i] * 1000);
    }
    fuzz_free(tzif);
    return 0;
}
