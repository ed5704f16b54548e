/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full pipe's wake-up: room comes back between the refused send and the look at the socket's events. The look takes
 * the wake-up out of the edge-triggered descriptor, so the loop must not sleep on it. zmq_msg_send is wrapped (by the
 * linker), so that the room comes at that moment.
 */
#include <errno.h>
#include <poll.h>

#include "unit/net/station.h"

#define PAYLOAD_BYTES 60000u
#define SENDS_MAX 20000

static struct station a, b;
static bool armed, refused;

int __real_zmq_msg_send(zmq_msg_t *message, void *socket, int flags);
int __wrap_zmq_msg_send(zmq_msg_t *message, void *socket, int flags);

/* After the first refusal the other side takes what there is, until the socket has heard of the room. */
int __wrap_zmq_msg_send(zmq_msg_t *message, void *socket, int flags)
{
    int sent = __real_zmq_msg_send(message, socket, flags);
    if (sent >= 0 || errno != EAGAIN || !armed)
        return sent;
    armed = false;
    refused = true;
    struct pollfd item = {.events = POLLIN};
    size_t size = sizeof item.fd;
    assert_int_equal(zmq_getsockopt(socket, ZMQ_FD, &item.fd, &size), 0);
    for (uint64_t end = now_ns() + WAIT_MS * 1000000ull; poll(&item, 1, 0) == 0;) {
        assert_true(now_ns() < end);
        turn(&b, 1);
        drop_received(&b);
    }
    errno = EAGAIN;
    return -1;
}

static void test_room_that_comes_back_right_behind_a_refused_send_is_not_slept_through(void **state)
{
    static uint8_t payload[PAYLOAD_BYTES] = {0xc6, 0, 0, (PAYLOAD_BYTES - 5) >> 8, (PAYLOAD_BYTES - 5) & 0xff};
    struct epoll_event event;
    bool again = false;

    (void)state;
    open_station(&a, 1);
    open_station(&b, 2);
    a.endpoints[2] = stead_transport_endpoint(b.transport);
    send_tell(&a, 2, "kind/key");
    assert_true(pump_until(&b.received, 1));
    pump_for_ms(20); /* what a has still to hear is heard */
    armed = true;
    refused = false;
    for (int i = 0; i < SENDS_MAX && !refused; i++) {
        struct stead_message *m = tell("kind/key", stead_bytes(payload, sizeof payload));
        stead_transport_send(a.transport, 2, 0, &m);
        again = stead_transport_flush(a.transport);
    }
    assert_true(refused);
    assert_true(again ||
                epoll_wait(a.epoll, &event, 1, 0) == 1); /* else the loop sleeps beside a lane that could move */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_room_that_comes_back_right_behind_a_refused_send_is_not_slept_through,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
