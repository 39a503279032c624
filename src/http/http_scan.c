// SPDX-License-Identifier: Apache-2.0
/* Line by line, so that a head in a thousand pieces costs no more than one in a single piece, and
 * the verdict does not depend on how it was cut. */
#include "http/http_head.h"

/* RFC 9110, 5.6.2 */
bool http_is_token_char(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr(others, c));
}

static enum http_scan end_of_line(struct http_scan_state *state, struct str line,
                                  const struct http_head_limits *limits, bool *ret_done)
{
    if (line.len == 0 || line.ptr[line.len - 1] != '\r')
        return HTTP_SCAN_MALFORMED;
    line.len--;
    if (state->fields_at == 0)
        return line.len > 0 ? HTTP_SCAN_MORE : HTTP_SCAN_MALFORMED;
    if (line.len == 0) {
        *ret_done = true;
        return HTTP_SCAN_MORE;
    }
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t' || line.ptr[0] == ':')
        return HTTP_SCAN_MALFORMED;
    if (++state->fields > limits->header_fields_max)
        return HTTP_SCAN_HEADERS_TOO_LARGE;
    return HTTP_SCAN_MORE;
}

/* `at` bytes are there and no further line end in them, but perhaps its CR. */
static enum http_scan check_length(const struct http_scan_state *state, size_t at,
                                   const struct http_head_limits *limits)
{
    if (state->fields_at == 0)
        return at > limits->request_line_max + 1 ? HTTP_SCAN_LINE_TOO_LONG : HTTP_SCAN_MORE;
    return at - state->fields_at > limits->header_bytes_max + 1 ? HTTP_SCAN_HEADERS_TOO_LARGE
                                                                : HTTP_SCAN_MORE;
}

enum http_scan http_head_scan(struct http_scan_state *state, struct str bytes,
                              const struct http_head_limits *limits, size_t *ret_len)
{
    if (state->searched == 0 && bytes.len > 0 && !http_is_token_char((unsigned char)bytes.ptr[0]))
        return HTTP_SCAN_MALFORMED; /* not HTTP, most likely TLS: no need to wait for a line */
    for (;;) {
        const char *from = bytes.ptr + state->searched;
        const char *newline =
            bytes.len > state->searched ? memchr(from, '\n', bytes.len - state->searched) : NULL;
        if (!newline) {
            state->searched = (uint32_t)bytes.len;
            return check_length(state, bytes.len, limits);
        }
        size_t at = (size_t)(newline - bytes.ptr);
        struct str line = { bytes.ptr + state->line_start, at - state->line_start };
        bool done = false;
        enum http_scan verdict = check_length(state, at, limits);
        if (verdict == HTTP_SCAN_MORE)
            verdict = end_of_line(state, line, limits, &done);
        if (verdict != HTTP_SCAN_MORE)
            return verdict;
        state->searched = state->line_start = (uint32_t)at + 1;
        if (state->fields_at == 0)
            state->fields_at = state->line_start;
        if (done) {
            *ret_len = at + 1;
            return HTTP_SCAN_DONE;
        }
    }
}

/* Trailers are dropped, and so not given to llhttp: what it would refuse is refused here. */
static bool are_fields(struct str lines)
{
    const char *end = lines.ptr + lines.len;

    for (const char *at = lines.ptr; end - at > 2; at++) {
        const char *name = at;
        while (http_is_token_char((unsigned char)*at))
            at++;
        if (at == name || *at != ':')
            return false;
        for (; *at != '\r'; at++)
            if (((unsigned char)*at < 0x20 && *at != '\t') || *at == 0x7F)
                return false;
        if (*++at != '\n')
            return false;
    }
    return true;
}

enum http_scan http_trailer_scan(struct http_scan_state *state, struct str bytes,
                                 const struct http_head_limits *limits, size_t *ret_len)
{
    /* As if the request line had been there, one byte before the first. */
    static const struct http_scan_state start = { .searched = 1, .line_start = 1, .fields_at = 1 };
    struct str with_byte_before = { bytes.ptr - 1, bytes.len + 1 };
    size_t n = 0;

    if (state->fields_at == 0)
        *state = start;
    enum http_scan verdict = http_head_scan(state, with_byte_before, limits, &n);
    if (verdict != HTTP_SCAN_DONE)
        return verdict;
    *ret_len = n - 1;
    return are_fields((struct str){ bytes.ptr, *ret_len }) ? HTTP_SCAN_DONE : HTTP_SCAN_MALFORMED;
}
