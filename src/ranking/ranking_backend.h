// SPDX-License-Identifier: Apache-2.0
/* What an implementation of the ranking provides: the functions of ranking.h, behind one table. */
#pragma once
#include "ranking/ranking.h"

struct ranking_backend {
    const char *source;
    void (*put)(struct ranking *ranking, const struct ranking_sum *sums, size_t count);
    enum err (*put_surely)(struct ranking *ranking, const struct ranking_sum *sums, size_t count);
    void (*move)(struct ranking *ranking, int64_t product_id, struct str category, int64_t version);
    enum err (*copy_begin)(struct ranking *ranking, int64_t from_day);
    enum err (*copy_end)(struct ranking *ranking);
    void (*forget_before)(struct ranking *ranking, int64_t day);
    struct ranking_status (*status)(struct ranking *ranking);
    void (*fault_set)(struct ranking *ranking, bool on);
    void (*read)(struct ranking_client *client, struct ranking_read *read);
    struct ranking_client *(*client_new)(struct ranking *ranking, struct loop *loop,
                                         struct metrics_slot *metrics);
    struct ranking_client *(*client_free)(struct ranking_client *client);
};

/* First member of every implementation's own struct. */
struct ranking {
    const struct ranking_backend *backend;
};
struct ranking_client {
    struct ranking *ranking;
};

/* What every read begins with: unreadable until shown otherwise, and room for its entries. */
enum err ranking_read_prepare(struct ranking_read *read) MUST_CHECK;
