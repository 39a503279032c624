// SPDX-License-Identifier: Apache-2.0
/*
 * curl tells which descriptors it wants watched and when it wants to be woken; it is told what
 * happened. Should watching fail (no memory), a transfer is not driven any more: whoever began it
 * has a timer of their own.
 */
#include "hook/hook_multi.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"

/* Connections that are kept open for the next call. */
enum { IDLE_CONNECTIONS_MAX = 64 };

struct watch {
    struct loop_poll poll;
    struct hook_multi *multi;
};

static void collect(struct hook_multi *multi)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(multi->curl, &left)))
        if (message->msg == CURLMSG_DONE)
            multi->on_over(message->easy_handle, message->data.result);
}

static void drive(struct hook_multi *multi, curl_socket_t fd, int what)
{
    int running;

    if (curl_multi_socket_action(multi->curl, fd, what, &running) != CURLM_OK)
        LOG(LOG_ERROR, "curl cannot go on");
    collect(multi);
}

static void watch_ready(struct loop_poll *poll, int events)
{
    drive(CONTAINER_OF(poll, struct watch, poll)->multi, poll->fd,
          (events & LOOP_POLL_READ ? CURL_CSELECT_IN : 0) |
              (events & LOOP_POLL_WRITE ? CURL_CSELECT_OUT : 0));
}

static int unwatch(struct hook_multi *multi, curl_socket_t fd, struct watch *watch)
{
    if (watch)
        loop_poll_stop(&watch->poll);
    mem_free(watch);
    curl_multi_assign(multi->curl, fd, NULL);
    return 0;
}

/* CURLMOPT_SOCKETFUNCTION */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket)
{
    struct hook_multi *multi = context;
    struct watch *watch = of_socket;
    int events =
        (what & CURL_POLL_IN ? LOOP_POLL_READ : 0) | (what & CURL_POLL_OUT ? LOOP_POLL_WRITE : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE)
        return unwatch(multi, fd, watch);
    if (!watch) {
        watch = mem_alloc(sizeof *watch);
        if (!watch)
            return 0;
        watch->multi = multi;
        watch->poll = (struct loop_poll){ .fd = fd, .run = watch_ready };
        curl_multi_assign(multi->curl, fd, watch);
    }
    if (events == 0)
        loop_poll_stop(&watch->poll);
    else
        err_ignore(loop_poll_start(multi->loop, &watch->poll, events), "the call's timer ends it");
    return 0;
}

static void wake(struct loop_timer *timer)
{
    drive(CONTAINER_OF(timer, struct hook_multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* CURLMOPT_TIMERFUNCTION */
static int on_timer(CURLM *curl, long after_ms, void *context)
{
    struct hook_multi *multi = context;

    (void)curl;
    if (after_ms < 0)
        loop_timer_stop(&multi->timer);
    else
        err_ignore(loop_timer_start(multi->loop, &multi->timer, (uint64_t)after_ms),
                   "the call's timer ends it");
    return 0;
}

enum err hook_multi_init(struct hook_multi *multi, struct loop *loop,
                         void (*on_over)(CURL *easy, CURLcode result))
{
    *multi = (struct hook_multi){ .loop = loop, .on_over = on_over, .timer.run = wake };
    multi->curl = curl_multi_init();
    if (!multi->curl)
        return ERR_NOMEM;
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi->curl, CURLMOPT_SOCKETDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi->curl, CURLMOPT_TIMERDATA, multi);
    curl_multi_setopt(multi->curl, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
#if LIBCURL_VERSION_NUM >= 0x081400
    curl_multi_setopt(multi->curl, CURLMOPT_QUICK_EXIT, 1L); /* as of each transfer before */
#endif
    return ERR_OK;
}

void hook_multi_fini(struct hook_multi *multi)
{
    if (multi->curl)
        curl_multi_cleanup(multi->curl);
    multi->curl = NULL;
    loop_timer_stop(&multi->timer);
}

enum err hook_multi_add(struct hook_multi *multi, CURL *easy)
{
    return curl_multi_add_handle(multi->curl, easy) == CURLM_OK ? ERR_OK : ERR_NOMEM;
}

void hook_multi_remove(struct hook_multi *multi, CURL *easy)
{
    ASSERT(curl_multi_remove_handle(multi->curl, easy) == CURLM_OK);
}
