// SPDX-License-Identifier: Apache-2.0
/* A loop, and calls on it that are waited for. DOORBUSTER_TEST_POSTGRES is an empty database. */
#pragma once
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "pg/pg_internal.h"

static struct loop *loop;
static struct pg_source *source;
static struct pg_reason reason;

static inline const char *test_url(void)
{
    const char *url = getenv("DOORBUSTER_TEST_POSTGRES");

    if (!url)
        fail_msg("DOORBUSTER_TEST_POSTGRES is not set: run this by test/with_stores.py");
    return url;
}

static inline void begin_at(const char *url)
{
    struct pg_options options = { .url = url };

    loop = loop_new();
    assert_non_null(loop);
    assert_int_equal(pg_source_new(&options, &source, &reason), ERR_OK);
}

static inline void finish(void)
{
    loop = loop_free(loop);
    source = pg_source_free(source);
}

/* ---- waiting ---- */

struct pause {
    struct loop_timer timer;
};

static inline void pause_over(struct loop_timer *timer)
{
    loop_stop(timer->loop);
}

/* The loop runs for so long. */
static inline void run_for(uint64_t ms)
{
    struct pause pause = { .timer = { .run = pause_over } };

    assert_int_equal(loop_timer_start(loop, &pause.timer, ms), ERR_OK);
    loop_run(loop);
    loop_timer_stop(&pause.timer);
}

static inline void opened(struct pg_open *open)
{
    (void)open;
    loop_stop(loop);
}

static inline enum err open_within(struct pg_conn *conn, uint64_t ms)
{
    struct pg_open open = { .done = opened, .deadline_ms = loop_now_ms(loop) + ms };

    pg_conn_open(conn, &open);
    loop_run(loop);
    reason = open.reason;
    return open.err;
}

static inline struct pg_conn *connect_one(void)
{
    struct pg_conn *conn = pg_conn_new(loop, source);

    assert_non_null(conn);
    enum err e = open_within(conn, 10000);
    if (e != ERR_OK)
        fail_msg("%s: %s", err_name(e), reason.text);
    return conn;
}

static inline void exchanged(struct pg_exchange *exchange)
{
    (void)exchange;
    loop_stop(loop);
}

static inline enum err run_statements(struct pg_conn *conn, struct pg_exchange *exchange,
                                      const struct pg_statement *statements, size_t count,
                                      uint64_t ms)
{
    *exchange = (struct pg_exchange){ .done = exchanged,
                                      .statements = statements,
                                      .count = count,
                                      .deadline_ms = loop_now_ms(loop) + ms };
    pg_exchange(conn, exchange);
    loop_run(loop);
    return exchange->err;
}

/* One statement without parameters, its results dropped. */
static inline enum err run_sql(struct pg_conn *conn, const char *sql)
{
    const struct pg_statement statement = { .sql = sql };
    struct pg_exchange exchange;
    enum err e = run_statements(conn, &exchange, &statement, 1, 10000);

    pg_exchange_fini(&exchange);
    return e;
}

/* On a connection of its own, blocking. */
static inline void run_apart(const char *sql)
{
    struct pg_options options = { .url = test_url() };
    PGconn *pg = NULL;

    enum err e = pg_sync_open(&options, &pg, &reason);
    if (e != ERR_OK)
        fail_msg("%s: %s", err_name(e), reason.text);
    e = pg_sync_script(pg, sql, 10000, &reason);
    if (e != ERR_OK)
        fail_msg("%s: %s: %s", sql, err_name(e), reason.text);
    PQfinish(pg);
}

/* The number after the last colon. */
static inline uint16_t port_of(const char *url)
{
    const char *colon = url ? strrchr(url, ':') : NULL;

    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

/* ---- peers that are none ---- */

/* Listens and says nothing; *ret_port. */
static inline int silent_peer(uint16_t *ret_port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &bytes), 0);
    *ret_port = ntohs(addr.sin_port);
    return fd;
}

/* A port where nobody listens. */
static inline uint16_t dead_port(void)
{
    uint16_t port;
    int fd = silent_peer(&port);

    close(fd);
    return port;
}
