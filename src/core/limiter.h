// SPDX-License-Identifier: Apache-2.0
/*
 * Token buckets, and a table of them that never grows. A bucket is one number, the time at which it
 * will be full again (the virtual scheduling of ITU-T I.371, known as GCRA): what has not asked
 * lately has a full bucket, and a full bucket need not be remembered.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter_rule {
    uint64_t interval_ns; /* between two tokens */
    uint64_t burst;       /* tokens of a full bucket */
};
/* 1 <= rate_per_s <= 10^9, 1 <= burst <= 10^9. */
struct limiter_rule limiter_rule(uint64_t rate_per_s, uint64_t burst);

struct limiter_verdict {
    bool allowed;
    uint64_t left;     /* tokens that are left */
    uint64_t full_ns;  /* until it is full again */
    uint64_t retry_ns; /* until there is a token; 0 while there is one */
};
/* Takes one token, if there is one. `full_at_ns`: the bucket. `now_ns`: any clock that never goes
 * back, above 0. */
struct limiter_verdict limiter_take(const struct limiter_rule *rule, uint64_t *full_at_ns,
                                    uint64_t now_ns);

struct limiter_key {
    uint64_t high, low;
};
struct limiter_entry {
    struct limiter_key key;
    uint64_t full_at_ns; /* 0: free */
};
enum { LIMITER_WAYS = 8 };

/* Sets of LIMITER_WAYS entries, of which a key belongs to one. */
struct limiter_table {
    struct limiter_entry *entries; /* the owner's; zeroed at first */
    size_t set_count;
    uint64_t seed; /* that nobody can choose keys of one set */
};
/* The bucket of `key`. If it has none, it gets that of its set which is full, or will be soonest:
 * whoever is forgotten asked least. Good until the next call. */
uint64_t *limiter_table_bucket(const struct limiter_table *table, struct limiter_key key);
uint64_t limiter_hash(struct limiter_key key, uint64_t seed);
