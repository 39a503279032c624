// SPDX-License-Identifier: Apache-2.0
#include "server/server_gauge.h"

#include "base/clock.h"
#include "base/mem.h"

enum { EVERY_MS = 250 };

struct server_gauge {
    struct server_thread *thread;
    struct loop_hook hook;
    struct loop_timer timer;
    uint64_t due_ns;
    struct http_server_stats seen; /* what the metrics have already */
};

static bool count_turn(struct loop_hook *hook)
{
    struct server_gauge *gauge = CONTAINER_OF(hook, struct server_gauge, hook);

    metrics_add(gauge->thread->api.metrics, METRIC_loop_turns, 1);
    return false;
}

static void copy_http(struct server_gauge *gauge)
{
    const struct http_server_stats *now = http_server_stats(gauge->thread->main.http);
    struct http_server_stats *seen = &gauge->seen;
    struct metrics_slot *slot = gauge->thread->api.metrics;

#define GREW(member) (now->member - seen->member)
    metrics_level(slot, METRIC_http_connections, (int64_t)now->connections - seen->connections);
    metrics_add(slot, METRIC_http_accepted, GREW(accepted));
    metrics_add(slot, METRIC_http_refused,
                GREW(turned_away) + GREW(refused[HTTP_REFUSAL_TOO_MANY_CONNECTIONS]));
    metrics_add(slot, METRIC_http_timeouts, GREW(timed_out) + GREW(refused[HTTP_REFUSAL_TIMEOUT]));
#undef GREW
    *seen = *now;
}

static enum err timer_start(struct server_gauge *gauge)
{
    gauge->due_ns = clock_mono_ns() + EVERY_MS * UINT64_C(1000000);
    return loop_timer_start(gauge->thread->loop, &gauge->timer, EVERY_MS);
}

static void look(struct loop_timer *timer)
{
    struct server_gauge *gauge = CONTAINER_OF(timer, struct server_gauge, timer);
    uint64_t now_ns = clock_mono_ns();

    metrics_observe_ns(gauge->thread->api.metrics, METRIC_loop_lag,
                       now_ns > gauge->due_ns ? now_ns - gauge->due_ns : 0);
    copy_http(gauge);
    err_ignore(timer_start(gauge), "without memory the figures stand still; nothing else does");
}

enum err server_gauge_new(struct server_thread *thread, struct server_gauge **ret_gauge)
{
    struct server_gauge *gauge = mem_alloc(sizeof *gauge);

    if (!gauge)
        return ERR_NOMEM;
    gauge->thread = thread;
    gauge->hook.run = count_turn;
    gauge->timer.run = look;
    loop_hook_add(thread->loop, &gauge->hook);
    *ret_gauge = gauge;
    return timer_start(gauge);
}

void server_gauge_stop(struct server_gauge *gauge)
{
    loop_timer_stop(&gauge->timer);
}

struct server_gauge *server_gauge_free(struct server_gauge *gauge)
{
    if (gauge) {
        server_gauge_stop(gauge);
        loop_hook_remove(&gauge->hook);
    }
    return mem_free(gauge);
}
