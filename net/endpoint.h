/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint: where a reactor listens, as tcp://ADDRESS:PORT, and the rule that this is loopback as long as there are no
 * keys. Pure; any thread.
 */
#ifndef STEAD_NET_ENDPOINT_H
#define STEAD_NET_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "stead/error.h"

#define STEAD_ENDPOINT_MAX 255u /* bytes of tcp://address:port */

struct stead_endpoint {
    char host[STEAD_ENDPOINT_MAX + 1]; /* as written, an IPv6 address in its brackets; "localhost" became 127.0.0.1 */
    uint16_t port;                     /* 0: any */
    bool loopback; /* 127.0.0.0/8 or [::1], written as numbers: names can be made to point elsewhere */
    bool ipv6;     /* host is in brackets */
};

/* 0, or STEAD_EARGUMENT: not of this form. */
int stead_endpoint_parse(const char *text, struct stead_endpoint *ret_endpoint) STEAD_MUST_USE;

#endif
