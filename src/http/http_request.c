// SPDX-License-Identifier: Apache-2.0
#include "http/http.h"

struct str http_request_header(const struct http_request *req, struct str name)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_equal_nocase(req->headers[i].name, name))
            return req->headers[i].value;
    return STR_NONE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

enum err http_percent_decode(struct arena *arena, struct str text, struct str *ret_text)
{
    if (text.len == 0 || !memchr(text.ptr, '%', text.len)) {
        *ret_text = text;
        return ERR_OK;
    }
    char *out = arena_alloc(arena, text.len);
    size_t n = 0;
    if (!out)
        return ERR_NOMEM;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            out[n++] = text.ptr[i];
            continue;
        }
        if (text.len - i < 3)
            return ERR_INVALID;
        int high = hex_value(text.ptr[i + 1]), low = hex_value(text.ptr[i + 2]);
        if (high < 0 || low < 0 || high + low == 0)
            return ERR_INVALID;
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    *ret_text = (struct str){ out, n };
    return ERR_OK;
}
