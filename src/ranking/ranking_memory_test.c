// SPDX-License-Identifier: Apache-2.0
/* The memory ranking keeps what ranking.h promises, whoever makes its boards, however few it keeps.
 */
#include "ranking/ranking_memory_fixture_test.h"

static struct ranking *open_at_once(void)
{
    return here_open(64, 512);
}

static struct ranking *open_few_boards(void)
{
    return here_open(1, 512);
}

static struct ranking *open_by_thread(void)
{
    return here_open(6, 0);
}

int main(void)
{
    static const struct ranking_host hosts[] = {
        { .name = "boards made at once",
          .open = open_at_once,
          .close = here_close,
          .loop = here_loop,
          .settle = here_settle,
          .turn = here_turn },
        { .name = "one board at a time",
          .open = open_few_boards,
          .close = here_close,
          .loop = here_loop,
          .settle = here_settle,
          .turn = here_turn },
        { .name = "boards made by the thread",
          .open = open_by_thread,
          .close = here_close,
          .loop = here_loop,
          .settle = here_settle,
          .turn = here_turn },
    };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++)
        failed += ranking_conformance(&hosts[i]);
    return failed;
}
