// SPDX-License-Identifier: Apache-2.0
/*
 * How sales come into the ranking. Each commit's sums are put there before its commands are
 * answered; a full copy of the ledger's sums comes before serving, and again whenever the ranking
 * has lost something. Both copy sums with versions, so whatever comes twice or too late changes
 * nothing.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "shop/ranking_internal.h"

enum { PUT_AT_ONCE = 256 };

struct copy {
    struct ranking *ranking;
    struct ranking_sum sums[PUT_AT_ONCE];
    char categories[PUT_AT_ONCE][4 * LEDGER_PRODUCT_CATEGORY_CHARS_MAX];
    size_t count;
    int64_t rows;
};

struct ranking_sum ranking_sum_of(const struct ledger_sale *sale)
{
    return (struct ranking_sum){ .day = sale->day,
                                 .version = sale->version,
                                 .sum = sale->sum,
                                 .category = sale->category.ptr ? sale->category : STR(""),
                                 .category_version = sale->category_version };
}

void ranking_feed_committed(struct shop *shop, const struct ledger_changes *changes)
{
    struct ranking_sum sums[PUT_AT_ONCE];
    size_t count = 0;

    if (!shop->ranking)
        return;
    /* Categories first: what is sold of a product that is new here is in its own at once. */
    for (size_t i = 0; i < changes->product_count; i++)
        if (changes->products[i].listed)
            ranking_move(shop->ranking, changes->products[i].product_id,
                         changes->products[i].category.ptr ? changes->products[i].category
                                                           : STR(""),
                         changes->products[i].category_version);
    for (size_t i = 0; i < changes->sale_count; i++) {
        sums[count++] = ranking_sum_of(&changes->sales[i]);
        if (count == PUT_AT_ONCE || i + 1 == changes->sale_count) {
            ranking_put(shop->ranking, sums, count);
            count = 0;
        }
    }
}

static void copy_flush(struct copy *copy)
{
    ranking_put(copy->ranking, copy->sums, copy->count);
    copy->count = 0;
}

static bool copy_sale(void *context, const struct ledger_sale *sale)
{
    struct copy *copy = context;
    struct ranking_sum *sum = &copy->sums[copy->count];

    *sum = ranking_sum_of(sale);
    sum->category.len = MIN(sum->category.len, sizeof copy->categories[0]);
    if (sum->category.len)
        memcpy(copy->categories[copy->count], sum->category.ptr, sum->category.len);
    sum->category.ptr = copy->categories[copy->count];
    copy->rows++;
    if (++copy->count == PUT_AT_ONCE)
        copy_flush(copy);
    return true;
}

static int64_t first_day_held(void)
{
    return clock_day(clock_wall_ms()) - RANKING_DAYS_HELD;
}

static enum err copy_all(struct shop *shop)
{
    int64_t from_day = first_day_held();
    CLEANUP(mem_freep) struct copy *copy = mem_alloc(sizeof *copy);

    if (!copy)
        return ERR_NOMEM;
    copy->ranking = shop->ranking;
    atomic_store(&shop->ranking_feed->suspect, false);
    TRY(ranking_copy_begin(shop->ranking, from_day));
    TRY(ledger_scan_sales(shop->ledger, from_day, copy_sale, copy));
    copy_flush(copy);
    TRY(ranking_copy_end(shop->ranking));
    atomic_fetch_add_explicit(&shop->ranking_feed->copies, 1, memory_order_relaxed);
    LOG(LOG_INFO, "ranking copied", LOG_INT("sums", copy->rows));
    return ERR_OK;
}

enum err ranking_feed_copy(struct shop *shop)
{
    pthread_mutex_lock(&shop->ranking_feed->copying);
    enum err e = copy_all(shop);
    pthread_mutex_unlock(&shop->ranking_feed->copying);
    return e;
}

bool ranking_feed_wants_copy(const struct shop *shop)
{
    if (!shop->ranking)
        return false;
    struct ranking_status status = ranking_status(shop->ranking);
    if (atomic_load(&shop->ranking_feed->suspect))
        return true;
    return status.incomplete || status.from_day > first_day_held();
}

void ranking_feed_suspect(struct shop *shop)
{
    atomic_store(&shop->ranking_feed->suspect, true);
}

struct ranking_feed *ranking_feed_new(void)
{
    struct ranking_feed *feed = mem_alloc(sizeof *feed);

    if (feed)
        pthread_mutex_init(&feed->copying, NULL);
    return feed;
}

struct ranking_feed *ranking_feed_free(struct ranking_feed *feed)
{
    if (feed)
        pthread_mutex_destroy(&feed->copying);
    return mem_free(feed);
}

/* ---- the clock was moved ---- */

static void catch_up_work(struct loop_work *work)
{
    struct ranking_catch_up *up = CONTAINER_OF(work, struct ranking_catch_up, work);

    err_ignore(ranking_feed_copy(up->loop->shop), "the first loop does it again");
}

static void catch_up_end(struct ranking_catch_up *up)
{
    up->loop->desk.reads--;
    up->done(up);
}

static void catch_up_done(struct loop_work *work)
{
    catch_up_end(CONTAINER_OF(work, struct ranking_catch_up, work));
}

static void caught_up(struct loop_task *task)
{
    catch_up_end(CONTAINER_OF(task, struct ranking_catch_up, task));
}

void ranking_catch_up(struct shop_loop *loop, struct ranking_catch_up *up)
{
    loop->desk.reads++;
    up->loop = loop;
    up->work.work = catch_up_work;
    up->work.done = catch_up_done;
    if (ranking_feed_wants_copy(loop->shop) && loop_work_start(loop->loop, &up->work) == ERR_OK)
        return;
    up->task.run = caught_up;
    loop_post(loop->loop, &up->task);
}

struct ranking_numbers ranking_numbers(const struct shop *shop)
{
    const struct ranking_feed *feed = shop->ranking_feed;
    struct ranking_numbers numbers;

    for (int i = 0; i < RANKING_ORIGIN_N; i++)
        numbers.answers[i] = atomic_load_explicit(&feed->answers[i], memory_order_relaxed);
    numbers.last_good = atomic_load_explicit(&feed->last_good, memory_order_relaxed);
    numbers.copies = atomic_load_explicit(&feed->copies, memory_order_relaxed);
    numbers.backup_at_ms = atomic_load_explicit(&feed->backup_at_ms, memory_order_relaxed);
    numbers.boards_written = atomic_load_explicit(&feed->boards_written, memory_order_relaxed);
    numbers.backup_failures = atomic_load_explicit(&feed->backup_failures, memory_order_relaxed);
    numbers.relayed = atomic_load_explicit(&feed->relayed, memory_order_relaxed);
    numbers.outbox_age_ms = atomic_load_explicit(&feed->outbox_age_ms, memory_order_relaxed);
    return numbers;
}

void ranking_backup_fault_set(struct shop *shop, bool on)
{
    atomic_store_explicit(&shop->ranking_feed->backup_fault, on, memory_order_relaxed);
}
