// SPDX-License-Identifier: Apache-2.0
/* SQLite's own file layer with writes and syncs that fail on demand, for every file it opens. */
#pragma once
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

enum fault_kind {
    FAULT_WRITE,   /* nothing is written: SQLITE_IOERR_WRITE */
    FAULT_FULL,    /* nothing is written: SQLITE_FULL */
    FAULT_PARTIAL, /* half of it is: SQLITE_FULL */
    FAULT_SYNC,    /* SQLITE_IOERR_FSYNC */
    FAULT_KIND_N,
};

static struct {
    enum fault_kind kind;
    bool stays;        /* and every one after it fails, too */
    _Atomic int after; /* so many go well before; negative: never */
    _Atomic int hits;
} fault = { .after = -1 };

static sqlite3_vfs *real_vfs;
static sqlite3_io_methods real_methods, faulty_methods[2]; /* of the database, of its WAL */

static inline bool fault_due(bool sync)
{
    if (atomic_load(&fault.after) < 0 || sync != (fault.kind == FAULT_SYNC))
        return false;
    if (atomic_load(&fault.hits) && !fault.stays)
        return false;
    if (!atomic_load(&fault.hits) && atomic_fetch_sub(&fault.after, 1) > 0)
        return false;
    atomic_store(&fault.after, 0);
    atomic_fetch_add(&fault.hits, 1);
    return true;
}

static inline int faulty_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    if (!fault_due(false))
        return real_methods.xWrite(file, bytes, n, offset);
    if (fault.kind == FAULT_PARTIAL)
        real_methods.xWrite(file, bytes, n / 2, offset);
    return fault.kind == FAULT_WRITE ? SQLITE_IOERR_WRITE : SQLITE_FULL;
}

static inline int faulty_sync(sqlite3_file *file, int flags)
{
    return fault_due(true) ? SQLITE_IOERR_FSYNC : real_methods.xSync(file, flags);
}

static inline int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                              int *ret_flags)
{
    int code = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);

    (void)vfs;
    if (code != SQLITE_OK || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return code;
    sqlite3_io_methods *methods = &faulty_methods[(flags & SQLITE_OPEN_WAL) != 0];
    if (!methods->xWrite) {
        real_methods = *methods = *file->pMethods; /* these two are the same for both */
        methods->xWrite = faulty_write;
        methods->xSync = faulty_sync;
    }
    file->pMethods = methods;
    return SQLITE_OK;
}

/* Once, before the first database is opened. */
static inline void faulty_vfs_register(void)
{
    static sqlite3_vfs vfs;

    sqlite3_initialize();
    real_vfs = sqlite3_vfs_find(NULL);
    vfs = *real_vfs;
    vfs.zName = "faulty";
    vfs.xOpen = faulty_open;
    sqlite3_vfs_register(&vfs, 1);
}

static inline void fault_arm(enum fault_kind kind, int after, bool stays)
{
    fault.kind = kind;
    fault.stays = stays;
    atomic_store(&fault.hits, 0);
    atomic_store(&fault.after, after);
}

static inline int fault_disarm(void)
{
    atomic_store(&fault.after, -1);
    return atomic_load(&fault.hits);
}
