// SPDX-License-Identifier: Apache-2.0
/*
 * Sets of four, like a processor's cache. A token ends with its signature, whose last bytes are as
 * good as a hash of all; the whole text is compared. Only verified tokens get in, so nobody fills
 * it but who holds the key.
 */
#include "auth/auth_internal.h"
#include "base/hash.h"
#include "base/mem.h"

enum { WAYS = 4, TAIL_BYTES = 16 };

struct entry {
    char *text; /* owned; NULL: free */
    size_t len;
    uint64_t generation; /* of the keys that it was verified with */
    struct auth_token token;
};

struct auth_cache {
    size_t set_count; /* a power of two */
    struct entry *entries;
};

struct auth_cache *auth_cache_new(size_t capacity)
{
    struct auth_cache *cache = mem_alloc(sizeof *cache);

    if (!cache)
        return NULL;
    cache->set_count = 1;
    while (cache->set_count * WAYS < capacity)
        cache->set_count *= 2;
    cache->entries = mem_alloc(cache->set_count * WAYS * sizeof *cache->entries);
    return cache->entries ? cache : auth_cache_free(cache);
}

struct auth_cache *auth_cache_free(struct auth_cache *cache)
{
    if (!cache)
        return NULL;
    for (size_t i = 0; cache->entries && i < cache->set_count * WAYS; i++)
        mem_free(cache->entries[i].text);
    mem_free(cache->entries);
    return mem_free(cache);
}

static struct entry *set_of(const struct auth_cache *cache, struct str text)
{
    uint64_t tail[2] = { 0, 0 };

    if (text.len >= TAIL_BYTES)
        memcpy(tail, text.ptr + text.len - TAIL_BYTES, TAIL_BYTES);
    uint64_t hash = hash_u64(hash_u64(tail[0]) ^ tail[1]);
    return cache->entries + (hash & (cache->set_count - 1)) * WAYS;
}

const struct auth_token *auth_cache_find(const struct auth_cache *cache, uint64_t generation,
                                         struct str text)
{
    const struct entry *set = set_of(cache, text);

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].text && set[i].generation == generation &&
            str_equal((struct str){ set[i].text, set[i].len }, text))
            return &set[i].token;
    return NULL;
}

void auth_cache_store(struct auth_cache *cache, uint64_t generation, struct str text,
                      const struct auth_token *token, int64_t now_ms)
{
    struct entry *set = set_of(cache, text), *victim = set;

    for (size_t i = 0; i < WAYS; i++) {
        if (!set[i].text || set[i].generation != generation ||
            set[i].token.claims.expires_ms < now_ms) {
            victim = &set[i];
            break;
        }
        if (set[i].token.claims.expires_ms < victim->token.claims.expires_ms)
            victim = &set[i];
    }
    char *copy = mem_alloc(text.len);
    if (!copy)
        return;
    memcpy(copy, text.ptr, text.len);
    mem_free(victim->text);
    *victim =
        (struct entry){ .text = copy, .len = text.len, .generation = generation, .token = *token };
}
