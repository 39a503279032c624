// SPDX-License-Identifier: Apache-2.0
/* libuv wants its handle until it has said that it is closed, so that is allocated apart. */
#include "base/assert.h"
#include "base/mem.h"
#include "loop/loop_uv_internal.h"

struct poll_handle {
    uv_poll_t uv;
    struct loop_poll *owner; /* NULL once stopped */
    int events;              /* LOOP_POLL_* */
};

static void polled(uv_poll_t *uv, int status, int events);

static int to_uv(int events)
{
    return (events & LOOP_POLL_READ ? UV_READABLE : 0) |
           (events & LOOP_POLL_WRITE ? UV_WRITABLE : 0);
}

static enum err watch(struct poll_handle *handle)
{
    return uv_poll_start(&handle->uv, to_uv(handle->events), polled) == 0 ? ERR_OK
                                                                          : ERR_UNAVAILABLE;
}

/* After an error libuv has stopped watching: on again, unless the owner has stopped meanwhile. */
static void polled(uv_poll_t *uv, int status, int events)
{
    struct poll_handle *handle = uv->data;
    struct loop_poll *owner = handle->owner;
    int seen =
        (events & UV_READABLE ? LOOP_POLL_READ : 0) | (events & UV_WRITABLE ? LOOP_POLL_WRITE : 0);

    if (!owner)
        return;
    if (status < 0) {
        seen = handle->events;
        err_ignore(watch(handle), "the descriptor was good when watching began");
    }
    owner->run(owner, seen);
}

static void closed(uv_handle_t *uv)
{
    mem_free(uv->data);
}

static enum err open_handle(struct loop *loop, struct loop_poll *poll)
{
    struct poll_handle *handle = mem_alloc(sizeof *handle);

    if (!handle)
        return ERR_NOMEM;
    if (uv_poll_init(&loop->uv, &handle->uv, poll->fd) != 0) {
        mem_free(handle);
        return ERR_UNAVAILABLE;
    }
    handle->uv.data = handle;
    handle->owner = poll;
    poll->impl = handle;
    poll->loop = loop;
    return ERR_OK;
}

enum err loop_poll_start(struct loop *loop, struct loop_poll *poll, int events)
{
    ASSERT(events != 0 && poll->fd >= 0);
    if (!poll->impl)
        TRY(open_handle(loop, poll));
    struct poll_handle *handle = poll->impl;
    handle->events = events;
    enum err e = watch(handle);
    if (e != ERR_OK)
        loop_poll_stop(poll);
    return e;
}

void loop_poll_stop(struct loop_poll *poll)
{
    struct poll_handle *handle = poll->impl;

    if (!handle)
        return;
    poll->impl = NULL;
    handle->owner = NULL;
    uv_close((uv_handle_t *)&handle->uv, closed);
}
