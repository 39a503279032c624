// SPDX-License-Identifier: Apache-2.0
/*
 * A gateway for one's own machine and for tests. It remembers nothing: the same key gets the same
 * answer and the same transaction id for ever, also after a crash. A CHARGE whose client_key has
 * "fail" in it, in any case, is refused; everything else is approved.
 */
#pragma once
#include "gateway/gateway.h"

/* Answers after `latency_ms`; with 0 in a later task of the same turn. NULL without memory. */
struct gateway *gateway_mock_new(uint64_t latency_ms) MUST_CHECK;
