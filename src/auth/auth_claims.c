// SPDX-License-Identifier: Apache-2.0
/* The JSON inside tokens. Issuers differ: what we do not need may have any type. */
#include <inttypes.h>
#include <stdio.h>

#include "auth/auth_internal.h"
#include "base/arena.h"
#include "json/json_bind.h"

enum { TEXT_MAX = AUTH_TOKEN_BYTES_MAX };
#define SECONDS_MAX (INT64_MAX / 1000)

struct header {
    struct str alg, kid;
    struct str *crit;
    size_t crit_count;
    enum json_presence kid_is, crit_is;
};
static const struct json_row header_rows[] = {
    JSON_STR(header, alg, "alg", 1, 16, "Algorithm.", "HS256", JSON_REQUIRED),
    JSON_STR(header, kid, "kid", 0, TEXT_MAX, "Which key.", "2026-03", JSON_NULLABLE(header, kid)),
    JSON_STRS(header, crit, "crit", 0, TEXT_MAX, "What must be understood.", NULL,
              JSON_NULLABLE(header, crit)),
};
static const JSON_BODY(header, "TokenHeader", "JOSE header.");

struct times {
    int64_t exp, nbf;
    enum json_presence nbf_is;
};
static const struct json_row times_rows[] = {
    JSON_INT64_LOOSE(times, exp, "exp", 0, SECONDS_MAX, "Good until.", "1772766000", JSON_REQUIRED),
    JSON_INT64_LOOSE(times, nbf, "nbf", 0, SECONDS_MAX, "Good from.", "1772766000",
                     JSON_NULLABLE(times, nbf)),
};
static const JSON_BODY(times, "TokenTimes", "When a token is good.");

struct number_sub {
    int64_t sub;
};
static const struct json_row number_sub_rows[] = {
    JSON_INT64(number_sub, sub, "sub", INT64_MIN, INT64_MAX, "User.", "42", JSON_REQUIRED),
};
static const JSON_BODY(number_sub, "TokenNumberSub", "The subject as a number.");

struct text_sub {
    struct str sub;
};
static const struct json_row text_sub_rows[] = {
    JSON_STR(text_sub, sub, "sub", 0, TEXT_MAX, "User.", "42", JSON_REQUIRED),
};
static const JSON_BODY(text_sub, "TokenTextSub", "The subject as text.");

struct role {
    struct str role;
};
static const struct json_row role_rows[] = {
    JSON_STR(role, role, "role", 0, TEXT_MAX, "Role.", "admin", JSON_REQUIRED),
};
static const JSON_BODY(role, "TokenRole", "One role.");

struct roles {
    struct str *roles;
    size_t roles_count;
};
static const struct json_row roles_rows[] = {
    JSON_STRS(roles, roles, "roles", 0, TEXT_MAX, "Roles.", "[\"admin\"]", JSON_REQUIRED),
};
static const JSON_BODY(roles, "TokenRoles", "Several roles.");

static enum auth_result result_of(enum err err)
{
    return err == ERR_OK ? AUTH_OK : err == ERR_NOMEM ? AUTH_NOMEM : AUTH_MALFORMED;
}

enum auth_result auth_header_parse(struct str json, struct arena *arena,
                                   struct auth_header *ret_header)
{
    struct json_error error;
    struct header header;

    enum auth_result result = result_of(json_parse(json, &header_json, arena, &header, &error));
    if (result != AUTH_OK)
        return result;
    /* RFC 7515 4.1.11: we understand no extension */
    if (header.crit_is != JSON_ABSENT)
        return AUTH_ALGORITHM;
    *ret_header = (struct auth_header){ auth_algorithm_of(header.alg),
                                        header.kid_is == JSON_GIVEN ? header.kid : STR_NONE };
    return AUTH_OK;
}

/* No character is cut in two. */
static void subject_set(struct auth_claims *claims, struct str text)
{
    size_t len = MIN(text.len, sizeof claims->subject - 1);

    while (len > 0 && len < text.len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80)
        len--;
    memcpy(claims->subject, text.ptr, len);
    claims->subject[len] = '\0';
}

static enum err parse_subject(struct str json, struct arena *arena, struct auth_claims *claims)
{
    struct json_error error;
    struct number_sub number;
    struct text_sub text;

    enum err err = json_parse(json, &number_sub_json, arena, &number, &error);
    if (err == ERR_OK) {
        claims->has_user = true;
        claims->user_id = number.sub;
        snprintf(claims->subject, sizeof claims->subject, "%" PRId64, number.sub);
    } else if (err == ERR_INVALID) {
        err = json_parse(json, &text_sub_json, arena, &text, &error);
        claims->has_user = err == ERR_OK && str_parse_int64(text.sub, &claims->user_id);
        if (err == ERR_OK && text.sub.len > 0)
            subject_set(claims, text.sub);
    }
    return err;
}

static enum err parse_roles(struct str json, struct arena *arena, struct auth_claims *claims)
{
    struct json_error error;
    struct role one;
    struct roles many;

    enum err err = json_parse(json, &role_json, arena, &one, &error);
    if (err == ERR_NOMEM)
        return err;
    claims->admin = err == ERR_OK && str_equal(one.role, STR("admin"));
    err = json_parse(json, &roles_json, arena, &many, &error);
    for (size_t i = 0; err == ERR_OK && i < many.roles_count; i++)
        claims->admin |= str_equal(many.roles[i], STR("admin"));
    return err;
}

enum auth_result auth_claims_parse(struct str json, struct auth_token *ret_token)
{
    CLEANUP(arena_fini) struct arena arena = { 0 };
    struct auth_claims claims = { 0 };
    struct json_error error;
    struct times times;

    enum auth_result result = result_of(json_parse(json, &times_json, &arena, &times, &error));
    if (result != AUTH_OK)
        return result;
    if (parse_subject(json, &arena, &claims) == ERR_NOMEM ||
        parse_roles(json, &arena, &claims) == ERR_NOMEM)
        return AUTH_NOMEM;
    if (!claims.has_user && !claims.admin)
        return AUTH_SUBJECT;
    claims.expires_ms = times.exp * 1000;
    *ret_token = (struct auth_token){
        .claims = claims,
        .not_before_ms = times.nbf_is == JSON_GIVEN ? times.nbf * 1000 : INT64_MIN,
    };
    return AUTH_OK;
}
