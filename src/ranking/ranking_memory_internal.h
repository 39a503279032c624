// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "ranking/ranking_backend.h"
#include "ranking/ranking_memory.h"
#include "ranking/ranking_sums.h"
#include "ranking/ranking_tree.h"

/* What a put or a move did to one product's sum in a board that is being made. units <= 0: is not
 * in it. */
struct board_change {
    struct sales_sum old, now;
};

enum board_state {
    BOARD_QUEUED, /* in memory->boards and memory->queue */
    BOARD_MAKING, /* in memory->boards; the maker's thread has it */
    BOARD_READY,  /* in memory->boards */
    BOARD_GONE,   /* in memory->dead; or the maker's thread has it, and will put it there */
};

struct board {
    struct list node; /* in memory->queue or memory->dead */
    enum board_state state;
    struct sales_days days;
    uint32_t category;
    uint64_t read_at;             /* memory->ticks of its last read */
    struct ranking_tree tree;     /* while MAKING: the maker's thread's own; else under the lock */
    struct list waiting;          /* reads, by their tasks */
    uint32_t mark;                /* MAKING: products that have it are in, or in `changes` */
    struct board_change *changes; /* since they were seen */
    size_t change_count, change_cap;
};

struct memory_ranking {
    struct ranking base;
    size_t boards_max;
    size_t at_once_max;     /* so many products make a board at once, more on the thread */
    size_t scan_at_once;    /* products, under one lock */
    void (*pause)(void);    /* tests: called without the lock while the thread makes a board */
    _Atomic int contenders; /* who waits for the lock */
    pthread_mutex_t lock;   /* guards the rest */
    pthread_cond_t work;    /* for the maker's thread */
    pthread_t maker;
    bool stop, fault;
    bool incomplete, copying;
    bool lost; /* something, since the copy began */
    bool trimming;
    int64_t from_day;   /* what reads may ask for */
    int64_t accept_day; /* what puts may bring; below from_day during a copy of more */
    uint64_t version, ticks;
    int64_t as_of_ms;
    struct ranking_sums *sums;
    struct board **boards; /* queued, in the making, ready */
    size_t board_count;
    struct sales_sum *olds; /* by board, during one change */
    uint32_t mark;
    struct list queue, dead;
    struct ranking_sums *dead_sums;
};

struct memory_client {
    struct ranking_client base;
    struct loop *loop;
    size_t in_flight;
};

static inline struct memory_ranking *memory_ranking_self(struct ranking *ranking)
{
    return CONTAINER_OF(ranking, struct memory_ranking, base);
}
void memory_lock(struct memory_ranking *memory);
void memory_unlock(struct memory_ranking *memory);
/* In the middle of something long: lets whoever waits for the lock go first. */
void memory_breathe(struct memory_ranking *memory);

/* The rest is called with the lock held. */

/* ranking_memory_board.c */

static inline bool board_ranks(const struct sales_sum *sum)
{
    return sum->units > 0;
}
/* The board, ready or not; made at once if that is quick, else queued. NULL: no memory, or no
 * place. */
struct board *memory_board_get(struct memory_ranking *memory, enum sales_window window,
                               struct sales_days days, uint32_t category);
/* Its waiting reads are told that it is unreadable; readers do not find it any more. */
void memory_board_drop(struct memory_ranking *memory, struct board *board);
void memory_boards_drop_all(struct memory_ranking *memory);
/* Those that begin before `day`. */
void memory_boards_drop_before(struct memory_ranking *memory, int64_t day);
/* Those not ready yet: whoever waits for them does not wait any more. */
void memory_boards_drop_unready(struct memory_ranking *memory);
/* Before and after a change of the product on that day. */
void memory_boards_before(struct memory_ranking *memory, const struct ranking_product *product,
                          int64_t day);
void memory_boards_after(struct memory_ranking *memory, const struct ranking_product *product,
                         int64_t day);
/* Before the product is moved. */
void memory_boards_move(struct memory_ranking *memory, struct ranking_product *product,
                        uint32_t category);

/* ranking_memory_make.c */
enum err memory_board_make_now(struct memory_ranking *memory, struct board *board) MUST_CHECK;
void *memory_maker(void *memory); /* the thread */
struct board *memory_board_free(struct board *board);

/* ranking_memory_read.c */
void memory_read(struct ranking_client *client, struct ranking_read *read);
void memory_read_answer(struct memory_ranking *memory, struct board *board,
                        struct ranking_read *read);
/* To its own loop; the read is its owner's again. */
void memory_read_send(struct ranking_read *read);
struct ranking_client *memory_client_new(struct ranking *ranking, struct loop *loop,
                                         struct metrics_slot *metrics);
struct ranking_client *memory_client_free(struct ranking_client *client);
