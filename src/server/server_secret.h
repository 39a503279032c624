// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base/buf.h"
#include "config/config.h"

/*
 * A secret that signs what is sent, from its option or from the file that the other option names,
 * into `out`. `option` is the name of the first, "payment.http_secret". ERR_INVALID with a sentence
 * when it is shorter than `bytes_min`, or the file cannot be read; ERR_NOMEM.
 */
enum err server_secret(const char *secret, const char *file, const char *option, size_t bytes_min,
                       struct buf *out, struct config_error *ret_error) MUST_CHECK;
void server_secret_wipe(struct buf *secret);
