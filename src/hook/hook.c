// SPDX-License-Identifier: Apache-2.0
#include "hook/hook.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "hook/hook_multi.h"
#include "hook/hook_sign.h"

enum { ANSWER_BYTES_MAX = 64 * 1024 };

struct hook {
    char *url;
    const char *ca_file; /* NULL: the system's */
    struct buf secret;
    uint32_t connect_timeout_ms, timeout_ms;
};

struct hook_client {
    const struct hook *hook;
    struct hook_multi multi;
    struct list calls; /* under way */
};

/* ---- one call ---- */

static void tell_done(struct loop_task *task)
{
    struct hook_call *call = CONTAINER_OF(task, struct hook_call, task);

    call->done(call);
}

static void fini(struct hook_call *call)
{
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    call->easy = call->headers = NULL;
}

static void end_later(struct hook_call *call, const char *why)
{
    fini(call);
    call->status = 0;
    snprintf(call->why, sizeof call->why, "%s", why);
    call->task.run = tell_done;
    loop_post(call->client->multi.loop, &call->task);
}

static void on_over(CURL *easy, CURLcode result)
{
    struct hook_call *call = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &call->status);
    if (result != CURLE_OK) {
        call->status = 0;
        snprintf(call->why, sizeof call->why, "%s", curl_easy_strerror(result));
    }
    list_remove(&call->node);
    hook_multi_remove(&call->client->multi, easy);
    fini(call);
    call->done(call);
}

/* CURLOPT_WRITEFUNCTION: what an answer says is of no interest, but it has to come to its end. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_body(char *bytes, size_t one, size_t n, void *context)
{
    struct hook_call *call = context;

    (void)bytes, (void)one;
    call->answer_bytes += n;
    return call->answer_bytes <= ANSWER_BYTES_MAX ? n : 0;
}

static bool add_header(struct hook_call *call, const char *name, const char *value)
{
    char line[256];
    int n = snprintf(line, sizeof line, "%s:%s%s", name, *value ? " " : "", value);
    struct curl_slist *longer =
        n < (int)sizeof line ? curl_slist_append(call->headers, line) : NULL;

    if (longer)
        call->headers = longer;
    return longer != NULL;
}

/* Real time, whatever the clock of profile `test` says: a receiver checks that it is fresh. */
static bool sign(struct hook_call *call)
{
    int64_t now_s = (clock_wall_ms() - clock_offset_ms()) / 1000;
    char timestamp[24], signature[HOOK_SIGNATURE_BYTES], value[HOOK_SIGNATURE_BYTES + 40];

    snprintf(timestamp, sizeof timestamp, "%" PRId64, now_s);
    if (hook_sign(buf_str(&call->client->hook->secret), str_from(timestamp), call->body,
                  signature) != ERR_OK)
        return false;
    snprintf(value, sizeof value, "t=%s,v1=%s", timestamp, signature);
    return add_header(call, "Content-Type", "application/json") && add_header(call, "Expect", "") &&
           add_header(call, "Doorbuster-Event", call->id) &&
           add_header(call, "Doorbuster-Signature", value);
}

#define SET(option, value) (curl_easy_setopt(call->easy, (option), (value)) == CURLE_OK)

/* Nothing of the environment or of the answer leads it elsewhere: no proxy, no redirect. */
static bool set_up(struct hook_call *call)
{
    const struct hook *hook = call->client->hook;

    return SET(CURLOPT_URL, hook->url) && SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
           SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_PROXY, "") && SET(CURLOPT_NOSIGNAL, 1L) &&
           SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           (!hook->ca_file || SET(CURLOPT_CAINFO, hook->ca_file)) &&
           SET(CURLOPT_USERAGENT, "doorbuster") && SET(CURLOPT_QUICK_EXIT, 1L) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)hook->connect_timeout_ms) &&
           SET(CURLOPT_TIMEOUT_MS, (long)hook->timeout_ms) && SET(CURLOPT_PRIVATE, call) &&
           SET(CURLOPT_HTTPHEADER, call->headers) &&
           SET(CURLOPT_POSTFIELDSIZE, (long)call->body.len) &&
           SET(CURLOPT_POSTFIELDS, call->body.ptr) && SET(CURLOPT_WRITEFUNCTION, on_body) &&
           SET(CURLOPT_WRITEDATA, call);
}

void hook_call(struct hook_client *client, struct hook_call *call)
{
    call->client = client;
    call->status = 0;
    call->why[0] = '\0';
    call->answer_bytes = 0;
    call->headers = NULL;
    call->easy = curl_easy_init();
    if (!call->easy || !sign(call) || !set_up(call) ||
        hook_multi_add(&client->multi, call->easy) != ERR_OK) {
        end_later(call, "no memory");
        return;
    }
    list_append(&client->calls, &call->node);
}

/* ---- clients ---- */

struct hook_client *hook_client_new(struct hook *hook, struct loop *loop)
{
    struct hook_client *client = mem_alloc(sizeof *client);

    if (!client)
        return NULL;
    client->hook = hook;
    list_init(&client->calls);
    return hook_multi_init(&client->multi, loop, on_over) == ERR_OK ? client : mem_free(client);
}

void hook_client_cut(struct hook_client *client)
{
    while (!list_empty(&client->calls)) {
        struct hook_call *call = CONTAINER_OF(client->calls.next, struct hook_call, node);
        list_remove(&call->node);
        hook_multi_remove(&client->multi, call->easy);
        end_later(call, "ended before there was an answer");
    }
}

struct hook_client *hook_client_free(struct hook_client *client)
{
    if (!client)
        return NULL;
    ASSERT(list_empty(&client->calls));
    hook_multi_fini(&client->multi);
    return mem_free(client);
}

/* ---- the hook ---- */

enum err hook_check_url(const char *text)
{
    CURLU *url = curl_url();
    char *host = NULL;

    if (!url)
        return ERR_NOMEM;
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
    if (code == CURLUE_OK)
        code = curl_url_get(url, CURLUPART_HOST, &host, 0);
    curl_free(host);
    curl_url_cleanup(url);
    bool http = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    if (code == CURLUE_OUT_OF_MEMORY)
        return ERR_NOMEM;
    return http && code == CURLUE_OK ? ERR_OK : ERR_INVALID;
}

static enum err fill(struct hook *hook, const struct hook_options *options)
{
    size_t bytes = strlen(options->url) + 1;

    TRY(hook_check_url(options->url));
    hook->url = mem_alloc(bytes);
    buf_str_append(&hook->secret, options->secret);
    if (!hook->url || !buf_ok(&hook->secret))
        return ERR_NOMEM;
    memcpy(hook->url, options->url, bytes);
    if (options->ca_file && options->ca_file[0])
        hook->ca_file = options->ca_file;
    hook->connect_timeout_ms = options->connect_timeout_ms;
    hook->timeout_ms = options->timeout_ms;
    return ERR_OK;
}

struct hook *hook_free(struct hook *hook)
{
    if (!hook)
        return NULL;
    if (hook->secret.ptr)
        explicit_bzero(hook->secret.ptr, hook->secret.len);
    buf_fini(&hook->secret);
    mem_free(hook->url);
    curl_global_cleanup();
    return mem_free(hook);
}

enum err hook_new(const struct hook_options *options, struct hook **ret_hook)
{
    struct hook *hook;

    ASSERT(options->secret.len >= HOOK_SECRET_BYTES_MIN && options->timeout_ms > 0);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_NOMEM;
    hook = mem_alloc(sizeof *hook);
    if (!hook) {
        curl_global_cleanup();
        return ERR_NOMEM;
    }
    enum err e = fill(hook, options);
    if (e == ERR_OK)
        *ret_hook = hook;
    else
        hook_free(hook);
    return e;
}
