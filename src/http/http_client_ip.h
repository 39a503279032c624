// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses of callers, and who stands behind proxies: `Forwarded` (RFC 7239) and
 * `X-Forwarded-For`. What a proxy did not add itself was written by whoever it speaks for, so a
 * chain is believed from its right end, as far as it is made of proxies that are trusted.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* IPv4 as ::ffff:a.b.c.d, so that there is one way to write an address. */
struct http_ip {
    uint8_t bytes[16];
};

struct http_net {
    struct http_ip ip;
    unsigned bits; /* of the 128 */
};

enum { HTTP_NETS_MAX = 64 };
struct http_nets {
    struct http_net nets[HTTP_NETS_MAX];
    size_t count;
};

/* "192.0.2.1" or "2001:db8::1". False: it is neither. */
bool http_ip_parse(struct str text, struct http_ip *ret_ip) MUST_CHECK;
bool http_ip_equal(const struct http_ip *a, const struct http_ip *b);
bool http_ip_is_loopback(const struct http_ip *ip);
enum { HTTP_IP_TEXT_BYTES = 48 };
struct str http_ip_text(const struct http_ip *ip, char out[HTTP_IP_TEXT_BYTES]);

/* Addresses and networks ("10.0.0.0/8", "2001:db8::/32"), with commas or blanks between them.
 * ERR_INVALID: `ret_bad` is the part that is none; or there are more than HTTP_NETS_MAX. */
enum err http_nets_parse(struct str list, struct http_nets *ret_nets,
                         struct str *ret_bad) MUST_CHECK;
bool http_nets_have(const struct http_nets *nets, const struct http_ip *ip);

enum http_client {
    HTTP_CLIENT_KNOWN,
    HTTP_CLIENT_UNKNOWN,   /* a proxy that is trusted says that it does not know, or will not say */
    HTTP_CLIENT_MALFORMED, /* nothing that a proxy should say, or its two headers disagree */
};

struct http_request;
/*
 * The last address, from the right, that is not of a trusted proxy; the peer itself where nobody
 * spoke for others. `ret_client` is set when it is known.
 */
enum http_client http_client_find(const struct http_request *request,
                                  const struct http_nets *trusted,
                                  struct http_ip *ret_client) MUST_CHECK;
