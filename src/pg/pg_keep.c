// SPDX-License-Identifier: Apache-2.0
/*
 * Statements that are kept: parsed once a connection, and planned a few times, instead of with each
 * batch, which costs PostgreSQL more than a small batch itself. A name says the text, so that
 * nothing is run under a name that somebody else gave.
 *
 * What stands between may not know of it: a PgBouncer in transaction mode gives each transaction
 * another session. Then a statement is missing, or is there already: its transaction is tried again
 * and nothing is kept any more, by this process. Plans are made for the tables as they are, and so
 * are forgotten every few seconds.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "pg/pg_internal.h"

enum { LIFE_MS = 5000, SHORTEST = 16 };

static atomic_bool is_refused;

static uint64_t hash_of(const struct pg_statement *statement)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */

    for (const char *at = statement->sql; *at; at++)
        h = (h ^ (unsigned char)*at) * 0x100000001B3u;
    for (int i = 0; statement->types && i < statement->param_count; i++)
        h = hash_u64(h ^ statement->types[i]);
    return h;
}

static bool is_known(const struct pg_keep *keep, uint64_t name)
{
    for (size_t i = 0; i < keep->count; i++)
        if (keep->names[i] == name)
            return true;
    return false;
}

enum pg_kept pg_keep_look(struct pg_keep *keep, const struct pg_statement *statement,
                          char name[PG_KEEP_NAME_BYTES])
{
    if (!statement->keep || atomic_load_explicit(&is_refused, memory_order_relaxed) ||
        strlen(statement->sql) < SHORTEST)
        return PG_KEPT_NOT;
    uint64_t hash = hash_of(statement);
    snprintf(name, PG_KEEP_NAME_BYTES, "doorbuster_%016llx", (unsigned long long)hash);
    if (is_known(keep, hash))
        return PG_KEPT_THERE;
    if (keep->count == PG_KEEP_MAX)
        return PG_KEPT_NOT;
    keep->names[keep->count++] = hash;
    return PG_KEPT_NEW;
}

bool pg_keep_is_over(const struct pg_keep *keep, uint64_t now_ms)
{
    return keep->count == 0 || keep->failed || now_ms - keep->since_ms >= LIFE_MS;
}

void pg_keep_forget(struct pg_keep *keep, uint64_t now_ms)
{
    keep->count = 0;
    keep->failed = false;
    keep->since_ms = now_ms;
}

bool pg_keep_failed(struct pg_keep *keep, const char *sqlstate)
{
    static const char missing[] = "26000", there[] = "42P05", changed[] = "0A000";
    bool refused = strcmp(sqlstate, missing) == 0 || strcmp(sqlstate, there) == 0;

    /* Which of those that were to be made there are is not known. */
    keep->failed = true;
    if (keep->count == 0)
        return false;
    if (refused)
        atomic_store_explicit(&is_refused, true, memory_order_relaxed);
    return refused || strcmp(sqlstate, changed) == 0;
}
