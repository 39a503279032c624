// SPDX-License-Identifier: Apache-2.0
/* What is given and what is answered, read without any server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/redis_reply.h"

/* ---- URLs ---- */

static struct redis_target target;
static char why[REDIS_WHY_BYTES];

static void good(const char *url)
{
    assert_int_equal(redis_target_parse(&target, url, why), ERR_OK);
}

static void test_urls(void **state)
{
    (void)state;
    good("redis://h");
    assert_int_equal(target.topology, REDIS_SINGLE);
    assert_string_equal(target.place[0].host, "h");
    assert_int_equal(target.place[0].port, 6379);
    good("redis://u%40x:p%3a@ss@[::1]:7/3");
    assert_string_equal(target.user, "u@x");
    assert_string_equal(target.password, "p:@ss");
    assert_string_equal(target.place[0].host, "::1");
    assert_int_equal(target.place[0].port, 7);
    assert_int_equal(target.database, 3);
    good("redis://:secret@127.0.0.1:6380/");
    assert_string_equal(target.user, "");
    assert_string_equal(target.password, "secret");
    good("redis+sentinel://a:1,b,[::2]:3/drop/2");
    assert_int_equal(target.topology, REDIS_SENTINEL);
    assert_int_equal(target.place_count, 3);
    assert_int_equal(target.place[1].port, 26379);
    assert_string_equal(target.place[2].host, "::2");
    assert_string_equal(target.master, "drop");
    assert_int_equal(target.database, 2);
    good("redis+sentinel://a");
    assert_string_equal(target.master, "mymaster");
    good("redis+sentinel://:p?w@a,b/m/1?sentinel_user=do%40or&sentinel_password=p%26%2fw");
    assert_string_equal(target.password, "p?w");
    assert_string_equal(target.sentinel_user, "do@or");
    assert_string_equal(target.sentinel_password, "p&/w");
    assert_string_equal(target.master, "m");
    assert_int_equal(target.database, 1);
    good("redis+sentinel://u:p?w@a,b:7?sentinel_password=x");
    assert_string_equal(target.password, "p?w");
    assert_string_equal(target.sentinel_user, "");
    assert_string_equal(target.sentinel_password, "x");
    assert_int_equal(target.place[1].port, 7);
    assert_string_equal(target.master, "mymaster");
    good("redis+cluster://:pw@a:1,b:2");
    assert_int_equal(target.topology, REDIS_CLUSTER);
    assert_int_equal(target.place_count, 2);
    assert_string_equal(target.password, "pw");
}

static void test_bad_urls(void **state)
{
    static const char *const urls[] = {
        "",
        "http://h",
        "redis://",
        "redis://:1",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h:",
        "redis://[::1",
        "redis://[::1]x",
        "redis://a,b",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1024",
        "redis://u%4:p@h",
        "redis://u%00:p@h",
        "redis://h%zz",
        "redis+sentinel://a,,b",
        "redis+sentinel://a/m/x",
        "redis+sentinel://a/m?",
        "redis+sentinel://a/m?password=x",
        "redis+sentinel://a?sentinel_password=%",
        "redis://a/0?sentinel_password=x",
        "redis+cluster://a/1",
        "redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
        "rediss://h",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        why[0] = 0;
        if (redis_target_parse(&target, urls[i], why) != ERR_INVALID)
            fail_msg("accepted: %s", urls[i]);
        assert_true(why[0] != 0);
    }
    assert_non_null(strstr(why, "stunnel")); /* the last one */
}

/* ---- errors ---- */

static redisReply text_reply(int type, const char *text)
{
    /* Never written to. */
    return (redisReply){ .type = type, .str = (char *)(uintptr_t)text, .len = strlen(text) };
}

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        enum redis_error error;
    } rows[] = {
        { "MOVED 1 a:1", REDIS_ERROR_MOVED },
        { "ASK 1 a:1", REDIS_ERROR_ASK },
        { "TRYAGAIN Multiple keys request during rehashing of slot", REDIS_ERROR_LATER },
        { "CLUSTERDOWN The cluster is down", REDIS_ERROR_LATER },
        { "CLUSTERDOWN Hash slot not served", REDIS_ERROR_LATER },
        { "LOADING Redis is loading the dataset in memory", REDIS_ERROR_LATER },
        { "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
          REDIS_ERROR_LATER },
        { "BUSY Redis is busy running a script.", REDIS_ERROR_LATER },
        { "BUSYKEY Target key name already exists.", REDIS_ERROR_OTHER },
        { "BUSYGROUP Consumer Group name already exists", REDIS_ERROR_OTHER },
        { "READONLY You can't write against a read only replica.", REDIS_ERROR_READONLY },
        { "READONLY Can not run script with write flag on readonly replica.",
          REDIS_ERROR_READONLY },
        { "NOREPLICAS Not enough good replicas to write.", REDIS_ERROR_SHED },
        { "MISCONF Redis is configured to save RDB snapshots", REDIS_ERROR_SHED },
        { "OOM command not allowed when used memory > 'maxmemory'.", REDIS_ERROR_SHED },
        { "NOAUTH Authentication required.", REDIS_ERROR_DENIED },
        { "ERR Function not found", REDIS_ERROR_OTHER },
        { "WRONGTYPE Operation against a key", REDIS_ERROR_OTHER },
        /* The same words from inside a Function that has written already. */
        { "OOM command not allowed when used memory > 'maxmemory'. script: f, on "
          "@user_function:3.",
          REDIS_ERROR_OTHER },
        { "READONLY You can't write against a read only replica. script: f, on @user_script:1.",
          REDIS_ERROR_OTHER },
        { "BUSY  script: f, on @user_function:3.", REDIS_ERROR_OTHER },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        redisReply reply = text_reply(REDIS_REPLY_ERROR, rows[i].text);
        if (redis_error_of(&reply) != rows[i].error)
            fail_msg("%s", rows[i].text);
        reply.type = REDIS_REPLY_STRING;
        assert_int_equal(redis_error_of(&reply), REDIS_ERROR_NONE);
    }
}

/* ---- places, slots ---- */

static void test_redirects(void **state)
{
    static const char *const bad[] = {
        "",           "MOVED",           "MOVED 1",      "MOVED 1 ",    "MOVED x a:1",
        "MOVED 1 a",  "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a:0", "MOVED 1 a:65536",
        "MOVED 1 a:", "MOVED 1 a:1x",
    };
    struct redis_place place;
    uint16_t slot;

    (void)state;
    assert_true(redis_redirect_parse(STR("MOVED 3999 127.0.0.1:6381"), &slot, &place));
    assert_int_equal(slot, 3999);
    assert_string_equal(place.host, "127.0.0.1");
    assert_int_equal(place.port, 6381);
    assert_true(redis_redirect_parse(STR("ASK 0 ::1:1"), &slot, &place));
    assert_string_equal(place.host, "::1");
    assert_true(redis_redirect_parse(STR("MOVED 16383 :7"), &slot, &place));
    assert_string_equal(place.host, "");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (redis_redirect_parse(str_from(bad[i]), &slot, &place))
            fail_msg("accepted: %s", bad[i]);
}

/* Figures from `CLUSTER KEYSLOT`. */
static void test_slots(void **state)
{
    (void)state;
    assert_int_equal(redis_slot_of(STR("123456789")), 0x31c3 % REDIS_SLOTS);
    assert_int_equal(redis_slot_of(STR("foo")), 12182);
    assert_int_equal(redis_slot_of(STR("{foo}.x")), 12182);
    assert_int_equal(redis_slot_of(STR("a{foo}{bar}")), 12182);
    assert_int_equal(redis_slot_of(STR("foo{}{bar}")), 8363);
    assert_int_equal(redis_slot_of(STR("")), 0);
    assert_int_equal(redis_slot_of(STR("{")), redis_slot_of(STR("{")));
}

static void test_info(void **state)
{
    struct str info = STR("# Replication\r\nrole:master\r\nmaster_replid:abc\r\nempty:\r\nlast:1");

    (void)state;
    assert_true(str_equal(redis_info_find(info, STR("role")), STR("master")));
    assert_true(str_equal(redis_info_find(info, STR("last")), STR("1")));
    assert_int_equal(redis_info_find(info, STR("empty")).len, 0);
    assert_int_equal(redis_info_find(info, STR("master")).len, 0);
    assert_int_equal(redis_info_find(STR_NONE, STR("role")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),   cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_slots),  cmocka_unit_test(test_info),
    };

    return cmocka_run_group_tests_name("redis/reply", tests, NULL, NULL);
}
