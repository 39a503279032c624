// SPDX-License-Identifier: Apache-2.0
/* llhttp decodes, starting behind a head that says "chunked". It stops at the last chunk: trailers
 * are scanned with the rules of http_scan.c, which are stricter. */
#include <llhttp.h>

#include "base/mem.h"
#include "http/http_head.h"

struct http_chunks {
    llhttp_t parser;
    char *to;
    size_t made;
    bool last;
};

static int on_chunk_header(llhttp_t *parser)
{
    struct http_chunks *chunks = parser->data;

    chunks->last = parser->content_length == 0;
    return chunks->last ? HPE_PAUSED : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct http_chunks *chunks = parser->data;

    memmove(chunks->to + chunks->made, at, n);
    chunks->made += n;
    return 0;
}

static const llhttp_settings_t chunk_settings = {
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
};

struct http_chunks *http_chunks_new(void)
{
    static const char prelude[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct http_chunks *chunks = mem_alloc(sizeof *chunks);

    if (!chunks)
        return NULL;
    llhttp_init(&chunks->parser, HTTP_REQUEST, &chunk_settings);
    chunks->parser.data = chunks;
    if (llhttp_execute(&chunks->parser, prelude, sizeof prelude - 1) != HPE_OK)
        return http_chunks_free(chunks);
    return chunks;
}

struct http_chunks *http_chunks_free(struct http_chunks *chunks)
{
    return mem_free(chunks);
}

enum http_chunk http_chunks_decode(struct http_chunks *chunks, const char *from, size_t n, char *to,
                                   size_t *ret_used, size_t *ret_made)
{
    chunks->to = to;
    chunks->made = 0;
    llhttp_errno_t e = llhttp_execute(&chunks->parser, from, n);
    *ret_made = chunks->made;
    *ret_used = n;
    if (e == HPE_OK)
        return HTTP_CHUNK_MORE;
    *ret_used = (size_t)(llhttp_get_error_pos(&chunks->parser) - from);
    return e == HPE_PAUSED && chunks->last ? HTTP_CHUNK_LAST : HTTP_CHUNK_MALFORMED;
}
