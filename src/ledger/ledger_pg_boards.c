// SPDX-License-Identifier: Apache-2.0
/* What the boards of the backup (ledger_boards.h) are made of, from PostgreSQL. */
#include "base/clock.h"
#include "ledger/ledger_boards.h"
#include "ledger/ledger_pg_internal.h"
#include "ledger/ledger_pg_sales.h"

enum { ASK_TIMEOUT_MS = 60000 };

struct source {
    struct ledger_boards_source base;
    PGconn *conn;
    /* All at once: one by one they would be hundreds of round trips, most of the time to find that
     * nothing is out of date. */
    PGresult *days;   /* day, version */
    PGresult *stored; /* sales_window, day, version */
    struct pg_categories known;
    bool is_known;
};

static void source_fini(struct source *source)
{
    PQclear(source->days);
    PQclear(source->stored);
    PQfinish(source->conn);
    ledger_pg_categories_fini(&source->known);
}

static struct source *self(struct ledger_boards_source *base)
{
    return CONTAINER_OF(base, struct source, base);
}

/* ---- small questions ---- */

static enum err ask(PGconn *conn, struct pg_trip *trip, PGresult **ret_result)
{
    struct pg_reason reason;

    TRY(trip_finish(trip));
    return pg_sync_run(conn, &trip->statements[0], ASK_TIMEOUT_MS, ret_result, &reason);
}

static enum err read_made_at(struct source *source, int64_t *ret_made_at_ms)
{
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };
    PGresult *result = NULL;

    trip_add(&trip, 0, "SELECT floor(extract(epoch FROM now()) * 1000)::bigint");
    TRY(ask(source->conn, &trip, &result));
    *ret_made_at_ms = trip_get(result, 0, 0) + clock_offset_ms();
    PQclear(result);
    return ERR_OK;
}

static enum err read_days(struct source *source)
{
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };

    trip_add(&trip, 0, "SELECT day, version FROM sales_days ORDER BY day");
    return ask(source->conn, &trip, &source->days);
}

static enum err read_stored(struct source *source, int64_t from_day)
{
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };

    trip_add(&trip, 0,
             "SELECT sales_window, day, version FROM boards WHERE day >= $1 AND category = ''"
             " AND made_at > (SELECT " LEDGER_MOVED_FOR_CERTAIN " FROM store)"
             " ORDER BY sales_window, day");
    trip_int(&trip, from_day);
    return ask(source->conn, &trip, &source->stored);
}

/* ---- versions ---- */

static int compare(const PGresult *rows, int row, const int64_t *keys, int key_count)
{
    for (int i = 0; i < key_count; i++) {
        int64_t value = trip_get(rows, row, i);
        if (value != keys[i])
            return value < keys[i] ? -1 : 1;
    }
    return 0;
}

/* The first row, of those in order of their first columns, that is not before these. */
static int row_from(const PGresult *rows, const int64_t *keys, int key_count)
{
    int low = 0, high = PQntuples(rows);

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare(rows, middle, keys, key_count) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err version_of(struct ledger_boards_source *source, struct sales_days days,
                           int64_t *ret_version)
{
    const PGresult *rows = self(source)->days;

    *ret_version = 0;
    for (int i = row_from(rows, &days.from, 1);
         i < PQntuples(rows) && trip_get(rows, i, 0) <= days.to; i++)
        *ret_version += trip_get(rows, i, 1);
    return ERR_OK;
}

static enum err stored_version(struct ledger_boards_source *source, enum sales_window window,
                               int64_t day, int64_t *ret_version)
{
    const PGresult *rows = self(source)->stored;
    const int64_t keys[] = { (int64_t)window, day };
    int row = row_from(rows, keys, 2);
    bool found = row < PQntuples(rows) && compare(rows, row, keys, 2) == 0;

    *ret_version = found ? trip_get(rows, row, 2) : 0;
    return ERR_OK;
}

static enum err sums_of(struct ledger_boards_source *source, struct sales_days days,
                        struct ledger_sums *sums)
{
    return ledger_pg_sums_read(self(source)->conn, days, STR_NONE, sums);
}

/* ---- categories ---- */

/* The strings live as long as the source. */
static enum err category_of(struct ledger_boards_source *base, int64_t product_id,
                            struct arena *arena, struct str *ret_category)
{
    struct source *source = self(base);
    int64_t version;

    (void)arena;
    if (!source->is_known)
        TRY(ledger_pg_categories_read(source->conn, &source->known));
    source->is_known = true;
    *ret_category = ledger_pg_category_of(&source->known, product_id, &version);
    return ERR_OK;
}

static enum err each_category(struct ledger_boards_source *source, enum sales_window window,
                              int64_t day, enum err (*each)(void *context, struct str category),
                              void *context)
{
    CLEANUP(trip_fini) struct pg_trip trip = { 0 };
    PGresult *result = NULL;
    enum err e = ERR_OK;

    trip_add(&trip, 0, "SELECT category FROM boards WHERE sales_window = $1 AND day = $2");
    trip_int(&trip, (int64_t)window);
    trip_int(&trip, day);
    TRY(ask(self(source)->conn, &trip, &result));
    for (int i = 0; e == ERR_OK && i < PQntuples(result); i++)
        e = each(context, trip_get_text(result, i, 0));
    PQclear(result);
    return e;
}

/* The database's clock says when boards are made, as it says when products move. */
static enum err source_open(struct ledger *ledger, struct source *source, int64_t from_day,
                            int64_t *ret_made_at_ms)
{
    TRY(ledger_pg_snapshot_open(ledger, &source->conn));
    TRY(read_made_at(source, ret_made_at_ms));
    TRY(read_days(source));
    return read_stored(source, from_day);
}

enum err ledger_pg_scan_boards(struct ledger *ledger, int64_t from_day, int64_t to_day,
                               bool (*each)(void *context, const struct ledger_board *board),
                               void *context)
{
    CLEANUP(source_fini)
    struct source source = { .base = { .version = version_of,
                                       .stored = stored_version,
                                       .sums = sums_of,
                                       .category = category_of,
                                       .categories = each_category } };
    int64_t made_at_ms;

    TRY(source_open(ledger, &source, from_day, &made_at_ms));
    return ledger_boards_scan(&source.base, from_day, to_day, made_at_ms, each, context);
}
