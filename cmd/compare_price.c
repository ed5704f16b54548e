/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_price: the price sheet, and figures to money.
 *
 * A sheet is a JSON object; docs/COMPARE.md has its members and where the defaults are from. What a run costs: its
 * operations of a storage service, the bytes it moves to and from that service, the bytes it leaves on disk, the CPU
 * time of the nodes. The direct fabric has no storage service: it pays for disk and CPU.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/compare.h"

void stead_prices_default(struct stead_prices *ret_prices)
{
    *ret_prices = (struct stead_prices){.currency = "USD",
                                        .queue_operation = 0.40,
                                        .read = 0.25,
                                        .write = 1.25,
                                        .gigabyte = 0,
                                        .stored_gigabyte = 0.25,
                                        .cpu_hour = 0.048,
                                        .source = "list prices, us-east-1, of the time of the paper (2019): Amazon SQS "
                                                  "standard 0.40 a million requests; DynamoDB on demand 0.25 a "
                                                  "million reads, 1.25 a million writes, 0.25 a GB and month; EC2 "
                                                  "m5.large 0.096 an hour of 2 CPUs; traffic within a region is free"};
}

/* Takes one number of the sheet, if it is there. */
static int take(const json_t *sheet, const char *name, double *ret_it)
{
    const json_t *value = json_object_get(sheet, name);

    if (!value)
        return 0;
    if (!json_is_number(value) || json_number_value(value) < 0) {
        stead_complain("the price sheet's \"%s\" is not a number from 0", name);
        return STEAD_EARGUMENT;
    }
    *ret_it = json_number_value(value);
    return 0;
}

static int take_text(const json_t *sheet, const char *name, char *ret_text, size_t size)
{
    const char *text = json_string_value(json_object_get(sheet, name));

    if (!json_object_get(sheet, name))
        return 0;
    if (!text || strlen(text) >= size) {
        stead_complain("the price sheet's \"%s\" is not a text below %zu bytes", name, size);
        return STEAD_EARGUMENT;
    }
    snprintf(ret_text, size, "%s", text);
    return 0;
}

/* A member that is not known is a price that would silently not count. */
static int refuse_unknown(const json_t *sheet)
{
    static const char *const known[] = {"currency", "queue_operation", "read",     "write",
                                        "gigabyte", "stored_gigabyte", "cpu_hour", "source"};
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)sheet, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || strcmp(name, known[i]) == 0;
        if (!found) {
            stead_complain("the price sheet's \"%.40s\" is none of its members; see docs/COMPARE.md", name);
            return STEAD_EARGUMENT;
        }
    }
    return 0;
}

int stead_prices_read(const char *path, struct stead_prices *ret_prices)
{
    struct stead_prices prices;
    json_error_t error;
    json_t *sheet = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (!sheet) {
        stead_complain("%s: %s", path, error.text);
        return STEAD_EIO;
    }
    stead_prices_default(&prices);
    snprintf(prices.source, sizeof prices.source, "%.500s", path);
    int code = json_is_object(sheet) ? refuse_unknown(sheet) : STEAD_EARGUMENT;
    if (!json_is_object(sheet))
        stead_complain("%s: a price sheet is an object", path);
    struct {
        const char *name;
        double *it;
    } numbers[] = {{"queue_operation", &prices.queue_operation},
                   {"read", &prices.read},
                   {"write", &prices.write},
                   {"gigabyte", &prices.gigabyte},
                   {"stored_gigabyte", &prices.stored_gigabyte},
                   {"cpu_hour", &prices.cpu_hour}};
    for (size_t i = 0; code == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        code = take(sheet, numbers[i].name, numbers[i].it);
    if (code == 0)
        code = take_text(sheet, "currency", prices.currency, sizeof prices.currency);
    if (code == 0)
        code = take_text(sheet, "source", prices.source, sizeof prices.source);
    json_decref(sheet);
    if (code == 0)
        *ret_prices = prices;
    return code;
}

double stead_price_of(const struct stead_prices *prices, const struct stead_storage *storage, double stored_bytes,
                      double cpu_seconds)
{
    double queue = storage->enqueues + storage->dequeues + storage->deletes + storage->renews + storage->empty;

    return (queue * prices->queue_operation + storage->reads * prices->read + storage->writes * prices->write) / 1e6 +
           storage->bytes / 1e9 * prices->gigabyte + stored_bytes / 1e9 * prices->stored_gigabyte +
           cpu_seconds / 3600 * prices->cpu_hour;
}
