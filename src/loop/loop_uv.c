// SPDX-License-Identifier: Apache-2.0
/*
 * The turn, laid over libuv's: its poll phase handles what happened; our end of turn runs in the
 * check phase right after it, and again in the prepare phase before the next poll, because timers
 * and close callbacks come in between.
 */
#include "loop/loop.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop_uv_internal.h"

/* A task that always posts itself again must not keep the loop from the network. */
enum { ROUNDS_PER_TURN_MAX = 64 };
enum { TABLE_FDS = 16000 };

struct timer_slot {
    uv_timer_t uv;
    struct loop_timer *owner;
    struct timer_slot *next_free;
};

static bool run_posted(struct loop *loop)
{
    struct list batch;

    list_init(&batch);
    list_splice(&batch, &loop->posted);
    bool any = !list_empty(&batch);
    while (!list_empty(&batch)) {
        struct loop_task *task = CONTAINER_OF(batch.next, struct loop_task, node);
        list_remove(&task->node);
        task->run(task);
    }
    return any;
}

static bool run_hooks(struct loop *loop)
{
    struct loop_hook *hook;
    bool any = false;

    LIST_FOREACH (hook, &loop->hooks, struct loop_hook, node)
        any |= hook->run(hook);
    return any;
}

static void not_quiet(uv_idle_t *idle)
{
    uv_idle_stop(idle);
}

static void end_turn(struct loop *loop)
{
    unsigned rounds = 0;
    bool any = true;

    while (any && rounds++ < ROUNDS_PER_TURN_MAX) {
        any = run_posted(loop);
        any |= run_hooks(loop);
    }
    if (any)
        uv_idle_start(&loop->not_quiet, not_quiet);
    log_flush();
}

static void after_poll(uv_check_t *check)
{
    end_turn(check->data);
}

static void before_poll(uv_prepare_t *prepare)
{
    end_turn(prepare->data);
}

static void woken(uv_async_t *async)
{
    struct loop *loop = async->data;

    pthread_mutex_lock(&loop->lock);
    list_splice(&loop->posted, &loop->mail);
    pthread_mutex_unlock(&loop->lock);
    if (atomic_load(&loop->stop))
        uv_stop(&loop->uv);
}

static void nothing(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
}

/*
 * libuv keeps a table by descriptor number and aborts when it cannot grow it. Watching a high
 * number once makes the table large enough now, when there is memory. Best effort: where the limit
 * of descriptors is lower, the table grows to that limit at most.
 */
static void grow_table(struct loop *loop)
{
    int low = eventfd(0, EFD_CLOEXEC);
    int fd = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, TABLE_FDS);
    uv_poll_t poll;

    if (low >= 0)
        close(low);
    if (fd < 0)
        return;
    if (uv_poll_init(&loop->uv, &poll, fd) == 0) {
        uv_poll_start(&poll, UV_READABLE, nothing);
        uv_close((uv_handle_t *)&poll, NULL);
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
    close(fd);
}

/* What uv_loop_init() made must be closed by uv_loop_close(), so it comes first and alone. */
struct loop *loop_new(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);

    if (!loop)
        return NULL;
    if (uv_loop_init(&loop->uv) != 0)
        return mem_free(loop);
    if (uv_async_init(&loop->uv, &loop->wakeup, woken) != 0) {
        uv_loop_close(&loop->uv);
        return mem_free(loop);
    }
    grow_table(loop);
    uv_check_init(&loop->uv, &loop->after_poll);
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_idle_init(&loop->uv, &loop->not_quiet);
    loop->after_poll.data = loop->before_poll.data = loop->wakeup.data = loop;
    uv_check_start(&loop->after_poll, after_poll);
    uv_prepare_start(&loop->before_poll, before_poll);
    list_init(&loop->posted);
    list_init(&loop->hooks);
    list_init(&loop->mail);
    ASSERT(pthread_mutex_init(&loop->lock, NULL) == 0);
    return loop;
}

static void free_slot(uv_handle_t *handle)
{
    mem_free(handle->data);
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    while (loop->free_slots) {
        struct timer_slot *slot = loop->free_slots;
        loop->free_slots = slot->next_free;
        uv_close((uv_handle_t *)&slot->uv, free_slot);
    }
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->not_quiet, NULL);
    uv_close((uv_handle_t *)&loop->wakeup, NULL);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    ASSERT(uv_loop_close(&loop->uv) == 0); /* else a stream, listener or timer is still open */
    pthread_mutex_destroy(&loop->lock);
    return mem_free(loop);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load(&loop->stop))
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    atomic_store(&loop->stop, false);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    uv_async_send(&loop->wakeup);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(&loop->uv);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    list_append(&loop->posted, &task->node);
}

void loop_send(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->lock);
    bool first = list_empty(&loop->mail);
    list_append(&loop->mail, &task->node);
    /* Under the lock: the receiver may free the loop once it has seen the task. */
    if (first)
        uv_async_send(&loop->wakeup);
    pthread_mutex_unlock(&loop->lock);
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    list_append(&loop->hooks, &hook->node);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_remove(&hook->node);
}

static void release_slot(struct loop_timer *timer)
{
    struct timer_slot *slot = timer->impl;

    timer->impl = NULL;
    slot->owner = NULL;
    slot->next_free = timer->loop->free_slots;
    timer->loop->free_slots = slot;
}

static void fired(uv_timer_t *uv)
{
    struct loop_timer *timer = ((struct timer_slot *)uv->data)->owner;

    release_slot(timer);
    timer->run(timer);
}

static struct timer_slot *take_slot(struct loop *loop)
{
    struct timer_slot *slot = loop->free_slots;

    if (slot) {
        loop->free_slots = slot->next_free;
        return slot;
    }
    slot = mem_alloc(sizeof *slot);
    if (!slot)
        return NULL;
    uv_timer_init(&loop->uv, &slot->uv);
    slot->uv.data = slot;
    return slot;
}

enum err loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ms)
{
    struct timer_slot *slot = timer->impl ? timer->impl : take_slot(loop);

    if (!slot)
        return ERR_NOMEM;
    timer->impl = slot;
    timer->loop = loop;
    slot->owner = timer;
    uv_timer_start(&slot->uv, fired, after_ms, 0);
    return ERR_OK;
}

void loop_timer_stop(struct loop_timer *timer)
{
    struct timer_slot *slot = timer->impl;

    if (!slot)
        return;
    uv_timer_stop(&slot->uv);
    release_slot(timer);
}
