// SPDX-License-Identifier: Apache-2.0
/*
 * llhttp does the fields; what it lets through, and what depends on several fields, is refused
 * here (RFC 9112; wherever the RFC leaves a choice, the strict one):
 *   - lines end in CRLF, are not folded, and field names are not empty: the scan;
 *   - one space between the parts of the request line, HTTP/1.0 or HTTP/1.1: split_request_line();
 *   - targets without fragment, user or doubtful authority: split_target();
 *   - exactly one Host, only "chunked" as a transfer coding and not in HTTP/1.0: check_fields().
 * Methods that llhttp does not know are an error there. They must be a 405 here, so it is told GET
 * in their place, and everything else about the request is checked as ever.
 */
#include "http/http_head.h"

#include <llhttp.h>

#include "base/mem.h"

enum { METHOD_BYTES_MAX = 64, REQUEST_ID_BYTES_MAX = 64 };

/* RFC 9110, 5.6.2 */
static bool is_token_char(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr(others, c));
}

/* ---- scan ---- */

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
    if (state->searched == 0 && bytes.len > 0 && !is_token_char((unsigned char)bytes.ptr[0]))
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
        while (is_token_char((unsigned char)*at))
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
    size_t n;

    if (state->fields_at == 0)
        *state = start;
    enum http_scan verdict = http_head_scan(state, with_byte_before, limits, &n);
    if (verdict != HTTP_SCAN_DONE)
        return verdict;
    *ret_len = n - 1;
    return are_fields((struct str){ bytes.ptr, *ret_len }) ? HTTP_SCAN_DONE : HTTP_SCAN_MALFORMED;
}

/* ---- request line ---- */

static bool split_request_line(struct str line, struct http_head *head, struct str *ret_target)
{
    size_t i = 0;

    while (i < line.len && is_token_char((unsigned char)line.ptr[i]))
        i++;
    if (i == 0 || i > METHOD_BYTES_MAX || i == line.len || line.ptr[i] != ' ')
        return false;
    head->method = (struct str){ line.ptr, i };
    const char *target = line.ptr + i + 1;
    const char *end = memchr(target, ' ', line.len - i - 1);
    if (!end || end == target)
        return false;
    *ret_target = (struct str){ target, (size_t)(end - target) };
    struct str version = { end + 1, line.len - (size_t)(end + 1 - line.ptr) };
    if (version.len != 8 || memcmp(version.ptr, "HTTP/1.", 7) != 0 ||
        (version.ptr[7] != '0' && version.ptr[7] != '1'))
        return false;
    head->version_minor = (unsigned)(version.ptr[7] - '0');
    return true;
}

/* host[:port] of RFC 3986 without what could be read in two ways: user names and lists. */
static bool is_authority(struct str s)
{
    static const char others[] = "-._~%!$&'()*+;=:[]";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            !(c != '\0' && strchr(others, c)))
            return false;
    }
    return s.len > 0;
}

static size_t scheme_length(struct str target)
{
    if (target.len > 7 && str_equal_nocase((struct str){ target.ptr, 7 }, STR("http://")))
        return 7;
    if (target.len > 8 && str_equal_nocase((struct str){ target.ptr, 8 }, STR("https://")))
        return 8;
    return 0;
}

/* "http://host/path" -> "/path"; the authority then stands for Host, and must agree with it. */
static bool strip_authority(struct str *target, struct str *ret_authority)
{
    size_t scheme = scheme_length(*target), i = scheme;

    if (scheme == 0)
        return false;
    while (i < target->len && target->ptr[i] != '/' && target->ptr[i] != '?')
        i++;
    *ret_authority = (struct str){ target->ptr + scheme, i - scheme };
    *target = (struct str){ target->ptr + i, target->len - i };
    return is_authority(*ret_authority);
}

static bool split_target(struct str target, struct http_head *head, struct str *ret_authority)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7F || c == '#')
            return false;
    }
    bool options = str_equal(head->method, STR("OPTIONS"));
    if (str_equal(target, STR("*"))) {
        head->path = options ? target : STR_NONE;
        return options;
    }
    if (target.ptr[0] != '/' && !strip_authority(&target, ret_authority))
        return false;
    const char *mark = target.len > 0 ? memchr(target.ptr, '?', target.len) : NULL;
    if (mark) {
        head->query = (struct str){ mark + 1, target.len - (size_t)(mark + 1 - target.ptr) };
        target.len = (size_t)(mark - target.ptr);
    }
    if (target.len == 0)
        target = options && !mark ? STR("*") : STR("/");
    head->path = target;
    return true;
}

/* ---- fields ---- */

struct parse {
    struct http_field *fields;
    size_t count, max;
    struct http_head *head;
};

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
    struct parse *parse = parser->data;

    if (parse->count == parse->max)
        return -1;
    parse->fields[parse->count++] = (struct http_field){ .name = { at, n }, .value = { at, 0 } };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
    struct parse *parse = parser->data;
    struct str *value = &parse->fields[parse->count - 1].value;

    if (value->len > 0 && value->ptr + value->len != at)
        return -1; /* only a folded value comes in two pieces */
    if (value->len == 0)
        value->ptr = at;
    value->len += n;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    const struct parse *parse = parser->data;
    struct http_head *head = parse->head;
    bool close = parser->flags & F_CONNECTION_CLOSE;

    head->chunked = parser->flags & F_CHUNKED;
    head->content_length = parser->flags & F_CONTENT_LENGTH ? parser->content_length : 0;
    head->keep_alive =
        !close && (head->version_minor == 1 || (parser->flags & F_CONNECTION_KEEP_ALIVE));
    head->field_count = parse->count;
    return HPE_PAUSED; /* bodies are not read in here */
}

static const llhttp_settings_t head_settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
};

static bool known_to_parser(struct str method)
{
    static const char *const names[] = {
        "GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"
    };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (str_equal(method, str_from(names[i])))
            return true;
    return false;
}

static bool run_parser(struct str bytes, struct parse *parse)
{
    llhttp_t parser;

    llhttp_init(&parser, HTTP_REQUEST, &head_settings);
    parser.data = parse;
    if (!known_to_parser(parse->head->method)) {
        if (llhttp_execute(&parser, "GET", 3) != HPE_OK)
            return false;
        bytes.ptr += parse->head->method.len;
        bytes.len -= parse->head->method.len;
    }
    return llhttp_execute(&parser, bytes.ptr, bytes.len) == HPE_PAUSED;
}

static bool usable_request_id(struct str value)
{
    if (value.len < 1 || value.len > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            c != '_' && c != '-')
            return false;
    }
    return true;
}

static void trim(struct str *value)
{
    while (value->len > 0 && (value->ptr[0] == ' ' || value->ptr[0] == '\t')) {
        value->ptr++;
        value->len--;
    }
    while (value->len > 0 &&
           (value->ptr[value->len - 1] == ' ' || value->ptr[value->len - 1] == '\t'))
        value->len--;
}

struct seen {
    unsigned hosts, codings;
};

static bool check_field(const struct http_field *field, struct http_head *head, struct seen *seen)
{
    switch (field->name.len) {
    case 4:
        if (!str_equal_nocase(field->name, STR("Host")))
            return true;
        head->host = field->value;
        return ++seen->hosts == 1 && is_authority(field->value);
    case 6:
        if (!str_equal_nocase(field->name, STR("Expect")) || head->version_minor == 0)
            return true;
        head->expect_continue = true;
        return str_equal_nocase(field->value, STR("100-continue"));
    case 12:
        if (str_equal_nocase(field->name, STR("X-Request-Id")) && usable_request_id(field->value))
            head->request_id = field->value;
        return true;
    case 17:
        if (!str_equal_nocase(field->name, STR("Transfer-Encoding")))
            return true;
        return ++seen->codings == 1 && head->version_minor == 1 &&
               str_equal_nocase(field->value, STR("chunked"));
    default:
        return true;
    }
}

static bool check_fields(struct http_field *fields, struct http_head *head, struct str authority)
{
    struct seen seen = { 0 };

    for (size_t i = 0; i < head->field_count; i++) {
        trim(&fields[i].value);
        if (!check_field(&fields[i], head, &seen))
            return false;
    }
    if (seen.hosts == 0 && head->version_minor == 1)
        return false;
    return !authority.ptr || seen.hosts == 0 || str_equal_nocase(authority, head->host);
}

bool http_head_parse(struct str bytes, struct http_field *fields, size_t fields_max,
                     struct http_head *ret_head)
{
    const char *newline = memchr(bytes.ptr, '\n', bytes.len);
    struct parse parse = { .fields = fields, .max = fields_max, .head = ret_head };
    struct str target, authority = STR_NONE;

    *ret_head = (struct http_head){ 0 };
    if (!newline || newline == bytes.ptr)
        return false;
    struct str line = { bytes.ptr, (size_t)(newline - bytes.ptr) - 1 };
    return split_request_line(line, ret_head, &target) &&
           split_target(target, ret_head, &authority) && run_parser(bytes, &parse) &&
           check_fields(fields, ret_head, authority);
}

void http_head_parse_line(struct str line, struct http_head *ret_head)
{
    struct str target, authority;

    *ret_head = (struct http_head){ 0 };
    if (line.len >= 2 &&
        split_request_line((struct str){ line.ptr, line.len - 2 }, ret_head, &target))
        (void)split_target(target, ret_head, &authority);
}

/* ---- chunked bodies ---- */

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
