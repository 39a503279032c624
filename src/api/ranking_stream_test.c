// SPDX-License-Identifier: Apache-2.0
/* Streams of the ranking, in virtual time: who is told what, when, and how much of it. */
#include "api/api_ask_test.h"

enum { UNSENT_BYTES = 64 * 1024 /* a connection collects no more than about this */ };
enum { NAME_CHARS = LEDGER_PRODUCT_NAME_CHARS_MAX, BIG = 1000 /* ten products with long names */ };

static struct loop_sim_peer *listen_to(const char *query)
{
    struct loop_sim_peer *peer = loop_sim_dial(whole.loop, whole.port);
    struct buf request = { 0 };

    buf_printf(&request, "GET /api/products/ranking/stream%s HTTP/1.1\r\nHost: shop\r\n\r\n",
               query);
    loop_sim_send(peer, buf_str(&request));
    buf_fini(&request);
    loop_sim_turn(whole.loop);
    return peer;
}

static size_t count_of(const struct loop_sim_peer *peer, const char *word)
{
    struct str text = loop_sim_received(peer);
    size_t count = 0, length = strlen(word);

    for (size_t i = 0; i + length <= text.len; i++)
        count += memcmp(text.ptr + i, word, length) == 0;
    return count;
}

/* Since the last call of it. */
static void expect(struct loop_sim_peer *peer, size_t events, size_t comments)
{
    assert_int_equal(count_of(peer, "data: {"), events);
    assert_int_equal(count_of(peer, ": still here"), comments);
    loop_sim_drop(peer, loop_sim_received(peer).len);
}

static void sell(int64_t product_id)
{
    struct order_line line = { .product_id = product_id, .name = STR("x"), .quantity = 1 };
    struct ledger_order order = { .user_id = 1,
                                  .status = ORDER_COMPLETED,
                                  .lines = &line,
                                  .line_count = 1,
                                  .paid_at_ms = clock_wall_ms() };
    struct ledger_command import = { .op = LEDGER_ORDER_IMPORT,
                                     .order_import = { .order = &order } };

    ledger_run(whole.ledger, &import);
    assert_int_equal(import.err, ERR_OK);
    assert_false(import.order_import.taken);
}

static void make_big_products(void)
{
    static char name[3 * NAME_CHARS];

    static const char cup[3] = { '\xEC', '\xBB', '\xB5' }; /* 컵, without an end */

    for (size_t i = 0; i < NAME_CHARS; i++)
        memcpy(name + sizeof cup * i, cup, sizeof cup);
    for (int64_t i = 0; i < 10; i++) {
        struct ledger_product product = { .product_id = BIG + i, .name = { name, sizeof name } };
        struct ledger_command create = { .op = LEDGER_PRODUCT_CREATE,
                                         .product_create = { .product = &product } };
        ledger_run(whole.ledger, &create);
        assert_int_equal(create.err, ERR_OK);
        sell(BIG + i);
    }
}

static double streams_open(void)
{
    return (double)metrics_read(whole.metrics, METRIC_ranking_streams);
}

static void test_when(void **state)
{
    (void)state;
    whole_open(CONFIG_TEST);
    struct loop_sim_peer *first = listen_to(""), *weekly = listen_to("?window=weekly");
    expect(first, 1, 0); /* at once */
    expect(weekly, 1, 0);
    loop_sim_advance(whole.loop, 14500);
    expect(first, 0, 0);
    loop_sim_advance(whole.loop, 750);
    expect(first, 0, 1);
    expect(weekly, 0, 1);
    sell(PRODUCT_PLENTY);
    loop_sim_advance(whole.loop, 250);
    expect(first, 1, 0);
    expect(weekly, 1, 0);
    for (int i = 0; i < 5; i++)
        sell(PRODUCT_SCARCE); /* many sales, one event */
    struct loop_sim_peer *second = listen_to("");
    expect(second, 1, 0);
    loop_sim_advance(whole.loop, 250);
    expect(first, 1, 0);
    loop_sim_advance(whole.loop, 1000);
    expect(first, 0, 0);
    assert_true(streams_open() == 3);
    loop_sim_hang_up(second);
    loop_sim_reset(weekly);
    sell(PRODUCT_SCARCE);
    loop_sim_advance(whole.loop, 500);
    assert_true(streams_open() == 1);
    expect(first, 1, 0);
    ranking_streams_end(&whole.api_loop);
    loop_sim_turn(whole.loop);
    assert_int_equal(count_of(first, "0\r\n\r\n"), 1); /* the end, whole */
    assert_true(streams_open() == 0 && atomic_load(&whole.api.streams_open) == 0);
    loop_sim_hang_up(first);
    loop_sim_hang_up(weekly);
    struct answer answer = whole_call("GET", "/api/products/ranking/stream", "", NULL);
    assert_int_equal(answer.status, 503);
    whole_close();
}

/* Each of its events is some kilobytes. What it does not take in time is never queued. */
static void test_slow(void **state)
{
    (void)state;
    whole_open(CONFIG_TEST);
    make_big_products();
    struct loop_sim_peer *slow = listen_to(""), *quick = listen_to("");
    expect(slow, 1, 0);
    expect(quick, 1, 0);
    loop_sim_set_window(slow, 1000);
    for (int i = 0; i < 32; i++) { /* eight seconds: it is not given up yet */
        sell(BIG + i % 10);
        loop_sim_advance(whole.loop, 250);
        expect(quick, 1, 0);
    }
    loop_sim_set_window(slow, 1 << 20);
    loop_sim_turn(whole.loop);
    size_t bytes = loop_sim_received(slow).len, events = count_of(slow, "data: {");
    assert_true(bytes > UNSENT_BYTES && bytes < UNSENT_BYTES + 16384);
    assert_true(events >= 5 && events < 25);
    loop_sim_drop(slow, bytes);
    loop_sim_advance(whole.loop, 250);
    expect(slow, 1, 0); /* the newest, without those between */
    loop_sim_hang_up(slow);
    loop_sim_hang_up(quick);
    loop_sim_advance(whole.loop, 250);
    whole_close();
}

static void test_how_many(void **state)
{
    struct loop_sim_peer *peers[3];

    (void)state;
    whole_open(CONFIG_TEST);
    whole.config.ranking_streams_max = 3;
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = listen_to("");
        expect(peers[i], 1, 0);
    }
    struct loop_sim_peer *refused = listen_to("");
    assert_int_equal(count_of(refused, "HTTP/1.1 503"), 1);
    loop_sim_hang_up(refused);
    loop_sim_hang_up(peers[0]);
    sell(PRODUCT_PLENTY);
    loop_sim_advance(whole.loop, 250);
    sell(PRODUCT_PLENTY);
    loop_sim_advance(whole.loop, 250);
    peers[0] = listen_to("");
    expect(peers[0], 1, 0);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
        loop_sim_hang_up(peers[i]);
    loop_sim_turn(whole.loop);
    whole_close();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_slow),
        cmocka_unit_test(test_how_many),
    };
    return cmocka_run_group_tests_name("streams of the ranking", tests, NULL, NULL);
}
