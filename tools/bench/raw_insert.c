// SPDX-License-Identifier: Apache-2.0
/*
 * Rows of user_coupons put straight into a migrated store at rest: the figure that `issue` is
 * measured against, and the way to a store with many holders.
 *
 *     raw_insert DATABASE COUPON QUANTITY ROWS BATCH full|off BASE STEP SPAN STRIDE
 *
 * Makes the coupon. Row k, 0 <= k < ROWS, is its number k + 1 and belongs to user
 * BASE + STEP * (k * STRIDE mod SPAN), as in load.lua. BATCH rows make a transaction. `full` is
 * what the server does: WAL, synchronous=FULL, its cache, its checkpoints between batches. `off` is
 * for filling: no waiting for the disk. The coupon's witness is written after the clock has
 * stopped. Prints "ROWS SECONDS CPU_SECONDS".
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/witness.h"

enum { ARGUMENTS = 11, CHECKPOINT_PAGES = 4000, WINDOW_DAYS = 30 };

struct job {
    int64_t coupon, quantity, rows, batch;
    bool full;
    int64_t base, step, span, stride;
};

static sqlite3 *db;
static int wal_pages;

static void check(int code)
{
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
        return;
    fprintf(stderr, "raw_insert: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void run(const char *sql)
{
    check(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *stmt;

    check(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL));
    return stmt;
}

static void step(sqlite3_stmt *stmt)
{
    check(sqlite3_step(stmt));
    check(sqlite3_reset(stmt));
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int64_t user_of(const struct job *job, int64_t k)
{
    return job->base + job->step * (k * job->stride % job->span);
}

static int count_wal_pages(void *context, sqlite3 *of, const char *name, int pages)
{
    (void)context;
    (void)of;
    (void)name;
    wal_pages = pages;
    return SQLITE_OK;
}

static void make_coupon(const struct job *job, int64_t now_ms)
{
    sqlite3_stmt *stmt =
        prepare("INSERT INTO coupons (coupon_id, name, discount_rate, uses_per_user,"
                " total_quantity, starts_at, ends_at)"
                " VALUES (?1, 'raw', 10, 1, 100000000, ?2, ?3)"
                " ON CONFLICT DO NOTHING");

    sqlite3_bind_int64(stmt, 1, job->coupon);
    sqlite3_bind_int64(stmt, 2, now_ms);
    sqlite3_bind_int64(stmt, 3, now_ms + WINDOW_DAYS * INT64_C(86400000));
    sqlite3_bind_int64(stmt, 4, job->quantity);
    step(stmt);
    sqlite3_finalize(stmt);
}

static int64_t next_user_coupon_id(void)
{
    sqlite3_stmt *stmt = prepare("SELECT next_user_coupon_id FROM store");

    check(sqlite3_step(stmt));
    int64_t next = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return next;
}

static void insert(const struct job *job, int64_t first_id, int64_t now_ms)
{
    sqlite3_stmt *begin = prepare("BEGIN IMMEDIATE"), *commit = prepare("COMMIT");
    sqlite3_stmt *stmt =
        prepare("INSERT INTO user_coupons (coupon_id, slot, user_id, user_coupon_id,"
                " issued_at, expires_at, uses, used_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 0, 0)");

    sqlite3_bind_int64(stmt, 1, job->coupon);
    sqlite3_bind_int64(stmt, 5, now_ms);
    sqlite3_bind_int64(stmt, 6, now_ms + WINDOW_DAYS * INT64_C(86400000));
    for (int64_t done = 0; done < job->rows; done++) {
        if (done % job->batch == 0)
            step(begin);
        sqlite3_bind_int64(stmt, 2, done + 1);
        sqlite3_bind_int64(stmt, 3, user_of(job, done));
        sqlite3_bind_int64(stmt, 4, first_id + done);
        step(stmt);
        if ((done + 1) % job->batch != 0 && done + 1 != job->rows)
            continue;
        step(commit);
        if (wal_pages < CHECKPOINT_PAGES)
            continue;
        check(sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
        wal_pages = 0;
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(stmt);
}

/* So that the store is as if the server had written the rows. */
static void keep_witness(const struct job *job, int64_t first_id)
{
    sqlite3_stmt *store = prepare("UPDATE coupons SET issued = ?2, highest_slot = ?3, witness = ?4"
                                  " WHERE coupon_id = ?1");
    sqlite3_stmt *next = prepare("UPDATE store SET next_user_coupon_id = ?");
    struct witness witness = { 0 };

    for (int64_t k = 0; k < job->rows; k++)
        witness_add(&witness, k + 1, user_of(job, k));
    sqlite3_bind_int64(store, 1, job->coupon);
    sqlite3_bind_int64(store, 2, witness.issued);
    sqlite3_bind_int64(store, 3, witness.highest);
    sqlite3_bind_int64(store, 4, (int64_t)witness.hash);
    step(store);
    sqlite3_finalize(store);
    sqlite3_bind_int64(next, 1, first_id + job->rows);
    step(next);
    sqlite3_finalize(next);
}

int main(int argc, char **argv)
{
    if (argc != ARGUMENTS) {
        fputs("usage: raw_insert DATABASE COUPON QUANTITY ROWS BATCH full|off BASE STEP SPAN "
              "STRIDE\n",
              stderr);
        return 2;
    }
    const struct job job = { .coupon = atoll(argv[2]),
                             .quantity = atoll(argv[3]),
                             .rows = atoll(argv[4]),
                             .batch = atoll(argv[5]),
                             .full = strcmp(argv[6], "full") == 0,
                             .base = atoll(argv[7]),
                             .step = atoll(argv[8]),
                             .span = atoll(argv[9]),
                             .stride = atoll(argv[10]) };
    if (job.batch < 1 || job.span < 1)
        return 2;
    check(sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL));
    run("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=5000;"
        "PRAGMA journal_size_limit=67108864;");
    run(job.full ? "PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
                 : "PRAGMA synchronous=OFF; PRAGMA cache_size=-4194304;");
    sqlite3_wal_hook(db, count_wal_pages, NULL);
    int64_t now_ms = (int64_t)(seconds(CLOCK_REALTIME) * 1e3);
    make_coupon(&job, now_ms);
    int64_t first_id = next_user_coupon_id();
    double start = seconds(CLOCK_MONOTONIC), cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    insert(&job, first_id, now_ms);
    double took = seconds(CLOCK_MONOTONIC) - start;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    keep_witness(&job, first_id);
    run("PRAGMA wal_checkpoint(TRUNCATE);");
    sqlite3_close(db);
    printf("%" PRId64 " %.6f %.6f\n", job.rows, took, cpu);
    return 0;
}
