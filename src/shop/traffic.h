// SPDX-License-Identifier: Apache-2.0
/*
 * How many placements of each coupon are under way in this server, over all loops: from before the
 * gate is asked until the place is settled. A gate that is closed here, and whose coupon then has
 * none, holds nothing of this server any more. Only kept where there may be other servers.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct traffic;
struct traffic_coupon {
    struct traffic_coupon *next; /* private */
    int64_t coupon_id;
    _Atomic int64_t placements;
};

struct traffic *traffic_new(void) MUST_CHECK; /* NULL: no memory */
struct traffic *traffic_free(struct traffic *traffic);
/* The coupon's counter, as long-lived as `traffic`. NULL: no memory. Any thread. */
struct traffic_coupon *traffic_of(struct traffic *traffic, int64_t coupon_id) MUST_CHECK;
bool traffic_is_quiet(struct traffic *traffic, int64_t coupon_id);
bool traffic_is_quiet_all(struct traffic *traffic);
