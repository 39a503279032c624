// SPDX-License-Identifier: Apache-2.0
#include "server/target.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

enum { TOKEN_TTL_S = 3600, TIMEOUT_MS = 60000, BUSY_TRIES = 20, BUSY_PAUSE_MS = 250 };

/* ---- where ---- */

/* A name is looked up here, where waiting for the resolver harms nobody. */
static enum err resolve(const char *host, uint16_t port, struct loop_addr *ret_addr)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;

    if (loop_addr_parse(str_from(host), port, ret_addr) == ERR_OK)
        return ERR_OK;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return ERR_NOT_FOUND;
    memset(ret_addr, 0, sizeof *ret_addr);
    memcpy(&ret_addr->any, found->ai_addr, MIN(found->ai_addrlen, sizeof *ret_addr));
    freeaddrinfo(found);
    if (ret_addr->any.sa_family == AF_INET)
        ret_addr->v4.sin_port = htons(port);
    else
        ret_addr->v6.sin6_port = htons(port);
    return ERR_OK;
}

/* "http://HOST:PORT", a '/' after it, nothing else. */
static enum err parse_url(struct target *target, const char *url, struct config_error *error)
{
    static const char scheme[] = "http://";
    size_t prefix = sizeof scheme - 1, len = strlen(url);
    char host[LOCK_URL_BYTES];
    uint16_t port = 80;

    if (len > prefix && url[len - 1] == '/')
        len--;
    if (strncmp(url, "https://", 8) == 0)
        return config_refuse(error, "--target takes http: TLS ends at the proxy before the server");
    if (strncmp(url, scheme, prefix) != 0 || len >= sizeof target->url ||
        memchr(url + prefix, '/', len - prefix))
        return config_refuse(error, "--target is http://HOST:PORT, not \"%.80s\"", url);
    snprintf(target->url, sizeof target->url, "%.*s", (int)len, url);
    snprintf(host, sizeof host, "%.*s", (int)(len - prefix), url + prefix);
    char *colon = strrchr(host, ':');
    if (colon && !strchr(colon, ']')) {
        char *end;
        unsigned long number = strtoul(colon + 1, &end, 10);
        if (*end || number < 1 || number > UINT16_MAX)
            return config_refuse(error, "--target has no port \"%.40s\"", colon + 1);
        port = (uint16_t)number;
        *colon = '\0';
    }
    if (resolve(host, port, &target->addr) != ERR_OK)
        return config_refuse(error, "--target: there is no host \"%.80s\"", host);
    return ERR_OK;
}

static enum err find_local(struct target *target, const struct config *config,
                           struct config_error *error)
{
    struct lock_holder holder;

    switch (lock_look(config->data, &holder)) {
    case ERR_OK:
        break;
    case ERR_NOT_FOUND:
        return ERR_NOT_FOUND;
    default:
        return config_refuse(error, "%.300s/doorbuster.lock cannot be read", config->data);
    }
    if (!holder.url[0])
        return config_refuse(error, "process %ld holds %.300s and does not serve (yet): try again",
                             (long)holder.pid, config->data);
    return parse_url(target, holder.url, error);
}

static enum err take_keys(struct target *target, const struct config *config,
                          struct config_error *error)
{
    CLEANUP(buf_fini) struct buf secret = { 0 };

    if (!config->auth_secret[0] && !config->auth_secret_file[0])
        return ERR_OK;
    TRY(store_read_secret(config, &secret, error));
    enum err e = auth_keys_new(buf_str(&secret), config->auth_leeway_ms, &target->keys);
    explicit_bzero(secret.ptr, secret.len);
    return e;
}

enum err target_find(struct target *target, const struct verb *verb, const struct config *config,
                     struct config_error *ret_error)
{
    const char *url = verb_flag(verb, "--target");

    *target = (struct target){ .token = verb_flag(verb, "--token") };
    TRY(url ? parse_url(target, url, ret_error) : find_local(target, config, ret_error));
    return target->token ? ERR_OK : take_keys(target, config, ret_error);
}

void target_fini(struct target *target)
{
    target->keys = auth_keys_free(target->keys);
}

/* ---- asking ---- */

enum err target_authorize(const struct target *target, int64_t user_id, bool admin, struct buf *out)
{
    if (!target->token && !target->keys)
        return ERR_OK;
    buf_literal(out, "Bearer ");
    if (target->token)
        buf_str_append(out, str_from(target->token));
    else
        TRY(auth_sign(target->keys, user_id, admin, clock_wall_ms(), TOKEN_TTL_S, out));
    return buf_ok(out) ? ERR_OK : ERR_NOMEM;
}

struct asking {
    struct http_field fields[2];
    struct http_exchange x;
    struct loop *loop;
    struct buf *body;
};

static void answered(struct http_exchange *x)
{
    struct asking *asking = CONTAINER_OF(x, struct asking, x);

    buf_str_append(asking->body, x->response_body);
    loop_stop(asking->loop);
}

static enum err exchange(const struct target *target, struct asking *asking)
{
    asking->loop = loop_new();
    if (!asking->loop)
        return ERR_NOMEM;
    struct http_client_conn *conn = http_client_conn_new(asking->loop, &target->addr);
    if (conn) {
        http_client_send(conn, &asking->x);
        loop_run(asking->loop);
        http_client_conn_free(conn);
    }
    loop_free(asking->loop);
    return conn && buf_ok(asking->body) ? ERR_OK : ERR_NOMEM;
}

static enum err judge(const struct target *target, const struct http_exchange *x,
                      struct config_error *error)
{
    if (x->err == ERR_UNAVAILABLE)
        return config_refuse(error, "nobody answers at %s", target->url);
    if (x->err != ERR_OK)
        return config_refuse(error, "%s did not answer whole: %s", target->url, err_text(x->err));
    if (x->status == 200)
        return ERR_OK;
    if (x->status == 401 || x->status == 403)
        return config_refuse(error,
                             "%s wants an administrator's token: --token T (`doorbuster token "
                             "--user 1 --admin` makes one), or the server's own --config FILE",
                             target->url);
    config_refuse(error, "%s answers %.*s with status %u", target->url, (int)x->target.len,
                  x->target.ptr, x->status);
    return x->status == 404 ? ERR_NOT_FOUND : ERR_INVALID;
}

static enum err ask(const struct target *target, struct asking *asking, struct str accept,
                    struct config_error *ret_error)
{
    CLEANUP(buf_fini) struct buf authorization = { 0 };

    asking->fields[0] = (struct http_field){ STR("Accept"), accept };
    asking->x.headers = asking->fields;
    asking->x.header_count = 1;
    asking->x.timeout_ms = TIMEOUT_MS;
    asking->x.done = answered;
    TRY(target_authorize(target, 1, true, &authorization));
    if (authorization.len > 0)
        asking->fields[asking->x.header_count++] =
            (struct http_field){ STR("Authorization"), buf_str(&authorization) };
    buf_reset(asking->body);
    TRY(exchange(target, asking));
    return judge(target, &asking->x, ret_error);
}

/* A store that is away for a moment is a 503, and only that. */
static bool is_worth_another_try(const struct asking *asking, int tries)
{
    const struct timespec pause = { .tv_nsec = BUSY_PAUSE_MS * 1000000L };

    if (asking->x.err != ERR_OK || asking->x.status != 503 || tries >= BUSY_TRIES)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

enum err target_get(const struct target *target, const char *path, const char *accept,
                    struct buf *ret_body, struct config_error *ret_error)
{
    struct asking asking;
    enum err e;
    int tries = 0;

    do {
        asking = (struct asking){ .x = { .method = STR("GET"), .target = str_from(path) },
                                  .body = ret_body };
        e = ask(target, &asking, str_from(accept), ret_error);
    } while (e != ERR_OK && is_worth_another_try(&asking, ++tries));
    return e;
}

enum err target_post(const struct target *target, const char *path, struct buf *ret_body,
                     struct config_error *ret_error)
{
    struct asking asking = { .x = { .method = STR("POST"), .target = str_from(path) },
                             .body = ret_body };

    return ask(target, &asking, STR("application/json"), ret_error);
}
