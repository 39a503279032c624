// SPDX-License-Identifier: Apache-2.0
/* The embedded ranking: in memory, a copy of the ledger's sums. */
#pragma once
#include "ranking/ranking.h"

/* Keeps at most `boards_max` (> 0) boards; a board of n products takes 46 n to 140 n bytes. Has a
 * thread of its own, which makes big boards. NULL: no memory, no thread. */
struct ranking *ranking_memory_new(size_t boards_max) MUST_CHECK;
struct ranking *ranking_memory_free(struct ranking *ranking); /* its clients freed */
