// SPDX-License-Identifier: Apache-2.0
/*
 * Who goes when there is no room: SIEVE (Zhang et al., NSDI 2024). A hand walks from the oldest
 * entry to the newest and drops the first one that nobody has asked for since it came by. Queries
 * made up by the thousand are asked for once, and so never push out what is asked for all the time.
 */
#include "api/answer_cache.h"

#include <sys/random.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"

enum { CELLS_MIN = 16, BODIES_MIN = 8 /* the largest body is so small that so many fit */ };

struct entry {
    struct list node;   /* oldest first */
    struct entry *next; /* in its cell */
    uint64_t hash;
    bool visited;
    struct answer_stamp stamp;
    size_t path_len, query_len, body_len; /* query_len with its '?'; 0: none */
    char bytes[];                         /* path, query, body */
};

struct answer_cache {
    struct list entries;
    struct list *hand;
    struct entry **cells;
    size_t cell_count; /* a power of two */
    size_t count, count_max, bytes, bytes_max;
    uint64_t seed;
};

/* ---- stamps ---- */

void answer_stamp_add(struct answer_stamp *stamp, const _Atomic uint64_t *counter)
{
    uint64_t value;

    stamp->changing |= stamp->count == ANSWER_COUNTERS_MAX || !changes_look(counter, &value);
    if (stamp->changing)
        return;
    stamp->counters[stamp->count].at = counter;
    stamp->counters[stamp->count++].value = value;
}

static bool stamp_holds(const struct answer_stamp *stamp)
{
    uint64_t value;

    for (size_t i = 0; i < stamp->count; i++)
        if (!changes_look(stamp->counters[i].at, &value) || value != stamp->counters[i].value)
            return false;
    if (stamp->from_ms == 0 && stamp->until_ms == 0)
        return true;
    int64_t now_ms = clock_wall_ms();
    return stamp->from_ms <= now_ms && now_ms < stamp->until_ms;
}

/* ---- finding ---- */

static uint64_t hash_bytes(uint64_t hash, struct str text)
{
    uint64_t word;

    for (; text.len >= sizeof word; text.ptr += sizeof word, text.len -= sizeof word) {
        memcpy(&word, text.ptr, sizeof word);
        hash = hash_u64(hash ^ word);
    }
    word = text.len;
    if (text.len)
        memcpy((char *)&word + 1, text.ptr, text.len);
    return hash_u64(hash ^ word);
}

static uint64_t key_hash(const struct answer_cache *cache, struct str path, struct str query)
{
    uint64_t hash = hash_bytes(cache->seed, path);

    return query.ptr ? hash_bytes(hash, query) : hash;
}

static bool is_of(const struct entry *entry, uint64_t hash, struct str path, struct str query)
{
    if (entry->hash != hash || entry->path_len != path.len ||
        entry->query_len != (query.ptr ? query.len + 1 : 0))
        return false;
    return memcmp(entry->bytes, path.ptr, path.len) == 0 &&
           (query.len == 0 || memcmp(entry->bytes + path.len, query.ptr, query.len) == 0);
}

static struct entry **cell_of(const struct answer_cache *cache, uint64_t hash)
{
    return &cache->cells[hash & (cache->cell_count - 1)];
}

static struct entry *find(const struct answer_cache *cache, uint64_t hash, struct str path,
                          struct str query)
{
    struct entry *entry = *cell_of(cache, hash);

    while (entry && !is_of(entry, hash, path, query))
        entry = entry->next;
    return entry;
}

static struct str body_of(const struct entry *entry)
{
    size_t query_len = entry->query_len ? entry->query_len - 1 : 0;

    return (struct str){ entry->bytes + entry->path_len + query_len, entry->body_len };
}

static size_t bytes_of(const struct entry *entry)
{
    return sizeof *entry + entry->path_len + entry->query_len + entry->body_len;
}

/* ---- coming and going ---- */

static void drop(struct answer_cache *cache, struct entry *entry)
{
    struct entry **at = cell_of(cache, entry->hash);

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (cache->hand == &entry->node)
        cache->hand = entry->node.next;
    list_remove(&entry->node);
    cache->count--;
    cache->bytes -= bytes_of(entry);
    mem_free(entry);
}

/* There is at least one. Ends: who is passed is not spared twice. */
static void drop_one(struct answer_cache *cache)
{
    for (;;) {
        if (cache->hand == &cache->entries)
            cache->hand = cache->entries.next;
        struct entry *entry = CONTAINER_OF(cache->hand, struct entry, node);
        if (!entry->visited) {
            drop(cache, entry);
            return;
        }
        entry->visited = false;
        cache->hand = cache->hand->next;
    }
}

static struct entry *entry_new(struct str path, struct str query, struct str body)
{
    struct entry *entry = mem_alloc(sizeof *entry + path.len + query.len + body.len + 1);

    if (!entry)
        return NULL;
    list_init(&entry->node);
    entry->path_len = path.len;
    entry->query_len = query.ptr ? query.len + 1 : 0;
    entry->body_len = body.len;
    if (path.len)
        memcpy(entry->bytes, path.ptr, path.len);
    if (entry->query_len > 1)
        memcpy(entry->bytes + path.len, query.ptr, query.len);
    if (body.len)
        memcpy(entry->bytes + path.len + query.len, body.ptr, body.len);
    return entry;
}

bool answer_cache_get(struct answer_cache *cache, struct str path, struct str query,
                      struct str *ret_body)
{
    struct entry *entry = find(cache, key_hash(cache, path, query), path, query);

    if (!entry)
        return false;
    if (!stamp_holds(&entry->stamp)) {
        drop(cache, entry);
        return false;
    }
    entry->visited = true;
    *ret_body = body_of(entry);
    return true;
}

void answer_cache_put(struct answer_cache *cache, struct str path, struct str query,
                      struct str body, const struct answer_stamp *stamp)
{
    uint64_t hash = key_hash(cache, path, query);
    struct entry *entry = find(cache, hash, path, query);

    if (entry)
        drop(cache, entry);
    if (stamp->count == 0 || stamp->changing || cache->count_max == 0 ||
        path.len + query.len + body.len > cache->bytes_max / BODIES_MIN)
        return;
    entry = entry_new(path, query, body);
    if (!entry)
        return;
    while (cache->count > 0 &&
           (cache->count == cache->count_max || cache->bytes + bytes_of(entry) > cache->bytes_max))
        drop_one(cache);
    entry->hash = hash;
    entry->stamp = *stamp;
    entry->next = *cell_of(cache, hash);
    *cell_of(cache, hash) = entry;
    list_append(&cache->entries, &entry->node);
    cache->count++;
    cache->bytes += bytes_of(entry);
}

size_t answer_cache_bytes(const struct answer_cache *cache)
{
    return cache->bytes;
}

/* ---- the cache ---- */

struct answer_cache *answer_cache_free(struct answer_cache *cache)
{
    if (!cache)
        return NULL;
    while (!list_empty(&cache->entries))
        drop(cache, CONTAINER_OF(cache->entries.next, struct entry, node));
    mem_free(cache->cells);
    return mem_free(cache);
}

struct answer_cache *answer_cache_new(size_t entries_max, size_t bytes_max)
{
    struct answer_cache *cache = mem_alloc(sizeof *cache);

    if (!cache)
        return NULL;
    list_init(&cache->entries);
    cache->hand = &cache->entries;
    cache->count_max = entries_max;
    cache->bytes_max = bytes_max;
    cache->cell_count = CELLS_MIN;
    while (cache->cell_count < entries_max)
        cache->cell_count *= 2;
    /* So that nobody can make up queries that share a cell. */
    if (getrandom(&cache->seed, sizeof cache->seed, GRND_NONBLOCK) != sizeof cache->seed)
        cache->seed = clock_mono_ns();
    cache->cells = mem_alloc(cache->cell_count * sizeof(struct entry *));
    return cache->cells ? cache : answer_cache_free(cache);
}
