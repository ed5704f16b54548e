/* SPDX-License-Identifier: Apache-2.0 */
/* A reactor that does not look at its socket, and clients that break meanwhile. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "unit/net/station.h"

/* ---- A client on a bare socket -------------------------------------------------------------- */

static int connect_bare(const struct station *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(stead_transport_endpoint(s->transport), ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* ZMTP 3.1 by hand: the greeting without security, and READY of a DEALER (the terminating zero is the last byte of its
 * last length). */
static void greet_bare(int fd)
{
    static const uint8_t ready[] = "\x04\x29\x05READY\x0bSocket-Type\0\0\0\x06"
                                   "DEALER\x08Identity\0\0\0";
    uint8_t greeting[64] = {[0] = 0xff, [9] = 0x7f, [10] = 3, [11] = 1, [12] = 'N', 'U', 'L', 'L'};
    assert_int_equal(send(fd, greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
    assert_int_equal(send(fd, ready, sizeof ready, MSG_NOSIGNAL), sizeof ready);
    /* Nothing may follow before the other side has said READY too. */
    uint8_t answer[64 + 2 + 255];
    assert_int_equal(recv(fd, answer, 64 + 2, MSG_WAITALL), 64 + 2);
    assert_int_equal(recv(fd, answer + 66, answer[65], MSG_WAITALL), answer[65]);
}

/* Messages until neither libzmq's pipe nor the kernel takes more for a while. */
static void fill_bare(int fd)
{
    static uint8_t message[2 + 255] = {0x00, 0xff};
    size_t sent = 0; /* of the message under way */
    for (int quiet = 0; quiet < 20;) {
        struct timespec pause = {.tv_nsec = 10000000};
        ssize_t more = send(fd, message + sent, sizeof message - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (more > 0) {
            sent = (sent + (size_t)more) % sizeof message;
            continue;
        }
        quiet++;
        nanosleep(&pause, NULL);
    }
}

/* libzmq 4.3.4 aborts the process when a connection breaks whose input waits for a full pipe, and then its heartbeat is
 * due (its issue 4364): so a socket whose pipe can fill has no heartbeat. */
static void test_router_of_a_stalled_reactor_survives_a_client_that_breaks(void **state)
{
    (void)state;
    static struct station s;
    open_station(&s, 1);
    int fd = connect_bare(&s);
    greet_bare(fd);
    fill_bare(fd); /* the reactor does not look at its socket */
    struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    struct timespec beat = {.tv_sec = 2, .tv_nsec = 500000000};
    nanosleep(&beat, NULL); /* libzmq aborts here, or it does not */
    pump_for_ms(50);
    assert_true(stead_transport_stats(s.transport)->frames_in > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_router_of_a_stalled_reactor_survives_a_client_that_breaks, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
