// SPDX-License-Identifier: Apache-2.0
/* The ranking in Redis keeps what ranking.h promises, however small the steps in which its boards
 * are made, however few it keeps, over one server, Sentinel and a cluster. */
#include "ranking/ranking_redis_fixture_test.h"

static struct ranking *opened;

static struct ranking *open_with(size_t boards_max, size_t step)
{
    store_open();
    opened = here_open_more();
    redis_ranking_self(opened)->options.boards_max = boards_max;
    redis_ranking_self(opened)->step_products = step;
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

int main(int argc, char **argv)
{
    static const struct ranking_host hosts[] = {
        { .name = "many boards",
          .open = open_many,
          .close = here_close,
          .loop = here_loop,
          .settle = here_settle,
          .slow = 3,
          .turn = here_turn },
        { .name = "two boards, in small steps",
          .open = open_few,
          .close = here_close,
          .loop = here_loop,
          .settle = here_settle,
          .slow = 3,
          .turn = here_turn },
    };
    int failed = 0;

    store_use(argc > 1 ? argv[1] : "DOORBUSTER_TEST_REDIS");
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++)
        failed += ranking_conformance(&hosts[i]);
    return failed;
}
