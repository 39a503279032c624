// SPDX-License-Identifier: Apache-2.0
/*
 * Several threads put the sums of one ledger, late and twice, and move products, while others read
 * boards that come and go and a copier loses the ranking and copies it again. What is read is in
 * order all the while, and in the end everything is where it belongs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "ranking/ranking_memory_internal.h"
#include "ranking/ranking_model.h"

#define assert_ok(expr) assert_int_equal((expr), ERR_OK)
enum {
    WRITERS = 2,
    READERS = 2,
    PRODUCTS = 700,
    DAYS = 10,
    FIRST = 20000,
    PUTS = 4000, /* of each writer */
    READS = 1500,
    LOSSES = 6,
    MAIL = 50,
};

static struct ranking *ranking;
static _Atomic unsigned wrong, read_well;
static _Atomic bool over;

static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ranking_sum ledger[DAYS][PRODUCTS];
/* Whoever puts something says its category as it is. */
static pthread_rwlock_t category_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct str categories[PRODUCTS];
static int64_t category_versions[PRODUCTS];
static int64_t versions;

/* ---- writing ---- */

struct writer {
    pthread_t thread;
    uint64_t random;
    struct ranking_sum mail[MAIL];
};

static uint64_t any(uint64_t *random, uint64_t below)
{
    *random = hash_u64(*random);
    return *random % below;
}

static struct ranking_sum sell(uint64_t *random)
{
    size_t day = any(random, DAYS), product = any(random, PRODUCTS);
    struct ranking_sum *row = &ledger[day][product];

    pthread_mutex_lock(&ledger_lock);
    versions++;
    int64_t units = any(random, 5) ? row->sum.units + 1 : 0;
    *row = (struct ranking_sum){ .day = FIRST + (int64_t)day,
                                 .version = versions,
                                 .sum = { (int64_t)product + 1, units, units * 7, versions / 16 } };
    struct ranking_sum result = *row;
    pthread_mutex_unlock(&ledger_lock);
    return result;
}

static void put(struct ranking_sum *sums, size_t count)
{
    pthread_rwlock_rdlock(&category_lock);
    for (size_t i = 0; i < count; i++) {
        sums[i].category = categories[sums[i].sum.product_id - 1];
        sums[i].category_version = category_versions[sums[i].sum.product_id - 1];
    }
    ranking_put(ranking, sums, count);
    pthread_rwlock_unlock(&category_lock);
}

static void move(uint64_t *random)
{
    static const struct str names[] = { { "tea", 3 }, { "cups", 4 } };
    size_t product = any(random, PRODUCTS);

    pthread_rwlock_wrlock(&category_lock);
    categories[product] = names[any(random, 2)];
    ranking_move(ranking, (int64_t)product + 1, categories[product], ++category_versions[product]);
    pthread_rwlock_unlock(&category_lock);
}

static void *write_much(void *context)
{
    struct writer *self = context;

    for (size_t i = 0; i < MAIL; i++)
        self->mail[i] = sell(&self->random);
    for (size_t i = 0; i < PUTS; i++) {
        size_t at = any(&self->random, MAIL - 2);
        put(&self->mail[at], 1 + any(&self->random, 3));
        self->mail[at] = sell(&self->random);
        if (i % 40 == 0)
            move(&self->random);
    }
    put(self->mail, MAIL);
    return NULL;
}

/* ---- copying ---- */

static void copy(void)
{
    do {
        assert_ok(ranking_copy_begin(ranking, FIRST));
        for (size_t day = 0; day < DAYS; day++)
            for (size_t product = 0; product < PRODUCTS; product++) {
                pthread_mutex_lock(&ledger_lock);
                struct ranking_sum row = ledger[day][product];
                pthread_mutex_unlock(&ledger_lock);
                if (row.version > 0)
                    put(&row, 1);
            }
    } while (ranking_copy_end(ranking) != ERR_OK);
}

static void *lose_and_copy(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < LOSSES; i++) {
        if (i % 2) {
            ranking_fault_set(ranking, true);
            ranking_fault_set(ranking, false);
        }
        copy();
    }
    return NULL;
}

/* ---- reading ---- */

struct reader {
    pthread_t thread;
    struct loop *loop;
    struct ranking_client *client;
    struct arena arena;
    uint64_t random, version;
    struct ranking_read read;
    size_t count;
};

static void check(struct reader *self)
{
    const struct ranking_read *read = &self->read;

    if (read->outcome != RANKING_OK)
        return;
    atomic_fetch_add(&read_well, 1);
    atomic_fetch_add(&wrong, read->version < self->version || read->err != ERR_OK);
    self->version = read->version;
    for (size_t i = 0; i < read->entry_count; i++) {
        const struct ranking_entry *entry = &read->entries[i];
        atomic_fetch_add(&wrong, entry->sum.units <= 0);
        atomic_fetch_add(&wrong, i > 0 && entry->rank <= entry[-1].rank);
        atomic_fetch_add(&wrong,
                         i > 0 && sales_compare(read->window, &entry[-1].sum, &entry->sum) >= 0);
    }
}

static void answered(struct ranking_read *read)
{
    struct reader *self = CONTAINER_OF(read, struct reader, read);

    check(self);
    loop_stop(self->loop);
}

static void ask(struct reader *self)
{
    enum sales_window window = (enum sales_window)any(&self->random, SALES_WINDOW_N);
    bool page = any(&self->random, 2);

    arena_reset(&self->arena);
    self->read = (struct ranking_read){ .done = answered,
                                        .op = page ? RANKING_READ_PAGE : RANKING_READ_PRODUCT,
                                        .arena = &self->arena,
                                        .window = window,
                                        .day = FIRST + 6 + (int64_t)any(&self->random, 4),
                                        .category = any(&self->random, 2) ? STR("tea") : STR_NONE,
                                        .offset = (int64_t)any(&self->random, PRODUCTS),
                                        .limit = 100,
                                        .product_id = 1 + (int64_t)any(&self->random, PRODUCTS),
                                        .around = 10 };
    ranking_read(self->client, &self->read);
    loop_run(self->loop);
}

static void *read_much(void *context)
{
    struct reader *self = context;

    self->loop = loop_new();
    self->client = ranking_client_new(ranking, self->loop, NULL);
    for (self->count = 0; self->count < READS || !atomic_load(&over); self->count++)
        ask(self);
    self->client = ranking_client_free(self->client);
    self->loop = loop_free(self->loop);
    arena_fini(&self->arena);
    return NULL;
}

/* ---- in the end ---- */

static void expect_all(struct reader *self, enum sales_window window, int64_t day, bool tea)
{
    static struct sales_sum sums[PRODUCTS];
    struct ranking_model model = { FIRST, DAYS, PRODUCTS, &ledger[0][0], categories };
    struct str category = tea ? STR("tea") : STR_NONE;
    size_t count = ranking_model_board(&model, window, day, category, sums);

    for (size_t offset = 0; offset <= count; offset += 100) {
        self->read = (struct ranking_read){ .done = answered,
                                            .arena = &self->arena,
                                            .window = window,
                                            .day = day,
                                            .category = category,
                                            .offset = (int64_t)offset,
                                            .limit = 100 };
        ranking_read(self->client, &self->read);
        loop_run(self->loop);
        assert_int_equal(self->read.outcome, RANKING_OK);
        assert_int_equal(self->read.entry_count, MIN(count - offset, 100));
        for (size_t i = 0; i < self->read.entry_count; i++)
            assert_memory_equal(&self->read.entries[i].sum, &sums[offset + i], sizeof *sums);
        arena_reset(&self->arena);
    }
}

static void expect_exact(void)
{
    struct reader self = { .loop = loop_new() };

    self.client = ranking_client_new(ranking, self.loop, NULL);
    for (int64_t day = FIRST + 6; day < FIRST + DAYS; day++)
        for (enum sales_window window = SALES_DAILY; window < SALES_WINDOW_N; window++)
            if (sales_window_days(window, day).from >= FIRST) {
                expect_all(&self, window, day, false);
                expect_all(&self, window, day, true);
            }
    ranking_client_free(self.client);
    loop_free(self.loop);
    arena_fini(&self.arena);
}

static void run(size_t boards_max, size_t at_once_max)
{
    static struct writer writers[WRITERS];
    static struct reader readers[READERS];
    pthread_t copier;

    ranking = ranking_memory_new(boards_max);
    assert_non_null(ranking);
    memory_ranking_self(ranking)->at_once_max = at_once_max;
    atomic_store(&over, false);
    atomic_store(&read_well, 0);
    copy();
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .random = i + 1 };
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_much, &writers[i]), 0);
    }
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .random = 100 + i };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_much, &readers[i]), 0);
    }
    assert_int_equal(pthread_create(&copier, NULL, lose_and_copy, NULL), 0);
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    pthread_join(copier, NULL);
    atomic_store(&over, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    if (ranking_status(ranking).incomplete)
        copy();
    expect_exact();
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&read_well) > 0);
    ranking_memory_free(ranking);
}

static void test_made_by_thread(void **state)
{
    (void)state;
    run(6, 0);
}

static void test_made_at_once(void **state)
{
    (void)state;
    run(24, 1000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_by_thread),
        cmocka_unit_test(test_made_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
