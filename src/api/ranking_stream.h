// SPDX-License-Identifier: Apache-2.0
/* The open streams of the ranking of one loop. */
#pragma once
#include "api/api.h"

/* Ends every stream, and refuses new ones. */
void ranking_streams_end(struct api_loop *loop);
/* They have ended. */
void ranking_streams_fini(struct api_loop *loop);
