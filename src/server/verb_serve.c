// SPDX-License-Identifier: Apache-2.0
/*
 * `serve`: from the command line to a server that answers. What is wrong before that is one clear
 * sentence and exit code 1. The first line on stdout is
 *
 *     listening on http://ADDR:PORT
 *
 * and with ops.listen the second is "operations on http://ADDR:PORT". Scripts may rely on both.
 */
#include <inttypes.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/server.h"
#include "server/server_postgres.h"
#include "server/verb.h"

/* Memory of a thread that has nothing to do is better shared: few arenas, given back early. */
static void tune_memory(const struct config *config)
{
    mallopt(M_ARENA_MAX, (int)config->threads + 1);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

static void raise_descriptors(const struct config *config)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    err_ignore(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? ERR_OK : ERR_IO, "then fewer connections");
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < (rlim_t)config->http_connections_max)
        LOG(LOG_WARN, "fewer descriptors than http.connections_max: raise `ulimit -Hn`",
            LOG_INT("descriptors", limit.rlim_max),
            LOG_INT("connections_max", config->http_connections_max));
}

/* The stores: fit to be served, locked, migrated. */
static enum err prepare(struct store *store, struct config *config, struct config_error *ret_error)
{
    int64_t applied;

    TRY(store_look(store, config, ret_error));
    TRY(store_may_serve(store, config, ret_error));
    if (store->postgres)
        TRY(server_postgres_check(config, ret_error));
    TRY(store_make_directory(store, ret_error));
    TRY(store_lock(store, LOCK_TO_WRITE, ret_error));
    TRY(store_look(store, config, ret_error)); /* as nobody else can change it any more */
    TRY(store_may_serve(store, config, ret_error));
    if (config->profile == CONFIG_PROD)
        return store_set_zone(store, config, ret_error);
    return store_migrate(store, config, &applied, ret_error);
}

/* A first drop to copy, for a person who has just started this for the first time. */
static void print_hints(const struct server *server)
{
    const char *url = server->url;
    char ends[CLOCK_RFC3339_BYTES];
    char data[PATH_MAX + 16] = "";

    if (config_source(server->config, CONFIG_data) != CONFIG_FROM_DEFAULT)
        snprintf(data, sizeof data, " --data %s", server->config->data);
    clock_format_rfc3339((clock_wall_ms() / 1000 + 30 * 86400) * 1000, ends);
    printf(
        "\n  health     curl %s/health/ready\n  contract   curl %s/openapi.json\n\n"
        "A first drop: make 1,000 coupons, take one, let 5,000 people at the rest, prove it.\n\n",
        url, url);
    printf("  curl %s/api/admin/coupons -H 'Content-Type: application/json' -d "
           "'{\"couponId\":100,\"name\":\"First drop\",\"discountRate\":10,\"totalQuantity\":1000,"
           "\"endsAt\":\"%s\"}'\n",
           url, ends);
    printf("  curl %s/api/coupons/100/issue   -H 'Content-Type: application/json' -d "
           "'{\"userId\":1000}'\n"
           "  curl %s/api/coupons/100/reserve -H 'Content-Type: application/json' -d "
           "'{\"userId\":1001}'\n",
           url, url);
    printf("  %s stampede 100 --users 1000-5999 --connections 64%s\n  %s prove 100%s\n\n",
           verb_program(), data, verb_program(), data);
}

static void announce(const struct server *server, uint64_t started_ns)
{
    printf("listening on %s\n", server->url);
    if (server->ops_url[0])
        printf("operations on %s\n", server->ops_url);
    if (server->config->profile == CONFIG_LOCAL)
        print_hints(server);
    fflush(stdout);
    LOG(LOG_INFO, "started", LOG_CSTR("url", server->url),
        LOG_CSTR("profile", config_profile_name(server->config->profile)),
        LOG_INT("threads", server->thread_count), LOG_INT("holders", server->holders),
        LOG_INT("start_ms", (clock_mono_ns() - started_ns) / 1000000));
    log_flush();
}

enum { GATES_WAIT_MS = 3000 };

/* Gates in a store are looked at, or built, by the first loop. Whoever reads the address may expect
 * them to be open, unless it takes long. */
static void await_gates(const struct server *server)
{
    const struct timespec moment = { .tv_nsec = 5 * 1000000 };
    uint64_t until_ms = clock_boot_ms() + GATES_WAIT_MS;

    while (gate_is_shared(server->stores.gate) && !shop_gates_are_open(&server->shop) &&
           clock_boot_ms() < until_ms)
        nanosleep(&moment, NULL);
}

/* From an open server to its end. */
static int run(struct server *server, uint64_t started_ns)
{
    if (lock_tell(server->store->lock, server->url) != ERR_OK)
        return verb_fail(VERB_FAILED, "cannot write %s/doorbuster.lock", server->store->directory);
    if (server_start(server) != ERR_OK) {
        verb_fail(VERB_FAILED, "cannot start %zu threads: choose fewer with --threads",
                  server->thread_count);
        _exit(VERB_FAILED); /* some of them may run */
    }
    await_gates(server);
    announce(server, started_ns);
    if (!server_wait(server)) {
        log_flush();
        _exit(VERB_FAILED); /* threads still run: no memory of theirs may go */
    }
    return VERB_OK;
}

static int serve(const struct verb *verb, struct config *config)
{
    struct store store = { .lock = -1 };
    struct server server = { 0 };
    uint64_t started_ns = clock_mono_ns();
    struct config_error error = { "out of memory" };
    int code;

    (void)verb;
    umask(0077); /* the stores are nobody else's to read */
    tune_memory(config);
    server_block_signals();
    enum err e = prepare(&store, config, &error);
    if (e == ERR_OK) {
        raise_descriptors(config);
        e = server_open(&server, config, &store, &error);
    }
    code = e == ERR_OK ? run(&server, started_ns) : verb_fail(VERB_FAILED, "%s", error.text);
    server_close(&server);
    store_unlock(&store);
    return code;
}

const struct verb verb_serve = {
    .name = "serve",
    .usage = "serve [FLAGS]",
    .about = "The server. Ends cleanly at SIGTERM; SIGUSR1 switches debug logging on and off.",
    .run = serve,
};
