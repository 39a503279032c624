// SPDX-License-Identifier: Apache-2.0
/* The use cases of products and carts; part of shop.h. */
#pragma once
#include "base/arena.h"
#include "ledger/ledger.h"
#include "loop/loop.h"
#include "ranking/ranking.h"
#include "shop/shop_orders.h"

struct shop_loop;

/* ---- products ---- */

struct product_get {
    void (*done)(struct product_get *get);
    struct arena *arena;
    int64_t product_id;

    enum err err; /* OK, NOT_FOUND, UNAVAILABLE, NOMEM */
    struct ledger_product product;

    struct ledger_read read; /* private */
};
void product_get(struct shop_loop *loop, struct product_get *get);

/* A page. It goes on behind the product whose sort key (price, created_at_ms; by id: 0) and id are
 * given; both 0: from the start. */
struct product_list {
    void (*done)(struct product_list *list);
    struct arena *arena;
    struct str category; /* ptr NULL: all */
    enum ledger_product_sort sort;
    int64_t after_key, after;
    int64_t limit;

    enum err err; /* OK, UNAVAILABLE, NOMEM */
    struct ledger_product *products;
    size_t count;
    int64_t total_count; /* of all pages */
    bool more;

    struct ledger_read read; /* private */
};
void product_list(struct shop_loop *loop, struct product_list *list);

/*
 * The same by popularity, units sold in the rolling window: first those that were sold, by rank,
 * then the others, by id. A page of the others may be short, and even empty, with more behind it.
 */
struct product_popular {
    void (*done)(struct product_popular *list);
    struct arena *arena;
    struct str category; /* ptr NULL: all */
    bool unsold;         /* the page begins among those that were not sold */
    int64_t after;       /* how many ranks, or which id, it begins behind; 0: from the start */
    int64_t limit;       /* 1..RANKING_LIMIT_MAX */

    enum err err; /* OK, OVERLOADED (too many boards are being added up), UNAVAILABLE, NOMEM */
    struct ledger_product *products;
    size_t count;
    int64_t total_count;
    bool more, next_unsold; /* what to go on with: `unsold`, and */
    int64_t next;           /* `after` */

    /* private */
    struct shop_loop *loop;
    struct ranking_read board;
    struct ledger_read read;
    struct loop_task task;
    int64_t day, *ids;
    size_t ranked;
};
void product_popular(struct shop_loop *loop, struct product_popular *list);

/* A new product, or a change of one; then what it is now. */
struct product_put {
    void (*done)(struct product_put *put);
    struct arena *arena;
    bool create;
    struct ledger_product product;       /* create: product_id 0: the next free one */
    struct ledger_product_change change; /* else */

    /* OK, CONFLICT (create: the id is taken), NOT_FOUND (change), OVERLOADED, UNAVAILABLE,
     * UNCERTAIN, NOMEM */
    enum err err;
    bool stored; /* UNAVAILABLE, NOMEM: it is done all the same, but cannot be shown */
    struct ledger_product now;

    /* private */
    struct shop_loop *loop;
    struct shop_command command;
    struct ledger_read read;
};
void product_put(struct shop_loop *loop, struct product_put *put);

/* ---- carts ---- */

struct cart_get {
    void (*done)(struct cart_get *get);
    struct arena *arena;
    int64_t user_id;

    enum err err;                   /* OK, NOT_FOUND (no such user), UNAVAILABLE, NOMEM */
    struct ledger_cart_line *lines; /* newest first */
    size_t count;

    struct ledger_read read; /* private */
};
void cart_get(struct shop_loop *loop, struct cart_get *get);

/* A change, then what came of it: the whole cart (ADD), the product of the line (SET), nothing. */
struct cart_put {
    void (*done)(struct cart_put *put);
    struct arena *arena;
    struct ledger_cart_change change; /* its outcome: with OK only */

    enum err err;                   /* OK, OVERLOADED, UNAVAILABLE, UNCERTAIN, NOMEM */
    bool stored;                    /* as of product_put */
    struct ledger_cart_line *lines; /* ADD: newest first */
    size_t count;
    struct ledger_product product; /* SET */

    /* private */
    struct shop_loop *loop;
    struct shop_command command;
    struct ledger_read read;
};
void cart_put(struct shop_loop *loop, struct cart_put *put);

/* What a line costs, and whether there is as much; INT64_MAX for more than that. */
int64_t cart_line_sum(const struct ledger_cart_line *line);
int64_t cart_sum(const struct ledger_cart_line *lines, size_t count);
