// SPDX-License-Identifier: Apache-2.0
/*
 * The sums by product (ranking_sums.h) are all there is; boards are made of them when they are
 * first read (ranking_memory_make.c), and then changed with them (ranking_memory_board.c). A board
 * knows no product's sum by itself: what it was is what the sums said before the change.
 */
#include "ranking/ranking_memory.h"

#include <sched.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ranking/ranking_memory_internal.h"

enum {
    PUT_AT_ONCE = 8,    /* sums under one lock */
    TRIM_PER_PUT = 4,   /* products */
    BREATHS_MAX = 1000, /* then it is our turn again */
    AT_ONCE_MAX = 512,
    SCAN_AT_ONCE = 512,
};

/* ---- the lock ---- */

void memory_lock(struct memory_ranking *memory)
{
    if (pthread_mutex_trylock(&memory->lock) == 0)
        return;
    atomic_fetch_add_explicit(&memory->contenders, 1, memory_order_relaxed);
    pthread_mutex_lock(&memory->lock);
    atomic_fetch_sub_explicit(&memory->contenders, 1, memory_order_relaxed);
}

void memory_unlock(struct memory_ranking *memory)
{
    pthread_mutex_unlock(&memory->lock);
}

void memory_breathe(struct memory_ranking *memory)
{
    memory_unlock(memory);
    for (int i = 0; i < BREATHS_MAX; i++) {
        if (atomic_load_explicit(&memory->contenders, memory_order_relaxed) == 0)
            break;
        sched_yield();
    }
    memory_lock(memory);
}

/* ---- putting ---- */

static void lose(struct memory_ranking *memory)
{
    memory->version += !memory->incomplete;
    memory->incomplete = memory->lost = true;
    memory_boards_drop_all(memory);
}

/* False: what comes now is lost, or will be copied anyway. */
static bool accepts(struct memory_ranking *memory)
{
    if (memory->fault)
        lose(memory);
    return !memory->incomplete || (memory->copying && !memory->lost);
}

static struct ranking_product *product_add(struct memory_ranking *memory, int64_t product_id,
                                           struct str category, int64_t version)
{
    struct ranking_product *product;
    uint32_t index;

    if (ranking_category_get(memory->sums, category, &index) != ERR_OK)
        return NULL;
    product = ranking_sums_add(memory->sums, product_id, index);
    if (product) {
        product->seen = memory->mark; /* a board in the making need not look for it */
        product->category_version = version;
    }
    return product;
}

static enum err product_move(struct memory_ranking *memory, struct ranking_product *product,
                             struct str category, int64_t version)
{
    uint32_t to;

    if (version <= product->category_version)
        return ERR_OK;
    TRY(ranking_category_get(memory->sums, category, &to));
    if (product->category != to) {
        memory_boards_move(memory, product, to);
        TRY(ranking_category_move(memory->sums, product, to));
        memory->version++;
    }
    product->category_version = version;
    return ERR_OK;
}

static enum err put_one(struct memory_ranking *memory, const struct ranking_sum *sum)
{
    const struct sales_sum *now = &sum->sum;
    struct ranking_product *product = ranking_sums_find(memory->sums, now->product_id);

    if (product)
        TRY(product_move(memory, product, sum->category, sum->category_version));
    if (sum->version < 0 || sum->day < memory->accept_day)
        return ERR_OK;
    if (!product)
        product = product_add(memory, now->product_id, sum->category, sum->category_version);
    if (!product)
        return ERR_NOMEM;
    struct ranking_day *day = ranking_product_day(product, sum->day);
    if (day && sum->version <= day->version)
        return ERR_OK;
    bool same = day && day->units == now->units && day->revenue == now->revenue &&
                day->reached_ms == now->reached_ms;
    memory_boards_before(memory, product, sum->day);
    if (!day && !(day = ranking_product_day_add(product, sum->day)))
        return ERR_NOMEM;
    *day =
        (struct ranking_day){ sum->day, sum->version, now->units, now->revenue, now->reached_ms };
    if (!same) {
        memory_boards_after(memory, product, sum->day);
        memory->version++;
        memory->as_of_ms = clock_wall_ms();
    }
    return ERR_OK;
}

static void put(struct ranking *base, const struct ranking_sum *sums, size_t count)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    for (size_t i = 0; i < count && accepts(memory); i++) {
        if (put_one(memory, &sums[i]) != ERR_OK)
            lose(memory);
        if (memory->trimming)
            memory->trimming = ranking_sums_trim(memory->sums, memory->accept_day, TRIM_PER_PUT);
        if (i % PUT_AT_ONCE == PUT_AT_ONCE - 1)
            memory_breathe(memory);
    }
    memory_unlock(memory);
}

static enum err put_surely(struct ranking *base, const struct ranking_sum *sums, size_t count)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    bool away = memory->fault;
    memory_unlock(memory);
    if (away)
        return ERR_UNAVAILABLE;
    put(base, sums, count);
    return ERR_OK;
}

static enum err move_one(struct memory_ranking *memory, int64_t product_id, struct str category,
                         int64_t version)
{
    struct ranking_product *product = ranking_sums_find(memory->sums, product_id);

    if (product)
        return product_move(memory, product, category, version);
    return product_add(memory, product_id, category, version) ? ERR_OK : ERR_NOMEM;
}

static void move(struct ranking *base, int64_t product_id, struct str category, int64_t version)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    if (accepts(memory) && move_one(memory, product_id, category, version) != ERR_OK)
        lose(memory);
    memory_unlock(memory);
}

/* ---- copies, days, faults ---- */

static void forget_before(struct memory_ranking *memory, int64_t day)
{
    memory->accept_day = MAX(memory->accept_day, day);
    if (day <= memory->from_day)
        return;
    memory->from_day = day;
    memory->version++;
    memory->trimming = true;
    memory->sums->trim_at = 0;
    memory_boards_drop_before(memory, day);
}

static void forget(struct ranking *base, int64_t day)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    forget_before(memory, day);
    memory_unlock(memory);
}

/* What there is is not to be trusted: begin with nothing. */
static enum err begin_anew(struct memory_ranking *memory, int64_t from_day)
{
    struct ranking_sums *sums = ranking_sums_new();

    if (!sums)
        return ERR_NOMEM;
    ASSERT(memory->board_count == 0); /* they went when it became incomplete */
    memory->sums->next_dead = memory->dead_sums;
    memory->dead_sums = memory->sums;
    memory->sums = sums;
    memory->from_day = from_day;
    memory->trimming = false;
    pthread_cond_signal(&memory->work);
    return ERR_OK;
}

static enum err copy_begin_locked(struct memory_ranking *memory, int64_t from_day)
{
    if (memory->fault)
        return ERR_UNAVAILABLE;
    if (memory->incomplete)
        TRY(begin_anew(memory, from_day));
    else
        forget_before(memory, from_day);
    memory->accept_day = from_day;
    memory->copying = true;
    memory->lost = false;
    return ERR_OK;
}

static enum err copy_begin(struct ranking *base, int64_t from_day)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    enum err e = copy_begin_locked(memory, from_day);
    memory_unlock(memory);
    return e;
}

static enum err copy_end(struct ranking *base)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    bool whole = memory->copying && !memory->lost && !memory->fault;
    if (whole) {
        memory->incomplete = false;
        memory->from_day = memory->accept_day;
        memory->version++;
    }
    memory->copying = false;
    memory_unlock(memory);
    return whole ? ERR_OK : ERR_UNAVAILABLE;
}

static struct ranking_status status(struct ranking *base)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    struct ranking_status result = { .readable = !memory->incomplete && !memory->fault,
                                     .incomplete = memory->incomplete,
                                     .from_day = memory->from_day,
                                     .version = memory->version,
                                     .as_of_ms = memory->as_of_ms };
    memory_unlock(memory);
    return result;
}

static void fault_set(struct ranking *base, bool on)
{
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    memory->version += memory->fault != on;
    memory->fault = on;
    if (on)
        memory_boards_drop_unready(memory);
    memory_unlock(memory);
}

/* ---- new, free ---- */

static const struct ranking_backend memory_backend = {
    .source = "memory",
    .put = put,
    .put_surely = put_surely,
    .move = move,
    .copy_begin = copy_begin,
    .copy_end = copy_end,
    .forget_before = forget,
    .status = status,
    .fault_set = fault_set,
    .read = memory_read,
    .client_new = memory_client_new,
    .client_free = memory_client_free,
};

static void *parts_free(struct memory_ranking *memory)
{
    ranking_sums_free(memory->sums);
    mem_free(memory->boards);
    mem_free(memory->olds);
    return mem_free(memory);
}

struct ranking *ranking_memory_new(size_t boards_max)
{
    struct memory_ranking *memory = mem_alloc(sizeof *memory);

    ASSERT(boards_max > 0);
    if (!memory)
        return NULL;
    memory->base.backend = &memory_backend;
    memory->boards_max = boards_max;
    memory->at_once_max = AT_ONCE_MAX;
    memory->scan_at_once = SCAN_AT_ONCE;
    memory->incomplete = true;
    list_init(&memory->queue);
    list_init(&memory->dead);
    memory->sums = ranking_sums_new();
    memory->boards = mem_alloc(boards_max * sizeof(void *));
    memory->olds = mem_alloc(boards_max * sizeof *memory->olds);
    if (!memory->sums || !memory->boards || !memory->olds)
        return parts_free(memory);
    pthread_mutex_init(&memory->lock, NULL);
    pthread_cond_init(&memory->work, NULL);
    if (pthread_create(&memory->maker, NULL, memory_maker, memory) == 0)
        return &memory->base;
    pthread_cond_destroy(&memory->work);
    pthread_mutex_destroy(&memory->lock);
    return parts_free(memory);
}

struct ranking *ranking_memory_free(struct ranking *base)
{
    if (!base)
        return NULL;
    struct memory_ranking *memory = memory_ranking_self(base);

    memory_lock(memory);
    memory_boards_drop_all(memory);
    memory->stop = true;
    pthread_cond_signal(&memory->work);
    memory_unlock(memory);
    pthread_join(memory->maker, NULL); /* it frees what is dead */
    pthread_cond_destroy(&memory->work);
    pthread_mutex_destroy(&memory->lock);
    return parts_free(memory);
}
