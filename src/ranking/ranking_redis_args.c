// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ranking/ranking_redis_internal.h"

/* Lua's numbers are whole up to here. Revenue can be more, and goes in two parts. */
#define WHOLE_MAX (INT64_C(1) << 53)
enum { LOW_BITS = 30, HEADER_FIELDS = 5, MEMBER_BYTES = 28 };
#define LOW_ONE (INT64_C(1) << LOW_BITS)
#define HIGH_MIDDLE (INT64_C(1) << 40)

void rr_args_text(struct rr_args *args, struct str text)
{
    ASSERT(args->argc < args->argc_max);
    args->argv[args->argc] = text.len ? text.ptr : "";
    args->bytes[args->argc++] = text.len;
}

void rr_args_int(struct rr_args *args, int64_t value)
{
    char *at = args->text + args->used;
    int64_t whole = MAX(MIN(value, WHOLE_MAX), -WHOLE_MAX);
    int n = snprintf(at, args->room - args->used, "%" PRId64, whole);

    ASSERT(n > 0 && (size_t)n < args->room - args->used);
    args->used += (size_t)n;
    rr_args_text(args, (struct str){ at, (size_t)n });
}

void rr_args_call(struct rr_args *args, struct str function, bool read_only)
{
    args->argc = args->used = 0;
    rr_args_text(args, read_only ? STR("FCALL_RO") : STR("FCALL"));
    rr_args_text(args, function);
    rr_args_text(args, STR("1"));
    rr_args_text(args, STR(RANKING_REDIS_KEY));
}

void rr_args_sum(struct rr_args *args, const struct ranking_sum *sum)
{
    int64_t low = sum->sum.revenue & (LOW_ONE - 1);

    rr_args_int(args, sum->sum.product_id);
    rr_args_text(args, sum->category);
    rr_args_int(args, sum->category_version);
    rr_args_int(args, sum->day);
    rr_args_int(args, sum->version);
    rr_args_int(args, sum->sum.units);
    rr_args_int(args, (sum->sum.revenue - low) / LOW_ONE);
    rr_args_int(args, low);
    rr_args_int(args, sum->sum.reached_ms);
}

/* ---- answers ---- */

static bool is_header(const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements < HEADER_FIELDS)
        return false;
    for (size_t i = 0; i < HEADER_FIELDS; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    return reply->element[0]->integer >= RR_OK && reply->element[0]->integer < RR_FAILED;
}

struct rr_header rr_header_of(enum err e, const redisReply *reply)
{
    if (e != ERR_OK || !is_header(reply))
        return (struct rr_header){ .code = RR_FAILED };
    return (struct rr_header){ .code = (enum rr_code)reply->element[0]->integer,
                               .version = reply->element[1]->integer,
                               .as_of_ms = reply->element[2]->integer,
                               .from_day = reply->element[3]->integer,
                               .readable = reply->element[4]->integer == 1 };
}

static int64_t big_endian(const char *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return (int64_t)value;
}

/* As member() in the library has it. */
static struct sales_sum sum_of(const char *member, enum sales_window window)
{
    int64_t high, low;
    struct sales_sum sum;

    if (window == SALES_3DAYS) {
        high = HIGH_MIDDLE - big_endian(member, 8);
        low = LOW_ONE - big_endian(member + 8, 4);
        sum.product_id = big_endian(member + 12, 8);
        sum.reached_ms = big_endian(member + 20, 8);
    } else {
        sum.reached_ms = big_endian(member, 8);
        sum.product_id = big_endian(member + 8, 8);
        high = big_endian(member + 16, 8) - HIGH_MIDDLE;
        low = big_endian(member + 24, 4);
    }
    sum.units = 0;
    sum.revenue = (int64_t)((uint64_t)high * (uint64_t)LOW_ONE + (uint64_t)low);
    return sum;
}

static bool is_entry(const redisReply *member, const redisReply *score)
{
    return member->type == REDIS_REPLY_STRING && member->len == MEMBER_BYTES &&
           score->type == REDIS_REPLY_STRING;
}

size_t rr_entries_of(const redisReply *reply, enum sales_window window, int64_t first,
                     struct ranking_entry *entries, size_t max)
{
    size_t count = 0;

    if (reply->type != REDIS_REPLY_ARRAY)
        return 0;
    for (size_t i = 0; i + 1 < reply->elements && count < max; i += 2) {
        const redisReply *member = reply->element[i], *score = reply->element[i + 1];
        if (!is_entry(member, score))
            return 0;
        entries[count] =
            (struct ranking_entry){ first + (int64_t)count + 1, sum_of(member->str, window) };
        entries[count++].sum.units = -(int64_t)strtod(score->str, NULL);
    }
    return count;
}

bool rr_is_unknown_function(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "Function not found");
}
