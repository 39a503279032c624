// SPDX-License-Identifier: Apache-2.0
/* The ranking in Redis keeps what ranking.h promises, however small the steps in which its boards
 * are made, however few it keeps, over one server, Sentinel and a cluster. */
#include "ranking/ranking_redis_fixture_test.h"

static struct ranking *opened;

static struct ranking *open_with(size_t boards_max, uint32_t step)
{
    store_open();
    opened = here_open_more(boards_max, step);
    return opened;
}

static struct ranking *open_many(void)
{
    return open_with(64, 128);
}

static struct ranking *open_few(void)
{
    return open_with(2, 7);
}

static void here_close(struct ranking *ranking)
{
    assert_null(ranking_redis_close(ranking));
    store_close();
}

/* The loop has stood still meanwhile: its clock, too. */
static void here_settle(void)
{
    rr_settle(opened);
    here_turn();
}

int main(void)
{
    static const struct ranking_host many = { .name = "many boards",
                                              .open = open_many,
                                              .close = here_close,
                                              .loop = here_loop,
                                              .settle = here_settle,
                                              .turn = here_turn,
                                              .slow = 4 };
    struct ranking_host few = many;

    few.name = "two boards, in small steps";
    few.open = open_few;
    store_use("DOORBUSTER_TEST_REDIS");
    int failed = ranking_conformance(&many) + ranking_conformance(&few);
    store_use("DOORBUSTER_TEST_REDIS_SENTINEL");
    failed += ranking_conformance(&many);
    store_use("DOORBUSTER_TEST_REDIS_CLUSTER");
    return failed + ranking_conformance(&many);
}
