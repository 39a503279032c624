// SPDX-License-Identifier: Apache-2.0
/*
 * The head of a request: from bytes to fields. Pure. The only users of llhttp, whose names
 * clash with those of http.h, are this header's: http_head.c and http_chunks.c.
 *
 * Two steps. The scan looks at line ends only, can be fed in any pieces and enforces the limits;
 * the parse then has the whole head before it and answers slices of it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "http/http_field.h"

bool http_is_token_char(unsigned char c); /* RFC 9110, 5.6.2 */

struct http_head_limits {
    size_t request_line_max;  /* bytes without the line end */
    size_t header_fields_max; /* number of fields */
    size_t header_bytes_max;  /* all field lines with their line ends */
};

enum http_scan {
    HTTP_SCAN_MORE,
    HTTP_SCAN_DONE,
    HTTP_SCAN_MALFORMED,
    HTTP_SCAN_LINE_TOO_LONG,
    HTTP_SCAN_HEADERS_TOO_LARGE,
};

/* Zeroed before a new head. Offsets count from the first byte of the head. */
struct http_scan_state {
    uint32_t searched;   /* no line end before this */
    uint32_t line_start; /* of the line that is not complete yet */
    uint32_t fields_at;  /* start of the field lines; 0 while the request line is not complete */
    uint32_t fields;
};

/* `bytes` is the head from its start, each time with more of it behind. On DONE, *ret_len bytes
 * are the head with its empty line. */
enum http_scan http_head_scan(struct http_scan_state *state, struct str bytes,
                              const struct http_head_limits *limits, size_t *ret_len);
/* The same for what follows the last chunk of a chunked body (RFC 9112, 7.1.2). There is a byte
 * before `bytes` in memory. */
enum http_scan http_trailer_scan(struct http_scan_state *state, struct str bytes,
                                 const struct http_head_limits *limits, size_t *ret_len);

struct http_head {
    struct str method; /* any token */
    struct str path;   /* starts with '/', or is "*" */
    struct str query;  /* without the '?'; ptr NULL if there is none */
    struct str host;
    struct str request_id; /* X-Request-Id if it is usable, else len 0 */
    unsigned version_minor;
    size_t field_count;
    uint64_t content_length; /* 0 if there is none */
    bool chunked, keep_alive, expect_continue;
};

/* `head` has been scanned; `fields` has room for its `state.fields`. False: malformed, and what
 * was understood until then (method, path) is in *ret_head. */
bool http_head_parse(struct str head, struct http_field *fields, size_t fields_max,
                     struct http_head *ret_head);

/* Only what can be said of a refused head: method and path, as far as they are good. `line` is
 * the request line with its line end. */
void http_head_parse_line(struct str line, struct http_head *ret_head);

/* ---- chunked bodies ---- */

struct http_chunks; /* one body being decoded */

struct http_chunks *http_chunks_new(void) MUST_CHECK; /* NULL without memory */
struct http_chunks *http_chunks_free(struct http_chunks *chunks);

enum http_chunk {
    HTTP_CHUNK_MORE,
    HTTP_CHUNK_LAST, /* trailers follow */
    HTTP_CHUNK_MALFORMED,
};

/* Decodes `n` bytes at `from` to `to`, which may overlap if to <= from. *ret_used of them were
 * consumed (all, unless it is LAST or MALFORMED), *ret_made came out. */
enum http_chunk http_chunks_decode(struct http_chunks *chunks, const char *from, size_t n, char *to,
                                   size_t *ret_used, size_t *ret_made);
