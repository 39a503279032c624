// SPDX-License-Identifier: Apache-2.0
/*
 * What there is to hand out: every coupon's name, rate and settings, in memory. Whoever finds a
 * coupon may keep the pointer for the length of a request; a change puts a new object in its place.
 */
#pragma once
#include "base/err.h"
#include "core/coupon.h"

struct catalog;

struct catalog *catalog_new(void) MUST_CHECK; /* NULL: no memory */
struct catalog *catalog_free(struct catalog *catalog);

/* Any thread, no lock. NULL: there is none. */
const struct coupon *catalog_find(struct catalog *catalog, int64_t coupon_id);

struct catalog_list {
    size_t count;
    const struct coupon *items[]; /* by id */
};
/* As of now; as long-lived as the coupons in it. */
const struct catalog_list *catalog_list(struct catalog *catalog);

/* Adds the coupon or takes the place of the one with its id, unless that has a higher version or
 * epoch. Copies. ERR_NOMEM: as it was. Any thread. */
enum err catalog_put(struct catalog *catalog, const struct coupon *coupon) MUST_CHECK;
