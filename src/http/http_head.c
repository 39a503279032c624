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

enum { METHOD_BYTES_MAX = 64, REQUEST_ID_BYTES_MAX = 64 };

/* ---- request line ---- */

static bool split_request_line(struct str line, struct http_head *head, struct str *ret_target)
{
    size_t i = 0;

    while (i < line.len && http_is_token_char((unsigned char)line.ptr[i]))
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
