// SPDX-License-Identifier: Apache-2.0
/*
 * Bodies of answers, kept by a loop until something in them changes. An entry has a stamp: what
 * counters said before the answer was made, and between which times it is right. It is used only
 * while all of that holds. Bounded by entries and by bytes.
 *
 *     answer_stamp_add(&stamp, counter);          before the store is read
 *     …                                           read it, make the answer
 *     answer_cache_put(cache, path, query, body, &stamp);
 */
#pragma once
#include "base/attr.h"
#include "shop/changes.h"

enum { ANSWER_COUNTERS_MAX = 2 };

/* Zero-initialise it. Nothing is kept without a counter. */
struct answer_stamp {
    struct {
        const _Atomic uint64_t *at;
        uint64_t value;
    } counters[ANSWER_COUNTERS_MAX];
    size_t count;
    bool changing;             /* when it was made: it is not to be kept */
    int64_t from_ms, until_ms; /* clock_wall_ms(): from_ms <= now < until_ms; both 0: always */
};
void answer_stamp_add(struct answer_stamp *stamp, const _Atomic uint64_t *counter);

struct answer_cache;
/* NULL without memory. */
struct answer_cache *answer_cache_new(size_t entries_max, size_t bytes_max) MUST_CHECK;
struct answer_cache *answer_cache_free(struct answer_cache *cache);

/* *ret_body: until the next call. `query`: without a '?'; ptr NULL: there is none. */
bool answer_cache_get(struct answer_cache *cache, struct str path, struct str query,
                      struct str *ret_body) MUST_CHECK;
/* Copies everything. Without memory, or when it is too large, it is not kept. */
void answer_cache_put(struct answer_cache *cache, struct str path, struct str query,
                      struct str body, const struct answer_stamp *stamp);
size_t answer_cache_bytes(const struct answer_cache *cache);
