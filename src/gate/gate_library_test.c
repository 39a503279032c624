// SPDX-License-Identifier: Apache-2.0
/*
 * The Function library by itself: what is asked and what it must answer, step by step. Then each of
 * its guards is taken away, one after the other, and a step must notice.
 */
#include <string.h>

#include "gate/gate_redis_fixture_test.h"

/* "!" begins a plain command, with the keys c, h, p and r by these letters. */
struct step {
    const char *call, *answer; /* NULL: any; ending in *: beginning with it */
};

enum { STEPS_MAX = 24 };

/* "-" is an argument of no characters. */
static const struct scene {
    const char *name;
    struct step steps[STEPS_MAX];
} scenes[] = {
#define ALWAYS "0 9999999999999 0"
#define OPENED(quantity)                        \
    { "begin 1 1 " quantity " " ALWAYS, "ok" }, \
    {                                           \
        "open 1 0 0 1", "ok"                    \
    }
    { "granting",
      { { "turn 1 0 ask 1 5 100", "missing 0 0 0 0 0 0 0 0 0 c" },
        OPENED("3"),
        { "turn 1 0 ask 4 5 100 6 101 7 102 8 103", "open 1 1 3 4 3 3 0 3 0 g1,2 g2,1 g3,0 s" },
        { "turn 1 0 ask 2 5 100 6 999", "open 1 1 3 4 3 3 0 3 0 g1,0 p2" },
        { "turn 1 0 ask 2 6 999 6 101", "open 1 1 3 4 3 3 0 3 0 p2 p2" },
        { "turn 2 0 ask 1 5 100", "open 1 1 3 4 3 3 0 3 0 c" },
        { "turn 0 0 ask 1 8 100", "open 1 1 3 4 3 3 0 3 0 c" },
        { "turn 1 0 confirm 3 5 1 6 2 7 3 ask 2 8 103 5 7", "open 1 1 3 4 3 0 0 6 0 S a1" } } },
    { "one user at once",
      { OPENED("3"), { "turn 1 0 ask 3 5 1 5 2 5 1", "open 1 1 3 2 1 1 0 1 0 g1,2 p1 p1" } } },
    { "releasing",
      {
          OPENED("3"),
          { "turn 1 0 ask 3 5 100 6 101 7 102", NULL },
          { "turn 1 0 release 1 6 1 101 1", "open 1 1 3 4 3 3 0 3 0 " },
          { "turn 1 0 release 1 6 2 100 1", "open 1 1 3 4 3 3 0 3 0 " },
          { "turn 1 0 release 1 6 2 101 2", "open 1 1 3 4 3 3 0 3 0 " },
          { "turn 1 0 release 1 8 2 101 1", "open 1 1 3 4 3 3 0 3 0 " },
          { "turn 1 0 ask 1 5 200 release 1 5 1 100 1", "open 1 1 3 4 3 3 0 5 1 g1,0" },
      } },
    { "releasing what was joined",
      { OPENED("3"),
        { "turn 1 0 ask 2 5 100 5 200", "open 1 1 3 2 1 1 0 1 0 g1,2 p1" },
        { "turn 1 0 release 1 5 1 200 1", "open 1 1 3 2 1 1 0 1 0 " },
        { "turn 1 0 ask 1 6 1 confirm 1 5 1", NULL },
        { "turn 1 0 release 1 5 1 200 1", "open 1 1 3 3 2 1 0 3 0 " },
        { "turn 1 0 ask 1 7 1", "open 1 1 3 4 3 2 0 4 0 g3,0" },
        { "turn 1 0 release 1 7 3 1 1", "open 1 1 3 4 2 1 1 5 1 " },
        { "turn 1 0 release 1 7 3 1 1", "open 1 1 3 4 2 1 1 5 0 " },
        { "turn 1 0 confirm 1 6 2 ask 2 8 1 9 1", "open 1 1 3 4 3 1 0 7 0 g3,0 s" } } },
    { "the smallest first",
      { OPENED("20"),
        { "turn 1 0 ask 11 1 1 2 1 3 1 4 1 5 1 6 1 7 1 8 1 9 1 10 1 11 1", NULL },
        { "turn 1 0 release 3 10 10 1 1 2 2 1 1 9 9 1 1", "open 1 1 20 12 8 8 3 14 3 " },
        { "turn 1 0 ask 4 21 1 22 1 23 1 24 1",
          "open 1 1 20 13 12 12 0 18 0 g2,11 g9,10 g10,9 g12,8" } } },
    { "not above the quantity",
      { OPENED("1"),
        { "!HSET h 5 8:100", NULL },
        { "!ZADD p 1 5", NULL },
        { "!HSET c held 1 pend 1", NULL },
        { "turn 1 0 release 1 5 8 100 1", "open 1 1 1 1 0 0 0 1 1 " } } },
    { "confirming",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "turn 1 0 confirm 1 5 2", "open 1 1 3 2 1 1 0 1 0 " },
        { "turn 1 0 confirm 1 6 1", "open 1 1 3 2 1 1 0 1 0 " },
        { "turn 9 0 confirm 1 5 1", "open 1 1 3 2 1 0 0 2 0 " },
        { "turn 1 0 confirm 1 5 1", "open 1 1 3 2 1 0 0 2 0 " } } },
    { "the order of tests",
      { { "begin 1 1 1 " ALWAYS, "ok" },
        { "!HSET h:1 5 1", NULL },
        { "open 1 1 0 2", "ok" },
        { "turn 1 0 ask 2 5 1 6 1", "open 1 1 1 2 1 0 0 0 0 a1 S" },
        { "turn 1 0 settings 1 2 1 0 9999999999999 1 ask 2 5 1 6 1",
          "open 1 2 1 2 1 0 0 1 0 a1 e" },
        { "turn 1 0 settings 1 3 1 9999999999998 9999999999999 1 ask 2 5 1 6 1",
          "open 1 3 1 2 1 0 0 2 0 a1 b" },
        { "turn 1 0 settings 1 4 1 0 1 1 ask 2 5 1 6 1", "open 1 4 1 2 1 0 0 3 0 a1 x" },
        { "turn 1 0 settings 1 4 9 0 9999999999999 0 ask 1 6 1", "open 1 4 1 2 1 0 0 3 0 x" },
        { "turn 1 0 settings 1 3 9 0 9999999999999 0 ask 1 6 1", "open 1 4 1 2 1 0 0 3 0 x" },
        { "turn 1 0 settings 1 5 2 0 9999999999999 0 ask 2 6 1 7 1",
          "open 1 5 2 3 2 1 0 5 0 g2,0 s" } } },
    { "a test's clock",
      { OPENED("3"),
        { "turn 1 9999999999999 ask 1 5 1", "open 1 1 3 1 0 0 0 0 0 x" },
        { "turn 1 -9999999999999 ask 1 5 1", "open 1 1 3 1 0 0 0 0 0 b" },
        { "turn 1 0 ask 1 5 1", "open 1 1 3 2 1 1 0 1 0 g1,2" } } },
    { "a lower quantity",
      { OPENED("3"),
        { "turn 1 0 settings 1 2 2 " ALWAYS " ask 1 5 1", "sealed 1 1 3 1 0 0 0 0 0 c" },
        { "turn 1 0 settings 1 3 5 " ALWAYS " ask 1 5 1", "sealed 1 3 5 1 0 0 0 1 0 c" } } },
    { "sealing",
      { { "seal 1", "missing" },
        OPENED("3"),
        { "turn 1 0 ask 2 5 100 6 101", NULL },
        { "seal 0", "conflict 1" },
        { "seal 1", "ok" },
        { "turn 1 0 ask 1 5 100 confirm 1 5 1 release 1 6 2 101 1 offer 1 7 3 1 sweep 1 0 9 1",
          "sealed 1 1 3 3 1 0 1 4 1 c c 0" },
        { "open 1 1 1 3", "conflict" } } },
    { "moving",
      { OPENED("5"),
        { "turn 1 0 ask 3 5 100 6 101 7 102", NULL },
        { "turn 1 0 move 1 5 2 0", "open 1 1 5 4 3 3 0 3 0 c" },
        { "turn 2 0 move 1 5 1 0", "open 1 1 5 4 3 3 0 3 0 c" },
        { "turn 1 0 move 1 9 1 0", "open 1 1 5 4 3 3 0 3 0 c" },
        { "turn 1 0 move 1 5 1 0", "open 1 1 5 5 3 3 0 4 0 g4" },
        { "turn 1 0 release 1 5 1 100 1", "open 1 1 5 5 3 3 0 4 0 " },
        { "turn 1 0 move 1 6 2 5", "open 1 1 5 6 3 2 1 5 0 a5" },
        { "turn 1 0 ask 2 6 7 8 1", "open 1 1 5 6 4 3 0 6 0 a5 g2,0" },
        { "turn 1 0 move 1 7 3 0", "open 1 1 5 6 3 2 0 7 0 s" },
        { "turn 1 0 ask 1 7 102", "open 1 1 5 6 3 2 0 7 0 s" },
        { "turn 1 0 release 1 5 4 100 1", "open 1 1 5 6 2 1 1 8 1 " },
        { "turn 1 0 move 1 8 2 4", "open 1 1 5 6 2 0 1 9 0 a4" },
        { "turn 1 0 ask 2 1 1 2 1", "open 1 1 5 6 3 1 0 10 0 g2,0 s" } } },
    { "the user's own far ahead",
      { OPENED("5"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "turn 1 0 move 1 5 1 4", "open 1 1 5 5 1 0 3 2 0 a4" },
        { "turn 1 0 ask 5 6 1 7 1 8 1 9 1 10 1",
          "open 1 1 5 6 5 4 0 6 0 g1,3 g2,2 g3,1 g5,0 s" } } },
    { "who joined has joined",
      { OPENED("5"),
        { "turn 1 0 ask 1 5 100", "open 1 1 5 2 1 1 0 1 0 g1,4" },
        { "turn 1 0 ask 1 5 100", "open 1 1 5 2 1 1 0 1 0 g1,4" },
        { "turn 1 0 ask 1 5 200", "open 1 1 5 2 1 1 0 1 0 p1" },
        { "turn 1 0 ask 1 5 200", "open 1 1 5 2 1 1 0 1 0 p1" },
        { "turn 1 0 ask 1 5 100", "open 1 1 5 2 1 1 0 1 0 p1" } } },
    { "too far ahead for one step",
      { OPENED("300000"),
        { "turn 1 0 offer 1 5 290000 900", "open 1 1 300000 2 1 1 0 1 0 g1" },
        { "turn 1 0 offer 1 6 100002 901", "open 1 1 300000 100003 2 2 100000 2 0 g100002" },
        { "turn 1 0 move 1 5 1 290000 ask 1 7 1", "sealed 1 1 300000 100003 2 2 100000 2 0 c c" },
        { "turn 1 0 sweep 1 0 9 1", "sealed 1 1 300000 100003 2 2 100000 2 0 2 5,1 6,100002" } } },
    { "offers",
      { { "begin 2 1 6 " ALWAYS, "ok" },
        { "!HSET h:2 10 1 30 3", NULL },
        { "!ZADD r:2 2 2", NULL },
        { "open 2 2 1 4", "ok" },
        { "turn 2 0 offer 2 20 2 900 60 6 901", "open 2 1 6 7 4 2 2 2 0 g2 g6" },
        { "turn 2 0 release 1 20 2 900 2", "open 2 1 6 7 4 2 2 2 0 " },
        { "turn 2 0 offer 4 31 3 902 90 9 903 10 5 904 20 5 905",
          "open 2 1 6 7 6 4 0 4 0 g4 g5 a1 p2" },
        { "turn 2 0 offer 1 91 2 906", "open 2 1 6 7 6 4 0 4 0 s" },
        { "turn 1 0 offer 1 91 2 906", "open 2 1 6 7 6 4 0 4 0 c" },
        { "turn 2 0 settings 1 2 9 0 1 1 offer 1 92 1 907", "open 2 2 9 8 7 5 0 6 0 g7" } } },
    { "sweeping",
      { OPENED("9"),
        { "turn 1 0 ask 3 5 100 6 101 7 102 oldest 0", "open 1 1 9 4 3 3 0 3 0 g1,8 g2,7 g3,6 0" },
        { "turn 1 0 sweep 1 1000 9 777", "open 1 1 9 4 3 3 0 3 0 0" },
        { "!ZADD p 1 5 2 6", NULL },
        { "turn 2 0 sweep 1 1000 9 776", "open 1 1 9 4 3 3 0 3 0 0" },
        { "turn 1 0 sweep 1 1000 1 777", "open 1 1 9 4 3 3 0 3 0 1 5,1" },
        { "turn 1 0 sweep 1 1000 9 778", "open 1 1 9 4 3 3 0 3 0 1 6,2" },
        { "turn 1 0 sweep 1 1000 9 779", "open 1 1 9 4 3 3 0 3 0 0" },
        { "turn 1 0 release 2 5 1 100 1 6 2 778 1", "open 1 1 9 4 3 3 0 3 0 " },
        { "turn 1 0 ask 1 6 778", "open 1 1 9 4 3 3 0 3 0 p2" },
        { "!ZADD p 1 5", NULL },
        { "turn 1 0 confirm 1 5 1 sweep 1 1000 9 780", "open 1 1 9 4 3 2 0 4 0 0" } } },
    { "another node's memory",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "!HSET c replid 0123456789", NULL },
        { "turn 1 0 ask 1 6 100 move 1 5 1 0 confirm 1 5 1 oldest 0",
          "lost 1 1 3 2 1 1 0 1 0 c c 0" },
        { "!HGET c state", "lost" },
        { "turn 1 0 ask 1 6 100 sweep 1 0 9 1", "lost 1 1 3 2 1 1 0 1 0 c 0" },
        { "seal 1", "ok" },
        { "!HGET c state", "lost" },
        { "begin 1 1 3 " ALWAYS, "conflict 1" },
        { "begin 2 1 3 " ALWAYS, "ok" },
        { "!HSET c replid 0123456789", NULL },
        { "open 2 0 0 1", "conflict" } } },
    { "everybody is missing",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "!DEL h", NULL },
        { "turn 1 0 ask 1 6 100", "lost 1 1 3 2 1 1 0 1 0 c" },
        { "!HSET h 5 1:100", NULL },
        { "turn 1 0 ask 1 6 100 confirm 1 5 1", "lost 1 1 3 2 1 1 0 1 0 c" } } },
    { "who is pending is missing",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "!DEL p", NULL },
        { "turn 1 0 ask 1 6 100", "lost 1 1 3 2 1 1 0 1 0 c" } } },
    { "what came back is missing",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "turn 1 0 release 1 5 1 100 1", NULL },
        { "!DEL r", NULL },
        { "turn 1 0 ask 1 6 100", "lost 1 1 3 2 0 0 1 2 0 c" } } },
    { "the counts are missing",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "!DEL c", NULL },
        { "turn 1 0 ask 1 6 100", "lost 0 0 0 0 0 0 0 0 0 c" } } },
    { "a count is missing",
      { OPENED("3"),
        { "!HDEL c next", NULL },
        { "turn 1 0 ask 1 6 100", "lost 1 1 3 0 0 0 0 0 0 c" } } },
    { "all is missing",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "!DEL c h p r", NULL },
        { "turn 1 0 ask 1 6 100", "missing 0 0 0 0 0 0 0 0 0 c" },
        { "open 1 0 0 1", "conflict" } } },
    { "checked before anything is written",
      { OPENED("3"),
        { "turn 1 0 ask 1 5 100", NULL },
        { "turn 1 0 confirm 1 5 1 ask 1 x 100", "ERR doorbuster*" },
        { "turn 1 0 release 2 6 1 1 1 5 1", "ERR doorbuster*" },
        { "turn 1 0 confirm 2 5 1 - 1", "ERR doorbuster*" },
        { "turn 1 0 confirm 1 5 1 ask 2 6 100", "ERR doorbuster*" },
        { "turn 1 0 confirm 1 5 1 nonsense 0", "ERR doorbuster*" },
        { "turn 1 0 confirm 1 5 1 confirm 1 5 1", "ERR doorbuster*" },
        { "turn 1 x confirm 1 5 1", "ERR doorbuster*" },
        { "turn x 0 confirm 1 5 1", "ERR doorbuster*" },
        { "turn 1 0 release x 5 1 100 1", "ERR doorbuster*" },
        { "turn 1 0", "open 1 1 3 2 1 1 0 1 0 " } } },
    { "building",
      { { "begin 3 1 5 " ALWAYS, "ok" },
        { "begin 3 1 5 " ALWAYS, "conflict 3" },
        { "begin 2 1 5 " ALWAYS, "conflict 3" },
        { "begin x 1 5 " ALWAYS, "ERR doorbuster*" },
        { "turn 3 0 ask 1 5 1", "building 3 1 5 1 0 0 0 0 0 c" },
        { "!HSET h:2 7 1 8 2 9 3", NULL },
        { "!HSET h:3 7 2 8 4", NULL },
        { "!ZADD r:3 1 1 3 3", NULL },
        { "!PEXPIRE h:3 100000", NULL },
        { "open 2 2 2 5", "conflict" },
        { "open 3 3 2 5", "corrupt" },
        { "open 3 2 1 5", "corrupt" },
        { "open 3 2 2 x", "ERR doorbuster*" },
        { "open 3 2 2 5", "ok" },
        { "open 3 2 2 5", "conflict" },
        { "!TTL h", "-1" },
        { "!EXISTS h:3 r:3", "0" },
        { "turn 3 0 ask 3 7 1 1 1 2 1", "open 3 1 5 5 4 2 0 2 0 a2 g1,2 g3,1" },
        { "begin 4 1 5 " ALWAYS, "ok" },
        { "!EXISTS h p r", "0" },
        { "!HSET h:4 7 1", NULL },
        { "begin 5 1 5 " ALWAYS, "ok" },
        { "!EXISTS h:4", "0" },
        { "turn 3 0 ask 1 7 1", "building 5 1 5 1 0 0 0 0 0 c" } } },
};

/* ---- one step ---- */

static const char key_ends[] = "chpr";
static char key[DROP_KEYS][DROP_KEY_BYTES];
static size_t wrong;
static bool telling; /* of what is wrong */

static size_t split(char *text, const char **words, size_t room)
{
    size_t count = 0;

    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        assert_true(count < room);
        words[count++] = word;
    }
    return count;
}

static redisReply *run(const char *call)
{
    char text[512], name[FUNCTION_BYTES];
    static char names[64][DROP_KEY_BYTES + 8];
    const char *words[64] = { "" }, *argv[72];
    size_t bytes[72], argc = 0;
    redisReply *reply = NULL;
    bool plain = call[0] == '!';

    snprintf(text, sizeof text, "%s", call + plain);
    size_t count = split(text, words, ARRAY_COUNT(words));
    redis_function_name(words[0], name);
    if (!plain) {
        argv[argc++] = "FCALL";
        argv[argc++] = name;
        argv[argc++] = "4";
        for (size_t i = 0; i < DROP_KEYS; i++)
            argv[argc++] = key[i];
    }
    for (size_t i = plain ? 0 : 1; i < count; i++) {
        const char *at =
            plain && (!words[i][1] || words[i][1] == ':') ? strchr(key_ends, words[i][0]) : NULL;
        if (at) {
            snprintf(names[i], sizeof names[i], "%s%s", key[at - key_ends], words[i] + 1);
            argv[argc++] = names[i];
        } else {
            argv[argc++] = strcmp(words[i], "-") == 0 ? "" : words[i];
        }
    }
    for (size_t i = 0; i < argc; i++)
        bytes[i] = strlen(argv[i]);
    struct redis_command command = {
        .argc = argc, .argv = argv, .argv_bytes = bytes, .key = { key[0], strlen(key[0]) }
    };
    assert_ok(redis_sync_call(redis_hand, &command, &reply));
    return reply;
}

static bool fits(const char *said, const char *expected)
{
    size_t n = strlen(expected);

    return n && expected[n - 1] == '*' ? strncmp(said, expected, n - 1) == 0
                                       : strcmp(said, expected) == 0;
}

static void take_step(const struct scene *scene, const struct step *step)
{
    redisReply *reply = run(step->call);
    char number[24];

    snprintf(number, sizeof number, "%lld", reply->integer);
    const char *said = reply->type == REDIS_REPLY_INTEGER ? number : reply->str ? reply->str : "";
    if (step->answer && !fits(said, step->answer)) {
        wrong++;
        if (telling)
            print_error("%s: %s\n  said     %s\n  expected %s\n", scene->name, step->call, said,
                        step->answer);
    }
    freeReplyObject(reply);
}

static size_t play(void)
{
    wrong = 0;
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        freeReplyObject(run("!DEL c h p r h:1 h:2 h:3 h:4 r:1 r:2 r:3"));
        for (size_t j = 0; j < STEPS_MAX && scenes[i].steps[j].call; j++)
            take_step(&scenes[i], &scenes[i].steps[j]);
    }
    return wrong;
}

static void load(const char *text)
{
    redisReply *reply = REDIS_DO(key[0], "FUNCTION", "LOAD", "REPLACE", text);

    freeReplyObject(reply);
}

static int setup(void **state)
{
    (void)state;
    redis_connect();
    for (size_t i = 0; i < DROP_KEYS; i++)
        snprintf(key[i], sizeof key[i], GATE_KEY_PREFIX "{coupon:7}:%c", key_ends[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redis_hand = redis_sync_close(redis_hand);
    return 0;
}

static void test_scenes(void **state)
{
    (void)state;
    load(gate_library);
    telling = true;
    assert_int_equal(play(), 0);
    telling = false;
}

/* ---- each guard taken away ---- */

static const struct {
    const char *guard, *without;
} guards[] = {
    { "and row[3] == replid()", "" },
    { "call('HLEN', keys[2]) == now.held", "true" },
    { "call('ZCARD', keys[3]) == now.pend", "true" },
    { "call('ZCARD', keys[4]) == now.ret", "true" },
    { "call('EXISTS', unpack(keys)) > 0", "false" },
    { "and now.next\n", "\n" },
    { "if now.state == 'lost' then", "if false then" },
    { "call('HSET', keys[1], 'state', 'lost')", "" },
    { "step.open = now.state == 'open' and step.same", "step.open = now.state == 'open'" },
    { "step.open = now.state == 'open' and step.same", "step.open = step.same" },
    { "if slot == args[i + 1] and step.same then", "if slot == args[i + 1] then" },
    { "not step.same and {} or", "" },
    { "if known == token and joined == '' then", "if false then" },
    { "if known == token and joined == '' then", "if known == token then" },
    { "if slot - now.next > SKIP_MAX then", "if false then" },
    { "if own - step.now.next > SKIP_MAX then", "if false then" },
    { "step.now.state, step.open = 'sealed', false", "step.now.state = 'sealed'" },
    { "        put(step, user, slot .. ':' .. token .. ':1')\n        return 'p' .. slot",
      "        return 'p' .. slot" },
    { "if step.wall < now.starts then", "if false then" },
    { "elseif step.wall >= now.ends then", "elseif false then" },
    { "elseif now.closed then", "elseif false then" },
    { "step.wall = step.ms + tonumber(args[2])", "step.wall = step.ms" },
    { "return now.pend == 0 and 'S' or 's'", "return 'S'" },
    { "and sub(value, 1, before - 1) == slot then", "then" },
    { "and sub(value, before, before) == ':'", "" },
    { "if slot == args[i + 1] and token == args[i + 2]", "if token == args[i + 2]" },
    { "and token == args[i + 2] and joined == ''", "and joined == ''" },
    { "and joined == ''\n", "\n" },
    { "and tonumber(args[i + 3]) == step.now.epoch", "" },
    { "if slot <= step.now.quantity then", "if true then" },
    { "if slot == args[i + 1] and step.same then", "if slot and step.same then" },
    { "if call('ZREM', step.keys[4], own) == 1 then", "if false then" },
    { "if own >= step.now.next then", "if false then" },
    { "if old ~= own then", "if false then" },
    { "if slot < 1 or slot > now.quantity then", "if false then" },
    { "if slot >= now.next then", "if false then" },
    { "if not step.open then", "if false then" },
    { "granted(step, user, format('%d', slot), args[i + 2], ':1')",
      "granted(step, user, format('%d', slot), args[i + 2], '')" },
    { "if tonumber(args[at]) <= now.version then", "if tonumber(args[at]) < now.version then" },
    { "if tonumber(args[at + 1]) < now.quantity then", "if false then" },
    { "step.ms - tonumber(args[at])", "step.ms" },
    { "'LIMIT', 0, args[at + 1]", "'LIMIT', 0, 1000" },
    { "            insert(step.begun, step.ms_text)\n            insert(step.begun, users[i])\n",
      "" },
    { "put(step, users[i], slot .. ':' .. args[at + 2] .. ':1')",
      "put(step, users[i], slot .. ':' .. args[at + 2])" },
    { "if epoch and epoch >= tonumber(args[1]) then", "if false then" },
    { "if epoch and epoch >= tonumber(args[1]) then",
      "if epoch and epoch > tonumber(args[1]) then" },
    { "call('UNLINK', unpack(keys))", "" },
    { "or now.state ~= 'building'", "" },
    { "or tonumber(args[1]) ~= now.epoch", "" },
    { "call('HLEN', holders) ~= tonumber(args[2])", "false" },
    { "or call('ZCARD', returned) ~= tonumber(args[3])", "" },
    { "call('PERSIST', to)", "" },
    { "call('UNLINK', keys[2] .. ':' .. epoch, keys[4] .. ':' .. epoch)", "" },
    { "if epoch and tonumber(epoch) > tonumber(args[1]) then", "if false then" },
    { "if state ~= 'lost' then", "if true then" },
    { "if not are_numbers(args, first, last) then", "if false then" },
    { "elseif not args[last] then", "elseif false then" },
    { "return not find(text, '[^%d,]') and", "return" },
    { "and not find(text, ',,', 1, true)", "" },
    { "or sections[name] or", "or" },
    { "or not is_number(count)", "" },
    { "if not is_number(args[1]) or not match(args[2] or '', '^-?%d+$') then",
      "if not is_number(args[1]) then" },
    { "if not is_number(args[1]) or not match(args[2] or '', '^-?%d+$') then",
      "if not match(args[2] or '', '^-?%d+$') then" },
};

/* The library with one place changed. */
static char *changed(const char *guard, const char *without)
{
    const char *at = strstr(gate_library, guard);
    char *text = test_malloc(gate_library_bytes + strlen(without) + 1);

    if (!at)
        fail_msg("the library has no: %s", guard);
    sprintf(text, "%.*s%s%s", (int)(at - gate_library), gate_library, without, at + strlen(guard));
    return text;
}

static void test_every_guard(void **state)
{
    size_t unnoticed = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(guards); i++) {
        char *text = changed(guards[i].guard, guards[i].without);
        load(text);
        test_free(text);
        if (play() == 0) {
            print_error("nobody missed: %s\n", guards[i].guard);
            unnoticed++;
        }
    }
    load(gate_library);
    assert_int_equal(unnoticed, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_scenes),
                                               cmocka_unit_test(test_every_guard) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
