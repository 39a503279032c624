// SPDX-License-Identifier: Apache-2.0
#include "hook/hook_sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/buf.h"

enum err hook_sign(struct str secret, struct str timestamp, struct str body,
                   char out[HOOK_SIGNATURE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    CLEANUP(buf_fini) struct buf text = { 0 };
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    buf_str_append(&text, timestamp);
    buf_char(&text, '.');
    buf_str_append(&text, body);
    if (!buf_ok(&text) || !HMAC(EVP_sha256(), secret.ptr, (int)secret.len,
                                (const unsigned char *)text.ptr, text.len, mac, &n))
        return ERR_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        out[2 * i] = digits[mac[i] >> 4];
        out[2 * i + 1] = digits[mac[i] & 15];
    }
    out[2 * n] = '\0';
    return ERR_OK;
}
