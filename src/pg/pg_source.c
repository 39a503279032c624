// SPDX-License-Identifier: Apache-2.0
/*
 * The URL, taken apart by libpq and put together again for one host at a time: what libpq would do
 * with several hosts it does one after the other, and with names it does blocking.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "pg/pg_internal.h"

enum { KEYWORDS_MAX = 64, SILENCE_MS = 2000 };

/* What is said for each attempt anew. */
static const char *const per_target[] = { "host", "hostaddr", "port", "connect_timeout" };

static char *copy(const char *text, size_t n)
{
    char *to = mem_alloc(n + 1);

    if (to)
        memcpy(to, text, n);
    return to;
}

static const char *option(const struct pg_source *source, const char *keyword)
{
    for (const PQconninfoOption *o = source->options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val && o->val[0] ? o->val : NULL;
    return NULL;
}

/* How many parts a list with commas has; 0: not given. */
static size_t count_parts(const char *list)
{
    size_t n = list != NULL;

    for (; list && *list; list++)
        n += *list == ',';
    return n;
}

/* Part `i` of a list, or NULL where it is empty or the list has not so many. NOMEM only by *ok. */
static char *take_part(const char *list, size_t i, bool *ok)
{
    for (; list && i > 0; i--) {
        list = strchr(list, ',');
        list = list ? list + 1 : NULL;
    }
    size_t n = list ? strcspn(list, ",") : 0;
    char *part = n > 0 ? copy(list, n) : NULL;
    *ok &= part || n == 0;
    return part;
}

/* libpq's rule: lists of hosts are of one length; one port is everybody's. */
static enum err split_targets(struct pg_source *source, struct pg_reason *reason)
{
    const char *host = option(source, "host"), *hostaddr = option(source, "hostaddr");
    const char *port = option(source, "port");
    size_t hosts = count_parts(host), addrs = count_parts(hostaddr), ports = count_parts(port);
    size_t n = MAX(MAX(hosts, addrs), (size_t)1);
    bool ok = true;

    if (n > PG_TARGETS_MAX || (hosts && hosts != n) || (addrs && addrs != n) ||
        (ports > 1 && ports != n)) {
        pg_reason_set(reason, n > PG_TARGETS_MAX ? "too many hosts"
                                                 : "as many hosts as addresses and ports, please");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < n; i++) {
        source->target[i].host = take_part(host, i, &ok);
        source->target[i].hostaddr = take_part(hostaddr, i, &ok);
        source->target[i].port = take_part(port, ports == 1 ? 0 : i, &ok);
    }
    source->target_count = n;
    return ok ? ERR_OK : ERR_NOMEM;
}

enum err pg_source_new(const struct pg_options *options, struct pg_source **ret_source,
                       struct pg_reason *ret_reason)
{
    struct pg_source *source = mem_alloc(sizeof *source);
    const char *name = options->application_name ? options->application_name : "doorbuster";
    char *message = NULL;

    *ret_reason = (struct pg_reason){ 0 };
    if (!source)
        return ERR_NOMEM;
    source->application_name = copy(name, strlen(name));
    snprintf(source->silence_ms, sizeof source->silence_ms, "%llu",
             (unsigned long long)(options->silence_ms ? options->silence_ms : SILENCE_MS));
    source->options = PQconninfoParse(options->url, &message);
    enum err e = ERR_OK;
    if (!source->options) {
        e = message ? ERR_INVALID : ERR_NOMEM;
        /* libpq's text may hold the URL and its password: not repeated */
        pg_reason_set(ret_reason, "it is neither a URL nor a connection string of libpq's");
    } else if (!source->application_name) {
        e = ERR_NOMEM;
    } else {
        e = split_targets(source, ret_reason);
    }
    PQfreemem(message);
    if (e == ERR_OK)
        *ret_source = source;
    else
        pg_source_free(source);
    return e;
}

struct pg_source *pg_source_free(struct pg_source *source)
{
    if (!source)
        return NULL;
    for (size_t i = 0; i < PG_TARGETS_MAX; i++) {
        mem_free(source->target[i].host);
        mem_free(source->target[i].hostaddr);
        mem_free(source->target[i].port);
    }
    if (source->options)
        PQconninfoFree(source->options);
    mem_free(source->application_name);
    return mem_free(source);
}

enum err pg_host_count(const char *url, size_t *ret_count, struct pg_reason *ret_reason)
{
    struct pg_source *source = NULL;

    TRY(pg_source_new(&(struct pg_options){ .url = url }, &source, ret_reason));
    *ret_count = source->target_count;
    pg_source_free(source);
    return ERR_OK;
}

/* ---- names ---- */

static bool is_numeric(const char *host)
{
    unsigned char raw[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

bool pg_target_is_plain(const struct pg_target *target)
{
    return target->hostaddr || !target->host || target->host[0] == '/' || target->host[0] == '@' ||
           is_numeric(target->host);
}

enum err pg_resolve(const char *host, struct pg_addresses *ret_addresses)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);

    ret_addresses->count = 0;
    if (code != 0)
        return code == EAI_MEMORY ? ERR_NOMEM : ERR_UNAVAILABLE;
    for (const struct addrinfo *a = found; a && ret_addresses->count < PG_ADDRESSES_MAX;
         a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, ret_addresses->text[ret_addresses->count],
                        LOOP_ADDR_TEXT_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
            ret_addresses->count++;
    freeaddrinfo(found);
    return ret_addresses->count > 0 ? ERR_OK : ERR_UNAVAILABLE;
}

/* ---- to libpq ---- */

struct keywords {
    const char *name[KEYWORDS_MAX + 1];
    const char *value[KEYWORDS_MAX + 1];
    size_t count;
};

static void put(struct keywords *keywords, const char *name, const char *value)
{
    if (!value)
        return;
    ASSERT(keywords->count < KEYWORDS_MAX);
    keywords->name[keywords->count] = name;
    keywords->value[keywords->count++] = value;
}

static bool is_per_target(const char *keyword)
{
    for (size_t i = 0; i < ARRAY_COUNT(per_target); i++)
        if (strcmp(per_target[i], keyword) == 0)
            return true;
    return false;
}

PGconn *pg_source_start(const struct pg_source *source, size_t target, const char *hostaddr)
{
    const struct pg_target *at = &source->target[target];
    struct keywords keywords = { .count = 0 };

    /* Defaults first: of a keyword that comes twice libpq takes the last. Looking for Kerberos
     * tickets blocks, so that has to be asked for. */
    put(&keywords, "target_session_attrs", "read-write");
    put(&keywords, "tcp_user_timeout", source->silence_ms);
    /* the kernel asks while nothing is sent: a server that is waited for may be gone */
    put(&keywords, "keepalives_idle", "5");
    put(&keywords, "keepalives_interval", "1");
    put(&keywords, "gssencmode", "disable");
    put(&keywords, "client_encoding", "UTF8");
    put(&keywords, "fallback_application_name", source->application_name);
    for (const PQconninfoOption *o = source->options; o->keyword; o++)
        if (o->val && o->val[0] && !is_per_target(o->keyword))
            put(&keywords, o->keyword, o->val);
    put(&keywords, "host", at->host);
    put(&keywords, "hostaddr", hostaddr ? hostaddr : at->hostaddr);
    put(&keywords, "port", at->port);
    return PQconnectStartParams(keywords.name, keywords.value, 0);
}
