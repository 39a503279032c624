// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "redis/redis.h"

enum { PORT = 6379, SENTINEL_PORT = 26379, DATABASE_MAX = 1023 };

static enum err refuse(char why[REDIS_WHY_BYTES], const char *sentence)
{
    snprintf(why, REDIS_WHY_BYTES, "%s", sentence);
    return ERR_INVALID;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes %XX. False: not of that form, a NUL, or longer than the room. */
static bool decode(struct str text, char *to, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; text.ptr && i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex(text.ptr[i + 2]) : -1;
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == 0 || n + 1 >= room)
            return false;
        to[n++] = c;
    }
    to[n] = 0;
    return true;
}

/* What stands before the first `stop`; all where there is none. `*rest` is what follows it. */
static struct str cut(struct str text, char stop, struct str *rest)
{
    const char *at = text.ptr ? memchr(text.ptr, stop, text.len) : NULL;

    if (!at) {
        *rest = STR_NONE;
        return text;
    }
    size_t n = (size_t)(at - text.ptr);
    *rest = (struct str){ at + 1, text.len - n - 1 };
    return (struct str){ text.ptr, n };
}

/* Up to the last `@`, as a password may have one. */
static bool take_user(struct redis_target *target, struct str *authority)
{
    size_t n = authority->len;

    while (authority->ptr && n > 0 && authority->ptr[n - 1] != '@')
        n--;
    if (n == 0)
        return true;
    struct str password, user = cut((struct str){ authority->ptr, n - 1 }, ':', &password);
    *authority = (struct str){ authority->ptr + n, authority->len - n };
    return decode(user, target->user, sizeof target->user) &&
           (!password.ptr || decode(password, target->password, sizeof target->password));
}

static bool take_port(struct str text, uint16_t *port)
{
    int64_t value;

    if (!str_parse_int64(text, &value) || value < 1 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool take_place(struct redis_place *place, struct str text, uint16_t default_port)
{
    struct str host, port = STR_NONE;

    if (text.len > 0 && text.ptr[0] == '[') {
        struct str after;
        host = cut((struct str){ text.ptr + 1, text.len - 1 }, ']', &after);
        if (!after.ptr || (after.len > 0 && after.ptr[0] != ':'))
            return false;
        if (after.len > 0)
            port = (struct str){ after.ptr + 1, after.len - 1 };
    } else {
        host = cut(text, ':', &port);
    }
    place->port = default_port;
    if (port.ptr && !take_port(port, &place->port))
        return false;
    return host.len > 0 && decode(host, place->host, sizeof place->host);
}

static bool take_places(struct redis_target *target, struct str authority)
{
    uint16_t port = target->topology == REDIS_SENTINEL ? SENTINEL_PORT : PORT;
    size_t places_max = target->topology == REDIS_SINGLE ? 1 : REDIS_PLACES_MAX;

    for (struct str rest = authority; rest.ptr;) {
        struct str one = cut(rest, ',', &rest);
        if (target->place_count == places_max ||
            !take_place(&target->place[target->place_count++], one, port))
            return false;
    }
    return true;
}

static bool take_database(struct redis_target *target, struct str text)
{
    int64_t value;

    if (text.len == 0)
        return true;
    if (!str_parse_int64(text, &value) || value < 0 || value > DATABASE_MAX)
        return false;
    target->database = (uint32_t)value;
    return true;
}

static bool take_path(struct redis_target *target, struct str path)
{
    struct str database;

    if (target->topology == REDIS_CLUSTER)
        return path.len == 0;
    if (target->topology == REDIS_SINGLE)
        return take_database(target, path);
    struct str master = cut(path, '/', &database);
    if (master.len == 0)
        master = STR("mymaster");
    return decode(master, target->master, sizeof target->master) && take_database(target, database);
}

static bool take_parameter(struct redis_target *target, struct str name, struct str value)
{
    if (str_equal(name, STR("sentinel_user")))
        return decode(value, target->sentinel_user, sizeof target->sentinel_user);
    return str_equal(name, STR("sentinel_password")) &&
           decode(value, target->sentinel_password, sizeof target->sentinel_password);
}

/* "?name=value&…" at the end; where there is no path, of the hosts, behind any password. */
static bool take_query(struct redis_target *target, struct str *authority, struct str *path)
{
    struct str *of = path->ptr ? path : authority, query;
    size_t user = of == authority ? of->len : 0;

    while (of->ptr && user > 0 && of->ptr[user - 1] != '@')
        user--;
    struct str rest = cut((struct str){ of->ptr + user, of->len - user }, '?', &query);
    if (query.ptr && target->topology == REDIS_SENTINEL)
        of->len = user + rest.len;
    else
        query = STR_NONE; /* it is refused as what stands before it */
    while (query.ptr) {
        struct str value, name = cut(cut(query, '&', &query), '=', &value);
        if (!take_parameter(target, name, value))
            return false;
    }
    return true;
}

static bool take_scheme(struct redis_target *target, struct str *url)
{
    static const struct {
        const char *prefix;
        enum redis_topology topology;
    } schemes[] = { { "redis://", REDIS_SINGLE },
                    { "redis+sentinel://", REDIS_SENTINEL },
                    { "redis+cluster://", REDIS_CLUSTER } };

    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        struct str prefix = str_from(schemes[i].prefix);
        if (!str_has_prefix(*url, prefix))
            continue;
        target->topology = schemes[i].topology;
        *url = (struct str){ url->ptr + prefix.len, url->len - prefix.len };
        return true;
    }
    return false;
}

enum err redis_target_parse(struct redis_target *target, const char *url, char why[REDIS_WHY_BYTES])
{
    struct str rest = str_from(url), path;

    *target = (struct redis_target){ .topology = REDIS_SINGLE };
    if (str_has_prefix(rest, STR("rediss://")))
        return refuse(why,
                      "rediss:// needs a tunnel, as the hiredis that this program is built with "
                      "cannot do TLS: run stunnel as a client on loopback and give "
                      "redis://127.0.0.1:PORT. `ops/local.sh tls` shows how; see \"TLS and "
                      "passwords\" in docs/operations.md.");
    if (!take_scheme(target, &rest))
        return refuse(why, "a Redis URL begins with redis://, redis+sentinel:// or "
                           "redis+cluster://.");
    struct str authority = cut(rest, '/', &path);
    if (!take_query(target, &authority, &path))
        return refuse(why,
                      "the URL of sentinels has ?sentinel_user=USER&sentinel_password=PASSWORD "
                      "at its end, or nothing.");
    if (!take_user(target, &authority))
        return refuse(why, "user or password of the Redis URL is too long or has a wrong %XX.");
    if (!take_places(target, authority))
        return refuse(why, "the Redis URL needs HOST or HOST:PORT (several, with commas, of "
                           "sentinels and of a cluster).");
    if (!take_path(target, path))
        return refuse(why, "after the host, a Redis URL has /DATABASE, of sentinels "
                           "/MASTER-NAME, of a cluster nothing.");
    return ERR_OK;
}
