/* SPDX-License-Identifier: Apache-2.0 */
/* One backup at a time, and one answer to whoever asks for it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node/backup_desk.h"
#include "stead/error.h"

static struct stead_inbox here, there; /* of two reactors */

static struct stead_message *request(uint8_t id, uint64_t connection)
{
    const struct stead_message_parts parts = {.op = stead_str("backup")};
    struct stead_message *it = stead_message_create(STEAD_QUERY, &parts);

    it->id.v[0] = id;
    it->groups = STEAD_GROUP_ROUTE;
    it->route.connection = connection;
    return it;
}

static int take(struct stead_backup_desk *desk, uint8_t id, uint64_t connection, struct stead_inbox *inbox)
{
    struct stead_message *it = request(id, connection);
    int code = stead_backup_desk_take(desk, it, inbox);

    stead_message_destroy(&it);
    return code;
}

/* The inbox has one answer, of this status, for this connection; none for connection 0. */
static void expect(struct stead_inbox *inbox, uint64_t connection, int status)
{
    struct stead_event *event = stead_inbox_take(inbox);

    assert_true((event != NULL) == (connection != 0));
    if (event == NULL)
        return;
    assert_int_equal(event->type, STEAD_EVENT_ANSWER);
    assert_null(event->next);
    struct stead_message *answer = event->pointer;
    free(event);
    assert_int_equal(answer->route.connection, connection);
    assert_int_equal(answer->status, status);
    if (status == 0)
        assert_memory_equal(answer->payload, "\x07", 1);
    stead_message_destroy(&answer);
}

static void test_request_that_comes_again_joins_and_is_answered_on_its_newest_way(void **state)
{
    struct stead_backup_desk desk;

    (void)state;
    stead_backup_desk_init(&desk);
    assert_int_equal(take(&desk, 1, 10, &here), 0);
    assert_int_equal(take(&desk, 1, 10, &here), STEAD_EINUSE);
    assert_int_equal(take(&desk, 2, 20, &here), STEAD_EBUSY);
    assert_int_equal(take(&desk, 1, 11, &there), STEAD_EINUSE);
    expect(&here, 0, 0);
    stead_backup_desk_end(&desk, 0, "", stead_bytes("\x07", 1));
    expect(&here, 0, 0);
    expect(&there, 11, 0);
    assert_int_equal(take(&desk, 1, 12, &here), STEAD_EINUSE); /* its answer was lost */
    expect(&here, 12, 0);
    stead_backup_desk_deinit(&desk);
}

static void test_next_backup_begins_when_one_has_ended(void **state)
{
    struct stead_backup_desk desk;

    (void)state;
    stead_backup_desk_init(&desk);
    assert_int_equal(take(&desk, 1, 10, &here), 0);
    stead_backup_desk_end(&desk, STEAD_EIO, "the disk failed", stead_bytes(NULL, 0));
    expect(&here, 10, STEAD_EIO);
    assert_int_equal(take(&desk, 2, 20, &here), 0);
    assert_int_equal(take(&desk, 1, 10, &here), STEAD_EBUSY);
    stead_backup_desk_end(&desk, 0, "", stead_bytes("\x07", 1));
    expect(&here, 20, 0);
    stead_backup_desk_deinit(&desk);
}

static int set_up(void **state)
{
    (void)state;
    return stead_inbox_init(&here) != 0 || stead_inbox_init(&there) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    stead_inbox_deinit(&here);
    stead_inbox_deinit(&there);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_that_comes_again_joins_and_is_answered_on_its_newest_way),
        cmocka_unit_test(test_next_backup_begins_when_one_has_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
