// SPDX-License-Identifier: Apache-2.0
/* What a client does is the same over one server, sentinels and a cluster. */
#include "redis/redis_fixture_test.h"

enum { LONG_BYTES = 300000, MANY = 20000, KEYS = 1000 };

static const char *variable;

/* ---- answers ---- */

static void test_answers(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a hello");
    assert_string_equal(ask("GET a").text, "hello");
    assert_int_equal(ask("GET none").type, REDIS_REPLY_NIL);
    assert_int_equal(ask("INCR n").integer, 1);
    struct asked wrong = ask("INCR a");
    assert_int_equal(wrong.call.err, ERR_OK);
    assert_int_equal(wrong.type, REDIS_REPLY_ERROR);
    assert_non_null(strstr(ask("CLIENT INFO").text, "doorbuster"));
    end();
}

static void test_many(void **state)
{
    static struct asked many[MANY];

    (void)state;
    begin();
    ask_ok("SET n 0");
    for (size_t i = 0; i < MANY; i++)
        start(&many[i], "INCR n", loop_now_ms(loop) + CALL_MS);
    loop_run(loop);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].done, 1);
        assert_int_equal(many[i].integer, i + 1); /* in order */
    }
    struct redis_stats stats = redis_stats(redis);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.ready, stats.nodes);
    assert_int_equal(stats.breaker.state, BREAKER_CLOSED);
    end();
}

static void test_large(void **state)
{
    char *value = malloc(LONG_BYTES);
    struct asked asked;

    (void)state;
    begin();
    memset(value, 'x', LONG_BYTES);
    asked = (struct asked){ .call = { .done = on_done, .argc = 3 },
                            .words = { "SET", "long", value },
                            .bytes = { 3, 4, LONG_BYTES } };
    asked.call.key = STR("long");
    asked.call.argv = asked.words;
    asked.call.argv_bytes = asked.bytes;
    asked.call.deadline_ms = loop_now_ms(loop) + CALL_MS;
    waiting++;
    redis_call(redis, &asked.call);
    loop_run(loop);
    assert_int_equal(asked.call.err, ERR_OK);
    assert_int_equal(ask("STRLEN long").integer, LONG_BYTES);
    assert_int_equal(ask("GET long").type, REDIS_REPLY_STRING);
    free(value);
    end();
}

/* ---- keys of every node ---- */

static void test_keys(void **state)
{
    static struct asked many[KEYS];
    static char words[KEYS][32];

    (void)state;
    begin();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            snprintf(words[i], sizeof words[i], round ? "GET {key:%d}.x" : "SET {key:%d}.x v%d", i,
                     i);
            start(&many[i], words[i], loop_now_ms(loop) + CALL_MS);
        }
        loop_run(loop);
        for (int i = 0; i < KEYS; i++)
            assert_int_equal(many[i].call.err, ERR_OK);
    }
    assert_string_equal(many[17].text, "v17");
    assert_string_equal(many[KEYS - 1].text, "v999");
    end();
}

/* Looking at sentinels, or at the map, every now and then disturbs nobody. */
static void test_quiet(void **state)
{
    (void)state;
    begin();
    ask_ok("SET a 1");
    settle(1300);
    assert_string_equal(ask("GET a").text, "1");
    struct redis_stats stats = redis_stats(redis);
    assert_int_equal(stats.reconnects, 0);
    assert_int_equal(stats.ready, stats.nodes);
    assert_int_equal(stats.breaker.state, BREAKER_CLOSED);
    end();
}

/* ---- on a thread that may block ---- */

static const char *const library[] = {
    "FUNCTION", "LOAD", "REPLACE",
    "#!lua name=test\n"
    "redis.register_function('put', function(keys, args) return redis.call('SET', keys[1], args[1])"
    " end)\n"
    "redis.register_function('fail', function(keys, args) redis.call('SET', keys[1], args[1])"
    " return redis.call('INCR', keys[1]) end)\n"
};

static void test_sync(void **state)
{
    struct redis_sync *sync = NULL;
    const char *words[] = { "FCALL", "put", "1", "{one}", "two" };
    struct redis_command command = { .argc = 5, .argv = words, .key = STR("{one}") };
    char why[REDIS_WHY_BYTES];
    redisReply *reply = NULL;

    (void)state;
    options = (struct redis_options){ .target = &target };
    assert_int_equal(redis_sync_open(&options, CALL_MS, &sync), ERR_OK);
    assert_int_equal(
        redis_sync_everywhere(sync, &(struct redis_command){ .argc = 4, .argv = library }, why),
        ERR_OK);
    assert_int_equal(redis_sync_call(sync, &command, &reply), ERR_OK);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    words[1] = "fail"; /* it has written: an answer, not a refusal */
    assert_int_equal(redis_sync_call(sync, &command, &reply), ERR_OK);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    words[0] = "GET", words[1] = "{one}";
    command.argc = 2;
    assert_int_equal(redis_sync_call(sync, &command, &reply), ERR_OK);
    assert_string_equal(reply->str, "two");
    freeReplyObject(reply);
    command.argc = 3, words[0] = "FUNCTION", words[1] = "NOT", words[2] = "SO";
    assert_int_equal(redis_sync_everywhere(sync, &command, why), ERR_INVALID);
    assert_non_null(strstr(why, "ERR"));
    sync = redis_sync_close(sync);
    assert_int_equal(mem_live_count(), blocks);
}

static void test_pipeline(void **state)
{
    static struct redis_command commands[KEYS];
    static const char *words[KEYS][3];
    static char keys[KEYS][32];
    static enum err errs[KEYS];
    static redisReply *replies[KEYS];
    struct redis_sync *sync = NULL;

    (void)state;
    options = (struct redis_options){ .target = &target };
    assert_int_equal(redis_sync_open(&options, CALL_MS, &sync), ERR_OK);
    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "{pipe:%d}", i);
        words[i][0] = "SET", words[i][1] = keys[i], words[i][2] = keys[i];
        commands[i] =
            (struct redis_command){ .argc = 3, .argv = words[i], .key = str_from(keys[i]) };
    }
    words[5][0] = "INCR", commands[5].argc = 2;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(redis_sync_pipeline(sync, commands, KEYS, errs, replies), ERR_OK);
        for (int i = 0; i < KEYS; i++) {
            assert_int_equal(errs[i], ERR_OK);
            assert_int_equal(replies[i]->type,
                             i == 5 ? REDIS_REPLY_INTEGER
                                    : (round ? REDIS_REPLY_STRING : REDIS_REPLY_STATUS));
            freeReplyObject(replies[i]);
            words[i][0] = i == 5 ? "INCR" : "GET", commands[i].argc = 2;
        }
    }
    assert_int_equal(redis_sync_pipeline(sync, commands, 0, errs, replies), ERR_OK);
    sync = redis_sync_close(sync);
    assert_int_equal(mem_live_count(), blocks);
}

static void set_config(struct redis_sync *sync, const char *name, const char *value)
{
    const char *words[] = { "CONFIG", "SET", name, value };
    char why[REDIS_WHY_BYTES];

    if (redis_sync_everywhere(sync, &(struct redis_command){ .argc = 4, .argv = words }, why) !=
        ERR_OK)
        fail_msg("%s", why);
}

static void test_safety(void **state)
{
    static const char *const settings[][3] = { { "appendonly", "yes", "no" },
                                               { "maxmemory-policy", "noeviction", "allkeys-lru" },
                                               { "repl-backlog-ttl", "0", "3600" } };
    struct redis_sync *sync = NULL;
    char why[REDIS_WHY_BYTES];

    (void)state;
    options = (struct redis_options){ .target = &target };
    assert_int_equal(redis_sync_open(&options, CALL_MS, &sync), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        set_config(sync, settings[i][0], settings[i][1]);
    assert_int_equal(redis_check_safety(sync, why), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
        set_config(sync, settings[i][0], settings[i][2]);
        assert_int_equal(redis_check_safety(sync, why), ERR_INVALID);
        assert_non_null(strstr(why, settings[i][0]));
        assert_non_null(strstr(why, "config set"));
        set_config(sync, settings[i][0], settings[i][1]);
    }
    sync = redis_sync_close(sync);
    assert_int_equal(mem_live_count(), blocks);
}

/* ---- a slot on its way from one node to another ---- */

static void tell_node(struct redis_sync *sync, struct redis_node *node, const char *text,
                      char ret_text[64])
{
    const char *words[WORDS_MAX];
    size_t bytes[WORDS_MAX];
    struct redis_command command = { .argv = words, .argv_bytes = bytes };
    redisReply *reply = NULL;

    for (const char *at = text; *at; command.argc++) {
        bytes[command.argc] = strcspn(at, " ");
        words[command.argc] = at;
        at += bytes[command.argc] + (at[bytes[command.argc]] == ' ');
    }
    assert_int_equal(redis_sync_call_at(sync, &command, node, &reply), ERR_OK);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", text, reply->str);
    snprintf(ret_text, 64, "%s", reply->str ? reply->str : "");
    freeReplyObject(reply);
}

static struct redis_sync *by_hand;
static struct redis_node *from, *to;
static char from_id[64], to_id[64];

/* `format` takes the slot and a node's id. */
static void set_slot(struct redis_node *at, const char *what, const char *id)
{
    char command[256], answer[64];

    snprintf(command, sizeof command, "CLUSTER SETSLOT %u %s %s",
             (unsigned)redis_slot_of(STR("{way}")), what, id);
    tell_node(by_hand, at, command, answer);
}

static void test_migration(void **state)
{
    struct redis_node *nodes[8];
    char command[256], answer[64];

    (void)state;
    options = (struct redis_options){ .target = &target };
    assert_int_equal(redis_sync_open(&options, CALL_MS, &by_hand), ERR_OK);
    assert_true(redis_sync_primaries(by_hand, nodes, ARRAY_COUNT(nodes)) >= 2);
    from = redis_sync_node_of(by_hand, STR("{way}"));
    to = nodes[0] == from ? nodes[1] : nodes[0];
    tell_node(by_hand, from, "CLUSTER MYID", from_id);
    tell_node(by_hand, to, "CLUSTER MYID", to_id);
    begin();
    ask_ok("SET {way}old 1");
    set_slot(to, "IMPORTING", from_id);
    set_slot(from, "MIGRATING", to_id);
    ask_ok("SET {way}new 2"); /* ASK */
    assert_string_equal(ask("GET {way}new").text, "2");
    assert_string_equal(ask("GET {way}old").text, "1");
    assert_int_equal(redis_stats(redis).redirects, 2);
    /* One key here, one there: TRYAGAIN, which lasts. */
    assert_int_equal(ask("MGET {way}old {way}new").call.err, ERR_UNAVAILABLE);
    assert_true(redis_stats(redis).retries > 0);
    snprintf(command, sizeof command, "MIGRATE 127.0.0.1 %u {way}old 0 2000",
             (unsigned)to->place.port);
    tell_node(by_hand, from, command, answer);
    set_slot(to, "NODE", to_id);
    set_slot(from, "NODE", to_id);
    ask_ok("MGET {way}old {way}new"); /* MOVED, once */
    uint64_t redirects = redis_stats(redis).redirects;
    settle(300);
    ask_ok("MGET {way}old {way}new");
    assert_int_equal(redis_stats(redis).redirects, redirects);
    by_hand = redis_sync_close(by_hand);
    end();
}

static void test_sync_of_nobody(void **state)
{
    struct redis_sync *sync = NULL;

    (void)state;
    for (size_t i = 0; i < target.place_count; i++)
        target.place[i].port = 1;
    options = (struct redis_options){ .target = &target };
    assert_int_equal(redis_sync_open(&options, 300, &sync), ERR_UNAVAILABLE);
    assert_int_equal(mem_live_count(), blocks);
}

static void test_nobody_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < target.place_count; i++)
        target.place[i].port = 1;
    begin();
    assert_int_equal(ask_for("PING", 300).call.err, ERR_UNAVAILABLE);
    assert_int_equal(ask_for("PING", 300).call.err, ERR_UNAVAILABLE);
    end();
}

static int fresh(void **state)
{
    (void)state;
    return use_store(variable);
}

int main(void)
{
    static const struct {
        const char *variable, *group;
    } stores[] = { { "DOORBUSTER_TEST_REDIS", "redis/single" },
                   { "DOORBUSTER_TEST_REDIS_SENTINEL", "redis/sentinel" },
                   { "DOORBUSTER_TEST_REDIS_CLUSTER", "redis/cluster" } };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_answers, fresh),
        cmocka_unit_test_setup(test_many, fresh),
        cmocka_unit_test_setup(test_large, fresh),
        cmocka_unit_test_setup(test_keys, fresh),
        cmocka_unit_test_setup(test_quiet, fresh),
        cmocka_unit_test_setup(test_sync, fresh),
        cmocka_unit_test_setup(test_pipeline, fresh),
        cmocka_unit_test_setup(test_safety, fresh),
        cmocka_unit_test_setup(test_sync_of_nobody, fresh),
        cmocka_unit_test_setup(test_nobody_there, fresh),
    };
    const struct CMUnitTest of_cluster[] = { cmocka_unit_test_setup(test_migration, fresh) };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_COUNT(stores); i++) {
        variable = stores[i].variable;
        failed += cmocka_run_group_tests_name(stores[i].group, tests, NULL, NULL);
    }
    failed += cmocka_run_group_tests_name("redis/cluster", of_cluster, NULL, NULL);
    return failed;
}
