// SPDX-License-Identifier: Apache-2.0
/*
 * cjose does the cryptography. What it is given has been looked at first: the shape of the text,
 * and a header that names the key's own algorithm, so that no token chooses how it is verified.
 */
#include "auth/auth_internal.h"
#include "base/mem.h"

const char *auth_result_text(enum auth_result result)
{
    static const char *const texts[] = {
        [AUTH_OK] = "good",
        [AUTH_MALFORMED] = "the token is not a signed JWT with an expiry time",
        [AUTH_ALGORITHM] = "the token is signed with an algorithm that is not accepted",
        [AUTH_KEY] = "the token names a key that is not known",
        [AUTH_SIGNATURE] = "the token's signature is wrong",
        [AUTH_EXPIRED] = "the token has expired",
        [AUTH_NOT_YET] = "the token is not valid yet",
        [AUTH_SUBJECT] = "the token's subject is not a user id",
        [AUTH_NOMEM] = "the token could not be checked",
    };

    return texts[result];
}

static bool is_base64url(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Three parts of base64url without padding; the length of the first. */
static bool check_shape(struct str text, size_t *ret_header_len)
{
    size_t dots[2] = { 0, 0 }, dot_count = 0;

    if (text.len > AUTH_TOKEN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (is_base64url(text.ptr[i]))
            continue;
        if (text.ptr[i] != '.' || dot_count == 2)
            return false;
        dots[dot_count++] = i;
    }
    *ret_header_len = dots[0];
    return dot_count == 2 && dots[0] > 0 && dots[1] > dots[0] + 1 && text.len > dots[1] + 1;
}

static enum auth_result read_header(struct str part, struct arena *arena,
                                    struct auth_header *ret_header)
{
    uint8_t *json = NULL;
    size_t len = 0;

    if (!cjose_base64url_decode(part.ptr, part.len, &json, &len, NULL))
        return AUTH_MALFORMED;
    enum auth_result result =
        auth_header_parse((struct str){ (char *)json, len }, arena, ret_header);
    cjose_get_dealloc()(json);
    return result;
}

static enum auth_result result_of(const cjose_err *why, enum auth_result otherwise)
{
    return why->code == CJOSE_ERR_NO_MEMORY ? AUTH_NOMEM : otherwise;
}

static bool fits(const struct auth_key *key, const struct auth_header *header)
{
    return (key->algorithms & header->algorithm) &&
           (!key->kid.ptr || !header->kid.ptr || str_equal(key->kid, header->kid));
}

/* With the key that it names; if it names none, or a key has no name, with each that may be it. */
static enum auth_result check_signature(const struct auth_key_set *set,
                                        const struct auth_header *header, cjose_jws_t *jws)
{
    enum auth_result result = AUTH_ALGORITHM;

    for (size_t i = 0; i < set->count; i++) {
        const struct auth_key *key = &set->keys[i];
        cjose_err why = { .code = CJOSE_ERR_NONE };
        if (!fits(key, header)) {
            if (result == AUTH_ALGORITHM && (key->algorithms & header->algorithm))
                result = AUTH_KEY;
            continue;
        }
        if (cjose_jws_verify(jws, key->jwk, &why))
            return AUTH_OK;
        result = result_of(&why, AUTH_SIGNATURE);
        if (result == AUTH_NOMEM)
            return result;
    }
    return result;
}

static enum auth_result check_token(const struct auth_key_set *set,
                                    const struct auth_header *header, cjose_jws_t *jws,
                                    struct auth_token *ret_token)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    uint8_t *json = NULL;
    size_t len = 0;

    enum auth_result result = check_signature(set, header, jws);
    if (result != AUTH_OK)
        return result;
    if (!cjose_jws_get_plaintext(jws, &json, &len, &why)) /* borrowed from jws */
        return result_of(&why, AUTH_MALFORMED);
    return auth_claims_parse((struct str){ (char *)json, len }, ret_token);
}

static bool has_key_for(const struct auth_key_set *set, unsigned algorithm)
{
    unsigned all = 0;

    for (size_t i = 0; i < set->count; i++)
        all |= set->keys[i].algorithms;
    return (all & algorithm) != 0;
}

static enum auth_result read_token(const struct auth_key_set *set, struct str text,
                                   struct auth_token *ret_token)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    cjose_err why = { .code = CJOSE_ERR_NONE };
    struct auth_header header;
    size_t header_len;

    if (!check_shape(text, &header_len))
        return AUTH_MALFORMED;
    enum auth_result result = read_header((struct str){ text.ptr, header_len }, &arena, &header);
    if (result != AUTH_OK)
        return result;
    if (!has_key_for(set, header.algorithm))
        return AUTH_ALGORITHM;
    cjose_jws_t *jws = cjose_jws_import(text.ptr, text.len, &why);
    if (!jws)
        return result_of(&why, AUTH_MALFORMED);
    result = check_token(set, &header, jws, ret_token);
    cjose_jws_release(jws);
    return result;
}

enum auth_result auth_verify(const struct auth_keys *keys, struct auth_cache *cache,
                             struct str bearer, int64_t now_ms, struct auth_claims *ret_claims)
{
    const struct auth_key_set *set = auth_keys_set(keys);
    int64_t leeway_ms = auth_keys_leeway_ms(keys);
    const struct auth_token *known = cache ? auth_cache_find(cache, set->generation, bearer) : NULL;
    struct auth_token token;

    if (!known) {
        enum auth_result result = read_token(set, bearer, &token);
        if (result != AUTH_OK)
            return result;
    } else {
        token = *known;
    }
    if (now_ms - leeway_ms >= token.claims.expires_ms)
        return AUTH_EXPIRED;
    if (now_ms + leeway_ms < token.not_before_ms)
        return AUTH_NOT_YET;
    if (cache && !known)
        auth_cache_store(cache, set->generation, bearer, &token, now_ms - leeway_ms);
    *ret_claims = token.claims;
    return AUTH_OK;
}

static enum err sign(const cjose_jwk_t *secret, struct str claims, struct buf *out)
{
    cjose_err why = { .code = CJOSE_ERR_NONE };
    const char *text = NULL;  /* borrowed from jws */
    enum err err = ERR_NOMEM; /* nothing else can go wrong with a key of ours */

    cjose_header_t *header = cjose_header_new(&why);
    cjose_jws_t *jws = NULL;
    if (header && cjose_header_set(header, CJOSE_HDR_ALG, CJOSE_HDR_ALG_HS256, &why) &&
        cjose_header_set(header, "typ", "JWT", &why))
        jws = cjose_jws_sign(secret, header, (const uint8_t *)claims.ptr, claims.len, &why);
    if (jws && cjose_jws_export(jws, &text, &why)) {
        buf_str_append(out, str_from(text));
        err = buf_ok(out) ? ERR_OK : ERR_NOMEM;
    }
    cjose_jws_release(jws);
    cjose_header_release(header);
    return err;
}

enum err auth_sign(const struct auth_keys *keys, int64_t user_id, bool admin, int64_t now_ms,
                   int64_t ttl_s, struct buf *out)
{
    CLEANUP(buf_fini) struct buf claims = { 0 };
    const struct auth_key_set *set = auth_keys_set(keys);
    size_t i = 0;

    while (i < set->count && !(set->keys[i].algorithms & AUTH_HS256))
        i++;
    if (i == set->count)
        return ERR_NOT_FOUND;
    buf_literal(&claims, "{\"sub\":\"");
    buf_int(&claims, user_id);
    buf_literal(&claims, "\",\"iat\":");
    buf_int(&claims, now_ms / 1000);
    buf_literal(&claims, ",\"exp\":");
    buf_int(&claims, now_ms / 1000 + ttl_s);
    buf_str_append(&claims, admin ? STR(",\"role\":\"admin\"}") : STR("}"));
    return buf_ok(&claims) ? sign(set->keys[i].jwk, buf_str(&claims), out) : ERR_NOMEM;
}

bool auth_bearer(struct str field, struct str *ret_token)
{
    const struct str scheme = STR("Bearer");

    if (field.len <= scheme.len || field.ptr[scheme.len] != ' ' ||
        !str_equal_nocase((struct str){ field.ptr, scheme.len }, scheme))
        return false;
    field = (struct str){ field.ptr + scheme.len, field.len - scheme.len };
    while (field.len > 0 && field.ptr[0] == ' ')
        field = (struct str){ field.ptr + 1, field.len - 1 };
    while (field.len > 0 && field.ptr[field.len - 1] == ' ')
        field.len--;
    *ret_token = field;
    return field.len > 0;
}
