// SPDX-License-Identifier: Apache-2.0
/* Which tables there are, as shop.db itself says, and what is asked of them in words that both
 * stores understand. Leases are nobody's to take along, and neither is what a ranking that is made
 * anew has still to hear. */
#include <stdio.h>

#include "ledger/ledger_copy_internal.h"

static enum err take_column(struct copy_table *table, sqlite3_stmt *stmt)
{
    struct str name = sqlite_db_text(stmt, 1), type = sqlite_db_text(stmt, 2);
    int at = table->column_count, key = sqlite3_column_int(stmt, 3);

    if (at == PG_TUPLE_COLUMNS_MAX || key > COPY_KEYS_MAX || name.len >= COPY_NAME_BYTES)
        return ERR_TOO_LARGE;
    snprintf(table->columns[at].name, COPY_NAME_BYTES, "%.*s", (int)name.len, name.ptr);
    table->columns[at].kind = 'i';
    if (str_equal(type, STR("TEXT")))
        table->columns[at].kind = 't';
    else if (str_equal(type, STR("BLOB")))
        table->columns[at].kind = 'b';
    if (key > 0) {
        table->key[key - 1] = at;
        table->key_count = MAX(table->key_count, key);
    }
    table->column_count++;
    return ERR_OK;
}

static enum err take_row(struct copy_tables *tables, sqlite3_stmt *stmt)
{
    struct copy_table *last = tables->count ? &tables->items[tables->count - 1] : NULL;
    struct str name = sqlite_db_text(stmt, 0);

    if (last && str_equal(name, str_from(last->name)))
        return take_column(last, stmt);
    if (tables->count == COPY_TABLES_MAX || name.len >= COPY_NAME_BYTES)
        return ERR_TOO_LARGE;
    last = &tables->items[tables->count++];
    *last = (struct copy_table){ 0 };
    snprintf(last->name, sizeof last->name, "%.*s", (int)name.len, name.ptr);
    return take_column(last, stmt);
}

enum err copy_tables_read(struct copy_tables *tables, sqlite3 *db)
{
    enum err e = ERR_OK;
    sqlite3_stmt *stmt;
    int code;

    tables->count = 0;
    TRY(sqlite_db_prepare(db,
                          "SELECT m.name, p.name, p.type, p.pk FROM sqlite_schema m"
                          " JOIN pragma_table_info(m.name) p WHERE m.type = 'table'"
                          " AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
                          " AND m.name NOT IN ('copy_mark', 'event_relays', 'sales_outbox')"
                          " ORDER BY m.name = 'store', m.name, p.cid",
                          &stmt));
    while (e == ERR_OK && (code = sqlite3_step(stmt)) == SQLITE_ROW)
        e = take_row(tables, stmt);
    if (e == ERR_OK)
        e = sqlite_db_err(code);
    sqlite3_finalize(stmt);
    if (e == ERR_OK && (!tables->count || strcmp(copy_tables_store(tables)->name, "store") != 0))
        return ERR_CORRUPT;
    return e;
}

/* ---- SQL ---- */

void copy_columns(struct buf *sql, const struct copy_table *table)
{
    for (int i = 0; i < table->column_count; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", table->columns[i].name);
}

static void add_key(struct buf *sql, const struct copy_table *table, const char *behind)
{
    for (int i = 0; i < table->key_count; i++)
        buf_printf(sql, "%s%s%s", i ? ", " : "", table->columns[table->key[i]].name, behind);
}

static void add_text(struct buf *sql, struct str text)
{
    buf_char(sql, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            buf_char(sql, '\'');
        buf_char(sql, text.ptr[i]);
    }
    buf_char(sql, '\'');
}

static void add_values(struct buf *sql, const struct copy_table *table, const struct pg_tuple *row)
{
    for (int i = 0; i < table->key_count; i++) {
        int column = table->key[i];
        if (i)
            buf_literal(sql, ", ");
        if (table->columns[column].kind == 'i')
            buf_int(sql, ledger_pg_tuple_int(row, column));
        else
            add_text(sql, row->columns[column]);
    }
}

static void add_from(struct buf *sql, const struct copy_table *table)
{
    buf_literal(sql, "SELECT ");
    copy_columns(sql, table);
    buf_printf(sql, " FROM %s", table->name);
}

void copy_select(struct buf *sql, const struct copy_table *table, const struct pg_tuple *after)
{
    add_from(sql, table);
    if (after) {
        buf_literal(sql, " WHERE (");
        add_key(sql, table, "");
        buf_literal(sql, ") > (");
        add_values(sql, table, after);
        buf_char(sql, ')');
    }
    buf_literal(sql, " ORDER BY ");
    add_key(sql, table, "");
    buf_char(sql, '\0');
}

void copy_select_last(struct buf *sql, const struct copy_table *table)
{
    add_from(sql, table);
    buf_literal(sql, " ORDER BY ");
    add_key(sql, table, " DESC");
    buf_literal(sql, " LIMIT 1");
    buf_char(sql, '\0');
}
