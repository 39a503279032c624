// SPDX-License-Identifier: Apache-2.0
#include "core/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hash.h"

enum { SLOW_MS = 50 };

static struct breaker breaker;
static uint64_t now_ms;

static void begin(void)
{
    struct breaker_options options = breaker_options_default(SLOW_MS, 7);

    now_ms = 123456;
    breaker_init(&breaker, &options, now_ms);
}

static bool call(bool failed, uint64_t took_ms)
{
    struct breaker_permit permit;

    if (!breaker_ask(&breaker, now_ms, &permit))
        return false;
    breaker_done(&breaker, now_ms, permit, failed, took_ms);
    return true;
}

static void expect_state(enum breaker_state state)
{
    assert_string_equal(breaker_state_name(breaker_status(&breaker, now_ms).state),
                        breaker_state_name(state));
}

static void fail_until_open(void)
{
    for (int i = 0; i < 20; i++)
        assert_true(call(true, 0));
    expect_state(BREAKER_OPEN);
}

static void test_half_failed_opens(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 10; i++)
        assert_true(call(false, SLOW_MS)); /* not slow: it took no longer */
    for (int i = 0; i < 9; i++)
        assert_true(call(true, 0));
    expect_state(BREAKER_CLOSED); /* 9 of 19 */
    assert_true(call(true, 0));
    expect_state(BREAKER_OPEN);
    assert_false(call(false, 0));
    assert_int_equal(breaker_status(&breaker, now_ms).not_permitted, 1);
}

static void test_too_few_calls_stay_closed(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 19; i++)
        assert_true(call(true, 0));
    assert_true(breaker_status(&breaker, now_ms).failed_percent < 0);
    now_ms += 10000; /* they have left the window */
    assert_int_equal(breaker_status(&breaker, now_ms).counts.calls, 0);
    for (int i = 0; i < 19; i++)
        assert_true(call(true, 0));
    expect_state(BREAKER_CLOSED);
}

static void test_half_slow_opens(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 10; i++)
        assert_true(call(false, 0));
    for (int i = 0; i < 10; i++)
        assert_true(call(false, SLOW_MS + 1));
    expect_state(BREAKER_OPEN);
}

static void test_exactly_so_many_trials(void **state)
{
    struct breaker_permit permits[5], more;

    (void)state;
    begin();
    fail_until_open();
    now_ms += 1200;
    expect_state(BREAKER_HALF_OPEN);
    for (int i = 0; i < 5; i++)
        assert_true(breaker_ask(&breaker, now_ms, &permits[i]));
    assert_false(breaker_ask(&breaker, now_ms, &more));
    breaker_give_back(&breaker, permits[4]);
    assert_true(breaker_ask(&breaker, now_ms, &permits[4]));
    assert_false(breaker_ask(&breaker, now_ms, &more));
    for (int i = 0; i < 5; i++) {
        expect_state(BREAKER_HALF_OPEN);
        assert_false(breaker_ask(&breaker, now_ms, &more));
        breaker_done(&breaker, now_ms, permits[i], i < 2, 0); /* 2 of 5 */
    }
    expect_state(BREAKER_CLOSED);
    assert_int_equal(breaker_status(&breaker, now_ms).counts.calls, 0);
}

/* Each time within 20 % of 1, 2, 4, 8, 16, 30, 30 s; not all the same; 1 s again once closed. */
static void test_open_time_doubles(void **state)
{
    static const uint64_t wanted_ms[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
    bool exact = true;

    (void)state;
    begin();
    fail_until_open();
    for (size_t i = 0; i < ARRAY_COUNT(wanted_ms); i++) {
        uint64_t open_ms = breaker.until_ms - now_ms;
        assert_in_range(open_ms, wanted_ms[i] * 8 / 10, wanted_ms[i] * 12 / 10);
        exact = exact && open_ms == wanted_ms[i];
        now_ms += open_ms - 1;
        assert_false(call(false, 0));
        now_ms += 1;
        for (int n = 0; n < 5; n++)
            assert_true(call(n >= 2, 0)); /* 3 of 5 */
        expect_state(BREAKER_OPEN);
    }
    assert_false(exact);
    now_ms = breaker.until_ms;
    for (int n = 0; n < 5; n++)
        assert_true(call(false, 0));
    expect_state(BREAKER_CLOSED);
    fail_until_open();
    assert_in_range(breaker.until_ms - now_ms, 800, 1200);
}

/* What began before the state changed says nothing about the state. */
static void test_late_results_do_not_count(void **state)
{
    struct breaker_permit late;

    (void)state;
    begin();
    assert_true(breaker_ask(&breaker, now_ms, &late));
    fail_until_open();
    breaker_done(&breaker, now_ms, late, false, 0);
    expect_state(BREAKER_OPEN);
    now_ms = breaker.until_ms;
    expect_state(BREAKER_HALF_OPEN);
    breaker_done(&breaker, now_ms, late, false, 0);
    breaker_give_back(&breaker, late);
    assert_int_equal(breaker_status(&breaker, now_ms).counts.calls, 0);
    for (int n = 0; n < 5; n++)
        assert_true(call(false, 0));
    expect_state(BREAKER_CLOSED);
}

static void test_probe(void **state)
{
    (void)state;
    begin();
    breaker_probed(&breaker, now_ms);
    expect_state(BREAKER_CLOSED);
    fail_until_open();
    breaker_probed(&breaker, now_ms);
    expect_state(BREAKER_HALF_OPEN);
}

static void test_by_hand(void **state)
{
    (void)state;
    begin();
    breaker_set(&breaker, BREAKER_FORCED_OPEN, now_ms);
    now_ms += 1000000;
    breaker_probed(&breaker, now_ms);
    assert_false(call(false, 0));
    breaker_set(&breaker, BREAKER_DISABLED, now_ms);
    for (int i = 0; i < 100; i++)
        assert_true(call(true, 1000));
    expect_state(BREAKER_DISABLED);
    breaker_set(&breaker, BREAKER_CLOSED, now_ms);
    fail_until_open();
}

static void test_clock_goes_back(void **state)
{
    (void)state;
    begin();
    fail_until_open();
    uint64_t until_ms = breaker.until_ms;
    now_ms = until_ms;
    expect_state(BREAKER_HALF_OPEN);
    now_ms -= 5000;
    assert_true(call(true, 0));
    expect_state(BREAKER_HALF_OPEN);
}

/* ---- the same decisions as a plain model: every call of a window kept in a list ---- */

enum { TRACES = 1000000, STEPS = 60, PERMITS = 12 };

struct model {
    struct breaker_options options;
    enum breaker_state state;
    struct {
        uint64_t at_ms;
        bool failed, slow;
    } call[STEPS + 1];
    int calls; /* since the state was entered */
    int let_through, era;
    uint64_t until_ms, open_ms; /* open_ms: of the next opening, without jitter */
};

static void model_enter(struct model *model, enum breaker_state state)
{
    model->state = state;
    model->calls = model->let_through = 0;
    model->era++;
    if (state != BREAKER_OPEN && state != BREAKER_HALF_OPEN)
        model->open_ms = model->options.open_ms;
}

/* The jitter is the breaker's; the model only knows how far it may go. */
static void model_open(struct model *model, uint64_t at_ms)
{
    uint64_t wanted = MIN(model->open_ms, (uint64_t)model->options.open_ms_max);
    uint64_t reach = wanted * model->options.jitter_percent / 100;

    model_enter(model, BREAKER_OPEN);
    model->until_ms = breaker.until_ms;
    assert_true(breaker.until_ms >= at_ms + wanted - reach &&
                breaker.until_ms <= at_ms + wanted + reach);
    model->open_ms = wanted * 2;
}

static void model_time(struct model *model, uint64_t at_ms)
{
    if (model->state == BREAKER_OPEN && at_ms >= model->until_ms)
        model_enter(model, BREAKER_HALF_OPEN);
}

static bool model_ask(struct model *model)
{
    if (model->state == BREAKER_HALF_OPEN)
        return model->let_through < (int)model->options.trial_calls && model->let_through++ >= 0;
    return model->state == BREAKER_CLOSED || model->state == BREAKER_DISABLED;
}

static void model_done(struct model *model, uint64_t at_ms, bool failed, bool slow)
{
    uint64_t width = model->options.window_ms / BREAKER_BUCKETS;
    uint32_t n = 0, bad = 0, late = 0;

    if (model->state != BREAKER_CLOSED && model->state != BREAKER_HALF_OPEN)
        return;
    model->call[model->calls].at_ms = at_ms;
    model->call[model->calls].failed = failed;
    model->call[model->calls++].slow = slow;
    for (int i = 0; i < model->calls; i++)
        if (model->state == BREAKER_HALF_OPEN ||
            at_ms / width - model->call[i].at_ms / width < BREAKER_BUCKETS) {
            n++;
            bad += model->call[i].failed;
            late += model->call[i].slow;
        }
    bool trying = model->state == BREAKER_HALF_OPEN;
    bool open = (double)bad / n >= model->options.failed_percent / 100.0 ||
                (double)late / n >= model->options.slow_percent / 100.0;
    if (n < (trying ? model->options.trial_calls : model->options.calls_min))
        return;
    if (open)
        model_open(model, at_ms);
    else if (trying)
        model_enter(model, BREAKER_CLOSED);
}

static uint64_t dice;

static uint32_t roll(uint32_t sides)
{
    dice = hash_u64(dice);
    return (uint32_t)(dice % sides);
}

struct open_call {
    bool used;
    struct breaker_permit permit;
    int era;
};

/* `bad` in 8 of the calls fail, the mood of this part of the trace. */
static void step(struct model *model, struct open_call calls[PERMITS], uint32_t bad)
{
    struct open_call *one = &calls[roll(PERMITS)];

    now_ms += roll(4) ? roll(300) : roll(3000);
    uint64_t told_ms = roll(10) ? now_ms : now_ms - roll(5000); /* a clock that goes back */
    model_time(model, now_ms);
    if (roll(150) == 0) {
        enum breaker_state state = (enum breaker_state)roll(BREAKER_STATE_COUNT);
        if (state == BREAKER_OPEN)
            state = BREAKER_CLOSED;
        breaker_set(&breaker, state, now_ms);
        model_enter(model, state);
        model->open_ms = model->options.open_ms;
    } else if (roll(100) == 0) {
        breaker_probed(&breaker, now_ms);
        if (model->state == BREAKER_OPEN)
            model_enter(model, BREAKER_HALF_OPEN);
    } else if (!one->used) {
        breaker_status(&breaker, now_ms); /* the latest time is known to it */
        bool wanted = model_ask(model);
        assert_int_equal(breaker_ask(&breaker, told_ms, &one->permit), wanted);
        one->used = wanted;
        one->era = model->era;
    } else if (roll(12) == 0) {
        breaker_status(&breaker, now_ms);
        breaker_give_back(&breaker, one->permit);
        model->let_through -= one->era == model->era && model->state == BREAKER_HALF_OPEN;
        one->used = false;
    } else {
        bool failed = roll(8) < bad, slow = roll(16) < bad;
        breaker_status(&breaker, now_ms);
        breaker_done(&breaker, told_ms, one->permit, failed, SLOW_MS + slow);
        if (one->era == model->era)
            model_done(model, now_ms, failed, slow);
        one->used = false;
    }
    assert_int_equal(breaker_status(&breaker, now_ms).state, model->state);
}

static void trace(uint64_t seed, int seen[BREAKER_STATE_COUNT])
{
    struct open_call calls[PERMITS] = { 0 };
    struct model model = { .state = BREAKER_CLOSED };

    dice = seed;
    model.options = breaker_options_default(SLOW_MS, seed);
    model.options.calls_min = 1 + roll(8);
    model.options.failed_percent = 1 + roll(100);
    model.options.slow_percent = 1 + roll(110);
    model.options.trial_calls = 1 + roll(5);
    model.options.window_ms = 1000 * (1 + roll(10));
    model.options.open_ms_max = 1000 + roll(9000);
    now_ms = 6000 + roll(2) * roll(100000);
    breaker_init(&breaker, &model.options, now_ms);
    model.open_ms = model.options.open_ms;
    for (int i = 0, bad = 0; i < STEPS; i++) {
        if (i % 15 == 0)
            bad = (int)roll(9);
        step(&model, calls, (uint32_t)bad);
        seen[model.state]++;
    }
}

static void test_as_the_model(void **state)
{
    int seen[BREAKER_STATE_COUNT] = { 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= TRACES; seed++)
        trace(seed, seen);
    for (int i = 0; i < BREAKER_STATE_COUNT; i++)
        assert_true(seen[i] > TRACES); /* every state is really walked through */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_failed_opens),
        cmocka_unit_test(test_too_few_calls_stay_closed),
        cmocka_unit_test(test_half_slow_opens),
        cmocka_unit_test(test_exactly_so_many_trials),
        cmocka_unit_test(test_open_time_doubles),
        cmocka_unit_test(test_late_results_do_not_count),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_clock_goes_back),
        cmocka_unit_test(test_as_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
