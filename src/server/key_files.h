// SPDX-License-Identifier: Apache-2.0
/*
 * The keys that tokens are verified with, from the options auth.secret, auth.secret_file,
 * auth.public_key_file and auth.jwks_file: all that are given count. Files are looked at every
 * second; one that changed into something unusable is logged, and the keys stay as they were.
 */
#pragma once
#include "auth/auth.h"
#include "config/config.h"
#include "loop/loop.h"

struct key_files;

/* Whether one of the options is given. */
bool key_files_any(const struct config *config) MUST_CHECK;
/* ERR_INVALID: a sentence that names the option and its file. ERR_NOMEM. */
enum err key_files_open(const struct config *config, struct key_files **ret_files,
                        struct config_error *ret_error) MUST_CHECK;
struct auth_keys *key_files_keys(const struct key_files *files); /* as long-lived as `files` */
/* On that loop from now on. ERR_NOMEM. */
enum err key_files_watch(struct key_files *files, struct loop *loop) MUST_CHECK;
void key_files_stop(struct key_files *files); /* on the loop's thread; takes NULL */
struct key_files *key_files_free(struct key_files *files);
