// SPDX-License-Identifier: Apache-2.0
/*
 * The input is what a caller sends as Forwarded and X-Forwarded-For; then an honest proxy adds what
 * it sees, in a field of its own or at the end of the caller's. Whatever the caller wrote: nobody
 * is taken for anybody else but, where the quotes do not add up, for malformed.
 */
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "http/http.h"

static struct http_nets trusted;
static struct http_ip proxy, seen;

static void check(struct str name, struct str caller, struct str own, bool may_be_malformed)
{
    const struct http_field fields[] = { { name, caller }, { name, own } };
    struct http_request request = { .peer_ip = &proxy,
                                    .headers = fields,
                                    .header_count = own.ptr ? 2 : 1 };
    struct http_ip client;
    enum http_client found = http_client_find(&request, &trusted, &client);

    if (found == HTTP_CLIENT_MALFORMED)
        ASSERT(may_be_malformed);
    else
        ASSERT(found == HTTP_CLIENT_KNOWN && http_ip_equal(&client, &seen));
}

/* Without any proxy's word: no crash is all. */
static void check_alone(struct str name, struct str caller)
{
    const struct http_field field = { name, caller };
    struct http_request request = { .peer_ip = &proxy, .headers = &field, .header_count = 1 };
    struct http_ip client;

    ASSERT(http_client_find(&request, &trusted, &client) <= HTTP_CLIENT_MALFORMED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = { "for=192.0.2.1", "for=\"192.0.2.1\"",
                                         "for=192.0.2.1;proto=https;host=\"shop\"" };
    CLEANUP(buf_fini) struct buf line = { 0 };
    struct str input = { (const char *)data, size }, bad;

    if (!trusted.count)
        ASSERT(http_nets_parse(STR("10.0.0.0/8"), &trusted, &bad) == ERR_OK &&
               http_ip_parse(STR("10.0.0.1"), &proxy) && http_ip_parse(STR("192.0.2.1"), &seen));
    check_alone(STR("Forwarded"), input);
    check_alone(STR("X-Forwarded-For"), input);
    check(STR("X-Forwarded-For"), input, STR("192.0.2.1"), false);
    buf_bytes(&line, data, size);
    buf_literal(&line, ", 192.0.2.1");
    check(STR("X-Forwarded-For"), buf_str(&line), STR_NONE, false);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        check(STR("Forwarded"), input, str_from(words[i]), false);
        buf_reset(&line);
        buf_bytes(&line, data, size);
        buf_printf(&line, ", %s", words[i]);
        check(STR("Forwarded"), buf_str(&line), STR_NONE, true);
    }
    return 0;
}
