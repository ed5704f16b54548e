/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_link: a DEALER that connects once, and the monitor that tells how that went.
 *
 * ZeroMQ's own reconnecting is off (ZMQ_RECONNECT_IVL -1): see the header for what that buys. Therefore ZMQ_IMMEDIATE
 * is not needed either: what is queued before the connection is open is HELLO alone, and it belongs to this connection.
 *
 * Both file descriptors are edge-triggered. The client asks a socket for frames until it says that there are none,
 * after every send and before every wait, because a send can swallow the signal that a frame has come. Nothing is ever
 * sent on a monitor, so it is read when its descriptor is readable, until it is empty.
 */
#include "net/client_link.h"

#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

#include "runtime/base.h"

#define BACKOFF_NS_MIN 10000000ull
#define BACKOFF_DOUBLINGS_MAX 6u
#define BACKOFF_NS_MAX 500000000ull
#define HEARTBEAT_MS 5000 /* a peer whose machine is gone is noticed */
#define HEARTBEAT_TIMEOUT_MS 15000
#define HANDSHAKE_MS 5000
#define MONITOR_EVENTS                                                                                                 \
    (ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |                                \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)

struct stead_link *stead_link_create(const char *endpoint, uint32_t node, uint16_t reactor)
{
    struct stead_link *link = stead_alloc_zero(sizeof(*link));
    size_t size = strlen(endpoint);

    STEAD_ASSERT(size <= STEAD_LINK_ENDPOINT_MAX);
    memcpy(link->endpoint, endpoint, size + 1);
    link->node = node;
    link->reactor = reactor;
    link->socket_fd = link->monitor_fd = -1;
    return link;
}

void stead_link_destroy(struct stead_link **link)
{
    if (*link == NULL)
        return;
    stead_link_close(*link);
    stead_frame_deinit(&(*link)->frame);
    free(*link);
    *link = NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static bool set_option(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

static int fd_of(void *socket)
{
    int fd = -1;
    size_t size = sizeof(fd);

    return zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

static bool configure(void *socket, int queue_max)
{
    int64_t frame_max = STEAD_FRAME_SIZE_MAX;

    return set_option(socket, ZMQ_LINGER, 0) && set_option(socket, ZMQ_RECONNECT_IVL, -1) &&
           set_option(socket, ZMQ_SNDHWM, queue_max) &&
           set_option(socket, ZMQ_RCVHWM, 0) && /* bounded by the requests in flight */
           set_option(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) && set_option(socket, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
           set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof(frame_max)) == 0;
}

/* Opens the PAIR that hears of the socket's fate. */
static bool watch(struct stead_link *link, void *context)
{
    char name[64];

    (void)stead_format(name, sizeof(name), "inproc://stead.link.%p", (void *)link);
    if (zmq_socket_monitor(link->socket, name, MONITOR_EVENTS) != 0)
        return false;
    link->monitor = zmq_socket(context, ZMQ_PAIR);
    if (link->monitor == NULL || !set_option(link->monitor, ZMQ_LINGER, 0) || zmq_connect(link->monitor, name) != 0)
        return false;
    /* Only a reader that has found nothing is woken through its descriptor: it looks once, before anything can have
     * happened. */
    return !stead_link_is_broken(link);
}

static bool open_sockets(struct stead_link *link, void *context, int queue_max)
{
    link->socket = zmq_socket(context, ZMQ_DEALER);
    if (link->socket == NULL || !configure(link->socket, queue_max) || !watch(link, context))
        return false;
    link->socket_fd = fd_of(link->socket);
    link->monitor_fd = fd_of(link->monitor);
    return link->socket_fd >= 0 && link->monitor_fd >= 0 && zmq_connect(link->socket, link->endpoint) == 0;
}

int stead_link_open(struct stead_link *link, void *context, uint64_t now_ns, int queue_max, uint64_t table_version)
{
    STEAD_ASSERT(link->state == STEAD_LINK_CLOSED);
    link->opened_ns = now_ns;
    if (!open_sockets(link, context, queue_max)) {
        stead_link_fail(link, now_ns);
        return STEAD_EUNAVAILABLE;
    }
    link->state = STEAD_LINK_OPENING;
    stead_link_greet(link, table_version);
    return 0;
}

void stead_link_close(struct stead_link *link)
{
    if (link->socket != NULL) {
        (void)zmq_socket_monitor(link->socket, NULL, 0);
        (void)zmq_close(link->socket);
    }
    if (link->monitor != NULL)
        (void)zmq_close(link->monitor);
    link->socket = link->monitor = NULL;
    link->socket_fd = link->monitor_fd = -1;
    link->state = STEAD_LINK_CLOSED;
    stead_frame_reset(&link->frame);
}

void stead_link_fail(struct stead_link *link, uint64_t now_ns)
{
    uint32_t doublings = link->failures < BACKOFF_DOUBLINGS_MAX ? link->failures : BACKOFF_DOUBLINGS_MAX;
    uint64_t wait_ns = BACKOFF_NS_MIN << doublings;

    stead_link_close(link);
    link->failures++;
    link->retry_ns = now_ns + (wait_ns < BACKOFF_NS_MAX ? wait_ns : BACKOFF_NS_MAX);
}

void stead_link_linger(struct stead_link *link, int linger_ms)
{
    if (link->socket != NULL)
        (void)set_option(link->socket, ZMQ_LINGER, linger_ms);
}

/* ---- Records -------------------------------------------------------------------------------- */

void stead_link_greet(struct stead_link *link, uint64_t table_version)
{
    const struct stead_hello hello = {.table_version = table_version};
    struct stead_message *message = stead_hello_make(&hello);

    stead_link_send(link, message);
    stead_message_destroy(&message);
}

void stead_link_send(struct stead_link *link, const struct stead_message *message)
{
    if (link->socket == NULL || stead_frame_add(&link->frame, message))
        return;
    (void)stead_link_flush(link);
    (void)stead_frame_add(&link->frame, message); /* an empty frame takes any record */
}

bool stead_link_flush(struct stead_link *link)
{
    struct stead_slice bytes = stead_frame_bytes(&link->frame);

    if (bytes.size == 0 || link->socket == NULL)
        return false;
    /* What does not fit into the queue is lost like a frame on a broken wire: requests are sent again by their
     * timers. */
    if (zmq_send(link->socket, bytes.data, bytes.size, ZMQ_DONTWAIT) < 0)
        link->frames_dropped++;
    stead_frame_reset(&link->frame);
    return true;
}

bool stead_link_receive(struct stead_link *link, void *ret_frame)
{
    return link->socket != NULL && zmq_msg_recv(ret_frame, link->socket, ZMQ_DONTWAIT) >= 0;
}

bool stead_link_is_broken(struct stead_link *link)
{
    bool broken = false;
    zmq_msg_t part;

    if (link->monitor == NULL)
        return false;
    /* An event is two parts, its number and the endpoint. Only events that mean the end were asked for. */
    (void)zmq_msg_init(&part);
    while (zmq_msg_recv(&part, link->monitor, ZMQ_DONTWAIT) >= 0)
        broken = true;
    (void)zmq_msg_close(&part);
    return broken;
}
