// SPDX-License-Identifier: Apache-2.0
/* What a loop thread tells the metrics about itself: its connections, and how late its timers are.
 */
#pragma once
#include "server/server.h"

/* On the loop's thread, or before it runs. ERR_NOMEM. */
enum err server_gauge_new(struct server_thread *thread, struct server_gauge **ret_gauge) MUST_CHECK;
void server_gauge_stop(struct server_gauge *gauge); /* on the loop's thread; no timer any more */
struct server_gauge *server_gauge_free(struct server_gauge *gauge);
