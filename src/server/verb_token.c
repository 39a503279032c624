// SPDX-License-Identifier: Apache-2.0
/* `token`: a signed token for trying the API, made with the server's own key. */
#include <string.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "server/store.h"
#include "server/verb.h"

static struct config_flag flags[] = {
    { "--user", "ID", "the user it is for: `sub`", NULL },
    { "--admin", NULL, "with the role admin", NULL },
    { "--ttl", "TIME", "how long it is good: 90s, 15m, 1h (default 1h)", NULL },
    { 0 },
};

static enum err sign(const struct verb *verb, const struct config *config, int64_t user_id,
                     int64_t ttl_ms, struct buf *out, struct config_error *error)
{
    CLEANUP(buf_fini) struct buf secret = { 0 };
    struct auth_keys *keys;

    TRY(store_read_secret(config, &secret, error));
    TRY(auth_keys_new(buf_str(&secret), config->auth_leeway_ms, &keys));
    explicit_bzero(secret.ptr, secret.len);
    enum err e = auth_sign(keys, user_id, verb_flag(verb, "--admin") != NULL, clock_wall_ms(),
                           ttl_ms / 1000, out);
    auth_keys_free(keys);
    return e;
}

static int token(const struct verb *verb, struct config *config)
{
    CLEANUP(buf_fini) struct buf out = { 0 };
    struct config_error error = { "the token could not be signed" };
    const char *user = verb_flag(verb, "--user"), *ttl = verb_flag(verb, "--ttl");
    int64_t user_id, ttl_ms = 3600000;

    if (!user)
        return verb_fail(VERB_USAGE, "whose token? --user ID");
    if (!str_parse_int64(str_from(user), &user_id) || user_id < 1)
        return verb_fail(VERB_USAGE, "--user is a number from 1, not \"%.40s\"", user);
    if (ttl && (config_parse_duration(str_from(ttl), &ttl_ms) != ERR_OK || ttl_ms < 1000))
        return verb_fail(VERB_USAGE, "--ttl is a time of at least 1s, such as 15m, not \"%.40s\"",
                         ttl);
    bool public = config->auth_public_key_file[0] || config->auth_jwks_file[0];
    if (!config->auth_secret[0] && !config->auth_secret_file[0] && public)
        return verb_fail(VERB_FAILED, "with public keys alone nothing can be signed: take a token "
                                      "of whoever holds the private key, or add auth.secret_file "
                                      "to the server's configuration (HS256)");
    if (!config->auth_secret[0] && !config->auth_secret_file[0])
        return verb_fail(VERB_FAILED, "there is no key to sign with: give the server's "
                                      "configuration with --config FILE, or "
                                      "--set auth.secret_file=FILE");
    if (sign(verb, config, user_id, ttl_ms, &out, &error) != ERR_OK)
        return verb_fail(VERB_FAILED, "%s", error.text);
    buf_char(&out, '\n');
    return verb_print(&out) ? VERB_OK : VERB_FAILED;
}

const struct verb verb_token = {
    .name = "token",
    .usage = "token --user ID [--admin] [--ttl 1h] [FLAGS]",
    .about = "A signed token for trying the API.",
    .flags = flags,
    .run = token,
};
