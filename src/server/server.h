// SPDX-License-Identifier: Apache-2.0
/*
 * The running server: stores, shop, HTTP, and N loop threads that share nothing else.
 *
 *     main thread     starts everything, then waits for signals; ends it (drain.c)
 *     loop threads    one loop, one HTTP listener of the same address, one shop_loop each
 *     writer thread   the ledger's
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "server/key_files.h"
#include "server/store.h"
#include "server/stores.h"

enum { SERVER_URL_BYTES = LOCK_URL_BYTES };

/* Its last step, told to the main thread by a signal (SERVER_SIGNAL_STEP). */
enum server_thread_step {
    SERVER_THREAD_SERVING,
    SERVER_THREAD_DRAINED, /* its HTTP servers have no connection any more */
    SERVER_THREAD_SETTLED, /* and every place it granted is stored */
};

/* One HTTP server of one thread. */
struct server_port {
    struct server_thread *thread;
    struct http_server *http; /* NULL: not made */
    bool open;                /* loop thread: listens, or has connections */
};

struct server_thread {
    struct server *server;
    pthread_t id;
    bool runs;
    struct loop *loop;
    struct shop_loop shop;
    bool has_shop;
    struct api_loop api, ops_api;
    struct server_port main, ops; /* `ops`: of the first thread, when ops.listen is set */
    bool stop_when_drained;
    _Atomic int step;              /* enum server_thread_step */
    const char *_Atomic waits_for; /* before it is settled */
    struct loop_task drain, cut, settle;
    struct loop_timer settle_again;
    struct server_gauge *gauge; /* server_gauge.h */
};

struct server {
    const struct config *config;
    struct store *store;
    struct key_files *key_files; /* NULL but in prod */
    struct metrics *metrics;
    struct stores stores;
    struct gateway *gateway;      /* NULL: payment.gateway none */
    struct server_events *events; /* NULL: nobody is told */
    struct shop shop;
    struct api api;
    struct config ops_config; /* the config, but that metrics are public; of ops_api */
    struct api ops_api;       /* of ops.listen: health and metrics only */
    struct server_thread *threads;
    size_t thread_count;
    char url[SERVER_URL_BYTES];     /* "http://127.0.0.1:8080" */
    char ops_url[SERVER_URL_BYTES]; /* "" without ops.listen */
    int64_t holders;                /* rows that the gates were rebuilt from */
};

/*
 * Opens the stores (locked and migrated) and binds the addresses; nothing is served yet. On
 * ERR_INVALID `ret_error` has a sentence. In any case server_close() follows.
 */
enum err server_open(struct server *server, struct config *config, struct store *store,
                     struct config_error *ret_error) MUST_CHECK;
/* Starts the threads; the server is ready. ERR_NOMEM. */
enum err server_start(struct server *server) MUST_CHECK;
/* The threads have ended, or never ran. */
void server_close(struct server *server);

/* ---- signals and the end: drain.c ---- */

/* Before any thread starts: those that server_wait() takes are blocked in all of them. */
void server_block_signals(void);
/*
 * Waits for SIGTERM or SIGINT and then ends what runs: not ready at once, serving on for a moment,
 * then draining, then the rows of what was granted, within http.drain_timeout. True: everything is
 * stored and all threads have ended. False: time ran out; exit now, the next start recovers.
 * A second signal ends the process at once. SIGUSR1 switches debug logging on and off.
 */
bool server_wait(struct server *server) MUST_CHECK;

/* ---- server_thread.c ---- */

enum err server_thread_init(struct server_thread *thread, struct server *server, bool first,
                            struct config_error *ret_error) MUST_CHECK;
enum err server_thread_start(struct server_thread *thread) MUST_CHECK;
void server_thread_join(struct server_thread *thread); /* after loop_stop() */
void server_thread_fini(struct server_thread *thread);
/* Any thread, each once: ends HTTP gracefully; cuts what is left of it; waits for the rows. */
void server_thread_drain(struct server_thread *thread);
void server_thread_cut(struct server_thread *thread);
void server_thread_settle(struct server_thread *thread);

/* server_thread.c to drain.c: a thread has taken a step. */
void server_tell_step(void);
