// SPDX-License-Identifier: Apache-2.0
/*
 * The writer: one batch, one transaction. A batch that fails for an unexpected reason is run again
 * command by command, so that one poisoned command harms nobody else. An error of COMMIT itself,
 * other than a full disk, leaves open whether the commit happened: a failed fsync, for one, hides
 * the rows from this process and shows them to the next. Then nothing definite is answered and
 * nothing more is written; the process ends and recovers at its next start.
 */
#include <sys/statvfs.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger_sqlite_internal.h"

enum { CHECKPOINT_PAGES = 4000, CHECKPOINT_PAGES_NO_ROOM = 64, DISK_ROOM_BYTES = 64 << 20 };

static enum err commit(struct sqlite_ledger *ledger)
{
    int code = sqlite3_step(ledger->stmt.commit);

    sqlite3_reset(ledger->stmt.commit);
    switch (code & 0xFF) {
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL: /* while writing, before the commit record */
    case SQLITE_BUSY:
        if ((code & 0xFF) == SQLITE_FULL) {
            ledger->no_room = true;
            ledger->wal_pages = CHECKPOINT_PAGES;
        }
        LOG(LOG_WARN, "commit refused", LOG_INT("code", code),
            LOG_CSTR("message", sqlite3_errmsg(ledger->db)));
        return ERR_UNAVAILABLE;
    default:
        LOG(LOG_ERROR, "commit uncertain", LOG_INT("code", code),
            LOG_CSTR("message", sqlite3_errmsg(ledger->db)));
        return ERR_UNCERTAIN;
    }
}

/* Whoever watches is told before readers can see it, and when it is over. */
static enum err commit_watched(struct sqlite_ledger *ledger, const struct ledger_changes *changes)
{
    if (!ledger_watch_begin(&ledger->base, changes))
        return commit(ledger);
    enum err e = commit(ledger);
    if (e != ERR_UNCERTAIN)
        ledger_watch_end(&ledger->base, changes, e == ERR_OK);
    return e;
}

static enum err batch_write(struct sqlite_ledger *ledger, struct list *batch)
{
    struct ledger_changes changes;

    TRY(sqlite_db_run(ledger->stmt.begin));
    TRY(ledger_rows_collect(&ledger->rows, batch, clock_wall_ms()));
    TRY(ledger_sqlite_load(ledger));
    TRY(ledger_decide(&ledger->rows, batch));
    TRY(ledger_changes_collect(&ledger->rows, &changes));
    TRY(ledger_sqlite_store(ledger, batch));
    return commit_watched(ledger, &changes);
}

/* One transaction: on any error but ERR_UNCERTAIN, certainly nothing of it is there. */
static enum err batch_try(struct sqlite_ledger *ledger, struct list *batch)
{
    if (ledger->broken || ledger_has_fault(&ledger->base))
        return ERR_UNAVAILABLE;
    enum err e = batch_write(ledger, batch);
    if (e != ERR_OK && e != ERR_UNCERTAIN && !sqlite3_get_autocommit(ledger->db)) {
        sqlite3_step(ledger->stmt.rollback);
        sqlite3_reset(ledger->stmt.rollback);
    }
    if (e == ERR_UNCERTAIN || !sqlite3_get_autocommit(ledger->db)) {
        ledger->broken = true;
        return ERR_UNCERTAIN;
    }
    return e;
}

static void batch_retry_each(struct sqlite_ledger *ledger, struct list *batch)
{
    struct list todo, one;

    list_init(&todo);
    list_init(&one);
    list_splice(&todo, batch);
    while (!list_empty(&todo)) {
        struct list *node = todo.next;
        list_remove(node);
        list_append(&one, node);
        struct ledger_command *command = CONTAINER_OF(node, struct ledger_command, node);
        enum err e = batch_try(ledger, &one);
        command->err = ledger_batch_err_of_one(e);
        if (ledger->options.metrics)
            metrics_add(ledger->options.metrics, METRIC_ledger_retries, 1);
        list_splice(batch, &one);
    }
}

static void run_batch(struct sqlite_ledger *ledger, struct list *batch, size_t count)
{
    uint64_t started_ns = clock_mono_ns();
    enum err e = batch_try(ledger, batch);

    ledger_batch_count(ledger->options.metrics, count, started_ns, e);
    if (ledger_batch_retry_may_help(e)) {
        LOG(LOG_WARN, "batch failed, retrying one by one", LOG_INT("commands", count),
            LOG_CSTR("error", err_name(e)));
        batch_retry_each(ledger, batch);
    } else {
        ledger_batch_set_err(batch, e);
    }
}

/* Room for several times what a WAL takes. */
static bool disk_has_room(const struct sqlite_ledger *ledger)
{
    struct statvfs disk;

    return statvfs(ledger->path, &disk) != 0 ||
           (uint64_t)disk.f_bavail * disk.f_frsize >= (uint64_t)DISK_ROOM_BYTES;
}

/*
 * Copies the WAL back between batches, where its failure harms nobody: it is tried again later. A
 * WAL that was copied back is room, too. Once the disk was full, it must not eat up what room comes
 * back, which the database needs to take it in: it is copied back at once, and kept small until
 * there is plenty.
 */
static void checkpoint(struct sqlite_ledger *ledger)
{
    if (ledger->broken ||
        ledger->wal_pages < (ledger->no_room ? CHECKPOINT_PAGES_NO_ROOM : CHECKPOINT_PAGES))
        return;
    int code = sqlite3_wal_checkpoint_v2(ledger->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    ledger->wal_pages = 0;
    if (ledger->no_room && code == SQLITE_OK && disk_has_room(ledger))
        ledger->no_room = false;
}

static int count_wal_pages(void *context, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_ledger *ledger = context;

    (void)db;
    (void)name;
    ledger->wal_pages = pages;
    return SQLITE_OK;
}

void *ledger_sqlite_writer(void *context)
{
    struct sqlite_ledger *ledger = context;
    struct list batch;
    size_t count;
    bool told = false;

    list_init(&batch);
    sqlite3_wal_hook(ledger->db, count_wal_pages, ledger);
    while ((count = ledger_queue_take(&ledger->base.queue, &batch, ledger->options.batch_max)) >
           0) {
        run_batch(ledger, &batch, count);
        size_t complete = ledger_batch_complete(&ledger->base.queue, &batch);
        ledger_queue_room_return(&ledger->base.queue, complete);
        ledger_queue_batch_done(&ledger->base.queue);
        if (ledger->broken && !told) {
            told = true;
            ledger->options.on_uncertain(ledger->options.context);
        }
        checkpoint(ledger);
        log_flush();
    }
    return NULL;
}
