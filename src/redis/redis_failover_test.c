// SPDX-License-Identifier: Apache-2.0
/*
 * A primary is killed, or stopped, while calls come all the time: each is told once, those told
 * "not executed" were not, and it goes on by itself when there is a new primary.
 */
#include <signal.h>

#include "redis/redis_fixture_test.h"

enum {
    EVERY_MS = 1,
    CALLS_MAX = 20000,
    WARM_UP_MS = 300,
    AFTER_MS = 500,      /* of good answers */
    PATIENCE_MS = 20000, /* of a busy machine */
    DEADLINE_MS = 150,
};

struct sent {
    struct redis_call call;
    const char *words[3];
    size_t bytes[3];
    char member[24];
    int done;
};

static struct sent sent[CALLS_MAX];
static size_t sent_count, open_count;
static uint64_t good_from_ms, bad_until_ms, failed_at_ms, noticed_at_ms;
static bool stopping;
static unsigned run;
static const char *set_key; /* whose primary fails */
static struct loop_timer tick;

static void on_sent_done(struct redis_call *call)
{
    struct sent *one = CONTAINER_OF(call, struct sent, call);
    uint64_t now = loop_now_ms(loop);

    one->done++;
    open_count--;
    if (failed_at_ms && !noticed_at_ms && call->err == ERR_UNAVAILABLE)
        noticed_at_ms = now; /* from here on calls fail at once */
    if (call->err == ERR_OK && call->reply->type == REDIS_REPLY_INTEGER) {
        if (!good_from_ms)
            good_from_ms = now;
    } else {
        good_from_ms = 0;
        bad_until_ms = now;
    }
    if (stopping && open_count == 0)
        loop_stop(loop);
}

/* SADD of a member of its own: what was executed can be looked up. */
static void send_one(struct loop_timer *timer)
{
    uint64_t now = loop_now_ms(loop);
    struct sent *one = &sent[sent_count++];

    *one = (struct sent){ .call = { .done = on_sent_done, .argc = 3 } };
    one->bytes[2] = (size_t)snprintf(one->member, sizeof one->member, "%u:%zu", run, sent_count);
    one->words[0] = "SADD", one->bytes[0] = 4;
    one->words[1] = set_key, one->bytes[1] = strlen(set_key);
    one->words[2] = one->member;
    one->call.argv = one->words;
    one->call.argv_bytes = one->bytes;
    one->call.key = str_from(set_key);
    one->call.deadline_ms = now + DEADLINE_MS;
    open_count++;
    redis_call(redis, &one->call);
    bool recovered = failed_at_ms && bad_until_ms > failed_at_ms && good_from_ms &&
                     now >= good_from_ms + AFTER_MS;
    bool enough = failed_at_ms ? recovered || now >= failed_at_ms + PATIENCE_MS
                               : good_from_ms && now >= good_from_ms + WARM_UP_MS;
    if (enough || sent_count == CALLS_MAX) {
        stopping = true;
        return;
    }
    assert_int_equal(loop_timer_start(loop, timer, EVERY_MS), ERR_OK);
}

static void send_on(void)
{
    stopping = false;
    good_from_ms = 0;
    tick.run = send_one;
    assert_int_equal(loop_timer_start(loop, &tick, 0), ERR_OK);
    loop_run(loop);
}

static pid_t pid;

static void on_info(struct redis_call *call)
{
    int64_t value;

    assert_int_equal(call->err, ERR_OK);
    assert_true(
        str_parse_int64(redis_info_find(redis_text(call->reply), STR("process_id")), &value));
    pid = (pid_t)value;
    loop_stop(loop);
}

static void find_primary(void)
{
    const char *words[] = { "INFO", "server" };
    struct redis_call call = { .done = on_info,
                               .argc = 2,
                               .argv = words,
                               .key = str_from(set_key),
                               .deadline_ms = loop_now_ms(loop) + CALL_MS };

    redis_call(redis, &call);
    loop_run(loop);
}

/* What a call was told is what the set says, but for writes that the fail-over lost. */
static void check_told(size_t *ret_unavailable, size_t *ret_uncertain)
{
    char question[64];

    *ret_unavailable = *ret_uncertain = 0;
    for (size_t i = 0; i < sent_count; i++) {
        assert_int_equal(sent[i].done, 1);
        enum err e = sent[i].call.err;
        assert_true(e == ERR_OK || e == ERR_UNAVAILABLE || e == ERR_UNCERTAIN);
        *ret_uncertain += e == ERR_UNCERTAIN;
        if (e != ERR_UNAVAILABLE)
            continue;
        ++*ret_unavailable;
        snprintf(question, sizeof question, "SISMEMBER %s %s", set_key, sent[i].member);
        struct asked asked = ask(question);
        assert_int_equal(asked.call.err, ERR_OK);
        if (asked.integer)
            fail_msg("told that it was not executed, and it was: %s", sent[i].member);
    }
}

static bool in_sync;

static void on_replication(struct redis_call *call)
{
    struct str text = call->reply ? redis_text(call->reply) : STR_NONE;

    in_sync = str_equal(redis_info_find(text, STR("connected_slaves")), STR("1")) &&
              memmem(text.ptr, text.len, "state=online", 12);
    loop_stop(loop);
}

/* The primary has a replica again, and sentinels have had time to see it. */
static void wait_for_replica(void)
{
    const char *words[] = { "INFO", "replication" };

    for (int i = 0; i < 200 && !in_sync; i++) {
        struct redis_call call = { .done = on_replication,
                                   .argc = 2,
                                   .argv = words,
                                   .key = str_from(set_key),
                                   .deadline_ms = loop_now_ms(loop) + CALL_MS };
        settle(100);
        redis_call(redis, &call);
        loop_run(loop);
    }
    assert_true(in_sync);
    in_sync = false;
    settle(2500);
}

static void fail_over(const char *what, int signal_number)
{
    size_t unavailable, uncertain;

    run++;
    sent_count = open_count = 0;
    failed_at_ms = bad_until_ms = noticed_at_ms = 0;
    begin_with(DEADLINE_MS);
    find_primary();
    send_on();
    assert_int_equal(sent[sent_count - 1].call.err, ERR_OK);
    assert_int_equal(kill(pid, signal_number), 0);
    failed_at_ms = loop_now_ms(loop);
    send_on();
    assert_true(bad_until_ms > failed_at_ms && good_from_ms > 0);
    uint64_t away_ms = bad_until_ms - failed_at_ms;
    settle(500);
    check_told(&unavailable, &uncertain);
    print_message("%s: noticed after %lu ms, away for %lu ms, %zu calls, %zu not executed, "
                  "%zu unknown\n",
                  what, (unsigned long)(noticed_at_ms - failed_at_ms), (unsigned long)away_ms,
                  sent_count, unavailable, uncertain);
    assert_in_range(noticed_at_ms - failed_at_ms, 0, 1000); /* 200, where nobody else is busy */
    if (signal_number == SIGSTOP) {
        kill(pid, SIGCONT);
        wait_for_replica();
    }
    end();
}

static void test_sentinel(void **state)
{
    (void)state;
    set_key = "{told}";
    assert_int_equal(use_store("DOORBUSTER_TEST_REDIS_SENTINEL"), 0);
    fail_over("sentinel, stopped", SIGSTOP);
    fail_over("sentinel, kill -9", SIGKILL);
}

static void test_cluster(void **state)
{
    (void)state;
    assert_int_equal(use_store("DOORBUSTER_TEST_REDIS_CLUSTER"), 0);
    set_key = "{told}"; /* of another node than this: */
    assert_int_not_equal(redis_slot_of(STR("{told}")) * 3 / REDIS_SLOTS,
                         redis_slot_of(STR("{foo}")) * 3 / REDIS_SLOTS);
    fail_over("cluster, stopped", SIGSTOP);
    set_key = "{foo}";
    fail_over("cluster, kill -9", SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentinel),
        cmocka_unit_test(test_cluster),
    };

    return cmocka_run_group_tests_name("redis/failover", tests, NULL, NULL);
}
