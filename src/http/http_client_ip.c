// SPDX-License-Identifier: Apache-2.0
#include "http/http_client_ip.h"

#include <arpa/inet.h>
#include <string.h>

#include "http/http.h"

/* ---- addresses ---- */

static const uint8_t v4_prefix[12] = { [10] = 0xFF, [11] = 0xFF };

static bool is_v4(const struct http_ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool http_ip_parse(struct str text, struct http_ip *ret_ip)
{
    char copy[HTTP_IP_TEXT_BYTES];
    struct http_ip ip;

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(ip.bytes, v4_prefix, sizeof v4_prefix);
    if (inet_pton(AF_INET, copy, ip.bytes + sizeof v4_prefix) != 1 &&
        inet_pton(AF_INET6, copy, ip.bytes) != 1)
        return false;
    *ret_ip = ip;
    return true;
}

bool http_ip_equal(const struct http_ip *a, const struct http_ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

bool http_ip_is_loopback(const struct http_ip *ip)
{
    static const struct http_ip v6 = { { [15] = 1 } };

    return is_v4(ip) ? ip->bytes[12] == 127 : http_ip_equal(ip, &v6);
}

struct str http_ip_text(const struct http_ip *ip, char out[HTTP_IP_TEXT_BYTES])
{
    const char *text =
        is_v4(ip) ? inet_ntop(AF_INET, ip->bytes + sizeof v4_prefix, out, HTTP_IP_TEXT_BYTES)
                  : inet_ntop(AF_INET6, ip->bytes, out, HTTP_IP_TEXT_BYTES);

    return str_from(text);
}

/* ---- networks ---- */

static bool net_parse(struct str text, struct http_net *ret_net)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    struct str ip = { text.ptr, slash ? (size_t)(slash - text.ptr) : text.len };
    int64_t bits = 128;

    if (!http_ip_parse(ip, &ret_net->ip))
        return false;
    int64_t base = memchr(ip.ptr, ':', ip.len) ? 0 : 96;
    if (slash && (!str_parse_int64((struct str){ slash + 1, text.len - ip.len - 1 }, &bits) ||
                  bits < 0 || bits > 128 - base))
        return false;
    ret_net->bits = (unsigned)(slash ? bits + base : 128);
    return true;
}

enum err http_nets_parse(struct str list, struct http_nets *ret_nets, struct str *ret_bad)
{
    struct http_nets nets = { .count = 0 };

    while (list.len > 0) {
        size_t len = 0;
        while (len < list.len && list.ptr[len] != ',' && list.ptr[len] != ' ')
            len++;
        *ret_bad = (struct str){ list.ptr, len };
        if (len > 0 &&
            (nets.count == HTTP_NETS_MAX || !net_parse(*ret_bad, &nets.nets[nets.count++])))
            return ERR_INVALID;
        len += len < list.len;
        list = (struct str){ list.ptr + len, list.len - len };
    }
    *ret_nets = nets;
    return ERR_OK;
}

static bool net_has(const struct http_net *net, const struct http_ip *ip)
{
    unsigned bytes = net->bits / 8, rest = net->bits % 8;

    return memcmp(net->ip.bytes, ip->bytes, bytes) == 0 &&
           (rest == 0 || (net->ip.bytes[bytes] ^ ip->bytes[bytes]) >> (8 - rest) == 0);
}

bool http_nets_have(const struct http_nets *nets, const struct http_ip *ip)
{
    for (size_t i = 0; i < nets->count; i++)
        if (net_has(&nets->nets[i], ip))
            return true;
    return false;
}

/* ---- one hop ---- */

static struct str trim(struct str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = (struct str){ text.ptr + 1, text.len - 1 };
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == '-';
}

/* ":443", ":_a-name", or nothing. */
static bool is_port(struct str text)
{
    if (text.len == 0)
        return true;
    if (text.ptr[0] != ':' || text.len < 2 || text.len > 64)
        return false;
    bool digits = text.ptr[1] != '_';
    for (size_t i = 1; i < text.len; i++)
        if (digits ? text.ptr[i] < '0' || text.ptr[i] > '9' : !is_name_char(text.ptr[i]))
            return false;
    return !digits || text.len <= 6;
}

/* The node of RFC 7239, and what is written into X-Forwarded-For: an address, perhaps with a port,
 * or a word that stands for one. */
static enum http_client node_parse(struct str text, struct http_ip *ret_ip)
{
    size_t len = text.len;

    if (text.len > 0 && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        len = end ? (size_t)(end - text.ptr) : 0;
        bool good = end && is_port((struct str){ end + 1, text.len - len - 1 }) &&
                    memchr(text.ptr, ':', len) &&
                    http_ip_parse((struct str){ text.ptr + 1, len - 1 }, ret_ip);
        return good ? HTTP_CLIENT_KNOWN : HTTP_CLIENT_MALFORMED;
    }
    if (http_ip_parse(text, ret_ip))
        return HTTP_CLIENT_KNOWN;
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    if (colon)
        len = (size_t)(colon - text.ptr);
    struct str host = { text.ptr, len };
    if (!is_port((struct str){ text.ptr + len, text.len - len }))
        return HTTP_CLIENT_MALFORMED;
    if (str_equal_nocase(host, STR("unknown")))
        return HTTP_CLIENT_UNKNOWN;
    for (size_t i = 0; host.len > 1 && host.ptr[0] == '_'; i++)
        if (i == host.len)
            return HTTP_CLIENT_UNKNOWN;
        else if (!is_name_char(host.ptr[i]))
            return HTTP_CLIENT_MALFORMED;
    return http_ip_parse(host, ret_ip) ? HTTP_CLIENT_KNOWN : HTTP_CLIENT_MALFORMED;
}

/* ---- a chain, from its right end ---- */

struct walk {
    const struct http_nets *trusted;
    struct http_ip client; /* the best so far */
    enum http_client result;
};

/* False: the walk is over. */
static bool step(struct walk *walk, struct str node)
{
    walk->result = node_parse(node, &walk->client);
    return walk->result == HTTP_CLIENT_KNOWN && http_nets_have(walk->trusted, &walk->client);
}

static bool walk_list(struct walk *walk, struct str value)
{
    while (value.len > 0) {
        const char *comma = memrchr(value.ptr, ',', value.len);
        size_t from = comma ? (size_t)(comma - value.ptr) + 1 : 0;
        struct str node = trim((struct str){ value.ptr + from, value.len - from });
        value.len = comma ? from - 1 : 0;
        if (node.len > 0 && !step(walk, node))
            return false;
    }
    return true;
}

/* ---- Forwarded ---- */

enum { ELEMENTS_MAX = 64 };

/* A value, quoted or not, from the start of *rest, which it is taken off. False: malformed. */
static bool take_value(struct str *rest, struct str *ret_value)
{
    size_t n = 0;

    if (rest->len > 0 && rest->ptr[0] == '"') {
        for (n = 1; n < rest->len && rest->ptr[n] != '"'; n++)
            if (rest->ptr[n] == '\\')
                n++;
        if (n >= rest->len)
            return false;
        *ret_value = (struct str){ rest->ptr + 1, n - 1 };
        n++;
    } else {
        while (n < rest->len && rest->ptr[n] && !strchr(";, \t\"\\", rest->ptr[n]))
            n++;
        *ret_value = (struct str){ rest->ptr, n };
        if (n == 0)
            return false;
    }
    *rest = (struct str){ rest->ptr + n, rest->len - n };
    return true;
}

/* "name=value". */
static bool take_pair(struct str *rest, struct str *node)
{
    size_t n = 0;
    struct str value;

    while (n < rest->len && is_name_char(rest->ptr[n]))
        n++;
    struct str name = { rest->ptr, n };
    if (n == 0 || n == rest->len || rest->ptr[n] != '=')
        return false;
    *rest = (struct str){ rest->ptr + n + 1, rest->len - n - 1 };
    if (!take_value(rest, &value))
        return false;
    if (!str_equal_nocase(name, STR("for")))
        return true;
    if (node->ptr)
        return false;
    *node = value;
    return true;
}

/* One hop's pairs up to the comma or the end; an element without any is none. */
static bool take_element(struct str *rest, struct str *ret_node, bool *ret_any)
{
    struct str node = STR_NONE;

    *ret_any = false;
    *rest = trim(*rest);
    while (rest->len > 0 && rest->ptr[0] != ',') {
        if (rest->ptr[0] == ';') {
            *rest = trim((struct str){ rest->ptr + 1, rest->len - 1 });
            continue;
        }
        if (!take_pair(rest, &node))
            return false;
        *ret_any = true;
        *rest = trim(*rest);
        if (rest->len > 0 && rest->ptr[0] != ',' && rest->ptr[0] != ';')
            return false;
    }
    if (rest->len > 0)
        *rest = (struct str){ rest->ptr + 1, rest->len - 1 };
    *ret_node = node.ptr ? node : STR("unknown");
    return true;
}

static bool walk_forwarded(struct walk *walk, struct str value)
{
    struct str nodes[ELEMENTS_MAX];
    size_t count = 0;
    bool any;

    while (value.len > 0) {
        if (count == ELEMENTS_MAX || !take_element(&value, &nodes[count], &any)) {
            walk->result = HTTP_CLIENT_MALFORMED;
            return false;
        }
        count += any;
    }
    while (count > 0)
        if (!step(walk, nodes[--count]))
            return false;
    return true;
}

/* ---- a request ---- */

/* All fields of that name, the last one first. False: there is none. */
static bool walk_fields(struct walk *walk, const struct http_request *request, struct str name,
                        bool (*walk_one)(struct walk *walk, struct str value))
{
    bool found = false, going = true;

    for (size_t i = request->header_count; i > 0; i--)
        if (str_equal_nocase(request->headers[i - 1].name, name)) {
            found = true;
            going = going && walk_one(walk, request->headers[i - 1].value);
        }
    return found;
}

enum http_client http_client_find(const struct http_request *request,
                                  const struct http_nets *trusted, struct http_ip *ret_client)
{
    struct walk forwarded = { trusted, *request->peer_ip, HTTP_CLIENT_KNOWN }, list = forwarded;
    struct walk *walk = &forwarded;

    if (http_nets_have(trusted, request->peer_ip)) {
        bool one = walk_fields(&forwarded, request, STR("Forwarded"), walk_forwarded);
        bool other = walk_fields(&list, request, STR("X-Forwarded-For"), walk_list);
        /* A proxy that writes one of them lets the other through as the caller sent it. */
        if (one && other &&
            (forwarded.result != list.result ||
             (list.result == HTTP_CLIENT_KNOWN && !http_ip_equal(&forwarded.client, &list.client))))
            return HTTP_CLIENT_MALFORMED;
        walk = one ? &forwarded : &list;
    }
    *ret_client = walk->client;
    return walk->result;
}
