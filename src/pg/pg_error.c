// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "pg/pg_internal.h"

/* ---- what a SQLSTATE means ---- */

/* The longest prefix wins: classes are two letters. */
static const struct {
    const char *prefix;
    enum err err;
} meanings[] = {
    { "40001", ERR_CONFLICT },    /* serialization_failure */
    { "40P01", ERR_CONFLICT },    /* deadlock_detected */
    { "57014", ERR_TIMEOUT },     /* query_canceled: statement_timeout */
    { "55P03", ERR_TIMEOUT },     /* lock_not_available: lock_timeout */
    { "25006", ERR_UNAVAILABLE }, /* read_only_sql_transaction: a standby, or made one */
    { "25P03", ERR_UNAVAILABLE }, /* idle_in_transaction_session_timeout */
    { "XX001", ERR_CORRUPT },     /* data_corrupted */
    { "XX002", ERR_CORRUPT },     /* index_corrupted */
    { "57P", ERR_UNAVAILABLE },   /* shutting down, starting, crashed, database dropped */
    { "08", ERR_UNAVAILABLE },    /* connection exceptions */
    { "53", ERR_UNAVAILABLE },    /* no space, no memory, too many clients */
    { "22", ERR_INVALID },        /* data exceptions */
    { "23", ERR_INVALID },        /* integrity constraints */
};

enum err pg_sqlstate_err(const char *sqlstate)
{
    for (size_t i = 0; i < ARRAY_COUNT(meanings); i++)
        if (strncmp(sqlstate, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
            return meanings[i].err;
    return ERR_IO;
}

/* ---- reasons ---- */

/* The first line, without what is before the severity. */
void pg_reason_set(struct pg_reason *reason, const char *text)
{
    size_t n = text ? strcspn(text, "\n") : 0;

    snprintf(reason->text, sizeof reason->text, "%.*s", (int)MIN(n, sizeof reason->text - 1),
             text ? text : "");
}

static bool is_sqlstate(const char *at)
{
    for (size_t i = 0; i < PG_SQLSTATE_BYTES - 1; i++)
        if (!isupper((unsigned char)at[i]) && !isdigit((unsigned char)at[i]))
            return false;
    return at[PG_SQLSTATE_BYTES - 1] == ':';
}

/*
 * "… FATAL:  53300: sorry, too many clients already": libpq has no function for the SQLSTATE of a
 * connection that failed, but puts it there when asked to be verbose. Words are translated by the
 * server, this is not.
 */
static void find_sqlstate(struct pg_reason *reason, const char *text)
{
    for (const char *at = text; (at = strstr(at, ":  ")) != NULL; at++)
        if (is_sqlstate(at + 3)) {
            memcpy(reason->sqlstate, at + 3, PG_SQLSTATE_BYTES - 1);
            reason->sqlstate[PG_SQLSTATE_BYTES - 1] = '\0';
            return;
        }
}

void pg_reason_of_conn(struct pg_reason *reason, PGconn *pg)
{
    const char *text = PQerrorMessage(pg);

    *reason = (struct pg_reason){ 0 };
    pg_reason_set(reason, text);
    find_sqlstate(reason, text);
    /* PgBouncer's words for it, under whatever SQLSTATE */
    if (strstr(text, "no more connections allowed"))
        memcpy(reason->sqlstate, PG_TOO_MANY_CLIENTS, sizeof PG_TOO_MANY_CLIENTS);
}

void pg_reason_of_result(struct pg_reason *reason, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    *reason = (struct pg_reason){ 0 };
    pg_reason_set(reason, PQresultErrorMessage(result));
    if (sqlstate)
        snprintf(reason->sqlstate, sizeof reason->sqlstate, "%s", sqlstate);
}

void pg_reason_merge(struct pg_reason *reason, const struct pg_reason *other)
{
    if (strcmp(reason->sqlstate, PG_TOO_MANY_CLIENTS) != 0)
        *reason = *other;
}

/*
 * "The transaction has already committed locally, but might not have been replicated to the
 * standby." has no SQLSTATE of its own and may be translated; the function that says it is not.
 */
bool pg_notice_is_unreplicated(const PGresult *notice)
{
    const char *function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
    const char *detail = PQresultErrorField(notice, PG_DIAG_MESSAGE_DETAIL);

    return (function && strcmp(function, "SyncRepWaitForLSN") == 0) ||
           (detail && strstr(detail, "might not have been replicated"));
}

bool pg_notice_is_fatal(const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}
