/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint: parsing is strict where it guards something. "127.0.0.1.example.org" begins like loopback and is not, and a
 * host name is whatever a resolver says today; so loopback is recognised in numbers only, and "localhost" is replaced
 * by its number before anybody resolves it.
 */
#include "net/endpoint.h"

#include <string.h>

static const char scheme[] = "tcp://";

/* Exactly four numbers of 0 to 255 with dots between them, the first being 127. */
static bool is_loopback_v4(const char *host)
{
    unsigned part = 0, value = 0, digits = 0, first = 0;
    for (const char *at = host;; at++) {
        if (*at >= '0' && *at <= '9' && digits < 3) {
            value = value * 10 + (unsigned)(*at - '0');
            digits++;
            continue;
        }
        if ((*at != '.' && *at != 0) || digits == 0 || value > 255)
            return false;
        if (part++ == 0)
            first = value;
        if (*at == 0)
            return part == 4 && first == 127;
        value = digits = 0;
    }
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 6; digits++)
        port = port * 10 + (uint32_t)(text[digits] - '0');
    if (digits == 0 || text[digits] != 0 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '*';
}

static bool is_host(const char *host, size_t size)
{
    if (size == 0)
        return false;
    if (host[0] == '[')
        return size > 2 && host[size - 1] == ']' && strspn(host + 1, "0123456789abcdefABCDEF:.") == size - 2;
    for (size_t i = 0; i < size; i++)
        if (!is_host_char(host[i]))
            return false;
    return true;
}

int stead_endpoint_parse(const char *text, struct stead_endpoint *ret_endpoint)
{
    struct stead_endpoint e = {.port = 0};
    if (strlen(text) > STEAD_ENDPOINT_MAX || strncmp(text, scheme, sizeof scheme - 1) != 0)
        return STEAD_EARGUMENT;
    const char *host = text + sizeof scheme - 1, *colon = strrchr(host, ':');
    if (colon == NULL || !parse_port(colon + 1, &e.port))
        return STEAD_EARGUMENT;
    size_t size = (size_t)(colon - host);
    if (!is_host(host, size))
        return STEAD_EARGUMENT;
    memcpy(e.host, host, size);
    if (strcmp(e.host, "localhost") == 0)
        strcpy(e.host, "127.0.0.1");
    e.ipv6 = e.host[0] == '[';
    e.loopback = is_loopback_v4(e.host) || strcmp(e.host, "[::1]") == 0;
    *ret_endpoint = e;
    return 0;
}
