// SPDX-License-Identifier: Apache-2.0
/*
 * The backup: boards that are out of date are made from the sums and stored, some at a time between
 * other commands. It does not look at the ranking at all, so a ranking that has lost its memory
 * cannot spoil it; and a board only replaces one of a lower version, so two at once do not either.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "shop/ranking_internal.h"

enum { BOARDS_AT_ONCE = 32 };

struct backup {
    struct shop *shop;
    struct ledger_board boards[BOARDS_AT_ONCE];
    size_t count;
    struct arena arena; /* of those */
    int64_t forget_before_day, written;
    enum err err;
};

static enum err flush(struct backup *backup)
{
    struct ledger_command store = { .op = LEDGER_BOARDS_STORE,
                                    .boards_store = { .boards = backup->boards,
                                                      .board_count = backup->count,
                                                      .forget_before_day =
                                                          backup->forget_before_day } };

    ledger_run(backup->shop->ledger, &store);
    if (store.err == ERR_OK)
        backup->written += store.boards_store.written;
    backup->count = 0;
    arena_reset(&backup->arena);
    return store.err;
}

static bool take(void *context, const struct ledger_board *board)
{
    struct backup *backup = context;
    struct ledger_board *copy = &backup->boards[backup->count];

    if (atomic_load_explicit(&backup->shop->ranking_feed->backup_cut, memory_order_relaxed)) {
        backup->err = ERR_TIMEOUT;
        return false;
    }
    if (!board)
        return true;
    *copy = *board;
    copy->entries = arena_alloc(&backup->arena, (board->entry_count + 1) * sizeof *copy->entries);
    if (board->category.len)
        copy->category = arena_copy(&backup->arena, board->category);
    if (!copy->entries || (board->category.len && !copy->category.ptr)) {
        backup->err = ERR_NOMEM;
        return false;
    }
    if (board->entry_count)
        memcpy(copy->entries, board->entries, board->entry_count * sizeof *copy->entries);
    if (++backup->count == BOARDS_AT_ONCE)
        backup->err = flush(backup);
    return backup->err == ERR_OK;
}

static enum err run(struct backup *backup)
{
    struct shop *shop = backup->shop;
    int64_t today = clock_day(clock_wall_ms());

    if (atomic_load_explicit(&shop->ranking_feed->backup_fault, memory_order_relaxed))
        return ERR_UNAVAILABLE;
    backup->forget_before_day = today - shop->config->ranking_backup_keep_days;
    enum err e = ledger_scan_boards(shop->ledger, backup->forget_before_day, today, take, backup);
    if (backup->err != ERR_OK)
        return backup->err;
    return e != ERR_OK ? e : flush(backup); /* also without boards: old ones go */
}

enum err backup_run(struct shop *shop, int64_t *ret_written)
{
    struct ranking_feed *feed = shop->ranking_feed;
    CLEANUP(mem_freep) struct backup *backup = mem_alloc(sizeof *backup);

    *ret_written = 0;
    if (!backup)
        return ERR_NOMEM;
    backup->shop = shop;
    enum err e = run(backup);
    arena_fini(&backup->arena);
    *ret_written = backup->written;
    atomic_fetch_add_explicit(&feed->boards_written, (uint64_t)backup->written,
                              memory_order_relaxed);
    if (e == ERR_OK)
        atomic_store_explicit(&feed->backup_at_ms, clock_wall_ms(), memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&feed->backup_failures, 1, memory_order_relaxed);
    return e;
}
