// SPDX-License-Identifier: Apache-2.0
/* One product's place: in the window, then in the one before it, then the names. Each of the two
 * windows goes its own way: primary, backup, sums. */
#include "base/clock.h"
#include "shop/ranking_internal.h"

static void place_ask(struct ranking_place *place);

static int64_t place_day(const struct ranking_place *place)
{
    return place->previous ? sales_window_before(place->window, place->day) : place->day;
}

static int64_t place_around(const struct ranking_place *place)
{
    return place->previous ? 0 : place->around;
}

static void place_end(struct ranking_place *place, enum err e)
{
    place->err = e;
    place->loop->desk.reads--;
    if (e == ERR_OK)
        ranking_count_answer(place->loop, &place->said);
    place->done(place);
}

static void place_end_now(struct loop_task *task)
{
    struct ranking_place *place = CONTAINER_OF(task, struct ranking_place, task);

    place_end(place, place->err);
}

static struct ranking_row *rows_of(const struct ranking_place *place)
{
    return place->neighbours - 1; /* itself, then they */
}

static void place_names_done(struct ledger_read *read)
{
    struct ranking_place *place = CONTAINER_OF(read, struct ranking_place, read);
    struct ranking_row *rows = rows_of(place);

    if (read->err == ERR_OK)
        ranking_names_take(place->loop, read, place->stamp, rows, place->count + 1);
    bool known = rows[0].name.ptr || place->rank > 0;
    if (ranking_names_remembered(place->loop, place->arena, rows, place->count + 1, true) < 0)
        place_end(place, ERR_NOMEM);
    else if (known || rows[0].name.len)
        place_end(place, ERR_OK);
    else
        place_end(place, read->err == ERR_OK ? ERR_NOT_FOUND : ERR_UNAVAILABLE);
}

static void place_name(struct ranking_place *place)
{
    struct ranking_row *rows = rows_of(place);
    size_t count = place->count + 1;
    int missing = ranking_names_remembered(place->loop, place->arena, rows, count, false);

    if (missing == 0) {
        place_end(place, ERR_OK);
        return;
    }
    place->stamp = ranking_products_version(place->loop);
    place->read.done = place_names_done;
    if (missing < 0 || !ranking_names_ask(place->loop, &place->read, place->arena, rows, count))
        place_end(place, ERR_NOMEM);
}

/* Room for itself and for so many neighbours. The window before needs none. */
static bool rows_begin(struct ranking_place *place, size_t count)
{
    if (place->previous)
        return true;
    struct ranking_row *rows = ranking_rows_alloc(place->arena, count + 1);
    if (!rows)
        return false;
    rows[0] = (struct ranking_row){ .sum.product_id = place->product_id };
    place->neighbours = rows + 1;
    return true;
}

static void rows_add(struct ranking_place *place, int64_t rank, const struct sales_sum *sum)
{
    if (!place->previous && sum->product_id != place->product_id)
        place->neighbours[place->count++] = (struct ranking_row){ .rank = rank, .sum = *sum };
}

/* One window has said what it knows: now the other, or the names. */
static void place_take(struct ranking_place *place, int64_t rank, int64_t units)
{
    if (place->previous) {
        place->previous_rank = rank;
        place_name(place);
        return;
    }
    place->rank = rank;
    place->units = units;
    place->previous = true;
    place_ask(place);
}

/* Of the store: ranks go on by one, itself among them. */
static void take_entries(struct ranking_place *place, int64_t rank, int64_t units,
                         const struct sales_sum *entries, size_t count, int64_t first_rank)
{
    if (!rows_begin(place, count)) {
        place_end(place, ERR_NOMEM);
        return;
    }
    for (size_t i = 0; i < count; i++)
        rows_add(place, first_rank + (int64_t)i, &entries[i]);
    place_take(place, rank, units);
}

static void place_said(struct ranking_place *place, enum ranking_origin origin, int64_t as_of_ms)
{
    if (place->previous)
        return;
    place->said.origin = origin;
    place->said.as_of_ms = as_of_ms;
}

static void place_sums_done(struct ledger_read *read)
{
    struct ranking_place *place = CONTAINER_OF(read, struct ranking_place, read);

    place->loop->desk.sums_running--;
    if (read->err != ERR_OK) {
        place_end(place, read->err);
        return;
    }
    place_said(place, RANKING_FROM_BACKUP, clock_wall_ms());
    take_entries(place, read->rank, read->sum.units, read->entries, read->entry_count,
                 read->first_rank);
}

static void place_read(struct ranking_place *place, enum ledger_read_op op,
                       void (*done)(struct ledger_read *read), int64_t day)
{
    place->read = (struct ledger_read){ .op = op,
                                        .done = done,
                                        .arena = place->arena,
                                        .window = place->window,
                                        .day = day,
                                        .product_id = place->product_id,
                                        .around = place_around(place) };
    ledger_read(place->loop->ledger, &place->read);
}

static void place_from_sums(struct ranking_place *place)
{
    if (ranking_sums_take(place->loop)) {
        place_read(place, LEDGER_READ_SALES_PRODUCT, place_sums_done, place_day(place));
        return;
    }
    place->err = ERR_OVERLOADED;
    place->task.run = place_end_now;
    loop_post(place->loop->loop, &place->task);
}

/* The board has the first hundred: enough for whoever is among them with all neighbours, and, if
 * it is not full, for who is not. */
static void place_board_done(struct ledger_read *read)
{
    struct ranking_place *place = CONTAINER_OF(read, struct ranking_place, read);
    size_t at = 0, around = (size_t)place_around(place);
    bool whole = read->entry_count < LEDGER_BOARD_ENTRIES_MAX;

    if (read->err != ERR_OK || !read->found) {
        place_from_sums(place);
        return;
    }
    while (at < read->entry_count && read->entries[at].product_id != place->product_id)
        at++;
    if (!whole && at + around >= read->entry_count) {
        place_from_sums(place);
        return;
    }
    place_said(place, RANKING_FROM_BACKUP, read->made_at_ms);
    if (at == read->entry_count) {
        take_entries(place, -1, 0, NULL, 0, 0);
        return;
    }
    size_t first = at - MIN(at, around), end = MIN(at + around + 1, read->entry_count);
    take_entries(place, (int64_t)at + 1, read->entries[at].units, read->entries + first,
                 end - first, (int64_t)first + 1);
}

static void place_from_store(struct ranking_place *place, bool stale)
{
    if (!place->previous)
        place->said.stale = stale;
    place_read(place, LEDGER_READ_BOARD, place_board_done,
               sales_window_days(place->window, place_day(place)).to);
}

static void place_take_primary(struct ranking_place *place)
{
    const struct ranking_read *primary = &place->primary;

    if (!rows_begin(place, primary->entry_count)) {
        place_end(place, ERR_NOMEM);
        return;
    }
    place_said(place, RANKING_FROM_PRIMARY, clock_wall_ms());
    for (size_t i = 0; i < primary->entry_count; i++)
        rows_add(place, primary->entries[i].rank, &primary->entries[i].sum);
    place_take(place, primary->product.rank, primary->product.sum.units);
}

static void place_primary_done(struct ranking_read *read)
{
    struct ranking_place *place = CONTAINER_OF(read, struct ranking_place, primary);

    if (read->outcome != RANKING_OK)
        place_from_store(place, read->outcome == RANKING_UNREADABLE);
    else if (read->err != ERR_OK)
        place_end(place, ERR_NOMEM);
    else
        place_take_primary(place);
}

static void place_ask(struct ranking_place *place)
{
    if (!place->loop->ranking) {
        place_from_store(place, true);
        return;
    }
    place->primary = (struct ranking_read){ .op = RANKING_READ_PRODUCT,
                                            .done = place_primary_done,
                                            .arena = place->arena,
                                            .window = place->window,
                                            .day = place_day(place),
                                            .product_id = place->product_id,
                                            .around = place_around(place) };
    ranking_read(place->loop->ranking, &place->primary);
}

void ranking_place(struct shop_loop *loop, struct ranking_place *place)
{
    loop->desk.reads++;
    place->loop = loop;
    place->previous = false;
    place->count = 0;
    place->said = (struct ranking_said){ .origin = RANKING_FROM_NOWHERE };
    place_ask(place);
}
