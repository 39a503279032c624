// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { HOOK_SIGNATURE_BYTES = 64 + 1 };

/* hex(HMAC-SHA256(secret, timestamp + "." + body)). ERR_NOMEM. */
enum err hook_sign(struct str secret, struct str timestamp, struct str body,
                   char out[HOOK_SIGNATURE_BYTES]) MUST_CHECK;
