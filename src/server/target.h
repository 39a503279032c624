// SPDX-License-Identifier: Apache-2.0
/* Which running server a verb talks to, as whom, and one exchange with it. */
#pragma once
#include "auth/auth.h"
#include "base/buf.h"
#include "config/config.h"
#include "http/http_client.h"
#include "server/store.h"
#include "server/verb.h"

struct target {
    struct loop_addr addr;
    char url[LOCK_URL_BYTES]; /* "http://127.0.0.1:8080" */
    struct auth_keys *keys;   /* the server's own, where the config has them; or NULL */
    const char *token;        /* --token; or NULL */
};

/*
 * By --target, else by the lock file of the data directory. ERR_NOT_FOUND: no server runs there.
 * ERR_INVALID: `ret_error` says why not.
 */
enum err target_find(struct target *target, const struct verb *verb, const struct config *config,
                     struct config_error *ret_error) MUST_CHECK;
void target_fini(struct target *target);

enum { TARGET_AUTH_BYTES = AUTH_TOKEN_BYTES_MAX + 16 };
/* "Bearer …" of --token, or signed with the server's key; "" when nothing is needed. ERR_NOMEM. */
enum err target_authorize(const struct target *target, int64_t user_id, bool admin,
                          struct buf *out) MUST_CHECK;

/* GETs `path` as an administrator, and waits; a 503 is asked again for five seconds. ERR_INVALID:
 * no answer, or another status than ERR_OK's 200; ERR_NOT_FOUND: 404. `ret_error` says it, too. */
enum err target_get(const struct target *target, const char *path, const char *accept,
                    struct buf *ret_body, struct config_error *ret_error) MUST_CHECK;
/* The same, a POST without a body. */
enum err target_post(const struct target *target, const char *path, struct buf *ret_body,
                     struct config_error *ret_error) MUST_CHECK;
