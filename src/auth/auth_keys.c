// SPDX-License-Identifier: Apache-2.0
/*
 * An immutable set of keys behind an atomic pointer. Keys change by an issuer's hand, every few
 * weeks; the set that was replaced is freed when no verification can be under way with it.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "auth/auth_internal.h"
#include "base/clock.h"
#include "base/mem.h"

/* A verification takes microseconds and waits for nobody. */
enum { GRACE_MS = 60000 };

struct retired {
    struct retired *next;
    uint64_t at_ms;
    struct auth_key_set *set;
};

struct auth_keys {
    struct auth_key_set *_Atomic set;
    int64_t leeway_ms;
    struct retired *retired; /* newest first; of whoever replaces */
};

enum err auth_refuse(struct auth_error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return ERR_INVALID;
}

const struct auth_key_set *auth_keys_set(const struct auth_keys *keys)
{
    return atomic_load_explicit(&keys->set, memory_order_acquire);
}

int64_t auth_keys_leeway_ms(const struct auth_keys *keys)
{
    return keys->leeway_ms;
}

size_t auth_keys_count(const struct auth_keys *keys)
{
    return auth_keys_set(keys)->count;
}

/* ---- one set ---- */

struct auth_key_set *auth_key_set_free(struct auth_key_set *set)
{
    for (size_t i = 0; set && i < set->count; i++) {
        cjose_jwk_release(set->keys[i].jwk);
        mem_free((void *)(uintptr_t)set->keys[i].kid.ptr);
    }
    return mem_free(set);
}

DEFINE_CLEANUP(struct auth_key_set, auth_key_set_free)

static enum err set_fill(struct auth_key_set *set, const struct auth_source *source,
                         struct auth_error *error)
{
    error->from = AUTH_FROM_SECRET;
    if (source->secret.ptr)
        TRY(auth_key_set_add_secret(set, source->secret, error));
    error->from = AUTH_FROM_PEM;
    if (source->pem.ptr)
        TRY(auth_key_set_add_pem(set, source->pem, error));
    error->from = AUTH_FROM_JWKS;
    if (source->jwks.ptr)
        TRY(auth_key_set_add_jwks(set, source->jwks, error));
    return set->count > 0 ? ERR_OK : auth_refuse(error, "no key is given");
}

static enum err set_new(const struct auth_source *source, struct auth_key_set **ret_set,
                        struct auth_error *error)
{
    static _Atomic uint64_t generation;
    CLEANUP(auth_key_set_freep) struct auth_key_set *set = mem_alloc(sizeof *set);

    if (!set)
        return ERR_NOMEM;
    set->generation = atomic_fetch_add(&generation, 1) + 1;
    TRY(set_fill(set, source, error));
    *ret_set = TAKE(set);
    return ERR_OK;
}

/* ---- the set in force ---- */

enum err auth_keys_open(const struct auth_source *source, int64_t leeway_ms,
                        struct auth_keys **ret_keys, struct auth_error *ret_error)
{
    struct auth_key_set *set;

    TRY(set_new(source, &set, ret_error));
    struct auth_keys *keys = mem_alloc(sizeof *keys);
    if (!keys) {
        auth_key_set_free(set);
        return ERR_NOMEM;
    }
    atomic_store_explicit(&keys->set, set, memory_order_relaxed);
    keys->leeway_ms = leeway_ms;
    *ret_keys = keys;
    return ERR_OK;
}

enum err auth_keys_new(struct str secret, int64_t leeway_ms, struct auth_keys **ret_keys)
{
    struct auth_error error;

    return auth_keys_open(&(struct auth_source){ .secret = secret }, leeway_ms, ret_keys, &error);
}

static void retired_free(struct retired **at, uint64_t before_ms)
{
    while (*at)
        if ((*at)->at_ms < before_ms) {
            struct retired *gone = *at;
            *at = gone->next;
            auth_key_set_free(gone->set);
            mem_free(gone);
        } else {
            at = &(*at)->next;
        }
}

struct auth_keys *auth_keys_free(struct auth_keys *keys)
{
    if (keys) {
        retired_free(&keys->retired, UINT64_MAX);
        auth_key_set_free(atomic_load_explicit(&keys->set, memory_order_relaxed));
    }
    return mem_free(keys);
}

enum err auth_keys_replace(struct auth_keys *keys, const struct auth_source *source,
                           struct auth_error *ret_error)
{
    uint64_t now_ms = clock_mono_ns() / 1000000;
    struct auth_key_set *set;

    TRY(set_new(source, &set, ret_error));
    struct retired *node = mem_alloc(sizeof *node);
    if (!node) {
        auth_key_set_free(set);
        return ERR_NOMEM;
    }
    *node = (struct retired){ .next = keys->retired, .at_ms = now_ms };
    node->set = atomic_exchange_explicit(&keys->set, set, memory_order_acq_rel);
    keys->retired = node;
    retired_free(&keys->retired, now_ms > GRACE_MS ? now_ms - GRACE_MS : 0);
    return ERR_OK;
}
