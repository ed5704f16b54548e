/* SPDX-License-Identifier: Apache-2.0 */
/* zone_file: a zone of the system's database, for the tests of zones and cron; where there is none, the test is
 * skipped. */
#ifndef STEAD_TESTS_ZONE_FILE_H
#define STEAD_TESTS_ZONE_FILE_H

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base.h"
#include "stead/value.h"

struct zone_file {
    struct stead_slice bytes; /* owned */
};

/* Reads a zone by its IANA name. */
static inline void zone_file_open(struct zone_file *ret_file, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        print_message("%s is not there: the zone database (tzdata) is not installed\n", path);
        skip();
    }
    uint8_t *bytes = stead_alloc(1 << 16);
    size_t size = fread(bytes, 1, 1 << 16, stream);
    fclose(stream);
    ret_file->bytes = stead_bytes(stead_realloc(bytes, size), size);
}

/* Frees it. */
static inline void zone_file_close(struct zone_file *file)
{
    free((void *)(uintptr_t)file->bytes.data);
}

#endif
