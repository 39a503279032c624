// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include "loop/loop.h"

enum err loop_addr_parse(struct str host, uint16_t port, struct loop_addr *ret_addr)
{
    char text[LOOP_ADDR_TEXT_BYTES];
    struct loop_addr addr = { 0 };

    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){ host.ptr + 1, host.len - 2 };
    if (str_equal(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (host.len == 0 || host.len >= sizeof text || memchr(host.ptr, '\0', host.len))
        return ERR_INVALID;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &addr.v4.sin_addr) == 1) {
        addr.v4.sin_family = AF_INET;
        addr.v4.sin_port = htons(port);
    } else if (inet_pton(AF_INET6, text, &addr.v6.sin6_addr) == 1) {
        addr.v6.sin6_family = AF_INET6;
        addr.v6.sin6_port = htons(port);
    } else {
        return ERR_INVALID;
    }
    *ret_addr = addr;
    return ERR_OK;
}

/* The IPv4 address in it, if any: a socket for both families sees IPv4 peers as ::ffff:a.b.c.d. */
static const void *embedded_v4(const struct loop_addr *addr)
{
    if (addr->any.sa_family == AF_INET)
        return &addr->v4.sin_addr;
    if (addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr))
        return &addr->v6.sin6_addr.s6_addr[12];
    return NULL;
}

struct str loop_addr_text(const struct loop_addr *addr, char out[LOOP_ADDR_TEXT_BYTES])
{
    const void *v4 = embedded_v4(addr);
    const char *text = NULL;

    if (v4)
        text = inet_ntop(AF_INET, v4, out, LOOP_ADDR_TEXT_BYTES);
    else if (addr->any.sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, &addr->v6.sin6_addr, out, LOOP_ADDR_TEXT_BYTES);
    return text ? str_from(text) : STR("unknown");
}

uint16_t loop_addr_port(const struct loop_addr *addr)
{
    return ntohs(addr->any.sa_family == AF_INET6 ? addr->v6.sin6_port : addr->v4.sin_port);
}

bool loop_addr_is_loopback(const struct loop_addr *addr)
{
    const unsigned char *v4 = embedded_v4(addr);

    if (v4)
        return v4[0] == 127;
    return addr->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&addr->v6.sin6_addr);
}

socklen_t loop_addr_bytes(const struct loop_addr *addr)
{
    return addr->any.sa_family == AF_INET6 ? sizeof addr->v6 : sizeof addr->v4;
}
