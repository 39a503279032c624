// SPDX-License-Identifier: Apache-2.0
/* What the operator looks at: health, metrics, the OpenAPI document. */
#pragma once
#include "api/api_route.h"

extern const struct api_route ops_routes[]; /* ended by a row without a path */

/* The metrics that are asked at the scrape: gate, ledger, journal, invariants. Before the first
 * scrape; `api` and what it points to outlive the metrics. */
void ops_metrics_register(struct api *api);
