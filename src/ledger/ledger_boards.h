// SPDX-License-Identifier: Apache-2.0
/*
 * The backup: finished boards. A board's version is the sum of the versions of its days; they only
 * grow, so a higher one is a later state of the same sums, whoever made it and when. The board of
 * all products is the last of its days to be handed out: once it is stored, so are those of the
 * categories. When a product moves to another category, the boards made until then are made again.
 */
#pragma once
#include "base/buf.h"
#include "ledger/ledger.h"
#include "ledger/ledger_sums.h"

/* A move has the time at which its batch began, and is seen when that is committed: a board made in
 * between, or a little later, may not know it. */
#define LEDGER_MOVED_FOR_CERTAIN "category_moved_at + 10000"

/* The entries as they are stored. */
void ledger_board_render(struct buf *out, const struct ledger_board *board);

/* What boards are made of, as of one moment. */
struct ledger_boards_source {
    /* The sum of the days' versions. */
    enum err (*version)(struct ledger_boards_source *source, struct sales_days days,
                        int64_t *ret_version);
    /* Of the board of all products that is stored and knows every move for certain; 0: none. */
    enum err (*stored)(struct ledger_boards_source *source, enum sales_window window, int64_t day,
                       int64_t *ret_version);
    enum err (*sums)(struct ledger_boards_source *source, struct sales_days days,
                     struct ledger_sums *sums);
    /* Into `arena`; ptr NULL: none. */
    enum err (*category)(struct ledger_boards_source *source, int64_t product_id,
                         struct arena *arena, struct str *ret_category);
    /* Of the boards that are stored. `each` may end it. */
    enum err (*categories)(struct ledger_boards_source *source, enum sales_window window,
                           int64_t day, enum err (*each)(void *context, struct str category),
                           void *context);
};

/* As of ledger_scan_boards(); `made_at_ms` is from before the moment that the source sees. */
enum err ledger_boards_scan(struct ledger_boards_source *source, int64_t from_day, int64_t to_day,
                            int64_t made_at_ms,
                            bool (*each)(void *context, const struct ledger_board *board),
                            void *context) MUST_CHECK;
