/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_payload: the payloads that the runtime itself reads: HELLO, WELCOME, and the table. The codec has checked that
 * the first two are msgpack; a table also comes from a file.
 */
#include "fuzz/fuzz.h"
#include "net/hello.h"
#include "runtime/table.h"

static void read_table(struct stead_slice bytes)
{
    struct stead_table *table = NULL, *again = NULL;
    struct stead_writer first, second;

    if (stead_table_decode(bytes, &table) != 0)
        return;
    for (unsigned slot = 0; slot < STEAD_SLOTS; slot += 509)
        (void)stead_table_shard_of(table, (stead_slot){(uint16_t)slot});
    stead_writer_init(&first);
    stead_writer_init(&second);
    stead_table_encode(table, &first);
    STEAD_ASSERT(stead_table_decode(stead_written(&first), &again) == 0);
    stead_table_encode(again, &second);
    STEAD_ASSERT(stead_slice_equal(stead_written(&first), stead_written(&second)));
    stead_writer_deinit(&first);
    stead_writer_deinit(&second);
    stead_table_release(&table);
    stead_table_release(&again);
}

static void read_handshake(enum stead_message_type type, struct stead_slice payload)
{
    struct stead_message *message = stead_message_create(type, &(struct stead_message_parts){.payload = payload});
    struct stead_hello hello;
    struct stead_welcome welcome;

    if (type == STEAD_HELLO && stead_hello_read(message, &hello) == 0)
        STEAD_ASSERT(strnlen(hello.name, sizeof hello.name) < sizeof hello.name);
    if (type == STEAD_WELCOME && stead_welcome_read(message, &welcome) == 0) {
        STEAD_ASSERT(strnlen(welcome.name, sizeof welcome.name) < sizeof welcome.name);
        read_table(welcome.table);
    }
    stead_message_destroy(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stead_slice payload = fuzz_copy(data, size);

    read_table(payload);
    if (stead_value_check(payload) == 0) {
        read_handshake(STEAD_HELLO, payload);
        read_handshake(STEAD_WELCOME, payload);
    }
    fuzz_free(payload);
    return 0;
}
