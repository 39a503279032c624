// SPDX-License-Identifier: Apache-2.0
#include "server/server_secret.h"

enum err server_secret(const char *secret, const char *file, const char *option, size_t bytes_min,
                       struct buf *out, struct config_error *ret_error)
{
    if (file[0])
        TRY(config_read_secret(file, out, ret_error));
    else
        buf_str_append(out, str_from(secret));
    if (!buf_ok(out))
        return ERR_NOMEM;
    if (out->len < bytes_min)
        return config_refuse(ret_error,
                             "%s_file %.200s holds %zu bytes, a key has at least %zu: "
                             "`openssl rand -hex 32` makes one",
                             option, file, out->len, bytes_min);
    return ERR_OK;
}

void server_secret_wipe(struct buf *secret)
{
    if (secret->ptr)
        explicit_bzero(secret->ptr, secret->len);
    buf_fini(secret);
}
