// SPDX-License-Identifier: Apache-2.0
/* The conformance suite notices what is wrong: each row is a memory ranking with one fault planted
 * in front of it. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ranking/ranking_memory_fixture_test.h"

enum plant {
    PLANT_NONE, /* the wrapping itself is no fault */
    PLANT_VERSIONS,
    PLANT_TIES,
    PLANT_REVENUE,
    PLANT_REFUNDS,
    PLANT_WEEKS,
    PLANT_MONTHS,
    PLANT_MOVES,
    PLANT_CATEGORIES,
    PLANT_NEIGHBOURS,
    PLANT_PAGES,
    PLANT_LOSSES,
    PLANT_COPIES,
    PLANT_FORGET,
    PLANT_IN_THE_CALL,
    PLANT_N,
};

static const char *const names[PLANT_N] = {
    [PLANT_NONE] = "none",
    [PLANT_VERSIONS] = "what comes last wins, whatever its version",
    [PLANT_TIES] = "who was first does not matter",
    [PLANT_REVENUE] = "revenue does not matter",
    [PLANT_REFUNDS] = "what was all given back stays",
    [PLANT_WEEKS] = "a week is the last seven days",
    [PLANT_MONTHS] = "a month ends today",
    [PLANT_MOVES] = "a product stays in its category",
    [PLANT_CATEGORIES] = "a category is everything",
    [PLANT_NEIGHBOURS] = "a neighbour is missing",
    [PLANT_PAGES] = "a page begins one early",
    [PLANT_LOSSES] = "a loss is not told",
    [PLANT_COPIES] = "a copy with a loss is called whole",
    [PLANT_FORGET] = "nothing is forgotten",
    [PLANT_IN_THE_CALL] = "an answer comes from inside the call",
};

static enum plant planted;

struct wrapper {
    struct ranking base;
    struct ranking *inner;
    int64_t versions;
    bool fault;
};

struct wrapped_client {
    struct ranking_client base;
    struct ranking_client *inner;
};

static struct wrapper *self_of(struct ranking *ranking)
{
    return CONTAINER_OF(ranking, struct wrapper, base);
}

static void put(struct ranking *ranking, const struct ranking_sum *sums, size_t count)
{
    struct wrapper *self = self_of(ranking);

    for (size_t i = 0; i < count; i++) {
        struct ranking_sum sum = sums[i];
        if (planted == PLANT_VERSIONS)
            sum.version = ++self->versions;
        if (planted == PLANT_TIES)
            sum.sum.reached_ms = 1;
        if (planted == PLANT_REVENUE)
            sum.sum.revenue = 1;
        if ((planted == PLANT_REFUNDS && sum.sum.units == 0) ||
            (planted == PLANT_LOSSES && self->fault))
            continue;
        ranking_put(self->inner, &sum, 1);
    }
}

static enum err put_surely(struct ranking *ranking, const struct ranking_sum *sums, size_t count)
{
    return ranking_put_surely(self_of(ranking)->inner, sums, count);
}

static void move(struct ranking *ranking, int64_t product_id, struct str category, int64_t version)
{
    if (planted != PLANT_MOVES)
        ranking_move(self_of(ranking)->inner, product_id, category, version);
}

static enum err copy_begin(struct ranking *ranking, int64_t from_day)
{
    return ranking_copy_begin(self_of(ranking)->inner, from_day);
}

static enum err copy_end(struct ranking *ranking)
{
    enum err e = ranking_copy_end(self_of(ranking)->inner);

    return planted == PLANT_COPIES ? ERR_OK : e;
}

static void forget_before(struct ranking *ranking, int64_t day)
{
    if (planted != PLANT_FORGET)
        ranking_forget_before(self_of(ranking)->inner, day);
}

static struct ranking_status status(struct ranking *ranking)
{
    return ranking_status(self_of(ranking)->inner);
}

static void fault_set(struct ranking *ranking, bool on)
{
    self_of(ranking)->fault = on;
    ranking_fault_set(self_of(ranking)->inner, on);
}

static void read_planted(struct ranking_client *base, struct ranking_read *read)
{
    struct wrapped_client *client = CONTAINER_OF(base, struct wrapped_client, base);

    if (planted == PLANT_WEEKS && read->window == SALES_WEEKLY)
        read->window = SALES_ROLLING;
    if (planted == PLANT_MONTHS && read->window == SALES_MONTHLY)
        read->window = SALES_ROLLING;
    if (planted == PLANT_CATEGORIES)
        read->category = STR_NONE;
    if (planted == PLANT_NEIGHBOURS && read->around > 1)
        read->around--;
    if (planted == PLANT_PAGES && read->offset > 0)
        read->offset--;
    ranking_read(client->inner, read);
    if (planted == PLANT_IN_THE_CALL)
        loop_sim_turn(sim);
}

static struct ranking_client *client_new(struct ranking *ranking, struct loop *loop,
                                         struct metrics_slot *metrics)
{
    (void)metrics;
    static struct wrapped_client client;

    client.base.ranking = ranking;
    client.inner = ranking_client_new(self_of(ranking)->inner, loop, NULL);
    return &client.base;
}

static struct ranking_client *client_free(struct ranking_client *base)
{
    return ranking_client_free(CONTAINER_OF(base, struct wrapped_client, base)->inner);
}

static const struct ranking_backend backend = {
    .source = "planted",
    .put = put,
    .put_surely = put_surely,
    .move = move,
    .copy_begin = copy_begin,
    .copy_end = copy_end,
    .forget_before = forget_before,
    .status = status,
    .fault_set = fault_set,
    .read = read_planted,
    .client_new = client_new,
    .client_free = client_free,
};

static struct ranking *open_planted(void)
{
    static struct wrapper wrapper;

    wrapper = (struct wrapper){ .base = { .backend = &backend }, .inner = here_open(8, 512) };
    return &wrapper.base;
}

static void close_planted(struct ranking *ranking)
{
    here_close(self_of(ranking)->inner);
}

/* What the suite prints of faults that are meant to be there is for nobody. */
static int run_silently(const struct ranking_host *host)
{
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);

    fflush(NULL);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    int failed = ranking_conformance(host);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    close(nowhere);
    return failed;
}

int main(void)
{
    static const struct ranking_host host = { .name = "planted",
                                              .open = open_planted,
                                              .close = close_planted,
                                              .loop = here_loop,
                                              .settle = here_settle,
                                              .turn = here_turn };
    int missed = 0;

    for (planted = PLANT_NONE; planted < PLANT_N; planted++) {
        int failed = run_silently(&host);
        bool right = planted == PLANT_NONE ? failed == 0 : failed > 0;
        printf("%s: %s: %d tests failed\n", right ? "ok" : "MISSED", names[planted], failed);
        missed += !right;
    }
    return missed;
}
