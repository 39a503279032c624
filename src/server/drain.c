// SPDX-License-Identifier: Apache-2.0
/*
 * The main thread waits for signals, and the end of the server is what it does when one came, one
 * step after the other. Loop threads tell it that they have taken a step with a signal of their
 * own, so that there is one thing to wait for.
 */
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/server.h"
#include "server/verb.h"

#define SERVER_SIGNAL_STEP SIGUSR2

#define LINGER_NS_MAX UINT64_C(400000000)
#define STORE_NS_MIN UINT64_C(1000000000)

static sigset_t waited_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SERVER_SIGNAL_STEP);
    return set;
}

void server_block_signals(void)
{
    sigset_t set = waited_signals();

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void server_tell_step(void)
{
    kill(getpid(), SERVER_SIGNAL_STEP);
}

static void toggle_debug(const struct server *server)
{
    bool debug = log_get_level() == LOG_DEBUG;
    enum log_level usual = server->config->log_level;

    log_set_level(!debug ? LOG_DEBUG : usual == LOG_DEBUG ? LOG_INFO : usual);
    log_write(LOG_WARN, "log level", &LOG_CSTR("to", log_level_name(log_get_level())), 1);
}

/* One signal, or none within the time; 0 then. */
static int next_signal(const struct server *server, uint64_t until_ns)
{
    sigset_t set = waited_signals();
    uint64_t now_ns = clock_mono_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec left = { .tv_sec = (time_t)(left_ns / 1000000000),
                             .tv_nsec = (long)(left_ns % 1000000000) };
    int number = sigtimedwait(&set, NULL, &left);

    if (number == SIGUSR1)
        toggle_debug(server);
    return number > 0 ? number : 0;
}

static bool all_are_at(const struct server *server, enum server_thread_step step)
{
    for (size_t i = 0; i < server->thread_count; i++)
        if (atomic_load(&server->threads[i].step) < (int)step)
            return false;
    return true;
}

/* A person who asks twice does not want to wait; what was answered is on disk anyway. */
static void end_at_second_signal(int number)
{
    if (number != SIGTERM && number != SIGINT)
        return;
    LOG(LOG_WARN, "second signal: ending at once");
    log_flush();
    _exit(VERB_INTERRUPTED);
}

static bool wait_step(const struct server *server, enum server_thread_step step, uint64_t until_ns)
{
    while (!all_are_at(server, step) && clock_mono_ns() < until_ns)
        end_at_second_signal(next_signal(server, until_ns));
    return all_are_at(server, step);
}

static void linger(const struct server *server, uint64_t until_ns)
{
    while (clock_mono_ns() < until_ns)
        end_at_second_signal(next_signal(server, until_ns));
}

static void each_thread(struct server *server, void (*act)(struct server_thread *thread))
{
    for (size_t i = 0; i < server->thread_count; i++)
        act(&server->threads[i]);
}

/* Of one of those that are not settled. */
static const char *waits_for(const struct server *server)
{
    const char *what = NULL;

    for (size_t i = 0; i < server->thread_count && !what; i++)
        if (atomic_load(&server->threads[i].step) < SERVER_THREAD_SETTLED)
            what = atomic_load(&server->threads[i].waits_for);
    return what ? what : "loops";
}

static bool give_up(const struct server *server, const char *what)
{
    struct ledger_stats ledger = ledger_stats(server->stores.ledger);

    LOG(LOG_ERROR, "not drained in time; the next start recovers", LOG_CSTR("waiting_for", what),
        LOG_INT("queued", ledger.queue_length));
    return false;
}

/* Eight tenths of the time belong to the requests, the rest, and with a very short time what is
 * needed, to what they left to be stored. */
static bool drain(struct server *server)
{
    uint64_t start_ns = clock_mono_ns();
    uint64_t all_ns = (uint64_t)server->config->http_drain_timeout_ms * 1000000;
    uint64_t end_ns = start_ns + MAX(all_ns, STORE_NS_MIN);

    atomic_store(&server->api.ready, false);
    atomic_store(&server->ops_api.ready, false);
    metrics_set(server->metrics, METRIC_ready, 0);
    LOG(LOG_INFO, "draining", LOG_INT("timeout_ms", server->config->http_drain_timeout_ms));
    log_flush();
    linger(server, start_ns + MIN(all_ns / 10, LINGER_NS_MAX));
    each_thread(server, server_thread_drain);
    if (!wait_step(server, SERVER_THREAD_DRAINED, start_ns + all_ns / 10 * 8)) {
        LOG(LOG_WARN, "connections cut: drain timeout");
        each_thread(server, server_thread_cut);
        if (!wait_step(server, SERVER_THREAD_DRAINED, end_ns))
            return give_up(server, "requests");
    }
    each_thread(server, server_thread_settle);
    if (!wait_step(server, SERVER_THREAD_SETTLED, end_ns))
        return give_up(server, waits_for(server));
    stores_stop_ledger(&server->stores);
    for (size_t i = 0; i < server->thread_count; i++) {
        loop_stop(server->threads[i].loop);
        server_thread_join(&server->threads[i]);
    }
    LOG(LOG_INFO, "stopped", LOG_INT("drain_ms", (clock_mono_ns() - start_ns) / 1000000));
    return true;
}

bool server_wait(struct server *server)
{
    for (;;) {
        int number = next_signal(server, clock_mono_ns() + UINT64_C(3600000000000));
        log_flush();
        if (number == SIGTERM || number == SIGINT)
            return drain(server);
    }
}
