// SPDX-License-Identifier: Apache-2.0
/*
 * At random against a model that sums up and sorts everything for every question. A ledger of its
 * own sells and gives back; what it has to say arrives late, twice and in any order.
 */
#include <string.h>

#include "base/hash.h"
#include "ranking/ranking_conformance_internal.h"
#include "ranking/ranking_model.h"

enum {
    PRODUCTS = 40,
    DAYS = 80, /* FIRST..FIRST + 79: over the ends of weeks, two months and the year */
    FIRST = DAY - 90,
    MAIL_MAX = 64,
    CATEGORIES = 3,
    STEPS = 4000,
};

static const struct str category_names[CATEGORIES] = { { "", 0 }, { "tea", 3 }, { "cups", 4 } };

/* What the ledger has. */
static struct ranking_sum ledger[DAYS][PRODUCTS]; /* version 0: nothing */
static struct str categories[PRODUCTS];
static int64_t category_versions[PRODUCTS];
/* What has arrived of it. */
static struct ranking_sum model[DAYS][PRODUCTS];
static int64_t from_day;
/* What is on its way. */
static struct ranking_sum mail[MAIL_MAX];
static size_t mail_count;
static int64_t versions;
static uint64_t random_state;

static uint64_t any(uint64_t below)
{
    random_state = hash_u64(random_state);
    return random_state % below;
}

/* ---- the model ---- */

static bool held_at_all(int64_t product)
{
    for (int64_t i = 0; i < DAYS; i++)
        if (FIRST + i >= from_day && model[i][product].version > 0)
            return true;
    return false;
}

static size_t model_board(enum sales_window window, int64_t day, struct str category,
                          struct sales_sum out[PRODUCTS])
{
    struct ranking_model whole = { FIRST, DAYS, PRODUCTS, &model[0][0], categories };

    return ranking_model_board(&whole, window, day, category, out);
}

/* ---- what happens ---- */

static void deliver(const struct ranking_sum *sum)
{
    struct ranking_sum given = *sum;
    struct ranking_sum *known = &model[sum->day - FIRST][sum->sum.product_id - 1];
    int64_t product = sum->sum.product_id - 1;

    /* A category that is not newer is no harm once the product is known. */
    given.category = categories[product];
    given.category_version = category_versions[product];
    if (held_at_all(product)) {
        given.category = category_names[any(CATEGORIES)];
        given.category_version = (int64_t)any((uint64_t)category_versions[product] + 1);
    }
    ranking_put(world.ranking, &given, 1);
    if (given.day >= from_day && given.version > known->version)
        *known = given;
}

static void sell(void)
{
    int64_t product = (int64_t)any(PRODUCTS), day = (int64_t)any(DAYS);
    struct ranking_sum *row = &ledger[day][product];
    int64_t units = any(3) ? row->sum.units + (int64_t)any(3) : 0;

    if (any(4) == 0) /* a step back */
        units = row->sum.units / 2;
    versions++;
    *row = (struct ranking_sum){ .day = FIRST + day,
                                 .version = versions,
                                 .sum = { product + 1, units, units * (1 + (int64_t)any(2)),
                                          versions / 8 } }; /* many at the same time */
    if (mail_count == MAIL_MAX) {
        deliver(&mail[0]);
        mail[0] = mail[--mail_count];
    }
    mail[mail_count++] = *row;
}

static void receive(void)
{
    if (mail_count == 0)
        return;
    size_t i = any(mail_count);
    deliver(&mail[i]);
    if (any(4)) /* else it comes again */
        mail[i] = mail[--mail_count];
}

static void move(void)
{
    int64_t product = (int64_t)any(PRODUCTS);

    categories[product] = category_names[any(CATEGORIES)];
    struct ranking_sum note = { .version = -1,
                                .sum.product_id = product + 1,
                                .category = categories[product],
                                .category_version = ++category_versions[product] };
    if (any(2))
        ranking_put(world.ranking, &note, 1);
    else
        ranking_move(world.ranking, product + 1, note.category, note.category_version);
}

static void copy(void)
{
    assert_ok(ranking_copy_begin(world.ranking, from_day));
    for (size_t day = 0; day < DAYS; day++)
        for (size_t product = 0; product < PRODUCTS; product++) {
            if (ledger[day][product].version > 0)
                deliver(&ledger[day][product]);
            if (any(50) == 0)
                receive();
            if (any(50) == 0)
                sell();
        }
    assert_ok(ranking_copy_end(world.ranking));
}

static void lose(void)
{
    struct ranking_sum lost = ledger[DAYS - 1][0];

    lost.day = FIRST + DAYS - 1;
    lost.version = ++versions;
    lost.sum.product_id = 1;
    lost.category = category_names[0];
    ranking_fault_set(world.ranking, true);
    ranking_put(world.ranking, &lost, 1);
    ranking_fault_set(world.ranking, false);
    memset(model, 0, sizeof model);
    copy();
}

static void forget(void)
{
    from_day = MIN(from_day + 1, FIRST + 40);
    ranking_forget_before(world.ranking, from_day);
    for (int64_t day = FIRST; day < from_day; day++)
        memset(model[day - FIRST], 0, sizeof model[0]);
}

/* ---- what is read ---- */

static void expect_entries(const struct ranking_entry *entries, size_t count,
                           const struct sales_sum *sums, size_t first)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(entries[i].rank, first + i + 1);
        assert_memory_equal(&entries[i].sum, &sums[first + i], sizeof *sums);
    }
}

static void read_page(enum sales_window window, int64_t day, struct str category,
                      const struct sales_sum *sums, size_t count)
{
    size_t offset = any(PRODUCTS + 2), limit = 1 + any(PRODUCTS);
    struct ranking_read read = conf_page_of(window, day, category, (int64_t)offset, (int64_t)limit);

    conf_read(&read);
    assert_int_equal(read.outcome, RANKING_OK);
    assert_int_equal(read.entry_count, offset < count ? MIN(limit, count - offset) : 0);
    expect_entries(read.entries, read.entry_count, sums, offset);
}

static void read_product(enum sales_window window, int64_t day, struct str category,
                         const struct sales_sum *sums, size_t count)
{
    size_t at = 0, around = any(RANKING_AROUND_MAX + 1);
    int64_t product_id = (int64_t)any(PRODUCTS) + 1;
    struct ranking_read read = conf_product_of(window, day, category, product_id, (int64_t)around);

    conf_read(&read);
    assert_int_equal(read.outcome, RANKING_OK);
    while (at < count && sums[at].product_id != product_id)
        at++;
    if (at == count) {
        assert_int_equal(read.product.rank, -1);
        assert_int_equal(read.product.sum.units, 0);
        assert_int_equal(read.entry_count, 0);
        return;
    }
    size_t above = MIN(around, at), below = MIN(around, count - at - 1);
    expect_entries(&read.product, 1, sums, at);
    assert_int_equal(read.entry_count, above + below);
    expect_entries(read.entries, above, sums, at - above);
    expect_entries(read.entries + above, below, sums, at + 1);
}

static void look(void)
{
    enum sales_window window = (enum sales_window)any(SALES_WINDOW_N);
    int64_t day = FIRST + (int64_t)any(DAYS + 8);
    size_t name = any(CATEGORIES + 1);
    struct str category = name == CATEGORIES ? ANY : category_names[name];
    struct sales_sum sums[PRODUCTS];

    world.host->settle();
    if (any(3) == 0) /* one step earlier */
        day = sales_window_before(window, day);
    if (sales_window_days(window, day).from < from_day) {
        conf_expect_outcome(window, day, RANKING_NOT_HELD);
        return;
    }
    size_t count = model_board(window, day, category, sums);
    read_page(window, day, category, sums, count);
    read_product(window, day, category, sums, count);
}

/* ---- runs ---- */

static void step(void)
{
    uint64_t what = any(1000);

    if (what < 300)
        sell();
    else if (what < 600)
        receive();
    else if (what < 660)
        move();
    else if (what < 664)
        forget();
    else if (what < 666)
        copy();
    else if (what < 667)
        lose();
    else
        look();
}

static void run(uint64_t seed)
{
    random_state = seed;
    versions = 0;
    mail_count = 0;
    from_day = FIRST - 31;
    memset(ledger, 0, sizeof ledger);
    memset(model, 0, sizeof model);
    for (size_t i = 0; i < PRODUCTS; i++)
        categories[i] = category_names[0];
    conf_copy(from_day);
    for (size_t i = 0; i < STEPS / MAX(world.host->slow, 1U); i++)
        step();
}

#define SEEDED(seed)                            \
    static void test_model_##seed(void **state) \
    {                                           \
        (void)state;                            \
        run(seed);                              \
    }
SEEDED(1)
SEEDED(2)
SEEDED(3)
SEEDED(4)

static const struct CMUnitTest models[] = {
    CONFORMANCE_TEST(test_model_1),
    CONFORMANCE_TEST(test_model_2),
    CONFORMANCE_TEST(test_model_3),
    CONFORMANCE_TEST(test_model_4),
};

int ranking_conformance_model(void)
{
    return cmocka_run_group_tests_name("against a model", models, NULL, NULL);
}
