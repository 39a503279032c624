// SPDX-License-Identifier: Apache-2.0
#include "ledger/ledger_copy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "ledger/ledger_copy_internal.h"
#include "ledger/ledger_pg.h"
#include "ledger/ledger_sqlite.h"

enum { CHUNK_ROWS = 50000, CHUNK_BYTES = 16 << 20, TELL_EVERY = 8192 };

struct copying {
    struct ledger_copy *copy;
    struct ledger_stamp from_stamp, to_stamp;
    struct copy_tables tables;
    struct copy_side from, to;
    bool finished; /* by an earlier call: there is nothing left but to compare */

    /* the table at hand */
    const struct copy_table *table;
    int64_t done, of;
    size_t chunk_rows, chunk_bytes;
};

PRINTF_LIKE(3, 4)
static enum err refuse(struct copying *self, enum err e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(self->copy->why, sizeof self->copy->why, format, args);
    va_end(args);
    return e;
}

/* What a store said goes before what the error means. */
static enum err told(struct copying *self, const struct copy_side *side, enum err e)
{
    const char *role = side == &self->from ? "source" : "target";

    if (e == ERR_OK || self->copy->why[0])
        return e;
    return refuse(self, e, "the %s: %s", role, side->why[0] ? side->why : err_text(e));
}

static void tell(struct copying *self, const char *what)
{
    struct ledger_copy *copy = self->copy;

    if (copy->progress)
        copy->progress(copy->context, what, self->table->name, self->done, self->of);
}

/* ---- stamps ---- */

static enum err read_stamp(struct copying *self, bool postgres, struct ledger_stamp *stamp)
{
    struct pg_reason reason = { 0 };
    enum err e = postgres ? ledger_pg_stamp(self->copy->url, stamp, &reason)
                          : ledger_sqlite_stamp(self->copy->path, stamp);

    if (e == ERR_OK || e == ERR_NOT_FOUND)
        return ERR_OK;
    return refuse(self, e, "%s cannot be read: %s", postgres ? "PostgreSQL" : "shop.db",
                  reason.text[0] ? reason.text : err_text(e));
}

static enum err migrate_target(struct copying *self)
{
    const struct ledger_stamp *stamp = &self->from_stamp;
    struct pg_reason reason = { 0 };
    int64_t applied;
    enum err e = self->copy->to_postgres ? ledger_pg_migrate(self->copy->url, stamp->profile,
                                                             stamp->time_zone, &applied, &reason)
                                         : ledger_sqlite_migrate(self->copy->path, stamp->profile,
                                                                 stamp->time_zone, &applied);

    if (e != ERR_OK)
        return refuse(self, e, "the target cannot be made: %s",
                      reason.text[0] ? reason.text : err_text(e));
    return ERR_OK;
}

static enum err look(struct copying *self)
{
    const struct ledger_stamp *from = &self->from_stamp, *to = &self->to_stamp;

    TRY(read_stamp(self, !self->copy->to_postgres, &self->from_stamp));
    if (from->level == 0)
        return refuse(self, ERR_CONFLICT, "there is no shop in the source");
    if (from->half_copied)
        return refuse(self, ERR_CONFLICT,
                      "the source is itself a copy that is not finished: finish it first");
    if (from->level != from->latest)
        return refuse(self, ERR_CONFLICT,
                      "the source is at migration %" PRId64 ", this program at %" PRId64 ": %s",
                      from->level, from->latest,
                      from->level < from->latest ? "run `doorbuster migrate` on it first"
                                                 : "use the newer version");
    TRY(read_stamp(self, self->copy->to_postgres, &self->to_stamp));
    if (to->level == 0)
        return migrate_target(self);
    if (to->level != from->level)
        return refuse(self, ERR_CONFLICT,
                      "the target is at migration %" PRId64 ", the source at %" PRId64, to->level,
                      from->level);
    return ERR_OK;
}

/* ---- sides ---- */

/* What PostgreSQL has in a table and shop.db has not would be lost, or missing. */
static enum err compare_columns(struct copying *self, struct copy_side *side)
{
    char sql[256];
    int64_t columns = 0;

    for (size_t i = 0; i < self->tables.count; i++) {
        const struct copy_table *table = &self->tables.items[i];
        sqlite3_snprintf(sizeof sql, sql, side->ops->column_count, table->name);
        TRY(told(self, side, side->ops->ask(side, sql, &columns)));
        if (columns != table->column_count)
            return refuse(self, ERR_CONFLICT, "the stores do not have the same columns in %s",
                          table->name);
    }
    return ERR_OK;
}

static enum err open_sides(struct copying *self)
{
    struct ledger_copy *copy = self->copy;
    struct copy_side *sqlite = copy->to_postgres ? &self->from : &self->to,
                     *pg = copy->to_postgres ? &self->to : &self->from;

    TRY(told(self, sqlite, copy_sqlite_open(sqlite, copy->path, copy->to_postgres)));
    TRY(told(self, sqlite, copy_tables_read(&self->tables, sqlite->db)));
    TRY(told(self, pg, copy_pg_open(pg, copy->url, &self->tables, !copy->to_postgres)));
    return compare_columns(self, pg);
}

static enum err check_witnesses(struct copying *self, struct copy_side *side, const char *which)
{
    int64_t coupon_id;

    TRY(told(self, side, copy_witnesses(side, &self->copy->coupons, &coupon_id)));
    if (coupon_id)
        return refuse(self, ERR_CORRUPT,
                      "coupon %" PRId64 " of the %s does not agree with its witness: see "
                      "`doorbuster prove %" PRId64 "`",
                      coupon_id, which, coupon_id);
    return ERR_OK;
}

static enum err check_source(struct copying *self)
{
    int64_t coupon_id;

    TRY(told(
        self, &self->from,
        copy_places_missing(&self->from, self->copy->places, self->copy->place_count, &coupon_id)));
    if (coupon_id)
        return refuse(self, ERR_CONFLICT,
                      "the gate granted places of coupon %" PRId64 " that are not stored yet: "
                      "start the server on the source and stop it, which stores them",
                      coupon_id);
    return check_witnesses(self, &self->from, "source");
}

/* ---- the mark ---- */

static const struct copy_table mark_table = { .name = "copy_mark",
                                              .column_count = 1,
                                              .columns = { { "database_id", 'b' } } };

static enum err compare_mark(void *context, const struct pg_tuple *row)
{
    struct copying *self = context;
    struct str id = { (const char *)self->from_stamp.database_id, LEDGER_DATABASE_ID_BYTES };

    self->done += str_equal(row->columns[0], id);
    return ERR_OK;
}

static enum err refuse_other_mark(struct copying *self)
{
    self->done = 0;
    TRY(told(self, &self->to,
             self->to.ops->read(&self->to, &mark_table, "SELECT database_id FROM copy_mark",
                                compare_mark, self)));
    if (self->done != 1)
        return refuse(self, ERR_CONFLICT,
                      "the target is a half-done copy of another shop: empty it, or choose "
                      "another");
    return ERR_OK;
}

static enum err refuse_rows(struct copying *self)
{
    char sql[128];
    int64_t rows = 0;

    for (size_t i = 0; i + 1 < self->tables.count; i++) {
        const char *name = self->tables.items[i].name;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT 1 FROM %s LIMIT 1) s", name);
        TRY(told(self, &self->to, self->to.ops->ask(&self->to, sql, &rows)));
        if (rows)
            return refuse(self, ERR_CONFLICT,
                          "the target is not empty: there are rows in %s. Choose an empty one",
                          name);
    }
    return ERR_OK;
}

static enum err put_mark(struct copying *self)
{
    struct copy_side *to = &self->to;
    const struct pg_tuple row = {
        .count = 1,
        .columns = { { (const char *)self->from_stamp.database_id, LEDGER_DATABASE_ID_BYTES } },
    };

    TRY(to->ops->run(to, to->ops->begin));
    TRY(to->ops->run(to, to->ops->mark));
    TRY(to->ops->put_begin(to, &mark_table));
    TRY(to->ops->put(to, &mark_table, &row));
    TRY(to->ops->put_end(to));
    return to->ops->run(to, "COMMIT");
}

/* The id is that of one shop, and its copy has it only when it is whole. */
static enum err mark(struct copying *self)
{
    if (self->to_stamp.half_copied)
        return refuse_other_mark(self);
    self->finished =
        self->to_stamp.level > 0 && memcmp(self->to_stamp.database_id, self->from_stamp.database_id,
                                           LEDGER_DATABASE_ID_BYTES) == 0;
    if (self->finished)
        return ERR_OK;
    TRY(refuse_rows(self));
    return told(self, &self->to, put_mark(self));
}

/* ---- rows ---- */

static enum err chunk_end(struct copying *self)
{
    struct copy_side *to = &self->to;

    if (self->chunk_rows == 0)
        return ERR_OK;
    TRY(told(self, to, to->ops->put_end(to)));
    TRY(told(self, to, to->ops->run(to, "COMMIT")));
    self->chunk_rows = self->chunk_bytes = 0;
    return ERR_OK;
}

static enum err chunk_begin(struct copying *self)
{
    struct copy_side *to = &self->to;

    TRY(to->ops->run(to, to->ops->begin));
    return to->ops->put_begin(to, self->table);
}

static enum err copy_row(void *context, const struct pg_tuple *row)
{
    struct copying *self = context;
    struct copy_side *to = &self->to;

    if (self->chunk_rows == 0)
        TRY(told(self, to, chunk_begin(self)));
    TRY(told(self, to, to->ops->put(to, self->table, row)));
    for (int i = 0; i < row->count; i++)
        self->chunk_bytes += row->columns[i].len;
    self->chunk_rows++;
    if (++self->done % TELL_EVERY == 0 && self->done < self->of)
        tell(self, "copying");
    return self->chunk_rows >= CHUNK_ROWS || self->chunk_bytes >= CHUNK_BYTES ? chunk_end(self)
                                                                              : ERR_OK;
}

struct rest {
    const struct copy_table *table;
    struct buf select;
};

/* Behind the last row that the target has. */
static enum err select_rest(void *context, const struct pg_tuple *last)
{
    struct rest *rest = context;

    buf_reset(&rest->select);
    copy_select(&rest->select, rest->table, last);
    return buf_ok(&rest->select) ? ERR_OK : ERR_NOMEM;
}

static enum err count_rows(struct copying *self, struct copy_side *side, int64_t *ret_rows)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", self->table->name);
    return told(self, side, side->ops->ask(side, sql, ret_rows));
}

static enum err copy_rest(struct copying *self, struct rest *rest)
{
    CLEANUP(buf_fini) struct buf last = { 0 };

    copy_select(&rest->select, self->table, NULL);
    copy_select_last(&last, self->table);
    if (!buf_ok(&last) || !buf_ok(&rest->select))
        return ERR_NOMEM;
    TRY(told(self, &self->to,
             self->to.ops->read(&self->to, self->table, last.ptr, select_rest, rest)));
    TRY(told(self, &self->from,
             self->from.ops->read(&self->from, self->table, rest->select.ptr, copy_row, self)));
    return chunk_end(self);
}

static enum err copy_table(struct copying *self)
{
    struct rest rest = { .table = self->table };

    TRY(count_rows(self, &self->from, &self->of));
    TRY(count_rows(self, &self->to, &self->done));
    self->copy->found += self->done;
    enum err e = copy_rest(self, &rest);
    buf_fini(&rest.select);
    tell(self, "copying");
    return e;
}

/* ---- the end ---- */

static enum err verify_table(struct copying *self)
{
    struct copy_sum from, to;

    TRY(told(self, &self->from, copy_sum(&self->from, self->table, &from)));
    TRY(told(self, &self->to, copy_sum(&self->to, self->table, &to)));
    self->copy->tables++;
    self->copy->rows += to.rows;
    if (self->finished)
        self->copy->found += to.rows;
    self->done = self->of = to.rows;
    tell(self, "verifying");
    if (from.rows == to.rows && from.hash == to.hash)
        return ERR_OK;
    return refuse(self, ERR_CORRUPT,
                  "%s is not the same in the source (%" PRId64 " rows) and the target (%" PRId64
                  " rows): %s",
                  self->table->name, from.rows, to.rows,
                  self->finished ? "both have been this shop, and at least one has gone on since"
                                 : "one of them was changed meanwhile. Empty the target and copy "
                                   "again");
}

static enum err each_table(struct copying *self, enum err (*each)(struct copying *self))
{
    for (size_t i = 0; i + 1 < self->tables.count; i++) {
        self->table = &self->tables.items[i];
        TRY(each(self));
    }
    return ERR_OK;
}

static enum err copy_dead_id(struct copying *self)
{
    struct copy_side *to = &self->to;
    int64_t last;
    char sql[256];

    TRY(told(self, &self->from, self->from.ops->ask(&self->from, self->from.ops->dead_id, &last)));
    sqlite3_snprintf(sizeof sql, sql, to->ops->dead_id_set, (long long)last);
    return told(self, to, to->ops->run(to, sql));
}

static enum err put_store(void *context, const struct pg_tuple *row)
{
    struct copying *self = context;
    struct copy_side *to = &self->to;

    TRY(to->ops->put_begin(to, self->table));
    TRY(to->ops->put(to, self->table, row));
    return to->ops->put_end(to);
}

/* The stamp, what was counted, and away with the mark: at once. */
static enum err finish(struct copying *self)
{
    CLEANUP(buf_fini) struct buf select = { 0 };
    struct copy_side *to = &self->to;

    self->table = copy_tables_store(&self->tables);
    copy_select(&select, self->table, NULL);
    if (!buf_ok(&select))
        return ERR_NOMEM;
    TRY(told(self, to, to->ops->run(to, to->ops->durable)));
    TRY(told(self, to, to->ops->run(to, "BEGIN")));
    TRY(told(self, to, to->ops->run(to, "DELETE FROM store")));
    TRY(told(self, &self->from,
             self->from.ops->read(&self->from, self->table, select.ptr, put_store, self)));
    TRY(copy_dead_id(self));
    TRY(told(self, to, to->ops->run(to, "DROP TABLE copy_mark")));
    TRY(told(self, to, to->ops->run(to, "COMMIT")));
    err_ignore(to->ops->run(to, to->ops->tidy), "the stores do it by themselves in time");
    return ERR_OK;
}

static enum err copy_all(struct copying *self)
{
    TRY(look(self));
    TRY(open_sides(self));
    TRY(check_source(self));
    TRY(mark(self));
    if (!self->finished)
        TRY(each_table(self, copy_table));
    TRY(each_table(self, verify_table));
    TRY(check_witnesses(self, &self->to, "target"));
    return self->finished ? ERR_OK : finish(self);
}

enum err ledger_copy_run(struct ledger_copy *copy)
{
    struct copying copying = { .copy = copy };
    struct copying *self = &copying;

    copy->why[0] = '\0';
    copy->tables = copy->rows = copy->found = 0;
    enum err e = copy_all(self);
    copy_side_close(&self->from);
    copy_side_close(&self->to);
    if (e != ERR_OK && !copy->why[0])
        refuse(self, e, "%s", err_text(e));
    return e;
}
